//! From a file and arguments to a checked [`Recipe`]. Every refusal has a place.

use std::path::Path;

use toml_edit::Document;

use super::check::violation;
use super::edit;
use super::error::ConfigError;
use super::recipe::Recipe;
use super::shape::misshapen;
use super::suggest::{Reason, explain};
use super::teacher::misfit;
use super::unmet::unmet;

/// What the built-in recipe is called in messages and in the run's first record.
pub const DEFAULT_NAME: &str = "default.toml";

/// The built-in recipe: what `sdlab` without arguments trains.
pub const DEFAULT_TEXT: &str = include_str!("../../runs/default.toml");

/// What the command line changes in a recipe; later entries win over earlier ones and over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--set` arguments, `key=value`: a dotted key, and a TOML value or a bare string.
    pub set: Vec<String>,
    pub steps: Option<u64>,
    pub seed: Option<u64>,
    pub root: Option<String>,
}

/// Reads and checks a recipe file, or the built-in recipe where `path` is `None`.
///
/// # Errors
/// The file cannot be read, is not TOML, or is not a recipe; or an override is not one.
pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Recipe, ConfigError> {
    let Some(path) = path else { return parse(DEFAULT_NAME, DEFAULT_TEXT, overrides) };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| ConfigError::new(&name, format!("cannot be read: {e}")))?;
    parse(&name, &text, overrides)
}

/// [`load`], of a recipe that is to be trained here: the models that its method learns from are looked at, too.
///
/// # Errors
/// As [`load`]; or a teacher is not there, or cannot teach this student.
pub fn load_to_train(path: Option<&Path>, overrides: &Overrides) -> Result<Recipe, ConfigError> {
    let recipe = load(path, overrides)?;
    let Some((key, reason)) = misfit(&recipe) else { return Ok(recipe) };
    let (name, text) = match path {
        Some(path) => (path.display().to_string(), std::fs::read_to_string(path).unwrap_or_default()),
        None => (DEFAULT_NAME.to_owned(), DEFAULT_TEXT.to_owned()),
    };
    Err(locate(&name, &text, &arguments(overrides), &key, reason))
}

/// Parses and checks a recipe; `name` stands for the file in messages.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<Recipe, ConfigError> {
    let recipe = parse_alone(name, text, overrides)?;
    match unmet(&recipe) {
        None => Ok(recipe),
        Some((key, reason)) => Err(locate(name, text, &arguments(overrides), &key, reason)),
    }
}

/// [`parse`], for settings that nothing is trained with: whether the recipe meets what its method needs is not asked.
///
/// # Errors
/// As [`load`].
pub fn parse_alone(name: &str, text: &str, overrides: &Overrides) -> Result<Recipe, ConfigError> {
    let mut recipe = read(text).map_err(|(span, reason)| match span {
        Some(span) => ConfigError::in_text(name, text, span, reason.text),
        None => ConfigError::new(name, reason.text),
    })?;
    let arguments = arguments(overrides);
    let mut changed = text.to_owned();
    for argument in &arguments {
        let (key, value) = argument.parts()?;
        (changed, recipe) = edit::apply(&changed, key, value).map_err(|reason| argument.error(reason))?;
    }
    match violation(&recipe) {
        None => Ok(recipe),
        Some((key, reason)) => Err(locate(name, text, &arguments, key, reason)),
    }
}

/// The recipe a text says, unchecked; else why not, and the bytes it is about.
pub(super) fn read(text: &str) -> Result<Recipe, (Option<std::ops::Range<usize>>, Reason)> {
    if let Some((span, reason)) = misshapen(text) {
        return Err((Some(span), reason.into()));
    }
    toml::from_str(text).map_err(|error| (error.span(), explain(error.message())))
}

/// One argument that changes a key.
pub(super) struct Argument {
    label: String,
    pub text: String,
}

impl Argument {
    pub fn parts(&self) -> Result<(&str, &str), ConfigError> {
        let parts = self.text.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        parts.filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            ConfigError::in_argument(&self.label, &self.text, 0..self.text.len(), "expected `key=value`")
        })
    }

    /// Marks the word the reason is about if it is part of the key, else the value.
    pub fn error(&self, reason: impl Into<Reason>) -> ConfigError {
        let reason = reason.into();
        let split = self.text.find('=').unwrap_or(self.text.len());
        let in_key = reason.word.as_deref().and_then(|word| {
            let segments = self.text[..split].split('.').map(str::trim);
            segments
                .into_iter()
                .any(|s| s == word)
                .then(|| self.text[..split].rfind(word).map(|at| at..at + word.len()))?
        });
        let value = (split + 1).min(self.text.len())..self.text.len();
        ConfigError::in_argument(&self.label, &self.text, in_key.unwrap_or(value), reason.text)
    }
}

