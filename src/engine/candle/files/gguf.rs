//! GGUF files: dequantised into trainable f32 weights under their Hugging Face names.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Two traps: files of the `llama` architecture
//! hold the rows of q and k in another order (pairs of the rotary embedding side by side instead of half a head
//! apart), and Llama 3's rope scaling is there as its result only, one divisor per frequency in `rope_freqs.weight`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{Device, Tensor};
use serde_json::{Map, json};

use super::examine::Found;
use super::tensors::{NOT_FINITE, finite};
use crate::engine::candle::arch::{Architecture, Family, RopeScaling};
use crate::engine::candle::layout::{Layout, Names};
use crate::engine::candle::model::Weights;
use crate::text::gguf;

/// Names of a layer's tensors: Hugging Face, GGUF.
const PARTS: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];
const EMBED: &str = "token_embd.weight";
const OUTPUT: &str = "output.weight";
const ROPE_FACTORS: &str = "rope_freqs.weight";
/// First context of the Llama 3 models; their files do not say it.
const LLAMA3_CONTEXT: usize = 8192;

/// Reads architecture and weights.
pub fn read(path: &Path) -> Result<(Architecture, Weights)> {
    let read = || -> Result<(Architecture, Weights)> {
        let mut file = GgufFile::open(path)?;
        let architecture = file.architecture()?;
        let names = Layout::new(&architecture).names;
        if let Some(stranger) = file.strangers(&names).first() {
            bail!("{stranger}")
        }
        let weights: Result<Weights> = names.iter().map(|entry| file.weight(&architecture, entry)).collect();
        Ok((architecture, weights?))
    };
    read().with_context(|| path.display().to_string())
}

/// Reads the architecture alone.
pub fn read_architecture(path: &Path) -> Result<Architecture> {
    GgufFile::open(path).and_then(|mut file| file.architecture()).with_context(|| path.display().to_string())
}

/// Looks at all tensors, one at a time: what is in the file, and everything that keeps it from being used.
pub fn examine(path: &Path) -> Result<Found> {
    let place = path.display();
    let mut file = GgufFile::open(path).with_context(|| place.to_string())?;
    let mut found = Found { files: 1, bytes: std::fs::metadata(path)?.len(), ..Found::default() };
    for info in file.content.tensor_infos.values() {
        found.add(&format!("{:?}", info.ggml_dtype));
    }
    // what is wrong with the architecture is told where that is looked at
    if let Ok(architecture) = file.architecture() {
        let names = Layout::new(&architecture).names;
        found.problems = file.strangers(&names);
        let errors = names.iter().filter_map(|entry| file.weight(&architecture, entry).err());
        found.problems.extend(errors.map(|e| format!("{e:#}")));
        found.problems.iter_mut().for_each(|problem| *problem = format!("{place}: {problem}"));
    }
    Ok(found)
}

struct GgufFile {
    content: Content,
    reader: BufReader<File>,
}

impl GgufFile {
    fn open(path: &Path) -> Result<Self> {
        let (content, reader) = gguf::open(path)?;
        Ok(Self { content, reader })
    }

