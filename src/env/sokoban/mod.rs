//! Sokoban: push every box onto a target, without pulling.
//!
//! The interface and the rewards are those of verl-agent's Sokoban (which GiGPO and its relatives use), and levels come
//! from an exact copy of its generator ([`exact`]), from a quick one of our own ([`fast`]), or from files
//! ([`levels`], Boxoban's form). RAGEN's interface, several moves in a reply, is the style `ragen`.
//!
//! Facts checked against recordings of the original (`tests/sokoban_parity.rs`):
//!
//! 1. A move costs 0.1; a box put on a target gives 1, one taken off costs 1, the last one gives 10 more.
//! 2. What counts as put on is the change against the step before, and before the first step nothing counts as on.
//! 3. `still`, and what is no move, costs 0.1 too but is not counted as a step.
//!
//! Deviation: a seed for which the generator fails goes on with another one; the original derives that with a hash
//! that differs in every process.

pub mod board;
pub mod exact;
pub mod fast;
mod keys;
pub mod levels;
pub mod solver;

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde::Deserialize;

use self::board::{Board, Level, Move};
use self::levels::Levels;
use super::{Env, Step, Terms, World, parse_id, task_id};
use crate::core::{Split, Task};

/// Name of this kind of environment.
pub const KIND: &str = "sokoban";

/// The built-in text of `envs/sokoban.toml`.
pub const TEXT: &str = include_str!("../../../envs/sokoban.toml");

/// Settings, `[env.sokoban]`. A task id names the same level only under the same settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where levels come from if `levels` is empty.
    pub generator: Generator,
    /// A file of levels in Boxoban's form, or a folder of them; may be packed (`.gz`).
    pub levels: String,
    /// Rows, walls included.
    pub height: usize,
    /// Columns, walls included.
    pub width: usize,
    /// Boxes, 1 to 4.
    pub boxes: usize,
    /// Depth of the exact generator's search.
    pub search_depth: usize,
    /// Most turns of an episode.
    pub max_turns: usize,
    /// Most moves of an episode; a turn of the style `ragen` has several.
    pub max_moves: usize,
    /// Taken from the reward of a turn whose reply has not the required form; 0 = no penalty.
    pub invalid_penalty: f32,
    /// Style of prompts and replies: a table `[prompt.<style>]` of `envs/sokoban.toml`.
    pub style: String,
}

/// How levels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// As verl-agent makes them, from the same seeds.
    Exact,
    /// Our own: without end, and each can be solved in `max_moves`.
    Fast,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            generator: Generator::Exact,
            levels: String::new(),
            height: 6,
            width: 6,
            boxes: 1,
            search_depth: 30,
            max_turns: 15,
            max_moves: 15,
            invalid_penalty: 0.1,
            style: "verl-agent".to_owned(),
        }
    }
}

/// Sokoban as a supply of tasks.
pub struct SokobanWorld {
    settings: Settings,
    levels: Levels,
}

impl SokobanWorld {
    /// Builds the world. Fails if a setting is out of range or names a file that cannot be read.
    pub fn new(settings: Settings) -> Result<SokobanWorld> {
        let Settings { height, width, boxes, max_turns, max_moves, invalid_penalty, .. } = settings;
        ensure!((4..=16).contains(&height), "`height` is {height}; use 4 to 16");
        ensure!((4..=16).contains(&width), "`width` is {width}; use 4 to 16");
        ensure!((1..=exact::MAX).contains(&boxes), "`boxes` is {boxes}; use 1 to {}", exact::MAX);
        ensure!((2..=200).contains(&settings.search_depth), "`search_depth` is not between 2 and 200");
        ensure!(max_moves >= 1, "`max_moves` is 0; a level takes a move");
        Terms { max_turns, invalid_penalty, style: &settings.style }.check()?;
        Ok(SokobanWorld { levels: Levels::new(&settings)?, settings })
    }

    /// Builds the world from its settings table. Fails on an unknown or ill-typed setting.
    pub fn from_table(settings: &toml::Table) -> Result<SokobanWorld> {
        SokobanWorld::new(settings.clone().try_into()?)
    }

    fn level(&self, split: Split, index: u64) -> Result<Level> {
        self.check(split, index)?;
        self.levels.level(split, index)
    }
}

