//! `config.json` of a Hugging Face folder: read into an [`Architecture`], and written back.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::engine::candle::arch::{Architecture, Family, RopeScaling};

/// The settings that matter here. Absent ones take the family's published default.
#[derive(Deserialize)]
struct Raw {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    use_sliding_window: Option<bool>,
    layer_types: Option<Vec<String>>,
    quantization_config: Option<Value>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Rope>,
    /// transformers 5 keeps theta and scaling together under this name.
    rope_parameters: Option<Rope>,
}

/// `rope_scaling` or `rope_parameters`.
#[derive(Default, Deserialize)]
struct Rope {
    rope_type: Option<String>,
    /// Its name before `rope_type`.
    r#type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
}

/// Kept as they are: generation reads them, this engine does not.
const SPECIAL: [&str; 3] = ["bos_token_id", "eos_token_id", "pad_token_id"];

/// Reads the value of `config.json`. Errors name the setting, what it is and what is supported.
pub(super) fn parse(value: Value) -> Result<Architecture> {
    ensure!(value.is_object(), "not the settings of a model: no JSON object");
    let known = || Family::ALL.map(|f| format!("`{}`", f.model_type())).join(", ");
    let Some(kind) = value.get("model_type").and_then(Value::as_str) else {
        bail!("`model_type` is missing, supported are {}; take the `config.json` that belongs to the weights", known())
    };
    let Some(family) = Family::of(kind) else {
        bail!("`model_type` is `{kind}`, supported are {}; convert the model or choose another", known())
    };
    check_kinds(&value)?;
    let special = SPECIAL.iter().filter_map(|&k| Some((k.to_string(), value.get(k)?.clone()))).collect();
    let raw: Raw = serde_json::from_value(value).with_context(|| format!("not a {} configuration", family.name()))?;
    refuse(&raw)?;
    let architecture = raw.architecture(family, special)?;
    architecture.check()?;
    Ok(architecture)
}

type Kind = (&'static [&'static str], &'static str, fn(&Value) -> bool);

/// What settings must be: an error of the reader would not say which one is not.
const KINDS: [Kind; 6] = [
    (
        &[
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
            "max_position_embeddings",
        ],
        "a whole number",
        Value::is_u64,
    ),
    (&["rms_norm_eps", "rope_theta"], "a number", Value::is_number),
    (&["attention_bias", "mlp_bias", "tie_word_embeddings", "use_sliding_window"], "true or false", Value::is_boolean),
    (&["hidden_act"], "a text", Value::is_string),
    (&["layer_types"], "a list", Value::is_array),
    (&["rope_scaling", "rope_parameters"], "an object with `rope_type`", Value::is_object),
];

fn check_kinds(value: &Value) -> Result<()> {
    for (keys, what, is) in KINDS {
        let present = keys.iter().filter_map(|key| Some((key, value.get(*key)?)));
        for (key, found) in present.filter(|(_, found)| !found.is_null()) {
            ensure!(
                is(found),
                "`{key}` is {found}, expected {what}; take the `config.json` that belongs to the weights"
            );
        }
    }
    Ok(())
}

/// Settings that would change what the model computes in a way this engine does not follow.
fn refuse(raw: &Raw) -> Result<()> {
    ensure!(
        raw.use_sliding_window != Some(true),
        "`use_sliding_window` is true: sliding windows are not supported, only attention to the whole row"
    );
    if let Some(other) = raw.layer_types.iter().flatten().find(|t| *t != "full_attention") {
        bail!("`layer_types` has `{other}`, supported is `full_attention` alone")
    }
    let act = raw.hidden_act.as_deref().unwrap_or("silu");
    ensure!(act == "silu", "`hidden_act` is `{act}`, supported is `silu`");
    ensure!(
        raw.quantization_config.is_none(),
        "`quantization_config` is set: quantised weights cannot be trained, choose the model that is not quantised"
    );
    ensure!(raw.mlp_bias != Some(true), "`mlp_bias` is true: biases in the feed-forward part are not supported");
    Ok(())
}

