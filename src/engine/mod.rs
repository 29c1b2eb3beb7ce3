//! The engine: everything that needs the model's weights, behind one small trait.
//!
//! It never knows the method. A loss reaches it only as coefficients `dL/dlp` and `dL/dH` per token, which is
//! all any objective of this family needs (chain rule), and what a remote engine can also be asked for.

pub mod candle;
mod sampling;

use std::path::Path;

use anyhow::Result;

pub use self::sampling::{Filter, Finish, Finished, Next, Sample, SampleRequest, Sampler, sample_all};

/// Facts of a loaded model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// e.g. `Qwen3 4L d128`.
    pub name: String,
    /// Numbers in the model, adapters not counted.
    pub parameters: u64,
    /// Numbers that are trained: all of them, or those of the adapters.
    pub trained: u64,
    /// Tokens in the output distribution.
    pub vocab: usize,
    /// Longest row the model can be given.
    pub context: usize,
    /// `cpu` or `cuda:0`.
    pub device: String,
}

/// A set of weights by role. Only `Live` is trained; the others are copies of it at some time, or loaded, or averaged.
/// Which of them a teacher or a penalty reads is the recipe's choice, and a method never learns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WeightSet {
    /// The weights being trained.
    Live,
    /// Live as it was when the current step began (the behaviour policy; SDAR's and Skill-SD's teacher).
    StepStart,
    /// The anchor of a divergence penalty: live as it was when the run began, or when it was last moved.
    Reference,
    /// Live as it was when the run began (a frozen teacher).
    Initial,
    /// Exponential moving average of live over updates (a slow teacher).
    Ema,
    /// Weights of another folder (an external teacher).
    Checkpoint,
    /// A mixture of two sets (a trust-region teacher).
    Blend,
}

impl WeightSet {
    const NAMES: [(WeightSet, &str); 7] = [
        (WeightSet::Live, "live"),
        (WeightSet::StepStart, "step-start"),
        (WeightSet::Reference, "reference"),
        (WeightSet::Initial, "initial"),
        (WeightSet::Ema, "ema"),
        (WeightSet::Checkpoint, "checkpoint"),
        (WeightSet::Blend, "blend"),
    ];

    /// As it is written in recipes and checkpoints.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// The set of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

/// A row to be scored at its masked positions, all but the first one: `n` = number of true mask entries after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScoreRow<'a> {
    pub ids: &'a [u32],   // [T]
    pub mask: &'a [bool], // [T]
    /// K tokens for each scored position, in order, whose log-probs are wanted as well; empty = none.
    pub given: &'a [u32], // [n * K]
    /// How many of the most likely tokens to report for each scored position; 0 = none.
    pub top: usize,
}

impl<'a> ScoreRow<'a> {
    /// Log-probs and entropies alone.
    pub fn new(ids: &'a [u32], mask: &'a [bool]) -> Self {
        Self { ids, mask, ..Self::default() }
    }
}

/// Scores of one row at its scored positions, in order, under the temperature-scaled policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// log pi(ids\[t\] | ids\[..t\]).
    pub logp: Vec<f32>, // [n]
    /// Entropy of the same distribution in nats.
    pub entropy: Vec<f32>, // [n]
    /// Log-probs of the row's given tokens; empty if it has none.
    pub given: Vec<f32>, // [n * K]
    /// Log of the probability of all tokens but the given ones, never below -80; empty if there are none.
    pub tail: Vec<f32>, // [n]
    /// The most likely tokens and their log-probs, most likely first. They have no coefficients: score once for the
    /// tokens, then again with them given.
    pub top: Vec<(u32, f32)>, // [n * top]
}

/// What to back-propagate for one row, per scored position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coefficients {
    /// dL/dlogp
    pub logp: Vec<f32>, // [n]
    /// dL/dentropy; empty = all zero.
    pub entropy: Vec<f32>, // [n]
    /// dL/dgiven; empty = all zero.
    pub given: Vec<f32>, // [n * K]
    /// dL/dtail; empty = all zero.
    pub tail: Vec<f32>, // [n]
}

/// AdamW settings of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
    /// Gradients are scaled down to this global L2 norm; 0 = no clipping.
    pub max_grad_norm: f64,
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: f64,
    /// True if the gradient was not finite and the update was skipped.
    pub skipped: bool,
}

/// Two parts of a gradient, over all trained numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    /// L2 norm of the part asked about.
    pub part: f64,
    /// L2 norm of the rest.
    pub rest: f64,
    /// Cosine of the angle between them: below 0 they pull against each other. NaN if one of them is 0.
    pub cosine: f64,
}

/// From the scores of all rows to what shall be back-propagated.
pub type LossFn<'a> = dyn FnMut(&[Scores]) -> Result<Vec<Coefficients>> + 'a;

/// Writes the state it was made of; see [`Engine::snapshot`].
pub type Snapshot = Box<dyn FnOnce() -> Result<()> + Send>;

/// A model that can be sampled from, scored and trained.
pub trait Engine: Send {
    fn info(&self) -> ModelInfo;

