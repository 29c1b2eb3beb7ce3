//! An environment's file that is edited while it is in use: read with the place of what is wrong, and compared.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::prompt::Prompts;
use crate::core::event::{KeyChange, Scope};
use crate::core::line_column;

/// Reads the style `[prompt.<style>]` of the file called `name`.
///
/// # Errors
/// A sentence that starts with `file:line:column`.
pub fn read(name: &str, text: &str, style: &str) -> Result<Prompts, String> {
    Prompts::load(text, style).map_err(|error| {
        let (line, column) = line_column(text, offset(&error, text, style));
        let reason = match find::<toml::de::Error>(&error) {
            Some(toml) => toml.message().to_owned(),
            None => format!("{error:#}"),
        };
        format!("{name}:{line}:{column}: {reason}")
    })
}

/// What differs between two texts of the file called `name`: prompts of the style in use change from the next step on, all
/// else only in the next run, because games are dealt from it. Texts that are no TOML have no keys.
pub fn differences(name: &str, before: &str, after: &str, style: &str) -> Vec<KeyChange> {
    let (was, is) = (leaves(before), leaves(after));
    let mut keys: Vec<&String> = was.keys().chain(is.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let own = format!("prompt.{style}.");
    let value = |side: &BTreeMap<String, String>, key: &String| side.get(key).cloned().unwrap_or("absent".into());
    keys.into_iter()
        .filter(|key| was.get(*key) != is.get(*key))
        .map(|key| KeyChange {
            key: format!("{name}/{key}"),
            before: value(&was, key),
            after: value(&is, key),
            scope: if key.starts_with(&own) { Scope::NextStep } else { Scope::NextRun },
        })
        .collect()
}

/// Every value that is no table, by its dotted key.
fn leaves(text: &str) -> BTreeMap<String, String> {
    fn walk(prefix: &str, table: &toml::Table, found: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(inner) => walk(&key, inner, found),
                toml::Value::String(text) => drop(found.insert(key, text.clone())),
                other => drop(found.insert(key, other.to_string())),
            }
        }
    }
    let mut found = BTreeMap::new();
    walk("", &text.parse().unwrap_or_default(), &mut found);
    found
}

/// The byte of `text` an error is about: of TOML where it says so, of a template its line, else the style's table.
fn offset(error: &anyhow::Error, text: &str, style: &str) -> usize {
    if let Some(span) = find::<toml::de::Error>(error).and_then(toml::de::Error::span) {
        return span.start;
    }
    let Ok(file) = DeTable::parse(text) else { return 0 };
    let Some(table) = file.get_ref().get("prompt").and_then(|prompt| prompt.get_ref().get(style)) else { return 0 };
    let template = find::<minijinja::Error>(error).and_then(|error| Some((error.name()?, error.line()?)));
    match template.and_then(|(name, line)| Some((table.get_ref().get(name)?, line))) {
        Some((value, line)) => line_of_string(text, value.span().start, line, value.get_ref()),
        None => table.span().start,
    }
}

/// Where line `line` (from 1) of a string begins that is written from byte `start` on. The line break after an opening
/// `"""` is not part of the string.
fn line_of_string(text: &str, start: usize, line: usize, value: &DeValue) -> usize {
    let long = [r#"""""#, "'''"].into_iter().find_map(|quotes| text[start..].strip_prefix(quotes));
    let Some(inside) = long.filter(|_| value.as_str().is_some()) else { return start };
    let skipped = line - 1 + usize::from(inside.starts_with('\n'));
    let breaks = text[start..].match_indices('\n').map(|(at, _)| start + at + 1);
    breaks.take(skipped).last().unwrap_or(start)
}

/// The cause of that kind, if there is one.
fn find<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::{differences, read};
    use crate::core::event::Scope;

    #[test]
    fn prompts_change_at_once_and_the_world_in_the_next_run() {
        let before = "[rooms]\nn = 3\n[prompt.a]\nfirst = \"x\"\n[prompt.b]\nfirst = \"x\"\n";
        let after = before.replace("n = 3", "n = 4").replace("first = \"x\"", "first = \"y\"");
        let found = differences("envs/k.toml", before, &after, "a");
        let words: Vec<_> =
            found.iter().map(|c| (c.key.as_str(), c.before.as_str(), c.after.as_str(), c.scope)).collect();
        assert_eq!(
            words,
            [
                ("envs/k.toml/prompt.a.first", "x", "y", Scope::NextStep),
                ("envs/k.toml/prompt.b.first", "x", "y", Scope::NextRun),
                ("envs/k.toml/rooms.n", "3", "4", Scope::NextRun),
            ]
        );
        assert!(differences("envs/k.toml", &after, &after, "a").is_empty());
    }

    fn refusal(text: &str, style: &str) -> String {
        read("envs/k.toml", text, style).err().unwrap()
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let style = "[prompt.a]\nprojection = \"action\"\nfirst = \"f\"\nnext = \"n\"\nhistory_first = \"\"\"\na\nb {{ c\n\"\"\"\n\
                     history_next = \"x\"\n";
        assert!(
            refusal(style, "a").starts_with("envs/k.toml:7:1: in `[prompt.a]`: template `history_first`"),
            "{}",
            refusal(style, "a")
        );
        let unknown = style.replace("b {{ c", "b {{ c }}");
        assert!(refusal(&unknown, "a").starts_with("envs/k.toml:7:1: "), "{}", refusal(&unknown, "a"));
        assert!(refusal(style, "z").starts_with("envs/k.toml:1:1: there is no style `z`"), "{}", refusal(style, "z"));
        assert!(refusal("[prompt.a]\nfirst = \n", "a").starts_with("envs/k.toml:2:9: "));
        let key = style.replace("next =", "nxt =").replace("history_nxt", "history_next");
        assert!(refusal(&key, "a").starts_with("envs/k.toml:1:1: "), "{}", refusal(&key, "a"));
    }
}