    fn architecture(&mut self) -> Result<Architecture> {
        let kind = self.text("general.architecture").context("`general.architecture` is missing")?;
        let Some(family) = Family::of(kind) else {
            let known = Family::ALL.map(|f| format!("`{}`", f.model_type())).join(", ");
            bail!("`general.architecture` is `{kind}`, supported are {known}; choose another model")
        };
        let meta = Meta { values: &self.content.metadata, prefix: family.model_type() };
        let experts = meta.size("expert_count")?.unwrap_or(0);
        ensure!(experts == 0, "`{kind}.expert_count` is {experts}: mixtures of experts are not supported");
        let context = meta.need("context_length")?;
        let window = meta.size("attention.sliding_window")?.unwrap_or(0);
        ensure!(
            window == 0 || window >= context,
            "`{kind}.attention.sliding_window` is {window}: sliding windows are not supported"
        );
        let (heads, width) = (meta.need("attention.head_count")?, meta.need("embedding_length")?);
        let head_dim = meta.size("attention.key_length")?.unwrap_or(width / heads.max(1));
        for (key, what) in
            [("attention.value_length", "values as wide as keys"), ("rope.dimension_count", "heads rotated whole")]
        {
            let size = meta.size(key)?.unwrap_or(head_dim);
            ensure!(size == head_dim, "`{kind}.{key}` is {size} with heads of {head_dim}; supported are {what}");
        }
        let has = |name: &str| self.content.tensor_infos.contains_key(name);
        let table = self.content.tensor_infos.get(EMBED).with_context(|| format!("tensor `{EMBED}` is missing"))?;
        let mut architecture = Architecture {
            family,
            vocab_size: table.shape.dims().first().copied().unwrap_or(0),
            hidden_size: width,
            intermediate_size: meta.need("feed_forward_length")?,
            num_hidden_layers: meta.need("block_count")?,
            num_attention_heads: heads,
            num_key_value_heads: meta.size("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            qkv_bias: has("blk.0.attn_q.bias"),
            output_bias: has("blk.0.attn_output.bias"),
            max_position_embeddings: context,
            tie_word_embeddings: !has(OUTPUT),
            rope_theta: meta.real("rope.freq_base")?.unwrap_or(1e4),
            rope_scaling: meta.scaling()?,
            rms_norm_eps: meta.real("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-6),
            special: special(&self.content.metadata),
        };
        architecture.check()?;
        let original = meta.size("rope.scaling.original_context_length")?.unwrap_or(LLAMA3_CONTEXT);
        if self.content.tensor_infos.contains_key(ROPE_FACTORS) {
            let factors: Vec<f32> = self.tensor(ROPE_FACTORS)?.flatten_all()?.to_vec1()?;
            architecture.rope_scaling = llama3(&architecture, &factors, original)?;
        }
        architecture.check()?;
        Ok(architecture)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.content.metadata.get(key)?.to_string().ok().map(String::as_str)
    }

    fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let there = self.content.tensor_infos.contains_key(name);
        ensure!(there, "tensor `{name}` is missing; the file is incomplete, download or copy it again");
        let packed = self.content.tensor(&mut self.reader, name, &Device::Cpu);
        let packed = packed.with_context(|| format!("tensor `{name}` cannot be read"))?;
        Ok(packed.dequantize(&Device::Cpu)?)
    }

    /// Tensors of layers that the architecture has no place for: without them it would compute something else.
    fn strangers(&self, names: &Names) -> Vec<String> {
        let known: HashSet<String> = names.iter().filter_map(|(name, _)| gguf_name(name)).collect();
        let mut all: Vec<&String> = self.content.tensor_infos.keys().collect();
        all.sort();
        let strange = all.into_iter().filter(|name| name.starts_with("blk.") && !known.contains(*name));
        strange.map(|name| format!("tensor `{name}` has no place in the model that the metadata describe; use a model of a supported kind")).collect()
    }

    fn weight(&mut self, c: &Architecture, (name, shape): &(String, Vec<usize>)) -> Result<Tensor> {
        let theirs = gguf_name(name).with_context(|| format!("tensor `{name}` has no name in GGUF"))?;
        let t = self.tensor(&theirs)?;
        ensure!(
            t.dims() == shape,
            "tensor `{theirs}` has shape {:?}, the metadata ask for {shape:?}; the file is damaged",
            t.dims()
        );
        ensure!(finite(&t)?, "tensor `{theirs}` {NOT_FINITE}");
        let heads = match (c.family, name.as_str()) {
            (Family::Llama, n) if n.contains("q_proj") => c.num_attention_heads,
            (Family::Llama, n) if n.contains("k_proj") => c.num_key_value_heads,
            _ => return Ok(t.contiguous()?),
        };
        halves(&t, heads)
    }
}

/// Rows of q or k of all heads, from pairs side by side to half a head apart.
fn halves(t: &Tensor, heads: usize) -> Result<Tensor> {
    let rows = t.dim(0)?;
    let pairs = t.reshape((heads, rows / heads / 2, 2, ()))?;
    Ok(pairs.transpose(1, 2)?.contiguous()?.reshape(t.shape())?)
}

/// The name a Hugging Face tensor has in GGUF.
pub fn gguf_name(name: &str) -> Option<String> {
    match name {
        "model.embed_tokens.weight" => return Some(EMBED.into()),
        "model.norm.weight" => return Some("output_norm.weight".into()),
        "lm_head.weight" => return Some(OUTPUT.into()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let (_, short) = PARTS.iter().find(|(long, _)| *long == part)?;
    Some(format!("blk.{layer}.{short}.{kind}"))
}

/// The scaling whose divisors of each frequency are `factors`.
fn llama3(c: &Architecture, factors: &[f32], original: usize) -> Result<RopeScaling> {
    let scaling = RopeScaling::Llama3 {
        factor: factors.iter().fold(1.0, |most, f| f.max(most)) as f64,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: original,
    };
    let plain = Architecture { rope_scaling: RopeScaling::None, ..c.clone() }.frequencies();
    let scaled = Architecture { rope_scaling: scaling, ..c.clone() }.frequencies();
    let same = |((p, s), f): ((&f32, &f32), &f32)| (p / s / f - 1.0).abs() < 1e-3;
    ensure!(
        factors.len() == plain.len() && plain.iter().zip(&scaled).zip(factors).all(same),
        "tensor `{ROPE_FACTORS}` does not follow Llama 3's rope scaling, the only one supported in this form; use the \
         Hugging Face folder of the model"
    );
    Ok(scaling)
}

/// Ids of special tokens as `config.json` names them.
fn special(metadata: &HashMap<String, Value>) -> Map<String, serde_json::Value> {
    let keys = [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")];
    let id = |short: &str| gguf::number(metadata.get(&format!("tokenizer.ggml.{short}_token_id"))?);
    keys.iter().filter_map(|(key, short)| Some((key.to_string(), json!(id(short)?)))).collect()
}

/// Settings of the architecture.
struct Meta<'a> {
    values: &'a HashMap<String, Value>,
    prefix: &'a str,
}

impl Meta<'_> {
    fn size(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.values.get(&format!("{}.{key}", self.prefix)) else { return Ok(None) };
        let number =
            gguf::number(value).with_context(|| format!("`{}.{key}` must be one whole number", self.prefix))?;
        Ok(Some(number as usize))
    }

    fn need(&self, key: &str) -> Result<usize> {
        self.size(key)?.with_context(|| format!("`{}.{key}` is missing; the file is damaged", self.prefix))
    }

    /// A single-precision number as it would be written: 1e-5, not 9.999999747e-6.
    fn real(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.values.get(&format!("{}.{key}", self.prefix)) else { return Ok(None) };
        let number = value.to_f32().ok().and_then(|n| n.to_string().parse().ok());
        Ok(Some(number.with_context(|| format!("`{}.{key}` must be a number", self.prefix))?))
    }

    fn scaling(&self) -> Result<RopeScaling> {
        let key = format!("{}.rope.scaling.type", self.prefix);
        match self.values.get(&key).map(|v| v.to_string().map(String::as_str)).transpose()? {
            None | Some("none") => Ok(RopeScaling::None),
            Some("linear") => {
                let factor = self.real("rope.scaling.factor")?;
                let factor = factor.with_context(|| format!("`{}.rope.scaling.factor` is missing", self.prefix))?;
                Ok(RopeScaling::Linear { factor })
            }
            Some(other) => bail!("`{key}` is `{other}`, supported are `none`, `linear` and Llama 3's factors"),
        }
    }
}
