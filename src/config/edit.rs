//! Changing one key in the text of a recipe while keeping its comments and layout.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use super::error::ConfigError;
use super::load::{Overrides, parse, read};
use super::of_run::{refuse_emptied, text_of};
use super::recipe::Recipe;
use super::suggest::Reason;

/// The text of a recipe after `key` was set, and the recipe it now says. `value` is a TOML value or a bare string.
///
/// # Errors
/// The key does not exist, the value has the wrong type or makes no sense.
pub fn set(text: &str, key: &str, value: &str) -> Result<(String, Recipe), ConfigError> {
    let overrides = Overrides { set: vec![format!("{key}={value}")], ..Overrides::default() };
    let recipe = parse("recipe", text, &overrides)?;
    let (text, _) = apply(text, key, value).map_err(|reason| ConfigError::new(key, reason.text))?;
    Ok((text, recipe))
}

/// [`set`] on the configuration of a run, replaced in one rename so that a reader never sees half of it.
///
/// # Errors
/// As [`set`]; or the file cannot be read or written, or was emptied: what is written then would set all other keys, too.
pub fn set_in_file(path: &Path, key: &str, value: &str) -> Result<Recipe, ConfigError> {
    let text = text_of(path)?;
    refuse_emptied(path, &text)?;
    let (text, recipe) = set(&text, key, value)?;
    replace(path, &text)?;
    Ok(recipe)
}

pub(super) fn replace(path: &Path, text: &str) -> Result<(), ConfigError> {
    let failed = |what: &str, e: std::io::Error| ConfigError::new(path.display().to_string(), format!("{what}: {e}"));
    let fresh = path.with_extension("toml.new");
    std::fs::write(&fresh, text).map_err(|e| failed("cannot be written", e))?;
    std::fs::rename(&fresh, path).map_err(|e| failed("cannot be replaced", e))
}

/// Sets a key to a TOML value; where that is no recipe, to the same text as a bare string.
pub(super) fn apply(text: &str, key: &str, value: &str) -> Result<(String, Recipe), Reason> {
    let bare = Value::from(value);
    let typed = value.parse::<Value>().ok();
    let first = put(text, key, typed.clone().unwrap_or_else(|| bare.clone()));
    match (first, typed) {
        // the value read as TOML is what was most likely meant, so its error is the one to show
        (Err(reason), Some(typed)) if !typed.is_str() => put(text, key, bare).map_err(|_| reason),
        (result, _) => result,
    }
}

fn put(text: &str, key: &str, value: Value) -> Result<(String, Recipe), Reason> {
    let mut document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.message().to_owned())?;
    insert(document.as_table_mut(), key, value)?;
    let text = document.to_string();
    let recipe = read(&text).map_err(|(_, reason)| reason)?;
    Ok((text, recipe))
}

fn insert(root: &mut dyn TableLike, key: &str, mut value: Value) -> Result<(), Reason> {
    let parts: Vec<&str> = key.split('.').map(str::trim).collect();
    // a key has at least one part, `split` never yields none
    let (last, tables) = parts.split_last().expect("split yields a part");
    let mut table = root;
    for (depth, part) in tables.iter().enumerate() {
        choose(table, &parts[..depth], part);
        let item = table.entry(part).or_insert_with(|| {
            let mut fresh = Table::new();
            fresh.set_implicit(true);
            Item::Table(fresh)
        });
        let path = parts[..=depth].join(".");
        table = item.as_table_like_mut().ok_or_else(|| Reason::from(format!("`{path}` is not a table")))?;
    }
    choose(table, tables, last);
    match table.get_mut(last) {
        // in place: inserting would drop the comment above the key
        Some(old) => {
            if let Some(old) = old.as_value() {
                *value.decor_mut() = old.decor().clone();
            }
            *old = Item::Value(value);
        }
        None => drop(table.insert(last, Item::Value(value))),
    }
    Ok(())
}

/// `[method.*]` and `[env.*]` hold one table each: naming another one replaces it.
fn choose(table: &mut dyn TableLike, path: &[&str], name: &str) {
    if !matches!(path, ["method"] | ["env"]) {
        return;
    }
    let others: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).filter(|key| key != name).collect();
    for other in others {
        table.remove(&other);
    }
}

#[cfg(test)]
mod tests {
    use super::{set, set_in_file};

    const TEXT: &str = "# mine\n[optim]\n# the rate\nlr = 0.1 # tuned\n\n[method.sdar]\n";

    #[test]
    fn comments_and_other_keys_stay() {
        let (text, recipe) = set(TEXT, "optim.lr", "0.05").unwrap();
        assert_eq!(text, TEXT.replace("0.1", "0.05"));
        assert_eq!(recipe.optim.lr, 0.05);
        let (text, recipe) = set(&text, "eval.every", "3").unwrap();
        assert!(text.starts_with("# mine\n[optim]"), "{text}");
        assert_eq!((recipe.optim.lr, recipe.eval.every), (0.05, 3));
    }

    #[test]
    fn a_refused_change_leaves_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, TEXT).unwrap();
        assert!(set_in_file(&path, "optim.lr", "-1").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT);
        set_in_file(&path, "optim.lr", "1").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT.replace("0.1", "1"));
        std::fs::write(&path, "").unwrap();
        let error = set_in_file(&path, "skills.top_k", "5").unwrap_err().to_string();
        assert!(error.contains("no key is left"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "", "nothing was written");
    }
}
