//! Search: answer a question by looking things up in a collection of passages.
//!
//! The interface is that of Search-R1 (Jin et al., 2025) as SkyRL and SDAR run it: `<search>` and `<answer>`, what is
//! found inside `<information>`, a reward for an exact match. Checked against recordings. The passages and questions are
//! our own: a seeded generator ([`fiction`]) over the words in `envs/search.toml`. Other corpora ([`corpus`]), files of
//! questions ([`question`]) and retrieval servers ([`retriever`]) can be named instead.

pub mod answer;
pub mod corpus;
pub mod fiction;
pub mod lore;
pub mod question;
pub mod retriever;

mod pool;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Deserialize;

use self::answer::{exact_match, f1, last_block};
use self::pool::Pool;
use self::question::Question;
use self::retriever::{Remote, Retriever};
use super::pyjson::quote;
use super::{Env, Step, Terms, World, parse_id, task_id};
use crate::core::{Split, Task};

/// Name of this kind of environment.
pub const KIND: &str = "search";

/// The text of `envs/search.toml`.
pub const TEXT: &str = lore::TEXT;

/// Settings of search, `[env.search]`. A task id names the same task only under the same settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Generated passages, about; at least 1.
    pub passages: usize,
    /// Seed of the generated passages and questions.
    pub seed: u64,
    /// File of questions; empty = generated ones.
    pub questions: String,
    /// File of passages; empty = those that come with the questions, or generated ones.
    pub corpus: String,
    /// Address of a retrieval server in place of our index; empty = none.
    pub retriever: String,
    /// Seconds to wait for the server, more than 0.
    pub timeout: f64,
    /// Passages a search shows, at least 1.
    pub top_k: usize,
    /// Share of the generated lands that only `valid-unseen` asks about, in [0, 1).
    pub held_out: f64,
    /// Most turns of an episode, at least 1.
    pub max_turns: usize,
    /// Taken from the reward of a turn whose reply has not the required form; 0 = no penalty.
    pub invalid_penalty: f32,
    /// Reward of the right answer; every other reward is 0.
    pub win_reward: f32,
    /// Style of prompts and replies: a table `[prompt.<style>]` of `envs/search.toml`.
    pub style: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            passages: 2000,
            seed: 0,
            questions: String::new(),
            corpus: String::new(),
            retriever: String::new(),
            timeout: 30.0,
            top_k: 3,
            held_out: 0.2,
            max_turns: 4,
            invalid_penalty: 0.01,
            win_reward: 1.0,
            style: "verl-agent".to_owned(),
        }
    }
}

/// Search as a supply of tasks.
pub struct SearchWorld {
    settings: Settings,
    desk: Arc<Desk>,
    pool: Pool,
}

/// What all games share.
pub struct Desk {
    /// What answers searches.
    pub retriever: Retriever,
    /// Passages a search shows.
    pub top_k: usize,
    /// Turns after which an episode ends.
    pub max_turns: usize,
    /// Reward of the right answer.
    pub win_reward: f32,
}

impl SearchWorld {
    /// Builds the world. Fails if a setting is out of range or a file is malformed. A server is not asked yet.
    pub fn new(settings: Settings) -> Result<SearchWorld> {
        let Settings { timeout, top_k, held_out, max_turns, invalid_penalty, .. } = settings;
        ensure!((0.0..1.0).contains(&held_out), "`held_out` is {held_out}; use at least 0 and less than 1");
        ensure!(top_k >= 1, "`top_k` is 0; a search shows at least one passage");
        Terms { max_turns, invalid_penalty, style: &settings.style }.check()?;
        ensure!(timeout > 0.0 && timeout <= 1e6, "`timeout` is {timeout}; use seconds, more than 0");
        let (pool, corpus) = Pool::open(&settings)?;
        let retriever = match (settings.retriever.as_str(), corpus) {
            ("", Some(corpus)) => Retriever::Local(corpus),
            ("", None) => anyhow::bail!(
                "there is nothing to search: `{}` brings no passages; name a `corpus` or a `retriever`",
                settings.questions
            ),
            (url, _) => Retriever::Remote(Remote::new(url, Duration::from_secs_f64(timeout))?),
        };
        let desk = Desk { retriever, top_k, max_turns, win_reward: settings.win_reward };
        Ok(SearchWorld { settings, desk: Arc::new(desk), pool })
    }

    /// Builds the world from its settings table. Fails on an unknown or ill-typed setting.
    pub fn from_table(settings: &toml::Table) -> Result<SearchWorld> {
        SearchWorld::new(settings.clone().try_into()?)
    }

    /// The question of a task. Fails if there is no such task.
    pub fn question(&self, split: Split, index: u64) -> Result<Question> {
        self.check(split, index)?;
        self.pool.question(split, index)
    }

