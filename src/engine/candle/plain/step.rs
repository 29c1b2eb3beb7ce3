//! Attention of new tokens against the seats of their sequences.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use super::attention::{block, softmax};
use super::narrowed;
use super::padding::{NONE, Padding, unseen};
use super::seats::Pool;
use crate::engine::candle::attention::Heads;
use crate::engine::candle::kv::{BLOCK, Sequence};
use crate::engine::candle::model::Packed;

/// New tokens of a pass for all its layers: C rows of T places, one for each of the seats that are read.
pub(in super::super) struct Step {
    pool: Arc<Pool>,
    heads: Heads,
    seats: Seats,
    /// C, T, and the most keys K.
    sizes: [usize; 3],
    padding: Padding,
    /// What is added to scores: [C, H, T, K] as a whole, where that is little, otherwise in parts.
    mask: Mask,
}

/// Whose seats are read.
enum Seats {
    /// One after the other from this one on; some rows may have no token. Where new tokens go: [C, J, T, E].
    Run(usize, Tensor),
    /// These, which are looked up: [C]. Where each one's tokens go, and which of the new tokens they are.
    Listed(Tensor, Vec<(usize, usize, Range<usize>)>),
}

enum Mask {
    /// [C * H * T, K]
    Whole(Tensor),
    /// The last key that is seen, [C, 1, T, 1], and all dimensions are still to be filled.
    Last(Tensor),
}

/// Numbers of a mask that is made for the whole pass.
const WHOLE: usize = 1 << 22;

impl Step {
    /// `caches[i]` belongs to segment i and already counts its new tokens.
    pub fn new(pool: &Arc<Pool>, input: &Packed, caches: &[&mut Sequence], heads: Heads) -> Result<Self> {
        let (device, t) = (pool.device(), input.longest());
        let seat = |c: &&mut Sequence| c.seat().map_or(0, |seat| seat.index);
        let first = caches.iter().map(seat).min().unwrap_or(0);
        let end = caches.iter().map(seat).max().unwrap_or(0) + 1;
        let run = end - first <= 2 * caches.len();
        let c = if run { end - first } else { caches.len() };
        let mut rows = vec![0..0; c];
        let mut last = vec![0u32; c * t];
        let mut places = vec![];
        for (i, (cache, segment)) in caches.iter().zip(&input.segments).enumerate() {
            let row = if run { seat(cache) - first } else { i };
            let before = cache.len() - segment.len();
            (0..segment.len()).for_each(|at| last[row * t + at] = (before + at) as u32);
            rows[row] = segment.clone();
            places.push((seat(cache), before, segment.clone()));
        }
        let longest = caches.iter().map(|c| c.len()).max().unwrap_or(1);
        let sizes = [c, t, longest.next_multiple_of(BLOCK)];
        let seats = if run {
            let filled = rows.iter().flat_map(|row| (0..t).map(|at| at < row.len()));
            let to: Vec<u32> = filled.zip(&last).map(|(filled, to)| if filled { *to } else { NONE }).collect();
            let to = Tensor::from_vec(to, (c, 1, t, 1), device)?;
            Seats::Run(first, to.broadcast_as((c, heads.kv, t, heads.size))?.contiguous()?)
        } else {
            let ids: Vec<u32> = places.iter().map(|(seat, ..)| *seat as u32).collect();
            Seats::Listed(Tensor::new(ids, device)?, places)
        };
        let mask = Mask::new(Tensor::from_vec(last, (c, 1, t, 1), device)?, heads, sizes)?;
        let padding = Padding::new(&rows, t, input.ids.len(), device)?;
        Ok(Self { pool: pool.clone(), heads, seats, sizes, padding, mask })
    }

    /// Writes the new keys and values [N, J, E] of one layer into the seats.
    pub fn append(&self, layer: usize, k: &Tensor, v: &Tensor) -> Result<()> {
        let [c, t, _] = self.sizes;
        let Heads { kv, size, .. } = self.heads;
        for (store, new) in self.pool.layer(layer).iter().zip([k, v]) {
            match &self.seats {
                Seats::Run(first, to) => {
                    let new = self.padding.spread(new)?.reshape((c, t, kv, size))?;
                    store.narrow(0, *first, c)?.scatter_set(to, &new.transpose(1, 2)?.contiguous()?, 2)?;
                }
                Seats::Listed(_, places) => {
                    for (seat, before, tokens) in places {
                        let new = new.narrow(0, tokens.start, tokens.len())?.transpose(0, 1)?.contiguous()?;
                        store.narrow(0, *seat, 1)?.slice_set(&new.unsqueeze(0)?, 2, *before)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Attention of the new tokens q [N, H, E] -> [N, H*E].
    pub fn attend(&self, layer: usize, q: &Tensor) -> Result<Tensor> {
        let ([c, t, keys], Heads { query, kv, size }) = (self.sizes, self.heads);
        let group = query / kv;
        let [k, v] = self.pool.layer(layer);
        let read = |store: &Tensor| match &self.seats {
            Seats::Run(first, _) => store.narrow(0, *first, c)?.narrow(2, 0, keys),
            Seats::Listed(ids, _) => store.index_select(ids, 0)?.narrow(2, 0, keys),
        };
        let (k, v) = (read(&k)?, read(&v)?); // [C, J, K, E]
        let q = self.padding.spread(q)?.reshape((c, t, kv, group, size))?.permute((0, 2, 3, 1, 4))?;
        let step = if t == 1 { 1 } else { block(c * query, keys) };
        let mut blocks = vec![];
        for first in (0..t).step_by(step) {
            let m = step.min(t - first);
            let q = q.narrow(3, first, m)?.contiguous()?.reshape((c, kv, group * m, size))?;
            let scores = q.matmul(&k.t()?)?;
            let p = softmax(&scores, size, |like| self.mask.part(first, m, like, query, keys))?;
            blocks.push(narrowed(&p, &q)?.matmul(&v)?.reshape((c, query, m, size))?);
        }
        let o = Tensor::cat(&blocks, 2)?.transpose(1, 2)?.contiguous()?; // [C, T, H, E]
        self.padding.gather(&o.reshape((c * t, query * size))?)
    }
}

impl Mask {
    fn new(last: Tensor, heads: Heads, [c, t, keys]: [usize; 3]) -> Result<Self> {
        let part = Mask::Last(last);
        if c * heads.query * t * keys > WHOLE || t > 1 {
            return Ok(part);
        }
        Ok(Mask::Whole(part.part(0, 1, DType::F32, heads.query, keys)?))
    }

    /// For `m` queries of each row from `first` on: [C * H * m, K].
    fn part(&self, first: usize, m: usize, like: DType, heads: usize, keys: usize) -> Result<Tensor> {
        match self {
            Mask::Whole(mask) => mask.to_dtype(like),
            Mask::Last(last) => {
                let last = last.narrow(2, first, m)?;
                let c = last.dim(0)?;
                let mask = unseen(&last.reshape((c * m, 1))?, keys, like)?.reshape((c, 1, m, keys))?;
                mask.broadcast_as((c, heads, m, keys))?.contiguous()?.reshape(((), keys))
            }
        }
    }
}
