//! Episodes and tokens of a run by step, wherever they lie now.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::SystemTime;

use parquet::errors::ParquetError;

use super::error::{Result, RunError};
use super::folder::{RunFolder, numbered};
use super::index::{RolloutRow, Shared, decode_rows};
use super::live::read_live;
use super::parquet_rows::{decode_episodes, decode_tokens};
use crate::core::{Episode, EpisodeId, TokenRecord};

/// Reads the rollouts and tokens of a run. Keeps nothing; a caller that asks often keeps what it got.
#[derive(Clone, Debug)]
pub struct Store {
    folder: RunFolder,
}

impl Store {
    /// The store of a run folder.
    pub fn new(folder: &RunFolder) -> Store {
        Store { folder: folder.clone() }
    }

    /// Training steps with rollouts, ascending; the last may still be being played.
    pub fn steps(&self) -> Vec<u64> {
        let rollouts = self.folder.path().join("rollouts");
        let mut steps = numbered(&rollouts, "step_", ".parquet");
        steps.extend(numbered(&rollouts, "step_", ".jsonl"));
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Training steps with recorded tokens, ascending.
    pub fn token_steps(&self) -> Vec<u64> {
        numbered(&self.folder.path().join("tokens"), "step_", ".parquet")
    }

    /// Steps after which a panel was played, ascending.
    pub fn eval_steps(&self) -> Vec<u64> {
        numbered(&self.folder.path().join("rollouts"), "eval_", ".parquet")
    }

    /// Whether the step's rollouts come from the live file: it is being played, or its trainer died in it.
    pub fn is_live(&self, step: u64) -> bool {
        // A repeated step has both; the newer is the truth.
        match (modified(&self.folder.live_rollouts(step)), modified(&self.folder.rollouts(step))) {
            (Some(live), Some(closed)) => live > closed,
            (live, _) => live.is_some(),
        }
    }

    /// Episodes of a training step: of the closed file, or as far as they have been played. Empty if there are none.
    ///
    /// # Errors
    /// An I/O error, or [`RunError::Damaged`].
    pub fn episodes(&self, step: u64) -> Result<Vec<Episode>> {
        if self.is_live(step) {
            match read_live(&self.folder.live_rollouts(step)) {
                // The step was closed between looking and reading.
                Err(RunError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => {}
                read => return read.map(|(episodes, _)| episodes),
            }
        }
        read(&self.folder.rollouts(step), decode_episodes)
    }

    /// When each episode of the step being played last moved on, in milliseconds since the Unix epoch; empty if the step
    /// is closed. 0 where it was not recorded.
    ///
    /// # Errors
    /// An I/O error.
    pub fn heard(&self, step: u64) -> Result<Vec<(EpisodeId, u64)>> {
        if !self.is_live(step) {
            return Ok(Vec::new());
        }
        match read_live(&self.folder.live_rollouts(step)) {
            Err(RunError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map(|(_, heard)| heard.into_iter().collect()),
        }
    }

    /// One small row for each episode of a closed training step; empty while it is being played.
    ///
    /// # Errors
    /// An I/O error, or [`RunError::Damaged`].
    pub fn rows(&self, step: u64, shared: &mut Shared) -> Result<Vec<RolloutRow>> {
        read(&self.folder.rollouts(step), |file| decode_rows(file, shared))
    }

    /// When a training step was closed; `None` while it is being played.
    pub fn closed_at(&self, step: u64) -> Option<SystemTime> {
        modified(&self.folder.rollouts(step))
    }

    /// Episodes of the evaluation after `step`; empty if there was none.
    ///
    /// # Errors
    /// An I/O error, or [`RunError::Damaged`].
    pub fn eval_episodes(&self, step: u64) -> Result<Vec<Episode>> {
        read(&self.folder.eval_rollouts(step), decode_episodes)
    }

    /// Tokens of a closed training step, in the order they were recorded; empty if there are none (yet).
    ///
    /// # Errors
    /// An I/O error, or [`RunError::Damaged`].
    pub fn tokens(&self, step: u64) -> Result<Vec<TokenRecord>> {
        read(&self.folder.tokens(step), decode_tokens)
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn read<T>(path: &Path, decode: impl FnOnce(File) -> std::result::Result<Vec<T>, ParquetError>) -> Result<Vec<T>> {
    match File::open(path) {
        // The Parquet library panics on some damaged files; here that is one more way to be damaged.
        Ok(file) => match std::panic::catch_unwind(AssertUnwindSafe(|| decode(file))) {
            Ok(decoded) => decoded.map_err(RunError::damaged(path)),
            Err(_) => Err(RunError::damaged(path)("its tables contradict each other")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(RunError::io("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Ending, Listed, Role, RunEvent, Stop, Task, Turn, View};
    use crate::run::{Recorder, Source};
    use proptest::prelude::*;

    fn setup() -> (tempfile::TempDir, RunFolder, Recorder) {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        let recorder = Recorder::create(&folder).unwrap();
        (root, folder, recorder)
    }

    fn episode(step: u64, member: u32, turns: usize) -> Episode {
        let turn = |n: usize| Turn {
            observation: format!("room {n}\n\u{1b}[2J\0 \"quoted\" \\ 箱👩‍👩‍👧"),
            reply: format!("<action>go {n}</action>"),
            action: format!("go {n}"),
            valid: n.is_multiple_of(2),
            reward: 0.1 * n as f32,
            tokens: n as u32,
            stop: Stop::Closed,
        };
        Episode {
            id: EpisodeId { step, group: 0, member },
            task: Task { id: "household/train/1".into(), kind: "pick".into(), goal: "put a mug 箱".into() },
            turns: (0..turns).map(turn).collect(),
            last_observation: String::new(),
            ending: Ending::Playing,
            reward: 0.3,
            score: 0.5,
            advantage: None,
            prompt: "<|im_start|>system\n\u{7f}".into(),
            teacher_prompt: String::new(),
            skills: vec!["find-then-place".into()],
        }
    }

    fn token(numbers: [Option<f32>; 9], position: u32) -> TokenRecord {
        let [sampled, old, student, teacher, reference, entropy, gate, advantage, coefficient] = numbers;
        TokenRecord {
            group: u32::MAX,
            member: 0,
            position,
            turn: 2,
            id: 151_645,
            mask: position.is_multiple_of(2),
            action: position.is_multiple_of(3),
            view: [View::Plain, View::Skilled, View::Teacher][position as usize % 3],
            role: [None, Some(Role::NoProgress), Some(Role::Decisive)][position as usize % 3],
            chosen: position.is_multiple_of(5),
            sampled,
            old,
            student,
            teacher,
            teacher_entropy: entropy,
            reference,
            entropy,
            gate,
            advantage,
            coefficient,
            top: vec![Listed { id: position, student: -0.5, teacher: f32::NEG_INFINITY }; position as usize % 3],
        }
    }

    #[test]
    fn live_step_grows_by_turns_and_is_replaced_by_the_closed_one() {
        let (_root, folder, mut recorder) = setup();
        let store = Store::new(&folder);
        assert!(store.episodes(3).unwrap().is_empty());
        let mut done = episode(3, 0, 5);
        for turns in 0..=5 {
            recorder.turn(&episode(3, 0, turns)).unwrap();
            recorder.turn(&episode(3, 1, turns)).unwrap();
            assert_eq!(store.episodes(3).unwrap(), [episode(3, 0, turns), episode(3, 1, turns)]);
        }
        done.ending = Ending::Won;
        done.turns[4].reward = 1.0;
        recorder.turn(&done).unwrap();
        assert_eq!(store.episodes(3).unwrap()[0], done, "the last turn told may still change");
        // A torn last line is the end for now.
        let live = folder.live_rollouts(3);
        fs::write(&live, [fs::read(&live).unwrap(), b"{\"from\":0,".to_vec()].concat()).unwrap();
        assert_eq!(store.episodes(3).unwrap()[0], done);
        assert!(store.is_live(3));
        let heard = store.heard(3).unwrap();
        assert!(heard.len() == 2 && heard.iter().all(|(id, at_ms)| id.step == 3 && *at_ms > 0), "{heard:?}");
        done.advantage = Some(-0.87);
        recorder.close_step(3, &[done.clone(), episode(3, 1, 5)], &[]).unwrap();
        assert_eq!(store.episodes(3).unwrap(), [done, episode(3, 1, 5)]);
        assert!(!live.exists() && !store.is_live(3) && store.heard(3).unwrap().is_empty());
        recorder.close_eval(0, &[episode(0, 0, 1)]).unwrap();
        recorder.turn(&episode(4, 0, 0)).unwrap();
        assert_eq!(store.steps(), [3, 4]);
        assert_eq!((store.eval_steps(), store.token_steps()), (vec![0], vec![3]));
        assert_eq!(store.eval_episodes(0).unwrap(), [episode(0, 0, 1)]);
        assert!(store.tokens(3).unwrap().is_empty());
    }

    #[test]
    fn non_finite_numbers_are_absent_and_reported_once() {
        let (_root, folder, mut recorder) = setup();
        let mut bad = episode(1, 0, 2);
        bad.reward = f32::NAN;
        bad.turns[1].reward = f32::INFINITY;
        bad.advantage = Some(f32::NAN);
        recorder.turn(&bad).unwrap();
        assert_eq!(Store::new(&folder).episodes(1).unwrap().len(), 1);
        let token = token([Some(f32::NAN), Some(-1.0), None, None, None, None, None, None, Some(f32::INFINITY)], 0);
        recorder.close_step(1, &[bad], &[token]).unwrap();
        let read = &Store::new(&folder).episodes(1).unwrap()[0];
        assert_eq!((read.reward, read.turns[1].reward, read.advantage), (0.0, 0.0, None));
        let read = &Store::new(&folder).tokens(1).unwrap()[0];
        assert_eq!((read.sampled, read.old, read.coefficient), (None, Some(-1.0), None));
        let records = Source::open(&folder).unwrap().all().unwrap();
        let [record] = records.as_slice() else { panic!("one warning: {records:?}") };
        let RunEvent::Warned { step: 1, message } = &record.event else { panic!("{record:?}") };
        assert!(message.starts_with("5 numbers"), "{message}");
    }

    #[test]
    fn failed_close_keeps_what_was_there() {
        let (_root, folder, mut recorder) = setup();
        recorder.close_step(1, &[episode(1, 0, 1)], &[]).unwrap();
        recorder.turn(&episode(2, 0, 1)).unwrap();
        // The folder of the tokens is gone and a file lies in its place.
        let tokens = folder.path().join("tokens");
        fs::remove_dir_all(&tokens).unwrap();
        fs::write(&tokens, "").unwrap();
        let error = recorder.close_step(2, &[episode(2, 0, 2)], &[]).unwrap_err().to_string();
        assert!(error.contains("tokens/step_000002.parquet") && error.contains("run folder"), "{error}");
        assert_eq!(Store::new(&folder).episodes(2).unwrap(), [episode(2, 0, 1)], "the live step is still there");
        fs::remove_file(&tokens).unwrap();
        fs::create_dir(&tokens).unwrap();
        recorder.close_step(2, &[episode(2, 0, 2)], &[]).unwrap();
        assert_eq!(Store::new(&folder).episodes(2).unwrap(), [episode(2, 0, 2)]);
    }

    #[test]
    fn damaged_files_are_named() {
        let (_root, folder, mut recorder) = setup();
        let tokens: Vec<_> = (0..50).map(|n| token([Some(-0.5); 9], n)).collect();
        recorder.close_step(1, &[episode(1, 0, 1)], &tokens).unwrap();
        let whole = fs::read(folder.tokens(1)).unwrap();
        for len in [0, 3, 11, whole.len() / 2, whole.len() - 1] {
            fs::write(folder.tokens(1), &whole[..len]).unwrap();
            let error = Store::new(&folder).tokens(1).unwrap_err().to_string();
            assert!(error.contains("tokens/step_000001.parquet` is damaged"), "{error}");
        }
        fs::write(folder.tokens(1), fs::read(folder.rollouts(1)).unwrap()).unwrap();
        assert!(Store::new(&folder).tokens(1).is_err(), "another table");
    }

    fn finite() -> impl Strategy<Value = f32> {
        any::<f32>().prop_filter("finite", |x| x.is_finite())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

        #[test]
        fn tokens_are_read_as_written(
            rows in prop::collection::vec(prop::array::uniform9(prop::option::of(finite())), 0..40),
        ) {
            let (_root, folder, mut recorder) = setup();
            let tokens: Vec<_> = rows.into_iter().zip(0..).map(|(row, at)| token(row, at)).collect();
            recorder.close_step(9, &[], &tokens).unwrap();
            prop_assert_eq!(Store::new(&folder).tokens(9).unwrap(), tokens);
            prop_assert!(Store::new(&folder).episodes(9).unwrap().is_empty());
        }

        #[test]
        fn episodes_are_read_as_written(
            text in ".*", reward in finite(), score in finite(), advantage in prop::option::of(finite()),
            turn_reward in finite(), step in any::<u64>(),
        ) {
            let (_root, folder, mut recorder) = setup();
            let mut played = episode(step, u32::MAX, 2);
            played.turns[0].reply = text.clone();
            played.turns[1].reward = turn_reward;
            (played.reward, played.score, played.advantage) = (reward, score, advantage);
            (played.prompt, played.teacher_prompt, played.last_observation) = (text.clone(), text.clone(), text);
            recorder.episode(&played).unwrap();
            prop_assert_eq!(&Store::new(&folder).episodes(step).unwrap()[0], &played);
            recorder.close_step(step, std::slice::from_ref(&played), &[]).unwrap();
            prop_assert_eq!(&Store::new(&folder).episodes(step).unwrap()[0], &played);
        }

        #[test]
        fn flipped_bytes_never_panic(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let (_root, folder, mut recorder) = setup();
            let tokens: Vec<_> = (0..50).map(|n| token([Some(-0.5); 9], n)).collect();
            recorder.close_step(1, &[episode(1, 0, 1)], &tokens).unwrap();
            let mut bytes = fs::read(folder.tokens(1)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            fs::write(folder.tokens(1), &bytes).unwrap();
            // Either an error or some rows; a changed value may well be readable.
            if let Err(error) = Store::new(&folder).tokens(1) {
                prop_assert!(error.to_string().contains("step_000001.parquet"));
            }
        }
    }
}
