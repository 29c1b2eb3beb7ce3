//! What splits a text before the merges of byte-level BPE; a GGUF file names it and no more.

use serde_json::json;

/// Those that are known.
pub(super) const NAMES: [&str; 4] = ["gpt-2", "smollm", "qwen2", "llama-bpe"];

/// Contractions, a word with what leads it, digits, signs, line ends, spaces: the pattern of the Llama 3 and Qwen
/// tokenizers, which differ in how many digits stay together.
macro_rules! words {
    ($digits:literal) => {
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

/// How a byte-level tokenizer splits a text before its merges.
pub(super) struct Split {
    pub normalizer: serde_json::Value,
    pub steps: Vec<serde_json::Value>,
    /// A word that is a token is taken whole, whatever its merges.
    pub whole_words: bool,
}

impl Split {
    /// By `tokenizer.ggml.pre`.
    pub fn of(pre: &str) -> Option<Self> {
        let bytes = |regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex });
        let words = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
        let null = serde_json::Value::Null;
        Some(match pre {
            "gpt-2" => Self { normalizer: null, steps: vec![bytes(true)], whole_words: false },
            // Each digit alone, then as GPT-2; no space is put before a text.
            "smollm" => {
                let digits = json!({ "type": "Digits", "individual_digits": true });
                Self { normalizer: null, steps: vec![digits, bytes(true)], whole_words: false }
            }
            "qwen2" | "deepseek-r1-qwen" => {
                let steps = vec![words(words!(r"\p{N}")), bytes(false)];
                Self { normalizer: json!({ "type": "NFC" }), steps, whole_words: false }
            }
            "llama-bpe" | "llama3" | "llama-v3" => {
                let steps = vec![words(words!(r"\p{N}{1,3}")), bytes(false)];
                Self { normalizer: null, steps, whole_words: true }
            }
            _ => return None,
        })
    }
}
