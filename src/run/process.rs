//! Whether a process named by id, start and host is still the one that was meant.

use std::fs;

use serde::{Deserialize, Serialize};

/// Names a process so that a reused id is not mistaken for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// Start of the process in clock ticks since boot; `None` where the system does not say.
    #[serde(default)]
    pub started: Option<u64>,
    /// Host it runs on; empty where unknown.
    #[serde(default)]
    pub host: String,
}

impl ProcessId {
    /// This process.
    pub fn here() -> ProcessId {
        let pid = std::process::id();
        ProcessId { pid, started: start_ticks(pid), host: host() }
    }

    /// False only if the process is certainly gone: on this host, and no process with that id and start. A process
    /// of another host is taken to live (its heartbeat tells more).
    pub fn may_live(&self) -> bool {
        if !self.host.is_empty() && self.host != host() {
            return true;
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw) else {
            return false;
        };
        match rustix::process::test_kill_process(pid) {
            Err(rustix::io::Errno::SRCH) => false,
            // Any other answer (also "not permitted") means that some process has the id.
            _ => self.started.is_none() || start_ticks(self.pid).is_none_or(|now| Some(now) == self.started),
        }
    }
}

/// Field 22 of `/proc/<pid>/stat` (`proc(5)`), counted after the command name, which may contain spaces.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::ProcessId;

    #[test]
    fn reused_and_absent_ids_are_gone_and_other_hosts_are_not() {
        let here = ProcessId::here();
        assert!(here.may_live());
        assert!(!ProcessId { started: here.started.map(|s| s + 1), ..here.clone() }.may_live());
        assert!(!ProcessId { pid: 0, ..here.clone() }.may_live());
        let absent = ProcessId { pid: i32::MAX as u32, ..here };
        assert!(!absent.may_live());
        assert!(ProcessId { host: "elsewhere.invalid".into(), ..absent }.may_live());
    }
}
