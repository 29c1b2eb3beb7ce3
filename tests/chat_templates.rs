//! Chat templates against what `transformers` made of them (`fixtures/chat/record.py`).

use std::path::{Path, PathBuf};

use sdlab::text::{Place, Template};
use serde_json::{Map, Value, json};

#[test]
fn own_templates_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat");
    let compared = compare(&folder);
    assert!(compared > 150, "only {compared} texts");
}

/// The templates of published models are not in this repository.
#[test]
fn published_templates_agree() {
    let data = std::env::var_os("SDLAB_TEST_DATA").map(PathBuf::from);
    let data = data.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    let folder = data.join("chat_templates");
    if !folder.join("expected.json").is_file() {
        eprintln!("SKIPPED: no {} (see tests/fixtures/chat/record.py)", folder.display());
        return;
    }
    eprintln!("{} texts agree", compare(&folder));
}

/// Renders every case with every template. Returns how many.
fn compare(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    for (file, outcomes) in recorded["outcomes"].as_object().unwrap() {
        let source = std::fs::read_to_string(folder.join(file)).unwrap();
        let place = Place { file: file.clone(), key: None };
        let template = Template::new(&source, place, Map::new());
        for (case, expected) in outcomes.as_object().unwrap() {
            let names = recorded["cases"][case].as_object().unwrap().clone();
            let made = template.as_ref().map_err(|e| e.to_string());
            let made = made.and_then(|t| t.render_names(names).map_err(|e| e.to_string()));
            compared += 1;
            if !agree(&made, expected) {
                wrong.push(format!("{file}, {case}:\n  expected {expected}\n  made     {made:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ\n{}", wrong.len(), wrong.join("\n"));
    compared
}

/// Equal texts, or both fail; for the same reason where the template itself gave one.
fn agree(made: &Result<String, String>, expected: &Value) -> bool {
    match (made, expected.as_str()) {
        (Ok(made), Some(expected)) => made == expected,
        (Err(error), None) => error.contains(expected["error"].as_str().unwrap()),
        _ => false,
    }
}

#[test]
fn the_formats_are_these_byte_for_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat");
    let rendered = |file: &str| {
        let source = std::fs::read_to_string(folder.join(file)).unwrap();
        let template = Template::new(&source, Place { file: file.into(), key: None }, Map::new()).unwrap();
        let names = json!({
            "bos_token": "<|begin_of_text|>", "date_string": "26 Jul 2024", "add_generation_prompt": true,
            "messages": [
                { "role": "system", "content": "Speak up." },
                { "role": "user", "content": "Where now?" },
                { "role": "assistant", "content": "north" },
                { "role": "user", "content": "A mug." },
            ],
        });
        template.render_names(names.as_object().unwrap().clone()).unwrap()
    };
    let chatml = "<|im_start|>system\nSpeak up.<|im_end|>\n<|im_start|>user\nWhere now?<|im_end|>\n\
                  <|im_start|>assistant\nnorth<|im_end|>\n<|im_start|>user\nA mug.<|im_end|>\n<|im_start|>assistant\n";
    for file in ["chatml.jinja", "thinking.jinja", "first_system.jinja"] {
        assert_eq!(rendered(file), chatml, "{file}");
    }
    let head = |role: &str| format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    let said = |role: &str, text: &str| format!("{}{text}<|eot_id|>", head(role));
    let headers = [
        "<|begin_of_text|>".to_owned(),
        said("system", "Today: 26 Jul 2024\n\nSpeak up."),
        said("user", "Where now?"),
        said("assistant", "north"),
        said("user", "A mug."),
        head("assistant"),
    ];
    assert_eq!(rendered("headers.jinja"), headers.concat());
}
