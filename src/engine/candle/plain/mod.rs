//! The decoder's operations made of candle's own, for everything that is not f32 in host memory: a GPU in bf16 or f32,
//! and f64 on the CPU, against which tests hold the fused kernels. The gradients are written out here too: several of
//! candle's operations have none, and lose it without a word.
//!
//! What is summed over many numbers (norms, softmax, gradients of weights) is summed in f32 where the numbers are bf16.

mod attention;
mod loss;
mod optim;
mod paged;
#[cfg(test)]
mod tests;

use candle_core::{D, DType, Result, Tensor};

pub(super) use self::attention::{attention, attention_grad};
pub(super) use self::loss::{score, score_grad};
pub(super) use self::optim::{AdamWTensors, square};
pub(super) use self::paged::{Page, Pool, Step};

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

/// RMSNorm over the last dimension of x; also 1/rms per normalised group, [groups].
pub(super) fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    let rows = wide(x)?.reshape(((), w.elem_count()))?;
    let inv = (rows.sqr()?.mean_keepdim(1)? + eps)?.sqrt()?.recip()?;
    let y = narrowed(&rows.broadcast_mul(&inv)?, x)?.broadcast_mul(&narrowed(w, x)?)?;
    Ok((y.reshape(x.shape())?, inv.squeeze(1)?))
}

/// Gradients of [`rms_norm`] by input, added to `base` if there is one, and by weight.
pub(super) fn rms_norm_grad(
    x: &Tensor,
    w: &Tensor,
    inv: &Tensor,
    g: &Tensor,
    base: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let rows = |t: &Tensor| wide(t)?.reshape(((), w.elem_count()));
    let (inv, g) = (inv.unsqueeze(1)?, rows(g)?);
    let unit = rows(x)?.broadcast_mul(&inv)?;
    let dw = (&g * &unit)?.sum(0)?;
    let pulled = g.broadcast_mul(&narrowed(w, &g)?)?;
    let along = (&pulled * &unit)?.mean_keepdim(1)?;
    let dx = (pulled - unit.broadcast_mul(&along)?)?.broadcast_mul(&inv)?;
    let dx = narrowed(&dx, x)?.reshape(x.shape())?;
    Ok((base.map_or(Ok(dx.clone()), |base| base + dx)?, dw))
}

/// Rotates x [N, heads, E]; `cos` and `sin` [N, E/2] are those of the tokens' positions.
pub(super) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let (cos, sin) = (narrowed(cos, x)?.unsqueeze(1)?, narrowed(sin, x)?.unsqueeze(1)?);
    let turned = |u: &Tensor, v: &Tensor| Ok::<_, candle_core::Error>((u.broadcast_mul(&cos)?, v.broadcast_mul(&sin)?));
    let ((ac, bs), (bc, as_)) = (turned(&a, &b)?, turned(&b, &a)?);
    Tensor::cat(&[(ac - bs)?, (bc + as_)?], D::Minus1)
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

/// Adds the gradient of an embedding's rows `ids` [N], dh [N, D], into `dtable` [V, D].
pub(super) fn embed_grad(dtable: &Tensor, ids: &Tensor, dh: &Tensor) -> Result<Tensor> {
    dtable.index_add(ids, &wide(dh)?, 0)
}
