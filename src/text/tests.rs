//! A tokenizer and its template together.

use serde_json::json;

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

#[test]
fn the_written_template_is_chatml_byte_for_byte() {
    let (_folder, text) = text();
    let chat = [Message { role: Role::System, content: "s".into() }, Message::user(" a\n"), Message::assistant("b")];
    let expected =
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\n a\n<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n";
    assert_eq!(text.render(&chat, false).unwrap(), expected);
    assert_eq!(text.render(&chat, true).unwrap(), format!("{expected}<|im_start|>assistant\n"));
    assert_eq!(text.transcript().unwrap(), Vec::<String>::new());
}

#[test]
fn what_ends_a_reply_is_what_the_template_writes() {
    let (folder, _) = text();
    let put =
        |name: &str, value: serde_json::Value| std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    put("tokenizer_config.json", json!({ "eos_token": "<|endoftext|>" }));
    put("generation_config.json", json!({ "eos_token_id": [5, 0] }));
    let text = Text::load(folder.path()).unwrap();
    let id = |token: &str| text.encode(token).unwrap()[0];
    assert_eq!((text.end(), text.stops()), (id("<|im_end|>"), &[id("<|im_end|>"), 0, 5][..]));
    put("tokenizer_config.json", json!({ "eos_token": "<eos>" }));
    let error = format!("{:#}", Text::load(folder.path()).err().unwrap());
    assert!(error.ends_with("`eos_token` `<eos>` is not in the vocabulary of `tokenizer.json`"), "{error}");
}

#[test]
fn text_can_be_written_anew() {
    let (folder, text) = text();
    let (model, kept) = (folder.path().join("model.gguf"), folder.path().join("kept"));
    std::fs::write(&model, "").unwrap();
    text.keep(&model, &kept).unwrap();
    let again = Text::load(&kept).unwrap();
    let chat = [Message::user("naïve 猫")];
    assert_eq!(again.open(&chat).unwrap(), text.open(&chat).unwrap());
    assert_eq!((again.stops(), again.vocab()), (text.stops(), text.vocab()));
    text.keep(folder.path(), &folder.path().join("copied")).unwrap();
    for name in ["tokenizer.json", "chat_template.jinja", "tokenizer_config.json"] {
        let read = |at: &Path| std::fs::read(at.join(name)).unwrap();
        assert_eq!(read(folder.path()), read(&folder.path().join("copied")));
    }
}

#[test]
fn adapters_speak_as_the_model_they_belong_to() {
    let (folder, text) = text();
    let adapters = folder.path().join("adapters");
    std::fs::create_dir(&adapters).unwrap();
    let base = Path::new("../..").join(folder.path().file_name().unwrap());
    let config = json!({ "base_model_name_or_path": base });
    std::fs::write(adapters.join("adapter_config.json"), config.to_string()).unwrap();
    let chat = [Message::user("go to cabinet 2")];
    assert_eq!(Text::load(&adapters).unwrap().open(&chat).unwrap(), text.open(&chat).unwrap());
    text.keep(&adapters, &folder.path().join("kept")).unwrap();
    assert!(Text::load(&folder.path().join("kept")).is_ok());
    std::fs::write(adapters.join("adapter_config.json"), r#"{"base_model_name_or_path": "nowhere"}"#).unwrap();
    let problems = Text::problems(&adapters);
    assert!(problems.len() == 1 && problems[0].contains("`nowhere` does not exist"), "{problems:?}");
    assert_eq!(Text::problems(folder.path()), Vec::<String>::new());
}

/// A SentencePiece-style vocabulary of single characters with byte fallback, as `tokenizers` writes that of Llama 2.
fn pieces(model: &str, before: serde_json::Value) -> (tempfile::TempDir, Text) {
    let bytes = (0..=255u8).map(|b| format!("<0x{b:02X}>"));
    let characters = ('a'..='z').chain("▁<|>:\né".chars()).map(String::from);
    let special = ["<unk>", "<s>", "</s>"].map(str::to_owned);
    let tokens: Vec<String> = special.into_iter().chain(bytes).chain(characters).collect();
    let added = |id: usize| {
        json!({ "id": id, "content": tokens[id], "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true })
    };
    let model = match model {
        "BPE" => {
            let vocab: serde_json::Map<_, _> = tokens.iter().enumerate().map(|(i, t)| (t.clone(), i.into())).collect();
            json!({ "type": "BPE", "vocab": vocab, "merges": [], "unk_token": "<unk>", "byte_fallback": true,
                "fuse_unk": true })
        }
        _ => {
            let vocab: Vec<_> = tokens.iter().enumerate().map(|(i, t)| json!([t, -(i as f64)])).collect();
            json!({ "type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": true })
        }
    };
    let mut tokenizer = json!({
        "version": "1.0", "added_tokens": [added(0), added(1), added(2)], "model": model,
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ]},
    });
    tokenizer.as_object_mut().unwrap().extend(before.as_object().unwrap().clone());
    let folder = tempfile::tempdir().unwrap();
    let template = "{% for m in messages %}{{ bos_token ~ '<|' ~ m.role ~ '|>\\n' ~ m.content ~ eos_token ~ '\\n' }}\
                    {% endfor %}{% if add_generation_prompt %}{{ bos_token ~ '<|assistant|>\\n' }}{% endif %}";
    let config = json!({ "bos_token": "<s>", "eos_token": "</s>", "chat_template": template });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let text = Text::load(folder.path()).unwrap();
    (folder, text)
}

#[test]
fn a_growing_chat_equals_the_whole_chat_with_pieces() {
    let legacy = json!({ "normalizer": { "type": "Sequence", "normalizers": [
        { "type": "Prepend", "prepend": "▁" },
        { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
    ]}});
    let metaspace = |scheme: &str| json!({ "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false }});
    for (model, before) in [
        ("BPE", legacy),
        ("BPE", metaspace("first")),
        ("Unigram", metaspace("always")),
        ("Unigram", metaspace("never")),
    ] {
        let (_folder, text) = pieces(model, before.clone());
        let first = vec![Message::user("go to a")];
        let next = Message::user("you see b");
        let whole = [&first[..], &[Message::assistant("take b"), next.clone()]].concat();
        let whole = text.open(&whole).unwrap();
        let opening = text.open(&first).unwrap();
        let closing = [&[text.end()], &text.between(&first, &next).unwrap()[..]].concat();
        assert!(whole.starts_with(&opening) && whole.ends_with(&closing), "{model} {before}");
        let reply = &whole[opening.len()..whole.len() - closing.len()];
        assert_eq!(text.bytes(reply).concat(), b"take b", "{model} {before}");
    }
}

#[test]
fn bytes_of_pieces_are_those_of_the_text() {
    let metaspace = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": false });
    let (_folder, text) = pieces("BPE", json!({ "pre_tokenizer": metaspace }));
    for s in ["go to b", "é猫🐈 <x>", "a  b"] {
        let ids = text.encode(s).unwrap();
        assert_eq!(text.bytes(&ids).concat(), s.as_bytes());
        assert_eq!(text.decode(&ids).unwrap(), s);
    }
    assert_eq!(text.bytes(&[1, u32::MAX]), [b"<s>".to_vec(), vec![]]);
}
