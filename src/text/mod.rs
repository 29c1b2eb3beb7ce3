//! Text: tokenizer, chat template, and the bytes behind single tokens.

mod bytes;
mod chat;
pub mod gguf;
mod jinja;
mod special;
mod stop;
mod template;
#[cfg(test)]
mod tests;
pub mod train;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use tokenizers::Tokenizer;

use self::bytes::Spelling;
pub use self::special::Specials;
pub use self::stop::{StopWatch, Stops};
pub use self::template::{Place, Template};
use crate::hub;

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

/// Files of a model folder that belong to the text side.
pub const FILES: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "generation_config.json",
];

/// Where the text files of a model lie: PEFT writes adapters without them, those of their model are meant.
fn home(model: &Path) -> Result<PathBuf> {
    let adapters = model.join("adapter_config.json");
    let own = FILES[..2].iter().chain(&["config.json"]).any(|name| model.join(name).exists());
    if own || !adapters.is_file() {
        return Ok(model.to_owned());
    }
    let config = special::json(&adapters)?;
    hub::base(model, config.get("base_model_name_or_path").and_then(|base| base.as_str()).unwrap_or_default())
}

fn read_tokenizer(folder: &Path) -> Result<Tokenizer> {
    let path = folder.join("tokenizer.json");
    let read = Tokenizer::from_file(&path).map_err(|e| anyhow!("{e}"));
    read.with_context(|| match path.is_file() {
        true => format!("cannot read the tokenizer {}; download or copy it again", path.display()),
        false => format!(
            "cannot read the tokenizer {}: with another kind of tokenizer, save that of `transformers` once more \
             (`AutoTokenizer.from_pretrained(MODEL).save_pretrained(MODEL)`)",
            path.display()
        ),
    })
}

fn read_template(folder: &Path) -> Result<(Template, Specials)> {
    let config = special::json(&folder.join("tokenizer_config.json"))?;
    let specials = Specials::load(folder, &config)?;
    Ok((Template::load(folder, &config, specials.names.clone())?, specials))
}

/// Tokenizer and chat template of a model.
pub struct Text {
    tokenizer: Tokenizer,
    template: Template,
    /// What the template closes a reply with.
    end: u32,
    end_text: String,
    /// What a reply may end with, `end` included.
    stops: Vec<u32>,
    /// Ids are below this.
    vocab: usize,
    spelling: Spelling,
    added: HashMap<u32, Vec<u8>>,
}

impl Text {
    /// Loads tokenizer, special tokens and chat template of a model folder ([`FILES`]) or a `.gguf` file; those of the
    /// model they belong to, where adapters have none of their own.
    pub fn load(folder: &Path) -> Result<Self> {
        let folder = &home(folder)?;
        if gguf::is(folder) {
            return gguf::Files::read(folder)?.text(folder);
        }
        let tokenizer = read_tokenizer(folder)?;
        let (template, specials) = read_template(folder)?;
        Self::assemble(tokenizer, template, &specials).with_context(|| folder.display().to_string())
    }

    /// Everything that keeps [`Text::load`] from loading it, each a sentence.
    pub fn problems(folder: &Path) -> Vec<String> {
        let found = match home(folder) {
            Err(error) => [Some(error), None],
            Ok(home) if gguf::is(&home) => [None, None],
            Ok(home) => [read_tokenizer(&home).err(), read_template(&home).err()],
        };
        let found: Vec<String> = found.into_iter().flatten().map(|error| format!("{error:#}")).collect();
        if !found.is_empty() {
            return found;
        }
        Self::load(folder).err().map(|error| format!("{error:#}")).into_iter().collect()
    }

