//! Every rollout of a run as one small row, read from the columns of its closed steps without their texts.
//!
//! A reader asks for rows in the background ([`Indexer`]) so that a run of 100,000 rollouts opens at once and its
//! list fills while one already looks at it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use parquet::errors::Result as Decoded;
use serde::Deserialize;

use super::parquet_columns::Table;
use super::parquet_rows::{Strings, ending, parse};
use super::store::Store;
use crate::core::{Ending, Episode, EpisodeId, Task};

/// What a list and a filter need to know of a rollout. About 100 bytes; task and skills are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutRow {
    pub id: EpisodeId,
    pub task: Arc<Task>,
    pub skills: Arc<[String]>,
    pub reward: f32,
    pub score: f32,
    pub advantage: Option<f32>,
    /// Mean teacher-student gap and gate of its sampled tokens, and how many of those are hot; `None` where the run
    /// did not record them by rollout.
    pub gap: Option<f32>,
    pub gate: Option<f32>,
    pub hot: Option<u32>,
    pub turns: u32,
    pub tokens: u32,
    /// Replies without the required form.
    pub invalid: u32,
    pub ending: Ending,
    /// All rewards of its group are equal.
    pub silent: bool,
}

impl RolloutRow {
    /// Rows of the episodes of one step that is in memory, without what only tokens tell.
    pub fn of_step(episodes: &[Episode]) -> Vec<RolloutRow> {
        let row = |e: &Episode| RolloutRow {
            id: e.id,
            task: Arc::new(e.task.clone()),
            skills: e.skills.clone().into(),
            reward: e.reward,
            score: e.score,
            advantage: e.advantage,
            gap: None,
            gate: None,
            hot: None,
            turns: e.turns.len() as u32,
            tokens: e.turns.iter().map(|t| t.tokens).sum(),
            invalid: e.turns.iter().filter(|t| !t.valid).count() as u32,
            ending: e.ending,
            silent: false,
        };
        let mut rows: Vec<RolloutRow> = episodes.iter().map(row).collect();
        mark_silent(&mut rows);
        rows
    }
}

/// Tasks and skill lists seen so far: the members of a group share theirs.
#[derive(Debug, Default)]
pub struct Shared {
    tasks: HashMap<String, Arc<Task>>,
    skills: HashMap<String, Arc<[String]>>,
}

impl Shared {
    fn task(&mut self, id: String, kind: String, goal: String) -> Arc<Task> {
        let known = self.tasks.get(&id).filter(|t| t.kind == kind && t.goal == goal);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let task = Arc::new(Task { id: id.clone(), kind, goal });
        self.tasks.insert(id, Arc::clone(&task));
        task
    }

    /// `json` is the list as it is written.
    fn skills(&mut self, json: String) -> Decoded<Arc<[String]>> {
        if let Some(known) = self.skills.get(&json) {
            return Ok(Arc::clone(known));
        }
        let list: Arc<[String]> = parse::<Vec<String>>(&json)?.into();
        self.skills.insert(json, Arc::clone(&list));
        Ok(list)
    }
}

/// Reads the rows of a file of episodes.
pub(super) fn decode_rows(file: File, shared: &mut Shared) -> Decoded<Vec<RolloutRow>> {
    // Files written before the sums stood in columns of their own have them in the text of the turns only.
    let mut table = Table::decode_only(file, &|name, all| match name {
        "turns" => !all.iter().any(|n| n == "turn_count"),
        name => COLUMNS.contains(&name),
    })?;
    let n = table.rows();
    if n == 0 {
        return Ok(Vec::new());
    }
    let counted = match table.counts("turn_count") {
        Ok(turns) => turns.into_iter().zip(table.counts("tokens")?).zip(table.counts("invalid")?).collect(),
        Err(_) => counted(&table.texts("turns")?)?,
    };
    let mut text = |name: &str| Ok::<_, parquet::errors::ParquetError>(Strings::new(table.texts(name)?));
    let (mut ids, mut kinds, mut goals) = (text("task_id")?, text("task_kind")?, text("task_goal")?);
    let (mut skills, mut endings) = (text("skills")?, text("ending")?);
    let (steps, groups, members) = (table.longs("step")?, table.counts("group")?, table.counts("member")?);
    let (rewards, scores) = (table.numbers("reward")?, table.numbers("score")?);
    let advantages = table.numbers("advantage")?;
    let mut optional = |name: &str| table.numbers(name).unwrap_or_else(|_| vec![None; n]);
    let (gaps, gates, hot) = (optional("gap"), optional("gate"), optional("hot"));
    let mut rows = Vec::with_capacity(n);
    for at in 0..n {
        let ((turns, tokens), invalid) = counted[at];
        rows.push(RolloutRow {
            id: EpisodeId { step: steps[at], group: groups[at], member: members[at] },
            task: shared.task(ids.next()?, kinds.next()?, goals.next()?),
            skills: shared.skills(skills.next()?)?,
            reward: rewards[at].unwrap_or(0.0),
            score: scores[at].unwrap_or(0.0),
            advantage: advantages[at],
            gap: gaps[at],
            gate: gates[at],
            hot: hot[at].map(|h| h as u32),
            turns,
            tokens,
            invalid,
            ending: ending(&endings.next()?)?,
            silent: false,
        });
    }
    mark_silent(&mut rows);
    Ok(rows)
}

