//! Batched sampling with a KV cache per slot.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use candle_core::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::attention::LayerCache;
use super::cpu;
use super::dot::dot_product;
use super::model::{Decoder, Packed, Weights};
use super::ops::host;
use crate::core::rng;
use crate::engine::{Sample, SampleRequest};

/// New tokens run through the model at once while prompts are read.
const PREFILL_TOKENS: usize = 4096;

/// Cached sequences by slot.
#[derive(Default)]
pub(super) struct Slots {
    caches: BTreeMap<usize, Slot>,
}

/// Keys and values of the tokens `ids`.
#[derive(Clone, Default)]
struct Slot {
    ids: Vec<u32>,
    layers: Vec<LayerCache>,
}

/// A request on its way: what it has sampled and its random stream.
struct Open<'a> {
    request: &'a SampleRequest<'a>,
    slot: Slot,
    sample: Sample,
    rng: ChaCha8Rng,
    done: bool,
}

impl Slots {
    pub fn sample(&mut self, decoder: &Decoder, w: &Weights, requests: &[SampleRequest]) -> Result<Vec<Sample>> {
        let context = decoder.config.max_position_embeddings;
        let mut open = Vec::with_capacity(requests.len());
        for request in requests {
            ensure!(
                !request.context.is_empty() && request.limit > 0,
                "a sample request needs a context and a limit above 0"
            );
            ensure!(
                request.context.len() + request.limit <= context,
                "{} prompt tokens and {} new ones exceed the model's context of {context}",
                request.context.len(),
                request.limit
            );
            let slot = self.caches.remove(&request.slot).unwrap_or_default().reuse(request.context, decoder);
            let rng = rng::stream(request.seed, "sample", &[]);
            let sample = Sample { ids: vec![], logp: vec![], closed: false };
            open.push(Open { request, slot, sample, rng, done: false });
        }
        let mut hidden = prefill(decoder, w, &mut open)?;
        loop {
            choose(&mut open, &hidden, &w[decoder.head()])?;
            let mut live: Vec<&mut Open> = open.iter_mut().filter(|o| !o.done).collect();
            if live.is_empty() {
                break;
            }
            hidden = advance(decoder, w, &mut live)?;
        }
        let mut samples = Vec::with_capacity(open.len());
        for o in open {
            self.caches.insert(o.request.slot, o.slot);
            samples.push(o.sample);
        }
        Ok(samples)
    }
}

impl Slot {
    /// Keeps what is cached of a prefix of `context`; at least its last token is left to be run.
    fn reuse(mut self, context: &[u32], decoder: &Decoder) -> Self {
        let c = &decoder.config;
        let width = c.num_key_value_heads * c.head_dim;
        let same = self.ids.iter().zip(context).take_while(|(a, b)| a == b).count().min(context.len() - 1);
        self.ids.truncate(same);
        self.layers.resize_with(c.num_hidden_layers, LayerCache::default);
        for layer in &mut self.layers {
            layer.k.truncate(same * width);
            layer.v.truncate(same * width);
        }
        self
    }
}

/// Runs what is not cached of every context. Returns the hidden state that predicts the next token, [R, D].
fn prefill(decoder: &Decoder, w: &Weights, open: &mut [Open]) -> Result<Vec<f32>> {
    let d = decoder.config.hidden_size;
    // Members of a group share their first prompt: run it once and copy the cache.
    let twin: Vec<Option<usize>> = (0..open.len())
        .map(|i| {
            let same = |j: &usize| {
                open[*j].request.context == open[i].request.context && open[*j].slot.ids == open[i].slot.ids
            };
            (0..i).find(same)
        })
        .collect();
    let mut hidden = vec![0f32; open.len() * d];
    let firsts: Vec<usize> = (0..open.len()).filter(|&i| twin[i].is_none()).collect();
    let mut at = 0;
    while at < firsts.len() {
        let mut end = at;
        let mut tokens = 0;
        let mut input = Packed::new([]);
        while end < firsts.len() && (end == at || tokens < PREFILL_TOKENS) {
            let o = &open[firsts[end]];
            let new = &o.request.context[o.slot.ids.len()..];
            input.push(new, o.slot.ids.len());
            tokens += new.len();
            end += 1;
        }
        let chosen = &firsts[at..end];
        let mut caches: Vec<&mut Vec<LayerCache>> =
            open.iter_mut().enumerate().filter(|(i, _)| chosen.contains(i)).map(|(_, o)| &mut o.slot.layers).collect();
        let states = decoder.decode(w, &input, &mut caches)?;
        let states = host(&states)?;
        for (&i, segment) in chosen.iter().zip(&input.segments) {
            hidden[i * d..(i + 1) * d].copy_from_slice(&states[(segment.end - 1) * d..segment.end * d]);
            open[i].slot.ids = open[i].request.context.to_vec();
        }
        at = end;
    }
    for i in 0..open.len() {
        if let Some(first) = twin[i] {
            open[i].slot = open[first].slot.clone();
            hidden.copy_within(first * d..(first + 1) * d, i * d);
        }
    }
    Ok(hidden)
}

/// Draws the next token of every open request from its hidden state; `hidden` has one row per open request.
fn choose(open: &mut [Open], hidden: &[f32], head: &Tensor) -> Result<()> {
    let (v, d) = head.dims2()?;
    let e = host(head)?;
    let mut logits = vec![0f32; hidden.len() / d * v];
    dot_product(hidden, &e, d, &mut logits);
    for (o, row) in open.iter_mut().filter(|o| !o.done).zip(logits.chunks_exact_mut(v)) {
        let (id, logp) = draw(row, o.request.temperature, &mut o.rng);
        o.sample.ids.push(id);
        o.sample.logp.push(logp);
        o.sample.closed = o.request.stop.contains(&id);
        o.done = o.sample.closed || o.sample.ids.len() == o.request.limit;
    }
    Ok(())
}

/// One token and its log-prob under softmax(logits / temperature); temperature 0 takes the most likely token
/// and reports its log-prob at temperature 1.
fn draw(logits: &mut [f32], temperature: f32, rng: &mut ChaCha8Rng) -> (u32, f32) {
    if temperature > 0.0 && temperature != 1.0 {
        logits.iter_mut().for_each(|z| *z /= temperature);
    }
    let (lse, _) = cpu::log_partition(logits);
    let mut best = 0;
    if temperature == 0.0 {
        best = (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
    } else {
        let mut left = rng.random::<f32>();
        for (i, &z) in logits.iter().enumerate() {
            let p = (z - lse).exp();
            if p > 0.0 {
                best = i; // the last possible token takes what rounding leaves over
            }
            left -= p;
            if left < 0.0 {
                break;
            }
        }
    }
    (best as u32, logits[best] - lse)
}

/// Runs the token each live request drew last. Returns hidden states in the same order, [R, D].
fn advance(decoder: &Decoder, w: &Weights, live: &mut [&mut Open]) -> Result<Vec<f32>> {
    let mut input = Packed::new([]);
    for o in live.iter_mut() {
        // `choose` has just pushed one token to every live request.
        let last = *o.sample.ids.last().unwrap_or(&0);
        input.push(&[last], o.slot.ids.len());
        o.slot.ids.push(last);
    }
    let mut caches: Vec<&mut Vec<LayerCache>> = live.iter_mut().map(|o| &mut o.slot.layers).collect();
    Ok(host(&decoder.decode(w, &input, &mut caches)?)?.to_vec())
}
