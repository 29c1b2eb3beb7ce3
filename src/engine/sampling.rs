//! Sampling: what an engine is asked for, and what it gives back.
//!
//! Replies are sampled side by side, and as soon as one ends, what follows it joins the others: an engine calls back
//! with every finished reply and is given new requests for it. This is also how a remote engine is best used.

use anyhow::Result;

use super::Engine;
use crate::text::Stops;

/// A reply to be sampled after `context`.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRequest {
    /// Names the conversation; at most one request of it may be open. A context that extends the conversation's last
    /// one costs only its new tokens.
    pub slot: usize,
    /// Everything before the reply; not empty.
    pub context: Vec<u32>, // [T]
    /// Most tokens to sample, > 0.
    pub limit: usize,
    /// Seed of this reply: its tokens and numbers depend on it, the context and the weights, and on nothing else, to
    /// the last bit.
    pub seed: u64,
}

/// Which tokens may be drawn, of the temperature-scaled distribution: the `top_k` most likely, of these (renormalised)
/// the fewest that hold `top_p`, and only those at least `min_p` times as likely as the most likely one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filter {
    /// 0 = all.
    pub top_k: usize,
    /// In (0, 1]; 1 = all.
    pub top_p: f32,
    /// In [0, 1]; 0 = all.
    pub min_p: f32,
}

impl Filter {
    /// Every token may be drawn.
    pub const NONE: Filter = Filter { top_k: 0, top_p: 1.0, min_p: 0.0 };
}

/// How to sample.
///
/// What is recorded is always the policy that is trained, the full softmax of logits / temperature. With a filter
/// replies are drawn from a narrower distribution: its log-prob of a token is the recorded one minus `ln` of the
/// [kept mass](Sample::kept), and training treats the replies as if they had come from the full one.
#[derive(Clone, Copy, Debug)]
pub struct Sampler<'a> {
    /// Softmax temperature; 0 = the most likely token, recorded at temperature 1.
    pub temperature: f32,
    pub filter: Filter,
    /// What closes a reply.
    pub stops: &'a Stops<'a>,
    /// Most likely tokens recorded at every position (K); 0 = none.
    pub top: usize,
    /// Most tokens of context and reply together; the model's own limit holds as well. 0 = only the model's.
    pub longest: usize,
    /// Most replies sampled side by side; 0 = all that are asked for.
    pub concurrent: usize,
    /// Most memory of the KV cache in bytes; 0 = no limit. Replies that do not fit wait; a single one always runs.
    pub cache_bytes: usize,
}

impl<'a> Sampler<'a> {
    /// From the full distribution, with no other limits than those of the requests.
    pub fn new(temperature: f32, stops: &'a Stops<'a>) -> Self {
        Self { temperature, filter: Filter::NONE, stops, top: 0, longest: 0, concurrent: 0, cache_bytes: 0 }
    }
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// By a stop token or a stop string.
    #[default]
    Stop,
    /// The request's limit was reached.
    Length,
    /// Context and reply together have reached the longest row.
    Context,
}

/// A sampled reply, n tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// What closed it included. Empty only if the context itself leaves no room.
    pub ids: Vec<u32>, // [n]
    /// Log-prob of each under the temperature-scaled policy.
    pub logp: Vec<f32>, // [n]
    /// Entropy of the same distribution in nats.
    pub entropy: Vec<f32>, // [n]
    /// Probability of all tokens that the filter let through; empty without a filter.
    pub kept: Vec<f32>, // [n]
    /// The K most likely tokens of each position and their log-probs, most likely first.
    pub top: Vec<(u32, f32)>, // [n * K]
    pub finish: Finish,
}

impl Sample {
    /// Whether a stop token or string closed it.
    pub fn closed(&self) -> bool {
        self.finish == Finish::Stop
    }
}

/// A reply that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    pub slot: usize,
    pub sample: Sample,
}

/// Takes a finished reply, gives what is to be sampled next: usually the same conversation's next reply, or nothing.
pub type Next<'a> = dyn FnMut(Finished) -> Result<Vec<SampleRequest>> + 'a;

/// Samples requests that nothing follows; the samples stand in their order.
pub fn sample_all(engine: &mut dyn Engine, sampler: &Sampler, requests: Vec<SampleRequest>) -> Result<Vec<Sample>> {
    let slots: Vec<usize> = requests.iter().map(|r| r.slot).collect();
    let mut samples = vec![Sample::default(); slots.len()];
    engine.sample(sampler, requests, &mut |finished| {
        // a slot is open once, so its place is found
        if let Some(at) = slots.iter().position(|slot| *slot == finished.slot) {
            samples[at] = finished.sample;
        }
        Ok(vec![])
    })?;
    Ok(samples)
}
