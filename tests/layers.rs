//! Imports only go down, and the engine uses no operation that drops gradients.

use std::fs;
use std::path::{Path, PathBuf};

/// The house from the top. A module may use its own row and those below it.
const LAYERS: &[&[&str]] = &[
    &["main", "lib", "cli", "wiring"],
    &["tui", "batch", "compare", "export"],
    &["session"],
    &["train", "pretrain"],
    &["lens"],
    &["config"],
    &["method", "env", "skill", "engine"],
    &["text", "hub"],
    &["run"],
    &["core"],
];

/// Operations of candle whose result has no history: weights before them would silently never move.
const GRADIENT_DROPPERS: &[&str] = &[
    "_no_bwd",
    "softmax_last_dim",
    "candle_nn::ops",
    "candle_nn::rotary_emb",
    "rotary_emb::rope",
    "RmsNorm::",
    "LayerNorm::",
];

/// A line that says so may use them: sampling needs no gradient, and one that is written out needs no history.
const ALLOWED: &str = "// no gradient";

#[test]
fn imports_only_go_down() {
    let found: Vec<String> = sources("src").iter().flat_map(|(path, text)| upward_imports(path, text)).collect();
    assert!(found.is_empty(), "upward imports:\n{}", found.join("\n"));
}

#[test]
fn the_engine_keeps_gradients() {
    let engine = sources("src/engine");
    let used = engine.iter().filter(|(path, _)| !path.ends_with("tests.rs"));
    let found: Vec<String> = used.flat_map(|(path, text)| gradient_droppers(path, text)).collect();
    assert!(found.is_empty(), "operations that drop gradients:\n{}", found.join("\n"));
}

#[test]
fn planted_violations_are_caught() {
    let path = Path::new("src/method/sdar.rs");
    let caught = |text: &str| upward_imports(path, text).len();
    assert_eq!(caught("use crate::tui::theme;\n"), 1);
    assert_eq!(caught("use crate::{core::Task, session::serve, config};\n"), 2);
    assert_eq!(caught("use crate::{\n    core::Task,\n    train::Trainer,\n};\n"), 1);
    assert_eq!(caught("let x = crate::cli::run();\n"), 1);
    assert_eq!(caught("use crate::nowhere::X;\n"), 1, "a module that is in no layer");
    assert_eq!(caught("use crate::core::Task;\nuse crate::text::Text;\n//! [`crate::tui`]\n"), 0);
    let engine = Path::new("src/engine/model.rs");
    assert_eq!(gradient_droppers(engine, "let y = candle_nn::ops::softmax_last_dim(&x)?;\n").len(), 1);
    assert_eq!(gradient_droppers(engine, "let y = x.apply_op1_no_bwd(&f)?; // no gradient: sampling\n").len(), 0);
}

/// Every Rust file below `folder`, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// `path:line: who uses whom` for each use of a module above the file's own layer.
fn upward_imports(path: &Path, text: &str) -> Vec<String> {
    let own = module_of(path);
    let own_rank = rank(&own).unwrap_or_else(|| panic!("`{own}` is in no layer, add it to the table"));
    let code = without_comments(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        for used in roots(&code[at + "crate::".len()..]) {
            if rank(&used).is_none_or(|rank| rank < own_rank) {
                found.push(format!("{}:{line}: `{own}` uses `{used}`", path.display()));
            }
        }
    }
    found
}

fn gradient_droppers(path: &Path, text: &str) -> Vec<String> {
    let found = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let found = found.filter(|(_, line)| !line.contains(ALLOWED));
    let named = found.filter_map(|(i, line)| {
        let name = GRADIENT_DROPPERS.iter().find(|name| line.contains(**name))?;
        Some(format!("{}:{}: `{name}`", path.display(), i + 1))
    });
    named.collect()
}

/// `src/engine/candle/mod.rs` belongs to `engine`.
fn module_of(path: &Path) -> String {
    let first = path.iter().nth(1).unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The modules named right after `crate::`: one, or those of a `{...}` group. Names that begin with a capital or belong
/// to macros are of the crate's root.
fn roots(rest: &str) -> Vec<String> {
    let word = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    let names = parts.iter().map(|part| word(part.trim_start_matches(','))).filter(|name| !name.is_empty());
    names.collect()
}

/// The code with every comment line emptied, so that line numbers stay.
fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n").replace("$crate::", "crate::")
}
