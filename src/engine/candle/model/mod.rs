//! The decoder of all supported families (see [`super::arch`]).

mod back;
mod packed;

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

pub(super) use self::back::add;
pub(super) use self::packed::Packed;
use super::arch::Architecture;
use super::attention::{Heads, attention};
use super::cached;
use super::kv::{CacheShape, Sequence, Store};
use super::layout::Projection::{Down, Gate, K, O, Q, Up, V};
use super::layout::{Layer, Layout, Names, Projection};
use super::lora;
use super::ops::{self, Product, Rope};
use super::plain::{self, Step};
use super::ready::Sampled;
pub(super) use super::weights::Weights;

/// Accumulated gradients in the order of [`Weights`]; `None` = nothing yet.
pub(super) type Gradients = Vec<Option<Tensor>>;

/// Architecture and the tables that depend on it alone.
#[derive(Clone)]
pub(super) struct Decoder {
    pub config: Architecture,
    layout: Arc<Layout>,
    rope: Arc<Rope>,
}

/// What a layer's backward pass needs.
struct Saved {
    h: Tensor,              // layer input [N, D]
    inv1: Option<Tensor>,   // [N], or nothing
    x: Tensor,              // normed input [N, D]
    q_norm: Option<Normed>, // of [N, H, E]
    k_norm: Option<Normed>, // of [N, J, E]
    q: Tensor,              // normed and rotated
    k: Tensor,              // normed and rotated
    v: Tensor,              // [N, J, E]
    o: Tensor,              // [N, H*E]
    lse: Vec<f32>,          // [H, N], or nothing
    mid: Tensor,            // after attention [N, D]
    inv2: Option<Tensor>,   // [N], or nothing
    y: Tensor,              // normed [N, D]
    gate: Tensor,           // [N, F]
    up: Tensor,             // [N, F]
}

/// Input of a norm over heads and 1/rms of each, or nothing.
struct Normed {
    raw: Tensor,
    inv: Option<Tensor>,
}

/// Queries, keys and values of a layer, ready for attention.
struct Qkv {
    q: Tensor, // [N, H, E]
    k: Tensor, // [N, J, E]
    v: Tensor, // [N, J, E]
    q_norm: Option<Normed>,
    k_norm: Option<Normed>,
}

/// How much of a forward pass is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Everything the backward pass needs.
    All,
    /// Every layer's input; the backward pass runs the layer again.
    Inputs,
    /// Nothing: there will be no backward pass.
    Nothing,
}

/// What is kept of a layer.
enum Kept {
    All(Box<Saved>),
    Input(Tensor), // [N, D]
}

/// A forward pass that can be gone back through.
pub(super) struct Tape {
    layers: Vec<Kept>,
    last: Tensor,        // input of the final norm [N, D]
    inv: Option<Tensor>, // [N], or nothing
    /// Output of the final norm [N, D].
    pub hidden: Tensor,
}

impl Decoder {
    pub fn new(config: Architecture) -> Self {
        let rope = Rope::new(config.max_position_embeddings, &config.frequencies());
        Self { layout: Arc::new(Layout::new(&config)), config, rope: Arc::new(rope) }
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Names and shapes of all tensors, Hugging Face style.
    pub fn names(&self) -> Names {
        self.layout.names.clone()
    }

    /// Place of the output matrix [V, D].
    pub fn head(&self) -> usize {
        self.layout.head
    }

    /// Whether anything is multiplied by the matrix at `place`, which rows are looked up in otherwise.
    pub fn multiplies(&self, place: usize) -> bool {
        place != self.layout.embed || place == self.layout.head
    }

    fn heads(&self) -> Heads {
        let c = &self.config;
        Heads { query: c.num_attention_heads, kv: c.num_key_value_heads, size: c.head_dim }
    }

    fn norm(&self, w: &Weights, place: usize, x: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        ops::rms_norm(x, &w[place], self.config.rms_norm_eps)
    }

    /// Weight and epsilon of the norm at `place`.
    fn normed<'w>(&self, w: &'w Weights, place: usize) -> (&'w Tensor, f64) {
        (&w[place], self.config.rms_norm_eps)
    }

    /// The norm over heads, where the architecture has one.
    fn head_norm(&self, w: &Weights, place: Option<usize>, x: Tensor) -> Result<(Tensor, Option<Normed>)> {
        let Some(place) = place else { return Ok((x, None)) };
        let (y, inv) = self.norm(w, place, &x)?;
        Ok((y, Some(Normed { raw: x, inv })))
    }

    /// x [N, in] -> [N, out]. Every matrix of every layer is applied here, in training as in sampling, each by its
    /// own kind of `product`; where it has an adapter, that is added.
    fn project(&self, w: &Weights, layer: &Layer, p: Projection, x: &Tensor, product: Product) -> Result<Tensor> {
        let mut y = product(x, layer.weight(p))?;
        if let Some(bias) = layer.bias(p) {
            y = ops::add_bias(y, &w[bias])?;
        }
        match w.adapter(layer.weight(p)) {
            Some(adapter) => lora::forward(&adapter, x, y, product),
            None => Ok(y),
        }
    }