/// All overrides as arguments, in the order they apply.
pub(super) fn arguments(overrides: &Overrides) -> Vec<Argument> {
    let several = overrides.set.len() > 1;
    let set = overrides.set.iter().enumerate().map(|(i, text)| Argument {
        label: if several { format!("--set (number {})", i + 1) } else { "--set".into() },
        text: text.clone(),
    });
    let own = [
        ("--steps", "run.steps", overrides.steps.map(|n| n.to_string())),
        ("--seed", "run.seed", overrides.seed.map(|n| n.to_string())),
        ("--root", "run.root", overrides.root.as_ref().map(|root| toml::Value::from(root.as_str()).to_string())),
    ];
    let own = own.into_iter().filter_map(|(label, key, value)| {
        value.map(|value| Argument { label: label.into(), text: format!("{key}={value}") })
    });
    set.chain(own).collect()
}

/// The place where `key` got its value: the last argument that sets it, else the file, else the key alone.
fn locate(name: &str, text: &str, arguments: &[Argument], key: &str, reason: String) -> ConfigError {
    let sets = |a: &&Argument| a.parts().is_ok_and(|(set, _)| set == key || key.starts_with(&format!("{set}.")));
    if let Some(argument) = arguments.iter().rev().find(sets) {
        return argument.error(reason);
    }
    match span_of(text, key) {
        Some(span) => ConfigError::in_text(name, text, span, reason),
        None => ConfigError::new(format!("{name}: {key}"), reason),
    }
}

/// The bytes of a key's value in a file; where the file does not set it, of the table it would stand in.
fn span_of(text: &str, key: &str) -> Option<std::ops::Range<usize>> {
    let document = Document::parse(text).ok()?;
    let of = |key: &str| key.split('.').try_fold(document.as_item(), |item, part| item.get(part))?.span();
    of(key).or_else(|| of(key.rsplit_once('.')?.0))
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_NAME, DEFAULT_TEXT, Overrides, parse};
    use crate::config::{Recipe, Retrieval};

    fn with(set: &[&str]) -> Result<Recipe, String> {
        let overrides = Overrides { set: set.iter().map(|s| (*s).to_owned()).collect(), ..Overrides::default() };
        parse("my.toml", "[optim]\nlr = 0.1\n", &overrides).map_err(|e| e.to_string())
    }

    #[test]
    fn the_built_in_recipe_is_valid() {
        parse(DEFAULT_NAME, DEFAULT_TEXT, &Overrides::default()).unwrap();
    }

    #[test]
    fn arguments_win_over_the_file_and_are_typed_by_toml() {
        let recipe = with(&["optim.lr = 5", "skills.retrieval=full", "run.name=7", "eval.first=false"]).unwrap();
        assert_eq!(recipe.optim.lr, 5.0);
        assert_eq!(recipe.skills.retrieval, Retrieval::Full);
        assert_eq!(recipe.run.name, "7", "a bare word is a string even if it looks like a number");
        assert!(!recipe.eval.first);
    }

    #[test]
    fn another_method_replaces_the_one_of_the_file() {
        let overrides = Overrides { set: vec!["method.grpo={}".into()], ..Overrides::default() };
        let recipe = parse("my.toml", "[method.sdar]\n", &overrides).unwrap();
        assert_eq!(recipe.method.name(), "grpo");
    }

    #[test]
    fn broken_arguments_are_shown_with_a_caret() {
        assert_eq!(
            with(&["eval.every=3", "optim.lrr=1"]).unwrap_err(),
            "--set (number 2): unknown key `lrr`, did you mean `lr`?\n |\n | optim.lrr=1\n |       ^^^"
        );
        assert_eq!(
            with(&["optim.lr=fast"]).unwrap_err(),
            "--set: expected a number, found string \"fast\"\n |\n | optim.lr=fast\n |          ^^^^"
        );
        assert_eq!(with(&["steps"]).unwrap_err(), "--set: expected `key=value`\n |\n | steps\n | ^^^^^");
        assert_eq!(
            with(&["rollout.temperature=0"]).unwrap_err(),
            "--set: `rollout.temperature` must be greater than 0\n |\n | rollout.temperature=0\n |                     ^"
        );
        assert_eq!(
            with(&["optim.lr.x=1"]).unwrap_err(),
            "--set: `optim.lr` is not a table\n |\n | optim.lr.x=1\n |            ^"
        );
    }

    #[test]
    fn values_cannot_smuggle_in_other_keys() {
        let recipe = with(&["model.path=a\"\n[optim]\nlr = 9"]).unwrap();
        assert_eq!((recipe.optim.lr, recipe.model.path.as_str()), (0.1, "a\"\n[optim]\nlr = 9"));
    }

    #[test]
    fn steps_and_seed_have_their_own_arguments() {
        let overrides = Overrides { steps: Some(3), seed: Some(9), root: Some("a \"b\"".into()), set: vec![] };
        let recipe = parse("my.toml", "", &overrides).unwrap();
        assert_eq!((recipe.run.steps, recipe.run.seed, recipe.run.root.as_str()), (3, 9, "a \"b\""));
        let none = Overrides { steps: Some(0), ..Overrides::default() };
        let error = parse("my.toml", "", &none).unwrap_err().to_string();
        assert!(error.starts_with("--steps: `run.steps` must be at least 1\n"), "{error}");
    }
}
