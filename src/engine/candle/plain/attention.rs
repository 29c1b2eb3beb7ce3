//! Causal grouped-query attention over packed rows, with gradient: rows are padded to one length and go through batched
//! matrix products, a block of queries at a time. The backward pass makes the probabilities again.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::softmax_last_dim; // no gradient: `attention_grad`

use super::padding::{Padding, unseen};
use super::{narrowed, wide, wide_zeros};
use crate::engine::candle::attention::Heads;
use crate::engine::candle::memory::{QUERIES, SCORES};
use crate::engine::candle::model::Packed;

/// The padded form of a batch: S segments of T tokens.
struct Padded<'a> {
    padding: &'a Padding,
    heads: Heads,
    s: usize,
    t: usize,
}

impl<'a> Padded<'a> {
    fn new(input: &'a Packed, heads: Heads, like: &Tensor) -> Result<Self> {
        let padding = &input.on(like.device())?.padding;
        Ok(Self { padding, heads, s: input.segments.len(), t: input.longest() })
    }

    /// First and number of the queries of every block.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        let block = block(self.s * self.heads.query, self.t);
        let t = self.t;
        (0..t).step_by(block).map(move |first| (first, block.min(t - first)))
    }

    /// [N, n, E] of query heads or key-value heads -> [S*J, G, T, E], G heads for each key-value head.
    fn spread(&self, x: &Tensor) -> Result<Tensor> {
        let (j, e) = (self.heads.kv, self.heads.size);
        let x = self.padding.spread(x)?.reshape((self.s, self.t, j, (), e))?;
        x.permute((0, 2, 3, 1, 4))?.contiguous()?.reshape((self.s * j, (), self.t, e))
    }

    /// The way back: [S*J, G, T, E] -> [N, J*G*E].
    fn gather(&self, x: &Tensor) -> Result<Tensor> {
        let (j, e) = (self.heads.kv, self.heads.size);
        let x = x.reshape((self.s, j, (), self.t, e))?.permute((0, 3, 1, 2, 4))?.contiguous()?;
        self.padding.gather(&x.reshape((self.s * self.t, ()))?)
    }

    /// Probabilities of a block of queries [SJ, G, m, E] from token `first` on, over the keys [SJ, T, E] before and at
    /// them: [SJ, G, m, first + m].
    fn probabilities(&self, q: &Tensor, k: &Tensor, first: usize) -> Result<Tensor> {
        let (sj, g, m, e) = q.dims4()?;
        let seen = first + m;
        let scores = q.reshape((sj, g * m, e))?.matmul(&k.narrow(1, 0, seen)?.t()?)?;
        let own = Tensor::arange(first as u32, seen as u32, q.device())?.unsqueeze(1)?;
        softmax(&scores, e, |like| unseen(&own, seen, like)?.reshape((1, m * seen)))?.reshape((sj, g, m, seen))
    }
}

/// Queries in a block where `heads` heads of all rows have `keys` keys each.
pub(super) fn block(heads: usize, keys: usize) -> usize {
    (SCORES as usize / (heads * keys).max(1)).clamp(1, QUERIES)
}

/// softmax(scores / sqrt(E) + mask) over the last dimension, in the precision of sums. The mask is [1, m], which is
/// repeated, or [n, m], n * m the number of scores; with so few dimensions candle's kernel for it is fastest.
pub(super) fn softmax(scores: &Tensor, size: usize, mask: impl FnOnce(DType) -> Result<Tensor>) -> Result<Tensor> {
    let scaled = (wide(scores)? * scale(size))?;
    let mask = mask(scaled.dtype())?;
    let flat = scaled.reshape(((), mask.dim(1)?))?;
    softmax_last_dim(&flat.broadcast_add(&mask)?.reshape(scores.shape())?) // no gradient: `attention_grad`
}

fn scale(size: usize) -> f64 {
    1.0 / (size as f64).sqrt()
}

/// o = softmax(q k^T / sqrt(E), causal) v per segment. q [N, H, E], k and v [N, J, E] -> o [N, H*E]. Nothing else is left
/// for the backward pass.
pub(in super::super) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, input: &Packed, heads: Heads) -> Result<Tensor> {
    let padded = Padded::new(input, heads, q)?;
    let (q, k, v) = (padded.spread(q)?, padded.spread(k)?.squeeze(1)?, padded.spread(v)?.squeeze(1)?);
    let (sj, g, _, e) = q.dims4()?;
    let mut blocks = vec![];
    for (first, m) in padded.blocks() {
        let p = padded.probabilities(&q.narrow(2, first, m)?, &k, first)?;
        let p = narrowed(&p, &v)?.reshape((sj, g * m, first + m))?;
        blocks.push(p.matmul(&v.narrow(1, 0, first + m)?)?.reshape((sj, g, m, e))?);
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
    let padded = Padded::new(input, heads, q)?;
    let shapes = [q.shape(), k.shape(), v.shape()];
    let like = q;
    let (q, k, v) = (padded.spread(q)?, padded.spread(k)?.squeeze(1)?, padded.spread(v)?.squeeze(1)?);
    // 0 where there is no token, so nothing comes back from there
    let g = padded.spread(g)?;
    let (sj, group, t, e) = q.dims4()?;
    let (mut dq, zero) = (vec![], wide_zeros(&k)?);
    let (mut dk, mut dv) = (zero.clone(), zero);
    for (first, m) in padded.blocks() {
        let seen = first + m;
        let flat = |x: &Tensor| x.narrow(2, first, m)?.contiguous()?.reshape((sj, group * m, e));
        let (qb, gb) = (flat(&q)?, flat(&g)?);
        let (ks, vs) = (k.narrow(1, 0, seen)?, v.narrow(1, 0, seen)?);
        let rows = |x: &Tensor| x.reshape(((), seen));
        let p = rows(&padded.probabilities(&qb.reshape((sj, group, m, e))?, &k, first)?)?;
        let dp = rows(&wide(&gb.matmul(&vs.t()?)?)?)?;
        let along = (&p * &dp)?.sum_keepdim(D::Minus1)?;
        let ds = ((&p * dp.broadcast_sub(&along)?)? * scale(e))?;
        let back = |x: &Tensor, like| narrowed(x, like)?.reshape((sj, group * m, seen));
        let (p, ds) = (back(&p, &v)?, back(&ds, &q)?);
        dq.push(ds.matmul(&ks)?.reshape((sj, group, m, e))?);
        let onto = |sum: &Tensor, part: Tensor| sum + wide(&part)?.pad_with_zeros(1, 0, t - seen)?;
        dk = onto(&dk, ds.t()?.matmul(&qb)?)?;
        dv = onto(&dv, p.t()?.matmul(&gb)?)?;
    }
    let back = |x: Tensor, shape| narrowed(&padded.gather(&x)?, like)?.reshape(shape);
    let lift = |x: Tensor| x.unsqueeze(1);
    Ok([back(Tensor::cat(&dq, 2)?, shapes[0])?, back(lift(dk)?, shapes[1])?, back(lift(dv)?, shapes[2])?])
}