    /// Puts a tokenizer, a template and what is known of special tokens together, wherever they come from.
    ///
    /// # Errors
    /// Nothing says what ends a reply, or it is not in the vocabulary.
    pub fn assemble(tokenizer: Tokenizer, template: Template, specials: &Specials) -> Result<Self> {
        let added = tokenizer.get_added_tokens_decoder();
        let closing = chat::closing(&template).unwrap_or_default();
        let closing = closing.trim_start();
        let written =
            added.iter().filter(|(_, token)| !token.content.is_empty() && closing.starts_with(&token.content));
        let end = written.max_by_key(|(_, token)| token.content.len()).map(|(id, _)| *id);
        let eos = specials.eos().map(|eos| tokenizer.token_to_id(eos).ok_or(eos)).transpose();
        let eos = eos.map_err(|eos| anyhow!("`eos_token` `{eos}` is not in the vocabulary of `tokenizer.json`"))?;
        let end = end.or(eos).or(specials.stops.first().copied()).context(
            "nothing says what ends a reply: `tokenizer_config.json` has no `eos_token`, `generation_config.json` no \
             `eos_token_id`, and the chat template closes replies with no special token",
        )?;
        let end_text = tokenizer.id_to_token(end).with_context(|| {
            format!("token {end} ends replies by `eos_token_id`, but the tokenizer has no such token")
        })?;
        let mut stops = vec![end];
        for id in eos.iter().chain(&specials.stops) {
            if !stops.contains(id) {
                stops.push(*id);
            }
        }
        let vocab = tokenizer.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1);
        let spelling = Spelling::of(&tokenizer);
        let added = added.into_iter().map(|(id, token)| (id, token.content.into_bytes())).collect();
        Ok(Self { tokenizer, template, end, end_text, stops, vocab, spelling, added })
    }

    /// Token that closes a reply in the chat template.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Tokens that end a reply: [`Text::end`], `eos_token` and those of `generation_config.json`.
    pub fn stops(&self) -> &[u32] {
        &self.stops
    }

    /// Rows the tokenizer needs in an embedding: its greatest id and one.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// The chat template.
    pub fn template(&self) -> &Template {
        &self.template
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
        let rest = chat::joint(&self.template, &self.end_text, messages, next)?;
        // behind its end token, as it stands in the chat: alone, some tokenizers would put a space before it
        let ids = self.encode(&format!("{}{rest}", self.end_text))?;
        Ok(match ids.strip_prefix(&[self.end]) {
            Some(rest) => rest.to_vec(),
            None => self.encode(&rest)?,
        })
    }

    /// Whether a chat may grow in one row (`transcript`); what differs then from the whole chat rendered at once, in
    /// sentences, usually none.
    ///
    /// # Errors
    /// The template changes earlier parts of a chat as it grows; the sentence says what to do.
    pub fn transcript(&self) -> Result<Vec<String>> {
        chat::examine(&self.template, &self.end_text)
    }

    /// Puts tokenizer and template into `folder`, so that its tokens can be read wherever it goes: the files of the
    /// model folder as they are, or made anew where the model is a single file.
    pub fn keep(&self, model: &Path, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let model = &home(model)?;
        if model.is_file() {
            return self.write(folder);
        }
        for from in FILES.map(|name| model.join(name)).iter().filter(|from| from.exists()) {
            let to = folder.join(from.file_name().unwrap_or_default());
            std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        Ok(())
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let tokenizer = folder.join(FILES[0]);
        let failed = |e| anyhow!("cannot write {}: {e}", tokenizer.display());
        self.tokenizer.save(&tokenizer, false).map_err(failed)?;
        let config = serde_json::Value::Object(self.template.specials().clone());
        let stops = serde_json::json!({ "eos_token_id": self.stops });
        for (name, text) in [
            ("tokenizer_config.json", config.to_string()),
            ("chat_template.jinja", self.template.source().to_owned()),
            ("generation_config.json", stops.to_string()),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
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

    /// Whether every token here has the same id and the same bytes in `other`, which may have more.
    pub fn is_part_of(&self, other: &Text) -> bool {
        (0..self.vocab as u32).all(|id| match self.token_bytes(id) {
            bytes if bytes.is_empty() => true,
            bytes => bytes == other.token_bytes(id),
        })
    }

    fn token_bytes(&self, id: u32) -> Vec<u8> {
        if let Some(bytes) = self.added.get(&id) {
            return bytes.clone();
        }
        self.tokenizer.id_to_token(id).map(|token| self.spelling.bytes(&token)).unwrap_or_default()
    }
}
