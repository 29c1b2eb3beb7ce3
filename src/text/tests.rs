//! A tokenizer and its template together.

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
