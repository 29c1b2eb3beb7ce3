//! What a training needs in memory, item by item, before anything is allocated: a pure function of the sizes of the
//! model and of the work. The engine asks the same functions which of its activations it can afford to keep.
//!
//! Bytes are those of this engine: on the CPU compute is in single precision and rows are packed (nothing is padded); on
//! a GPU what computes has the precision of the recipe, and attention pads a pass's rows to one length. The logits exist
//! for one chunk of positions at a time.

mod fit;
mod free;

use serde::{Deserialize, Serialize};

pub use self::fit::{available, fit, human};

use super::Place;
use super::arch::Architecture;
use super::kv::BLOCK;
use super::layout::Layout;
use super::sample::LOGITS;

/// Precision of the weights that compute. Gradients, optimiser state and the weights it updates are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    #[default]
    F32,
    /// The nearest bf16 numbers to the f32 master weights. A GPU computes with them; on the CPU they are unpacked to f32
    /// for computing, so only files and kept sets become smaller.
    Bf16,
}

/// Whether a layer's activations are kept for the backward pass, or only its input, from which they are made again.
/// The gradient is the same bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checkpointing {
    /// Kept while they fit into the engine's share of memory.
    #[default]
    Auto,
    /// Always only the inputs.
    On,
    /// Never only the inputs.
    Off,
}

/// Sizes of a decoder as far as memory depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Tokens in the output distribution (V).
    pub vocab: usize,
    /// Width of the residual stream (D).
    pub width: usize,
    /// Width of the feed-forward part (F).
    pub ff: usize,
    pub layers: usize,
    /// Query heads (H).
    pub heads: usize,
    /// Key-value heads (J).
    pub kv_heads: usize,
    /// Width of a head (E).
    pub head_dim: usize,
    /// Longest row.
    pub context: usize,
    /// Numbers in all weights.
    pub parameters: u64,
}

/// What is to be done with the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub dtype: Dtype,
    /// Whose memory is planned.
    pub place: Place,
    /// Trainable numbers of the adapters; `None` = all parameters are trained.
    pub adapter: Option<u64>,
    pub checkpointing: Checkpointing,
    /// Sets kept beside the live weights that will differ from them and from each other.
    pub kept: usize,
    /// Those of them that are averages, which are kept in f32 and rounded to be computed with.
    pub averages: usize,
    /// Numbers of a teacher from another folder; 0 = there is none.
    pub teacher: u64,
    /// Rows of one forward-backward pass.
    pub rows: usize,
    /// Tokens of a row, the prompt included.
    pub row_tokens: usize,
    /// Tokens of a row that were sampled: their logits are needed.
    pub sampled_tokens: usize,
    /// Replies sampled at the same time.
    pub slots: usize,
    /// Most bytes of the key-value cache; 0 = no limit.
    pub cache_bytes: u64,
    /// Most bytes of activations kept for the backward pass.
    pub tape_bytes: u64,
    /// Whether parts of the gradient are compared.
    pub compares: bool,
}

impl Load {
    /// `n` on a GPU, whose operations leave their intermediate results behind, else 1: the CPU's write over them.
    fn made_of(&self, n: u64) -> u64 {
        if self.place == Place::Cpu { 1 } else { n }
    }

    /// Bytes of a number that computes.
    fn computing(&self) -> u64 {
        match (self.place, self.dtype) {
            (Place::Cuda(_), Dtype::Bf16) => 2,
            _ => F32,
        }
    }
}

/// When an item is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Rollout,
    Update,
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub name: &'static str,
    pub bytes: u64,
    pub when: When,
    /// What it is made of.
    pub note: String,
}

/// Bytes per item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub items: Vec<Item>,
}

impl Plan {
    /// The most that is in memory at one time.
    pub fn peak(&self) -> u64 {
        self.during(When::Always) + self.during(When::Rollout).max(self.during(When::Update))
    }

    /// `weights 1.1 GiB, optimiser 2.2 GiB, ...`, largest first, what is less than a hundredth left out.
    pub fn words(&self) -> String {
        let mut items: Vec<&Item> = self.items.iter().filter(|item| item.bytes * 100 >= self.peak()).collect();
        items.sort_by_key(|item| std::cmp::Reverse(item.bytes));
        let one = |item: &&Item| format!("{} {}", item.name, human(item.bytes));
        items.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn during(&self, when: When) -> u64 {
        self.items.iter().filter(|item| item.when == when).map(|item| item.bytes).sum()
    }
}

/// Tokens run through the layers at once: large enough for the matrix products, small enough that buffers stay in
/// reach of the cache and are used again instead of being asked from the system.
pub const PASS_TOKENS: usize = 4096;
/// Activations a forward-backward pass may keep by default, in bytes.
pub const TAPE_BYTES: u64 = 3 << 30;
/// Positions whose logits exist at the same time.
const LOGIT_ROWS: usize = 512;
const F32: u64 = 4;

/// How the activations of a forward-backward pass are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Only layer inputs are kept.
    pub inputs_only: bool,
    /// All rows are scored first and then run again part by part, because even what must be kept is too much.
    pub again: bool,
}

