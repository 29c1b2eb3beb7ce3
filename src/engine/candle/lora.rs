//! Low-rank adapters (LoRA, arXiv 2106.09685): y = x W^T + s (x A^T) B^T with W frozen, s = alpha / rank.
//!
//! A set of adapters is some more tensors behind those of the decoder, so sets, optimiser and checkpoints treat both
//! alike. The reference is the model with the adapters off: no second copy of W exists. Adapters stay in f32 whatever
//! the precision of W. There is no dropout: scoring must see the weights that sampled.

use std::sync::Arc;

use anyhow::{Result, ensure};
use candle_core::Tensor;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::CandleEngine;
use super::arch::Architecture;
use super::layout::{Layout, Names, Projection};
use super::ops::{self, Product, tensor};
use super::weights::{Adapter, Adapters, Weights, scaled};
use crate::core::rng;

/// Which matrices get an adapter, and how large it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lora {
    /// R, >= 1.
    pub rank: usize,
    /// The adapters are scaled by alpha / rank.
    pub alpha: f64,
    pub targets: Vec<Projection>,
}

impl Lora {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.rank <= 1 << 20, "the rank of the adapters is {}, more than any have", self.rank);
        ensure!(self.rank > 0, "the rank of the adapters is 0, it must be at least 1");
        ensure!(!self.targets.is_empty(), "the adapters have no targets, name at least one matrix such as `q_proj`");
        ensure!(self.alpha.is_finite(), "`alpha` of the adapters is not a finite number");
        Ok(())
    }

    /// Whether both adapt the same matrices in the same form.
    pub(super) fn same_adapters(&self, other: &Lora) -> bool {
        let covers = |a: &Lora, b: &Lora| a.targets.iter().all(|p| b.targets.contains(p));
        self.rank == other.rank && self.alpha == other.alpha && covers(self, other) && covers(other, self)
    }

    /// Numbers in all adapters of a decoder.
    pub fn parameters(&self, architecture: &Architecture) -> u64 {
        let chosen = Projection::ALL.into_iter().filter(|p| self.targets.contains(p));
        let layer: usize = chosen.map(|p| p.shape(architecture).iter().sum::<usize>() * self.rank).sum();
        (layer * architecture.num_hidden_layers) as u64
    }
}

/// Names and shapes of the adapters of a decoder, with the names PEFT gives them, and where they stand.
pub(super) fn plan(layout: &Layout, lora: &Lora) -> Result<(Names, Arc<Adapters>)> {
    lora.check()?;
    let base = layout.names.len();
    let mut names: Names = vec![];
    let mut of = vec![None; base];
    for layer in &layout.layers {
        for p in Projection::ALL.into_iter().filter(|p| lora.targets.contains(p)) {
            let place = layer.weight(p);
            let (name, shape) = &layout.names[place];
            let stem = name.trim_end_matches(".weight");
            of[place] = Some(base + names.len());
            names.push((format!("base_model.model.{stem}.lora_A.weight"), vec![lora.rank, shape[1]]));
            names.push((format!("base_model.model.{stem}.lora_B.weight"), vec![shape[0], lora.rank]));
        }
    }
    let scale = (lora.alpha / lora.rank as f64) as f32;
    Ok((names, Arc::new(Adapters { base, of, scale })))
}

/// New adapters: A uniform in +-1/sqrt(inputs) (what PEFT draws), B zero, so the model starts as it was.
pub(super) fn random(names: &Names, seed: u64) -> Result<Vec<Tensor>> {
    let one = |(i, (name, shape)): (usize, &(String, Vec<usize>))| {
        let n = shape.iter().product();
        let data = if name.ends_with("lora_A.weight") {
            let bound = 1.0 / (shape[1] as f32).sqrt();
            let mut rng = rng::stream(seed, "lora", &[i as u64]);
            (0..n).map(|_| rng.random_range(-bound..bound)).collect()
        } else {
            vec![0f32; n]
        };
        Ok(tensor(data, shape.clone())?)
    };
    names.iter().enumerate().map(one).collect()
}

impl CandleEngine {
    /// Gives the adapters other numbers.
    pub(super) fn put_adapters(&mut self, numbers: &[Vec<f32>]) -> Result<()> {
        let trained = self.live.trained();
        ensure!(self.live.frozen() && numbers.len() == trained.len(), "there are no such adapters to be set");
        for (place, numbers) in trained.zip(numbers) {
            let shape = self.live[place].shape().clone();
            ensure!(shape.elem_count() == numbers.len(), "adapters have other sizes than the numbers given");
            self.live[place] = tensor(numbers.clone(), shape)?.to_device(self.live[0].device())?;
        }
        self.packed = None;
        Ok(())
    }

    /// Takes the gradient by the adapters; one that nothing has flowed to is 0.
    pub(super) fn give_gradient(&mut self) -> Result<Vec<Vec<f32>>> {
        let trained = self.live.trained();
        ensure!(self.live.frozen(), "only the gradient by adapters is given away");
        let taken = trained.map(|place| match self.grads[place].take() {
            Some(gradient) => Ok(ops::numbers(&gradient)?),
            None => Ok(vec![0.0; self.live[place].elem_count()]),
        });
        taken.collect()
    }
}

/// y + s (x A^T) B^T: x [N, K], y [N, M], which must be the caller's alone.
pub(super) fn forward(adapter: &Adapter, x: &Tensor, y: Tensor, product: Product) -> candle_core::Result<Tensor> {
    let narrow = scaled(&product(x, adapter.at)?, adapter.scale)?; // [N, R]
    ops::add_into(y, &product(&narrow, adapter.at + 1)?)
}

/// Gradients of [`forward`] by A, B and x for upstream g [N, M]. What is narrow is computed again, it is cheap.
pub(super) fn backward(adapter: &Adapter, x: &Tensor, g: &Tensor) -> candle_core::Result<[Tensor; 3]> {
    let narrow = scaled(&ops::linear(x, adapter.a)?, adapter.scale)?; // [N, R]
    let db = ops::linear_grad_weight(g, &narrow, None)?;
    let dnarrow = scaled(&ops::linear_grad_input(g, adapter.b, None)?, adapter.scale)?;
    let da = ops::linear_grad_weight(&dnarrow, x, None)?;
    Ok([da, db, ops::linear_grad_input(&dnarrow, adapter.a, None)?])
}

/// The decoder alone, with W + s B A in the place of every adapted W.
pub(super) fn merged(weights: &Weights) -> Result<Weights> {
    let mut base = weights.base();
    for place in 0..base.len() {
        let Some(adapter) = weights.adapter(place) else { continue };
        // (s B) A: as a product of "rows" B with the "matrix" A^T
        let delta = ops::linear_grad_input(&scaled(adapter.b, adapter.scale)?, adapter.a, None)?;
        let whole = base[place].to_dtype(delta.dtype())?;
        base[place] = ops::add(&whole, &delta)?;
    }
    Ok(base)
}
