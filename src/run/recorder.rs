//! The one writer of a run: records, live episodes, and the files of closed steps.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::append::LineFile;
use super::error::{Result, RunError};
use super::file::atomic_write;
use super::finite::{clean_episode, clean_event, non_finite_signals, step_of};
use super::folder::RunFolder;
use super::live::LiveWriter;
use super::parquet_rows::{encode_episodes, encode_tokens};
use super::written::note;
use crate::core::{Episode, Record, RunEvent, TokenRecord};

/// Milliseconds since the Unix epoch.
pub type Clock = Box<dyn Fn() -> u64 + Send>;

/// Is told each record as it was written.
pub type Tap = Box<dyn FnMut(&Record) + Send>;

/// Writes a run. Hold the [`RunLock`](super::RunLock) of the folder while there is one.
///
/// Every method that fails names the path and the remedy, and leaves what is on disk as it was; it may be called again.
pub struct Recorder {
    folder: RunFolder,
    events: LineFile,
    live: Option<LiveWriter>,
    clock: Clock,
    tap: Option<Tap>,
    last_ms: u64,
}

impl Recorder {
    /// Starts the records of a new run.
    ///
    /// # Errors
    /// An I/O error, also if the run has records already.
    pub fn create(folder: &RunFolder) -> Result<Recorder> {
        Ok(Recorder::with(folder, LineFile::create_new(&folder.events())?))
    }

    /// Goes on with the records of a run, or starts them. A torn last line is moved to `events.torn`.
    pub fn open(folder: &RunFolder) -> Result<Recorder> {
        let whole = |line: &[u8]| serde_json::from_slice::<Record>(line).is_ok();
        Ok(Recorder::with(folder, LineFile::open(&folder.events(), whole)?))
    }

    /// Replaces the system's clock.
    pub fn with_clock(mut self, clock: Clock) -> Recorder {
        self.clock = clock;
        self
    }

    /// Lets `tap` see every record right after it was written, warnings of the recorder included.
    pub fn with_tap(mut self, tap: Tap) -> Recorder {
        self.tap = Some(tap);
        self
    }

    /// The folder written to.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Stamps an event with the time (never earlier than the record before), appends it to `events.jsonl` and hands it
    /// back as readers will see it. Non-finite numbers become absent and are named in a `Warned` record that follows.
    pub fn record(&mut self, mut event: RunEvent) -> Result<Record> {
        let bad = clean_event(&mut event);
        let step = step_of(&event).unwrap_or(0);
        let record = self.write(event)?;
        if !bad.is_empty() {
            let names = bad.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            self.warn(step, format!("not a finite number, recorded as absent: {names}"))?;
        }
        if is_milestone(&record.event) {
            self.sync()?;
        }
        Ok(record)
    }

    /// Waits until all records are on the disk; [`Recorder::record`] does so once per step.
    pub fn sync(&self) -> Result<()> {
        self.events.sync()
    }

    /// Brings a training episode that is being played up to date in the live file of its step. Written are the turns
    /// since the last call and the last one told; earlier turns must not change any more.
    pub fn turn(&mut self, episode: &Episode) -> Result<()> {
        let mut bad = 0;
        let at_ms = (self.clock)();
        self.live(episode.id.step)?.update(&clean_episode(episode, &mut bad), at_ms)
    }

    /// Writes a training episode whole to the live file of its step: it has ended, or anything about it has changed.
    pub fn episode(&mut self, episode: &Episode) -> Result<()> {
        let mut bad = 0;
        let at_ms = (self.clock)();
        self.live(episode.id.step)?.whole(&clean_episode(episode, &mut bad), at_ms)
    }