/// The cheapest way that keeps at most `budget` bytes for `tokens` tokens, of those `checkpointing` allows, where a number
/// has `number` bytes.
///
/// Every way runs the same parts in the same order, so the gradient does not depend on the choice.
pub(super) fn way(dims: &Dims, tokens: usize, checkpointing: Checkpointing, budget: u64, number: u64) -> Way {
    let fits = |per_token: u64| tokens as u64 * per_token * number <= budget;
    let (all, inputs) = (fits(dims.tape() * dims.layers as u64), fits(dims.inputs()));
    match checkpointing {
        Checkpointing::On => Way { inputs_only: true, again: !inputs },
        Checkpointing::Off => Way { inputs_only: false, again: !all },
        Checkpointing::Auto if all => Way { inputs_only: false, again: false },
        Checkpointing::Auto if inputs => Way { inputs_only: true, again: false },
        Checkpointing::Auto => {
            let part = PASS_TOKENS.min(tokens) as u64;
            Way { inputs_only: part * dims.tape() * dims.layers as u64 * number > budget, again: true }
        }
    }
}

impl From<&Architecture> for Dims {
    fn from(c: &Architecture) -> Self {
        let numbers = |(_, shape): &(String, Vec<usize>)| shape.iter().product::<usize>() as u64;
        Self {
            vocab: c.vocab_size,
            width: c.hidden_size,
            ff: c.intermediate_size,
            layers: c.num_hidden_layers,
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            context: c.max_position_embeddings,
            parameters: Layout::new(c).names.iter().map(numbers).sum(),
        }
    }
}

impl Dims {
    /// Numbers a token leaves for one layer's backward pass.
    fn tape(&self) -> u64 {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        (4 * self.width + 2 * self.ff + 3 * (q + kv) + 2 * self.heads + self.kv_heads + 2) as u64
    }

    /// Numbers a token leaves when only layer inputs are kept.
    fn inputs(&self) -> u64 {
        (self.width * self.layers) as u64
    }

    /// Numbers a token needs while a layer's backward pass runs, beyond its tape.
    fn work(&self) -> u64 {
        (4 * self.ff + 4 * self.width + 2 * self.heads * self.head_dim) as u64
    }

    /// The largest matrix.
    fn largest(&self) -> u64 {
        (self.width * self.vocab.max(self.ff).max(self.heads * self.head_dim)) as u64
    }
}

/// Plans `load` on a model of size `dims`.
pub fn plan(dims: &Dims, load: &Load) -> Plan {
    let items = [weights(dims, load), optimiser(dims, load), rollout(dims, load), update(dims, load)].concat();
    Plan { items: items.into_iter().filter(|item| item.bytes > 0).collect() }
}

fn weights(dims: &Dims, load: &Load) -> Vec<Item> {
    let (all, adapter) = (dims.parameters, load.adapter.unwrap_or(0));
    let item = |name, bytes, note| Item { name, bytes, when: When::Always, note };
    let (each, what) = match (load.adapter, load.dtype) {
        (Some(n), _) => (n * F32, "adapters"),
        (None, Dtype::F32) => (all * F32, "f32"),
        (None, Dtype::Bf16) => (all * 2, "bf16"),
    };
    let rounded = load.dtype == Dtype::Bf16 && load.adapter.is_none();
    let averages = if rounded { load.averages as u64 * all * F32 } else { 0 };
    let master = if rounded { all * F32 } else { 0 };
    let again = if load.place == Place::Cpu { (all + adapter) * F32 } else { 0 };
    vec![
        item("weights", all * load.computing() + adapter * F32, format!("{} parameters", all + adapter)),
        item("weights to sample with", again, "once more, in the order in which sampling reads them".into()),
        item("master weights", master, "f32, beside the rounded ones that compute".into()),
        item("kept weight sets", load.kept as u64 * each + averages, format!("{} in {what}", load.kept)),
        item("teacher", load.teacher * load.computing(), "weights of another model".into()),
        item("position tables", (dims.context * dims.head_dim) as u64 * F32, format!("{} positions", dims.context)),
    ]
}

fn optimiser(dims: &Dims, load: &Load) -> Vec<Item> {
    let trained = load.adapter.unwrap_or(dims.parameters);
    let item = |name, bytes, note: &str| Item { name, bytes, when: When::Always, note: note.into() };
    vec![
        item("optimiser", 2 * trained * F32, "two moments in f32"),
        item("gradients", trained * F32, "f32, summed over the batches of an update"),
    ]
}

