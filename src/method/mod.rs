//! Methods: pure functions on numbers. No tensors, no device, no model.
//!
//! A method sees a step in two views: the [`Outcomes`] of its groups, from which it gives every row an
//! advantage, and batches of sampled [`Tokens`] with log-probabilities, for which it returns a [`Plan`]: the
//! loss and its exact derivative by each student log-prob and entropy.

use std::collections::BTreeMap;
use std::ops::Range;

/// What a method must have been given before its loss can be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Log-probs under the teacher's context.
    pub teacher: bool,
    /// Log-probs under the frozen reference weights.
    pub reference: bool,
}

/// One training row as credit sees it: the whole episode (`transcript`) or one turn of it (`history`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowOutcome {
    /// Index of the episode inside its group.
    pub member: usize,
    /// Return of the whole episode.
    pub episode_return: f64,
    /// Penalty on this row (invalid actions), already multiplied by its coefficient; >= 0.
    pub penalty: f64,
}

/// Rows of one group: G rollouts of the same task.
pub type Group = Vec<RowOutcome>;

/// A batch of sampled tokens, flattened over rows. Every slice has length N; row r owns `rows[r]`.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    pub rows: &'a [Range<usize>],
    /// log pi_theta, current weights (the gradient flows through these). [N]
    pub student: &'a [f32],
    /// Entropy of the student in nats (the gradient may flow through these). [N]
    pub entropy: &'a [f32],
    /// log pi_old, step-start weights, detached. [N]
    pub old: &'a [f32],
    /// log pi under the teacher's context, detached. [N]
    pub teacher: Option<&'a [f32]>,
    /// log pi under reference weights, detached. [N]
    pub reference: Option<&'a [f32]>,
    /// Advantage, detached. [N]
    pub advantage: &'a [f32],
}

/// A loss value with its exact derivatives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub value: f64,
    /// dL/dstudent [N]
    pub d_logp: Vec<f32>,
    /// dL/dentropy [N]; empty = all zero
    pub d_entropy: Vec<f32>,
    /// Gate per token where the method has one. [N]
    pub gate: Option<Vec<f32>>,
    /// Sums over tokens and their count, `name -> (sum, count)`, so that batches add up to a true step mean.
    pub metrics: BTreeMap<&'static str, (f64, f64)>,
}

/// One objective of the family.
pub trait Method: Send + Sync {
    /// Name as in `[method.<name>]`.
    fn name(&self) -> &'static str;

    fn needs(&self) -> Needs;

    /// Advantage of every row, group by group.
    fn credit(&self, groups: &[Group]) -> Vec<Vec<f64>>;

    /// Loss and coefficients of one batch.
    fn token_loss(&self, tokens: &Tokens) -> Plan;
}