/// Turns, sampled tokens and invalid replies.
type Counted = ((u32, u32), u32);

fn counted(turns: &[String]) -> Decoded<Vec<Counted>> {
    #[derive(Deserialize)]
    struct Brief {
        valid: bool,
        tokens: u32,
    }
    let count = |json: &String| {
        let turns: Vec<Brief> = parse(json)?;
        let tokens = turns.iter().map(|t| t.tokens).sum();
        Ok(((turns.len() as u32, tokens), turns.iter().filter(|t| !t.valid).count() as u32))
    };
    turns.iter().map(count).collect()
}

fn mark_silent(rows: &mut [RolloutRow]) {
    let mut first: HashMap<u32, (f32, bool)> = HashMap::new();
    for row in rows.iter() {
        let seen = first.entry(row.id.group).or_insert((row.reward, true));
        seen.1 &= seen.0 == row.reward;
    }
    for row in rows {
        row.silent = first.get(&row.id.group).is_some_and(|(_, equal)| *equal);
    }
}

/// Rows of one step as the background found them.
#[derive(Debug)]
pub struct StepRows {
    pub step: u64,
    pub rows: Vec<RolloutRow>,
    /// Why the step could not be read.
    pub error: Option<String>,
}

/// Reads the rows of a run in a thread of its own; it ends when this is dropped.
#[derive(Debug)]
pub struct Indexer {
    found: Receiver<StepRows>,
    again: Sender<()>,
}

impl Indexer {
    /// Begins to read all closed steps of a run.
    pub fn start(store: &Store) -> Indexer {
        let (send, found) = channel();
        let (again, asked) = channel();
        let store = store.clone();
        // Should the system refuse a thread, the channel is closed and the list stays empty.
        let worker = thread::Builder::new().name("index".into());
        drop(worker.spawn(move || work(&store, &send, &asked)));
        Indexer { found, again }
    }

    /// Says that steps may have been added.
    pub fn look_again(&self) {
        // a thread that is gone has nothing to add
        let _ = self.again.send(());
    }

    /// What was found since the last call, at most `most` steps of it.
    pub fn take(&self, most: usize) -> Vec<StepRows> {
        let mut out = Vec::new();
        while out.len() < most {
            match self.found.try_recv() {
                Ok(rows) => out.push(rows),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        out
    }
}

fn work(store: &Store, send: &Sender<StepRows>, asked: &Receiver<()>) {
    let mut shared = Shared::default();
    let mut known: HashSet<(u64, Option<std::time::SystemTime>)> = HashSet::new();
    loop {
        for step in store.steps() {
            // a repeated step (after a resume) has another time
            let key = (step, store.closed_at(step));
            if key.1.is_none() || !known.insert(key) {
                continue;
            }
            let found = match store.rows(step, &mut shared) {
                Ok(rows) => StepRows { step, rows, error: None },
                Err(error) => StepRows { step, rows: vec![], error: Some(error.to_string()) },
            };
            if send.send(found).is_err() {
                return;
            }
        }
        if asked.recv().is_err() {
            return;
        }
        while asked.try_recv().is_ok() {}
    }
}

/// All rows found so far, by step, group and member.
#[derive(Debug, Default)]
pub struct RowList {
    rows: Vec<RolloutRow>,
    /// Goes up with every change.
    pub version: u64,
    /// Steps that could not be read.
    pub errors: Vec<String>,
}

impl RowList {
    /// Takes found steps in; a step that is already there is replaced.
    pub fn extend(&mut self, found: Vec<StepRows>) {
        for StepRows { step, mut rows, error } in found {
            self.version += 1;
            self.errors.extend(error);
            rows.sort_by_key(|r| r.id);
            let start = self.rows.partition_point(|r| r.id.step < step);
            let end = self.rows.partition_point(|r| r.id.step <= step);
            self.rows.splice(start..end, rows);
        }
    }

    /// The rows in order.
    pub fn rows(&self) -> &[RolloutRow] {
        &self.rows
    }
}

/// Columns a row is made of.
const COLUMNS: [&str; 17] = [
    "step",
    "group",
    "member",
    "reward",
    "score",
    "advantage",
    "ending",
    "task_id",
    "task_kind",
    "task_goal",
    "skills",
    "turn_count",
    "tokens",
    "invalid",
    "gap",
    "gate",
    "hot",
];

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