fn rollout(dims: &Dims, load: &Load) -> Vec<Item> {
    let per_token = 2 * dims.kv_heads * dims.head_dim * dims.layers;
    let tokens = load.slots * load.row_tokens.next_multiple_of(BLOCK);
    let part = PASS_TOKENS.min(tokens) as u64;
    let most = if load.cache_bytes == 0 { u64::MAX } else { load.cache_bytes };
    // a device's cache grows by a quarter, in seats and in their length
    let [more, of] = if load.place == Place::Cpu { [1, 1] } else { [25, 16] };
    let cache = ((per_token * tokens) as u64 * load.computing()).min(most) * more / of;
    let logits = (load.slots * dims.vocab) as u64;
    let logits = if load.place == Place::Cpu { logits } else { 5 * logits.min(LOGITS as u64) };
    let exact = |name, bytes, note| Item { name, bytes, when: When::Rollout, note };
    let item = |name, numbers: u64, note| exact(name, numbers * F32, note);
    vec![
        exact("key-value cache", cache, format!("{} episodes of {} tokens", load.slots, load.row_tokens)),
        item("reading prompts", part * (dims.tape() + dims.width as u64), format!("{part} tokens at a time")),
        item("attention over the cache", scores(dims, load, tokens as u64), "rows padded to one length".into()),
        item("sampling logits", logits, format!("{} rows", load.slots)),
    ]
}

fn update(dims: &Dims, load: &Load) -> Vec<Item> {
    let tokens = load.rows * load.row_tokens;
    let way = way(dims, tokens, load.checkpointing, load.tape_bytes, load.computing());
    let part = PASS_TOKENS.max(load.row_tokens).min(tokens) as u64;
    let kept = if way.again { part } else { tokens as u64 };
    let exact = |name, bytes, note| Item { name, bytes, when: When::Update, note };
    let item = |name, numbers: u64, note| exact(name, numbers * F32, note);
    let ends = 2 * kept * dims.width as u64; // input and output of the last norm
    let (activations, note) = match way.inputs_only {
        true => (kept * dims.inputs() + part * dims.tape(), "layer inputs and one layer"),
        false => (kept * dims.tape() * dims.layers as u64, "all layers"),
    };
    let chunk = LOGIT_ROWS.min(load.rows * load.sampled_tokens) as u64;
    let head = if load.adapter.is_none() { (1 + load.made_of(2)).max(2) * dims.largest() } else { 0 };
    let part_of_gradient = if load.compares { load.adapter.unwrap_or(dims.parameters) } else { 0 };
    vec![
        item("part of the gradient", part_of_gradient, "to compare it with the rest".into()),
        exact("activations", (activations + ends) * load.computing(), format!("{note} of {kept} tokens")),
        item("attention scores", scores(dims, load, part), "rows padded to one length".into()),
        item("working buffers", part * dims.work() + head, format!("{part} tokens at a time")),
        item("logits", load.made_of(7) * chunk * dims.vocab as u64, format!("{chunk} positions at a time")),
    ]
}

/// Numbers that a GPU holds for the scores of a block of queries of `tokens` tokens.
fn scores(dims: &Dims, load: &Load, tokens: u64) -> u64 {
    match load.place {
        Place::Cpu => 0,
        Place::Cuda(_) => 5 * SCORES.min(tokens * (dims.heads * load.row_tokens.min(QUERIES)) as u64),
    }
}

/// Queries in a block at most: what none of them sees is not computed.
pub(super) const QUERIES: usize = 256;

