//! The numbers of one weight set: the decoder's tensors in the order of its layout and, after them, the adapters' where
//! the set has any. Cloning shares storage, and no function of the engine writes into a tensor that exists: an update
//! makes new ones, so whoever holds a clone keeps what it was cloned from.

use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

use super::ops::{host, numbers, tensor};
use super::plain;

/// Tensors by place; cloning shares storage.
#[derive(Clone)]
pub(super) struct Weights {
    tensors: Vec<Tensor>,
    adapters: Option<Arc<Adapters>>,
}

/// Which matrices have an adapter, and where in the list it stands.
pub(super) struct Adapters {
    /// Tensors of the decoder itself.
    pub base: usize,
    /// By the place of a matrix: the place of its A; B is the next one.
    pub of: Vec<Option<usize>>,
    /// alpha / rank.
    pub scale: f32,
}

/// The low-rank part of a matrix [M, K]: scale * b a.
pub(super) struct Adapter<'a> {
    /// [R, K]
    pub a: &'a Tensor,
    /// [M, R]
    pub b: &'a Tensor,
    pub scale: f32,
    /// Place of `a`; `b` is the next one.
    pub at: usize,
}

impl Weights {
    /// A decoder's weights with `adapters` (A and B of every adapted matrix) behind them.
    pub fn with_adapters(&self, tensors: Vec<Tensor>, adapters: Arc<Adapters>) -> Self {
        let tensors = [&self.tensors[..adapters.base], &tensors].concat();
        Self { tensors, adapters: Some(adapters) }
    }

    /// The same weights with the adapters off.
    pub fn base(&self) -> Self {
        let end = self.adapters.as_ref().map_or(self.tensors.len(), |a| a.base);
        Self { tensors: self.tensors[..end].to_vec(), adapters: None }
    }

    /// Whether the decoder's own tensors stay as they are because adapters are trained.
    pub fn frozen(&self) -> bool {
        self.adapters.is_some()
    }

    /// Places of what is trained.
    pub fn trained(&self) -> Range<usize> {
        self.adapters.as_ref().map_or(0, |a| a.base)..self.tensors.len()
    }

    /// The adapter of the matrix at `place`.
    pub fn adapter(&self, place: usize) -> Option<Adapter<'_>> {
        let adapters = self.adapters.as_ref()?;
        let at = adapters.of[place]?;
        Some(Adapter { a: &self.tensors[at], b: &self.tensors[at + 1], scale: adapters.scale, at })
    }

    /// Whether there are adapters and all of them add nothing, as new ones do.
    pub fn idle(&self) -> Result<bool> {
        let zero = |t: &Tensor| Ok::<_, candle_core::Error>(numbers(t)?.iter().all(|x| *x == 0.0));
        let mut all = self.frozen();
        for b in self[self.trained()].iter().skip(1).step_by(2) {
            all = all && zero(b)?;
        }
        Ok(all)
    }

    /// The same weights with every B multiplied by `strength`.
    pub fn with_strength(&self, strength: f64) -> Result<Self> {
        let mut weights = self.clone();
        for at in self.trained().skip(1).step_by(2) {
            weights[at] = scaled(&self[at], strength as f32)?;
        }
        Ok(weights)
    }

    /// Precision of the decoder's own tensors.
    pub fn dtype(&self) -> DType {
        self.tensors.first().map_or(DType::F32, Tensor::dtype)
    }

    /// Whether both are the same numbers in the same storage.
    pub fn same(&self, other: &Self) -> bool {
        let pairs = || self.tensors.iter().zip(&other.tensors);
        self.tensors.len() == other.tensors.len() && pairs().all(|(a, b)| a.id() == b.id())
    }

    /// Every tensor through `f`.
    pub fn map(&self, f: impl FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let tensors = self.tensors.iter().map(f).collect::<Result<_>>()?;
        Ok(Self { tensors, adapters: self.adapters.clone() })
    }

    /// Every tensor of both through `f`; a tensor that both share stays shared.
    pub fn zip(&self, other: &Self, f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Self> {
        let pairs = self.tensors.iter().zip(&other.tensors);
        let one = |(a, b): (&Tensor, &Tensor)| if a.id() == b.id() { Ok(a.clone()) } else { f(a, b) };
        Ok(Self { tensors: pairs.map(one).collect::<Result<_>>()?, adapters: self.adapters.clone() })
    }

    /// The nearest bf16 numbers, in two bytes each.
    pub fn packed(&self) -> Result<Self> {
        self.map(|t| t.to_dtype(DType::BF16))
    }

    /// The nearest bf16 numbers, to compute with: `dtype` is bf16 on a device, f32 on the CPU.
    pub fn rounded(&self, dtype: DType) -> Result<Self> {
        self.map(|t| t.to_dtype(DType::BF16)?.to_dtype(dtype))
    }

    /// The same weights on `device`.
    pub fn on(&self, device: &Device) -> Result<Self> {
        self.map(|t| t.to_device(device))
    }
}

impl From<Vec<Tensor>> for Weights {
    fn from(tensors: Vec<Tensor>) -> Self {
        Self { tensors, adapters: None }
    }
}

impl Deref for Weights {
    type Target = [Tensor];

    fn deref(&self) -> &[Tensor] {
        &self.tensors
    }
}

impl DerefMut for Weights {
    fn deref_mut(&mut self) -> &mut [Tensor] {
        &mut self.tensors
    }
}

impl<'a> IntoIterator for &'a Weights {
    type Item = &'a Tensor;
    type IntoIter = std::slice::Iter<'a, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.iter()
    }
}

impl<'a> IntoIterator for &'a mut Weights {
    type Item = &'a mut Tensor;
    type IntoIter = std::slice::IterMut<'a, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.iter_mut()
    }
}

impl FromIterator<Tensor> for Weights {
    fn from_iter<I: IntoIterator<Item = Tensor>>(tensors: I) -> Self {
        tensors.into_iter().collect::<Vec<_>>().into()
    }
}

/// scale * x, in a new tensor.
pub(super) fn scaled(x: &Tensor, scale: f32) -> Result<Tensor> {
    if plain::is(x) {
        return x * f64::from(scale);
    }
    tensor(host(x)?.iter().map(|x| x * scale).collect(), x.shape())
}
