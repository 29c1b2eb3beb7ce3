//! The text side of a GGUF file: tokenizer, special tokens and chat template, rebuilt from its metadata as the files
//! a Hugging Face folder would have.
//!
//! What splits text before the merges (`tokenizer.ggml.pre`) is in the file by name only. A name that is not in
//! [`Split::of`] is refused: a wrong guess still gives tokens, only not those the model was trained on.

mod file;
mod split;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use serde_json::{Map, json};
use tokenizers::Tokenizer;

pub use self::file::{number, open};
use self::split::{NAMES, Split};
use super::{Place, Specials, Template, Text};

/// `token_type` of special tokens and of those added by the model's makers.
const CONTROL: u64 = 3;
const ADDED: u64 = 4;

/// Whether a model path means a GGUF file.
pub fn is(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "gguf")
}

/// Contents of the text files of a model folder.
pub struct Files {
    /// `tokenizer.json`
    pub tokenizer: serde_json::Value,
    /// `tokenizer_config.json`
    pub config: serde_json::Value,
    /// `chat_template.jinja`, if the model has one.
    pub template: Option<String>,
    /// What may end a reply beside `eos_token`: `eos_token_id` of `generation_config.json`.
    pub stops: Vec<u32>,
}

impl Files {
    /// Reads the metadata of a file.
    ///
    /// # Errors
    /// The file is damaged, or its tokenizer is of a kind that cannot be rebuilt; the sentence names the setting.
    pub fn read(path: &Path) -> Result<Self> {
        let files = open(path).and_then(|(content, _)| Metadata(content).files());
        files.with_context(|| path.display().to_string())
    }

    /// The tokenizer itself.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let text = serde_json::to_vec(&self.tokenizer)?;
        Tokenizer::from_bytes(text).map_err(|e| anyhow!("the tokenizer cannot be rebuilt: {e}"))
    }

    /// All of it, as [`Text::load`] of a folder with these files gives it; `path` is what errors name.
    pub fn text(&self, path: &Path) -> Result<Text> {
        let file = path.display().to_string();
        let source = self.template.as_deref().with_context(|| {
            format!("{file}: `tokenizer.chat_template` is missing; choose a model that was trained to chat")
        })?;
        let names = self.config.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with("_token"));
        let names: Map<_, _> = names.map(|(name, token)| (name.clone(), token.clone())).collect();
        let place = Place { file: file.clone(), key: Some("tokenizer.chat_template") };
        let template = Template::new(source, place, names.clone())?;
        Text::assemble(self.tokenizer()?, template, &Specials { names, stops: self.stops.clone() }).context(file)
    }

    /// Writes the files into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let put = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        put("tokenizer.json", &serde_json::to_string(&self.tokenizer)?)?;
        put("tokenizer_config.json", &serde_json::to_string_pretty(&self.config)?)?;
        put("generation_config.json", &json!({ "eos_token_id": self.stops }).to_string())?;
        self.template.as_ref().map_or(Ok(()), |template| put("chat_template.jinja", template))
    }
}

struct Metadata(Content);

impl Metadata {
    fn files(&self) -> Result<Files> {
        let kind = self.text("tokenizer.ggml.model").context("`tokenizer.ggml.model` is missing")?;
        let tokens = self.texts("tokenizer.ggml.tokens")?;
        let tokenizer = match kind {
            "gpt2" => self.byte_level(&tokens)?,
            "llama" => self.sentence_piece(&tokens)?,
            other => bail!(
                "`tokenizer.ggml.model` is `{other}`, supported are `gpt2` and `llama`; use the Hugging Face folder \
                 of the model"
            ),
        };
        let template = self.text("tokenizer.chat_template").map(str::to_string);
        let stops = ["eos", "eot", "eom"].iter().filter_map(|short| self.id(short)).collect();
        Ok(Files { tokenizer, config: self.config(&tokens), template, stops })
    }

    /// Byte-level BPE.
    fn byte_level(&self, tokens: &[String]) -> Result<serde_json::Value> {
        let pre = self.text("tokenizer.ggml.pre").context("`tokenizer.ggml.pre` is missing")?;
        let split = Split::of(pre).with_context(|| {
            format!(
                "`tokenizer.ggml.pre` is `{pre}`, supported are {}; use the Hugging Face folder of the model",
                NAMES.map(|n| format!("`{n}`")).join(", ")
            )
        })?;
        let merges: Vec<Vec<String>> = self
            .texts("tokenizer.ggml.merges")?
            .iter()
            .map(|m| m.split_once(' ').map(|(a, b)| vec![a.to_string(), b.to_string()]))
            .collect::<Option<_>>()
            .context("`tokenizer.ggml.merges` has an entry that is no pair")?;
        Ok(json!({
            "version": "1.0",
            "added_tokens": self.added(tokens),
            "normalizer": split.normalizer,
            "pre_tokenizer": { "type": "Sequence", "pretokenizers": split.steps },
            "post_processor": self.begin(tokens),
            "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
            "model": {
                "type": "BPE",
                "ignore_merges": split.whole_words,
                "vocab": vocabulary(tokens),
                "merges": merges,
            },
        }))
    }