/// Most attention scores that a GPU holds at once.
pub(super) const SCORES: u64 = 1 << 27;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(super) fn dims() -> Dims {
        let (vocab, width, ff, layers, heads, kv_heads, head_dim) = (8192, 512, 1536, 8, 8, 4, 64);
        Dims { vocab, width, ff, layers, heads, kv_heads, head_dim, context: 1024, parameters: 29_369_344 }
    }

    pub(super) fn load() -> Load {
        Load {
            dtype: Dtype::F32,
            place: Place::Cpu,
            adapter: None,
            checkpointing: Checkpointing::Auto,
            kept: 1,
            averages: 0,
            teacher: 0,
            rows: 16,
            row_tokens: 256,
            sampled_tokens: 100,
            slots: 16,
            cache_bytes: 0,
            tape_bytes: TAPE_BYTES,
            compares: false,
        }
    }

    fn bytes(load: &Load, name: &str) -> u64 {
        plan(&dims(), load).items.iter().filter(|item| item.name == name).map(|item| item.bytes).sum()
    }

    #[test]
    fn items_follow_the_settings() {
        let full = load();
        let n = dims().parameters;
        assert_eq!(bytes(&full, "weights"), 4 * n);
        assert_eq!(bytes(&full, "optimiser") + bytes(&full, "gradients"), 12 * n);
        assert_eq!(bytes(&full, "kept weight sets"), 4 * n);
        assert_eq!(bytes(&Load { compares: true, ..full }, "part of the gradient"), 4 * n);
        assert_eq!(bytes(&full, "weights to sample with"), 4 * n);
        assert_eq!(bytes(&Load { teacher: 500, ..full }, "teacher"), 2000);
        let half = Load { dtype: Dtype::Bf16, ..full };
        assert_eq!((bytes(&half, "kept weight sets"), bytes(&half, "master weights")), (2 * n, 4 * n));
        assert_eq!(bytes(&Load { averages: 1, ..half }, "kept weight sets"), 6 * n);
        let lora = Load { adapter: Some(1000), ..full };
        assert_eq!((bytes(&lora, "kept weight sets"), bytes(&lora, "optimiser")), (4000, 8000));
        assert_eq!(bytes(&full, "key-value cache"), 16 * 256 * 2 * 4 * 64 * 8 * 4);
        assert_eq!(bytes(&Load { cache_bytes: 1 << 20, ..full }, "key-value cache"), 1 << 20);
        assert_eq!(bytes(&full, "logits"), 512 * 8192 * 4);
    }

    /// Qwen3-0.6B, worked out by hand: 596,049,920 parameters; 28 layers, width 1024, 16 and 8 heads of 128, 3072 wide
    /// inside, 151,936 tokens.
    #[test]
    fn a_gpu_holds_what_was_counted_by_hand() {
        let (vocab, width, ff, layers, heads, kv_heads, head_dim) = (151_936, 1024, 3072, 28, 16, 8, 128);
        let parameters = 596_049_920;
        let dims = Dims { vocab, width, ff, layers, heads, kv_heads, head_dim, context: 40_960, parameters };
        let (rows, row_tokens, slots) = (64, 1024, 64);
        let load = Load { place: Place::Cuda(0), dtype: Dtype::Bf16, rows, row_tokens, slots, kept: 2, ..load() };
        let of = |load: &Load, name| -> u64 {
            plan(&dims, load).items.iter().filter(|item| item.name == name).map(|item| item.bytes).sum()
        };
        let bytes = |name| of(&load, name);
        assert_eq!((bytes("weights"), bytes("master weights")), (1_192_099_840, 2_384_199_680));
        assert_eq!((bytes("optimiser"), bytes("gradients")), (4_768_399_360, 2_384_199_680));
        assert_eq!((bytes("kept weight sets"), bytes("weights to sample with")), (2_384_199_680, 0));
        // 2 x 28 x 8 x 128 numbers of a token, 64 x 1024 tokens, a quarter more seats that are a quarter longer, two bytes
        assert_eq!(bytes("key-value cache"), 11_744_051_200);
        // 512 positions, seven f32 numbers a logit
        assert_eq!(bytes("logits"), 512 * 151_936 * 28);
        // a block of 256 queries against 4096 tokens, 16 heads, five f32 numbers a score
        assert_eq!(bytes("attention scores"), 4096 * 256 * 16 * 20);
        // 65536 tokens: 19498 numbers of a layer, and both ends of the last norm
        let all = Load { tape_bytes: u64::MAX, ..load };
        assert_eq!(of(&all, "activations"), 65_536 * (28 * 19_498 + 2048) * 2);
        let on = Load { checkpointing: Checkpointing::On, ..all };
        assert_eq!(of(&on, "activations"), (65_536 * (28 * 1024 + 2048) + 4096 * 19_498) * 2);
    }

    #[test]
    fn less_is_kept_as_memory_shrinks() {
        let way = |budget, checkpointing| super::way(&dims(), 64 * 256, checkpointing, budget, F32);
        let (mb, auto) = (1u64 << 20, Checkpointing::Auto);
        assert_eq!(way(8000 * mb, auto), Way { inputs_only: false, again: false });
        assert_eq!(way(1200 * mb, auto), Way { inputs_only: true, again: false });
        assert_eq!(way(100 * mb, auto), Way { inputs_only: true, again: true });
        assert_eq!(way(1200 * mb, Checkpointing::Off), Way { inputs_only: false, again: true });
        assert_eq!(way(8000 * mb, Checkpointing::On), Way { inputs_only: true, again: false });
        let on = Load { checkpointing: Checkpointing::On, ..load() };
        assert!(2 * bytes(&on, "activations") < bytes(&load(), "activations"));
        assert!(plan(&dims(), &on).peak() < plan(&dims(), &load()).peak());
    }
}
