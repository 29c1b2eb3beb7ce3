//! Tokenizers rebuilt from metadata, and heads of files that are damaged.

use std::fs::File;

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
    for (i, pre) in NAMES.iter().enumerate() {
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

/// `tests/fixtures/make_gguf.py` records what the tokenizers say that the metadata were taken from.
#[test]
fn files_of_others_tokenize_as_their_makers() {
    for name in ["qwen3", "llama"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf");
        let text = Text::load(&folder.join(format!("{name}.gguf"))).unwrap();
        let json = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let recorded: std::collections::BTreeMap<String, Vec<u32>> = serde_json::from_str(&json).unwrap();
        assert!(recorded.len() >= 5);
        for (sample, ids) in recorded {
            assert_eq!(text.encode(&sample).unwrap(), ids, "{name}: {sample}");
            assert_eq!(text.decode(&ids).unwrap(), sample, "{name}");
        }
    }
}

#[test]
fn a_file_speaks_as_the_folder_written_from_it() {
    let mut metadata = metadata("qwen2");
    metadata.push(("tokenizer.ggml.eot_token_id".into(), Value::U32(12)));
    let (_file, path) = file(&metadata);
    let folder = tempfile::tempdir().unwrap();
    Files::read(&path).unwrap().write(folder.path()).unwrap();
    let (a, b) = (Text::load(&path).unwrap(), Text::load(folder.path()).unwrap());
    let chat = [Message::user("go wo 12")];
    assert_eq!(a.open(&chat).unwrap(), b.open(&chat).unwrap());
    assert_eq!(a.render(&chat, true).unwrap(), "<|im_start|>user\ngo wo 12<|im_end|>\n<|im_start|>assistant\n");
    assert_eq!((a.end(), a.vocab()), (b.end(), 262));
    assert_eq!((a.stops(), b.stops()), (&[a.end(), 12][..], &[a.end(), 12][..]));
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

/// Head of a version 3 file with one setting and one tensor of 32 numbers that are all there.
fn head(tensor: u32, alignment: u32) -> Vec<u8> {
    let text = |t: &str| [&(t.len() as u64).to_le_bytes()[..], t.as_bytes()].concat();
    let word = |n: u32| n.to_le_bytes().to_vec();
    let long = |n: u64| n.to_le_bytes().to_vec();
    let mut bytes = [b"GGUF".to_vec(), word(3), long(1), long(1)].concat();
    bytes.extend([text("general.alignment"), word(4), word(alignment)].concat());
    bytes.extend([text("blk.0.x"), word(1), long(32), word(tensor), long(0)].concat());
    bytes.resize(bytes.len().next_multiple_of(32) + 32 * 4, 0);
    bytes
}

#[test]
fn damaged_heads_are_told_by_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let says = |bytes: &[u8], part: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = format!("{:#}", Files::read(&path).err().unwrap());
        assert!(error.starts_with(&format!("{}: ", path.display())) && error.contains(part), "`{part}`: {error}");
    };
    let with = |at: usize, new: &[u8]| {
        let mut bytes = head(0, 32);
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    says(&[], "empty; download");
    says(&with(0, b"GGML"), "not a GGUF file: it does not begin with `GGUF`");
    says(&with(4, &[9, 0, 0, 0]), "GGUF of version 9, supported are 1, 2 and 3");
    says(&with(4, &[0, 0, 0, 3]), "big-endian");
    says(&head(20, 32), "tensor `blk.0.x`: packed as IQ4_NL (type 20), supported are F32, F16, BF16, Q4_0");
    says(&head(77, 32), "packed as type 77");
    // the setting becomes a list of so many bytes
    let list = |length: u64| with(49, &[&[9, 0, 0, 0, 0, 0, 0, 0][..], &length.to_le_bytes()].concat());
    says(&list(1 << 40), "`general.alignment`: a list of 1099511627776; cut off within its head");
    says(&list(u64::MAX), "a list of ");
    says(&head(12, 32), "rows of 32 numbers, which cannot be packed in blocks of 256");
    says(&head(0, 0), "`general.alignment` is no size");
    let whole = head(0, 32);
    says(&whole[..whole.len() - 1], "cut off: tensor `blk.0.x` ends at byte");
    says(&whole[..60], "cut off within its head (the file has 60 bytes)");
    says(&with(24, &[0xff; 8]), "cut off within its head");
    says(&whole, "`tokenizer.ggml.model` is missing");
    let parts = [("split.count".to_owned(), Value::U16(3))];
    let (_folder, path) = file(&parts);
    let error = format!("{:#}", Files::read(&path).err().unwrap());
    assert!(
        error.contains("one of 3 parts of a model; make one file of them with `llama-gguf-split --merge"),
        "{error}"
    );
}

/// Every way to cut a file, and wrong bytes everywhere in its head, end in a sentence or in a model: never in a panic.
#[test]
fn damaged_files_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let whole = head(8, 32);
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(open(&path).is_ok() == (length >= 96 + 34), "{length}");
    }
    for at in 0..96 {
        for wrong in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = wrong;
            std::fs::write(&path, &bytes).unwrap();
            let _ = open(&path);
        }
    }
}