    /// From what a layer's first three matrices give to what attention takes.
    fn qkv(&self, w: &Weights, layer: &Layer, [q, k, v]: [Tensor; 3], input: &Packed) -> Result<Qkv> {
        let Heads { query, kv, size } = self.heads();
        let n = input.ids.len();
        let q = q.reshape((n, query, size))?;
        let k = k.reshape((n, kv, size))?;
        let v = v.reshape((n, kv, size))?;
        let (q, q_norm) = self.head_norm(w, layer.q_norm, q)?;
        let (k, k_norm) = self.head_norm(w, layer.k_norm, k)?;
        let q = self.rope.rotate(q, input, 1.0)?;
        let k = self.rope.rotate(k, input, 1.0)?;
        Ok(Qkv { q, k, v, q_norm, k_norm })
    }

    /// Runs the packed rows and keeps as much for the backward pass as `keep` says.
    pub fn forward(&self, w: &Weights, input: &Packed, keep: Keep) -> Result<Tape> {
        let mut h = ops::embed(&w[self.layout.embed], input)?;
        let mut layers = Vec::with_capacity(self.config.num_hidden_layers);
        for layer in &self.layout.layers {
            let saved = self.layer_forward(w, layer, h, input)?;
            h = self.layer_output(w, layer, &saved)?;
            match keep {
                Keep::All => layers.push(Kept::All(Box::new(saved))),
                Keep::Inputs => layers.push(Kept::Input(saved.h)),
                Keep::Nothing => {}
            }
        }
        let (hidden, inv) = self.norm(w, self.layout.final_norm, &h)?;
        Ok(Tape { layers, last: h, inv, hidden })
    }

    /// Everything of a layer but its output, from its input h [N, D].
    fn layer_forward(&self, w: &Weights, layer: &Layer, h: Tensor, input: &Packed) -> Result<Saved> {
        let project = |p, x: &Tensor| self.project(w, layer, p, x, &|x, place| ops::linear(x, &w[place]));
        let (x, inv1) = self.norm(w, layer.norm1, &h)?;
        let qkv = [project(Q, &x)?, project(K, &x)?, project(V, &x)?];
        let Qkv { q, k, v, q_norm, k_norm } = self.qkv(w, layer, qkv, input)?;
        let (o, lse) = attention(&q, &k, &v, input, self.heads())?;
        let mid = ops::add_into(project(O, &o)?, &h)?;
        let (y, inv2) = self.norm(w, layer.norm2, &mid)?;
        let (gate, up) = (project(Gate, &y)?, project(Up, &y)?);
        Ok(Saved { h, inv1, x, q_norm, k_norm, q, k, v, o, lse, mid, inv2, y, gate, up })
    }

    fn layer_output(&self, w: &Weights, layer: &Layer, s: &Saved) -> Result<Tensor> {
        let act = ops::swiglu(&s.gate, &s.up)?;
        ops::add_into(self.project(w, layer, Down, &act, &|x, place| ops::linear(x, &w[place]))?, &s.mid)
    }

    /// Runs new tokens against their sequences' caches: `caches[i]` belongs to segment i and already counts its new
    /// tokens. Returns the final hidden state [N, D]. A row's result is the same to the last bit whatever other rows
    /// are beside it, and in however many calls its tokens are run.
    pub fn decode(&self, from: Sampled, input: &Packed, caches: &mut [&mut Sequence], store: &Store) -> Result<Tensor> {
        let w = from.weights;
        let step = store.pool().map(|pool| Step::new(pool, input, caches, self.heads())).transpose()?;
        let product = |x: &Tensor, place| from.product(x, place);
        let shape = self.cache_shape();
        let mut h = ops::embed(&w[self.layout.embed], input)?;
        for (index, layer) in self.layout.layers.iter().enumerate() {
            let (x, _) = self.norm(w, layer.norm1, &h)?;
            let project = |p, x: &Tensor| self.project(w, layer, p, x, &product);
            let qkv = several([Q, K, V], &x, from.meeting.is_some(), project)?;
            let Qkv { q, k, v, .. } = self.qkv(w, layer, qkv, input)?;
            let o = if let Some(step) = &step {
                step.append(index, &k, &v)?;
                step.attend(index, &q)?
            } else {
                cached::append(caches, shape, index, &input.segments, [&k, &v])?;
                cached::attend(&q, caches, shape, index, input, self.heads())?
            };
            h = ops::add_into(project(O, &o)?, &h)?;
            let (y, _) = self.norm(w, layer.norm2, &h)?;
            let [gate, up] = several([Gate, Up], &y, from.meeting.is_some(), project)?;
            let act = ops::swiglu(&gate, &up)?;
            h = ops::add_into(project(Down, &act)?, &h)?;
        }
        Ok(self.norm(w, self.layout.final_norm, &h)?.0)
    }

    /// What decides the size of a KV cache.
    pub fn cache_shape(&self) -> CacheShape {
        let c = &self.config;
        CacheShape { layers: c.num_hidden_layers, heads: c.num_key_value_heads, size: c.head_dim }
    }
}

/// Several products of the same rows. On the CPU at the same time: one alone keeps the threads waiting for each other
/// too often. Parts that multiply `together` keep to one order instead.
fn several<const N: usize>(
    which: [Projection; N],
    x: &Tensor,
    together: bool,
    project: impl Fn(Projection, &Tensor) -> Result<Tensor> + Sync,
) -> Result<[Tensor; N]> {
    let all: Result<Vec<Tensor>> = match together || plain::is(x) {
        true => which.into_iter().map(|p| project(p, x)).collect(),
        false => which.into_par_iter().with_max_len(1).map(|p| project(p, x)).collect(),
    };
    Ok(all?.try_into().expect("as many as were asked for"))
}
