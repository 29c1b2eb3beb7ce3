//! Environments: multi-turn text tasks behind two traits.
//!
//! A [`World`] is a kind of environment with its settings: a numbered, seeded supply of tasks. An [`Env`] is one
//! game of it. How a game is put into a prompt ([`prompt`]) and how a reply becomes an action ([`projection`]) is
//! kept apart from the games, so that one game can be shown in the style of any paper.
//!
//! A new kind of environment is one folder here, one row in [`KINDS`], one settings struct in `config/recipe/env.rs`, and
//! one `envs/NAME.toml` with its styles of prompts.

pub mod analysis;
pub mod apps;
pub mod bench;
pub mod bm25;
pub mod bridge;
pub mod data;
pub mod edit;
pub mod household;
mod kinds;
pub mod porter;
pub mod projection;
pub mod prompt;
pub mod pyjson;
pub mod pyrandom;
pub mod records;
pub mod scene;
pub mod search;
pub mod series;
pub mod serve;
pub mod shop;
pub mod sokoban;

use anyhow::{Context, Result, bail, ensure};

pub use self::kinds::{EnvFile, KINDS, Kind, file, kind, open_world, path};
use self::prompt::Prompts;
use crate::core::{Split, Task};

/// A kind of environment: where tasks come from. Every task is a pure function of its split and number.
pub trait World: Send + Sync {
    /// Name of the kind, the first part of every task id.
    fn kind(&self) -> &str;

    /// Number of tasks of a split; `u64::MAX` where they are generated without end.
    fn size(&self, split: Split) -> u64;

    /// The `index`-th task of a split. Fails if `index` is not below [`World::size`].
    fn task(&self, split: Split, index: u64) -> Result<Task>;

    /// The task an id names. Fails if the id is not one of this world.
    fn task_by_id(&self, id: &str) -> Result<Task> {
        let (split, index) = parse_id(self.kind(), id)?;
        self.task(split, index)
    }

    /// Starts a game of `task`. Fails if the task is not one of this world.
    fn open(&self, task: &Task) -> Result<Box<dyn Env>>;

    /// What the settings say of an episode.
    fn terms(&self) -> Terms<'_>;

    /// Most turns an episode may take; the trainer enforces it.
    fn max_turns(&self) -> usize {
        self.terms().max_turns
    }

    /// Taken from the reward of a turn whose reply did not have the required form; >= 0.
    fn invalid_penalty(&self) -> f32 {
        self.terms().invalid_penalty
    }

    /// Name of the prompt style that is used, a table `[prompt.<style>]` of the kind's file.
    fn style(&self) -> &str {
        self.terms().style
    }

    /// Fails if a split has no such task.
    fn check(&self, split: Split, index: u64) -> Result<()> {
        ensure!(index < self.size(split), "`{}` does not exist", task_id(self.kind(), split, index));
        Ok(())
    }

    /// Whether opening and stepping a game means waiting for someone else. Such games are played from threads of their
    /// own, so that nobody else waits.
    fn is_remote(&self) -> bool {
        false
    }

    /// From now on, games that would wait until somebody has room for them fail instead (or, with `false`, wait again).
    fn stop_waiting(&self, _stop: bool) {}

    /// The prompts in that style. Fails if the kind's file cannot be read or has no such style.
    fn prompts(&self) -> Result<Prompts> {
        let file = file(self.kind())?;
        Prompts::load(&file.text, self.style()).with_context(|| file.place.clone())
    }
}

/// What the settings of every kind say of an episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms<'a> {
    /// Most turns, at least 1.
    pub max_turns: usize,
    /// Taken from the reward of a turn whose reply has not the required form, at least 0.
    pub invalid_penalty: f32,
    /// Name of the prompt style.
    pub style: &'a str,
}

