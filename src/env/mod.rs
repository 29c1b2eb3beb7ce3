//! Environments: multi-turn text tasks behind two traits.
//!
//! A [`World`] is a kind of environment with its settings: a numbered, seeded supply of tasks. An [`Env`] is one
//! game of it. How a game is put into a prompt ([`prompt`]) and how a reply becomes an action ([`projection`]) is
//! kept apart from the games, so that one game can be shown in the style of any paper.
//!
//! A new kind of environment is one folder here, one row in [`KINDS`], one settings struct in `config/recipe.rs`, and
//! one `envs/NAME.toml` with its styles of prompts.

pub mod analysis;
pub mod apps;
pub mod bench;
pub mod bm25;
pub mod bridge;
pub mod data;
pub mod edit;
pub mod household;
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

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

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

    /// Most turns an episode may take; the trainer enforces it.
    fn max_turns(&self) -> usize;

    /// Taken from the reward of a turn whose reply did not have the required form; >= 0.
    fn invalid_penalty(&self) -> f32;

    /// Name of the prompt style that is used, a table `[prompt.<style>]` of the kind's file.
    fn style(&self) -> &str;

    /// Whether opening and stepping a game means waiting for someone else. Such games are played from threads of their
    /// own, so that nobody else waits.
    fn is_remote(&self) -> bool {
        false
    }

    /// The prompts in that style. Fails if the kind's file cannot be read or has no such style.
    fn prompts(&self) -> Result<Prompts> {
        let file = file(self.kind())?;
        Prompts::load(&file.text, self.style()).with_context(|| file.place.clone())
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

/// One row of the table of kinds.
pub struct Kind {
    /// Name in `[env.<name>]`.
    pub name: &'static str,
    /// One sentence for lists.
    pub about: &'static str,
    /// The built-in text of `envs/<name>.toml`.
    pub text: &'static str,
    /// The setting that names a file of games, if games can be read from one.
    pub data: Option<&'static str>,
    /// Whether its games know how they are won ([`Env::expert`]).
    pub expert: bool,
    /// Builds the world from its settings table.
    pub open: fn(&toml::Table) -> Result<Box<dyn World>>,
}

/// Every kind of environment there is.
pub const KINDS: &[Kind] = &[
    Kind {
        name: household::KIND,
        about: "find, clean, heat, cool and place things in rooms; the interface and rules of ALFWorld",
        text: household::priors::TEXT,
        data: Some("games"),
        expert: true,
        open: |settings| Ok(Box::new(household::HouseholdWorld::from_table(settings)?)),
    },
    Kind {
        name: shop::KIND,
        about: "find what an instruction asks for in an online shop and buy it; the pages and rewards of WebShop",
        text: shop::TEXT,
        data: Some("products"),
        expert: true,
        open: |settings| Ok(Box::new(shop::ShopWorld::from_table(settings)?)),
    },
    Kind {
        name: sokoban::KIND,
        about: "push boxes onto targets; the levels, interface and rewards of verl-agent's Sokoban, or RAGEN's interface",
        text: sokoban::TEXT,
        data: Some("levels"),
        expert: true,
        open: |settings| Ok(Box::new(sokoban::SokobanWorld::from_table(settings)?)),
    },
    Kind {
        name: search::KIND,
        about: "answer a question by looking things up, perhaps several times; the interface of Search-R1",
        text: search::TEXT,
        data: Some("questions"),
        expert: true,
        open: |settings| Ok(Box::new(search::SearchWorld::from_table(settings)?)),
    },
    Kind {
        name: apps::KIND,
        about: "do what someone asks for in the apps of their everyday life, by writing code; of AppWorld's kind",
        text: apps::TEXT,
        data: None,
        expert: true,
        open: |settings| Ok(Box::new(apps::AppsWorld::from_table(settings)?)),
    },
    Kind {
        name: series::KIND,
        about: "forecast numbers with tools, measured by error; of TimeClaw's kind",
        text: series::TEXT,
        data: Some("data"),
        expert: true,
        open: |settings| Ok(Box::new(series::SeriesWorld::from_table(settings)?)),
    },
    Kind {
        name: scene::KIND,
        about: "write a program that draws a picture as asked for, judged by conditions; of GenEvolve's kind",
        text: scene::TEXT,
        data: None,
        expert: true,
        open: |settings| Ok(Box::new(scene::SceneWorld::from_table(settings)?)),
    },
    Kind {
        name: bridge::KIND,
        about: "an environment that runs elsewhere: an OpenEnv server, or a program that speaks JSON lines",
        text: bridge::TEXT,
        data: Some("replay"),
        expert: false,
        open: |settings| Ok(Box::new(bridge::BridgeWorld::from_table(settings)?)),
    },
];

/// The row of a kind. Fails on an unknown name.
pub fn kind(name: &str) -> Result<&'static Kind> {
    KINDS.iter().find(|row| row.name == name).with_context(|| {
        let names: Vec<_> = KINDS.iter().map(|row| format!("`{}`", row.name)).collect();
        format!("no environment is called `{name}`; there is {}", names.join(", "))
    })
}

