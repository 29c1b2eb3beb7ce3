//! A new run that begins with a checkpoint of another.

use anyhow::{Context, Result};

use super::create_run;
use crate::config::{self, ConfigError, Overrides};
use crate::run::{Manifest, RunFolder};
use crate::train::checkpoint::{self, Found};

/// Makes a run that continues from the checkpoint of `step` (or the newest) of `from`, with the recipe that was in
/// force there, changed by `overrides`. Unlike a resume, any key may be changed but those of the
/// weights themselves.
///
/// # Errors
/// There is no such checkpoint, it is damaged, the new recipe makes no sense, asks for weights that the checkpoint does not
/// hold, or leaves nothing to train.
pub fn fork(from: &RunFolder, step: Option<u64>, overrides: &Overrides) -> Result<RunFolder> {
    let found = match step {
        Some(step) => Found::read(from, step).with_context(|| missing(from, step))?,
        None => checkpoint::newest(from, &mut |message| eprintln!("{message}"))?
            .with_context(|| format!("the run `{}` has no checkpoint to fork", from.name()))?,
    };
    let text = match &found.notes().recipe {
        Some(text) => text.clone(),
        None => std::fs::read_to_string(from.config()).context("cannot read the configuration of the run")?,
    };
    let source = format!("{}@{}", from.name(), found.step);
    let mut recipe = config::adjust_fork(&source, &text, overrides)?;
    if recipe.run.steps <= found.step {
        return Err(nothing_to_do(found.step, recipe.run.steps).into());
    }
    // the name of the old run is taken
    if !overrides.set.iter().any(|change| names_run(change)) {
        recipe.run.name.clear();
    }
    let folder = create_run(&recipe, &format!("fork of {source}"))?;
    checkpoint::transplant(&found, &folder)?;
    let mut manifest = Manifest::read(&folder)?;
    manifest.notes.insert("forked_from".into(), serde_json::json!({ "run": from.name(), "step": found.step }));
    manifest.write(&folder)?;
    Ok(folder)
}

fn names_run(change: &str) -> bool {
    let key = change.split('=').next().unwrap_or_default();
    matches!(key.trim(), "run.name" | "run")
}

fn nothing_to_do(step: u64, total: u64) -> ConfigError {
    let reason = format!(
        "the checkpoint is of step {step}, and the new run would end with step {total}: give `--steps` more than {step}"
    );
    ConfigError::new("--fork", reason)
}

fn missing(from: &RunFolder, step: u64) -> String {
    let known = from.checkpoints().iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "it has none".into() } else { format!("there is {known}") };
    format!("the run `{}` has no usable checkpoint of step {step}, {known}", from.name())
}
