//! Causal grouped-query attention over packed rows, with gradient: rows are padded to one length and go through batched
//! matrix products, a block of queries at a time. The backward pass makes the probabilities again.

use candle_core::{D, Device, Result, Tensor};

use super::{narrowed, wide};
use crate::engine::candle::attention::Heads;
use crate::engine::candle::memory::SCORES;
use crate::engine::candle::model::Packed;

/// The padded form of a batch: S segments of T tokens.
struct Padded<'a> {
    input: &'a Packed,
    heads: Heads,
    s: usize,
    t: usize,
}

impl<'a> Padded<'a> {
    fn new(input: &'a Packed, heads: Heads) -> Self {
        let t = input.segments.iter().map(|s| s.len()).max().unwrap_or(0);
        Self { input, heads, s: input.segments.len(), t }
    }

    /// Queries in a block.
    fn block(&self) -> usize {
        (SCORES as usize / (self.s * self.heads.query * self.t).max(1)).clamp(16, self.t.max(16))
    }

    /// [N, n, E] of query heads or key-value heads -> [S*J, G, T, E], G heads for each key-value head.
    fn spread(&self, x: &Tensor) -> Result<Tensor> {
        let (j, e) = (self.heads.kv, self.heads.size);
        let x = x.reshape((self.input.ids.len(), ()))?;
        let x = x.index_select(&self.input.on(x.device())?.padding, 0)?;
        let x = x.reshape((self.s, self.t, j, (), e))?.permute((0, 2, 3, 1, 4))?.contiguous()?;
        x.reshape((self.s * j, (), self.t, e))
    }

    /// The way back: [S*J, G, T, E] -> [N, J*G*E].
    fn gather(&self, x: &Tensor) -> Result<Tensor> {
        let (j, e) = (self.heads.kv, self.heads.size);
        let x = x.reshape((self.s, j, (), self.t, e))?.permute((0, 3, 1, 2, 4))?.contiguous()?;
        x.reshape((self.s * self.t, ()))?.index_select(&self.input.on(x.device())?.places, 0)
    }

    /// Probabilities of a block of queries [SJ, G, m, E] from token `first` on, over the keys [SJ, T, E] before and at
    /// them: [SJ, G, m, first + m].
    fn probabilities(&self, q: &Tensor, k: &Tensor, first: usize) -> Result<Tensor> {
        let (sj, g, m, e) = q.dims4()?;
        let k = k.narrow(1, 0, first + m)?.contiguous()?;
        let scores = q.reshape((sj, g * m, e))?.matmul(&k.t()?)?;
        let scores = (wide(&scores)? * scale(e))?.reshape((sj, g, m, first + m))?;
        softmax(&scores.broadcast_add(&causal(m, first, &scores)?)?)
    }
}

fn scale(size: usize) -> f64 {
    1.0 / (size as f64).sqrt()
}

/// 0 where query `first + i` may see key k, else minus infinity: [m, first + m], in the precision of `like`.
fn causal(m: usize, first: usize, like: &Tensor) -> Result<Tensor> {
    let seen = |i: usize, k: usize| if k <= first + i { 0.0 } else { f32::NEG_INFINITY };
    let mask: Vec<f32> = (0..m).flat_map(|i| (0..first + m).map(move |k| seen(i, k))).collect();
    Tensor::from_vec(mask, (m, first + m), &Device::Cpu)?.to_device(like.device())?.to_dtype(like.dtype())
}

/// Softmax over the last dimension.
pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    let e = x.broadcast_sub(&x.max_keepdim(D::Minus1)?)?.exp()?;
    e.broadcast_div(&e.sum_keepdim(D::Minus1)?)
}

