//! Series: forecast numbers with the tools at hand (TimeClaw's kind of task).
//!
//! An agent looks at a series, tries methods on its past, and submits one of them, or numbers of its own. What is
//! submitted is measured against the hidden future: score = error of the best of the usual methods / own error, at
//! most 1, and won from 0.95 on. `dropout` withholds tools at random, as TimeClaw does so that no tool becomes a habit.

pub mod source;
pub mod tools;

use std::sync::Arc;

use anyhow::{Result, ensure};
use rand::RngExt;
use serde::Deserialize;

use self::source::{Series, Source};
use self::tools::{METHODS, Method, autocorrelation, candidates, describe, error};
use super::data::expand;
use super::{Env, Step, Terms, World, parse_id, task_id};
use crate::core::rng::stream;
use crate::core::{Split, Task};

/// Name of this kind of environment.
pub const KIND: &str = "series";

/// The built-in text of `envs/series.toml`.
pub const TEXT: &str = include_str!("../../../envs/series.toml");

/// Settings of series, `[env.series]`. A task id names the same task only under the same settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// CSV file whose columns are series; empty = generated ones.
    pub data: String,
    /// Seed of the series.
    pub seed: u64,
    /// Values that are shown, 8 to 500.
    pub history: usize,
    /// Values to be forecast, 1 to 50.
    pub horizon: usize,
    /// Chance that a method is withheld in a task, in [0, 1).
    pub dropout: f64,
    /// Most turns of an episode, at least 1.
    pub max_turns: usize,
    /// Taken from the reward of a turn whose reply has not the required form; 0 = no penalty.
    pub invalid_penalty: f32,
    /// Reward of a perfect submission; others give this times their score.
    pub win_reward: f32,
    /// Style of prompts and replies: a table `[prompt.<style>]` of `envs/series.toml`.
    pub style: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data: String::new(),
            seed: 0,
            history: 48,
            horizon: 6,
            dropout: 0.0,
            max_turns: 8,
            invalid_penalty: 0.1,
            win_reward: 10.0,
            style: "verl-agent".to_owned(),
        }
    }
}

/// Series as a supply of tasks.
pub struct SeriesWorld {
    settings: Settings,
    source: Source,
}

impl SeriesWorld {
    /// Builds the world. Fails if a setting is out of range or the file is malformed.
    pub fn new(settings: Settings) -> Result<SeriesWorld> {
        let Settings { history, horizon, dropout, max_turns, invalid_penalty, seed, .. } = settings;
        ensure!((8..=500).contains(&history), "`history` is {history}; use 8 to 500");
        ensure!((1..=50).contains(&horizon), "`horizon` is {horizon}; use 1 to 50");
        ensure!(history > horizon, "`history` must be more than `horizon`, else nothing can be tried");
        ensure!((0.0..1.0).contains(&dropout), "`dropout` is {dropout}; use at least 0 and less than 1");
        Terms { max_turns, invalid_penalty, style: &settings.style }.check()?;
        let source = match settings.data.as_str() {
            "" => Source::Generated { seed },
            path => Source::load(&expand(path)?, seed, history + horizon)?,
        };
        Ok(SeriesWorld { settings, source })
    }

    /// Builds the world from its settings table. Fails on an unknown or ill-typed setting.
    pub fn from_table(settings: &toml::Table) -> Result<SeriesWorld> {
        SeriesWorld::new(settings.clone().try_into()?)
    }

    /// The series of a task. Fails if there is no such task.
    pub fn series(&self, split: Split, index: u64) -> Result<Series> {
        self.check(split, index)?;
        Ok(self.source.series(split, index, self.settings.history, self.settings.horizon))
    }
}

impl World for SeriesWorld {
    fn kind(&self) -> &str {
        KIND
    }

    fn size(&self, split: Split) -> u64 {
        self.source.size(split)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task> {
        let kind = self.series(split, index)?.name;
        let goal = format!("Forecast the next {} values of the series.", self.settings.horizon);
        Ok(Task { id: task_id(KIND, split, index), kind, goal })
    }

    fn open(&self, task: &Task) -> Result<Box<dyn Env>> {
        let (split, index) = parse_id(KIND, &task.id)?;
        let series = self.series(split, index)?;
        let mut rng = stream(self.settings.seed, "series tools", &[split as u64, index]);
        let kept = METHODS.iter().map(|(name, _)| *name).filter(|_| rng.random::<f64>() >= self.settings.dropout);
        let mut tools: Vec<&'static str> = kept.collect();
        if tools.is_empty() {
            tools.push("naive");
        }
        Ok(Box::new(Forecast::new(series, tools, self.settings.win_reward)))
    }

    fn terms(&self) -> Terms<'_> {
        let Settings { max_turns, invalid_penalty, ref style, .. } = self.settings;
        Terms { max_turns, invalid_penalty, style }
    }
}

/// A series being studied.
#[derive(Clone)]
pub struct Forecast {
    series: Arc<Series>,
    tools: Arc<[&'static str]>,
    /// The best of the usual methods, and its error.
    best: (Method, f64),
    observation: String,
    win_reward: f32,
    over: bool,
    score: f32,
}

impl Forecast {
    /// Starts with some of the tools, at least one.
    pub fn new(series: Series, tools: Vec<&'static str>, win_reward: f32) -> Forecast {
        let best = best(&series, &tools);
        let observation = format!("The series so far, {} values: {}", series.past.len(), list(&series.past));
        Forecast {
            series: Arc::new(series),
            tools: tools.into(),
            best,
            observation,
            win_reward,
            over: false,
            score: 0.0,
        }
    }

