//! What a decoder looks like: the family it follows, its sizes, its rotary frequencies.
//!
//! All three families are the same pre-norm decoder (RMSNorm, RoPE, grouped-query attention, SwiGLU) and differ in
//! small things, which are values here and never branches on a name elsewhere:
//!
//! | family | biases | q/k norm | sources |
//! |---|---|---|---|
//! | `qwen2` (Qwen2, Qwen2.5) | q, k, v | no | arXiv 2407.10671, 2412.15115 |
//! | `qwen3` | as `attention_bias` says | yes | arXiv 2505.09388 |
//! | `llama` (Llama 2, 3.x, TinyLlama, SmolLM2) | as `attention_bias` says | no | arXiv 2302.13971, 2407.21783 |
//!
//! candle-transformers has a configuration type per family, each with another set of fields and without
//! `rope_parameters` or linear scaling; one type of our own reads them all. Fields have the names of `config.json`.

use anyhow::{Result, ensure};
use serde_json::{Map, Value};

/// The published model series a decoder belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Qwen2,
    Qwen3,
    Llama,
}

impl Family {
    pub const ALL: [Family; 3] = [Family::Qwen2, Family::Qwen3, Family::Llama];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Qwen2 => "Qwen2",
            Family::Qwen3 => "Qwen3",
            Family::Llama => "Llama",
        }
    }

    /// `model_type` in `config.json`; also the architecture's name in a GGUF file.
    pub fn model_type(self) -> &'static str {
        match self {
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
            Family::Llama => "llama",
        }
    }

    /// The family with this `model_type`.
    pub fn of(model_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.model_type() == model_type)
    }
}

/// How rotary frequencies are stretched beyond the context a model was first trained with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all (`default`).
    None,
    /// Every frequency divided by `factor` (position interpolation, arXiv 2306.15595).
    Linear { factor: f64 },
    /// Low frequencies divided by `factor`, high ones kept, a ramp between (Llama 3.1, arXiv 2407.21783).
    Llama3 { factor: f64, low_freq_factor: f64, high_freq_factor: f64, original_max_position_embeddings: usize },
}

/// Everything about a decoder but its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    pub family: Family,
    /// Rows of the embedding.
    pub vocab_size: usize,
    pub hidden_size: usize,
    /// Width of the feed-forward part.
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key-value heads; a divisor of the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; even. Heads need not add up to the hidden size.
    pub head_dim: usize,
    /// Whether the projections to queries, keys and values add a bias.
    pub qkv_bias: bool,
    /// Whether the projection from heads back to the hidden size adds a bias.
    pub output_bias: bool,
    /// Longest row.
    pub max_position_embeddings: usize,
    /// Whether the output matrix is the embedding itself.
    pub tie_word_embeddings: bool,
    pub rope_theta: f64,
    pub rope_scaling: RopeScaling,
    pub rms_norm_eps: f64,
    /// `bos_token_id`, `eos_token_id`, `pad_token_id` as they stood in `config.json`, to be written back.
    pub special: Map<String, Value>,
}

impl Architecture {
    /// A small model with the habits of its family: heads 32 wide, one key-value head for two query heads, a
    /// feed-forward part three times the width, a context of 1024, tied embeddings. Any field may be set after.
    pub fn small(family: Family, vocab: usize, width: usize, layers: usize) -> Self {
        Self {
            family,
            vocab_size: vocab,
            hidden_size: width,
            intermediate_size: 3 * width,
            num_hidden_layers: layers,
            num_attention_heads: (width / 32).max(1),
            num_key_value_heads: (width / 64).max(1),
            head_dim: 32,
            qkv_bias: family == Family::Qwen2,
            output_bias: false,
            max_position_embeddings: 1024,
            tie_word_embeddings: true,
            rope_theta: 1e4,
            rope_scaling: RopeScaling::None,
            rms_norm_eps: 1e-6,
            special: Map::new(),
        }
    }

    /// Whether queries and keys are normalised head by head.
    pub fn qk_norm(&self) -> bool {
        self.family == Family::Qwen3
    }

    /// Whether the numbers make a decoder this engine can run.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size, 1 << 22),
            ("hidden_size", self.hidden_size, 1 << 20),
            ("intermediate_size", self.intermediate_size, 1 << 20),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 12),
            ("num_attention_heads", self.num_attention_heads, 1 << 12),
            ("num_key_value_heads", self.num_key_value_heads, 1 << 12),
            ("head_dim", self.head_dim, 1 << 10),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 24),
        ];
        for (name, size, most) in sizes {
            ensure!(size > 0, "`{name}` is 0, it must be positive");
            // far beyond all models, but no product of sizes overflows
            ensure!(size <= most, "`{name}` is {size}, more than any model has (at most {most}); the file is damaged");
        }
        ensure!(self.rms_norm_eps >= 0.0, "`rms_norm_eps` is {}, it must not be negative", self.rms_norm_eps);
        ensure!(
            self.num_attention_heads.is_multiple_of(self.num_key_value_heads),
            "`num_attention_heads` is {}, it must be a multiple of `num_key_value_heads`, which is {}",
            self.num_attention_heads,
            self.num_key_value_heads
        );
        ensure!(self.head_dim.is_multiple_of(2), "`head_dim` is {}, it must be even", self.head_dim);
        ensure!(self.rope_theta > 0.0, "`rope_theta` is {}, it must be positive", self.rope_theta);
        self.rope_scaling.check()
    }

    /// Rotary frequency of each pair of a head, in radians per position. [head_dim / 2]
    pub fn frequencies(&self) -> Vec<f32> {
        let plain = |i: usize| 1.0 / self.rope_theta.powf(2.0 * i as f64 / self.head_dim as f64);
        (0..self.head_dim / 2).map(|i| self.rope_scaling.apply(plain(i)) as f32).collect()
    }
}

impl RopeScaling {
    fn check(&self) -> Result<()> {
        match *self {
            RopeScaling::None => {}
            RopeScaling::Linear { factor } => {
                ensure!(factor >= 1.0, "rope scaling: `factor` is {factor}, it must be at least 1")
            }
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                ensure!(factor >= 1.0, "rope scaling: `factor` is {factor}, it must be at least 1");
                ensure!(
                    0.0 < low_freq_factor && low_freq_factor < high_freq_factor,
                    "rope scaling: `low_freq_factor` is {low_freq_factor}, it must be positive and below \
                     `high_freq_factor`, which is {high_freq_factor}"
                );
                ensure!(
                    original_max_position_embeddings > 0,
                    "rope scaling: `original_max_position_embeddings` is 0, it must be positive"
                );
            }
        }
        Ok(())
    }

    fn apply(&self, frequency: f64) -> f64 {
        match *self {
            RopeScaling::None => frequency,
            RopeScaling::Linear { factor } => frequency / factor,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                // Turns a pair makes within the first context: few = low frequency, stretched; many = kept.
                let turns = original_max_position_embeddings as f64 * frequency / std::f64::consts::TAU;
                let keep = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                frequency * (keep + (1.0 - keep) / factor)
            }
        }
    }
}
