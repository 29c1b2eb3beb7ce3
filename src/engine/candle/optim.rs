//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) with global-norm clipping; a non-finite gradient skips the
//! update.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::Tensor;
use rayon::prelude::*;

use super::cpu::{self, AdamWStep};
use super::files;
use super::model::{Gradients, Weights};
use super::ops::{host, tensor};
use crate::engine::{AdamW, Update};

/// First and second moments, in the order of the weights.
#[derive(Clone)]
pub(super) struct Moments {
    updates: i32,
    m: Vec<Vec<f32>>,
    v: Vec<Vec<f32>>,
}

const FILE: &str = "optimizer.safetensors";
const CHUNK: usize = 1 << 14;

impl Moments {
    pub fn new(weights: &Weights) -> Self {
        let zeros = || weights.iter().map(|w| vec![0f32; w.elem_count()]).collect();
        Self { updates: 0, m: zeros(), v: zeros() }
    }

    /// Updates `weights` by `grads` and clears them. New tensors are made, so kept weight sets stay as they are.
    pub fn step(&mut self, weights: &mut Weights, grads: &mut Gradients, optim: &AdamW) -> Result<Update> {
        let grads: Vec<Option<Tensor>> = grads.iter_mut().map(Option::take).collect();
        let mut square = 0f64;
        for g in grads.iter().flatten() {
            square += host(g)?.iter().map(|&g| g as f64 * g as f64).sum::<f64>();
        }
        let grad_norm = square.sqrt();
        if !grad_norm.is_finite() {
            return Ok(Update { grad_norm, skipped: true });
        }
        self.updates += 1;
        let step = self.step_numbers(optim, grad_norm);
        for (i, g) in grads.iter().enumerate() {
            let Some(g) = g else { continue };
            let g = host(g)?;
            let mut w = host(&weights[i])?.to_vec();
            (
                w.par_chunks_mut(CHUNK),
                self.m[i].par_chunks_mut(CHUNK),
                self.v[i].par_chunks_mut(CHUNK),
                g.par_chunks(CHUNK),
            )
                .into_par_iter()
                .for_each(|(w, m, v, g)| cpu::adamw(w, m, v, g, &step));
            weights[i] = tensor(w, weights[i].shape())?;
        }
        Ok(Update { grad_norm, skipped: false })
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

    pub fn save(&self, folder: &Path, names: &[(String, Vec<usize>)]) -> Result<()> {
        let mut tensors = HashMap::new();
        for (i, (name, shape)) in names.iter().enumerate() {
            tensors.insert(format!("m.{name}"), tensor(self.m[i].clone(), shape.clone())?);
            tensors.insert(format!("v.{name}"), tensor(self.v[i].clone(), shape.clone())?);
        }
        tensors.insert("updates".into(), Tensor::new(self.updates as i64, &candle_core::Device::Cpu)?);
        files::write_tensors(&folder.join(FILE), &tensors)
    }

    pub fn load(folder: &Path, names: &[(String, Vec<usize>)], weights: &Weights) -> Result<Self> {
        let path = folder.join(FILE);
        let mut tensors = files::read_tensors(&path)?;
        let mut moments = Self::new(weights);
        let mut take = |name: String, len: usize| -> Result<Vec<f32>> {
            let t = tensors.remove(&name).with_context(|| format!("{}: no tensor `{name}`", path.display()))?;
            let data: Vec<f32> = t.flatten_all()?.to_vec1()?;
            anyhow::ensure!(
                data.len() == len,
                "{}: `{name}` has {} numbers, expected {len}",
                path.display(),
                data.len()
            );
            Ok(data)
        };
        for (i, (name, _)) in names.iter().enumerate() {
            let len = weights[i].elem_count();
            moments.m[i] = take(format!("m.{name}"), len)?;
            moments.v[i] = take(format!("v.{name}"), len)?;
        }
        let updates = tensors.get("updates").with_context(|| format!("{}: no tensor `updates`", path.display()))?;
        moments.updates = updates.to_scalar::<i64>()? as i32;
        Ok(moments)
    }
}
