//! From vocabulary entries back to bytes.
//!
//! 1. Byte-level BPE (GPT-2, Qwen, Llama 3) spells every byte as a printable character.
//! 2. SentencePiece-style vocabularies (BPE or Unigram: Llama 2, TinyLlama, Gemma) write plain text, a sign such as
//!    `▁` for the space, and `<0xE4>` for a byte that no entry covers.
//!
//! Which one it is says the tokenizer's decoder.

use serde_json::Value;
use tokenizers::Tokenizer;

/// How a vocabulary spells bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    ByteLevel,
    Pieces {
        /// Stands for a space.
        space: Option<char>,
        /// Whether `<0xE4>` is a byte.
        fallback: bool,
    },
}

impl Spelling {
    /// Reads the decoder of a tokenizer, a sequence of steps or a single one.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        // what came from JSON goes back to it
        let decoder = serde_json::to_value(tokenizer.get_decoder()).unwrap_or_default();
        let steps = match decoder.get("decoders").and_then(Value::as_array) {
            Some(steps) => steps.clone(),
            None => vec![decoder],
        };
        let named = |name: &str| steps.iter().find(|step| step.get("type").is_some_and(|kind| kind == name));
        if named("ByteLevel").is_some() {
            return Self::ByteLevel;
        }
        let metaspace = named("Metaspace").and_then(|step| step.get("replacement"));
        let replace = steps.iter().filter(|step| step.get("content").is_some_and(|content| content == " "));
        let replaced = replace.filter_map(|step| step.get("pattern")?.get("String")).next();
        let space = metaspace.or(replaced).and_then(Value::as_str).and_then(|text| text.chars().next());
        Self::Pieces { space, fallback: named("ByteFallback").is_some() }
    }

    /// Bytes of a vocabulary entry.
    pub fn bytes(self, token: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel => byte_level(token),
            Self::Pieces { fallback: true, .. } if byte(token).is_some() => byte(token).into_iter().collect(),
            Self::Pieces { space: Some(space), .. } => token.replace(space, " ").into_bytes(),
            Self::Pieces { space: None, .. } => token.as_bytes().to_vec(),
        }
    }
}

fn byte(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>').filter(|hex| hex.len() == 2)?;
    u8::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with('+'))
}

/// Characters outside the table stand for themselves.
fn byte_level(token: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(token.len());
    for c in token.chars() {
        match of_char(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.to_string().bytes()),
        }
    }
    bytes
}

/// Printable bytes stand for themselves; the other 68 are numbered from U+0100 in order (GPT-2's table).
fn of_char(c: char) -> Option<u8> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match c as u32 {
        n @ 0..=0xFF if printable(n as u8) => Some(n as u8),
        n @ 0x100.. => (0..=255u8).filter(|&b| !printable(b)).nth((n - 0x100) as usize),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn spelling(decoder: &str) -> Spelling {
        let model = r#"{"type":"BPE","vocab":{"a":0},"merges":[]}"#;
        Spelling::of(&Tokenizer::from_str(&format!(r#"{{"model":{model},"decoder":{decoder}}}"#)).unwrap())
    }

    #[test]
    fn the_decoder_says_how_bytes_are_spelt() {
        let byte_level = r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#;
        assert_eq!(spelling(byte_level), Spelling::ByteLevel);
        let metaspace = r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true}"#;
        assert_eq!(spelling(metaspace), Spelling::Pieces { space: Some('▁'), fallback: false });
        let llama = r#"{"type":"Sequence","decoders":[
            {"type":"Replace","pattern":{"String":"▁"},"content":" "},
            {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#;
        assert_eq!(spelling(llama), Spelling::Pieces { space: Some('▁'), fallback: true });
        assert_eq!(spelling("null"), Spelling::Pieces { space: None, fallback: false });
    }

    #[test]
    fn known_spellings() {
        let known = [("Ġmug", " mug"), ("Ċ", "\n"), ("Ã©", "é"), ("<0xE4>", "<0xE4>")];
        for (token, text) in known {
            assert_eq!(Spelling::ByteLevel.bytes(token), text.as_bytes(), "{token}");
        }
        let pieces = Spelling::Pieces { space: Some('▁'), fallback: true };
        assert_eq!(pieces.bytes("▁né"), " né".as_bytes());
        assert_eq!(pieces.bytes("<0xE4>"), [0xE4]);
        assert_eq!(pieces.bytes("<0x+4>"), b"<0x+4>".to_vec().as_slice());
        assert_eq!(Spelling::Pieces { space: None, fallback: false }.bytes("<0xE4>"), b"<0xE4>");
    }

    #[test]
    fn every_byte_has_one_spelling() {
        let mut seen: Vec<u8> = (0..0x144).filter_map(|n| of_char(char::from_u32(n)?)).collect();
        seen.sort();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
    }
}