    /// Starts a game about a question as the concrete type.
    pub fn start(&self, question: Question) -> Search {
        Search::new(Arc::clone(&self.desk), question)
    }
}

impl World for SearchWorld {
    fn kind(&self) -> &str {
        KIND
    }

    fn size(&self, split: Split) -> u64 {
        self.pool.size(split)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task> {
        let question = self.question(split, index)?;
        Ok(Task { id: task_id(KIND, split, index), kind: question.kind, goal: question.text })
    }

    fn open(&self, task: &Task) -> Result<Box<dyn Env>> {
        let (split, index) = parse_id(KIND, &task.id)?;
        Ok(Box::new(self.start(self.question(split, index)?)))
    }

    fn terms(&self) -> Terms<'_> {
        let Settings { max_turns, invalid_penalty, ref style, .. } = self.settings;
        Terms { max_turns, invalid_penalty, style }
    }

    fn is_remote(&self) -> bool {
        matches!(self.desk.retriever, Retriever::Remote(_))
    }
}

/// One question in progress. A copy is cheap: passages and index are shared.
#[derive(Clone)]
pub struct Search {
    desk: Arc<Desk>,
    question: Arc<Question>,
    observation: String,
    turns: usize,
    /// Which of the question's passages were shown.
    seen: Vec<bool>,
    done: bool,
    won: bool,
    failure: Option<String>,
}

impl Search {
    /// Starts a game.
    pub fn new(desk: Arc<Desk>, question: Question) -> Search {
        let seen = vec![false; question.titles.len()];
        let observation = question.text.clone();
        let question = Arc::new(question);
        Search { desk, question, observation, turns: 0, seen, done: false, won: false, failure: None }
    }

    /// The question.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// What a search shows: `<information>` around a JSON text, as the original's tool writes it.
    fn look_up(&mut self, query: &str) -> Result<String> {
        let found = self.desk.retriever.search(query, self.desk.top_k)?;
        let mut text = String::new();
        for (number, contents) in found.iter().enumerate() {
            text.push_str(&format!("Doc {}: {contents}\n", number + 1));
            let shown = contents.lines().next().unwrap_or_default().trim_matches('"');
            for (seen, title) in self.seen.iter_mut().zip(&self.question.titles) {
                *seen |= title == shown;
            }
        }
        if found.is_empty() {
            text.push_str("No search results found.");
        }
        Ok(format!("<information>{{\"result\": {}}}</information>", quote(&text)))
    }
}

impl Env for Search {
    fn observation(&self) -> &str {
        &self.observation
    }

    /// An answer ends the game; so does the last turn, whatever it holds. What is neither a search nor an answer is
    /// met with silence.
    fn step(&mut self, action: &str) -> Step {
        self.observation.clear();
        let (mut valid, mut reward, mut score) = (false, 0.0, f32::from(self.won));
        if !self.done {
            self.turns += 1;
            self.done = self.turns >= self.desk.max_turns;
            if let Some(answer) = last_block(action, "answer") {
                self.won = exact_match(answer, &self.question.golden);
                (valid, self.done) = (true, true);
                score = f1(answer, &self.question.golden);
                reward = if self.won { self.desk.win_reward } else { 0.0 };
            } else if let Some(query) = last_block(action, "search").filter(|query| !query.is_empty()) {
                valid = true;
                if !self.done {
                    match self.look_up(query) {
                        Ok(found) => self.observation = found,
                        Err(error) => (self.failure, self.done) = (Some(format!("{error:#}")), true),
                    }
                }
            }
        }
        let observation = self.observation.clone();
        Step { observation, reward, done: self.done, won: self.won, score, effective: valid, valid }
    }

    /// The two forms an action can have.
    fn admissible(&self) -> Vec<String> {
        let forms = ["<answer>your answer</answer>", "<search>your query</search>"];
        if self.done { Vec::new() } else { forms.map(str::to_owned).to_vec() }
    }

    /// Looks up the titles that answer the question and were not seen yet, as many as there are turns for, and answers.
    fn expert(&self) -> Vec<String> {
        let (false, Some(answer)) = (self.done, self.question.golden.first()) else { return Vec::new() };
        let turns = (self.desk.max_turns - self.turns).saturating_sub(1);
        let unseen = self.question.titles.iter().zip(&self.seen).filter(|(_, seen)| !**seen);
        let unseen: Vec<String> = unseen.map(|(title, _)| format!("<search>{title}</search>")).collect();
        let skipped = unseen.len().saturating_sub(turns);
        unseen.into_iter().skip(skipped).chain([format!("<answer>{answer}</answer>")]).collect()
    }

    fn snapshot(&self) -> Box<dyn Env> {
        Box::new(self.clone())
    }

    fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}
