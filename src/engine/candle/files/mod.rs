//! Models on disk: Hugging Face folders and GGUF files.

mod config;
mod examine;
#[cfg(test)]
mod examine_tests;
mod gguf;
mod init;
mod tensors;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result};

pub use self::examine::Found;
pub(super) use self::init::random_weights;
pub(super) use self::tensors::{NOT_FINITE, finite, read_tensors, read_weights, write_tensors, write_weights};
use super::arch::Architecture;
use super::layout::{Layout, Names};
use super::model::Weights;
use crate::text::gguf::is as is_gguf;

/// Reads a model: a Hugging Face folder (`config.json` and safetensors, whole or in shards) or a `.gguf` file. All
/// weights come as f32.
pub(super) fn read_model(path: &Path) -> Result<(Architecture, Weights)> {
    if is_gguf(path) {
        return gguf::read(path);
    }
    let architecture = read_config(path)?;
    let weights = tensors::read_folder(path, &Layout::new(&architecture).names)?;
    Ok((architecture, weights))
}

/// Reads what kind of model it is, without its weights.
pub(super) fn read_architecture(path: &Path) -> Result<Architecture> {
    if is_gguf(path) { gguf::read_architecture(path) } else { read_config(path) }
}

/// Looks at all weights of a model and keeps none: what is there, and everything that would keep it from being loaded.
/// Without a `config.json` that can be read, a folder's files are looked at alone.
///
/// # Errors
/// There is nothing to look at; the sentence names the file.
pub(super) fn examine(path: &Path) -> Result<Found> {
    if is_gguf(path) {
        return gguf::examine(path);
    }
    let names = read_config(path).ok().map(|architecture| Layout::new(&architecture).names);
    examine::folder(path, names.as_ref())
}

/// The same for the adapters in one file.
pub(super) fn examine_file(path: &Path, names: &Names) -> Result<Found> {
    examine::file(path, names)
}

/// Reads `config.json`.
fn read_config(folder: &Path) -> Result<Architecture> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}: a model is a folder with `config.json`, `model.safetensors` and `tokenizer.json`, or a \
             `.gguf` file",
            path.display()
        )
    })?;
    let value = serde_json::from_str(&text).with_context(|| format!("{}: not valid JSON", path.display()))?;
    config::parse(value).with_context(|| path.display().to_string())
}

/// Writes `config.json`; makes the folder if it is not there.
pub(super) fn write_config(folder: &Path, architecture: &Architecture) -> Result<()> {
    let path = folder.join("config.json");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(&path, serde_json::to_string_pretty(&config::to_json(architecture))? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
}
