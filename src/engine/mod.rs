//! The engine: everything that needs the model's weights, behind one small trait.
//!
//! It never knows the method. A loss reaches it only as coefficients `dL/dlp` and `dL/dH` per token, which is
//! all any objective of this family needs (chain rule), and what a remote engine can also be asked for.

pub mod candle;

use std::path::Path;

use anyhow::Result;

/// Facts of a loaded model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// e.g. `Qwen3 4L d128`.
    pub name: String,
    /// Trainable numbers.
    pub parameters: u64,
    /// Tokens in the output distribution.
    pub vocab: usize,
    /// Longest row the model can be given.
    pub context: usize,
    /// `cpu` or `cuda:0`.
    pub device: String,
}

/// A set of weights by role. Only `Live` is trained; the others are copies of it at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WeightSet {
    /// The weights being trained.
    Live,
    /// Live as it was when the current step began (the behaviour policy; SDAR's teacher).
    StepStart,
    /// Live as it was when the run began (frozen reference).
    Reference,
}

/// A reply to be sampled after `context`.
#[derive(Clone, Debug)]
pub struct SampleRequest<'a> {
    /// Names the KV cache row; a context that extends what the slot has seen costs only its new tokens.
    pub slot: usize,
    /// Everything before the reply.
    pub context: &'a [u32],
    /// Most tokens to sample.
    pub limit: usize,
    /// Softmax temperature; 0 = greedy.
    pub temperature: f32,
    /// Sampling closes after any of these tokens.
    pub stop: &'a [u32],
    /// Seed of this reply; the result depends on nothing else but context and weights.
    pub seed: u64,
}

/// A sampled reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Sampled tokens, the stop token included.
    pub ids: Vec<u32>,
    /// Log-prob of each under the temperature-scaled policy.
    pub logp: Vec<f32>,
    /// Whether a stop token closed it (else the limit did).
    pub closed: bool,
}

/// A row to be scored: log-probs are wanted where `mask` is true.
#[derive(Clone, Copy, Debug)]
pub struct ScoreRow<'a> {
    pub ids: &'a [u32],   // [T]
    pub mask: &'a [bool], // [T]; position 0 is never scored
}

/// Scores of one row at its masked positions, in order: `n` = number of true mask entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// log pi(ids[t] | ids[..t]) of the temperature-scaled policy. [n]
    pub logp: Vec<f32>,
    /// Entropy of the same distribution in nats. [n]
    pub entropy: Vec<f32>,
}

/// What to back-propagate for one row, per masked position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coefficients {
    /// dL/dlogp [n]
    pub logp: Vec<f32>,
    /// dL/dentropy [n]; empty = all zero
    pub entropy: Vec<f32>,
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

/// From the scores of all rows to what shall be back-propagated.
pub type LossFn<'a> = dyn FnMut(&[Scores]) -> Result<Vec<Coefficients>> + 'a;

/// Writes the state it was made of; see [`Engine::snapshot`].
pub type Snapshot = Box<dyn FnOnce() -> Result<()> + Send>;

/// A model that can be sampled from, scored and trained.
pub trait Engine: Send {
    fn info(&self) -> ModelInfo;

    /// Samples all requests concurrently with the live weights.
    fn sample(&mut self, requests: &[SampleRequest]) -> Result<Vec<Sample>>;

    /// Forgets the KV cache of every slot.
    fn release(&mut self);

    /// Scores rows without gradient.
    fn score(&mut self, weights: WeightSet, rows: &[ScoreRow], temperature: f32) -> Result<Vec<Scores>>;

    /// Scores rows with the live weights, asks `loss` for coefficients, and adds the gradient to the
    /// accumulated one.
    fn forward_backward(&mut self, rows: &[ScoreRow], temperature: f32, loss: &mut LossFn) -> Result<()>;

    /// Clips the accumulated gradient, updates the live weights, clears the gradient.
    fn optim_step(&mut self, optim: &AdamW) -> Result<Update>;

    /// Makes `set` equal to the live weights.
    fn keep(&mut self, set: WeightSet) -> Result<()>;

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
