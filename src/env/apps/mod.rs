//! Apps: do what a person asks for in the apps of their everyday life, by writing code.
//!
//! The interface is of AppWorld's kind: documents, a supervisor, logins and tokens, pages, code cells. Apps, people,
//! data and tasks are our own. A task is solved when `complete_task` was called, everything that should be different
//! is, nothing else is, and the answer is right.
//!
//! `train` and `valid-seen` share kinds of tasks ([`scenario`]) in other worlds; `valid-unseen` has kinds of its own.

pub mod code;
pub mod db;
pub mod office;
pub mod people;
pub mod scenario;

mod daily;
mod general;
mod money;
mod tasks;

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use self::code::{Cells, Limits};
use self::db::Db;
use self::office::Office;
use self::people::{Desk, Words};
use self::scenario::{Draft, SCENARIOS, Scenario};
use super::{Env, Step, Terms, World, file, parse_id, task_id};
use crate::core::rng::stream;
use crate::core::{Split, Task};

/// Name of this kind of environment.
pub const KIND: &str = "apps";

/// The built-in text of `envs/apps.toml`.
pub const TEXT: &str = include_str!("../../../envs/apps.toml");

/// Settings of apps, `[env.apps]`. A task id names the same task only under the same settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// 1 (one app), 2 (looking things up first), 3 (several apps, conditions); 0 = all three.
    pub difficulty: u8,
    /// Seed of the worlds.
    pub seed: u64,
    /// Most turns of an episode, at least 1.
    pub max_turns: usize,
    /// Taken from the reward of a turn whose reply has not the required form; 0 = no penalty.
    pub invalid_penalty: f32,
    /// Reward of a solved task; every other reward is 0.
    pub win_reward: f32,
    /// Style of prompts and replies: a table `[prompt.<style>]` of `envs/apps.toml`.
    pub style: String,
}

impl Default for Settings {
    fn default() -> Self {
        let style = "verl-agent".to_owned();
        Settings { difficulty: 0, seed: 0, max_turns: 16, invalid_penalty: 0.1, win_reward: 10.0, style }
    }
}

/// Apps as a supply of tasks.
pub struct AppsWorld {
    settings: Settings,
    words: Words,
}

impl AppsWorld {
    /// Builds the world. Fails if a setting is out of range or the words cannot be read.
    pub fn new(settings: Settings) -> Result<AppsWorld> {
        let Settings { difficulty, max_turns, invalid_penalty, .. } = settings;
        ensure!(difficulty <= 3, "`difficulty` is {difficulty}; use 1 to 3, or 0 for all");
        Terms { max_turns, invalid_penalty, style: &settings.style }.check()?;
        let file = file(KIND)?;
        let words = Words::load(&file.text).with_context(|| file.place.clone())?;
        Ok(AppsWorld { settings, words })
    }

    /// Builds the world from its settings table. Fails on an unknown or ill-typed setting.
    pub fn from_table(settings: &toml::Table) -> Result<AppsWorld> {
        AppsWorld::new(settings.clone().try_into()?)
    }

    /// The kind and world of a task. Fails if there is no such task.
    fn make(&self, split: Split, index: u64) -> Result<(&'static Scenario, Draft, Office)> {
        let id = task_id(KIND, split, index);
        self.check(split, index)?;
        let difficulty = self.settings.difficulty;
        let fits = |s: &&Scenario| {
            s.held_out == (split == Split::ValidUnseen) && (difficulty == 0 || s.difficulty == difficulty)
        };
        let kinds: Vec<&Scenario> = SCENARIOS.iter().filter(fits).collect();
        for attempt in 0..ATTEMPTS {
            let Some(kind) = kinds.get(index as usize % kinds.len().max(1)) else { break };
            let rng = stream(self.settings.seed, "apps", &[split as u64, index, attempt]);
            let mut desk = Desk::new(&self.words, rng);
            if let Some(draft) = (kind.draft)(&mut desk) {
                return Ok((kind, draft, desk.office));
            }
        }
        bail!("`{id}`: no such task could be made; are the lists in `[words]` of envs/apps.toml too short?")
    }
}

impl World for AppsWorld {
    fn kind(&self) -> &str {
        KIND
    }

    fn size(&self, split: Split) -> u64 {
        if split == Split::Train { u64::MAX } else { VALID_TASKS }
    }

    fn task(&self, split: Split, index: u64) -> Result<Task> {
        let (kind, draft, _) = self.make(split, index)?;
        let name = format!("{}-{}", kind.difficulty, kind.name);
        Ok(Task { id: task_id(KIND, split, index), kind: name, goal: draft.instruction })
    }

    fn open(&self, task: &Task) -> Result<Box<dyn Env>> {
        let (split, index) = parse_id(KIND, &task.id)?;
        let (_, draft, office) = self.make(split, index)?;
        Ok(Box::new(Apps::new(draft, office, self.settings.win_reward)))
    }

