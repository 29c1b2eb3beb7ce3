//! The KV cache of a device: every sequence has a seat in one block of memory, in which attention of new tokens reads keys
//! and values where they lie.
//!
//! Pages as on the CPU would have to be gathered for every token and layer, which candle's lookups do at a small part of
//! the memory's speed. A seat has room for the longest sequence; a shared beginning is copied when it is written to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Result, Tensor};

use crate::engine::candle::kv::{BLOCK, CacheShape};

/// All seats.
pub(in super::super) struct Pool {
    shape: CacheShape,
    device: Device,
    dtype: DType,
    /// Tokens of the longest sequence there can be.
    longest: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Per layer keys and values, [S, J, T, E] each: S seats with room for T tokens.
    layers: Vec<[Tensor; 2]>,
    free: BTreeSet<usize>,
    seats: usize,
    room: usize,
}

/// A seat in use; it goes back to its pool when dropped.
pub(in super::super) struct Seat {
    pub index: usize,
    pool: Arc<Pool>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.pool.lock().free.insert(self.index);
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "seat {}", self.index)
    }
}

/// One step of growth: what is copied is little beside what is read for every token.
fn more(n: usize) -> usize {
    n + n / 4
}

impl Pool {
    /// An empty pool for a model whose weights are like `like`, for sequences of at most `longest` tokens.
    pub fn new(shape: CacheShape, like: &Tensor, longest: usize) -> Arc<Self> {
        let (device, dtype) = (like.device().clone(), like.dtype());
        Arc::new(Self { shape, device, dtype, longest, inner: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // what a panic left is only asked for by those who end with it
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of a number.
    pub fn number(&self) -> usize {
        self.dtype.size_in_bytes()
    }

    /// Blocks of tokens that a seat has room for.
    pub fn blocks(&self) -> usize {
        self.lock().room / BLOCK
    }

    /// Seats that nobody has.
    pub fn spare(&self) -> usize {
        self.lock().free.len()
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Keys and values of a layer, [S, J, T, E] each.
    pub fn layer(&self, layer: usize) -> [Tensor; 2] {
        self.lock().layers[layer].clone()
    }

    /// A seat whose contents do not matter, the first that is free.
    pub fn seat(self: &Arc<Self>) -> Result<Arc<Seat>> {
        let mut inner = self.lock();
        if inner.free.is_empty() {
            let (seats, room) = (more(inner.seats).max(inner.seats + 1), inner.room.max(BLOCK));
            self.resize(&mut inner, seats, room)?;
        }
        let index = inner.free.pop_first().unwrap_or_default();
        Ok(Arc::new(Seat { index, pool: self.clone() }))
    }

    /// A seat with the contents of another one.
    pub fn copy(self: &Arc<Self>, seat: &Seat) -> Result<Arc<Seat>> {
        let copy = self.seat()?;
        for store in self.lock().layers.iter().flatten() {
            store.slice_set(&store.narrow(0, seat.index, 1)?.force_contiguous()?, 0, copy.index)?;
        }
        Ok(copy)
    }

    /// Makes room for sequences of `tokens` tokens.
    pub fn reserve(&self, tokens: usize) -> Result<()> {
        let mut inner = self.lock();
        if tokens <= inner.room {
            return Ok(());
        }
        let room = more(inner.room).min(self.longest).max(tokens).next_multiple_of(BLOCK);
        let seats = inner.seats;
        self.resize(&mut inner, seats, room)
    }

    /// A layer at a time, so that little is there twice.
    fn resize(&self, inner: &mut Inner, seats: usize, room: usize) -> Result<()> {
        let CacheShape { layers, heads, size } = self.shape;
        let zeros = || Tensor::zeros((seats, heads, room, size), self.dtype, &self.device);
        let (more, further) = (seats - inner.seats, room - inner.room);
        for layer in 0..layers {
            let grown = |old: &Tensor| old.pad_with_zeros(2, 0, further)?.pad_with_zeros(0, 0, more);
            match inner.layers.get_mut(layer) {
                Some([k, v]) => (*k, *v) = (grown(k)?, grown(v)?),
                None => inner.layers.push([zeros()?, zeros()?]),
            }
        }
        inner.free.extend(inner.seats..seats);
        (inner.seats, inner.room) = (seats, room);
        Ok(())
    }
}
