//! The text side of a GGUF file: tokenizer, special tokens and chat template, rebuilt from its metadata as the files
//! a Hugging Face folder would have.
//!
//! What splits text before the merges (`tokenizer.ggml.pre`) is in the file by name only. A name that is not in
//! [`Split::of`] is refused: a wrong guess still gives tokens, only not those the model was trained on.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use serde_json::{Map, json};
use tokenizers::Tokenizer;

use super::{Place, Specials, Template, Text};

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

/// `token_type` of special tokens and of those added by the model's makers.
const CONTROL: i64 = 3;
const ADDED: i64 = 4;

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
}

impl Files {
    /// Reads the metadata of a file.
    ///
    /// # Errors
    /// The file is damaged, or its tokenizer is of a kind that cannot be rebuilt; the sentence names the setting.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let content = Content::read(&mut BufReader::new(file));
        let content = content.with_context(|| format!("{}: cut off or not a GGUF file", path.display()))?;
        Metadata(content).files().with_context(place)
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
        Text::assemble(self.tokenizer()?, template, &Specials { names, stops: vec![] }).context(file)
    }

    /// Writes the files into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let put = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        put("tokenizer.json", &serde_json::to_string(&self.tokenizer)?)?;
        put("tokenizer_config.json", &serde_json::to_string_pretty(&self.config)?)?;
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
        Ok(Files { tokenizer, config: self.config(&tokens), template })
    }

    /// Byte-level BPE.
    fn byte_level(&self, tokens: &[String]) -> Result<serde_json::Value> {
        let pre = self.text("tokenizer.ggml.pre").context("`tokenizer.ggml.pre` is missing")?;
        let split = Split::of(pre).with_context(|| {
            format!(
                "`tokenizer.ggml.pre` is `{pre}`, supported are {}; use the Hugging Face folder of the model",
                Split::NAMES.map(|n| format!("`{n}`")).join(", ")
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
            let special = match whole(kind)? {
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
        let id = self.0.metadata.get("tokenizer.ggml.bos_token_id").and_then(whole);
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
        let id = whole(self.0.metadata.get(&format!("tokenizer.ggml.{short}_token_id"))?)?;
        tokens.get(usize::try_from(id).ok()?).cloned()
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

/// A whole number of any width.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::I32(n) => Some(i64::from(*n)),
        Value::I64(n) => Some(*n),
        value => value.to_u64().ok().and_then(|n| i64::try_from(n).ok()),
    }
}

fn vocabulary(tokens: &[String]) -> Map<String, serde_json::Value> {
    tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect()
}

/// Every pair of pieces that makes a piece, best score first.
fn merges(tokens: &[String], scores: &[f32]) -> Vec<[String; 2]> {
    let ids: std::collections::HashMap<&str, usize> = tokens.iter().enumerate().map(|(i, t)| (t.as_str(), i)).collect();
    let mut merges: Vec<(f32, [usize; 2])> = vec![];
    for (piece, &score) in tokens.iter().zip(scores) {
        for (at, _) in piece.char_indices().skip(1) {
            if let (Some(&a), Some(&b)) = (ids.get(&piece[..at]), ids.get(&piece[at..])) {
                merges.push((score, [a, b]));
            }
        }
    }
    merges.sort_by(|(s, a), (t, b)| t.total_cmp(s).then(a.cmp(b)));
    merges.into_iter().map(|(_, pair)| pair.map(|id| tokens[id].clone())).collect()
}

/// How a byte-level tokenizer splits a text before its merges.
struct Split {
    normalizer: serde_json::Value,
    steps: Vec<serde_json::Value>,
    /// A word that is a token is taken whole, whatever its merges.
    whole_words: bool,
}

impl Split {
    const NAMES: [&str; 4] = ["gpt-2", "smollm", "qwen2", "llama-bpe"];

    /// By `tokenizer.ggml.pre`.
    fn of(pre: &str) -> Option<Self> {
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
            "qwen2" => {
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

#[cfg(test)]
mod tests {
    use candle_core::quantized::gguf_file::write;

    use super::*;
    use crate::text::Message;

    fn texts(list: &[&str]) -> Value {
        Value::Array(list.iter().map(|t| Value::String(t.to_string())).collect())
    }

    /// A byte-level vocabulary of all bytes, one merge per level of `1 2`, ` w`, ` wo`, and three special tokens.
    fn metadata(pre: &str) -> Vec<(String, Value)> {
        let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        let mut tokens: Vec<String> = alphabet.into_iter().map(String::from).collect();
        tokens.sort();
        tokens.extend(["12", "Ġw", "Ġwo", "<|im_start|>", "<|im_end|>", "<tool>"].map(String::from));
        let kinds = (0..tokens.len()).map(|i| match i.checked_sub(tokens.len() - 3) {
            Some(0 | 1) => Value::I32(CONTROL as i32),
            Some(_) => Value::I32(ADDED as i32),
            None => Value::I32(1),
        });
        let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
        let text = |t: &str| Value::String(t.into());
        [
            ("tokenizer.ggml.model", text("gpt2")),
            ("tokenizer.ggml.pre", text(pre)),
            ("tokenizer.ggml.token_type", Value::Array(kinds.collect())),
            ("tokenizer.ggml.merges", texts(&["1 2", "Ġ w", "Ġw o"])),
            ("tokenizer.ggml.eos_token_id", Value::U32(tokens.len() as u32 - 2)),
            ("tokenizer.ggml.tokens", Value::Array(tokens.into_iter().map(Value::String).collect())),
            ("tokenizer.chat_template", text(template)),
        ]
        .map(|(key, value)| (key.to_string(), value))
        .to_vec()
    }

    fn file(metadata: &[(String, Value)]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let pairs: Vec<_> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
        write(&mut File::create(&path).unwrap(), &pairs, &[]).unwrap();
        (folder, path)
    }

    #[test]
    fn pre_tokenizers_split_as_their_models_do() {
        // text, tokens with: gpt-2, smollm, qwen2, llama-bpe
        let cases = [
            ("12", [&["12"][..], &["1", "2"], &["1", "2"], &["12"]]),
            ("a wo", [&["a", "Ġwo"][..], &["a", "Ġwo"], &["a", "Ġwo"], &["a", "Ġwo"]]),
        ];
        for (i, pre) in Split::NAMES.iter().enumerate() {
            let (_folder, path) = file(&metadata(pre));
            let tokenizer = Files::read(&path).unwrap().tokenizer().unwrap();
            for (text, expected) in &cases {
                let encoding = tokenizer.encode(*text, false).unwrap();
                assert_eq!(encoding.get_tokens(), expected[i], "{pre}: {text}");
            }
            for text in ["<|im_start|>user\nx<tool> 2024", " naïve – 猫 🐈 \n\t x"] {
                let ids = tokenizer.encode(text, false).unwrap().get_ids().to_vec();
                assert_eq!(tokenizer.decode(&ids, false).unwrap(), text, "{pre}");
            }
            let tokens = tokenizer.encode("<|im_start|>user", false).unwrap().get_tokens().to_vec();
            assert_eq!(tokens, ["<|im_start|>", "u", "s", "e", "r"], "{pre}: no space may come before a text");
        }
    }

    #[test]
    fn a_file_speaks_as_the_folder_written_from_it() {
        let (_file, path) = file(&metadata("qwen2"));
        let folder = tempfile::tempdir().unwrap();
        Files::read(&path).unwrap().write(folder.path()).unwrap();
        let (a, b) = (Text::load(&path).unwrap(), Text::load(folder.path()).unwrap());
        let chat = [Message::user("go wo 12")];
        assert_eq!(a.open(&chat).unwrap(), b.open(&chat).unwrap());
        assert_eq!(a.render(&chat, true).unwrap(), "<|im_start|>user\ngo wo 12<|im_end|>\n<|im_start|>assistant\n");
        assert_eq!((a.end(), a.vocab()), (b.end(), 262));
        assert_eq!(a.decode(&[a.end()]).unwrap(), "<|im_end|>");
    }

    #[test]
    fn sentence_piece_merges_follow_scores() {
        let pieces = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab", "▁ab"];
        let scores = [0.0, 0.0, 0.0, 0.0, -9.0, -9.0, -9.0, -2.0, -1.0, -3.0];
        let kinds = [2, 3, 3, 6, 1, 1, 1, 1, 1, 1].map(Value::I32);
        let metadata = [
            ("tokenizer.ggml.model", Value::String("llama".into())),
            ("tokenizer.ggml.tokens", texts(&pieces)),
            ("tokenizer.ggml.scores", Value::Array(scores.map(Value::F32).to_vec())),
            ("tokenizer.ggml.token_type", Value::Array(kinds.to_vec())),
            ("tokenizer.ggml.bos_token_id", Value::U32(1)),
            ("tokenizer.ggml.eos_token_id", Value::U32(2)),
            ("tokenizer.ggml.unknown_token_id", Value::U32(0)),
            ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
        ]
        .map(|(key, value)| (key.to_string(), value));
        let (_folder, path) = file(&metadata);
        let tokenizer = Files::read(&path).unwrap().tokenizer().unwrap();
        let encoding = tokenizer.encode("ab a\nba", true).unwrap();
        assert_eq!(encoding.get_tokens(), ["<s>", "▁ab", "▁a", "<0x0A>", "b", "a"]);
        assert_eq!(tokenizer.decode(&encoding.get_ids()[1..], false).unwrap(), "ab a\nba");
    }

    #[test]
    fn unknown_kinds_are_refused() {
        let says = |metadata: &[(String, Value)], part: &str| {
            let (_folder, path) = file(metadata);
            let error = format!("{:#}", Files::read(&path).err().unwrap());
            assert!(error.contains(part) && error.contains("model.gguf"), "{error}");
        };
        says(&metadata("tekken"), "`tokenizer.ggml.pre` is `tekken`, supported are `gpt-2`, `smollm`");
        let mut other = metadata("qwen2");
        other[0].1 = Value::String("bert".into());
        says(&other, "`tokenizer.ggml.model` is `bert`");
        other.remove(0);
        says(&other, "`tokenizer.ggml.model` is missing");
    }
}
