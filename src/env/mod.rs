//! Environments: multi-turn text tasks behind two traits.
//!
//! A [`World`] is a kind of environment with its settings: a numbered, seeded supply of tasks. An [`Env`] is one
//! game of it. How a game is put into a prompt ([`prompt`]) and how a reply becomes an action ([`projection`]) is
//! kept apart from the games, so that one game can be shown in the style of any paper.

pub mod household;
pub mod projection;
pub mod prompt;

use anyhow::{Context, Result, bail};

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

    /// Most turns an episode may take; the trainer enforces it.
    fn max_turns(&self) -> usize;

    /// Taken from the reward of a turn whose reply did not have the required form; >= 0.
    fn invalid_penalty(&self) -> f32;

    /// TOML text with the world's `[prompt]` table.
    fn prompts(&self) -> &str;
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
}

/// One row of the table of kinds.
pub struct Kind {
    /// Name in `[env.<name>]`.
    pub name: &'static str,
    /// One sentence for lists.
    pub about: &'static str,
    /// Builds the world from its settings table.
    pub open: fn(&toml::Table) -> Result<Box<dyn World>>,
}

/// Every kind of environment there is.
pub const KINDS: &[Kind] = &[Kind {
    name: household::KIND,
    about: "find, clean, heat, cool and place things in rooms; the interface and rules of ALFWorld",
    open: |settings| Ok(Box::new(household::HouseholdWorld::from_table(settings)?)),
}];

/// Builds the world of a kind. Fails on an unknown kind or a setting it does not have.
pub fn open_world(kind: &str, settings: &toml::Table) -> Result<Box<dyn World>> {
    let Some(row) = KINDS.iter().find(|row| row.name == kind) else {
        let names: Vec<_> = KINDS.iter().map(|row| format!("`{}`", row.name)).collect();
        bail!("no environment is called `{kind}`; there is {}", names.join(", "));
    };
    (row.open)(settings).with_context(|| format!("in the settings of environment `{kind}`"))
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

const SPLITS: [Split; 3] = [Split::Train, Split::ValidSeen, Split::ValidUnseen];

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

    #[test]
    fn unknown_kinds_and_settings_are_named() {
        let error = open_world("kitchen", &toml::Table::new()).err().unwrap().to_string();
        assert_eq!(error, "no environment is called `kitchen`; there is `household`");
        let error = open_world("household", &"room = 'small'".parse().unwrap()).err().unwrap();
        assert!(format!("{error:#}").contains("unknown field `room`"), "{error:#}");
    }
}
