//! Looks for something in every text of a run, in a thread of its own.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use super::store::Store;
use crate::core::{Episode, EpisodeId};

/// Whether a text is what is looked for.
pub type Looked = Box<dyn Fn(&str) -> bool + Send>;

/// A rollout in which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub id: EpisodeId,
    /// The first turn with it; the number of turns for what the environment said last.
    pub turn: usize,
    /// The line that has it.
    pub line: String,
}

/// What was found in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub hits: Vec<Hit>,
    /// Steps searched so far, and in all.
    pub done: usize,
    pub total: usize,
}

/// A search under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Searcher {
    found: Receiver<Found>,
}

impl Searcher {
    /// Begins to look through all steps, the newest first.
    pub fn start(store: &Store, looked: Looked) -> Searcher {
        let (send, found) = channel();
        let store = store.clone();
        // Should the system refuse a thread, the channel is closed and nothing is found.
        drop(thread::Builder::new().name("search".into()).spawn(move || work(&store, &looked, &send)));
        Searcher { found }
    }

    /// What was found since the last call.
    pub fn take(&self) -> Vec<Found> {
        let mut out = Vec::new();
        loop {
            match self.found.try_recv() {
                Ok(found) => out.push(found),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return out,
            }
        }
    }
}

fn work(store: &Store, looked: &Looked, send: &Sender<Found>) {
    let steps = store.steps();
    let total = steps.len();
    for (at, step) in steps.into_iter().rev().enumerate() {
        // what cannot be read has nothing to be found; the list of rollouts says so
        let episodes = store.episodes(step).unwrap_or_default();
        let hits = episodes.iter().filter_map(|episode| first_hit(episode, looked)).collect();
        if send.send(Found { hits, done: at + 1, total }).is_err() {
            return;
        }
    }
}

/// The first line of an episode that is looked for.
pub fn first_hit(episode: &Episode, looked: &Looked) -> Option<Hit> {
    let line = |text: &str| text.lines().find(|line| looked(line)).map(str::to_owned);
    let turns = episode.turns.iter().enumerate();
    let inside = turns.filter_map(|(turn, t)| {
        let texts = [&t.observation, &t.reply, &t.action];
        texts.iter().find_map(|text| line(text)).map(|line| (turn, line))
    });
    let last = || line(&episode.last_observation).map(|line| (episode.turns.len(), line));
    let (turn, line) = { inside }.next().or_else(last)?;
    Some(Hit { id: episode.id, turn, line })
}
