//! The decoder of all supported families (see [`super::arch`]) with its backward pass.
//!
//! The backward pass is written out instead of using candle's autograd: several candle ops drop gradients
//! without a word, and an explicit pass saves its zero-fill and add per node.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::arch::Architecture;
use super::attention::{AttentionSaved, Heads, attention, attention_grad};
use super::cached;
use super::kv::{CacheShape, Sequence, Store};
use super::layout::Projection::{Down, Gate, K, O, Q, Up, V};
use super::layout::{Layer, Layout, Names, Projection};
use super::lora;
use super::ops::{self, Product, Rope};
use super::plain::{self, Padding, Step};
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

/// Packed input of a forward pass: sequences end to end.
#[derive(Default)]
pub(super) struct Packed {
    pub ids: Vec<u32>,               // [N]
    pub positions: Vec<u32>,         // [N]
    pub segments: Vec<Range<usize>>, // one per sequence
    /// The same for another device; made when first asked for, and so after the last [`Packed::push`].
    there: OnceLock<Index>,
}

/// A packed input on a device.
pub(super) struct Index {
    pub ids: Tensor,       // [N]
    pub positions: Tensor, // [N]
    pub padding: Padding,
    /// cos, sin and -sin of every token's position, [N, E/2]; made when first asked for.
    pub turns: OnceLock<[Tensor; 3]>,
}

impl Packed {
    pub fn new<'a>(rows: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut packed = Self::default();
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

    /// Tokens of the longest sequence.
    pub fn longest(&self) -> usize {
        self.segments.iter().map(|s| s.len()).max().unwrap_or(0)
    }

    /// The input on `device`, the only one it is asked for.
    pub fn on(&self, device: &Device) -> Result<&Index> {
        if let Some(index) = self.there.get() {
            return Ok(index);
        }
        let index = Index {
            ids: Tensor::new(&self.ids[..], device)?,
            positions: Tensor::new(&self.positions[..], device)?,
            padding: Padding::new(&self.segments, self.longest(), self.ids.len(), device)?,
            turns: OnceLock::new(),
        };
        Ok(self.there.get_or_init(|| index))
    }
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

/// What a backward pass reads and where it adds gradients.
struct Back<'a> {
    w: &'a Weights,
    input: &'a Packed,
    grads: &'a mut Gradients,
}

