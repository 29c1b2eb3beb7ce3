//! Rollouts that other tools wrote, as a run that can be read like one of ours.
//!
//! | files | written by | recognised by |
//! |---|---|---|
//! | `completions_*.parquet` | TRL's `log_completions` | the extension |
//! | `<step>.jsonl` | verl's rollout dump | keys `input`, `output` |
//! | `traces.jsonl` | verifiers, prime-rl | key `nodes` |
//! | `results.jsonl` | verifiers before version 1 | keys `prompt`, `completion` |
//!
//! Rules
//! 1. A folder stands for all such files in it, to a depth of [`DEPTH`].
//! 2. Rollouts of one step with the same prompt are a group. The step is a field of the rollout, else a number in the
//!    path (`12.jsonl`, `step_12/`), else 1.
//! 3. The reward is the sum of all rewards a rollout carries. These tools do not say what a success is: here it is a
//!    reward of at least 1.
//! 4. A line that cannot be read is counted and passed over; a file without a single rollout is an error.
//! 5. Texts are data: nothing in them is interpreted.

mod jsonl;
mod messages;
mod trl;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Result, RunError};
use crate::core::{Episode, EpisodeId, TokenRecord};

pub use write::write;

/// What was found in the files.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    /// Tools that wrote the files, e.g. `trl`.
    pub tools: Vec<&'static str>,
    pub episodes: Vec<Episode>,
    /// Tokens by step, where the files carry any.
    pub tokens: BTreeMap<u64, Vec<TokenRecord>>,
    /// Named numbers of each episode, in their order.
    pub numbers: Vec<BTreeMap<String, f64>>,
    /// Lines and rows that could not be read.
    pub skipped: usize,
}

/// One rollout before it has its place in a group.
pub(super) struct Rollout {
    pub step: u64,
    /// What rollouts of one group have in common.
    pub task: String,
    pub episode: Episode,
    pub tokens: Vec<TokenRecord>,
    pub numbers: BTreeMap<String, f64>,
}

/// Reads a file, or all files of a folder.
///
/// # Errors
/// Nothing to read there, an I/O error, or a file that is none of the known kinds.
pub fn read(path: &Path) -> Result<Dump> {
    let mut files = Vec::new();
    find(path, DEPTH, &mut files)?;
    files.sort_by_key(|file| (step_of_path(file), file.clone()));
    let mut dump = Dump::default();
    let mut seats = Seats::default();
    for file in &files {
        let (tool, rollouts, skipped) = match file.extension().is_some_and(|e| e == "parquet") {
            true => trl::read(file)?,
            false => jsonl::read(file)?,
        };
        dump.skipped += skipped;
        if !dump.tools.contains(&tool) {
            dump.tools.push(tool);
        }
        rollouts.into_iter().for_each(|rollout| dump.seat(rollout, &mut seats));
    }
    if dump.episodes.is_empty() {
        return Err(RunError::foreign(path)("no rollout of TRL, verl, verifiers or prime-rl is in it"));
    }
    Ok(dump)
}

/// Groups of a step by task with their members so far, and how many groups each step has.
#[derive(Default)]
struct Seats {
    groups: HashMap<(u64, String), (u32, u32)>,
    per_step: HashMap<u64, u32>,
}

impl Seats {
    /// The next free group and member.
    fn take(&mut self, step: u64, task: String) -> (u32, u32) {
        let groups = self.per_step.entry(step).or_default();
        let (group, members) = self.groups.entry((step, task)).or_insert_with(|| {
            *groups += 1;
            (*groups - 1, 0)
        });
        *members += 1;
        (*group, *members - 1)
    }
}

impl Dump {
    fn seat(&mut self, mut rollout: Rollout, seats: &mut Seats) {
        let (group, member) = seats.take(rollout.step, rollout.task);
        rollout.episode.id = EpisodeId { step: rollout.step, group, member };
        let tokens = rollout.tokens.into_iter().map(|token| TokenRecord { group, member, ..token });
        self.tokens.entry(rollout.step).or_default().extend(tokens);
        self.episodes.push(rollout.episode);
        self.numbers.push(rollout.numbers);
    }
}

fn find(path: &Path, depth: usize, into: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        into.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(RunError::io("read", path))? {
        let inner = entry.map_err(RunError::io("read", path))?.path();
        let known = inner.extension().is_some_and(|e| e == "parquet" || e == "jsonl");
        if inner.is_file() && known {
            into.push(inner);
        } else if inner.is_dir() && depth > 0 {
            find(&inner, depth - 1, into)?;
        }
    }
    Ok(())
}

/// The last number in a path that stands for a step: `12.jsonl`, `step_12/x`, `completions_00012.parquet`.
fn step_of_path(path: &Path) -> Option<u64> {
    let number = |part: &str| {
        let stem = part.split('.').next().unwrap_or(part);
        let digits = stem.rsplit('_').next().unwrap_or(stem);
        let known = stem == digits || ["step_", "completions_", "global_step_"].iter().any(|p| stem.starts_with(p));
        known.then(|| digits.parse().ok()).flatten()
    };
    path.iter().rev().find_map(|part| number(&part.to_string_lossy()))
}

/// Folders looked into below the one that is named.
const DEPTH: usize = 4;