    /// SentencePiece BPE (Llama 2, TinyLlama): merges follow from the scores of what they make.
    fn sentence_piece(&self, tokens: &[String]) -> Result<serde_json::Value> {
        let scores = self.0.metadata.get("tokenizer.ggml.scores").context("`tokenizer.ggml.scores` is missing")?;
        let scores: Vec<f32> = scores.to_vec()?.iter().map(Value::to_f32).collect::<candle_core::Result<_>>()?;
        ensure!(scores.len() == tokens.len(), "`tokenizer.ggml.scores` and `tokenizer.ggml.tokens` differ in length");
        let space = "\u{2581}";
        let prefix = self.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
        let spaces = json!({ "type": "Replace", "pattern": { "String": " " }, "content": space });
        let lead = json!({ "type": "Prepend", "prepend": space });
        let back = json!({ "type": "Replace", "pattern": { "String": space }, "content": " " });
        let strip = json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 });
        let (byte, fuse) = (json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" }));
        let unknown = self.special("unknown", tokens);
        Ok(json!({
            "version": "1.0",
            "added_tokens": self.added(tokens),
            "normalizer": { "type": "Sequence", "normalizers": if prefix { vec![lead, spaces] } else { vec![spaces] } },
            "pre_tokenizer": null,
            "post_processor": self.begin(tokens),
            "decoder": {
                "type": "Sequence",
                "decoders": if prefix { vec![back, byte, fuse, strip] } else { vec![back, byte, fuse] },
            },
            "model": {
                "type": "BPE",
                "unk_token": unknown,
                "fuse_unk": true,
                "byte_fallback": true,
                "vocab": vocabulary(tokens),
                "merges": merges(tokens, &scores),
            },
        }))
    }

    /// Tokens that are found in a text before it is split.
    fn added(&self, tokens: &[String]) -> Vec<serde_json::Value> {
        let types = self.0.metadata.get("tokenizer.ggml.token_type").and_then(|t| t.to_vec().ok());
        let one = |(id, (content, kind)): (usize, (&String, &Value))| {
            let special = match number(kind)? {
                CONTROL => true,
                ADDED => false,
                _ => return None,
            };
            Some(json!({
                "id": id, "content": content, "special": special,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            }))
        };
        tokens.iter().zip(types.into_iter().flatten()).enumerate().filter_map(one).collect()
    }

    /// Puts the begin token before a text, where the model wants it.
    fn begin(&self, tokens: &[String]) -> serde_json::Value {
        let wanted = self.flag("tokenizer.ggml.add_bos_token").unwrap_or(false);
        let Some(bos) = self.special("bos", tokens).filter(|_| wanted) else { return serde_json::Value::Null };
        let id = self.0.metadata.get("tokenizer.ggml.bos_token_id").and_then(number);
        let token = json!({ "SpecialToken": { "id": bos, "type_id": 0 } });
        let part = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
        json!({
            "type": "TemplateProcessing",
            "single": [token, part("A")],
            "pair": [token, part("A"), part("B")],
            "special_tokens": { &bos: { "id": bos, "ids": [id], "tokens": [bos] } },
        })
    }

    fn config(&self, tokens: &[String]) -> serde_json::Value {
        let names = [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")];
        let mut config = Map::new();
        config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
        config.insert("clean_up_tokenization_spaces".into(), false.into());
        for (name, short) in names {
            if let Some(token) = self.special(short, tokens) {
                config.insert(name.into(), token.into());
            }
        }
        config.into()
    }

    /// The token of `tokenizer.ggml.<short>_token_id`.
    fn special(&self, short: &str, tokens: &[String]) -> Option<String> {
        tokens.get(self.id(short)? as usize).cloned()
    }

    fn id(&self, short: &str) -> Option<u32> {
        u32::try_from(number(self.0.metadata.get(&format!("tokenizer.ggml.{short}_token_id"))?)?).ok()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.metadata.get(key)?.to_string().ok().map(String::as_str)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.0.metadata.get(key)?.to_bool().ok()
    }

    fn texts(&self, key: &str) -> Result<Vec<String>> {
        let values = self.0.metadata.get(key).with_context(|| format!("`{key}` is missing"))?;
        let texts = values.to_vec()?.iter().map(|v| v.to_string().cloned()).collect::<candle_core::Result<_>>();
        texts.with_context(|| format!("`{key}` must be texts"))
    }
}

fn vocabulary(tokens: &[String]) -> Map<String, serde_json::Value> {
    tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect()
}

/// Bytes of the longest piece that others are joined to: trainers make far shorter ones.
const LONGEST: usize = 256;

/// Every pair of pieces that makes a piece, best score first.
fn merges(tokens: &[String], scores: &[f32]) -> Vec<[String; 2]> {
    let ids: std::collections::HashMap<&str, usize> = tokens.iter().enumerate().map(|(i, t)| (t.as_str(), i)).collect();
    let mut merges: Vec<(f32, [usize; 2])> = vec![];
    for (piece, &score) in tokens.iter().zip(scores).filter(|(piece, _)| piece.len() <= LONGEST) {
        for (at, _) in piece.char_indices().skip(1) {
            if let (Some(&a), Some(&b)) = (ids.get(&piece[..at]), ids.get(&piece[at..])) {
                merges.push((score, [a, b]));
            }
        }
    }
    merges.sort_by(|(s, a), (t, b)| t.total_cmp(s).then(a.cmp(b)));
    merges.into_iter().map(|(_, pair)| pair.map(|id| tokens[id].clone())).collect()
}
