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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Ending, Stop, Task, Turn};
    use crate::run::{Recorder, RunFolder};

    fn episode(step: u64, said: &str) -> Episode {
        let turn = |reply: &str| Turn {
            observation: "a room\nwith a door".into(),
            reply: reply.into(),
            action: reply.into(),
            valid: true,
            reward: 0.0,
            tokens: 1,
            stop: Stop::Closed,
        };
        Episode {
            id: EpisodeId { step, group: 0, member: 0 },
            task: Task { id: "a".into(), kind: "b".into(), goal: "c".into() },
            turns: vec![turn("look"), turn(said)],
            last_observation: "the end".into(),
            ending: Ending::Lost,
            reward: 0.0,
            score: 0.0,
            advantage: None,
            prompt: String::new(),
            teacher_prompt: String::new(),
            skills: vec![],
        }
    }

    #[test]
    fn the_newest_step_is_searched_first_and_the_first_turn_is_told() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        let mut recorder = Recorder::create(&folder).unwrap();
        for (step, said) in [(1, "open the door"), (2, "wait"), (3, "take 箱")] {
            recorder.close_step(step, &[episode(step, said)], &[]).unwrap();
        }
        let look = |word: &'static str| {
            let searcher = Searcher::start(&Store::new(&folder), Box::new(move |line| line.contains(word)));
            // blocks until the thread is done and has closed the channel
            searcher.found.iter().collect::<Vec<Found>>()
        };
        let found = look("open");
        assert_eq!(found.iter().map(|f| (f.done, f.total)).collect::<Vec<_>>(), [(1, 3), (2, 3), (3, 3)]);
        let hits: Vec<_> = found.into_iter().flat_map(|f| f.hits).collect();
        assert_eq!(
            hits,
            [Hit { id: EpisodeId { step: 1, group: 0, member: 0 }, turn: 1, line: "open the door".into() }]
        );
        let steps = |word| look(word).into_iter().flat_map(|f| f.hits).map(|h| (h.id.step, h.turn)).collect::<Vec<_>>();
        assert_eq!(steps("箱"), [(3, 1)]);
        assert_eq!(steps("with a door"), [(3, 0), (2, 0), (1, 0)]);
        assert_eq!(steps("the end").first(), Some(&(3, 2)));
    }
}
