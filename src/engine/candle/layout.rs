//! Which tensors a decoder has, under which Hugging Face names, and where each stands in the list of weights.

use serde::{Deserialize, Serialize};

use super::arch::Architecture;

/// Names and shapes of tensors.
pub(super) type Names = Vec<(String, Vec<usize>)>;

/// Matrices in a layer.
const PROJECTIONS: usize = Projection::ALL.len();

/// The matrices of a layer: y = x W^T (+ b).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Projection {
    #[serde(rename = "q_proj", alias = "q")]
    Q,
    #[serde(rename = "k_proj", alias = "k")]
    K,
    #[serde(rename = "v_proj", alias = "v")]
    V,
    #[serde(rename = "o_proj", alias = "o")]
    O,
    #[serde(rename = "gate_proj", alias = "gate")]
    Gate,
    #[serde(rename = "up_proj", alias = "up")]
    Up,
    #[serde(rename = "down_proj", alias = "down")]
    Down,
}

impl Projection {
    /// In the order of `p as usize`.
    pub const ALL: [Projection; 7] = [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// Its Hugging Face name inside a layer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q => "self_attn.q_proj",
            Self::K => "self_attn.k_proj",
            Self::V => "self_attn.v_proj",
            Self::O => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
        }
    }

    /// The name of its module alone, as adapters are told what to adapt.
    pub fn module(self) -> &'static str {
        let name = self.name();
        name.split_once('.').map_or(name, |(_, module)| module)
    }

    /// Rows (outputs) and columns (inputs) of its matrix.
    pub fn shape(self, c: &Architecture) -> [usize; 2] {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let (q, kv) = (c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim);
        match self {
            Self::Q => [q, d],
            Self::K | Self::V => [kv, d],
            Self::O => [d, q],
            Self::Gate | Self::Up => [f, d],
            Self::Down => [d, f],
        }
    }

    fn has_bias(self, c: &Architecture) -> bool {
        match self {
            Self::Q | Self::K | Self::V => c.qkv_bias,
            Self::O => c.output_bias,
            Self::Gate | Self::Up | Self::Down => false,
        }
    }
}

/// Places of one layer's tensors; `None` where the architecture has no such tensor.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Before attention.
    pub norm1: usize,
    /// Before the feed-forward part.
    pub norm2: usize,
    /// Over every query head.
    pub q_norm: Option<usize>,
    /// Over every key head.
    pub k_norm: Option<usize>,
    weights: [usize; PROJECTIONS],
    biases: [Option<usize>; PROJECTIONS],
}

impl Layer {
    pub fn weight(&self, p: Projection) -> usize {
        self.weights[p as usize]
    }

    pub fn bias(&self, p: Projection) -> Option<usize> {
        self.biases[p as usize]
    }
}

/// Places of all tensors.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Names and shapes in the order of the weights.
    pub names: Names,
    pub layers: Vec<Layer>,
    pub embed: usize,
    pub final_norm: usize,
    /// The output matrix [V, D]: the embedding itself when tied.
    pub head: usize,
}

impl Layout {
    pub fn new(c: &Architecture) -> Self {
        let mut list = List(vec![]);
        let table = [c.vocab_size, c.hidden_size];
        let embed = list.push("model.embed_tokens.weight".into(), &table);
        let layers = (0..c.num_hidden_layers).map(|i| list.layer(i, c)).collect();
        let final_norm = list.push("model.norm.weight".into(), &[c.hidden_size]);
        let head = if c.tie_word_embeddings { embed } else { list.push("lm_head.weight".into(), &table) };
        Self { names: list.0, layers, embed, final_norm, head }
    }
}

struct List(Names);

impl List {
    /// Adds a tensor and returns its place.
    fn push(&mut self, name: String, shape: &[usize]) -> usize {
        self.0.push((name, shape.to_vec()));
        self.0.len() - 1
    }

    fn layer(&mut self, index: usize, c: &Architecture) -> Layer {
        use Projection::{Down, Gate, K, O, Q, Up, V};
        let norm = |list: &mut Self, name: &str, size: usize| {
            list.push(format!("model.layers.{index}.{name}.weight"), &[size])
        };
        let (mut weights, mut biases) = ([0; PROJECTIONS], [None; PROJECTIONS]);
        let mut project = |list: &mut Self, parts: &[Projection]| {
            for &p in parts {
                let (name, shape) = (format!("model.layers.{index}.{}", p.name()), p.shape(c));
                weights[p as usize] = list.push(format!("{name}.weight"), &shape);
                biases[p as usize] = p.has_bias(c).then(|| list.push(format!("{name}.bias"), &shape[..1]));
            }
        };
        // The order seeds the initial weights of each tensor; the starter depends on it.
        let norm1 = norm(self, "input_layernorm", c.hidden_size);
        project(self, &[Q, K, V]);
        let q_norm = c.qk_norm().then(|| norm(self, "self_attn.q_norm", c.head_dim));
        let k_norm = c.qk_norm().then(|| norm(self, "self_attn.k_norm", c.head_dim));
        project(self, &[O]);
        let norm2 = norm(self, "post_attention_layernorm", c.hidden_size);
        project(self, &[Gate, Up, Down]);
        Layer { norm1, norm2, q_norm, k_norm, weights, biases }
    }
}
