//! The KV cache of a device: pages of a pool that grows, owned by the sequences that use them, and attention of new tokens
//! against the pages of their own sequence.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Result, Tensor};

use super::attention::softmax;
use super::{narrowed, wide};
use crate::engine::candle::attention::Heads;
use crate::engine::candle::kv::{BLOCK, CacheShape, Sequence};
use crate::engine::candle::model::Packed;

/// Pages of [`BLOCK`] tokens; a page holds the keys and values of all layers.
pub(in super::super) struct Pool {
    shape: CacheShape,
    device: Device,
    dtype: DType,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Per layer keys and values, [pages * BLOCK, J*E] each.
    layers: Vec<[Tensor; 2]>,
    free: Vec<u32>,
    pages: u32,
}

/// A page in use; it goes back to its pool when dropped.
pub(in super::super) struct Page {
    index: u32,
    pool: Arc<Pool>,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pool.lock().free.push(self.index);
    }
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "page {}", self.index)
    }
}

/// Pages a pool begins with; it doubles when they are used up.
const FIRST: u32 = 64;

impl Pool {
    /// An empty pool for a model whose weights are like `like`.
    pub fn new(shape: CacheShape, like: &Tensor) -> Arc<Self> {
        let (device, dtype) = (like.device().clone(), like.dtype());
        Arc::new(Self { shape, device, dtype, inner: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // the lists are replaced whole, so what a panic left is consistent
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page whose contents do not matter.
    pub fn page(self: &Arc<Self>) -> Result<Arc<Page>> {
        let mut inner = self.lock();
        if inner.free.is_empty() {
            self.grow(&mut inner)?;
        }
        let index = inner.free.pop().unwrap_or(inner.pages);
        Ok(Arc::new(Page { index, pool: self.clone() }))
    }

    /// A copy of a page.
    pub fn copy(self: &Arc<Self>, page: &Page) -> Result<Arc<Page>> {
        let copy = self.page()?;
        for [k, v] in &self.lock().layers {
            for store in [k, v] {
                let rows = store.narrow(0, page.index as usize * BLOCK, BLOCK)?.copy()?;
                store.slice_set(&rows, 0, copy.index as usize * BLOCK)?;
            }
        }
        Ok(copy)
    }

    fn grow(&self, inner: &mut Inner) -> Result<()> {
        let more = inner.pages.max(FIRST);
        let width = self.shape.heads * self.shape.size;
        let zeros = || Tensor::zeros((more as usize * BLOCK, width), self.dtype, &self.device);
        let mut layers = Vec::with_capacity(self.shape.layers);
        for layer in 0..self.shape.layers {
            layers.push(match inner.layers.get(layer) {
                Some([k, v]) => [Tensor::cat(&[k, &zeros()?], 0)?, Tensor::cat(&[v, &zeros()?], 0)?],
                None => [zeros()?, zeros()?],
            });
        }
        inner.layers = layers;
        inner.free.extend((inner.pages..inner.pages + more).rev());
        inner.pages += more;
        Ok(())
    }
}

/// New tokens against their sequences' pages, for all layers of a pass: `caches[i]` belongs to segment i and already
/// counts its new tokens.
pub(in super::super) struct Step {
    pool: Arc<Pool>,
    heads: Heads,
    /// Rows R, most new tokens Q, most tokens K.
    sizes: [usize; 3],
    /// Where the new tokens go in the pool, [N, J*E].
    targets: Tensor,
    /// Where each sequence's tokens are in the pool, [R * K].
    sources: Tensor,
    /// 0 where a query may see a key, else minus infinity: [R, 1, Q, K].
    mask: Tensor,
    /// As in [`Packed::on`].
    padding: Tensor,
    places: Tensor,
}

impl Step {
    pub fn new(pool: &Arc<Pool>, input: &Packed, caches: &[&mut Sequence], heads: Heads) -> Result<Self> {
        let (r, width) = (caches.len(), heads.kv * heads.size);
        let q = input.segments.iter().map(|s| s.len()).max().unwrap_or(0);
        let k = caches.iter().map(|c| c.len()).max().unwrap_or(0);
        let (mut targets, mut sources) = (vec![], vec![0u32; r * k]);
        let mut mask = vec![f32::NEG_INFINITY; r * q * k];
        for (row, (cache, segment)) in caches.iter().zip(&input.segments).enumerate() {
            let place = |t: usize| cache.page(t / BLOCK).map_or(0, |p| p.index) * BLOCK as u32 + (t % BLOCK) as u32;
            let first = cache.len() - segment.len();
            (0..cache.len()).for_each(|t| sources[row * k + t] = place(t));
            targets.extend((first..cache.len()).map(place));
            for i in 0..q {
                // padded queries see what the last real one sees
                let seen = first + i.min(segment.len() - 1) + 1;
                mask[(row * q + i) * k..][..seen].fill(0.0);
            }
        }
        let device = &pool.device;
        let n = targets.len();
        let index = input.on(device)?;
        Ok(Self {
            pool: pool.clone(),
            heads,
            sizes: [r, q, k],
            targets: Tensor::from_vec(targets, (n, 1), device)?.broadcast_as((n, width))?.contiguous()?,
            sources: Tensor::from_vec(sources, r * k, device)?,
            mask: Tensor::from_vec(mask, (r, 1, q, k), device)?,
            padding: index.padding.clone(),
            places: index.places.clone(),
        })
    }

    /// Writes the new keys and values [N, J, E] of one layer into the pool.
    pub fn append(&self, layer: usize, k: &Tensor, v: &Tensor) -> Result<()> {
        let n = self.targets.dim(0)?;
        for (store, new) in self.pool.lock().layers[layer].iter().zip([k, v]) {
            store.scatter_set(&self.targets, &new.reshape((n, ()))?.contiguous()?, 0)?;
        }
        Ok(())
    }

    /// Attention of the new tokens q [N, H, E] -> [N, H*E].
    pub fn attend(&self, layer: usize, q: &Tensor) -> Result<Tensor> {
        let ([r, t, k], Heads { query, kv, size }) = (self.sizes, self.heads);
        let group = query / kv;
        let [keys, values] = self.pool.lock().layers[layer].clone();
        let stored = |store: &Tensor| {
            store.index_select(&self.sources, 0)?.reshape((r, k, kv, size))?.permute((0, 2, 1, 3))?.contiguous()
        };
        let (keys, values) = (stored(&keys)?, stored(&values)?); // [R, J, K, E]
        let n = q.dim(0)?;
        let q = q.reshape((n, ()))?.index_select(&self.padding, 0)?.reshape((r, t, kv, group, size))?;
        let q = q.permute((0, 2, 3, 1, 4))?.contiguous()?.reshape((r, kv, group * t, size))?;
        let scores = (wide(&q.matmul(&keys.t()?)?)? * (1.0 / (size as f64).sqrt()))?;
        let scores = scores.reshape((r, query, t, k))?.broadcast_add(&narrowed(&self.mask, &scores)?)?;
        let p = narrowed(&softmax(&scores)?, &q)?.reshape((r, kv, group * t, k))?;
        let o = p.matmul(&values)?.reshape((r, kv, group, t, size))?.permute((0, 3, 1, 2, 4))?.contiguous()?;
        o.reshape((r * t, ()))?.index_select(&self.places, 0)
    }
}