/// o = softmax(q k^T / sqrt(E), causal) v per segment. q [N, H, E], k and v [N, J, E] -> o [N, H*E]. Nothing else is left
/// for the backward pass.
pub(in super::super) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, input: &Packed, heads: Heads) -> Result<Tensor> {
    let padded = Padded::new(input, heads);
    let (q, k, v) = (padded.spread(q)?, padded.spread(k)?.squeeze(1)?, padded.spread(v)?.squeeze(1)?);
    let (sj, g, t, e) = q.dims4()?;
    let mut blocks = vec![];
    for first in (0..t).step_by(padded.block()) {
        let m = padded.block().min(t - first);
        let p = padded.probabilities(&q.narrow(2, first, m)?.contiguous()?, &k, first)?;
        let p = narrowed(&p, &v)?.reshape((sj, g * m, first + m))?;
        blocks.push(p.matmul(&v.narrow(1, 0, first + m)?.contiguous()?)?.reshape((sj, g, m, e))?);
    }
    padded.gather(&Tensor::cat(&blocks, 2)?)
}

/// Gradients of [`attention`] by q, k and v for upstream `g` [N, H*E].
pub(in super::super) fn attention_grad(
    [q, k, v]: [&Tensor; 3],
    g: &Tensor,
    input: &Packed,
    heads: Heads,
) -> Result<[Tensor; 3]> {
    let padded = Padded::new(input, heads);
    let shapes = [q.shape(), k.shape(), v.shape()];
    let like = q;
    let (q, k, v) = (padded.spread(q)?, padded.spread(k)?.squeeze(1)?, padded.spread(v)?.squeeze(1)?);
    // what was padded repeats a real token: nothing may come back from there
    let g = padded.spread(&g.reshape(shapes[0])?)?.broadcast_mul(&padded.alive(like)?)?;
    let (sj, group, t, e) = q.dims4()?;
    let (mut dq, zero) = (vec![], wide(&k)?.zeros_like()?);
    let (mut dk, mut dv) = (zero.clone(), zero);
    for first in (0..t).step_by(padded.block()) {
        let m = padded.block().min(t - first);
        let seen = first + m;
        let flat = |x: &Tensor| x.narrow(2, first, m)?.contiguous()?.reshape((sj, group * m, e));
        let (qb, gb) = (flat(&q)?, flat(&g)?);
        let (ks, vs) = (k.narrow(1, 0, seen)?.contiguous()?, v.narrow(1, 0, seen)?.contiguous()?);
        let p = padded.probabilities(&qb.reshape((sj, group, m, e))?, &k, first)?.reshape((sj, group * m, seen))?;
        let dp = wide(&gb.matmul(&vs.t()?)?)?;
        let along = (&p * &dp)?.sum_keepdim(D::Minus1)?;
        let ds = ((&p * dp.broadcast_sub(&along)?)? * scale(e))?;
        let (p, ds) = (narrowed(&p, &v)?, narrowed(&ds, &q)?);
        dq.push(ds.matmul(&ks)?.reshape((sj, group, m, e))?);
        let onto = |sum: &Tensor, part: Tensor| sum + wide(&part)?.pad_with_zeros(1, 0, t - seen)?;
        dk = onto(&dk, ds.t()?.matmul(&qb)?)?;
        dv = onto(&dv, p.t()?.matmul(&gb)?)?;
    }
    let back = |x: Tensor, shape| narrowed(&padded.gather(&x)?, like)?.reshape(shape);
    let lift = |x: Tensor| x.unsqueeze(1);
    Ok([back(Tensor::cat(&dq, 2)?, shapes[0])?, back(lift(dk)?, shapes[1])?, back(lift(dv)?, shapes[2])?])
}

impl Padded<'_> {
    /// 1 for real tokens, 0 for padding: [S*J, 1, T, 1], in the precision of `like`.
    fn alive(&self, like: &Tensor) -> Result<Tensor> {
        let j = self.heads.kv;
        let live = |length: usize| (0..self.t).map(move |t| if t < length { 1f32 } else { 0.0 });
        let mask: Vec<f32> = self.input.segments.iter().flat_map(|s| (0..j).flat_map(move |_| live(s.len()))).collect();
        let mask = Tensor::from_vec(mask, (self.s * j, 1, self.t, 1), &Device::Cpu)?;
        mask.to_device(like.device())?.to_dtype(like.dtype())
    }
}