    /// Closes a training step: its tokens and episodes as Parquet, each file wholly or not at all, then the live file
    /// goes. Non-finite numbers are written as absent (rewards as 0) and reported by a `Warned` record.
    pub fn close_step(&mut self, step: u64, episodes: &[Episode], tokens: &[TokenRecord]) -> Result<()> {
        let mut bad = tokens.iter().map(non_finite_signals).sum();
        let rollouts = self.folder.rollouts(step);
        let path = self.folder.tokens(step);
        self.file(&path, &encode_tokens(step, tokens).map_err(RunError::damaged(&path))?)?;
        let episodes = clean_all(episodes, &mut bad);
        self.file(&rollouts, &encode_episodes(&episodes, tokens).map_err(RunError::damaged(&rollouts))?)?;
        self.live = None;
        let live = self.folder.live_rollouts(step);
        match fs::remove_file(&live) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(RunError::io("remove", &live)(error)),
            _ => {}
        }
        self.warn_of_numbers(step, bad, "rollouts and tokens")
    }

    /// Writes the evaluation episodes after `step` (all panels of that step in one call) as Parquet.
    pub fn close_eval(&mut self, step: u64, episodes: &[Episode]) -> Result<()> {
        let mut bad = 0;
        let path = self.folder.eval_rollouts(step);
        let episodes = clean_all(episodes, &mut bad);
        self.file(&path, &encode_episodes(&episodes, &[]).map_err(RunError::damaged(&path))?)?;
        self.warn_of_numbers(step, bad, "evaluation rollouts")
    }

    fn with(folder: &RunFolder, events: LineFile) -> Recorder {
        Recorder { folder: folder.clone(), events, live: None, clock: Box::new(now_ms), tap: None, last_ms: 0 }
    }

    /// A file of a closed step, and its checksum.
    fn file(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        atomic_write(path, bytes)?;
        note(&self.folder, path, bytes)
    }

    /// The record is read back from its line before the line is written: what cannot be read is never written, and
    /// the live record is the saved one to the last bit.
    fn write(&mut self, event: RunEvent) -> Result<Record> {
        let at_ms = self.last_ms.max((self.clock)());
        let unwritable = |e: serde_json::Error| RunError::Unwritable {
            path: self.events.path().to_path_buf(),
            reason: e.to_string(),
        };
        let line = serde_json::to_string(&Record { at_ms, event }).map_err(unwritable)?;
        let record: Record = serde_json::from_str(&line).map_err(unwritable)?;
        self.events.line(&line)?;
        self.last_ms = at_ms;
        if let Some(tap) = &mut self.tap {
            tap(&record);
        }
        Ok(record)
    }

    fn warn(&mut self, step: u64, message: String) -> Result<()> {
        self.write(RunEvent::Warned { step, message }).map(|_| ())
    }

    fn warn_of_numbers(&mut self, step: u64, bad: usize, of: &str) -> Result<()> {
        match bad {
            0 => Ok(()),
            1 => self.warn(step, format!("1 number in the {of} of step {step} is not finite, recorded as absent")),
            _ => {
                self.warn(step, format!("{bad} numbers in the {of} of step {step} are not finite, recorded as absent"))
            }
        }
    }

    fn live(&mut self, step: u64) -> Result<&mut LiveWriter> {
        let writer = match self.live.take().filter(|live| live.step == step) {
            Some(writer) => writer,
            None => LiveWriter::create(&self.folder.live_rollouts(step), step)?,
        };
        Ok(self.live.insert(writer))
    }
}

/// Milliseconds since the Unix epoch by the system's clock; 0 before 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Records after which the disk is waited for: what a reader or a resume relies on.
fn is_milestone(event: &RunEvent) -> bool {
    use RunEvent::{Checkpointed, Finished, Started, Stepped};
    matches!(event, Started { .. } | Stepped { .. } | Checkpointed { .. } | Finished { .. })
}

fn clean_all<'a>(episodes: &'a [Episode], bad: &mut usize) -> Vec<Cow<'a, Episode>> {
    episodes.iter().map(|episode| clean_episode(episode, bad)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Metrics;

    fn setup() -> (tempfile::TempDir, Recorder) {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        (root, Recorder::create(&folder).unwrap())
    }

    #[test]
    fn non_finite_metric_becomes_null_and_a_warning() {
        let (_root, recorder) = setup();
        let mut recorder = recorder.with_clock(Box::new(|| 5));
        let metrics: Metrics = [("a".to_string(), Some(f64::NAN)), ("b".to_string(), Some(0.1))].into();
        recorder.record(RunEvent::Stepped { step: 3, metrics, skills: vec![] }).unwrap();
        assert_eq!(
            fs::read_to_string(recorder.folder().events()).unwrap(),
            "{\"at_ms\":5,\"event\":\"stepped\",\"step\":3,\"metrics\":{\"a\":null,\"b\":0.1},\"skills\":[]}\n\
             {\"at_ms\":5,\"event\":\"warned\",\"step\":3,\"message\":\"not a finite number, recorded as absent: `a`\"}\n"
        );
    }

    #[test]
    fn time_never_runs_backwards() {
        let (_root, recorder) = setup();
        let times = std::sync::Mutex::new(vec![3, 9, 7]);
        let mut recorder = recorder.with_clock(Box::new(move || times.lock().unwrap().pop().unwrap()));
        let mut at = || recorder.record(RunEvent::Paused { step: 1 }).unwrap().at_ms;
        assert_eq!([at(), at(), at()], [7, 9, 9]);
    }

    #[test]
    fn created_once_and_resumed_after_a_torn_line() {
        let (_root, mut recorder) = setup();
        recorder.record(RunEvent::Paused { step: 1 }).unwrap();
        let folder = recorder.folder().clone();
        assert!(Recorder::create(&folder).is_err());
        let mut text = fs::read_to_string(folder.events()).unwrap();
        text.push_str("{\"at_ms\":1,\"event\":\"res");
        fs::write(folder.events(), &text).unwrap();
        Recorder::open(&folder).unwrap().record(RunEvent::Resumed { step: 1 }).unwrap();
        let text = fs::read_to_string(folder.events()).unwrap();
        assert!(text.lines().all(|line| serde_json::from_str::<Record>(line).is_ok()), "{text}");
        assert_eq!(text.lines().count(), 2);
        assert!(folder.path().join("events.torn").is_file());
    }

    #[test]
    fn full_disk_names_file_and_remedy() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.events()).unwrap();
        let mut recorder = Recorder::open(&folder).unwrap();
        let error = recorder.record(RunEvent::Paused { step: 1 }).unwrap_err().to_string();
        assert!(error.contains("events.jsonl") && error.contains("free some disk space"), "{error}");
    }
}
