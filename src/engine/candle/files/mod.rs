//! Model folders in Hugging Face layout: `config.json` and `model.safetensors`.

mod config;

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use rand::RngExt;

use super::arch::Architecture;
use super::layout::Names;
use super::model::{Decoder, Weights};
use super::ops::tensor;
use crate::core::rng;

/// Reads `config.json`.
pub(super) fn read_config(folder: &Path) -> Result<Architecture> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}: a model folder holds `config.json`, `model.safetensors` and `tokenizer.json`",
            path.display()
        )
    })?;
    let value = serde_json::from_str(&text).with_context(|| format!("{}: not valid JSON", path.display()))?;
    config::parse(value).with_context(|| path.display().to_string())
}

/// Writes `config.json`; makes the folder if it is not there.
pub(super) fn write_config(folder: &Path, architecture: &Architecture) -> Result<()> {
    let path = folder.join("config.json");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(&path, serde_json::to_string_pretty(&config::to_json(architecture))? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
}

pub(super) fn read_tensors(path: &Path) -> Result<HashMap<String, Tensor>> {
    candle_core::safetensors::load(path, &Device::Cpu)
        .with_context(|| format!("cannot read {}: the file is missing, cut off or not safetensors", path.display()))
}

pub(super) fn write_tensors(path: &Path, tensors: &HashMap<String, Tensor>) -> Result<()> {
    candle_core::safetensors::save(tensors, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads all named tensors as f32; missing or misshapen ones are named.
pub(super) fn read_weights(path: &Path, names: &Names) -> Result<Weights> {
    let mut tensors = read_tensors(path)?;
    let mut weights = Vec::with_capacity(names.len());
    for (name, shape) in names {
        let Some(t) = tensors.remove(name) else {
            bail!("{}: tensor `{name}` is missing; `config.json` asks for {} tensors", path.display(), names.len())
        };
        ensure!(
            t.dims() == shape,
            "{}: tensor `{name}` has shape {:?}, `config.json` asks for {shape:?}",
            path.display(),
            t.dims()
        );
        weights.push(t.to_dtype(DType::F32)?.contiguous()?);
    }
    Ok(weights.into())
}

pub(super) fn write_weights(path: &Path, names: &Names, weights: &Weights, half: bool) -> Result<()> {
    let dtype = if half { DType::BF16 } else { DType::F32 };
    let mut tensors = HashMap::new();
    for ((name, _), w) in names.iter().zip(weights) {
        tensors.insert(name.clone(), w.to_dtype(dtype)?);
    }
    write_tensors(path, &tensors)
}

/// Norm weights 1; biases 0; matrices normal(0, 0.02), those that write into the residual stream scaled by 1/sqrt(2 L)
/// (GPT-2).
pub(super) fn random_weights(decoder: &Decoder, seed: u64) -> Result<Weights> {
    let layers = decoder.config.num_hidden_layers as f32;
    let mut weights = vec![];
    for (i, (name, shape)) in decoder.names().iter().enumerate() {
        let n = shape.iter().product();
        let data = if name.ends_with(".bias") {
            vec![0f32; n]
        } else if shape.len() == 1 {
            vec![1f32; n]
        } else {
            let residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            let std = if residual { 0.02 / (2.0 * layers).sqrt() } else { 0.02 };
            normal(n, std, seed, i as u64)
        };
        weights.push(tensor(data, shape.clone())?);
    }
    Ok(weights.into())
}

/// Box-Muller.
fn normal(n: usize, std: f32, seed: u64, stream: u64) -> Vec<f32> {
    let mut rng = rng::stream(seed, "init", &[stream]);
    let mut one = || {
        let (u, v): (f32, f32) = (rng.random(), rng.random());
        std * (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
    };
    (0..n).map(|_| one()).collect()
}
