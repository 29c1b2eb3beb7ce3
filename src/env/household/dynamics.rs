//! The rules: which actions are possible and what they change.
//!
//! Facts checked against recordings of the original engine (see `tests/household_parity.rs`):
//!
//! 1. Receptacles can share a location; being at one is being at all. `go to` is offered only for other locations.
//! 2. Taking and putting need an accessible receptacle: not openable, or open. Hands hold one object.
//! 3. Cleaning, heating and cooling need the object in hand at a sink basin, microwave or fridge; nothing is opened.
//!    Heating undoes cooling and the other way round.
//! 4. A lamp is never turned off. `examine` of an object works only on the held one.
//! 5. An object may be in several receptacles; taking it from one leaves it in the others.
//! 6. Slicing needs a held knife and an object that counts as present at the location, which for real games is not
//!    always the location of its receptacle.

use super::game::{BUTTERKNIFE, Game, KNIFE, Loc, Obj, Rec, State, caps, marks};
use super::goal::Change;

/// A command with its names resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Look,
    Inventory,
    Help,
    Go(Rec),
    Open(Rec),
    Close(Rec),
    ExamineReceptacle(Rec),
    ExamineObject(Obj),
    Take(Obj, Rec),
    Move(Obj, Rec),
    Use(Obj),
    Change(Change, Obj, Rec),
    /// Object, knife.
    Slice(Obj, Obj),
}