/// Builds the world of a kind. Fails on an unknown kind or a setting it does not have.
pub fn open_world(name: &str, settings: &toml::Table) -> Result<Box<dyn World>> {
    (kind(name)?.open)(settings).with_context(|| format!("in the settings of environment `{name}`"))
}

/// The file of a kind: its prompts, and whatever else the kind keeps there.
pub struct EnvFile {
    /// TOML.
    pub text: Cow<'static, str>,
    /// Where the text is from, for messages.
    pub place: String,
    /// The file, if it is not the built-in text.
    pub path: Option<PathBuf>,
}

/// The file of a kind: `envs/<name>.toml` of the working folder, so that it can be edited, else the built-in text.
/// Fails on an unknown kind or an unreadable file.
pub fn file(name: &str) -> Result<EnvFile> {
    file_in(Path::new("envs"), name)
}

/// Where the file of a kind lies, if there is one.
pub fn path(name: &str) -> PathBuf {
    Path::new("envs").join(name).with_extension("toml")
}

fn file_in(folder: &Path, name: &str) -> Result<EnvFile> {
    let built_in = kind(name)?.text;
    let path = folder.join(name).with_extension("toml");
    let place = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(EnvFile { text: text.into(), place, path: Some(path) }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(EnvFile { text: built_in.into(), place: format!("{place} (built in)"), path: None })
        }
        Err(error) => bail!("{place} cannot be read: {error}"),
    }
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
    fn a_file_of_the_working_folder_wins() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(file_in(folder.path(), "household").unwrap().text, household::priors::TEXT);
        std::fs::write(folder.path().join("household.toml"), "x = 1").unwrap();
        let found = file_in(folder.path(), "household").unwrap();
        assert_eq!((&*found.text, found.path.is_some()), ("x = 1", true));
        std::fs::write(folder.path().join("household.toml"), [0xff]).unwrap();
        assert!(file_in(folder.path(), "household").is_err());
    }

    #[test]
    fn every_kind_opens_with_its_defaults_and_all_its_styles_are_readable() {
        for kind in KINDS {
            let world = open_world(kind.name, &toml::Table::new()).unwrap();
            assert_eq!(world.kind(), kind.name);
            let styles = prompt::styles(kind.text).unwrap();
            assert!(styles.iter().any(|s| s == world.style()), "{}", kind.name);
            for style in styles {
                Prompts::load(kind.text, &style).unwrap_or_else(|e| panic!("{}: {e:#}", kind.name));
            }
        }
    }

    #[test]
    fn unknown_kinds_and_settings_are_named() {
        let error = open_world("kitchen", &toml::Table::new()).err().unwrap().to_string();
        assert!(error.starts_with("no environment is called `kitchen`; there is `household`, "), "{error}");
        let error = open_world("household", &"room = 'small'".parse().unwrap()).err().unwrap();
        assert!(format!("{error:#}").contains("unknown field `room`"), "{error:#}");
    }
}
