//! Adapter folders as PEFT writes and reads them: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Tensor};
use serde::Deserialize;
use serde_json::{Value, json};

use super::files;
use super::layout::Projection;
use super::lora::Lora;

pub(super) const CONFIG: &str = "adapter_config.json";
pub(super) const WEIGHTS: &str = "adapter_model.safetensors";

/// What an adapter folder says about itself.
pub(super) struct AdapterConfig {
    pub lora: Lora,
    /// The model the adapters belong to, as written: a path or a hub id.
    pub base: String,
}

/// The keys this engine understands. Of the others, those in [`HARMLESS`] do not change what is computed; all that
/// remain must be off.
#[derive(Deserialize)]
struct Written {
    base_model_name_or_path: Option<String>,
    r: usize,
    lora_alpha: f64,
    target_modules: Value,
}

/// Where adapters come from, how they were started and trained, and details of what must be off itself.
const HARMLESS: [&str; 22] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
];

/// Ways to start adapters that leave the model as it is. With the others (`pissa`, `olora`, ...) they belong to a model
/// that PEFT makes from the named one.
const STARTS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

fn refuse(value: &Value) -> Result<()> {
    let settings = value.as_object().context("no JSON object")?;
    for (key, found) in settings.iter().filter(|(key, _)| !HARMLESS.contains(&key.as_str())) {
        let off = match found {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text == "none",
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        ensure!(off, "`{key}` is {found}, which is not supported; merge the adapters into their model with PEFT");
    }
    let start = settings.get("init_lora_weights").and_then(Value::as_str);
    if let Some(start) = start.filter(|start| !STARTS.contains(start)) {
        bail!(
            "`init_lora_weights` is `{start}`, which changes the model the adapters belong to; save them with PEFT's \
             `path_initial_model_for_weight_conversion`, or merge them into their model"
        )
    }
    Ok(())
}

/// Whether `folder` holds adapters and no model of its own.
pub(super) fn is_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).exists() && !folder.join("config.json").exists()
}

pub(super) fn read_config(folder: &Path) -> Result<AdapterConfig> {
    let path = folder.join(CONFIG);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<AdapterConfig> {
    let value: Value = serde_json::from_str(text).context("not valid JSON")?;
    let kind = value.get("peft_type").and_then(Value::as_str).unwrap_or_default();
    ensure!(kind == "LORA", "`peft_type` is `{kind}`, only `LORA` is supported");
    refuse(&value)?;
    let written: Written = serde_json::from_value(value).context("not a LoRA configuration")?;
    let lora = Lora { rank: written.r, alpha: written.lora_alpha, targets: targets(&written.target_modules)? };
    lora.check()?;
    Ok(AdapterConfig { lora, base: written.base_model_name_or_path.unwrap_or_default() })
}

fn targets(value: &Value) -> Result<Vec<Projection>> {
    let known = || Projection::ALL.map(Projection::module).join("`, `");
    let Some(list) = value.as_array() else { bail!("`target_modules` is {value}, expected a list of `{}`", known()) };
    let one = |name: &Value| {
        let found = Projection::ALL.into_iter().find(|p| Some(p.module()) == name.as_str());
        found.with_context(|| format!("`target_modules` names {name}, expected `{}`", known()))
    };
    list.iter().map(one).collect()
}

/// Writes `adapter_config.json`; `base` is the folder of the frozen model.
pub(super) fn write_config(folder: &Path, lora: &Lora, base: &Path) -> Result<()> {
    let value = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "target_modules": lora.targets.iter().map(|p| p.module()).collect::<Vec<_>>(),
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "modules_to_save": null,
        "use_rslora": false,
        "use_dora": false,
    });
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(CONFIG);
    std::fs::write(&path, serde_json::to_string_pretty(&value)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A and B of every adapted matrix, in f32.
pub(super) fn read_adapters(folder: &Path, names: &[(String, Vec<usize>)]) -> Result<Vec<Tensor>> {
    let path = folder.join(WEIGHTS);
    let mut stored = files::read_tensors(&path)?;
    let one = |(name, shape): &(String, Vec<usize>)| {
        let t = stored.remove(name).with_context(|| {
            format!(
                "{}: no tensor `{name}`, which `{CONFIG}` asks for; the adapters belong to another model",
                path.display()
            )
        })?;
        let found = t.dims();
        ensure!(found == shape, "{}: `{name}` has shape {found:?}, expected {shape:?}", path.display());
        let t = t.to_dtype(DType::F32)?.contiguous()?;
        ensure!(files::finite(&t)?, "{}: tensor `{name}` {}", path.display(), files::NOT_FINITE);
        Ok(t)
    };
    let adapters = names.iter().map(one).collect::<Result<Vec<_>>>()?;
    if let Some(name) = stored.keys().min() {
        bail!("{}: tensor `{name}` has no place in the adapters that `{CONFIG}` describes", path.display())
    }
    Ok(adapters)
}
