//! The KV cache: sequences made of blocks of tokens, which sequences with a common beginning share.
//!
//! A block is copied only when one of its owners writes to it (as in PagedAttention, arXiv 2309.06180, with
//! reference counts instead of a block table), so a group's rollouts hold one copy of their common prompt, a turn
//! appends without moving what is there, and a cache grows without being reallocated.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::plain::{self, Pool, Seat};

/// Tokens in a block: enough independent sums for the attention kernel to run at full width.
pub(super) const BLOCK: usize = 64;

/// What decides the size of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CacheShape {
    pub layers: usize,
    /// Key-value heads J.
    pub heads: usize,
    /// Head size E.
    pub size: usize,
}

impl CacheShape {
    /// Numbers of one layer's keys (or values) in a block.
    fn part(&self) -> usize {
        self.heads * self.size * BLOCK
    }

    /// Where a head's keys [E, BLOCK] start in a block; they are transposed, so that the kernel sums over whole
    /// vectors of tokens.
    pub fn keys(&self, layer: usize, head: usize) -> usize {
        2 * layer * self.part() + head * self.size * BLOCK
    }

    /// Where a head's values [BLOCK, E] start in a block.
    pub fn values(&self, layer: usize, head: usize) -> usize {
        self.keys(layer, head) + self.part()
    }
}

/// Keys and values of [`BLOCK`] tokens in all layers.
pub(super) type Block = Arc<Vec<f32>>;

/// Where keys and values are kept.
#[derive(Clone)]
pub(super) struct Store {
    pub shape: CacheShape,
    pool: Option<Arc<Pool>>,
}

impl Store {
    /// For sequences of at most `longest` tokens, in host memory, or in seats where `weights` are elsewhere.
    pub fn new(shape: CacheShape, weights: &Tensor, longest: usize) -> Self {
        Self { shape, pool: plain::is(weights).then(|| Pool::new(shape, weights, longest)) }
    }

    /// Bytes of a block of tokens.
    pub fn block_bytes(&self) -> usize {
        let number = self.pool.as_ref().map_or(size_of::<f32>(), |pool| pool.number());
        2 * self.shape.layers * self.shape.part() * number
    }

    pub fn pool(&self) -> Option<&Arc<Pool>> {
        self.pool.as_ref()
    }
}

/// A cached sequence: its tokens, and their keys and values.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequence {
    ids: Vec<u32>,
    blocks: Vec<Block>,
    /// Instead of blocks, on a device.
    seat: Option<Arc<Seat>>,
}

impl Sequence {
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub fn seat(&self) -> Option<&Seat> {
        self.seat.as_deref()
    }

    /// Blocks of tokens that its memory has room for.
    pub fn held(&self, store: &Store) -> usize {
        self.blocks.len() + self.seat.as_ref().and(store.pool()).map_or(0, |pool| pool.blocks())
    }

    /// Length of the longest common beginning with `context`.
    pub fn common(&self, context: &[u32]) -> usize {
        common(&self.ids, context)
    }

    /// Whether a common beginning with `context` longer than `n` is possible; cheap.
    pub fn may_exceed(&self, n: usize, context: &[u32]) -> bool {
        n < context.len() && self.ids.get(n) == Some(&context[n])
    }

    /// The first `n` tokens as a sequence of its own; nothing is copied.
    pub fn fork(&self, n: usize) -> Self {
        let blocks = &self.blocks[..n.div_ceil(BLOCK).min(self.blocks.len())];
        Self { ids: self.ids[..n].to_vec(), blocks: blocks.to_vec(), seat: self.seat.clone() }
    }

    /// Forgets everything after the first `n` tokens.
    pub fn truncate(&mut self, n: usize) {
        self.ids.truncate(n);
        self.blocks.truncate(n.div_ceil(BLOCK));
    }

