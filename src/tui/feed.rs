//! What the screen needs of a run, wherever it lives: a run folder being written, a finished one, a fixture.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::options::Mode;
use crate::compare::RunRow;

use super::find::Find;
use crate::core::episode::{Episode, TokenRecord};
use crate::core::event::Command;
use crate::core::{EpisodeId, Record};
use crate::run::index::StepRows;
use crate::run::search::Found;
use crate::run::view::RunView;

/// Whether someone still trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Liveness {
    /// The trainer's heartbeat is fresh.
    Alive,
    /// The run ended in order, or is only being read.
    #[default]
    Ended,
    /// The trainer vanished without a last record.
    Dead,
}

/// The screen's only window on a run. All calls return at once with what is there now.
pub trait Feed {
    /// Records that appeared since the last call, in order. The first call gives all there are.
    fn poll(&mut self) -> Result<Vec<Record>>;

    /// Episodes of one step, also of the step being played; empty if none were kept.
    fn episodes(&mut self, step: u64) -> Result<Vec<Episode>>;

    /// Token records of one finished step; empty if none were kept.
    fn tokens(&mut self, step: u64) -> Result<Vec<TokenRecord>>;

    /// Raw bytes of each token. A token may hold a part of a character only.
    fn token_text(&self, ids: &[u32]) -> Vec<Vec<u8>>;

    /// Rows of closed steps found since the last call. The first call begins to look for them, in the background.
    fn rows(&mut self) -> Vec<StepRows> {
        vec![]
    }

    /// When the episodes of the step being played last moved on, in milliseconds since the Unix epoch.
    fn heard(&mut self, _step: u64) -> Vec<(EpisodeId, u64)> {
        vec![]
    }

    /// Begins to look for something in every text of the run, in place of what was looked for before.
    fn search(&mut self, _find: &Find) {}

    /// What that search found since the last call.
    fn found(&mut self) -> Vec<Found> {
        vec![]
    }

    /// Asks the trainer for something. Fails if nobody listens.
    fn send(&mut self, command: Command) -> Result<()>;

    /// Whether the trainer lives.
    fn alive(&self) -> Liveness;

    /// The folder of the run, if it has one.
    fn folder(&self) -> Option<PathBuf> {
        None
    }

    /// Rows of the runs beside this one that are new or changed since the last call.
    fn runs(&mut self) -> Vec<RunRow> {
        vec![]
    }

    /// Another run as a whole, by its name.
    fn run(&mut self, name: &str) -> Result<RunView> {
        bail!("the run `{name}` cannot be read from here")
    }

    /// Becomes the feed of another run. Answers whether that one is live.
    fn switch(&mut self, name: &str) -> Result<Mode> {
        bail!("the run `{name}` cannot be opened from here")
    }

    /// The configuration of the run, as its file says.
    fn config(&mut self) -> Result<String> {
        Ok(String::new())
    }

    /// The panel of evaluations played last at or before a step: after which step, and its episodes.
    fn panel(&mut self, _step: u64) -> Result<Option<(u64, Vec<Episode>)>> {
        Ok(None)
    }

    /// What a new run can be made of, by name: the configuration of a run if one is named, and the recipes there are.
    fn recipes(&mut self, _run: Option<&str>) -> Vec<(String, PathBuf)> {
        vec![]
    }

    /// Makes a run of a recipe with changes (`key=value`), starts its trainer and answers with its name.
    fn start(&mut self, _recipe: &Path, _changes: &[String]) -> Result<String> {
        bail!("no run can be started from here")
    }

    /// The file that holds a skill of the run's bank.
    fn skill_file(&mut self, id: &str) -> Result<PathBuf> {
        bail!("the file of the skill `{id}` is not known here")
    }

    /// Says in its file that a skill is retrieved no more, or is again, and returns the file.
    fn switch_skill(&mut self, id: &str, _disable: bool) -> Result<PathBuf> {
        bail!("the file of the skill `{id}` is not known here")
    }
}