impl State {
    /// Receptacles at the agent's location, ascending.
    pub fn here<'a>(&self, game: &'a Game) -> &'a [Rec] {
        game.at_loc.get(self.loc as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether the agent is at receptacle `r`.
    pub fn at(&self, game: &Game, r: Rec) -> bool {
        game.rec(r).loc == self.loc
    }

    /// Whether things can be taken from and put into `r`.
    pub fn accessible(&self, game: &Game, r: Rec) -> bool {
        !game.rec(r).openable || self.opened[r as usize]
    }

    /// Whether `o` is in `r`.
    pub fn holds(&self, r: Rec, o: Obj) -> bool {
        self.contents[r as usize].contains(&o)
    }

    /// Whether `action` is possible now.
    pub fn allows(&self, game: &Game, action: Action) -> bool {
        match action {
            Action::Look | Action::Inventory | Action::Help => true,
            Action::Go(r) => !self.at(game, r),
            Action::Open(r) => self.at(game, r) && game.rec(r).openable && !self.opened[r as usize],
            Action::Close(r) => self.at(game, r) && game.rec(r).openable && self.opened[r as usize],
            Action::ExamineReceptacle(r) => self.at(game, r),
            Action::ExamineObject(o) => self.held == Some(o),
            Action::Take(o, r) => {
                let reach = self.at(game, r) && self.accessible(game, r) && self.holds(r, o);
                reach && self.held.is_none() && game.obj(o).caps & caps::PICKUPABLE != 0
            }
            Action::Move(o, r) => {
                self.held == Some(o) && self.at(game, r) && self.accessible(game, r) && game.fits(o, r)
            }
            Action::Use(o) => {
                game.obj(o).caps & caps::TOGGLEABLE != 0 && self.here(game).iter().any(|&r| self.holds(r, o))
            }
            Action::Change(change, o, r) => {
                let tool = self.at(game, r) && game.rec(r).kind == change.tool();
                tool && self.held == Some(o) && game.obj(o).caps & change.cap() != 0
            }
            Action::Slice(o, knife) => {
                let sharp = self.held == Some(knife) && matches!(game.obj(knife).kind, KNIFE | BUTTERKNIFE);
                sharp && game.obj(o).caps & caps::SLICEABLE != 0 && self.near.contains(&(self.loc, o))
            }
        }
    }

    /// Does a possible action. Returns whether the state changed.
    pub fn apply(&mut self, game: &Game, action: Action) -> bool {
        match action {
            Action::Look | Action::Inventory | Action::Help => false,
            Action::ExamineReceptacle(_) | Action::ExamineObject(_) => false,
            Action::Go(r) => {
                self.loc = game.rec(r).loc;
                true
            }
            Action::Open(r) | Action::Close(r) => {
                self.opened[r as usize] ^= true;
                true
            }
            Action::Take(o, r) => {
                self.contents[r as usize].retain(|&x| x != o);
                self.removed.insert((o, r));
                self.near.remove(&(self.loc, o));
                self.held = Some(o);
                true
            }
            Action::Move(o, r) => {
                let contents = &mut self.contents[r as usize];
                if let Err(at) = contents.binary_search(&o) {
                    contents.insert(at, o);
                }
                self.removed.remove(&(o, r));
                self.near.insert((self.loc, o));
                self.held = None;
                true
            }
            Action::Use(o) => self.mark(o, marks::TOGGLED, 0),
            Action::Slice(o, _) => self.mark(o, marks::SLICED, 0),
            Action::Change(change, o, _) => self.mark(o, change.mark(), change.clears()),
        }
    }

    /// Every possible action, in no particular order and without repeats.
    pub fn possible(&self, game: &Game) -> Vec<Action> {
        let mut all = self.possible_here(game);
        let others = (0..game.receptacles.len() as Rec).filter(|&r| !self.at(game, r));
        all.extend(others.map(Action::Go));
        all
    }

    /// Every possible action but going elsewhere. The conditions are those of [`State::allows`], asked in an order in
    /// which most are known already: whole lists are wanted a hundred thousand times a second.
    pub fn possible_here(&self, game: &Game) -> Vec<Action> {
        let mut all = vec![Action::Look, Action::Inventory, Action::Help];
        let here = self.here(game);
        for (n, &r) in here.iter().enumerate() {
            let (rec, open) = (game.rec(r), self.accessible(game, r));
            if rec.openable {
                all.push(if open { Action::Close(r) } else { Action::Open(r) });
            }
            all.push(Action::ExamineReceptacle(r));
            for &o in &self.contents[r as usize] {
                let can = game.obj(o).caps;
                if open && self.held.is_none() && can & caps::PICKUPABLE != 0 {
                    all.push(Action::Take(o, r));
                }
                // a lamp may be in several receptacles
                if can & caps::TOGGLEABLE != 0 && !here[..n].iter().any(|&other| self.holds(other, o)) {
                    all.push(Action::Use(o));
                }
            }
            if let Some(o) = self.held {
                if open && game.fits(o, r) {
                    all.push(Action::Move(o, r));
                }
                let fits = |change: &Change| rec.kind == change.tool() && game.obj(o).caps & change.cap() != 0;
                all.extend(Change::ALL.into_iter().filter(fits).map(|change| Action::Change(change, o, r)));
            }
        }
        if let Some(held) = self.held {
            all.push(Action::ExamineObject(held));
            if matches!(game.obj(held).kind, KNIFE | BUTTERKNIFE) {
                let soft = self.present(self.loc).filter(|&o| game.obj(o).caps & caps::SLICEABLE != 0);
                all.extend(soft.map(|o| Action::Slice(o, held)));
            }
        }
        all
    }

    /// Objects that count as present at `loc`, ascending.
    pub fn present(&self, loc: Loc) -> impl Iterator<Item = Obj> + '_ {
        self.near.range((loc, 0)..=(loc, Obj::MAX)).map(|&(_, o)| o)
    }

    fn mark(&mut self, o: Obj, set: u8, clear: u8) -> bool {
        let before = self.marks[o as usize];
        self.marks[o as usize] = (before | set) & !clear;
        self.marks[o as usize] != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Split;
    use crate::env::household::{Household, HouseholdWorld};
    use crate::env::{Env, World};

    /// The list against the definition: every action there could be, asked one by one.
    fn by_definition(game: &Household) -> Vec<Action> {
        let (state, game) = (game.state(), game.game());
        let (recs, objs) = (0..game.receptacles.len() as Rec, 0..game.objects.len() as Obj);
        let mut all = vec![Action::Look, Action::Inventory, Action::Help];
        for r in recs {
            all.extend([Action::Go(r), Action::Open(r), Action::Close(r), Action::ExamineReceptacle(r)]);
            for o in objs.clone() {
                all.extend([Action::Take(o, r), Action::Move(o, r)]);
                all.extend(Change::ALL.map(|change| Action::Change(change, o, r)));
            }
        }
        for o in objs.clone() {
            all.extend([Action::ExamineObject(o), Action::Use(o)]);
            all.extend(objs.clone().map(|knife| Action::Slice(o, knife)));
        }
        all.into_iter().filter(|action| state.allows(game, *action)).collect()
    }

    #[test]
    fn the_quick_list_is_the_list_of_what_is_allowed() {
        let settings = "rooms = 'full'\nmax_turns = 50".parse().unwrap();
        let world = HouseholdWorld::from_table(&settings).unwrap();
        for index in 0..6 {
            let mut game = world.start(&world.task(Split::Train, index).unwrap()).unwrap();
            for turn in 0..40 {
                let mut expected: Vec<String> =
                    by_definition(&game).into_iter().map(|a| super::super::texts::command(game.game(), a)).collect();
                expected.sort_unstable();
                let choices = game.admissible();
                assert_eq!(choices, expected);
                game.step(&choices[(turn * 7 + index as usize) % choices.len()]);
            }
        }
    }
}
