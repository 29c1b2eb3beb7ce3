//! One trainer per run.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::{Result, RunError};
use super::folder::RunFolder;
use super::process::ProcessId;

/// The right to train in a run folder, held until dropped. The kernel gives it back when the process dies, however it
/// dies, so a stale lock file never blocks a resume.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    stale: Option<u32>,
}

impl RunLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`RunError::Held`] if a living process has it. A process that is just dying is waited for, a moment.
    pub fn take(folder: &RunFolder) -> Result<RunLock> {
        let began = Instant::now();
        loop {
            match RunLock::take_now(folder) {
                Err(RunError::Held { .. }) if began.elapsed() < DYING => std::thread::sleep(AGAIN),
                result => return result,
            }
        }
    }

    fn take_now(folder: &RunFolder) -> Result<RunLock> {
        let path = folder.lock_file();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(RunError::io("open", &path))?;
        let mut text = String::new();
        // An unreadable owner is no owner: the kernel's lock decides.
        let _ = file.read_to_string(&mut text);
        let owner: Option<ProcessId> = serde_json::from_str(&text).ok();
        let held = |pid| RunError::Held { path: folder.path().to_path_buf(), pid };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(held(owner.map_or(0, |o| o.pid))),
            // File systems without locks: the recorded process decides.
            Err(Errno::NOTSUP | Errno::NOLCK | Errno::INVAL | Errno::NOSYS) => {
                if let Some(owner) = owner.as_ref().filter(|o| o.pid != std::process::id() && o.may_live()) {
                    return Err(held(owner.pid));
                }
            }
            Err(error) => return Err(RunError::io("lock", &path)(error.into())),
        }
        let text = serde_json::to_string(&ProcessId::here()).map_err(RunError::damaged(&path))?;
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(RunError::io("write", &path))?;
        Ok(RunLock { file, stale: owner.map(|o| o.pid) })
    }

    /// Process that held the lock and died without giving it back.
    pub fn stale(&self) -> Option<u32> {
        self.stale
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Best effort: an owner left behind is reported as stale, nothing worse.
        let _ = self.file.set_len(0);
        // Closing is not enough while a child process that is just being started still shares the open file.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// How long a killed process may take to let go of its files.
const DYING: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_trainer_is_refused_and_stale_lock_is_recovered() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        let lock = RunLock::take(&folder).unwrap();
        assert_eq!(lock.stale(), None);
        let error = RunLock::take_now(&folder).unwrap_err();
        assert!(matches!(error, RunError::Held { pid, .. } if pid == std::process::id()), "{error}");
        drop(lock);
        assert_eq!(RunLock::take(&folder).unwrap().stale(), None);
        let dead = ProcessId { pid: 4_000_000, ..ProcessId::here() };
        std::fs::write(folder.lock_file(), serde_json::to_string(&dead).unwrap()).unwrap();
        assert_eq!(RunLock::take(&folder).unwrap().stale(), Some(4_000_000));
        std::fs::write(folder.lock_file(), "rubbish").unwrap();
        assert_eq!(RunLock::take(&folder).unwrap().stale(), None);
    }
}
