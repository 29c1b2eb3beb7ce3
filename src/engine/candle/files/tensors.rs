//! Safetensors: one file, or shards with an index; f32, f16, bf16 or f64 on disk, f32 here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::safetensors::BufferedSafetensors;
use candle_core::{DType, Device, Tensor};

use crate::engine::candle::layout::Names;
use crate::engine::candle::model::Weights;

const MODEL: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// All tensors of a file as they are.
pub fn read_tensors(path: &Path) -> Result<HashMap<String, Tensor>> {
    let file = open(path)?;
    let names: Vec<String> = file.tensors().into_iter().map(|(name, _)| name).collect();
    names.into_iter().map(|name| Ok((name.clone(), load(&file, path, &name)?))).collect()
}

/// Writes a file that `transformers` accepts.
pub fn write_tensors(path: &Path, tensors: &HashMap<String, Tensor>) -> Result<()> {
    // Readers of the Hugging Face family refuse weights whose header does not say who laid them out.
    let header = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize_to_file(tensors, Some(header), path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Reads all named tensors of one file as f32.
pub fn read_weights(path: &Path, names: &Names) -> Result<Weights> {
    gather(&[path.to_path_buf()], path, names)
}

/// Reads all named tensors of a model folder as f32.
pub fn read_folder(folder: &Path, names: &Names) -> Result<Weights> {
    let (whole, index) = (folder.join(MODEL), folder.join(INDEX));
    if whole.exists() || !index.exists() {
        return gather(std::slice::from_ref(&whole), &whole, names);
    }
    gather(&shards(folder, &index)?, &index, names)
}

pub fn write_weights(path: &Path, names: &Names, weights: &Weights, half: bool) -> Result<()> {
    let dtype = if half { DType::BF16 } else { DType::F32 };
    let mut tensors = HashMap::new();
    for ((name, _), w) in names.iter().zip(weights) {
        tensors.insert(name.clone(), w.to_dtype(dtype)?);
    }
    write_tensors(path, &tensors)
}

/// Files named by the index, each once. One that is missing is told here, before anything large is read.
fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string(index).with_context(|| format!("cannot read {}", index.display()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{}: not valid JSON", index.display()))?;
    let map = value.get("weight_map").and_then(|m| m.as_object());
    let map = map.with_context(|| format!("{}: `weight_map` is missing", index.display()))?;
    let mut holds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tensor, file) in map {
        let file = file.as_str().filter(|f| !f.contains(['/', '\\']));
        let file = file.with_context(|| format!("{}: `{tensor}` is in no file of this folder", index.display()))?;
        holds.entry(file).or_default().push(tensor);
    }
    for (file, tensors) in &holds {
        ensure!(
            folder.join(file).exists(),
            "{}: the shard is missing, it holds `{}` and {} more tensors; download or copy it again",
            folder.join(file).display(),
            tensors[0],
            tensors.len() - 1
        );
    }
    Ok(holds.into_keys().map(|file| folder.join(file)).collect())
}

/// Takes `names` from `files`, one file in memory at a time. `place` is what errors name.
fn gather(files: &[PathBuf], place: &Path, names: &Names) -> Result<Weights> {
    let known: HashSet<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let mut found: Vec<Option<Tensor>> = vec![None; names.len()];
    for path in files {
        let file = open(path)?;
        let stored: BTreeSet<String> = file.tensors().into_iter().map(|(name, _)| name).collect();
        for (slot, entry) in found.iter_mut().zip(names).filter(|(_, (name, _))| stored.contains(name)) {
            *slot = Some(take(&file, path, entry)?);
        }
        if let Some(name) = stored.iter().find(|name| !known.contains(name.as_str()) && belongs(name)) {
            bail!(
                "{}: tensor `{name}` has no place in the model that `config.json` describes; config and weights are \
                 of different models",
                path.display()
            )
        }
    }
    let one = |(t, (name, _)): (Option<Tensor>, &(String, Vec<usize>))| {
        let hint = match name.as_str() {
            "lm_head.weight" => "; if the output is the embedding, set `tie_word_embeddings` to true",
            _ => "; the file is of another model or incomplete",
        };
        t.with_context(|| format!("{}: tensor `{name}` is missing, `config.json` asks for it{hint}", place.display()))
    };
    found.into_iter().zip(names).map(one).collect()
}

/// Whether leaving a tensor out would change what the model computes.
fn belongs(name: &str) -> bool {
    name.starts_with("model.layers.") && !name.ends_with("rotary_emb.inv_freq")
}

fn open(path: &Path) -> Result<BufferedSafetensors> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let size = bytes.len();
    BufferedSafetensors::new(bytes).with_context(|| {
        format!(
            "{}: cut off or not a safetensors file ({size} bytes are there); download or copy it again",
            path.display()
        )
    })
}

fn load(file: &BufferedSafetensors, path: &Path, name: &str) -> Result<Tensor> {
    file.load(name, &Device::Cpu).with_context(|| format!("{}: tensor `{name}` cannot be read", path.display()))
}

fn take(file: &BufferedSafetensors, path: &Path, (name, shape): &(String, Vec<usize>)) -> Result<Tensor> {
    let t = load(file, path, name)?;
    ensure!(
        t.dims() == shape,
        "{}: tensor `{name}` has shape {:?}, `config.json` asks for {shape:?}; config and weights are of different \
         models",
        path.display(),
        t.dims()
    );
    if !matches!(t.dtype(), DType::F32 | DType::BF16 | DType::F16 | DType::F64) {
        bail!(
            "{}: tensor `{name}` is stored as {:?}, supported are f32, bf16, f16; choose the model that is not \
             quantised",
            path.display(),
            t.dtype()
        )
    }
    Ok(t.to_dtype(DType::F32)?.contiguous()?)
}
