//! Scripted players: games from which a model can learn to play at all.
//!
//! A player knows the goal, the receptacles named in the opening text and what it has seen, nothing else. Each turn
//! it makes one decision and says why in a few words; [`Conduct`] is how well it decides. Its mistakes can be made
//! good: what was put down wrongly is taken again, what was taken wrongly is put down.

use std::sync::Arc;

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::conduct::{Conduct, Search};
use super::dynamics::Action;
use super::game::{Game, Kind, Obj, Rec, State, caps};
use super::goal::{Change, Goal};
use super::priors::Priors;
use super::{Household, texts};
use crate::env::Env;

/// A game as a model would have played it.
#[derive(Clone, Debug, PartialEq)]
pub struct Demo {
    pub turns: Vec<DemoTurn>,
    /// Whether the goal was reached.
    pub won: bool,
}

/// One exchange of a [`Demo`].
#[derive(Clone, Debug, PartialEq)]
pub struct DemoTurn {
    pub observation: String,
    /// `<think>find mug, try cabinet</think><action>go to cabinet 2</action>`
    pub reply: String,
}

/// Plays from where `env` stands (which stays as it is) for at most `max_turns`.
pub fn play<R: Rng>(env: &Household, conduct: &Conduct, rng: &mut R, max_turns: usize) -> Demo {
    let mut env = env.clone();
    let mut mind = Mind::new(env.game.clone(), conduct);
    let mut turns = Vec::new();
    while turns.len() < max_turns && !env.won() {
        mind.see(env.state());
        let (thought, action) = mind.decide(env.state(), rng);
        let command = texts::command(&env.game, action);
        let reply = format!("<think>{thought}</think><action>{command}</action>");
        turns.push(DemoTurn { observation: env.observation().to_owned(), reply });
        mind.arrived = env.step(&command).effective;
        mind.last = Some(action);
    }
    Demo { turns, won: env.won() }
}

/// What is thought, and what is then done.
type Decision = (String, Action);

/// What a player has in mind from one turn to the next.
struct Mind<'a> {
    game: Arc<Game>,
    conduct: &'a Conduct,
    /// Per receptacle: what it held when last seen open.
    known: Vec<Option<Vec<Obj>>>,
    /// Per receptacle: whether the player has been there.
    visited: Vec<bool>,
    intent: Option<Intent>,
    /// Receptacle types that did not work as a tool.
    failed: Vec<Kind>,
    /// Where the first of two objects was put.
    home: Option<Rec>,
    last: Option<Action>,
    /// Whether the last action changed something, so that the view is new.
    arrived: bool,
}

/// A decision that takes more than one turn to carry out.
#[derive(Clone, Copy)]
enum Intent {
    Change(Change, Rec),
    Put(Rec),
}

