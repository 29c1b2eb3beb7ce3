//! A plan from any state with full knowledge of the game: every choice of objects, places and tools is costed in
//! closed form and the shortest is kept.

use super::dynamics::Action;
use super::game::{Game, Kind, Loc, Obj, Rec, State};
use super::goal::{Change, Goal};

/// Shortest action list of the closed form; empty if the game is won already or cannot be won.
pub fn plan(game: &Game, state: &State) -> Vec<Action> {
    if game.goal.won(game, state) {
        return Vec::new();
    }
    let mut best: Option<Vec<Action>> = None;
    let start = Route { game, state, loc: state.loc, opened: Vec::new(), steps: Vec::new() };
    for start in start.hands_freed() {
        for route in start.solutions() {
            if best.as_ref().is_none_or(|b| route.steps.len() < b.len()) {
                best = Some(route.steps);
            }
        }
    }
    best.unwrap_or_default()
}

/// Where one of the wanted objects is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Source {
    object: Obj,
    /// `None` = in hand.
    from: Option<Rec>,
}

/// A partial plan: the steps so far and where they lead.
#[derive(Clone)]
struct Route<'a> {
    game: &'a Game,
    state: &'a State,
    loc: Loc,
    opened: Vec<Rec>,
    steps: Vec<Action>,
}

impl<'a> Route<'a> {
    /// This route, or if the hand holds something useless, the routes that put it somewhere first.
    fn hands_freed(self) -> Vec<Route<'a>> {
        match self.state.held {
            Some(held) if !self.wanted(held) => (0..self.game.receptacles.len() as Rec)
                .filter(|&r| self.game.fits(held, r))
                .map(|r| self.clone().put(held, r))
                .collect(),
            _ => vec![self],
        }
    }

    fn solutions(&self) -> Vec<Route<'a>> {
        match self.game.goal {
            Goal::Light { lamp, .. } => self.lit(lamp),
            Goal::Place { target, change, count: 1, .. } => self.placed(target, change),
            Goal::Place { target, count, .. } => self.collected(target, count),
        }
    }

    fn lit(&self, lamp: Kind) -> Vec<Route<'a>> {
        let lamps = self.everywhere(|o| self.game.obj(o).kind == lamp);
        let pairs = self.sources().into_iter().flat_map(|s| lamps.iter().map(move |l| (s, *l)));
        pairs.map(|(source, (x, r))| self.clone().fetch(source).go(r).then(Action::Use(x))).collect()
    }

    fn placed(&self, target: Kind, change: Option<Change>) -> Vec<Route<'a>> {
        let mut out = Vec::new();
        for source in self.sources() {
            let fetched = self.clone().fetch(source);
            for d in self.game.receptacles_of(target) {
                let done = change.is_none_or(|c| self.state.marks[source.object as usize] & c.mark() != 0);
                match change {
                    Some(change) if !done => out.extend(self.game.receptacles_of(change.tool()).map(|tool| {
                        let action = Action::Change(change, source.object, tool);
                        fetched.clone().go(tool).then(action).put(source.object, d)
                    })),
                    _ => out.push(fetched.clone().put(source.object, d)),
                }
            }
        }
        out
    }

    /// Two objects of a type into one receptacle; what lies there already counts.
    fn collected(&self, target: Kind, count: usize) -> Vec<Route<'a>> {
        let mut out = Vec::new();
        for d in self.game.receptacles_of(target) {
            let sources = self.sources();
            let there: Vec<Obj> = sources.iter().filter(|s| s.from == Some(d)).map(|s| s.object).collect();
            let away: Vec<Source> = sources.into_iter().filter(|s| !there.contains(&s.object)).collect();
            let held = away.iter().find(|s| s.from.is_none()).copied();
            for &first in away.iter().filter(|s| held.is_none_or(|h| h == **s)) {
                let route = self.clone().fetch(first).put(first.object, d);
                if there.len() + 1 >= count {
                    out.push(route);
                    continue;
                }
                let others = away.iter().filter(|s| s.object != first.object);
                out.extend(others.map(|&second| route.clone().fetch(second).put(second.object, d)));
            }
        }
        out
    }

    fn sources(&self) -> Vec<Source> {
        if let Some(object) = self.state.held.filter(|&o| self.wanted(o)) {
            let held = Source { object, from: None };
            if !matches!(self.game.goal, Goal::Place { count: 2, .. }) {
                return vec![held];
            }
            return std::iter::once(held).chain(self.lying()).collect();
        }
        self.lying().collect()
    }

    fn lying(&self) -> impl Iterator<Item = Source> + use<'a> {
        let (game, state) = (self.game, self.state);
        let found = self.everywhere(|o| game.goal.wants(game, o));
        found.into_iter().filter(|&(o, _)| state.held != Some(o)).map(|(object, r)| Source { object, from: Some(r) })
    }

    fn everywhere(&self, wanted: impl Fn(Obj) -> bool) -> Vec<(Obj, Rec)> {
        let contents = self.state.contents.iter().enumerate();
        contents.flat_map(|(r, c)| c.iter().map(move |&o| (o, r as Rec))).filter(|&(o, _)| wanted(o)).collect()
    }

    fn wanted(&self, o: Obj) -> bool {
        self.game.goal.wants(self.game, o)
    }

    fn then(mut self, action: Action) -> Self {
        self.steps.push(action);
        self
    }

    fn go(mut self, r: Rec) -> Self {
        let loc = self.game.rec(r).loc;
        if loc != self.loc {
            self.loc = loc;
            self.steps.push(Action::Go(r));
        }
        self
    }

    fn open(mut self, r: Rec) -> Self {
        if !self.state.accessible(self.game, r) && !self.opened.contains(&r) {
            self.opened.push(r);
            self.steps.push(Action::Open(r));
        }
        self
    }

    fn fetch(self, source: Source) -> Self {
        match source.from {
            Some(r) => self.go(r).open(r).then(Action::Take(source.object, r)),
            None => self,
        }
    }

    fn put(self, o: Obj, r: Rec) -> Self {
        self.go(r).open(r).then(Action::Move(o, r))
    }
}
