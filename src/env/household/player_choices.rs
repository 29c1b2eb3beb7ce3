//! Where a player goes next, and the words it uses for things.

use super::*;

impl Mind<'_> {
    /// The place to search next for `object`. Never the place the player is at.
    pub(super) fn next_place<R: Rng>(&self, object: &str, state: &State, rng: &mut R) -> Rec {
        let others: Vec<Rec> = (0..self.known.len() as Rec).filter(|&r| !state.at(&self.game, r)).collect();
        let part = |keep: &dyn Fn(usize) -> bool| -> Vec<Rec> {
            others.iter().copied().filter(|&r| keep(r as usize)).collect()
        };
        let been = part(&|r| self.visited[r]);
        if !been.is_empty() && rng.random_bool(self.conduct.revisit) {
            return *been.choose(rng).unwrap_or(&0); // not empty
        }
        let pools = [part(&|r| !self.visited[r]), part(&|r| self.known[r].is_none()), others.clone()];
        let Some(pool) = pools.into_iter().find(|pool| !pool.is_empty()) else { return 0 };
        let orders = self.conduct.orders.iter().filter(|(o, _)| o == object).flat_map(|(_, order)| order);
        for kind in orders {
            let told: Vec<Rec> = pool.iter().copied().filter(|&r| self.rec(r) == *kind).collect();
            if let Some(&r) = told.choose(rng) {
                return r;
            }
        }
        let habits = Priors::standard().objects.get(object).filter(|_| self.conduct.search == Search::Prior);
        let weight = |r: &Rec| habits.map_or(1.0, |h| h.lives.get(&self.rec(*r)).copied().unwrap_or(0.1));
        pool.choose_weighted(rng, weight).copied().unwrap_or(pool[0]) // weights are positive, the pool is not empty
    }

    /// A receptacle with which to make a change; `None` if all that could be tried have failed.
    pub(super) fn tool<R: Rng>(&self, change: Change, rng: &mut R) -> Option<Rec> {
        let untried = |r: &Rec| !self.failed.contains(&self.game.rec(*r).kind);
        let told = self.conduct.tools.iter().filter(|(c, _)| *c == change).map(|(_, kind)| kind);
        let told: Vec<Rec> = told.flat_map(|kind| self.all(|r| self.rec(r) == *kind)).filter(untried).collect();
        if let Some(&r) = told.choose(rng) {
            return Some(r);
        }
        let (_, wrong, _) = self.conduct.change(change);
        let wrong = rng.random_bool(wrong);
        let tools: Vec<Rec> = self.all(|r| (self.game.rec(r).kind == change.tool()) != wrong).filter(untried).collect();
        tools.choose(rng).copied()
    }

    /// Where to carry the object.
    pub(super) fn destination<R: Rng>(&self, state: &State, rng: &mut R) -> Rec {
        let right = rng.random_bool(self.conduct.destination);
        if let Some(home) = self.home.filter(|_| right && self.two()) {
            return home;
        }
        let places: Vec<Rec> = self.all(|r| self.right(r) == right && (right || !state.at(&self.game, r))).collect();
        places.choose(rng).copied().unwrap_or(0) // a game has a target and another receptacle
    }

    /// Whether `r` is of the target type.
    pub(super) fn right(&self, r: Rec) -> bool {
        matches!(self.game.goal, Goal::Place { target, .. } if self.game.rec(r).kind == target)
    }

    /// Whether two objects are wanted.
    pub(super) fn two(&self) -> bool {
        matches!(self.game.goal, Goal::Place { count: 2, .. })
    }

    /// The change `o` still needs.
    pub(super) fn open_change(&self, o: Obj, state: &State) -> Option<Change> {
        match self.game.goal {
            Goal::Place { change, .. } => change.filter(|c| state.marks[o as usize] & c.mark() == 0),
            Goal::Light { .. } => None,
        }
    }

    /// Objects that were seen, with where they were seen last.
    pub(super) fn seen(&self, wanted: impl Fn(Obj) -> bool) -> Vec<(Obj, Rec)> {
        let known = self.known.iter().enumerate();
        let all = known.flat_map(|(r, k)| k.iter().flatten().map(move |&o| (o, r as Rec)));
        all.filter(|&(o, _)| wanted(o)).collect()
    }

    pub(super) fn all(&self, keep: impl Fn(Rec) -> bool) -> impl Iterator<Item = Rec> {
        (0..self.known.len() as Rec).filter(move |&r| keep(r))
    }

    /// Type name of the object to be found.
    pub(super) fn wanted(&self) -> String {
        self.game.kind_name(self.game.goal.object()).to_owned()
    }

    /// Type name of an object.
    pub(super) fn obj(&self, o: Obj) -> String {
        self.game.kind_name(self.game.obj(o).kind).to_owned()
    }

    /// Type name of a receptacle.
    pub(super) fn rec(&self, r: Rec) -> String {
        self.game.kind_name(self.game.rec(r).kind).to_owned()
    }
}
