//! Weights as the sampler reads them.

use anyhow::Result;
use candle_core::{Tensor, TensorId, bail};

use super::meeting::Member;
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
    /// Where parts of a pass multiply together; without it each does so alone.
    pub meeting: Option<&'a Member<'a>>,
}

/// Numbers of a matrix worth meeting for: it takes some ten times as long to read it from memory.
const MEETING: usize = 1 << 15;

impl Sampled<'_> {
    /// x [N, K] w^T -> [N, M] for the matrix at `place`: on the CPU every row's result is the same to the last bit whatever
    /// rows are beside it.
    pub fn product(&self, x: &Tensor, place: usize) -> candle_core::Result<Tensor> {
        let Some(matrix) = &self.ready.matrices[place] else { return ops::linear(x, &self.weights[place]) };
        tensor(self.multiply(&matrix.panels, x)?, (x.dim(0)?, matrix.panels.shape()[0]))
    }

    /// The same as numbers in host memory.
    pub fn numbers(&self, x: &Tensor, place: usize) -> candle_core::Result<Vec<f32>> {
        match &self.ready.matrices[place] {
            Some(matrix) => self.multiply(&matrix.panels, x),
            None => ops::numbers(&ops::linear(x, &self.weights[place])?),
        }
    }

    fn multiply(&self, w: &Panels, x: &Tensor) -> candle_core::Result<Vec<f32>> {
        let [m, k] = w.shape();
        let xs = host(x)?;
        if xs.len() % k != 0 {
            bail!("{:?} cannot be multiplied by a matrix of {m} x {k}", x.shape())
        }
        Ok(match self.meeting {
            Some(member) if m * k >= MEETING => member.product(w, &xs),
            _ => w.product(&xs),
        })
    }
}
