//! Weights for other programs: the files of a checkpoint that are not our own state.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Pick;
use crate::run::RunFolder;
use crate::train::checkpoint;

const MODEL: &str = "model.safetensors";
const ADAPTER: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
/// Files of a checkpoint that only an exact resume needs, besides weights that are not the model's.
const OURS: [&str; 3] = ["sets.json", "state.json", "sums.json"];

/// A folder that `transformers` loads.
pub(super) fn model(folder: &RunFolder, pick: Pick, out: &Path) -> Result<Vec<PathBuf>> {
    let from = checkpoint(folder, pick)?;
    if !from.join(MODEL).is_file() {
        bail!("the checkpoint `{}` holds no whole model, export it as `adapter`", from.display());
    }
    copy(&from, out, |name| name == MODEL || is_text(name) && !ADAPTER.contains(&name))
}

/// A folder that `peft` loads.
pub(super) fn adapter(folder: &RunFolder, pick: Pick, out: &Path) -> Result<Vec<PathBuf>> {
    let from = checkpoint(folder, pick)?;
    if ADAPTER.iter().any(|name| !from.join(name).is_file()) {
        bail!("the run trained all weights, so it has no adapter, export it as `model`");
    }
    copy(&from, out, |name| ADAPTER.contains(&name) || is_text(name) && name != "config.json")
}

/// Configuration, tokenizer and template: everything that is not weights and not ours.
fn is_text(name: &str) -> bool {
    !name.ends_with(".safetensors") && !OURS.contains(&name)
}

fn checkpoint(folder: &RunFolder, pick: Pick) -> Result<PathBuf> {
    let steps = folder.checkpoints();
    let listed = steps.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let step = match pick {
        Pick::Newest => steps.last().copied(),
        Pick::Best => checkpoint::best(folder),
        Pick::Step(step) => steps.iter().copied().find(|known| *known == step),
    };
    match step {
        Some(step) => Ok(folder.checkpoint(step)),
        None if steps.is_empty() => bail!("the run `{}` has no checkpoint yet", folder.name()),
        None => bail!("the run `{}` has no such checkpoint, there is {listed}", folder.name()),
    }
}

fn copy(from: &Path, out: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let entry = entry?;
        if wanted(&entry.file_name().to_string_lossy()) {
            let target = out.join(entry.file_name());
            std::fs::copy(entry.path(), &target).with_context(|| format!("cannot write `{}`", target.display()))?;
            files.push(target);
        }
    }
    files.sort();
    Ok(files)
}
