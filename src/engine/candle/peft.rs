//! Adapter folders as PEFT writes and reads them: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Tensor};
use serde::Deserialize;
use serde_json::{Value, json};

use super::layout::Projection;
use super::lora::Lora;
use super::sets::read_tensors;

pub(super) const CONFIG: &str = "adapter_config.json";
pub(super) const WEIGHTS: &str = "adapter_model.safetensors";

/// What an adapter folder says about itself.
pub(super) struct AdapterConfig {
    pub lora: Lora,
    /// Folder of the model the adapters belong to, as written.
    pub base: PathBuf,
}

/// The keys this engine understands. Others are kept by PEFT for other kinds of adapters; those that would change what
/// is computed are [`refused`].
#[derive(Deserialize)]
struct Written {
    peft_type: String,
    base_model_name_or_path: Option<String>,
    r: usize,
    lora_alpha: f64,
    target_modules: Value,
}

/// Settings that change the computation, with the value under which they do nothing.
fn refused() -> [(&'static str, Value); 15] {
    [
        ("use_rslora", json!(false)),
        ("use_dora", json!(false)),
        ("fan_in_fan_out", json!(false)),
        ("bias", json!("none")),
        ("lora_bias", json!(false)),
        ("rank_pattern", json!({})),
        ("alpha_pattern", json!({})),
        ("modules_to_save", json!([])),
        ("layers_to_transform", json!([])),
        ("layer_replication", json!([])),
        ("exclude_modules", json!([])),
        ("target_parameters", json!([])),
        ("trainable_token_indices", json!([])),
        ("use_qalora", json!(false)),
        ("use_bdlora", json!(false)),
    ]
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
    for (key, off) in refused() {
        let found = value.get(key).unwrap_or(&Value::Null);
        ensure!(found.is_null() || *found == off, "`{key}` is {found}, which is not supported");
    }
    let written: Written = serde_json::from_value(value).context("not a LoRA configuration")?;
    ensure!(written.peft_type == "LORA", "`peft_type` is `{}`, only `LORA` is supported", written.peft_type);
    let lora = Lora { rank: written.r, alpha: written.lora_alpha, targets: targets(&written.target_modules)? };
    Ok(AdapterConfig { lora, base: written.base_model_name_or_path.unwrap_or_default().into() })
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
    let tensors = read_tensors(&folder.join(WEIGHTS), names)?;
    Ok(tensors.iter().map(|t| t.to_dtype(DType::F32)?.contiguous()).collect::<candle_core::Result<_>>()?)
}