    /// Samples with the live weights: `first`, and what `next` asks for whenever a reply has ended, until nothing is
    /// left. What is cached of a conversation lives as long as this call, if memory allows.
    ///
    /// # Errors
    /// A request without context or room, a slot asked for twice at a time, or an error of `next`. A reply that
    /// reaches a limit is no error: see [`Finish`].
    fn sample(&mut self, sampler: &Sampler, first: Vec<SampleRequest>, next: &mut Next) -> Result<()>;

    /// [`Engine::sample`] with other weights.
    fn sample_as(
        &mut self,
        weights: WeightSet,
        sampler: &Sampler,
        first: Vec<SampleRequest>,
        next: &mut Next,
    ) -> Result<()>;

    /// Scores rows without gradient.
    fn score(&mut self, weights: WeightSet, rows: &[ScoreRow], temperature: f32) -> Result<Vec<Scores>>;

    /// Mean over its tokens of the last hidden states (after the final norm) of every row. [rows][D]
    ///
    /// # Errors
    /// An engine that does not give hidden states away, an empty row, or one longer than the context.
    fn embed(&mut self, _weights: WeightSet, _rows: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        anyhow::bail!("this engine gives no hidden states, choose another `skills.retrieval` than `embedding`")
    }

    /// Scores rows with the live weights, asks `loss` for coefficients, and adds the gradient to the
    /// accumulated one.
    fn forward_backward(&mut self, rows: &[ScoreRow], temperature: f32, loss: &mut LossFn) -> Result<()>;

    /// Compares a part of the accumulated gradient with the rest of it: `part` holds those of the coefficients that were
    /// back-propagated for `rows`, and nothing else has been accumulated. Costs as much as [`Engine::forward_backward`] and,
    /// meanwhile, the memory of a second gradient; changes nothing. `None` = this engine cannot tell.
    fn compare(&mut self, _rows: &[ScoreRow], _temperature: f32, _part: Vec<Coefficients>) -> Result<Option<Parts>> {
        Ok(None)
    }

    /// Clips the accumulated gradient, updates the live weights, clears the gradient.
    fn optim_step(&mut self, optim: &AdamW) -> Result<Update>;

    /// Names and shapes of the adapters that are trained, A and B of every matrix in turn; none where all parameters are.
    fn adapters(&self) -> Vec<(String, Vec<usize>)> {
        vec![]
    }

    /// Gives the live adapters these numbers, in the order of [`Engine::adapters`]. Nothing else changes.
    ///
    /// # Errors
    /// There are no adapters, or they have other sizes.
    fn set_adapters(&mut self, _numbers: &[Vec<f32>]) -> Result<()> {
        anyhow::bail!("this engine has no adapters whose numbers can be set")
    }

    /// Takes the accumulated gradient by the adapters, in the order of [`Engine::adapters`], instead of updating by it.
    fn take_gradient(&mut self) -> Result<Vec<Vec<f32>>> {
        anyhow::bail!("this engine does not give its gradient away")
    }

    /// Makes `set` equal to the live weights. It costs memory only from the next update on.
    fn keep(&mut self, set: WeightSet) -> Result<()>;

    /// Makes the live weights equal to `set`, and forgets the optimiser's moments: a second student.
    ///
    /// # Errors
    /// `set` is not kept, or adapters are trained.
    fn restart(&mut self, set: WeightSet) -> Result<()>;

    /// Makes `set` equal to the weights of a folder: a model, or adapters of the same form. A model of another
    /// architecture than the one that is trained can score and sample, but not be mixed or started again from.
    fn keep_folder(&mut self, set: WeightSet, folder: &Path) -> Result<()>;

    /// Makes `into` = (1 - share) * from\[0\] + share * from\[1\], number by number; `share` in [0, 1].
    fn blend(&mut self, into: WeightSet, from: [WeightSet; 2], share: f64) -> Result<()>;

    /// From now on, after every update: `Ema` = decay * `Ema` + (1 - decay) * live; it begins as the live weights
    /// unless it is kept already. `decay` in [0, 1); `None` = no average.
    fn average(&mut self, decay: Option<f64>) -> Result<()>;

    /// Whether `set` can be scored with.
    fn keeps(&self, set: WeightSet) -> bool;

    /// Lets go of `set`.
    fn forget(&mut self, set: WeightSet);

    /// Writes weights (HF folder) and, with `resumable`, optimiser state and kept sets.
    fn save(&self, folder: &Path, resumable: bool) -> Result<()>;

    /// [`Engine::save`] of the present state, to be done later and elsewhere while training goes on. An engine that
    /// cannot copy its state saves now, and leaves nothing to do.
    fn snapshot(&self, folder: &Path, resumable: bool) -> Result<Snapshot> {
        self.save(folder, resumable)?;
        Ok(Box::new(|| Ok(())))
    }

    /// Restores what `save(.., true)` wrote.
    fn restore(&mut self, folder: &Path) -> Result<()>;
}
