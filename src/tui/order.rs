//! In which order the rollouts of a run are listed.

use std::cmp::Ordering;

use crate::run::index::RolloutRow;

/// How the list is ordered; the largest is first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Newest,
    Advantage,
    Reward,
    Gap,
    Tokens,
    Turns,
}

impl Order {
    const ALL: [(Order, &'static str); 6] = [
        (Order::Newest, "newest"),
        (Order::Advantage, "|A|"),
        (Order::Reward, "reward"),
        (Order::Gap, "|gap|"),
        (Order::Tokens, "tokens"),
        (Order::Turns, "turns"),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    pub(super) fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()].0
    }

    fn key(self, row: &RolloutRow) -> f32 {
        match self {
            Order::Newest => 0.0,
            Order::Advantage => row.advantage.map_or(f32::NEG_INFINITY, f32::abs),
            Order::Reward => row.reward,
            Order::Gap => row.gap.map_or(f32::NEG_INFINITY, f32::abs),
            Order::Tokens => row.tokens as f32,
            Order::Turns => row.turns as f32,
        }
    }

    /// Of equal ones the newer step comes first, inside a step the order of play.
    pub(super) fn compare(self, a: &RolloutRow, b: &RolloutRow) -> Ordering {
        let place = |r: &RolloutRow| (r.id.group, r.id.member);
        let newest = b.id.step.cmp(&a.id.step).then_with(|| place(a).cmp(&place(b)));
        self.key(b).total_cmp(&self.key(a)).then(newest)
    }
}
