//! What differs between two recipes, and when each difference takes effect in a running trainer.

use std::collections::{BTreeMap, BTreeSet};

use super::recipe::{Recipe, tables};
use crate::core::event::{KeyChange, Scope};
use crate::method::METHODS;

/// Every key that differs, in alphabetical order, with its scope. Another method or environment is one change.
pub fn changes(old: &Recipe, new: &Recipe) -> Vec<KeyChange> {
    let (before, after) = (leaves(old), leaves(new));
    let mut found = Vec::new();
    for (table, was, is) in [("env", old.env.name(), new.env.name()), ("method", old.method.name(), new.method.name())]
    {
        if was != is {
            found.push(KeyChange { key: table.into(), before: was.into(), after: is.into(), scope: Scope::NextRun });
        }
    }
    let replaced: Vec<String> = found.iter().map(|change| format!("{}.", change.key)).collect();
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys.into_iter().filter(|key| !replaced.iter().any(|table| key.starts_with(table))) {
        let text = |side: &BTreeMap<String, toml::Value>| side.get(key).map_or("unset".into(), toml::Value::to_string);
        if before.get(key) != after.get(key) {
            let scope = scope_of(key);
            found.push(KeyChange { key: key.clone(), before: text(&before), after: text(&after), scope });
        }
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}

/// `old` with those keys of `new` that a running trainer may take over (live and next-step).
pub fn applied(old: &Recipe, new: &Recipe) -> Recipe {
    let mut root = table(old);
    let after = leaves(new);
    for change in changes(old, new).into_iter().filter(|change| change.scope != Scope::NextRun) {
        put(&mut root, &change.key, after.get(&change.key).cloned());
    }
    // every value came from a valid recipe and kept its key, so the mixture reads back
    toml::Value::Table(root).try_into().unwrap_or_else(|_| old.clone())
}

/// The recipe of a run that goes on from a state trained under `old`, where its file now says `new`: keys that cannot
/// change in a run keep their values, except those that only say where something lies.
pub fn resumed(old: &Recipe, new: &Recipe) -> Recipe {
    let mut recipe = applied(old, new);
    recipe.run.root.clone_from(&new.run.root);
    recipe.run.name.clone_from(&new.run.name);
    recipe.model.path.clone_from(&new.model.path);
    recipe.skills.bank.clone_from(&new.skills.bank);
    recipe
}

/// When a change of `key` takes effect. Constants of the method: from the next step.
pub fn scope_of(key: &str) -> Scope {
    let field = tables().flat_map(|table| table.fields).find(|field| field.key == key);
    match field {
        Some(field) => field.scope,
        None if key.starts_with("method.") => Scope::NextStep,
        None => Scope::NextRun,
    }
}

/// All keys of a recipe with their values; lists are values.
pub(super) fn leaves(recipe: &Recipe) -> BTreeMap<String, toml::Value> {
    let mut found = BTreeMap::new();
    flatten("", toml::Value::Table(table(recipe)), &mut found);
    found
}

fn table(recipe: &Recipe) -> toml::Table {
    // a recipe holds only strings, numbers, lists and tables with string keys: all of them are TOML
    toml::Table::try_from(recipe).unwrap_or_default()
}

fn flatten(path: &str, value: toml::Value, into: &mut BTreeMap<String, toml::Value>) {
    let table = match value {
        toml::Value::Table(table) if !is_value(path) => table,
        value => {
            into.insert(path.to_owned(), value);
            return;
        }
    };
    for (key, value) in table {
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        flatten(&path, value, into);
    }
}

/// Whether a table is the value of one key: below a method, all but the tables of other methods it is made of
/// (`method.rlsd.share = { linear = ... }`, but `[method.rlsd.grpo]`).
fn is_value(path: &str) -> bool {
    let mut parts = path.split('.');
    parts.next() == Some("method")
        && parts.nth(1).is_some()
        && path.rsplit('.').next().is_some_and(|last| METHODS.iter().all(|method| method.name != last))
}

fn put(root: &mut toml::Table, key: &str, value: Option<toml::Value>) {
    let (tables, last) = key.rsplit_once('.').map_or((None, key), |(tables, last)| (Some(tables), last));
    let mut table = root;
    for part in tables.into_iter().flat_map(|tables| tables.split('.')) {
        let next = table.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let toml::Value::Table(next) = next else { return };
        table = next;
    }
    match value {
        Some(value) => table.insert(last.to_owned(), value),
        None => table.remove(last),
    };
}

#[cfg(test)]
mod tests {
    use super::{applied, changes, scope_of};
    use crate::config::{Overrides, Recipe, parse};
    use crate::core::event::{KeyChange, Scope};

    fn recipe(text: &str) -> Recipe {
        parse("r.toml", text, &Overrides::default()).unwrap()
    }

    #[test]
    fn differences_are_typed_and_scoped() {
        let old = Recipe::default();
        let new = recipe("[optim]\nlr = 0.5\n[rollout]\ngroups = 2\n[checkpoint]\nkeep = 9\n[method.sdar]\nbeta = 3");
        let change = |key: &str, before: &str, after: &str, scope| KeyChange {
            key: key.into(),
            before: before.into(),
            after: after.into(),
            scope,
        };
        let found = changes(&old, &new);
        for expected in [
            change("checkpoint.keep", "2", "9", Scope::Live),
            change("optim.lr", "0.0003", "0.5", Scope::NextStep),
            change("rollout.groups", "8", "2", Scope::NextRun),
        ] {
            assert!(found.contains(&expected), "{found:?}");
        }
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(changes(&new, &new), []);
    }

    #[test]
    fn only_what_may_change_is_applied() {
        let old = Recipe::default();
        let new = recipe("[optim]\nlr = 0.5\n[rollout]\ngroups = 2\n[alerts]\nrules = []\n[method.sdar]\nbeta = 3");
        let running = applied(&old, &new);
        assert_eq!((running.optim.lr, running.rollout.groups), (0.5, 8));
        assert_eq!(running.method, new.method);
        assert!(running.alerts.rules.is_empty());
        assert_eq!(applied(&running, &old), old, "and back");
    }

    #[test]
    fn another_method_is_one_change_for_the_next_run() {
        let new = recipe("[method.grpo]");
        let found = changes(&Recipe::default(), &new);
        assert_eq!((found.len(), found[0].key.as_str(), found[0].scope), (1, "method", Scope::NextRun));
        assert_eq!(applied(&Recipe::default(), &new), Recipe::default());
    }

    #[test]
    fn unknown_keys_wait_for_the_next_run() {
        assert_eq!(scope_of("who.knows"), Scope::NextRun);
    }
}
