//! The way back through the decoder, written out instead of using candle's autograd: several candle ops drop gradients
//! without a word, and an explicit pass saves its zero-fill and add per node.

use candle_core::{Result, Tensor};

use super::{Decoder, Gradients, Kept, Normed, Packed, Saved, Tape, Weights};
use crate::engine::candle::attention::{AttentionSaved, attention_grad};
use crate::engine::candle::layout::Projection::{Down, Gate, K, O, Q, Up, V};
use crate::engine::candle::layout::{Layer, Projection};
use crate::engine::candle::{lora, ops};

impl Decoder {
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

/// Adds `g` to the accumulated gradient at `index`.
pub(in super::super) fn add(grads: &mut Gradients, index: usize, g: Tensor) -> Result<()> {
    grads[index] = Some(match grads[index].take() {
        Some(sum) => ops::add_into(sum, &g)?,
        None => g,
    });
    Ok(())
}