    fn terms(&self) -> Terms<'_> {
        let Settings { max_turns, invalid_penalty, ref style, .. } = self.settings;
        Terms { max_turns, invalid_penalty, style }
    }
}

/// A task in progress.
#[derive(Clone)]
pub struct Apps {
    draft: Arc<Draft>,
    start: Arc<Db>,
    office: Office,
    cells: Cells,
    observation: String,
    win_reward: f32,
    /// Cells of the solution done so far, if nothing else has changed the apps.
    solved: Option<usize>,
}

impl Apps {
    /// Starts a task.
    pub fn new(draft: Draft, office: Office, win_reward: f32) -> Apps {
        let [first, last, email, phone] = ["first_name", "last_name", "email", "phone"].map(|field| office.me(field));
        let observation = format!("Your supervisor is {first} {last}, email {email}, phone {phone}.");
        Apps {
            draft: Arc::new(draft),
            start: Arc::new(office.db.clone()),
            office,
            cells: Cells::default(),
            observation,
            win_reward,
            solved: Some(0),
        }
    }

    fn plan(&self) -> Vec<String> {
        let last = format!("apis.supervisor.complete_task(answer={})", self.draft.told);
        self.draft.solution.iter().cloned().chain([last]).collect()
    }

    /// Parts of the goal that are reached, and whether all are and nothing else was changed.
    fn judge(&self) -> (f32, bool) {
        let mut actual = self.start.changes(&self.office.db);
        let wanted = &self.draft.changes;
        let found = wanted.iter().filter(|change| {
            let at = actual.iter().position(|other| other.meets(change));
            at.is_some_and(|at| {
                actual.swap_remove(at);
                true
            })
        });
        let mut met = found.count();
        let mut parts = wanted.len();
        if let Some(answer) = &self.draft.answer {
            parts += 1;
            met += usize::from(self.office.completed.as_ref().is_some_and(|told| same_answer(told, answer)));
        }
        let clean = actual.is_empty();
        let score = met as f32 / parts.max(1) as f32;
        (if clean { score } else { score / 2.0 }, clean && met == parts && self.office.completed.is_some())
    }
}

/// Numbers may be told as text.
fn same_answer(told: &serde_json::Value, answer: &serde_json::Value) -> bool {
    let plain =
        |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), |t| t.trim().to_lowercase());
    told == answer || plain(told) == plain(answer)
}

impl Env for Apps {
    fn observation(&self) -> &str {
        &self.observation
    }

    /// Runs a cell and shows what it printed, or why it ended.
    fn step(&mut self, action: &str) -> Step {
        if self.office.completed.is_some() {
            let (score, won) = self.judge();
            self.observation.clear();
            return Step {
                observation: String::new(),
                reward: 0.0,
                done: true,
                won,
                score,
                effective: false,
                valid: false,
            };
        }
        let before = self.office.db.clone();
        let cell = self.cells.run(action, &mut self.office, &Limits::default());
        let changed = before != self.office.db;
        let next = self.solved.and_then(|done| self.plan().get(done).map(|cell| cell == action));
        self.solved = match (next, changed) {
            (Some(true), _) => self.solved.map(|done| done + 1),
            // whatever else was done: the solution can begin again unless the apps are different
            (_, false) if *self.start == self.office.db => Some(0),
            (_, false) => self.solved,
            _ => None,
        };
        let printed = cell.output.trim_end();
        self.observation = match &cell.trouble {
            Some(trouble) => {
                let printed = if printed.is_empty() { String::new() } else { format!("{printed}\n") };
                format!("{printed}Execution failed. Traceback:\n  line {}\n{trouble}", trouble.line)
            }
            None if printed.is_empty() => "Execution successful.".to_owned(),
            None => printed.to_owned(),
        };
        let (score, won) = self.judge();
        let done = self.office.completed.is_some();
        let reward = if won { self.win_reward } else { 0.0 };
        let valid = cell.trouble.is_none();
        Step { observation: self.observation.clone(), reward, done, won, score, effective: changed || done, valid }
    }

    /// Any code is possible; these are ways to begin.
    fn admissible(&self) -> Vec<String> {
        let starts = [
            "print(apis.api_docs.show_api_descriptions(app_name='supervisor'))",
            "print(apis.api_docs.show_app_descriptions())",
            "print(apis.supervisor.show_account_passwords())",
        ];
        if self.office.completed.is_some() { Vec::new() } else { starts.map(str::to_owned).into() }
    }

    /// The rest of the solution; empty if the apps were changed by anything else.
    fn expert(&self) -> Vec<String> {
        match self.solved {
            Some(done) if self.office.completed.is_none() => self.plan().into_iter().skip(done).collect(),
            _ => Vec::new(),
        }
    }

    fn snapshot(&self) -> Box<dyn Env> {
        Box::new(self.clone())
    }
}

/// Tasks of each held-out split.
const VALID_TASKS: u64 = 512;
const ATTEMPTS: u64 = 8;