impl World for SokobanWorld {
    fn kind(&self) -> &str {
        KIND
    }

    fn size(&self, split: Split) -> u64 {
        self.levels.size(split)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task> {
        let level = self.level(split, index)?;
        let kind = format!("{}_boxes", level.boxes());
        Ok(Task { id: task_id(KIND, split, index), kind, goal: GOAL.to_owned() })
    }

    fn open(&self, task: &Task) -> Result<Box<dyn Env>> {
        let (split, index) = parse_id(KIND, &task.id)?;
        Ok(Box::new(Sokoban::new(Arc::new(self.level(split, index)?), self.settings.max_moves)))
    }

    fn terms(&self) -> Terms<'_> {
        let Settings { max_turns, invalid_penalty, ref style, .. } = self.settings;
        Terms { max_turns, invalid_penalty, style }
    }
}

/// One level being played.
#[derive(Clone, Debug)]
pub struct Sokoban {
    board: Board,
    boxes: usize,
    max_moves: usize,
    moves: usize,
    /// Boxes that were on targets after the last counted move.
    on: usize,
    won: bool,
    over: bool,
    observation: String,
}

impl Sokoban {
    /// Starts a level, which has passed [`Level::check`].
    pub fn new(level: Arc<Level>, max_moves: usize) -> Sokoban {
        let boxes = level.boxes();
        let board = Board::new(level);
        let mut observation = String::new();
        board.draw(&mut observation);
        Sokoban { board, boxes, max_moves, moves: 0, on: 0, won: false, over: false, observation }
    }

    /// The board as it is.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Does one move; `None` stands still. Returns reward, and whether anything moved.
    fn go(&mut self, step: Option<Move>) -> (f32, bool) {
        let Some(step) = step else { return (STEP_REWARD, false) };
        self.moves += 1;
        let moved = self.board.go(step);
        let on = self.boxes - self.board.open();
        self.won = self.board.open() == 0;
        self.over = self.won || self.moves >= self.max_moves;
        let change = on as f32 - self.on as f32;
        self.on = on;
        (STEP_REWARD + change + if self.won { WIN_REWARD } else { 0.0 }, moved)
    }
}

impl Env for Sokoban {
    fn observation(&self) -> &str {
        &self.observation
    }

    /// `up`, `down`, `left`, `right`, `still` in any case, or several separated by `||`; anything else stands still. Of
    /// endless lists the end is not read.
    fn step(&mut self, action: &str) -> Step {
        let (mut reward, mut effective, mut valid) = (0.0, false, !self.over);
        for word in action.split("||").take(self.max_moves + MOST_IDLE) {
            if self.over {
                break;
            }
            let (step, known) = read(word);
            valid &= known;
            let (gained, moved) = self.go(step);
            reward += gained;
            effective |= moved;
        }
        if effective {
            self.board.draw(&mut self.observation);
        }
        let score = (self.boxes - self.board.open()) as f32 / self.boxes as f32;
        let observation = self.observation.clone();
        Step { observation, reward, done: self.over, won: self.won, score, effective, valid }
    }

    fn admissible(&self) -> Vec<String> {
        if self.over { Vec::new() } else { ["down", "left", "right", "up"].map(str::to_owned).into() }
    }

    /// A shortest solution.
    fn expert(&self) -> Vec<String> {
        if self.over {
            return Vec::new();
        }
        solver::solve(&self.board).into_iter().map(|step| step.name().to_owned()).collect()
    }

    fn snapshot(&self) -> Box<dyn Env> {
        Box::new(self.clone())
    }
}

/// The move a word names, and whether it names one or `still`.
fn read(word: &str) -> (Option<Move>, bool) {
    let word = word.trim();
    let step = Move::ALL.into_iter().find(|step| word.eq_ignore_ascii_case(step.name()));
    (step, step.is_some() || word.eq_ignore_ascii_case("still"))
}

const GOAL: &str = "Push every box onto a target.";
const STEP_REWARD: f32 = -0.1;
/// Words of an action that are no moves, at most, so that no action costs without end.
const MOST_IDLE: usize = 16;
const WIN_REWARD: f32 = 10.0;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
