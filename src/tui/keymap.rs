//! The keymap file: other keys for any row of the table.
//!
//! ```toml
//! [keys]
//! pane-next = ["Tab", "Ctrl-n"]
//! theme = "F2"
//! suspend = []        # no key
//! ```
//! Names are those of the `:` commands. A file that is wrong anywhere changes nothing.

use std::ops::Range;

use crossterm::event::KeyCode;
use toml_edit::{Document, Item, Value};

use super::app::Mode;
use super::keys::{Key, Keymap, ScreenId};
use crate::core::line_column;

/// Reads a keymap file.
///
/// # Errors
/// `name:line:column: what is wrong`, with the nearest name that exists.
pub fn parse(name: &str, text: &str) -> Result<Keymap, String> {
    let at = |span: Option<Range<usize>>, what: String| format!("{}: {what}", place(name, text, span));
    let document = Document::parse(text)
        .map_err(|error| at(error.span(), error.message().lines().collect::<Vec<_>>().join(", ")))?;
    let mut keymap = Keymap::default();
    if let Some((table, item)) = document.iter().find(|(table, _)| *table != "keys") {
        return Err(at(item.span(), format!("unknown table `{table}`, the keys are under `[keys]`")));
    }
    let Some(keys) = document.get("keys").and_then(Item::as_table) else { return Ok(keymap) };
    for (action, item) in keys.iter() {
        let span = keys.key(action).and_then(|key| key.span());
        let bound = keys_of(item).map_err(|what| at(item.span(), what))?;
        if !keymap.bind(action, &bound) {
            return Err(at(span, format!("no action is called `{action}`{}", suggestion(&keymap, action))));
        }
        if let Some(what) = conflict(&keymap, &bound) {
            return Err(at(span, what));
        }
    }
    Ok(keymap)
}

/// The table as a keymap file with every row.
pub fn sample() -> String {
    let mut out = String::from(
        "# Keys of the screen. An empty list takes a key away; remove a line to have the default back.\n[keys]\n",
    );
    let mut seen = Vec::new();
    for bound in Keymap::default().rows() {
        let binding = bound.binding;
        if !seen.contains(&binding.name) {
            seen.push(binding.name);
            let keys: Vec<String> = bound.keys.iter().map(|key| format!("{:?}", written(key))).collect();
            out.push_str(&format!("# {}\n{} = [{}]\n", binding.help, binding.name, keys.join(", ")));
        }
    }
    out
}

/// `name:line:column` of a place in a text, both from 1.
pub fn place(name: &str, text: &str, span: Option<Range<usize>>) -> String {
    let (line, column) = line_column(text, span.map_or(0, |span| span.start));
    format!("{name}:{line}:{column}")
}

fn keys_of(item: &Item) -> Result<Vec<Key>, String> {
    let wrong = || "expected a key such as \"Ctrl-n\", or a list of keys".to_owned();
    let read = |value: &Value| read(value.as_str().ok_or_else(wrong)?);
    match item.as_value().ok_or_else(wrong)? {
        Value::Array(list) => list.iter().map(read).collect(),
        value => Ok(vec![read(value)?]),
    }
}

/// Reads a key as people write it: `x`, `Ctrl-x`, `Tab`, `F2`.
fn read(text: &str) -> Result<Key, String> {
    let (ctrl, name) = text.strip_prefix("Ctrl-").map_or((false, text), |name| (true, name));
    let mut letters = name.chars();
    let code = match (letters.next(), letters.next()) {
        (Some(c), None) if !c.is_control() => Some(KeyCode::Char(if ctrl { c.to_ascii_lowercase() } else { c })),
        _ => NAMED.iter().find(|(known, _)| *known == name).map(|(_, code)| *code).or_else(|| function_key(name)),
    };
    let known = || NAMED.map(|(name, _)| name).join(", ");
    let code =
        code.ok_or_else(|| format!("`{text}` is no key; write a character, Ctrl-x, F1 to F12, or {}", known()))?;
    Ok(Key { code, ctrl })
}

