//! The decoder's operations made of candle's own, for everything that is not f32 in host memory: a GPU in bf16 or f32,
//! and f64 on the CPU, against which tests hold the fused kernels. The gradients are written out here too: several of
//! candle's operations have none, and lose it without a word.
//!
//! What is summed over many numbers (norms, softmax, gradients of weights) is summed in f32 where the numbers are bf16.

mod attention;
mod device;
mod draw;
#[cfg(test)]
mod half_tests;
mod loss;
mod optim;
mod padding;
mod seats;
mod step;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor};

pub(super) use self::attention::{attention, attention_grad};
pub(super) use self::device::{free, open};
pub(super) use self::draw::{draw, draws};
pub(super) use self::loss::{score, score_grad};
pub(super) use self::optim::{AdamWTensors, square, total};
pub(super) use self::padding::Padding;
pub(super) use self::seats::{Pool, Seat};
pub(super) use self::step::Step;

/// Whether `t` is computed with here.
pub(super) fn is(t: &Tensor) -> bool {
    !(t.device().is_cpu() && t.dtype() == DType::F32)
}

/// The precision sums are made in.
pub(super) fn wide(t: &Tensor) -> Result<Tensor> {
    match t.dtype() {
        DType::BF16 | DType::F16 => t.to_dtype(DType::F32),
        _ => Ok(t.clone()),
    }
}

/// In single precision.
fn single(t: &Tensor) -> Result<Tensor> {
    t.to_dtype(DType::F32)
}

/// Zeros of the shape of `like` in the precision sums are made in.
fn wide_zeros(like: &Tensor) -> Result<Tensor> {
    let dtype = if like.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    Tensor::zeros(like.shape(), dtype, like.device())
}

/// `t` in the precision of `like`.
fn narrowed(t: &Tensor, like: &Tensor) -> Result<Tensor> {
    t.to_dtype(like.dtype())
}

/// y = x w^T: x [N, K], w [M, K] -> [N, M].
pub(super) fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    x.matmul(&narrowed(w, x)?.t()?)
}

/// Gradient of [`linear`] by its input: g [N, M], w [M, K] -> [N, K]; added to `onto` if there is one.
pub(super) fn linear_grad_input(g: &Tensor, w: &Tensor, onto: Option<Tensor>) -> Result<Tensor> {
    let dx = g.matmul(&narrowed(w, g)?)?;
    onto.map_or(Ok(dx.clone()), |onto| onto + dx)
}

/// Gradient of [`linear`] by its weight: g [N, M], x [N, K] -> [M, K]; added to `onto` if there is one.
pub(super) fn linear_grad_weight(g: &Tensor, x: &Tensor, onto: Option<Tensor>) -> Result<Tensor> {
    let dw = wide(&g.t()?.matmul(&narrowed(x, g)?)?)?;
    onto.map_or(Ok(dw.clone()), |onto| onto + dw)
}

/// x [N, M] + b [M], row by row.
pub(super) fn add_bias(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    x.broadcast_add(&narrowed(b, x)?)
}

/// Gradient of [`add_bias`] by the bias: g [N, M] -> [M].
pub(super) fn bias_grad(g: &Tensor) -> Result<Tensor> {
    wide(g)?.sum(0)
}

/// RMSNorm over the last dimension of x. 1/rms is made again on the way back.
pub(super) fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    if x.dtype() == DType::F64 {
        // candle's own has it in single precision
        let rows = rows(x, w)?;
        return rows.broadcast_mul(&inverse(&rows, eps)?)?.broadcast_mul(&narrowed(w, x)?)?.reshape(x.shape());
    }
    candle_nn::ops::rms_norm(x, &narrowed(w, x)?, eps as f32) // no gradient: `rms_norm_grad`
}

/// x as rows of the length of w, in the precision of sums.
fn rows(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    wide(x)?.reshape(((), w.elem_count()))
}

/// 1/rms of every row, [rows, 1].
fn inverse(rows: &Tensor, eps: f64) -> Result<Tensor> {
    (rows.sqr()?.mean_keepdim(1)? + eps)?.sqrt()?.recip()
}

/// Gradients of [`rms_norm`] by input, added to `base` if there is one, and by weight.
pub(super) fn rms_norm_grad(
    x: &Tensor,
    w: &Tensor,
    eps: f64,
    g: &Tensor,
    base: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let (unit, g) = (rows(x, w)?, rows(g, w)?);
    let inv = inverse(&unit, eps)?;
    let unit = unit.broadcast_mul(&inv)?;
    let dw = (&g * &unit)?.sum(0)?;
    let pulled = g.broadcast_mul(&narrowed(w, &g)?)?;
    let along = (&pulled * &unit)?.mean_keepdim(1)?;
    let dx = (pulled - unit.broadcast_mul(&along)?)?.broadcast_mul(&inv)?;
    let dx = narrowed(&dx, x)?.reshape(x.shape())?;
    Ok((base.map_or(Ok(dx.clone()), |base| base + dx)?, dw))
}

/// Rotates x [N, heads, E]; `cos` and `sin` [N, E/2] are those of the tokens' positions.
pub(super) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0)?, cos, sin)?.squeeze(0) // no gradient: the inverse rotation
}

/// silu(gate) * up, all [N, F].
pub(super) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

/// Gradients of [`swiglu`] by gate and up.
pub(super) fn swiglu_grad(gate: &Tensor, up: &Tensor, dh: &Tensor) -> Result<(Tensor, Tensor)> {
    let (g, dh) = (wide(gate)?, wide(dh)?);
    let s = sigmoid(&g)?;
    let slope = (&s * ((&g * s.affine(-1.0, 1.0)?)? + 1.0)?)?;
    let dgate = ((&dh * wide(up)?)? * slope)?;
    Ok((narrowed(&dgate, gate)?, narrowed(&(dh * (g * s)?)?, up)?))
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}

/// Adds the gradient of an embedding's rows `ids` [N], dh [N, D], into `dtable` [V, D]; `None` = zero.
pub(super) fn embed_grad(table: &Tensor, dtable: Option<Tensor>, ids: &Tensor, dh: &Tensor) -> Result<Tensor> {
    dtable.map_or_else(|| wide_zeros(table), Ok)?.index_add(ids, &wide(dh)?, 0)
}
