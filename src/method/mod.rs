//! Methods: pure functions on numbers. No tensors, no device, no model.
//!
//! A method sees a step in two views: the [`Outcomes`] of its groups, from which it gives every row an
//! advantage, and batches of sampled [`Tokens`] with log-probabilities, for which it returns a [`Plan`]: the
//! loss and its exact derivative by each student log-prob and entropy.
//!
//! One file per method; adding one is its file, its line in [`MethodConfig`] and its line in [`METHODS`]. The pieces
//! they share, each a value with its derivative, are in [`math`].

pub mod grpo;
pub mod manual;
pub mod math;
pub mod sdar;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use self::grpo::{Grpo, Variant};
pub use self::manual::Key;
pub use self::sdar::Sdar;

/// The one `[method.<name>]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodConfig {
    Grpo(Grpo),
    Sdar(Sdar),
}

impl MethodConfig {
    /// The method with these settings.
    pub fn build(&self) -> Box<dyn Method> {
        match self {
            MethodConfig::Grpo(grpo) => Box::new(grpo.clone()),
            MethodConfig::Sdar(sdar) => Box::new(sdar.clone()),
        }
    }

    /// Name as in `[method.<name>]`.
    pub fn name(&self) -> &'static str {
        match self {
            MethodConfig::Grpo(_) => grpo::INFO.name,
            MethodConfig::Sdar(_) => sdar::INFO.name,
        }
    }
}

impl Default for MethodConfig {
    fn default() -> Self {
        MethodConfig::Sdar(Sdar::default())
    }
}

/// A method as `sdlab methods list|show` presents it.
#[derive(Clone, Copy, Debug)]
pub struct MethodInfo {
    /// Name as in `[method.<name>]`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Idea, formula, source, true expected gradient, preconditions, variants, deviations.
    pub docs: &'static str,
    /// What is published, what was inferred, what is ours.
    pub provenance: &'static str,
    /// Its settings.
    pub keys: &'static [Key],
}

/// Every method, in the order they are listed.
pub const METHODS: &[MethodInfo] = &[sdar::INFO, grpo::INFO];

/// What a method must have been given before its loss can be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Log-probs under the teacher's context.
    pub teacher: bool,
    /// Log-probs under the frozen reference weights.
    pub reference: bool,
}

impl Needs {
    /// What `tokens` lack of it, by name (`teacher`, `reference`); empty = the loss can be computed in full. A loss
    /// leaves out the terms whose log-probs are missing.
    pub fn missing(self, tokens: &Tokens) -> Vec<&'static str> {
        [
            ("teacher", self.teacher && tokens.teacher.is_none()),
            ("reference", self.reference && tokens.reference.is_none()),
        ]
        .into_iter()
        .filter_map(|(name, lacks)| lacks.then_some(name))
        .collect()
    }
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

impl Tokens<'_> {
    /// Tokens in the batch, N.
    pub fn len(&self) -> usize {
        self.student.len()
    }

    pub fn is_empty(&self) -> bool {
        self.student.is_empty()
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
