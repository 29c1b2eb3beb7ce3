//! Weights as the sampler reads them.

use anyhow::Result;
use candle_core::{Tensor, TensorId};

use super::model::Weights;
use super::ops::{self, host, tensor};
use super::panel::Panels;
use super::plain;

/// The matrices of a weight set once more, as [`Panels`]. On a device there are none: the tensors themselves are read.
///
/// They stay from one sampling to the next, because asking the system for so much memory takes longer than filling it;
/// what has not changed since is not copied again.
#[derive(Default)]
pub(super) struct Ready {
    /// By place; `None` = not a matrix, or not one that anything is multiplied by.
    matrices: Vec<Option<Matrix>>,
}

struct Matrix {
    /// What it was copied from. Nobody writes into a tensor that exists, so the same tensor has the same numbers.
    of: TensorId,
    panels: Panels,
}

impl Ready {
    /// Brings the copies up to date with `w`, where `used` says of a place whether anything is multiplied by it.
    pub fn refresh(&mut self, w: &Weights, used: impl Fn(usize) -> bool) -> Result<()> {
        self.matrices.resize_with(w.len(), || None);
        for (place, t) in w.iter().enumerate() {
            let matrix = t.rank() == 2 && used(place) && !plain::is(t);
            let entry = &mut self.matrices[place];
            match entry {
                _ if !matrix => *entry = None,
                Some(same) if same.of == t.id() => {}
                Some(old) if old.panels.shape() == t.dims() => {
                    old.panels.fill(&host(t)?);
                    old.of = t.id();
                }
                _ => *entry = Some(Matrix { of: t.id(), panels: Panels::of(&host(t)?, t.dim(1)?) }),
            }
        }
        Ok(())
    }
}

/// What is sampled with.
#[derive(Clone, Copy)]
pub(super) struct Sampled<'a> {
    pub weights: &'a Weights,
    /// Refreshed by `weights`.
    pub ready: &'a Ready,
}

impl Sampled<'_> {
    /// y = x w^T for the matrix at `place`: on the CPU every row's result is the same to the last bit whatever rows are
    /// beside it.
    pub fn product(&self, x: &Tensor, place: usize) -> candle_core::Result<Tensor> {
        let Some(matrix) = self.ready.matrices[place].as_ref().filter(|_| !plain::is(x)) else {
            return ops::linear(x, &self.weights[place]);
        };
        let (n, _) = x.dims2()?;
        let [m, _] = matrix.panels.shape();
        let mut y = vec![0f32; n * m];
        matrix.panels.product(&host(x)?, &mut y);
        tensor(y, (n, m))
    }
}