impl Terms<'_> {
    /// Fails if no episode can be played by them.
    pub fn check(&self) -> Result<()> {
        ensure!(self.max_turns >= 1, "`max_turns` is 0; an action takes a turn");
        ensure!(self.invalid_penalty >= 0.0, "`invalid_penalty` is {}; use 0 or more", self.invalid_penalty);
        Ok(())
    }
}

/// One game in progress.
pub trait Env: Send {
    /// What the environment said last; after [`World::open`] the opening text.
    fn observation(&self) -> &str;

    /// Does one action. Any text is accepted: an impossible action is answered, not refused.
    fn step(&mut self, action: &str) -> Step;

    /// Everything that can be done now, sorted.
    fn admissible(&self) -> Vec<String>;

    /// Actions that win from here, found with full knowledge of the game; empty if won or if there are none.
    fn expert(&self) -> Vec<String>;

    /// An independent copy of the game as it is now.
    fn snapshot(&self) -> Box<dyn Env>;

    /// Key of the state for step-level groups (GiGPO): the observation without history, as its authors use.
    fn anchor(&self) -> String {
        self.observation().to_owned()
    }

    /// Names of the tools that can be withheld from here on ([`Env::withhold`]); none in a game without tools.
    fn tools(&self) -> Vec<String> {
        vec![]
    }

    /// Withholds tools, at least one stays. How the game is scored does not change, so that executions with different
    /// tools can be compared.
    fn withhold(&mut self, _tools: &[String]) {}

    /// The task in words, where only the game knows it; it then takes the place of the [`Task`]'s.
    fn goal(&self) -> Option<&str> {
        None
    }

    /// The episode is over for whoever plays it, by a limit of theirs perhaps: what is kept elsewhere for the game is given
    /// back. It is not stepped any more.
    fn leave(&mut self) {}

    /// Why the environment itself failed, e.g. a server that is down; such an episode is recorded as an environment
    /// error, never as a lost one. `None` while all is well.
    fn failure(&self) -> Option<&str> {
        None
    }
}

/// What one action did.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What the agent reads next.
    pub observation: String,
    /// Reward of this action, without penalties.
    pub reward: f32,
    /// Whether the game is over.
    pub done: bool,
    /// Whether the goal is reached.
    pub won: bool,
    /// Part of the goal's conditions that hold, in [0, 1]; 1 = solved.
    pub score: f32,
    /// Whether the action changed the state of the game.
    pub effective: bool,
    /// Whether the text was an action that could be done.
    pub valid: bool,
}

/// Writes the id of a task: `household/valid-seen/17`.
pub fn task_id(kind: &str, split: Split, index: u64) -> String {
    format!("{kind}/{}/{index}", split_name(split))
}

/// Reads an id written by [`task_id`]. Fails if it is of another kind or has another form.
pub fn parse_id(kind: &str, id: &str) -> Result<(Split, u64)> {
    let mut parts = id.split('/');
    let found = (parts.next(), parts.next(), parts.next().map(str::parse::<u64>), parts.next());
    if let (Some(name), Some(split), Some(Ok(index)), None) = found
        && name == kind
        && let Some(split) = SPLITS.into_iter().find(|s| split_name(*s) == split)
    {
        return Ok((split, index));
    }
    bail!("`{id}` is not a task of `{kind}`; write it like `{kind}/valid-seen/17`")
}

/// The name of a split inside task ids, the same as in records.
pub fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::ValidSeen => "valid-seen",
        Split::ValidUnseen => "valid-unseen",
    }
}

/// Every split.
pub const SPLITS: [Split; 3] = [Split::Train, Split::ValidSeen, Split::ValidUnseen];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_there_and_back() {
        for split in SPLITS {
            let id = task_id("household", split, 17);
            assert_eq!(parse_id("household", &id).unwrap(), (split, 17));
        }
        for bad in
            ["household/train", "sokoban/train/1", "household/train/x", "household/test/1", "household/train/1/2"]
        {
            assert!(parse_id("household", bad).is_err(), "{bad}");
        }
    }
}
