//! The decoder (Qwen3 style: RMSNorm, RoPE, grouped-query attention with QK-norm, SwiGLU) with its backward pass.
//!
//! The backward pass is written out instead of using candle's autograd: several candle ops drop gradients
//! without a word, and an explicit pass saves its zero-fill and add per node.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_transformers::models::qwen3::Config;

use super::attention::{AttentionSaved, CachedQuery, Heads, LayerCache, attention, attention_grad, cached_attention};
use super::ops::{self, Rope};

/// Trainable tensors in the order of [`Decoder::names`]. Cloning shares storage.
pub(super) type Weights = Vec<Tensor>;

/// Accumulated gradients, same order; `None` = nothing yet.
pub(super) type Gradients = Vec<Option<Tensor>>;

/// Places of one layer's tensors in [`Weights`].
#[derive(Clone, Copy)]
struct Layer {
    first: usize,
}

/// Offsets inside a layer, in the order of [`LAYER_NAMES`].
const NORM1: usize = 0;
const Q: usize = 1;
const K: usize = 2;
const V: usize = 3;
const Q_NORM: usize = 4;
const K_NORM: usize = 5;
const O: usize = 6;
const NORM2: usize = 7;
const GATE: usize = 8;
const UP: usize = 9;
const DOWN: usize = 10;
const LAYER_NAMES: [&str; 11] = [
    "input_layernorm",
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.q_norm",
    "self_attn.k_norm",
    "self_attn.o_proj",
    "post_attention_layernorm",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];
const EMBED: usize = 0;

/// Architecture and the tables that depend on it alone.
#[derive(Clone)]
pub(super) struct Decoder {
    pub config: Config,
    rope: Arc<Rope>,
}

/// Packed input of a forward pass: sequences end to end.
pub(super) struct Packed {
    pub ids: Vec<u32>,               // [N]
    pub positions: Vec<u32>,         // [N]
    pub segments: Vec<Range<usize>>, // one per sequence
}

impl Packed {
    pub fn new<'a>(rows: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut packed = Self { ids: vec![], positions: vec![], segments: vec![] };
        for row in rows {
            packed.push(row, 0);
        }
        packed
    }

    /// Adds `ids` that stand at `offset` of their sequence.
    pub fn push(&mut self, ids: &[u32], offset: usize) {
        let start = self.ids.len();
        self.ids.extend_from_slice(ids);
        self.positions.extend((0..ids.len()).map(|i| (offset + i) as u32));
        self.segments.push(start..self.ids.len());
    }
}

/// What a layer's backward pass needs.
struct Saved {
    h: Tensor,       // layer input [N, D]
    inv1: Vec<f32>,  // [N]
    x: Tensor,       // normed input [N, D]
    q_raw: Tensor,   // [N, H, E]
    k_raw: Tensor,   // [N, J, E]
    q_inv: Vec<f32>, // [N*H]
    k_inv: Vec<f32>, // [N*J]
    q: Tensor,       // normed and rotated
    k: Tensor,       // normed and rotated
    v: Tensor,       // [N, J, E]
    o: Tensor,       // [N, H*E]
    lse: Vec<f32>,   // [H, N]
    mid: Tensor,     // after attention [N, D]
    inv2: Vec<f32>,  // [N]
    y: Tensor,       // normed [N, D]
    gate: Tensor,    // [N, F]
    up: Tensor,      // [N, F]
}

/// A forward pass that can be gone back through.
pub(super) struct Tape {
    layers: Vec<Saved>,
    last: Tensor,  // input of the final norm [N, D]
    inv: Vec<f32>, // [N]
    /// Output of the final norm [N, D].
    pub hidden: Tensor,
}

impl Decoder {
    pub fn new(config: Config) -> Self {
        let rope = Rope::new(config.max_position_embeddings, config.head_dim, config.rope_theta);
        Self { config, rope: Arc::new(rope) }
    }

    /// Names and shapes of all trainable tensors, Hugging Face style.
    pub fn names(&self) -> Vec<(String, Vec<usize>)> {
        let c = &self.config;
        let (d, f, e) = (c.hidden_size, c.intermediate_size, c.head_dim);
        let (q, kv) = (c.num_attention_heads * e, c.num_key_value_heads * e);
        let shapes: [Vec<usize>; 11] = [
            vec![d],
            vec![q, d],
            vec![kv, d],
            vec![kv, d],
            vec![e],
            vec![e],
            vec![d, q],
            vec![d],
            vec![f, d],
            vec![f, d],
            vec![d, f],
        ];
        let mut names = vec![("model.embed_tokens.weight".to_string(), vec![c.vocab_size, d])];
        for layer in 0..c.num_hidden_layers {
            for (name, shape) in LAYER_NAMES.iter().zip(&shapes) {
                names.push((format!("model.layers.{layer}.{name}.weight"), shape.clone()));
            }
        }
        names.push(("model.norm.weight".to_string(), vec![d]));
        if !c.tie_word_embeddings {
            names.push(("lm_head.weight".to_string(), vec![c.vocab_size, d]));
        }
        names
    }

