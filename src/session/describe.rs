//! What the manifest says of a training's parts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config::Recipe;
use crate::engine::candle::memory::Plan;
use crate::env;
use crate::run::recorder::now_ms;
use crate::run::{Manifest, RunFolder};
use crate::train::Trainer;

/// Completes the manifest with what only the opened parts know.
pub(super) fn describe(
    folder: &RunFolder,
    recipe: &Recipe,
    model: &Path,
    trainer: &Trainer,
    plan: &Plan,
) -> Result<()> {
    let mut manifest = Manifest::read(folder)?;
    manifest.device = trainer.engine.info().device;
    manifest.add_process(now_ms(), trainer.done);
    for (part, path) in model_files(model) {
        manifest.add_file(&part, &path)?;
    }
    let bank = std::fs::read_dir(&recipe.skills.bank).map(|d| d.flatten().map(|f| f.path()).collect::<Vec<_>>());
    let mut files: Vec<PathBuf> = bank.unwrap_or_default();
    files.sort();
    for path in files.iter().filter(|p| p.is_file()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        manifest.add_file(&format!("skills/{name}"), path)?;
    }
    if let Some(path) = env::file(recipe.env.name())?.path {
        manifest.add_file("environment", &path)?;
    }
    let info = trainer.engine.info();
    let notes: BTreeMap<_, _> = [
        ("parameters", info.parameters.to_string()),
        ("trained", info.trained.to_string()),
        ("planned_bytes", plan.peak().to_string()),
    ]
    .into();
    if model != Path::new(&recipe.model.path) {
        // a hub id: the folder of a snapshot is named by its commit
        let commit = model.file_name().unwrap_or_default().to_string_lossy();
        manifest.notes.insert("model_commit".into(), commit.into());
    }
    manifest.notes.extend(notes.into_iter().map(|(k, v)| (k.to_string(), v.into())));
    Ok(manifest.write(folder)?)
}

/// What a model is made of, each by its part: `model` (or `model/SHARD`), `tokenizer`, `template`.
fn model_files(model: &Path) -> Vec<(String, PathBuf)> {
    if model.is_file() {
        return vec![("model".into(), model.to_owned())];
    }
    let named = [
        ("model", "model.safetensors"),
        ("tokenizer", "tokenizer.json"),
        ("template", "chat_template.jinja"),
        ("tokenizer_config", "tokenizer_config.json"),
    ];
    let mut files: Vec<_> = named.map(|(part, name)| (part.to_owned(), model.join(name))).to_vec();
    let names = std::fs::read_dir(model).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut shards: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    shards.retain(|name| name.starts_with("model-") && name.ends_with(".safetensors"));
    shards.sort();
    files.extend(shards.into_iter().map(|name| (format!("model/{name}"), model.join(name))));
    files.retain(|(_, path)| path.is_file());
    files
}

#[cfg(test)]
mod tests {
    use super::model_files;

    #[test]
    fn every_file_that_makes_a_model_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let names =
            ["model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors", "tokenizer.json", "README.md"];
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let parts: Vec<String> = model_files(folder.path()).into_iter().map(|(part, _)| part).collect();
        let shards = ["model/model-00001-of-00002.safetensors", "model/model-00002-of-00002.safetensors"];
        assert_eq!(parts, ["tokenizer", shards[0], shards[1]]);
        let file = folder.path().join("m.gguf");
        std::fs::write(&file, "").unwrap();
        assert_eq!(model_files(&file), [("model".to_owned(), file)]);
    }
}