    /// Appends tokens. Their keys and values are still to be [written](Self::write), layer by layer.
    pub fn extend(&mut self, store: &Store, ids: &[u32]) -> Result<()> {
        let shape = store.shape;
        self.ids.extend_from_slice(ids);
        let blocks = self.ids.len().div_ceil(BLOCK);
        if let Some(pool) = &store.pool {
            pool.reserve(self.ids.len())?;
            match &self.seat {
                None => self.seat = Some(pool.seat()?),
                // what others share is copied before it is written to
                Some(seat) if Arc::strong_count(seat) > 1 => self.seat = Some(pool.copy(seat)?),
                Some(_) => {}
            }
            return Ok(());
        }
        self.blocks.resize_with(blocks, || Arc::new(vec![0.0; 2 * shape.layers * shape.part()]));
        Ok(())
    }

    /// Writes keys and values [n, J, E] of one layer for the last n tokens. A block that others share is copied first.
    pub fn write(&mut self, shape: CacheShape, layer: usize, k: &[f32], v: &[f32]) {
        let (size, width) = (shape.size, shape.heads * shape.size);
        let first = self.ids.len() - k.len() / width;
        for (i, (k, v)) in k.chunks_exact(width).zip(v.chunks_exact(width)).enumerate() {
            let (block, at) = ((first + i) / BLOCK, (first + i) % BLOCK);
            let block = Arc::make_mut(&mut self.blocks[block]);
            for (head, (k, v)) in k.chunks_exact(size).zip(v.chunks_exact(size)).enumerate() {
                let keys = &mut block[shape.keys(layer, head)..][..size * BLOCK];
                for (e, k) in k.iter().enumerate() {
                    keys[e * BLOCK + at] = *k;
                }
                block[shape.values(layer, head) + at * size..][..size].copy_from_slice(v);
            }
        }
    }
}

/// Length of the longest common beginning.
pub(super) fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: CacheShape = CacheShape { layers: 2, heads: 2, size: 4 };

    /// Appends `n` tokens from `first` on, whose keys and values are all `value`.
    fn grow(s: &mut Sequence, first: u32, n: usize, value: f32) {
        let store = Store { shape: SHAPE, pool: None };
        s.extend(&store, &(first..).take(n).collect::<Vec<_>>()).unwrap();
        for layer in 0..SHAPE.layers {
            s.write(SHAPE, layer, &vec![value; n * 8], &vec![-value; n * 8]);
        }
    }

    fn key(s: &Sequence, token: usize) -> f32 {
        s.blocks[token / BLOCK][SHAPE.keys(1, 1) + 3 * BLOCK + token % BLOCK]
    }

    fn value(s: &Sequence, token: usize) -> f32 {
        s.blocks[token / BLOCK][SHAPE.values(1, 1) + token % BLOCK * 4 + 3]
    }

    #[test]
    fn a_fork_shares_until_one_side_writes() {
        let mut a = Sequence::default();
        grow(&mut a, 0, BLOCK + 10, 1.0);
        let mut b = a.fork(BLOCK + 5);
        assert_eq!((b.len(), b.common(&a.ids)), (BLOCK + 5, BLOCK + 5));
        assert!(a.blocks.iter().zip(&b.blocks).all(|(a, b)| Arc::ptr_eq(a, b)));
        grow(&mut b, 900, 3, 2.0);
        assert!(Arc::ptr_eq(&a.blocks[0], &b.blocks[0]) && !Arc::ptr_eq(&a.blocks[1], &b.blocks[1]));
        let seen = |s: &Sequence, t| (key(s, t), value(s, t));
        assert_eq!((seen(&a, BLOCK + 5), seen(&b, BLOCK + 5)), ((1.0, -1.0), (2.0, -2.0)));
        assert_eq!((seen(&b, 3), seen(&b, BLOCK + 4)), ((1.0, -1.0), (1.0, -1.0)));
        assert_eq!(b.common(&a.ids), BLOCK + 5);
    }

    #[test]
    fn truncated_sequences_give_blocks_back() {
        let mut s = Sequence::default();
        grow(&mut s, 0, 2 * BLOCK + 1, 1.0);
        assert_eq!(s.blocks().len(), 3);
        s.truncate(BLOCK);
        assert_eq!((s.len(), s.blocks().len()), (BLOCK, 1));
        assert!(s.may_exceed(3, &[0, 1, 2, 3]) && !s.may_exceed(3, &[0, 1, 2, 9]) && !s.may_exceed(4, &[0, 1, 2, 3]));
    }
}
