//! Makes a byte-level BPE tokenizer with a plain chat template (ChatML layout) from a corpus.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde_json::json;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

/// Never produced by text, always by the template.
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
/// Ordinary text that is worth one token each.
const TAGS: [&str; 4] = ["<think>", "</think>", "<action>", "</action>"];

/// Least tokens of a vocabulary: one for each byte, and those above.
pub const LEAST_VOCAB: usize = 256 + SPECIAL.len() + TAGS.len();

const CHAT_TEMPLATE: &str = "{% for message in messages %}\n\
    {{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n\
    {%- endfor %}\n\
    {% if add_generation_prompt %}\n\
    {{ '<|im_start|>assistant\\n' }}\n\
    {%- endif %}\n";

/// Trains on `corpus` and writes `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`.
pub fn write(folder: &Path, corpus: impl Iterator<Item = String> + Send, vocab: usize) -> Result<()> {
    let fail = |e: tokenizers::Error| anyhow!("cannot train the tokenizer: {e}");
    let byte_level = ByteLevel::new(false, true, true);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(byte_level)).with_decoder(Some(byte_level));
    let added = |special: bool| move |t: &&str| AddedToken::from(t.to_string(), special);
    let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
        .vocab_size(vocab)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(SPECIAL.iter().map(added(true)).chain(TAGS.iter().map(added(false))).collect())
        .build()
        .into();
    tokenizer.train(&mut trainer, corpus).map_err(fail)?;
    tokenizer.add_tokens(TAGS.map(|t| AddedToken::from(t, false))).map_err(fail)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    tokenizer.save(folder.join("tokenizer.json"), true).map_err(fail)?;
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": false,
    });
    put(&folder.join("tokenizer_config.json"), &(serde_json::to_string_pretty(&config)? + "\n"))?;
    put(&folder.join("chat_template.jinja"), CHAT_TEMPLATE)
}

fn put(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
