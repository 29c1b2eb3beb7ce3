//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) with global-norm clipping; a non-finite gradient skips the
//! update.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::cpu::{self, AdamWStep};
use super::files;
use super::model::Gradients;
use super::ops::{host, tensor};
use super::plain::{self, AdamWTensors};
use super::weights::Weights;
use crate::engine::{AdamW, Update};

/// First and second moments of what is trained, in its order; empty before the first update.
#[derive(Clone, Default)]
pub(super) struct Moments {
    updates: i32,
    m: Vec<Vec<f32>>,
    v: Vec<Vec<f32>>,
    /// The same where the weights are on a device; then `m` and `v` are empty.
    there: Vec<AdamWTensors>,
}

/// Sum of squares.
fn square(grads: &[Option<Tensor>]) -> Result<f64> {
    let mut square = 0f64;
    for g in grads.iter().flatten() {
        square += host(g)?.iter().map(|&g| g as f64 * g as f64).sum::<f64>();
    }
    Ok(square)
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
        let there = plain::is(&weights[trained.start]);
        let grad_norm = if there { plain::square(grads.iter().flatten())? } else { square(&grads)? }.sqrt();
        if !grad_norm.is_finite() {
            return Ok(Update { grad_norm, skipped: true });
        }
        self.begin(weights, &trained)?;
        self.updates += 1;
        let step = self.step_numbers(optim, grad_norm);
        if there {
            for ((place, g), moments) in trained.zip(grads).zip(&mut self.there) {
                let Some(g) = g else { continue };
                weights[place] = moments.step(&weights[place], &g, &step)?;
            }
            return Ok(Update { grad_norm, skipped: false });
        }
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
    fn begin(&mut self, weights: &Weights, trained: &Range<usize>) -> Result<()> {
        let weights = &weights[trained.clone()];
        if plain::is(&weights[0]) {
            let before = std::mem::take(&mut self.m).into_iter().zip(std::mem::take(&mut self.v));
            for (w, (m, v)) in weights.iter().zip(before) {
                self.there.push(AdamWTensors::of([&m, &v], w)?);
            }
            for w in &weights[self.there.len()..] {
                self.there.push(AdamWTensors::zeros(w)?);
            }
        } else if self.m.is_empty() {
            let zeros = || weights.iter().map(|w| vec![0f32; w.elem_count()]).collect();
            (self.m, self.v) = (zeros(), zeros());
        }
        Ok(())
    }

    /// The same in host memory.
    pub fn ashore(&self) -> Result<Self> {
        let there = self.there.iter().map(AdamWTensors::ashore).collect::<candle_core::Result<_>>()?;
        Ok(Self { updates: self.updates, m: self.m.clone(), v: self.v.clone(), there })
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
        for ((name, _), moments) in names.iter().zip(&self.there) {
            let here = |t: &Tensor| t.to_dtype(DType::F32)?.to_device(&Device::Cpu);
            tensors.insert(format!("m.{name}"), here(&moments.m)?);
            tensors.insert(format!("v.{name}"), here(&moments.v)?);
        }
        for ((name, shape), (m, v)) in names.iter().zip(self.m.iter().zip(&self.v)) {
            tensors.insert(format!("m.{name}"), tensor(m.clone(), shape.clone())?);
            tensors.insert(format!("v.{name}"), tensor(v.clone(), shape.clone())?);
        }
        tensors.insert("updates".into(), Tensor::new(self.updates as i64, &Device::Cpu)?);
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

#[cfg(test)]
impl PartialEq for Moments {
    fn eq(&self, other: &Self) -> bool {
        (self.updates, &self.m, &self.v) == (other.updates, &other.m, &other.v)
    }
}

#[cfg(test)]
impl std::fmt::Debug for Moments {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "moments after {} updates", self.updates)
    }
}
