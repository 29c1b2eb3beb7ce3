//! The same task over the steps of a run: what was said at the same place, and what the teacher thought of it.

use std::collections::BTreeSet;

use super::app::App;
use super::data::StepData;
use super::feed::Feed;
use super::text;
use crate::core::{EpisodeId, TokenRecord};

/// A task that is followed over the steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    pub task: String,
    /// The turn that is compared.
    pub turn: usize,
    /// One entry per rollout of the task, oldest first.
    pub entries: Vec<Entry>,
    looked: BTreeSet<u64>,
    /// Steps still to be read.
    pub left: usize,
}

/// The turn of one rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub id: EpisodeId,
    pub won: bool,
    pub reward: f32,
    /// Sampled tokens of the turn, with their labels.
    pub tokens: Vec<TokenRecord>,
    pub labels: Vec<String>,
    /// What was done, where no tokens were kept.
    pub action: String,
}

impl Past {
    pub fn new(task: String, turn: usize) -> Self {
        Self { task, turn, entries: vec![], looked: BTreeSet::new(), left: 0 }
    }

    fn add(&mut self, data: &StepData, label: impl Fn(&[u32]) -> Vec<Vec<u8>>) {
        for episode in data.episodes.iter().filter(|e| e.task.id == self.task) {
            let sampled = data.turn_tokens(episode, self.turn).iter().filter(|t| t.mask);
            let tokens: Vec<TokenRecord> = sampled.cloned().collect();
            let ids: Vec<u32> = tokens.iter().map(|t| t.id).collect();
            self.entries.push(Entry {
                id: episode.id,
                won: episode.won(),
                reward: episode.reward,
                labels: text::token_labels(&label(&ids)),
                tokens,
                action: episode.turns.get(self.turn).map_or(String::new(), |t| t.action.clone()),
            });
        }
        self.entries.sort_by_key(|e| e.id);
    }
}

/// Reads one more step in which the task was played; true if something changed. Where the cursor goes to another task
/// or turn, so does the view.
pub fn load(app: &mut App, feed: &mut dyn Feed) -> bool {
    if app.states.tokens.past.is_none() {
        return false;
    }
    let found = feed.rows();
    let mut changed = !found.is_empty();
    app.states.rollouts.list.extend(found);
    let turn = app.chosen().2;
    let task = app.episode().map(|e| e.task.id.clone());
    let Some(past) = &mut app.states.tokens.past else { return changed };
    if let Some(task) = task.filter(|task| (task, turn) != (&past.task, past.turn)) {
        *past = Past::new(task, turn);
        changed = true;
    }
    let rows = app.states.rollouts.list.rows().iter().filter(|r| r.task.id == past.task);
    let mut steps: Vec<u64> = rows.map(|r| r.id.step).collect();
    steps.dedup();
    let newest = steps.split_off(steps.len().saturating_sub(MOST_STEPS));
    let next: Vec<u64> = newest.into_iter().filter(|step| !past.looked.contains(step)).collect();
    let left = next.len().saturating_sub(1);
    changed |= std::mem::replace(&mut past.left, left) != left;
    if let Some(step) = next.last().copied() {
        past.looked.insert(step);
        let episodes = feed.episodes(step).unwrap_or_default();
        let data = StepData::new(step, episodes, feed.tokens(step).unwrap_or_default());
        past.add(&data, |ids| feed.token_text(ids));
        changed = true;
    }
    changed
}

/// Steps that are read, the newest ones.
const MOST_STEPS: usize = 64;
