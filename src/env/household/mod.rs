//! Household: find things in rooms, clean, heat or cool them, put them somewhere, look at them in light.
//!
//! The interface, the texts and the rules are ALFWorld's (Shridhar et al., 2021), re-implemented without a planner
//! engine and checked against recordings of the original. The rooms and the tasks are our own: a seeded generator
//! ([`scene`]) over the priors in `envs/household.toml`, so there are endless tasks and every one has an id. Real
//! ALFWorld games load too ([`games`]): its own game files, or the compact form ([`spec::Spec`]).

pub mod advice;
pub mod conduct;
pub mod dynamics;
pub mod expert;
pub mod game;
pub mod games;
pub mod goal;
pub mod pddl;
pub mod player;
pub mod priors;
pub mod scene;
pub mod spec;
pub mod texts;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use self::dynamics::Action;
use self::game::{Game, Obj, State};
use self::games::Games;
use self::priors::Priors;
use self::scene::Scenes;
use self::spec::Spec;
use super::{Env, Step, Terms, World, data, parse_id, task_id};
use crate::core::{Split, Task};

/// Name of this kind of environment.
pub const KIND: &str = "household";

/// Settings of the household, `[env.household]`. A task id names the same task only under the same settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Settings {
    /// Real ALFWorld games to play: a folder in the layout of `$ALFWORLD_DATA`, a `game.tw-pddl`, or a file of games;
    /// see [`games`]. Empty = games of our own.
    pub games: String,
    /// Size of the rooms. `small`: 6 to 9 receptacles and 7 to 11 objects; `full`: about ALFWorld's counts.
    pub rooms: Rooms,
    /// Most turns of an episode; at least 16 for games of our own, of which only those are dealt whose shortest plan
    /// fits in half of it. The published settings use 50.
    pub max_turns: usize,
    /// Taken from the reward of a turn whose reply has not the required form; 0 = no penalty.
    pub invalid_penalty: f32,
    /// Reward of winning; every other reward is 0.
    pub win_reward: f32,
    /// Style of prompts and replies: a table `[prompt.<style>]` of `envs/household.toml`.
    pub style: String,
}

/// How large the rooms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rooms {
    Small,
    Full,
}

impl Default for Settings {
    fn default() -> Self {
        let style = "verl-agent".to_owned();
        Settings {
            games: String::new(),
            rooms: Rooms::Small,
            max_turns: 20,
            invalid_penalty: 0.1,
            win_reward: 10.0,
            style,
        }
    }
}

/// The household as a supply of tasks.
pub struct HouseholdWorld {
    settings: Settings,
    supply: Supply,
}

/// Where games come from.
enum Supply {
    Made(Scenes),
    Read(Games),
}

impl HouseholdWorld {
    /// Builds the world. Fails if a setting is out of range.
    pub fn new(settings: Settings) -> Result<HouseholdWorld> {
        let (turns, made) = (settings.max_turns, settings.games.is_empty());
        ensure!(
            turns >= LEAST_TURNS || !made,
            "`max_turns` is {turns}; made games can be won in half of it, and the longest task takes 8: use at least {LEAST_TURNS}"
        );
        let Settings { invalid_penalty, .. } = settings;
        Terms { max_turns: turns, invalid_penalty, style: &settings.style }.check()?;
        let supply = match settings.games.as_str() {
            "" => Supply::Made(Scenes::new(Priors::current()?, settings.rooms)),
            path => Supply::Read(Games::load(&data::expand(path).context("`games`")?)?),
        };
        Ok(HouseholdWorld { settings, supply })
    }

    /// Builds the world from its settings table. Fails on an unknown or ill-typed setting.
    pub fn from_table(settings: &toml::Table) -> Result<HouseholdWorld> {
        HouseholdWorld::new(settings.clone().try_into()?)
    }

    /// The game of a task as data.
    pub fn spec(&self, split: Split, index: u64) -> Result<Spec> {
        self.check(split, index)?;
        match &self.supply {
            Supply::Made(scenes) => scenes.deal(split, index, self.settings.max_turns / 2),
            Supply::Read(games) => games.spec(split, index),
        }
    }