fn function_key(name: &str) -> Option<KeyCode> {
    let number = name.strip_prefix('F')?.parse().ok()?;
    (1..=12).contains(&number).then_some(KeyCode::F(number))
}

/// The key as it is written in a file.
fn written(key: &Key) -> String {
    let name = match key.code {
        KeyCode::Char(' ') => "Space".to_owned(),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::F(n) => format!("F{n}"),
        code => NAMED.iter().find(|(_, known)| *known == code).map_or(String::new(), |(name, _)| (*name).to_owned()),
    };
    if key.ctrl { format!("Ctrl-{name}") } else { name }
}

/// A key that would mean two things on one screen.
fn conflict(keymap: &Keymap, keys: &[Key]) -> Option<String> {
    for (screen, mode) in ScreenId::ALL.into_iter().flat_map(|s| [(s, Mode::Live), (s, Mode::Replay)]) {
        for key in keys {
            let here: Vec<&str> =
                keymap.here(screen, mode).filter(|b| b.keys.contains(key)).map(|b| b.binding.name).collect();
            if let [first, second, ..] = here[..] {
                let label = key.label();
                return Some(format!(
                    "`{label}` would mean both `{first}` and `{second}` on the screen {}",
                    screen.name()
                ));
            }
        }
    }
    None
}

fn suggestion(keymap: &Keymap, name: &str) -> String {
    let names = keymap.rows().iter().map(|bound| bound.binding.name);
    let near = names.min_by_key(|known| strsim::damerau_levenshtein(known, name));
    near.map_or(String::new(), |near| format!(", did you mean `{near}`?"))
}

const NAMED: [(&str, KeyCode); 17] = [
    ("Space", KeyCode::Char(' ')),
    ("Tab", KeyCode::Tab),
    ("S-Tab", KeyCode::BackTab),
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Backspace", KeyCode::Backspace),
    ("Delete", KeyCode::Delete),
    ("Insert", KeyCode::Insert),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("PageUp", KeyCode::PageUp),
    ("PageDown", KeyCode::PageDown),
    ("Null", KeyCode::Null),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keys::Action;

    #[test]
    fn keys_are_changed_added_and_taken_away() {
        let keymap = parse("k", "[keys]\npane-next = [\"F3\", \"Ctrl-G\"]\ntheme = []\n").unwrap();
        let act = |text: &str| keymap.action(read(text).unwrap(), ScreenId::Dash, Mode::Live);
        assert_eq!([act("F3"), act("Ctrl-g")], [Some(Action::PaneNext); 2]);
        assert_eq!([act("Tab"), act("T")], [None, None]);
        assert_eq!(act("?"), Some(Action::Help), "what is not named stays");
    }

    #[test]
    fn errors_have_a_place_and_a_proposal() {
        let cases = [
            ("[keys]\npane-nxt = \"x\"\n", "k:2:1: no action is called `pane-nxt`, did you mean `pane-next`?"),
            ("[keys]\nzoom = \"Strg-x\"\n", "k:2:8: `Strg-x` is no key"),
            ("[keys]\nzoom = 3\n", "k:2:8: expected a key"),
            ("[keys]\nzoom = \"?\"\n", "k:2:1: `?` would mean both `help` and `zoom`"),
            ("[kees]\nzoom = \"x\"\n", "k:1:1: unknown table `kees`"),
            ("[keys]\nzoom = \n", "k:2:"),
        ];
        for (text, expected) in cases {
            let error = parse("k", text).unwrap_err();
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
    }

    #[test]
    fn the_sample_is_the_default() {
        let (ours, read) = (Keymap::default(), parse("sample", &sample()).unwrap());
        for (a, b) in ours.rows().iter().zip(read.rows()) {
            assert_eq!((a.binding.name, &a.keys), (b.binding.name, &b.keys));
        }
    }
}
