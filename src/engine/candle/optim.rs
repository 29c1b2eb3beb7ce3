//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) with global-norm clipping; a non-finite gradient skips the
//! update.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use rayon::prelude::*;

use super::cpu::{self, AdamWStep};
use super::files;
use super::model::Gradients;
use super::ops::{host, tensor};
use super::weights::Weights;
use crate::engine::{AdamW, Update};

/// First and second moments of what is trained, in its order; empty before the first update.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Moments {
    updates: i32,
    m: Vec<Vec<f32>>,
    v: Vec<Vec<f32>>,
}

const FILE: &str = "optimizer.safetensors";
const CHUNK: usize = 1 << 14;

impl Moments {
    /// Updates `weights` by `grads` and clears them.
    ///
    /// New tensors are made and nothing is written in place, so weight sets that share storage stay as they are.
    pub fn step(&mut self, weights: &mut Weights, grads: &mut Gradients, optim: &AdamW) -> Result<Update> {
        let trained = weights.trained();
        let mut grads: Vec<Option<Tensor>> = grads[trained.clone()].iter_mut().map(Option::take).collect();
        let mut square = 0f64;
        for g in grads.iter().flatten() {
            square += host(g)?.iter().map(|&g| g as f64 * g as f64).sum::<f64>();
        }
        let grad_norm = square.sqrt();
        if !grad_norm.is_finite() {
            return Ok(Update { grad_norm, skipped: true });
        }
        self.begin(weights, &trained);
        self.updates += 1;
        let step = self.step_numbers(optim, grad_norm);
        for (i, place) in trained.enumerate() {
            let Some(g) = grads[i].take() else { continue };
            let g = host(&g)?;
            let mut w = host(&weights[place])?.to_vec();
            (
                w.par_chunks_mut(CHUNK),
                self.m[i].par_chunks_mut(CHUNK),
                self.v[i].par_chunks_mut(CHUNK),
                g.par_chunks(CHUNK),
            )
                .into_par_iter()
                .for_each(|(w, m, v, g)| cpu::adamw(w, m, v, g, &step));
            weights[place] = tensor(w, weights[place].shape())?;
        }
        Ok(Update { grad_norm, skipped: false })
    }

    /// Zero moments, if there are none yet: an engine that only scores and samples has no use for them.
    fn begin(&mut self, weights: &Weights, trained: &Range<usize>) {
        if self.m.is_empty() {
            let zeros = || weights[trained.clone()].iter().map(|w| vec![0f32; w.elem_count()]).collect();
            (self.m, self.v) = (zeros(), zeros());
        }
    }

    fn step_numbers(&self, optim: &AdamW, grad_norm: f64) -> AdamWStep {
        let clip = optim.max_grad_norm > 0.0 && grad_norm > optim.max_grad_norm;
        AdamWStep {
            lr: optim.lr as f32,
            beta1: optim.beta1 as f32,
            beta2: optim.beta2 as f32,
            eps: optim.eps as f32,
            weight_decay: optim.weight_decay as f32,
            c1: (1.0 / (1.0 - optim.beta1.powi(self.updates))) as f32,
            c2: (1.0 / (1.0 - optim.beta2.powi(self.updates))) as f32,
            grad_scale: if clip { (optim.max_grad_norm / grad_norm) as f32 } else { 1.0 },
        }
    }

    /// Writes the moments of the tensors `names`, those that are trained.
    pub fn save(&self, folder: &Path, names: &[(String, Vec<usize>)]) -> Result<()> {
        let mut tensors = HashMap::new();
        for ((name, shape), (m, v)) in names.iter().zip(self.m.iter().zip(&self.v)) {
            tensors.insert(format!("m.{name}"), tensor(m.clone(), shape.clone())?);
            tensors.insert(format!("v.{name}"), tensor(v.clone(), shape.clone())?);
        }
        tensors.insert("updates".into(), Tensor::new(self.updates as i64, &candle_core::Device::Cpu)?);
        files::write_tensors(&folder.join(FILE), &tensors)
    }

    pub fn load(folder: &Path, names: &[(String, Vec<usize>)]) -> Result<Self> {
        let path = folder.join(FILE);
        let mut tensors = files::read_tensors(&path)?;
        let updates = tensors.get("updates").with_context(|| format!("{}: no tensor `updates`", path.display()))?;
        let mut moments = Self { updates: updates.to_scalar::<i64>()? as i32, ..Self::default() };
        if moments.updates == 0 {
            return Ok(moments);
        }
        let mut take = |name: String, len: usize| -> Result<Vec<f32>> {
            let t = tensors.remove(&name).with_context(|| format!("{}: no tensor `{name}`", path.display()))?;
            let data: Vec<f32> = t.flatten_all()?.to_vec1()?;
            let found = data.len();
            ensure!(found == len, "{}: `{name}` has {found} numbers, expected {len}", path.display());
            Ok(data)
        };
        for (name, shape) in names {
            let len = shape.iter().product();
            moments.m.push(take(format!("m.{name}"), len)?);
            moments.v.push(take(format!("v.{name}"), len)?);
        }
        Ok(moments)
    }
}
