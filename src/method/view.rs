//! What a method looks at and what it answers: plain numbers, flattened over rows.

use std::collections::BTreeMap;
use std::ops::Range;

pub use crate::core::{Role, View};

/// The sampled tokens of a step (for credit) or of one batch of it (for the loss). Every per-token slice has length N;
/// row r owns `rows[r]`, and tokens outside every row never count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tokens<'a> {
    /// Training step, from 1: what schedules are evaluated at.
    pub step: u64,
    pub rows: &'a [Range<usize>],
    /// What is known of each row beside its tokens; empty where a caller has none (then credit has no rows).
    pub facts: &'a [RowFacts],
    /// log pi_theta, current weights (the gradient flows through these). Empty in credit, which comes before. [N]
    pub student: &'a [f32],
    /// Entropy in nats: of the student (the gradient may flow through it), in credit of the sampler. [N]
    pub entropy: &'a [f32],
    /// log pi_old, step-start weights, detached. [N]
    pub old: &'a [f32],
    /// log pi under the teacher's context, detached; NaN on rows the teacher has no context for. [N]
    pub teacher: Option<&'a [f32]>,
    /// Entropy of the teacher in nats, detached. [N]
    pub teacher_entropy: Option<&'a [f32]>,
    /// log pi under reference weights, detached. [N]
    pub reference: Option<&'a [f32]>,
    /// Both views on the student's or the teacher's most likely tokens.
    pub top: Option<Top<'a>>,
    /// Tokens the environment gave, scored by the student.
    pub given: Option<Given<'a>>,
    /// Advantage from [`Credit`], detached; empty in credit. [N]
    pub advantage: &'a [f32],
    /// Weight from [`Credit`], detached. [N]
    pub weight: Option<&'a [f32]>,
}

/// Log-probs of K listed tokens per position under both views. Position t owns `[t * k..(t + 1) * k]`; an id of
/// `u32::MAX` fills up where fewer are listed (its log-probs are -inf).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Top<'a> {
    pub k: usize,
    /// [N * K]
    pub ids: &'a [u32],
    /// Student log-probs (the gradient flows through these); in credit those of the step-start weights. [N * K]
    pub student: &'a [f32],
    /// Teacher log-probs, detached. [N * K]
    pub teacher: &'a [f32],
}

/// Tokens that the policy did not choose, scored for world modelling. M = given tokens, row r owns `rows[r]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Given<'a> {
    pub rows: &'a [Range<usize>],
    /// For every given token the turn (index into [`RowFacts::turns`]) whose action brought it. [M]
    pub turn: &'a [u32],
    /// Student log-probs (the gradient flows through these). [M]
    pub student: &'a [f32],
}

/// What is known of one training row: a whole episode (`transcript`) or one turn of it (`history`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowFacts {
    /// Number of the group: rows of the same task share it.
    pub group: usize,
    /// Index of the episode inside its group.
    pub member: usize,
    /// Return of the whole episode, before penalties.
    pub episode_return: f64,
    /// Whether the episode reached its goal.
    pub won: bool,
    /// The environment's own score in [0, 1].
    pub score: f64,
    /// Penalty on this row (invalid actions), already multiplied by its coefficient; >= 0.
    pub penalty: f64,
    /// Who chose the tokens.
    pub view: View,
    /// Whether a privileged context exists for the row (its teacher log-probs are real).
    pub taught: bool,
    /// Not one of the group's own rollouts ([`Extra`](super::needs::Extra)): in no statistic, and without advantage.
    pub extra: bool,
    pub turns: Vec<TurnFacts>,
}

/// One turn of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TurnFacts {
    /// Number of the turn in its episode, from 0.
    pub index: u32,
    /// Its sampled tokens, places in the slices of [`Tokens`].
    pub tokens: Range<usize>,
    /// Those of them inside the action; empty if the reply had none.
    pub action: Range<usize>,
    /// Reward of the action, before penalties.
    pub reward: f64,
    /// Key of the state the turn was played in (GiGPO).
    pub anchor: u64,
    /// Whether the reply had the required form.
    pub valid: bool,
    /// What a judge said the turn was.
    pub role: Option<Role>,
    /// Whether a judge named the turn as one to be corrected.
    pub chosen: bool,
}

