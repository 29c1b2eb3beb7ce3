//! Starting the trainer as a process of its own, which outlives the terminal.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::client::is_served;

/// A trainer that was started and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trainer {
    pub pid: u32,
}

/// Starts `sdlab __train --run-dir FOLDER` (with an `--assert` for each of `asserts`) and waits until its control socket answers. The process makes itself the
/// leader of a new session, so neither Ctrl-C nor a closed terminal reaches it; what it prints goes to
/// `logs/trainer.log`.
///
/// # Errors
/// The process cannot be started, or it ended before it answered: then the end of its log is part of the error.
pub fn spawn(folder: &Path, asserts: &[String]) -> Result<Trainer> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut arguments = vec![OsStr::new("__train"), OsStr::new("--run-dir"), folder.as_os_str()];
    for assert in asserts {
        arguments.extend([OsStr::new("--assert"), OsStr::new(assert)]);
    }
    start(program.as_os_str(), &arguments, folder)
}

fn start(program: &OsStr, arguments: &[&OsStr], folder: &Path) -> Result<Trainer> {
    if is_served(folder) {
        bail!("`{}` is already being trained, use `sdlab attach`", folder.display());
    }
    let log_path = folder.join("logs/trainer.log");
    fs::create_dir_all(folder.join("logs")).context("cannot make the folder for logs")?;
    let log = File::options().create(true).append(true).open(&log_path).context("cannot write `logs/trainer.log`")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start `{}`", program.display()))?;
    wait_for(&mut child, folder, &log_path)?;
    let pid = child.id();
    // collects the exit status, so that a trainer that ended is not mistaken for one that lives
    thread::spawn(move || child.wait());
    Ok(Trainer { pid })
}

fn wait_for(child: &mut Child, folder: &Path, log: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_served(folder) {
        if let Some(status) = child.try_wait()? {
            bail!("the trainer ended before it answered ({status}); the end of `{}`:\n{}", log.display(), tail(log));
        }
        if Instant::now() > deadline {
            bail!("the trainer (process {}) does not answer, see `{}`", child.id(), log.display());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// The socket is bound before the model is loaded, so this is generous.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
const LAST_LINES: usize = 20;

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::sync::Arc;

    use super::start;
    use crate::session::Control;

    fn shell(script: &str, folder: &std::path::Path) -> anyhow::Result<super::Trainer> {
        start(OsStr::new("/bin/sh"), &[OsStr::new("-c"), OsStr::new(script)], folder)
    }

    #[test]
    fn a_trainer_that_fails_shows_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let error = shell("echo first; echo 'no such model' >&2; exit 1", folder.path()).unwrap_err().to_string();
        assert!(error.contains("exit status: 1") && error.ends_with("first\nno such model"), "{error}");
    }

    #[test]
    fn a_run_is_not_trained_twice() {
        let folder = tempfile::tempdir().unwrap();
        let _control = Control::bind(folder.path(), Arc::default()).unwrap();
        let error = shell("exit 0", folder.path()).unwrap_err().to_string();
        assert!(error.contains("already being trained"), "{error}");
        assert!(!folder.path().join("logs").exists(), "nothing was started");
    }
}
