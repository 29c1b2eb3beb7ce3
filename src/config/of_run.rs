//! The configuration of a run that exists. Unlike a recipe it must say something: a file that was emptied is no wish for
//! the defaults.

use std::path::Path;

use super::error::ConfigError;
use super::load::{Overrides, parse};
use super::recipe::Recipe;

/// [`super::load`], of the `config.toml` of a run.
///
/// # Errors
/// As there; or no key is left in the file.
pub fn load_run(path: &Path) -> Result<Recipe, ConfigError> {
    parse_run(path, &text_of(path)?)
}

/// [`super::parse`], of what the `config.toml` of a run says.
pub(super) fn parse_run(path: &Path, text: &str) -> Result<Recipe, ConfigError> {
    refuse_emptied(path, text)?;
    parse(&path.display().to_string(), text, &Overrides::default())
}

pub(super) fn text_of(path: &Path) -> Result<String, ConfigError> {
    let failed = |e: std::io::Error| ConfigError::new(path.display().to_string(), format!("cannot be read: {e}"));
    std::fs::read_to_string(path).map_err(failed)
}

/// # Errors
/// The text has no key at all, so that it would set every one to its default.
pub(super) fn refuse_emptied(path: &Path, text: &str) -> Result<(), ConfigError> {
    // a text that is no TOML is refused by its reader, with the place
    if !toml::from_str::<toml::Table>(text).is_ok_and(|table| has_no_key(&table)) {
        return Ok(());
    }
    let restore = match path.with_file_name(BEGAN).is_file() {
        true => format!("restore it, e.g. copy `{BEGAN}` beside it, which is what the run began with"),
        false => "restore it".to_owned(),
    };
    let reason =
        format!("no key is left in the run's configuration, which would set them all to their defaults: {restore}");
    Err(ConfigError::new(path.display().to_string(), reason))
}

fn has_no_key(table: &toml::Table) -> bool {
    table.values().all(|value| value.as_table().is_some_and(has_no_key))
}

/// The recipe a run began with, beside its configuration.
const BEGAN: &str = "recipe.toml";

#[cfg(test)]
mod tests {
    use super::load_run;

    #[test]
    fn a_configuration_without_any_key_is_refused_and_says_what_restores_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for text in ["", "\n# a header\n\n", "[optim]\n[method.sdar]\n"] {
            std::fs::write(&path, text).unwrap();
            let error = load_run(&path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}: no key is left", path.display())), "{error}");
            assert!(!error.contains("recipe.toml"), "there is none: {error}");
        }
        std::fs::write(folder.path().join("recipe.toml"), "[optim]\nlr = 1\n").unwrap();
        assert!(load_run(&path).unwrap_err().to_string().contains("copy `recipe.toml` beside it"));
        std::fs::write(&path, "[optim]\nlr = 1\n").unwrap();
        assert_eq!(load_run(&path).unwrap().optim.lr, 1.0);
        std::fs::write(&path, "[opt").unwrap();
        assert!(load_run(&path).unwrap_err().to_string().contains("config.toml:1:5: "));
    }
}
