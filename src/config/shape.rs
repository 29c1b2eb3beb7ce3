//! Tables that are written as something else. The TOML reader would take a list by position, in an order that nobody
//! sees, and call the rest by names that are not ours.

use std::ops::Range;

use toml_edit::{Document, Item, Value};

use super::recipe::tables;
use crate::env::KINDS;
use crate::method::METHODS;

/// The first such place of a recipe: its bytes, and what to write.
pub(super) fn misshapen(text: &str) -> Option<(Range<usize>, String)> {
    let document = Document::parse(text).ok()?;
    let at = |key: &str| key.split('.').try_fold(document.as_item(), |item, part| item.get(part));
    let methods = || METHODS.iter().map(|method| method.name);
    let named = at("method").and_then(|item| by_name(item, "method", methods()));
    let named = named.or_else(|| at("env").and_then(|item| by_name(item, "env", KINDS.iter().map(|kind| kind.name))));
    let of_methods = methods().map(|name| format!("method.{name}"));
    let mut names = tables().map(|table| table.name.to_owned()).chain(of_methods);
    let listed = || names.find_map(|name| list(at(&name)?, &name));
    named.or_else(listed).or_else(|| at("alerts.rules").and_then(rule))
}

/// `method = "grpo"` and anything else that is no table of one table.
fn by_name(item: &Item, key: &str, mut known: impl Iterator<Item = &'static str>) -> Option<(Range<usize>, String)> {
    let reason = match item.as_str() {
        // one that does not exist is refused by the reader, which says what there is
        Some(name) => format!("write it as a table: `[{key}.{}]`", known.find(|known| *known == name)?),
        None if item.is_table_like() => return None,
        None => format!("expected a table, such as `[{key}.{}]`", known.next()?),
    };
    Some((item.span()?, reason))
}

fn list(item: &Item, name: &str) -> Option<(Range<usize>, String)> {
    if !item.is_array() && !item.is_array_of_tables() {
        return None;
    }
    Some((item.span()?, format!("`{name}` is a table, not a list: write `[{name}]` and a key a line")))
}

/// An alert rule that is a list.
fn rule(rules: &Item) -> Option<(Range<usize>, String)> {
    let wrong = rules.as_array()?.iter().find(|rule| matches!(rule, Value::Array(_)))?;
    Some((wrong.span()?, "a rule is a table, such as `{ metric = \"reward/mean\", below = 0.1 }`".to_owned()))
}