impl<'a> Mind<'a> {
    fn new(game: Arc<Game>, conduct: &'a Conduct) -> Mind<'a> {
        let count = game.receptacles.len();
        Mind {
            game,
            conduct,
            known: vec![None; count],
            visited: vec![false; count],
            intent: None,
            failed: Vec::new(),
            home: None,
            last: None,
            arrived: false,
        }
    }

    /// Takes in what can be seen from here.
    fn see(&mut self, state: &State) {
        let game = self.game.clone();
        for &r in state.here(&game) {
            self.visited[r as usize] = true;
            if state.accessible(&game, r) {
                self.known[r as usize] = Some(state.contents[r as usize].clone());
            }
        }
    }

    fn decide<R: Rng>(&mut self, state: &State, rng: &mut R) -> Decision {
        if rng.random_bool(self.conduct.dither) {
            return self.dither(state, rng);
        }
        match state.held {
            Some(o) if !self.game.goal.wants(&self.game, o) => self.drop(o, state, rng),
            Some(o) => match self.game.goal {
                Goal::Light { lamp, .. } => self.light(o, lamp, state, rng),
                Goal::Place { .. } => self.carry(o, state, rng),
            },
            None => self.seek(state, rng),
        }
    }

    fn dither<R: Rng>(&self, state: &State, rng: &mut R) -> Decision {
        let here = state.here(&self.game).first().copied();
        match (rng.random_range(0..4u8), here, self.last) {
            (0, Some(r), _) => (format!("look at {}", self.rec(r)), Action::ExamineReceptacle(r)),
            (1, ..) => ("check hands".to_owned(), Action::Inventory),
            (2, _, Some(last)) if !matches!(last, Action::Close(_)) => ("try again".to_owned(), last),
            _ => ("look around".to_owned(), Action::Look),
        }
    }

    /// Puts down what was taken by mistake.
    fn drop<R: Rng>(&mut self, o: Obj, state: &State, rng: &mut R) -> Decision {
        let thought = format!("not {}, put {} down", self.wanted(), self.obj(o));
        let fitting = |mind: &Mind, r: &Rec| mind.game.fits(o, *r);
        if let Some(r) = state.here(&self.game).iter().copied().find(|r| fitting(self, r)) {
            let open = state.accessible(&self.game, r);
            return (thought, if open { Action::Move(o, r) } else { Action::Open(r) });
        }
        let all: Vec<Rec> = (0..self.known.len() as Rec).filter(|r| fitting(self, r)).collect();
        match all.choose(rng) {
            Some(&r) => (thought, Action::Go(r)),
            None => (thought, Action::Inventory),
        }
    }

    /// Has the wanted object; a lamp is still to be found and switched on.
    fn light<R: Rng>(&mut self, o: Obj, lamp: Kind, state: &State, rng: &mut R) -> Decision {
        let (thing, light) = (self.obj(o), self.game.kind_name(lamp).to_owned());
        let Some((x, r)) = self.seen(|x| self.game.obj(x).kind == lamp).first().copied() else {
            if let Some(decision) = self.open_here(state, rng) {
                return decision;
            }
            let r = self.next_place(&light, state, rng);
            return (format!("have {thing}, find {light}, try {}", self.rec(r)), Action::Go(r));
        };
        let willing = rng.random_bool(self.conduct.lamp);
        match (state.at(&self.game, r), willing) {
            (true, true) => (format!("have {thing}, use {light}"), Action::Use(x)),
            (true, false) => (format!("look at {thing}"), Action::ExamineObject(o)),
            (false, true) => (format!("have {thing}, go to {light}"), Action::Go(r)),
            (false, false) => {
                let r = self.next_place(&light, state, rng);
                (format!("have {thing}, try {}", self.rec(r)), Action::Go(r))
            }
        }
    }

    /// Has the wanted object; it is to be changed if so asked, and placed.
    fn carry<R: Rng>(&mut self, o: Obj, state: &State, rng: &mut R) -> Decision {
        let change = self.open_change(o, state);
        let intent = match (self.intent, change) {
            (Some(intent), _) => intent,
            (None, None) => Intent::Put(self.destination(state, rng)),
            (None, Some(change)) => {
                let (tool, _, early) = self.conduct.change(change);
                if rng.random_bool(early) {
                    Intent::Put(self.destination(state, rng))
                } else if let (true, Some(r)) = (rng.random_bool(tool), self.tool(change, rng)) {
                    Intent::Change(change, r)
                } else {
                    let r = self.next_place(&self.wanted(), state, rng);
                    return (format!("have {}, try {}", self.obj(o), self.rec(r)), Action::Go(r));
                }
            }
        };
        self.intent = Some(intent);
        match intent {
            Intent::Change(change, r) => self.change(change, o, r, state),
            Intent::Put(r) => self.put(o, r, state, rng),
        }
    }

    fn change(&mut self, change: Change, o: Obj, r: Rec, state: &State) -> Decision {
        let (thing, verb, tool) = (self.obj(o), change.verb(), self.rec(r));
        if state.at(&self.game, r) {
            self.intent = None;
            if self.game.rec(r).kind != change.tool() {
                self.failed.push(self.game.rec(r).kind);
            }
            return (format!("at {tool}, {verb} {thing}"), Action::Change(change, o, r));
        }
        let thought = match self.failed.last() {
            Some(&kind) => format!("{} failed, {verb} {thing} at {tool}", self.game.kind_name(kind)),
            None => format!("have {thing}, {verb} it at {tool}"),
        };
        (thought, Action::Go(r))
    }

    fn put<R: Rng>(&mut self, o: Obj, r: Rec, state: &State, rng: &mut R) -> Decision {
        let (thing, place) = (self.obj(o), self.rec(r));
        let preposition = Priors::standard().preposition(&place);
        if !state.at(&self.game, r) {
            let changed = match self.game.goal {
                Goal::Place { change: Some(change), .. } if self.open_change(o, state).is_none() => {
                    format!("{thing} {}", change.adjective())
                }
                _ => format!("have {thing}"),
            };
            return (format!("{changed}, put it {preposition} {place}"), Action::Go(r));
        }
        let closed = !state.accessible(&self.game, r);
        if closed && rng.random_bool(self.conduct.open) {
            return (format!("{place} closed, open it"), Action::Open(r));
        }
        if !closed {
            self.intent = None;
            if self.right(r) {
                self.home = Some(r);
            }
        }
        (format!("at {place}, put {thing} {preposition} it"), Action::Move(o, r))
    }

    /// Has nothing in hand.
    fn seek<R: Rng>(&mut self, state: &State, rng: &mut R) -> Decision {
        self.intent = None;
        let object = self.wanted();
        let home = self.home.filter(|_| self.two());
        let found = self.seen(|o| self.game.goal.wants(&self.game, o));
        let placed = found.iter().find(|f| Some(f.1) == home).copied();
        if let Some((o, r)) = placed
            && state.at(&self.game, r)
            && rng.random_bool(1.0 - self.conduct.second)
        {
            return (format!("take {object} again"), Action::Take(o, r));
        }
        let object = if placed.is_some() { format!("second {object}") } else { object };
        let open: Vec<_> = found.into_iter().filter(|f| Some(f.1) != home).collect();
        let near = open.iter().find(|f| state.at(&self.game, f.1) && state.accessible(&self.game, f.1));
        if let Some(&(o, r)) = near.or(open.first())
            && rng.random_bool(self.conduct.take)
        {
            return self.fetch(o, r, &object, state);
        }
        if let Some(decision) = self.wrong_object(state, rng).or_else(|| self.open_here(state, rng)) {
            return decision;
        }
        let r = self.next_place(&self.wanted(), state, rng);
        (format!("find {object}, try {}", self.rec(r)), Action::Go(r))
    }

    fn fetch(&self, o: Obj, r: Rec, object: &str, state: &State) -> Decision {
        if !state.at(&self.game, r) {
            return (format!("{object} was at {}, go back", self.rec(r)), Action::Go(r));
        }
        match self.open_change(o, state) {
            Some(change) if self.right(r) => {
                (format!("{object} not {}, take it back", change.adjective()), Action::Take(o, r))
            }
            _ => (format!("{object} here, take it"), Action::Take(o, r)),
        }
    }

    fn wrong_object<R: Rng>(&self, state: &State, rng: &mut R) -> Option<Decision> {
        let fresh = self.arrived && matches!(self.last, Some(Action::Go(_) | Action::Open(_)));
        let r = state.here(&self.game).first().copied().filter(|&r| fresh && state.accessible(&self.game, r))?;
        let other =
            |o: &&Obj| !self.game.goal.wants(&self.game, **o) && self.game.obj(**o).caps & caps::PICKUPABLE != 0;
        let others: Vec<Obj> = state.contents[r as usize].iter().filter(other).copied().collect();
        let o = *others.choose(rng).filter(|_| rng.random_bool(self.conduct.wrong_object))?;
        Some((format!("take {}", self.obj(o)), Action::Take(o, r)))
    }

    fn open_here<R: Rng>(&self, state: &State, rng: &mut R) -> Option<Decision> {
        let r = state.here(&self.game).iter().copied().find(|&r| !state.accessible(&self.game, r))?;
        rng.random_bool(self.conduct.open).then(|| (format!("{} closed, open it", self.rec(r)), Action::Open(r)))
    }
}

#[path = "player_choices.rs"]
mod choices;

#[cfg(test)]
#[path = "player_tests.rs"]
mod tests;
