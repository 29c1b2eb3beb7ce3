//! A new run that begins with a checkpoint of another.

use anyhow::{Context, Result};

use super::create_run;
use crate::config::{self, Overrides};
use crate::run::{Manifest, RunFolder};
use crate::train::checkpoint::{self, Found};

/// Makes a run that continues from the checkpoint of `step` (or the newest) of `from`, with the recipe that was in
/// force there, changed by `overrides`. Unlike a resume, any key may be changed.
///
/// # Errors
/// There is no such checkpoint, it is damaged, or the new recipe makes no sense.
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
    let mut changes = overrides.clone();
    // the name of the old run is taken
    changes.set.insert(0, "run.name=".into());
    let source = format!("{}@{}", from.name(), found.step);
    let folder = create_run(&config::parse(&source, &text, &changes)?, &format!("fork of {source}"))?;
    checkpoint::transplant(&found, &folder)?;
    let mut manifest = Manifest::read(&folder)?;
    manifest.notes.insert("forked_from".into(), serde_json::json!({ "run": from.name(), "step": found.step }));
    manifest.write(&folder)?;
    Ok(folder)
}

fn missing(from: &RunFolder, step: u64) -> String {
    let known = from.checkpoints().iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "it has none".into() } else { format!("there is {known}") };
    format!("the run `{}` has no usable checkpoint of step {step}, {known}", from.name())
}
