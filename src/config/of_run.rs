//! The configuration of a run that exists. Unlike a recipe it must say something: a file that was emptied is no wish for
//! the defaults.

use std::path::Path;

use super::diff::{changes, scope_of};
use super::edit::{apply, replace};
use super::error::ConfigError;
use super::load::{Argument, Overrides, arguments, parse, read};
use super::recipe::Recipe;
use crate::core::event::Scope;

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

/// Writes `overrides` into the configuration of a run that is to go on: all of them or none. `begun` = it has a state to
/// go on from, so that keys of the next run would be ignored.
///
/// # Errors
/// As [`load_run`]; or an override is not one, or changes what cannot change within a run.
pub fn adjust(path: &Path, overrides: &Overrides, begun: bool) -> Result<(), ConfigError> {
    let (name, text) = (path.display().to_string(), text_of(path)?);
    refuse_emptied(path, &text)?;
    let overrides = Overrides { root: None, ..overrides.clone() };
    parse(&name, &text, &overrides)?;
    let arguments = arguments(&overrides);
    if arguments.is_empty() {
        return Ok(());
    }
    let fixed = |key: &str| begun && scope_of(key) == Scope::NextRun && !PLACES.contains(&key);
    let refusal = |key: &str, argument: &Argument| {
        let run = path.parent().unwrap_or(path).display();
        let change = &argument.text;
        format!(
            "`{key}` cannot change within a run: start a new one from its checkpoint, `--fork {run} --set {change}`"
        )
    };
    replace(path, &changed(&text, &arguments, fixed, refusal)?)
}

/// The recipe of a run that begins with a checkpoint: `text` is what was in force there, `name` stands for it.
///
/// # Errors
/// As [`parse`]; or an override is about what the checkpoint has decided.
pub fn adjust_fork(name: &str, text: &str, overrides: &Overrides) -> Result<Recipe, ConfigError> {
    let recipe = parse(name, text, overrides)?;
    let whole = recipe.model.lora.rank == 0;
    let fixed = |key: &str| key.starts_with("model.lora.") || key == "model.path" && whole;
    let refusal = |key: &str, _: &Argument| match key {
        "model.path" => "the weights of a fork are those of its checkpoint: begin a run of this model without `--fork`",
        _ => {
            "the checkpoint holds its own kind of weights, adapters as they were or none: begin a run without `--fork`"
        }
    };
    changed(text, &arguments(overrides), fixed, |key, argument| format!("`{key}`: {}", refusal(key, argument)))?;
    Ok(recipe)
}

/// The text after all arguments, none of which may change a key that is `fixed`.
fn changed(
    text: &str,
    arguments: &[Argument],
    fixed: impl Fn(&str) -> bool,
    refusal: impl Fn(&str, &Argument) -> String,
) -> Result<String, ConfigError> {
    let mut changed = text.to_owned();
    for argument in arguments {
        let (key, value) = argument.parts()?;
        // the text was parsed, so it reads; and what does not is refused when the argument is applied
        let before = read(&changed).map_err(|(_, reason)| argument.error(reason))?;
        let (text, after) = apply(&changed, key, value).map_err(|reason| argument.error(reason))?;
        if let Some(change) = changes(&before, &after).into_iter().find(|change| fixed(&change.key)) {
            return Err(argument.error(refusal(&change.key, argument)));
        }
        changed = text;
    }
    Ok(changed)
}

/// Keys of the next run that a run takes over when it is resumed: where things lie now.
const PLACES: [&str; 2] = ["model.path", "skills.bank"];

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
    use super::{adjust, adjust_fork, load_run};
    use crate::config::Overrides;

    const TEXT: &str = "# mine\n[optim]\nlr = 1\n[rollout]\ngroups = 8\n";

    fn with(set: &[&str]) -> Overrides {
        Overrides { set: set.iter().map(|s| (*s).to_owned()).collect(), ..Overrides::default() }
    }

    #[test]
    fn a_run_that_goes_on_refuses_keys_of_the_next_run_and_writes_all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, TEXT).unwrap();
        let refused = |overrides: &Overrides| adjust(&path, overrides, true).unwrap_err().to_string();
        let error = refused(&with(&["optim.lr=2", "rollout.groups=2"]));
        let fork = format!("`--fork {} --set rollout.groups=2`", folder.path().display());
        assert!(error.starts_with("--set (number 2): `rollout.groups` cannot change within a run: "), "{error}");
        assert!(error.contains(&fork), "{error}");
        let seed = refused(&Overrides { seed: Some(9), ..Overrides::default() });
        assert!(seed.starts_with("--seed: `run.seed` cannot change") && seed.contains("--set run.seed=9"), "{seed}");
        assert!(refused(&with(&["method.grpo={}"])).contains("`method` cannot change"));
        assert!(refused(&with(&["run.name=b"])).contains("`run.name` cannot change"));
        assert!(refused(&with(&["optim.lr=-2"])).contains("at least 0"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT);

        let fine = with(&["optim.lr=2", "model.path=m", "skills.bank=b", "rollout.groups=8"]);
        adjust(&path, &Overrides { steps: Some(70), ..fine }, true).unwrap();
        let recipe = load_run(&path).unwrap();
        assert_eq!((recipe.optim.lr, recipe.run.steps, recipe.model.path.as_str()), (2.0, 70, "m"));
        adjust(&path, &with(&["rollout.groups=2"]), false).unwrap();
        assert_eq!(load_run(&path).unwrap().rollout.groups, 2, "nothing was trained yet");
    }

    #[test]
    fn a_fork_takes_every_key_but_those_its_checkpoint_decides() {
        let recipe = adjust_fork("a@2", TEXT, &with(&["rollout.groups=2", "run.seed=5", "method.grpo={}"])).unwrap();
        assert_eq!((recipe.rollout.groups, recipe.run.seed, recipe.method.name()), (2, 5, "grpo"));
        for (set, place) in [
            ("model.path=other", "--set: `model.path`: the weights of a fork"),
            ("model.lora.rank=4", "--set: `model.lora.rank`: the checkpoint holds its own kind of weights"),
        ] {
            let error = adjust_fork("a@2", TEXT, &with(&[set])).unwrap_err().to_string();
            assert!(error.starts_with(place), "{error}");
        }
        let adapters = format!("{TEXT}[model.lora]\nrank = 4\n");
        assert_eq!(adjust_fork("a@2", &adapters, &with(&["model.path=moved"])).unwrap().model.path, "moved");
    }

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