    fn layer(&self, index: usize) -> Layer {
        Layer { first: 1 + index * LAYER_NAMES.len() }
    }

    fn final_norm(&self) -> usize {
        1 + self.config.num_hidden_layers * LAYER_NAMES.len()
    }

    /// Place of the output matrix [V, D]: the embedding itself when tied.
    pub fn head(&self) -> usize {
        if self.config.tie_word_embeddings { EMBED } else { self.final_norm() + 1 }
    }

    fn heads(&self) -> Heads {
        let c = &self.config;
        Heads { query: c.num_attention_heads, kv: c.num_key_value_heads, size: c.head_dim }
    }

    /// Runs the packed rows and keeps what the backward pass needs.
    pub fn forward(&self, w: &Weights, input: &Packed) -> Result<Tape> {
        let mut h = ops::embed(&w[EMBED], &input.ids)?;
        let mut layers = Vec::with_capacity(self.config.num_hidden_layers);
        for index in 0..self.config.num_hidden_layers {
            let (saved, next) = self.layer_forward(w, self.layer(index), h, input)?;
            layers.push(saved);
            h = next;
        }
        let (hidden, inv) = ops::rms_norm(&h, &w[self.final_norm()], self.config.rms_norm_eps)?;
        Ok(Tape { layers, last: h, inv, hidden })
    }

    fn layer_forward(&self, w: &Weights, layer: Layer, h: Tensor, input: &Packed) -> Result<(Saved, Tensor)> {
        let at = |i: usize| &w[layer.first + i];
        let eps = self.config.rms_norm_eps;
        let n = input.ids.len();
        let Heads { query, kv, size } = self.heads();
        let (x, inv1) = ops::rms_norm(&h, at(NORM1), eps)?;
        let q_raw = ops::linear(&x, at(Q))?.reshape((n, query, size))?;
        let k_raw = ops::linear(&x, at(K))?.reshape((n, kv, size))?;
        let v = ops::linear(&x, at(V))?.reshape((n, kv, size))?;
        let (q, q_inv) = ops::rms_norm(&q_raw, at(Q_NORM), eps)?;
        let (k, k_inv) = ops::rms_norm(&k_raw, at(K_NORM), eps)?;
        let q = self.rope.rotate(&q, &input.positions, 1.0)?;
        let k = self.rope.rotate(&k, &input.positions, 1.0)?;
        let (o, lse) = attention(&q, &k, &v, &input.segments, self.heads())?;
        let mid = ops::add(&h, &ops::linear(&o, at(O))?)?;
        let (y, inv2) = ops::rms_norm(&mid, at(NORM2), eps)?;
        let (gate, up) = (ops::linear(&y, at(GATE))?, ops::linear(&y, at(UP))?);
        let next = ops::add(&mid, &ops::linear(&ops::swiglu(&gate, &up)?, at(DOWN))?)?;
        let saved = Saved { h, inv1, x, q_raw, k_raw, q_inv, k_inv, q, k, v, o, lse, mid, inv2, y, gate, up };
        Ok((saved, next))
    }

    /// Adds the gradient for upstream `g` = dL/dhidden [N, D] into `grads`.
    pub fn backward(&self, w: &Weights, input: &Packed, tape: Tape, g: &Tensor, grads: &mut Gradients) -> Result<()> {
        let norm = self.final_norm();
        let (mut dh, dw) = ops::rms_norm_grad(&tape.last, &w[norm], &tape.inv, g)?;
        add(grads, norm, dw)?;
        for (index, saved) in tape.layers.into_iter().enumerate().rev() {
            dh = self.layer_backward(w, self.layer(index), &saved, &dh, input, grads)?;
        }
        let mut table = match grads[EMBED].take() {
            Some(t) => t.flatten_all()?.to_vec1()?,
            None => vec![0f32; w[EMBED].elem_count()],
        };
        ops::embed_grad(&mut table, &input.ids, &dh)?;
        grads[EMBED] = Some(ops::tensor(table, w[EMBED].shape())?);
        Ok(())
    }

