//! Methods: pure functions on numbers. No tensors, no device, no model.
//!
//! A method says what it [`Needs`], and sees a step twice: all its [`Tokens`] with what is known of their rows, from
//! which it gives [`Credit`]; then batches of them, for which it returns a [`Plan`]: the loss and its exact derivative
//! by each student log-prob and entropy.
//!
//! One file per method; adding one is its file, its line in [`MethodConfig`] and its line in [`METHODS`]. The pieces
//! they share, each a value with its derivative, are in [`math`].

pub mod estimator;
pub mod grpo;
pub mod manual;
pub mod math;
pub mod needs;
pub mod schedule;
pub mod sdar;
pub mod view;
pub mod weight;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::grpo::{Grpo, Variant};
pub use self::manual::Key;
pub use self::needs::Needs;
pub use self::sdar::Sdar;
pub use self::view::{Credit, Plan, RowFacts, Tokens, TurnFacts};

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

/// One objective of the family.
pub trait Method: Send + Sync {
    /// Name as in `[method.<name>]`.
    fn name(&self) -> &'static str;

    fn needs(&self) -> Needs;

    /// Advantages, and distillation weights where they depend on more than a token's own numbers. `step` holds all
    /// rows of the step, with [`Tokens::facts`]; `student` and `advantage` are empty.
    fn credit(&self, step: &Tokens) -> Credit;

    /// Loss and coefficients of one batch.
    fn token_loss(&self, tokens: &Tokens) -> Plan;

    /// Takes notice of a step's sums after its last update; for controllers that act on later steps.
    fn adapt(&mut self, _sums: &BTreeMap<&'static str, (f64, f64)>) {}

    /// What [`Method::adapt`] has accumulated, for an exact resume; empty = nothing.
    fn state(&self) -> Vec<f64> {
        vec![]
    }

    /// Takes back what [`Method::state`] gave.
    fn resume(&mut self, _state: &[f64]) {}
}