impl Back<'_> {
    /// Adds `g` to the gradient of the tensor at `place`, if that is trained.
    fn add(&mut self, place: usize, g: Tensor) -> Result<()> {
        if self.w.trained().contains(&place) { add(self.grads, place, g) } else { Ok(()) }
    }

    /// Adds what y = x w^T sends back to the matrix w at `place`, for dL/dy = `g`.
    fn add_product(&mut self, place: usize, g: &Tensor, x: &Tensor) -> Result<()> {
        let sum = self.grads[place].take();
        self.grads[place] = Some(ops::linear_grad_weight(g, x, sum)?);
        Ok(())
    }
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

    /// The way back through [`Self::project`]: adds the gradients of its tensors, returns dL/dx, added to `onto` if
    /// there is one.
    fn project_grad(
        &self,
        back: &mut Back,
        (layer, p): (&Layer, Projection),
        x: &Tensor,
        g: &Tensor,
        onto: Option<Tensor>,
    ) -> Result<Tensor> {
        let weight = layer.weight(p);
        let dx = ops::linear_grad_input(g, &back.w[weight], onto)?;
        if !back.w.frozen() {
            back.add_product(weight, g, x)?;
            if let Some(bias) = layer.bias(p) {
                back.add(bias, ops::bias_grad(g)?)?;
            }
        }
        let Some(adapter) = back.w.adapter(weight) else { return Ok(dx) };
        let [da, db, more] = lora::backward(&adapter, x, g)?;
        let at = adapter.at;
        back.add(at, da)?;
        back.add(at + 1, db)?;
        ops::add_into(dx, &more)
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

    /// Adds the gradient for upstream `g` = dL/dhidden [N, D] into `grads`.
    pub fn backward(&self, w: &Weights, input: &Packed, tape: Tape, g: &Tensor, grads: &mut Gradients) -> Result<()> {
        let (norm, embed) = (self.layout.final_norm, self.layout.embed);
        let (mut dh, dw) = ops::rms_norm_grad(&tape.last, self.normed(w, norm), tape.inv.as_ref(), g, None)?;
        let back = &mut Back { w, input, grads };
        back.add(norm, dw)?;
        for (layer, kept) in self.layout.layers.iter().zip(tape.layers).rev() {
            let saved = match kept {
                Kept::All(saved) => *saved,
                Kept::Input(h) => self.layer_forward(w, layer, h, input)?,
            };
            let dmid = self.feed_backward(back, layer, &saved, &dh)?;
            dh = self.attention_backward(back, layer, &saved, &dmid)?;
        }
        if w.frozen() {
            return Ok(());
        }
        grads[embed] = Some(ops::embed_grad(&w[embed], grads[embed].take(), input, &dh)?);
        Ok(())
    }

    /// next = mid + down(swiglu(gate(y), up(y))), y = norm(mid): from dL/dnext to dL/dmid.
    fn feed_backward(&self, back: &mut Back, layer: &Layer, s: &Saved, dnext: &Tensor) -> Result<Tensor> {
        let act = ops::swiglu(&s.gate, &s.up)?;
        let dact = self.project_grad(back, (layer, Down), &act, dnext, None)?;
        drop(act);
        let (dgate, dup) = ops::swiglu_grad(&s.gate, &s.up, &dact)?;
        drop(dact);
        let dy = self.project_grad(back, (layer, Gate), &s.y, &dgate, None)?;
        let dy = self.project_grad(back, (layer, Up), &s.y, &dup, Some(dy))?;
        let (dmid, dw) =
            ops::rms_norm_grad(&s.mid, self.normed(back.w, layer.norm2), s.inv2.as_ref(), &dy, Some(dnext))?;
        back.add(layer.norm2, dw)?;
        Ok(dmid)
    }

    /// mid = h + o(attention(q(x), k(x), v(x))), x = norm(h): from dL/dmid to dL/dh.
    fn attention_backward(&self, back: &mut Back, layer: &Layer, s: &Saved, dmid: &Tensor) -> Result<Tensor> {
        let n = back.input.ids.len();
        let dout = self.project_grad(back, (layer, O), &s.o, dmid, None)?;
        let saved = AttentionSaved { q: &s.q, k: &s.k, v: &s.v, o: &s.o, lse: &s.lse };
        let [dq, dk, dv] = attention_grad(&saved, &dout, back.input, self.heads())?;
        let dq = self.rope.rotate(dq, back.input, -1.0)?;
        let dk = self.rope.rotate(dk, back.input, -1.0)?;
        let dq = self.head_norm_grad(back, layer.q_norm, &s.q_norm, dq)?.reshape((n, ()))?;
        let dk = self.head_norm_grad(back, layer.k_norm, &s.k_norm, dk)?.reshape((n, ()))?;
        let dx = self.project_grad(back, (layer, Q), &s.x, &dq, None)?;
        let dx = self.project_grad(back, (layer, K), &s.x, &dk, Some(dx))?;
        let dx = self.project_grad(back, (layer, V), &s.x, &dv.reshape((n, ()))?, Some(dx))?;
        let (dh, dw) = ops::rms_norm_grad(&s.h, self.normed(back.w, layer.norm1), s.inv1.as_ref(), &dx, Some(dmid))?;
        back.add(layer.norm1, dw)?;
        Ok(dh)
    }

    /// The way back through a norm over heads, where there is one.
    fn head_norm_grad(
        &self,
        back: &mut Back,
        place: Option<usize>,
        saved: &Option<Normed>,
        g: Tensor,
    ) -> Result<Tensor> {
        let (Some(place), Some(Normed { raw, inv })) = (place, saved) else { return Ok(g) };
        let (dx, dw) = ops::rms_norm_grad(raw, self.normed(back.w, place), inv.as_ref(), &g, None)?;
        back.add(place, dw)?;
        Ok(dx)
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

/// Adds `g` to the accumulated gradient at `index`.
pub(super) fn add(grads: &mut Gradients, index: usize, g: Tensor) -> Result<()> {
    grads[index] = Some(match grads[index].take() {
        Some(sum) => ops::add_into(sum, &g)?,
        None => g,
    });
    Ok(())
}