/// What a method makes of a whole step before the first update.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Credit {
    /// [N]
    pub advantage: Vec<f32>,
    /// How much each token is distilled, with its sign; empty = the method weighs by itself in its loss. [N]
    pub weight: Vec<f32>,
    /// As [`Plan::metrics`].
    pub metrics: BTreeMap<&'static str, (f64, f64)>,
}

impl Credit {
    /// No reward: every advantage is 0.
    pub fn none(step: &Tokens) -> Self {
        Self { advantage: vec![0.0; step.len()], ..Self::default() }
    }
}

/// A loss value with its exact derivatives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub value: f64,
    /// dL/dstudent [N]
    pub d_logp: Vec<f32>,
    /// dL/dentropy [N]; empty = all zero
    pub d_entropy: Vec<f32>,
    /// dL/dtop.student [N * K]; empty = all zero
    pub d_top: Vec<f32>,
    /// dL/dgiven.student [M]; empty = all zero
    pub d_given: Vec<f32>,
    /// The part of the derivatives that the reward asks for; `None` = the method has no such part.
    pub reward: Option<Reward>,
    /// Gate per token where the method has one. [N]
    pub gate: Option<Vec<f32>>,
    /// What each token adds to `value`; what a whole row or pair adds is shared out evenly. [N]
    pub loss: Vec<f32>,
    /// Sums over tokens and their count, `name -> (sum, count)`, so that batches add up to a true step mean.
    pub metrics: BTreeMap<&'static str, (f64, f64)>,
}

/// What the policy gradient with its penalties puts into a [`Plan`]; the rest of the plan is distillation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reward {
    /// [N]
    pub d_logp: Vec<f32>,
    /// [N]; empty = all zero
    pub d_entropy: Vec<f32>,
}

impl Plan {
    /// Whether the reward asks for one part of the derivatives and something else for another.
    pub fn is_mixed(&self) -> bool {
        let only = |reward: &Reward| {
            reward.d_logp == self.d_logp
                && reward.d_entropy == self.d_entropy
                && self.d_top.is_empty()
                && self.d_given.is_empty()
        };
        self.reward.as_ref().is_some_and(|reward| !only(reward))
    }
}

/// Key of a state: the observation without history, as GiGPO's authors use it.
pub fn anchor(observation: &str) -> u64 {
    crate::core::rng::seed(0, observation, &[])
}

impl RowFacts {
    /// The same with token places moved by `start`.
    pub fn moved(&self, start: usize) -> Self {
        let mut facts = self.clone();
        let by = |range: &Range<usize>| range.start + start..range.end + start;
        for turn in &mut facts.turns {
            (turn.tokens, turn.action) = (by(&turn.tokens), by(&turn.action));
        }
        facts
    }
}

impl Tokens<'_> {
    /// Tokens in the batch, N.
    pub fn len(&self) -> usize {
        self.old.len()
    }

    pub fn is_empty(&self) -> bool {
        self.old.is_empty()
    }

    /// The rows of the group's own rollouts, or the extra ones beside them.
    pub fn part(&self, extra: bool) -> Vec<Range<usize>> {
        let of = |row: &usize| self.facts.get(*row).is_some_and(|facts| facts.extra) == extra;
        (0..self.rows.len()).filter(of).map(|row| self.rows[row].clone()).collect()
    }

    /// Rows of every group, extra ones left out, in the order of their first row.
    pub fn groups(&self) -> Vec<Vec<usize>> {
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        let mut groups: Vec<Vec<usize>> = vec![];
        for (row, facts) in self.facts.iter().enumerate().filter(|(_, facts)| !facts.extra) {
            let place = *places.entry(facts.group).or_insert_with(|| {
                groups.push(vec![]);
                groups.len() - 1
            });
            groups[place].push(row);
        }
        groups
    }

    /// Teacher minus step-start log-prob of token t; `None` without a teacher for it.
    pub fn gap(&self, t: usize) -> Option<f64> {
        let gap = f64::from(self.teacher?[t]) - f64::from(self.old[t]);
        (!gap.is_nan()).then_some(gap)
    }
}
