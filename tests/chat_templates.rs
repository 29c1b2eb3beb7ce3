//! Chat templates against what `transformers` made of them (`fixtures/chat/record.py`).

use std::path::{Path, PathBuf};

use sdlab::text::{Place, Template};
use serde_json::{Map, Value};

#[test]
fn own_templates_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat");
    let compared = compare(&folder, &[]);
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
    eprintln!("{} texts agree", compare(&folder, UNLIKE));
}

/// Templates of the package `trl` that need what minijinja has not, none of them of a supported model.
const UNLIKE: &[&str] = &[];

/// Renders every case with every template. Returns how many.
fn compare(folder: &Path, unlike: &[&str]) -> usize {
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    for (file, outcomes) in recorded["outcomes"].as_object().unwrap() {
        if unlike.contains(&file.as_str()) {
            continue;
        }
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
