//! Text: tokenizer, chat template, and the bytes behind single tokens.

mod bytes;
pub mod gguf;
mod template;
pub mod train;

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use tokenizers::Tokenizer;

pub use template::Template;

/// Who speaks in a chat message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
}

impl Role {
    /// The name chat templates know.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One chat message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

impl Message {
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// Tokenizer and chat template of a model folder.
pub struct Text {
    tokenizer: Tokenizer,
    template: Template,
    end: u32,
    end_text: String,
}

/// Stands for a reply while a template is rendered; cannot occur in a template or an observation.
const MARK: &str = "\u{1}reply\u{1}";

impl Text {
    /// Loads `tokenizer.json`, `tokenizer_config.json` and the chat template of a model folder.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&path)
            .map_err(|e| anyhow!("{e}"))
            .with_context(|| format!("cannot read the tokenizer {}", path.display()))?;
        let path = folder.join("tokenizer_config.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("{}: not valid JSON", path.display()))?;
        let end_text = special(&config, "eos_token")
            .with_context(|| format!("{}: `eos_token` is missing; it ends every reply", path.display()))?;
        let end = tokenizer
            .token_to_id(&end_text)
            .with_context(|| format!("{}: `eos_token` `{end_text}` is not in the vocabulary", path.display()))?;
        Ok(Self { tokenizer, template: Template::load(folder, &config)?, end, end_text })
    }

    /// Token that closes a reply.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Tokens in the vocabulary, added ones included.
    pub fn vocab(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The chat as the model reads it; with `reply`, opened for the assistant's next message.
    pub fn render(&self, messages: &[Message], reply: bool) -> Result<String> {
        self.template.render(messages, reply)
    }

    /// Token ids of a rendered text; special tokens written out in it count as such.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(text, false).map_err(|e| anyhow!("cannot tokenize: {e}"))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of the opening prompt, the assistant's message opened.
    pub fn open(&self, messages: &[Message]) -> Result<Vec<u32>> {
        self.encode(&self.render(messages, true)?)
    }

    /// What stands between a closed reply and the next one: the rest of the template after the end token, the
    /// next user message, the opening of the next reply. The ids of earlier tokens never change, so a growing
    /// chat can reuse its cache.
    pub fn between(&self, messages: &[Message], next: &Message) -> Result<Vec<u32>> {
        let chat = [messages, &[Message::assistant(MARK), next.clone()]].concat();
        let text = self.render(&chat, true)?;
        let (_, rest) = text.split_once(MARK).context("the chat template drops the assistant's message")?;
        let rest = rest.strip_prefix(&self.end_text).unwrap_or(rest);
        ensure!(!rest.contains(MARK), "the chat template repeats the assistant's message");
        self.encode(rest)
    }

    /// Text of ids, special tokens written out.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.tokenizer.decode(ids, false).map_err(|e| anyhow!("cannot decode tokens: {e}"))
    }

    /// Raw bytes of each token, so that a character split over tokens can be shown rightly. Unknown ids give
    /// no bytes.
    pub fn bytes(&self, ids: &[u32]) -> Vec<Vec<u8>> {
        ids.iter().map(|&id| self.token_bytes(id)).collect()
    }

    fn token_bytes(&self, id: u32) -> Vec<u8> {
        if let Some(added) = self.tokenizer.get_added_tokens_decoder().get(&id) {
            return added.content.clone().into_bytes();
        }
        self.tokenizer.id_to_token(id).map(|token| bytes::of_token(&token)).unwrap_or_default()
    }
}

/// A special token of `tokenizer_config.json`: a string, or an object with `content`.
fn special(config: &serde_json::Value, key: &str) -> Option<String> {
    let value = config.get(key)?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> (tempfile::TempDir, Text) {
        let folder = tempfile::tempdir().unwrap();
        let corpus = ["go to cabinet 2", "You open the cabinet 2. In it, you see a mug 1."].repeat(50);
        train::write(folder.path(), corpus.iter().map(|s| s.to_string()), 320).unwrap();
        let text = Text::load(folder.path()).unwrap();
        (folder, text)
    }

    #[test]
    fn round_trip_is_exact() {
        let (_folder, text) = text();
        for s in ["<think>find mug</think><action>go to cabinet 2</action>", " naïve – 猫 🐈 \n\t x", ""] {
            let ids = text.encode(s).unwrap();
            assert_eq!(text.decode(&ids).unwrap(), s);
            assert_eq!(text.bytes(&ids).concat(), s.as_bytes());
        }
    }

    #[test]
    fn tags_are_single_tokens() {
        let (_folder, text) = text();
        for tag in ["<think>", "</think>", "<action>", "</action>", "<|im_end|>"] {
            assert_eq!(text.encode(tag).unwrap().len(), 1, "{tag}");
        }
        assert_eq!(text.encode("<|im_end|>").unwrap(), [text.end()]);
    }

    #[test]
    fn a_growing_chat_equals_the_whole_chat() {
        let (_folder, text) = text();
        let first = vec![Message::user("go to cabinet 2")];
        let reply = "<action>open cabinet 2</action>";
        let next = Message::user("You open the cabinet 2.");
        let mut ids = text.open(&first).unwrap();
        ids.extend(text.encode(reply).unwrap());
        ids.push(text.end());
        ids.extend(text.between(&first, &next).unwrap());
        let whole = [&first[..], &[Message::assistant(reply), next]].concat();
        assert_eq!(ids, text.open(&whole).unwrap());
    }

    #[test]
    fn missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = format!("{:#}", Text::load(folder.path()).err().unwrap());
        assert!(error.contains("tokenizer.json"), "{error}");
    }
}
