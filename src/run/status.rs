//! The trainer's heartbeat and what readers conclude from it.

use std::fs;
use std::io::ErrorKind;

use serde::{Deserialize, Serialize};

use super::error::{Result, RunError};
use super::file::atomic_write;
use super::folder::RunFolder;
use super::process::ProcessId;
use crate::core::Phase;

/// What the trainer says it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Loading the model.
    Starting,
    Running,
    Paused,
    /// Finishing the step or writing the last checkpoint.
    Stopping,
    /// Ended in order; the last record of the run says how.
    Finished,
}

/// Content of `status.json`, rewritten every few seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    #[serde(flatten)]
    pub process: ProcessId,
    pub state: State,
    pub step: u64,
    #[serde(default)]
    pub phase: Option<Phase>,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Whether a run is being trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// A trainer is at it (running or paused).
    Running,
    /// The trainer ended in order, or there never was one.
    Finished,
    /// The trainer died; the text says how that is known.
    Dead(String),
}

impl Heartbeat {
    /// A heartbeat of this process.
    pub fn here(state: State, step: u64, phase: Option<Phase>, at_ms: u64) -> Heartbeat {
        Heartbeat { process: ProcessId::here(), state, step, phase, at_ms }
    }

    /// Writes `status.json` atomically.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        let path = folder.status();
        let text = serde_json::to_string(self).map_err(RunError::damaged(&path))?;
        atomic_write(&path, text.as_bytes())
    }

    /// Reads `status.json`; `None` if there is none.
    pub fn read(folder: &RunFolder) -> Result<Option<Heartbeat>> {
        let path = folder.status();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(RunError::damaged(&path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RunError::io("read", &path)(error)),
        }
    }
}

/// What a heartbeat means at `now_ms`: dead if its process is gone or it has been silent for more than a minute.
pub fn life(heartbeat: Option<&Heartbeat>, now_ms: u64) -> Life {
    let Some(beat) = heartbeat.filter(|b| b.state != State::Finished) else {
        return Life::Finished;
    };
    let silent = now_ms.saturating_sub(beat.at_ms) / 1000;
    if !beat.process.may_live() {
        Life::Dead(format!("process {} is gone", beat.process.pid))
    } else if silent > SILENCE_S {
        Life::Dead(format!("process {} has been silent for {silent} s", beat.process.pid))
    } else {
        Life::Running
    }
}

/// Seconds without a heartbeat after which a trainer counts as dead.
pub const SILENCE_S: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn life_follows_process_and_silence() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        assert_eq!(Heartbeat::read(&folder).unwrap(), None);
        let beat = Heartbeat::here(State::Running, 7, Some(Phase::Teacher), 1_000_000);
        beat.write(&folder).unwrap();
        assert_eq!(Heartbeat::read(&folder).unwrap(), Some(beat.clone()));
        assert_eq!(life(Some(&beat), 1_060_999), Life::Running);
        assert_eq!(life(Some(&beat), 900_000), Life::Running, "a clock that runs behind is not a death");
        assert!(matches!(life(Some(&beat), 1_061_000), Life::Dead(why) if why.contains("silent for 61 s")));
        let gone = ProcessId { pid: 4_000_000, ..beat.process.clone() };
        let gone = Heartbeat { process: gone, ..beat.clone() };
        assert!(matches!(life(Some(&gone), 1_000_000), Life::Dead(why) if why.contains("gone")));
        assert_eq!(life(Some(&Heartbeat { state: State::Finished, ..gone }), 9_000_000), Life::Finished);
        assert_eq!(life(None, 0), Life::Finished);
        fs::write(folder.status(), "{").unwrap();
        assert!(Heartbeat::read(&folder).unwrap_err().to_string().contains("status.json"));
    }
}
