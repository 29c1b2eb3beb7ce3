//! Episodes and tokens of a run by step, wherever they lie now.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use parquet::errors::ParquetError;

use super::error::{Result, RunError};
use super::folder::{RunFolder, numbered};
use super::live::read_live;
use super::parquet_rows::{decode_episodes, decode_tokens};
use crate::core::{Episode, TokenRecord};

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
                Err(RunError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                episodes => return episodes,
            }
        }
        read(&self.folder.rollouts(step), decode_episodes)
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

fn read<T>(path: &Path, decode: fn(File) -> std::result::Result<Vec<T>, ParquetError>) -> Result<Vec<T>> {
    match File::open(path) {
        Ok(file) => decode(file).map_err(RunError::damaged(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(RunError::io("read", path)(error)),
    }
}