    /// Starts a game as the concrete type, which [`player::play`] needs.
    pub fn start(&self, task: &Task) -> Result<Household> {
        let (split, index) = parse_id(KIND, &task.id)?;
        Household::new(&self.spec(split, index)?, self.settings.win_reward)
    }
}

impl World for HouseholdWorld {
    fn kind(&self) -> &str {
        KIND
    }

    fn size(&self, split: Split) -> u64 {
        match (&self.supply, split) {
            (Supply::Read(games), _) => games.size(split),
            (Supply::Made(_), Split::Train) => u64::MAX,
            (Supply::Made(_), Split::ValidSeen | Split::ValidUnseen) => VALID_TASKS,
        }
    }

    fn task(&self, split: Split, index: u64) -> Result<Task> {
        let spec = self.spec(split, index)?;
        Ok(Task { id: task_id(KIND, split, index), kind: spec.task_type.name().to_owned(), goal: spec.desc })
    }

    fn open(&self, task: &Task) -> Result<Box<dyn Env>> {
        Ok(Box::new(self.start(task)?))
    }

    fn terms(&self) -> Terms<'_> {
        let Settings { max_turns, invalid_penalty, ref style, .. } = self.settings;
        Terms { max_turns, invalid_penalty, style }
    }
}

/// One game in progress. A copy is cheap: the unchanging part is shared.
#[derive(Clone, Debug)]
pub struct Household {
    game: Arc<Game>,
    state: State,
    observation: String,
    win_reward: f32,
    /// Of the state now.
    score: f32,
    won: bool,
}

impl Household {
    /// Starts a game. Fails if the spec is not consistent.
    pub fn new(spec: &Spec, win_reward: f32) -> Result<Household> {
        let (game, state) = Game::load(spec).context("this is not a household game")?;
        let score = game.goal.score(&game, &state);
        Ok(Household { observation: texts::intro(&game), game, state, win_reward, score, won: score >= 1.0 })
    }

    /// The unchanging part of the game.
    pub fn game(&self) -> &Game {
        &self.game
    }

    /// The state now; [`player`] reads only what its agent has seen.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the agent holds.
    pub fn held(&self) -> Option<Obj> {
        self.state.held
    }

    /// Whether the goal is reached.
    pub fn won(&self) -> bool {
        self.won
    }
}

impl Env for Household {
    fn observation(&self) -> &str {
        &self.observation
    }

    fn step(&mut self, action: &str) -> Step {
        let before = self.won;
        let action = texts::parse(&self.game, action).filter(|&a| self.state.allows(&self.game, a));
        let effective = action.is_some_and(|a| self.state.apply(&self.game, a));
        match action {
            Some(action) => texts::feedback(&self.game, &self.state, action, &mut self.observation),
            None => texts::NOTHING.clone_into(&mut self.observation),
        }
        if action.is_some_and(|a| self.game.goal.depends_on(a)) {
            self.score = self.game.goal.score(&self.game, &self.state);
        }
        let (score, won) = (self.score, self.score >= 1.0);
        self.won |= won;
        let reward = if won && !before { self.win_reward } else { 0.0 };
        let valid = action.is_some();
        Step { observation: self.observation.clone(), reward, done: self.won, won, score, effective, valid }
    }

    fn admissible(&self) -> Vec<String> {
        let here = self.state.possible_here(&self.game);
        let mut commands: Vec<_> = here.into_iter().map(|a| texts::command(&self.game, a)).collect();
        commands.sort_unstable();
        // the many ways to go are in order already, and stand together
        let elsewhere = self.game.by_name.iter().filter(|&&r| !self.state.at(&self.game, r));
        let at = commands.partition_point(|command| command.as_str() < "go to ");
        commands.splice(at..at, elsewhere.map(|&r| texts::command(&self.game, Action::Go(r))));
        commands
    }

    fn expert(&self) -> Vec<String> {
        expert::plan(&self.game, &self.state).into_iter().map(|a| texts::command(&self.game, a)).collect()
    }

    fn snapshot(&self) -> Box<dyn Env> {
        Box::new(self.clone())
    }
}

/// Twice the shortest plan of finding two things and putting them somewhere: go, take, go, put, and again.
pub const LEAST_TURNS: usize = 16;
/// Tasks of each held-out split of our own games.
const VALID_TASKS: u64 = 1024;
