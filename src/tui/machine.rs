//! What the machine does, read from `/proc` once a second; accelerators from `nvidia-smi` where there is one.
//! Elsewhere there is nothing to read, and the screen says so.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// One look at the machine. Shares are in [0, 1], sizes in bytes; `None` cannot be known here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    pub cpu: Option<f64>,
    pub cores: usize,
    pub memory: Option<(u64, u64)>,
    /// Memory of the trainer, and its share of one core.
    pub trainer: Option<(u64, f64)>,
    /// Memory of this screen.
    pub screen: Option<u64>,
    /// Free and whole size of the disk the run is on.
    pub disk: Option<(u64, u64)>,
    pub accelerators: Vec<Accelerator>,
}

/// One accelerator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accelerator {
    pub name: String,
    pub busy: Option<f64>,
    pub used: Option<u64>,
    pub total: Option<u64>,
    pub watts: Option<f64>,
    pub celsius: Option<f64>,
}

/// Looks at the machine on a thread of its own, for as long as it is held.
#[derive(Debug)]
pub struct Watch {
    loads: Receiver<Load>,
    /// Dropped with the watch, which ends the thread.
    _alive: Sender<()>,
}

impl Watch {
    /// Begins to look; `pid` is the trainer, `folder` is on the disk that is told.
    pub fn start(pid: u32, folder: &Path) -> Self {
        let (send, loads) = channel();
        let (alive, gone) = channel::<()>();
        let folder = folder.to_path_buf();
        // without a thread nothing is shown
        drop(std::thread::Builder::new().name("machine".into()).spawn(move || {
            let (mut cpu, mut own) = (times(), spent(pid));
            loop {
                if !matches!(gone.recv_timeout(EVERY), Err(std::sync::mpsc::RecvTimeoutError::Timeout)) {
                    return;
                }
                let (cpu_now, own_now) = (times(), spent(pid));
                let load = look(pid, &folder, (cpu, cpu_now), (own, own_now));
                (cpu, own) = (cpu_now, own_now);
                if send.send(load).is_err() {
                    return;
                }
            }
        }));
        Self { loads, _alive: alive }
    }

    /// The looks since the last call.
    pub fn poll(&self) -> Vec<Load> {
        self.loads.try_iter().collect()
    }
}

/// Busy and whole time of all cores, in ticks.
type Ticks = Option<(u64, u64)>;

fn look(pid: u32, folder: &Path, cpu: (Ticks, Ticks), own: (Option<u64>, Option<u64>)) -> Load {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let passed = cpu.0.zip(cpu.1).map(|(a, b)| (b.0.saturating_sub(a.0), b.1.saturating_sub(a.1).max(1)));
    let share = own
        .0
        .zip(own.1)
        .zip(passed)
        .map(|((a, b), (_, whole))| b.saturating_sub(a) as f64 * cores as f64 / whole as f64);
    Load {
        cpu: passed.map(|(busy, whole)| busy as f64 / whole as f64),
        cores,
        memory: memory(&read("/proc/meminfo")),
        trainer: resident(&read(&format!("/proc/{pid}/status"))).map(|size| (size, share.unwrap_or(0.0))),
        screen: resident(&read("/proc/self/status")),
        disk: rustix::fs::statvfs(folder).ok().map(|s| (s.f_bavail * s.f_frsize, s.f_blocks * s.f_frsize)),
        accelerators: accelerators(),
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn times() -> Ticks {
    let text = read("/proc/stat");
    let fields: Vec<u64> = text.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    let idle = fields.get(3)? + fields.get(4)?;
    let whole: u64 = fields.iter().take(8).sum();
    Some((whole - idle, whole))
}

/// Ticks a process has computed for.
fn spent(pid: u32) -> Option<u64> {
    let text = read(&format!("/proc/{pid}/stat"));
    // the name in parentheses may hold blanks
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// Used and whole memory.
fn memory(meminfo: &str) -> Option<(u64, u64)> {
    let field = |name: &str| kilobytes(meminfo, name);
    let total = field("MemTotal:")?;
    Some((total.saturating_sub(field("MemAvailable:")?), total))
}

fn resident(status: &str) -> Option<u64> {
    kilobytes(status, "VmRSS:")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb * 1024)
}

fn accelerators() -> Vec<Accelerator> {
    let query = "--query-gpu=name,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu";
    let output = std::process::Command::new("nvidia-smi").args([query, "--format=csv,noheader,nounits"]).output();
    output.map_or(vec![], |out| String::from_utf8_lossy(&out.stdout).lines().filter_map(accelerator).collect())
}

fn accelerator(line: &str) -> Option<Accelerator> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let number = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok());
    let mebibytes = |at: usize| number(at).map(|mb| (mb * 1024.0 * 1024.0) as u64);
    (fields.len() >= 6).then(|| Accelerator {
        name: fields[0].to_owned(),
        busy: number(1).map(|percent| percent / 100.0),
        used: mebibytes(2),
        total: mebibytes(3),
        watts: number(4),
        celsius: number(5),
    })
}

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_accelerators_are_read() {
        assert_eq!(memory("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n"), Some((600 << 10, 1000 << 10)));
        assert_eq!(resident("Name: x\nVmRSS:\t 12 kB\n"), Some(12 << 10));
        let gpu = accelerator("NVIDIA H200, 91, 62464, 143771, 540.10, 67").unwrap();
        assert_eq!((gpu.busy, gpu.used, gpu.celsius), (Some(0.91), Some(61 << 30), Some(67.0)));
        let odd = accelerator("X, [N/A], 1, 2, [N/A], 3").unwrap();
        assert_eq!((odd.busy, odd.watts), (None, None));
        assert!(accelerator("no such device").is_none());
    }
}
