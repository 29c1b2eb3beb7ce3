//! Model folders in Hugging Face layout: `config.json` and `model.safetensors`.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use candle_transformers::models::qwen3::Config;
use rand::RngExt;
use serde_json::json;

use super::model::{Decoder, Weights};
use super::ops::tensor;
use crate::core::rng;

type Names = [(String, Vec<usize>)];

/// Reads `config.json`; only the Qwen3 architecture without sliding window or rope scaling is accepted.
pub(super) fn read_config(folder: &Path) -> Result<Config> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}: a model folder holds `config.json`, `model.safetensors` and `tokenizer.json`",
            path.display()
        )
    })?;
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{}: not valid JSON", path.display()))?;
    let kind = value.get("model_type").and_then(|k| k.as_str()).unwrap_or("missing");
    ensure!(kind == "qwen3", "{}: `model_type` is `{kind}`, but only `qwen3` models are supported", path.display());
    ensure!(
        value.get("rope_scaling").is_none_or(|r| r.is_null()),
        "{}: `rope_scaling` is not supported",
        path.display()
    );
    let config: Config =
        serde_json::from_value(value).with_context(|| format!("{}: not a Qwen3 configuration", path.display()))?;
    check(&config).with_context(|| path.display().to_string())?;
    Ok(config)
}

fn check(c: &Config) -> Result<()> {
    ensure!(!c.attention_bias && !c.use_sliding_window, "attention bias and sliding windows are not supported");
    ensure!(matches!(c.hidden_act, candle_nn::Activation::Silu), "`hidden_act` must be `silu`");
    ensure!(
        c.num_key_value_heads > 0 && c.num_attention_heads.is_multiple_of(c.num_key_value_heads),
        "`num_attention_heads` must be a multiple of `num_key_value_heads`"
    );
    ensure!(c.head_dim > 0 && c.head_dim.is_multiple_of(2), "`head_dim` must be even");
    ensure!(c.vocab_size > 0 && c.hidden_size > 0 && c.num_hidden_layers > 0, "sizes must be positive");
    Ok(())
}

/// Writes `config.json` in the form `transformers` reads.
pub(super) fn write_config(folder: &Path, c: &Config) -> Result<()> {
    let value = json!({
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.num_hidden_layers,
        "num_attention_heads": c.num_attention_heads,
        "num_key_value_heads": c.num_key_value_heads,
        "head_dim": c.head_dim,
        "attention_bias": c.attention_bias,
        "max_position_embeddings": c.max_position_embeddings,
        "sliding_window": c.sliding_window,
        "max_window_layers": c.max_window_layers,
        "use_sliding_window": c.use_sliding_window,
        "tie_word_embeddings": c.tie_word_embeddings,
        "rope_theta": c.rope_theta,
        "rms_norm_eps": c.rms_norm_eps,
        "hidden_act": "silu",
        "torch_dtype": "float32",
    });
    let path = folder.join("config.json");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(&path, serde_json::to_string_pretty(&value)? + "\n")
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
    Ok(weights)
}

pub(super) fn write_weights(path: &Path, names: &Names, weights: &Weights, half: bool) -> Result<()> {
    let dtype = if half { DType::BF16 } else { DType::F32 };
    let mut tensors = HashMap::new();
    for ((name, _), w) in names.iter().zip(weights) {
        tensors.insert(name.clone(), w.to_dtype(dtype)?);
    }
    write_tensors(path, &tensors)
}

/// Norm weights 1; matrices normal(0, 0.02), those that write into the residual stream scaled by 1/sqrt(2 L)
/// (GPT-2).
pub(super) fn random_weights(decoder: &Decoder, seed: u64) -> Result<Weights> {
    let layers = decoder.config.num_hidden_layers as f32;
    let mut weights = vec![];
    for (i, (name, shape)) in decoder.names().iter().enumerate() {
        let n = shape.iter().product();
        let data = if shape.len() == 1 {
            vec![1f32; n]
        } else {
            let residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            let std = if residual { 0.02 / (2.0 * layers).sqrt() } else { 0.02 };
            normal(n, std, seed, i as u64)
        };
        weights.push(tensor(data, shape.clone())?);
    }
    Ok(weights)
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
