//! What of a rollout's turns is folded away.

use std::collections::BTreeSet;

use crate::core::EpisodeId;

/// Which turns and which parts of them differ from the rule of `App::folds`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnFolds {
    of: Option<EpisodeId>,
    turned: BTreeSet<usize>,
    /// What is left out of open turns.
    pub left_out: LeftOut,
    /// Tokens as the model saw them, in place of text.
    pub exact: bool,
}

impl TurnFolds {
    /// Folds a turn that is open, or the other way round.
    pub fn turn(&mut self, of: EpisodeId, turn: usize) {
        if self.of != Some(of) {
            (self.of, self.turned) = (Some(of), BTreeSet::new());
        }
        if !self.turned.remove(&turn) {
            self.turned.insert(turn);
        }
    }

    /// Whether a turn that would be `open` by the rule is.
    pub fn is_open(&self, of: EpisodeId, turn: usize, open: bool) -> bool {
        open != (self.of == Some(of) && self.turned.contains(&turn))
    }

    /// Forgets single turns.
    pub fn clear(&mut self) {
        self.turned.clear();
    }
}

/// Roles that are folded away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeftOut {
    #[default]
    Nothing,
    Thoughts,
    Observations,
    /// Actions alone are left.
    AllButActions,
}

impl LeftOut {
    const ALL: [(LeftOut, &'static str); 4] = [
        (LeftOut::Nothing, "every role"),
        (LeftOut::Thoughts, "without thoughts"),
        (LeftOut::Observations, "without observations"),
        (LeftOut::AllButActions, "actions alone"),
    ];

    /// The next one, round, and its name.
    pub fn next(self) -> (Self, &'static str) {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    pub fn thoughts(self) -> bool {
        matches!(self, LeftOut::Thoughts | LeftOut::AllButActions)
    }

    pub fn observations(self) -> bool {
        matches!(self, LeftOut::Observations | LeftOut::AllButActions)
    }
}