    fn layer_backward(
        &self,
        w: &Weights,
        layer: Layer,
        s: &Saved,
        dh: &Tensor,
        input: &Packed,
        grads: &mut Gradients,
    ) -> Result<Tensor> {
        let at = |i: usize| &w[layer.first + i];
        let mut put = |i: usize, g: Tensor| add(grads, layer.first + i, g);
        let n = input.ids.len();
        // feed-forward: next = mid + down(swiglu(gate(y), up(y)))
        let act = ops::swiglu(&s.gate, &s.up)?;
        put(DOWN, ops::linear_grad_weight(dh, &act)?)?;
        let (dgate, dup) = ops::swiglu_grad(&s.gate, &s.up, &ops::linear_grad_input(dh, at(DOWN))?)?;
        put(GATE, ops::linear_grad_weight(&dgate, &s.y)?)?;
        put(UP, ops::linear_grad_weight(&dup, &s.y)?)?;
        let dy = ops::add(&ops::linear_grad_input(&dgate, at(GATE))?, &ops::linear_grad_input(&dup, at(UP))?)?;
        let (dmid, dw) = ops::rms_norm_grad(&s.mid, at(NORM2), &s.inv2, &dy)?;
        put(NORM2, dw)?;
        let dmid = ops::add(&dmid, dh)?;
        // attention: mid = h + o_proj(attention(...))
        put(O, ops::linear_grad_weight(&dmid, &s.o)?)?;
        let dout = ops::linear_grad_input(&dmid, at(O))?;
        let saved = AttentionSaved { q: &s.q, k: &s.k, v: &s.v, o: &s.o, lse: &s.lse };
        let [dq, dk, dv] = attention_grad(&saved, &dout, &input.segments, self.heads())?;
        let dq = self.rope.rotate(&dq, &input.positions, -1.0)?;
        let dk = self.rope.rotate(&dk, &input.positions, -1.0)?;
        let (dq, dw) = ops::rms_norm_grad(&s.q_raw, at(Q_NORM), &s.q_inv, &dq)?;
        put(Q_NORM, dw)?;
        let (dk, dw) = ops::rms_norm_grad(&s.k_raw, at(K_NORM), &s.k_inv, &dk)?;
        put(K_NORM, dw)?;
        let (dq, dk, dv) = (dq.reshape((n, ()))?, dk.reshape((n, ()))?, dv.reshape((n, ()))?);
        put(Q, ops::linear_grad_weight(&dq, &s.x)?)?;
        put(K, ops::linear_grad_weight(&dk, &s.x)?)?;
        put(V, ops::linear_grad_weight(&dv, &s.x)?)?;
        let dx = ops::add(&ops::linear_grad_input(&dq, at(Q))?, &ops::linear_grad_input(&dk, at(K))?)?;
        let dx = ops::add(&dx, &ops::linear_grad_input(&dv, at(V))?)?;
        let (dx, dw) = ops::rms_norm_grad(&s.h, at(NORM1), &s.inv1, &dx)?;
        put(NORM1, dw)?;
        ops::add(&dmid, &dx)
    }

    /// Runs new tokens against their sequences' caches, which grow by them. `caches[i]` (one entry per layer)
    /// belongs to segment i. Returns the final hidden state [N, D].
    pub fn decode(&self, w: &Weights, input: &Packed, caches: &mut [&mut Vec<LayerCache>]) -> Result<Tensor> {
        let eps = self.config.rms_norm_eps;
        let n = input.ids.len();
        let Heads { query, kv, size } = self.heads();
        let mut h = ops::embed(&w[EMBED], &input.ids)?;
        for index in 0..self.config.num_hidden_layers {
            let layer = self.layer(index);
            let at = |i: usize| &w[layer.first + i];
            let (x, _) = ops::rms_norm(&h, at(NORM1), eps)?;
            let q = ops::linear_by_row(&x, at(Q))?.reshape((n, query, size))?;
            let k = ops::linear_by_row(&x, at(K))?.reshape((n, kv, size))?;
            let v = ops::linear_by_row(&x, at(V))?;
            let q = self.rope.rotate(&ops::rms_norm(&q, at(Q_NORM), eps)?.0, &input.positions, 1.0)?;
            let k = self.rope.rotate(&ops::rms_norm(&k, at(K_NORM), eps)?.0, &input.positions, 1.0)?;
            extend(caches, index, &input.segments, &k, &v, kv * size)?;
            let queries: Vec<CachedQuery> = input
                .segments
                .iter()
                .zip(caches.iter())
                .map(|(segment, cache)| CachedQuery { segment: segment.clone(), cache: &cache[index] })
                .collect();
            let o = cached_attention(&q, &queries, self.heads())?;
            h = ops::add(&h, &ops::linear_by_row(&o, at(O))?)?;
            let (y, _) = ops::rms_norm(&h, at(NORM2), eps)?;
            let act = ops::swiglu(&ops::linear_by_row(&y, at(GATE))?, &ops::linear_by_row(&y, at(UP))?)?;
            h = ops::add(&h, &ops::linear_by_row(&act, at(DOWN))?)?;
        }
        Ok(ops::rms_norm(&h, &w[self.final_norm()], eps)?.0)
    }
}

/// Appends the new keys and values of every segment to its cache.
fn extend(
    caches: &mut [&mut Vec<LayerCache>],
    layer: usize,
    segments: &[Range<usize>],
    k: &Tensor,
    v: &Tensor,
    width: usize,
) -> Result<()> {
    let (k, v) = (ops::host(k)?, ops::host(v)?);
    for (cache, segment) in caches.iter_mut().zip(segments) {
        let part = segment.start * width..segment.end * width;
        cache[layer].k.extend_from_slice(&k[part.clone()]);
        cache[layer].v.extend_from_slice(&v[part]);
    }
    Ok(())
}

/// Adds `g` to the accumulated gradient at `index`.
pub(super) fn add(grads: &mut Gradients, index: usize, g: Tensor) -> Result<()> {
    grads[index] = Some(match grads[index].take() {
        Some(sum) => ops::add(&sum, &g)?,
        None => g,
    });
    Ok(())
}