    fn method(&self, text: &str) -> Result<Method, String> {
        let method = Method::read(text)?;
        if self.tools.contains(&method.name()) {
            return Ok(method);
        }
        Err(format!("The method {} is withheld today; there is {}.", method.name(), self.tools.join(", ")))
    }

    /// What a command answers.
    fn answer(&mut self, action: &str) -> Result<String, String> {
        let (command, rest) = action.trim().split_once(char::is_whitespace).unwrap_or((action.trim(), ""));
        let (past, horizon) = (&self.series.past, self.series.future.len());
        match command {
            "describe" => Ok(describe(past)),
            "correlate" => {
                let lag = rest.trim().parse().ok().filter(|lag| (1..past.len()).contains(lag));
                let lag = lag.ok_or_else(|| format!("Write it like: correlate LAG, from 1 to {}.", past.len() - 1))?;
                Ok(format!("The autocorrelation at lag {lag} is {:.3}.", autocorrelation(past, lag)))
            }
            "forecast" => {
                let method = self.method(rest)?;
                Ok(format!("{method}: {}", list(&method.forecast(past, horizon))))
            }
            "try" => {
                let method = self.method(rest)?;
                let (before, after) = past.split_at(past.len() - horizon);
                let missed = error(&method.forecast(before, horizon), after);
                Ok(format!("On the last {horizon} known values the mean absolute error of {method} is {missed:.3}."))
            }
            "submit" => {
                let numbers = rest.split([',', ' ']).filter(|word| !word.is_empty()).map(str::parse::<f64>);
                let numbers: Result<Vec<f64>, _> = numbers.collect();
                let forecast = match numbers {
                    Ok(numbers) if numbers.len() == horizon && numbers.iter().all(|x| x.is_finite()) => numbers,
                    Ok(numbers) => return Err(format!("{} numbers were given, {horizon} are needed.", numbers.len())),
                    Err(_) => self.method(rest)?.forecast(past, horizon),
                };
                let missed = error(&forecast, &self.series.future);
                self.over = true;
                self.score = if missed <= self.best.1 { 1.0 } else { (self.best.1 / missed) as f32 };
                Ok(format!("The mean absolute error is {missed:.3}; the usual methods reach {:.3}.", self.best.1))
            }
            _ => {
                Err("Commands are describe, correlate LAG, forecast METHOD, try METHOD, submit METHOD or numbers."
                    .into())
            }
        }
    }
}

impl Env for Forecast {
    fn observation(&self) -> &str {
        &self.observation
    }

    fn step(&mut self, action: &str) -> Step {
        let playing = !self.over;
        let answer = if playing { self.answer(action) } else { Err(String::new()) };
        let valid = answer.is_ok();
        self.observation = answer.unwrap_or_else(|why| why);
        let ended = playing && self.over;
        let reward = if ended { self.win_reward * self.score } else { 0.0 };
        let won = self.over && self.score >= ENOUGH;
        let observation = self.observation.clone();
        Step { observation, reward, done: self.over, won, score: self.score, effective: ended, valid }
    }

    /// Commands with the usual numbers.
    fn admissible(&self) -> Vec<String> {
        if self.over {
            return Vec::new();
        }
        let mut all = vec!["describe".to_owned(), "correlate 1".into(), "correlate 12".into()];
        let usual = candidates(Some(OFFERED_PERIOD)).into_iter().filter(|method| self.tools.contains(&method.name()));
        all.extend(usual.flat_map(|method| ["submit", "try"].map(|verb| format!("{verb} {method}"))));
        all.sort();
        all
    }

    /// Looks, tries what will turn out best, and submits it.
    fn expert(&self) -> Vec<String> {
        if self.over {
            return Vec::new();
        }
        vec!["describe".to_owned(), format!("try {}", self.best.0), format!("submit {}", self.best.0)]
    }

    fn snapshot(&self) -> Box<dyn Env> {
        Box::new(self.clone())
    }

    fn tools(&self) -> Vec<String> {
        self.tools.iter().map(|tool| (*tool).to_owned()).collect()
    }

    /// What is measured against stays the best of all methods the task began with.
    fn withhold(&mut self, tools: &[String]) {
        let left: Vec<&'static str> =
            self.tools.iter().copied().filter(|tool| !tools.iter().any(|withheld| withheld == tool)).collect();
        if left.is_empty() || left.len() == self.tools.len() {
            return;
        }
        let gone: Vec<&str> = self.tools.iter().copied().filter(|tool| !left.contains(tool)).collect();
        self.observation.push_str(&format!(" Methods withheld today: {}.", gone.join(", ")));
        self.tools = left.into();
    }
}

/// The best of the usual methods among `tools`, and its error. A series without a season may be left with tools that need
/// one; they are then tried with the season that [`Env::admissible`] offers. At least one tool, else `naive` it is.
fn best(series: &Series, tools: &[&str]) -> (Method, f64) {
    let missed = |method: &Method| error(&method.forecast(&series.past, series.future.len()), &series.future);
    let of = |period| {
        let usual = candidates(period).into_iter().filter(|method| tools.contains(&method.name()));
        usual.map(|method| (method, missed(&method))).min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let found = of(series.period).or_else(|| of(Some(OFFERED_PERIOD)));
    found.unwrap_or_else(|| (Method::Naive, missed(&Method::Naive)))
}

fn list(values: &[f64]) -> String {
    values.iter().map(|x| format!("{x:.2}")).collect::<Vec<_>>().join(", ")
}

/// The season of the commands that are offered; the agent does not know the real one.
const OFFERED_PERIOD: usize = 12;
/// From this score on a submission is a success.
const ENOUGH: f32 = 0.95;