impl Raw {
    fn architecture(self, family: Family, special: Map<String, Value>) -> Result<Architecture> {
        let kv_heads = match (self.num_key_value_heads, family) {
            (Some(n), _) => n,
            (None, Family::Llama) => self.num_attention_heads,
            (None, _) => bail!("`num_key_value_heads` is missing, {} models must say it", family.name()),
        };
        let head_dim = match (self.head_dim, family) {
            (Some(n), _) => n,
            (None, Family::Qwen3) => 128,
            (None, _) => self.hidden_size / self.num_attention_heads.max(1),
        };
        let bias = self.attention_bias.unwrap_or(false);
        // transformers 5 writes `rope_parameters`, earlier ones `rope_theta` and `rope_scaling`.
        let rope = self.rope_parameters.or(self.rope_scaling).unwrap_or_default();
        Ok(Architecture {
            family,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: kv_heads,
            head_dim,
            qkv_bias: family == Family::Qwen2 || bias,
            output_bias: family != Family::Qwen2 && bias,
            max_position_embeddings: self.max_position_embeddings,
            tie_word_embeddings: self.tie_word_embeddings.unwrap_or(false),
            rope_theta: rope.rope_theta.or(self.rope_theta).unwrap_or(1e4),
            rope_scaling: rope.scaling()?,
            rms_norm_eps: self.rms_norm_eps.unwrap_or(1e-6),
            special,
        })
    }
}

impl Rope {
    fn scaling(&self) -> Result<RopeScaling> {
        let part = self.partial_rotary_factor.unwrap_or(1.0);
        ensure!(part == 1.0, "`partial_rotary_factor` is {part}, supported is 1: the whole head is rotated");
        let kind = self.rope_type.as_deref().or(self.r#type.as_deref()).unwrap_or("default");
        let need = |name: &str, value: Option<f64>| {
            value.with_context(|| format!("rope scaling of type `{kind}` must give `{name}`"))
        };
        Ok(match kind {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: need("factor", self.factor)? },
            "llama3" => RopeScaling::Llama3 {
                factor: need("factor", self.factor)?,
                low_freq_factor: need("low_freq_factor", self.low_freq_factor)?,
                high_freq_factor: need("high_freq_factor", self.high_freq_factor)?,
                original_max_position_embeddings: self
                    .original_max_position_embeddings
                    .context("rope scaling of type `llama3` must give `original_max_position_embeddings`")?,
            },
            other => bail!(
                "rope scaling has type `{other}`, supported are `default`, `linear` and `llama3`; if the model is \
                 used within its original context, remove the setting"
            ),
        })
    }
}

/// What `transformers` reads, version 4 as well as 5.
pub(super) fn to_json(c: &Architecture) -> Value {
    let mut value = json!({
        "architectures": [format!("{}ForCausalLM", c.family.name())],
        "model_type": c.family.model_type(),
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.num_hidden_layers,
        "num_attention_heads": c.num_attention_heads,
        "num_key_value_heads": c.num_key_value_heads,
        "head_dim": c.head_dim,
        "max_position_embeddings": c.max_position_embeddings,
        "tie_word_embeddings": c.tie_word_embeddings,
        "rope_theta": c.rope_theta,
        "rms_norm_eps": c.rms_norm_eps,
        "hidden_act": "silu",
        "torch_dtype": "float32",
    });
    match c.family {
        Family::Qwen2 => value["use_sliding_window"] = json!(false),
        Family::Qwen3 | Family::Llama => value["attention_bias"] = json!(c.output_bias),
    }
    match c.rope_scaling {
        RopeScaling::None => {}
        RopeScaling::Linear { factor } => value["rope_scaling"] = json!({"rope_type": "linear", "factor": factor}),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
            value["rope_scaling"] = json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            });
        }
    }
    c.special.iter().for_each(|(key, id)| value[key] = id.clone());
    value
}
