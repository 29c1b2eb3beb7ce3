//! Safetensors: one file, or shards with an index; f32, f16, bf16 or f64 on disk, f32 here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::safetensors::BufferedSafetensors;
use candle_core::{DType, Device, Tensor};

use crate::engine::candle::layout::Names;
use crate::engine::candle::model::Weights;
use crate::engine::candle::ops::host;

pub const MODEL: &str = "model.safetensors";
/// Describes the model.
pub const CONFIG: &str = "config.json";
pub const INDEX: &str = "model.safetensors.index.json";

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
        ensure!(whole.exists(), "{}", nothing(folder));
        return gather(std::slice::from_ref(&whole), &whole, names);
    }
    gather(&shards(folder, &index)?, &index, names)
}

/// What to say of a folder without weights.
pub fn nothing(folder: &Path) -> String {
    format!(
        "{}: there is neither `{MODEL}` nor `{INDEX}`; download the model again, weights in other formats must be \
         converted first",
        folder.display()
    )
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
    let holds = read_index(index)?;
    for (file, tensors) in &holds {
        let path = folder.join(file);
        ensure!(path.exists(), "{}", missing(&path, tensors));
    }
    Ok(holds.into_keys().map(|file| folder.join(file)).collect())
}

/// What to say of a shard that is not there.
pub fn missing(shard: &Path, tensors: &[String]) -> String {
    format!(
        "{}: the shard is missing, it holds `{}` and {} more tensors; download or copy it again",
        shard.display(),
        tensors[0],
        tensors.len() - 1
    )
}

/// The tensors of every file (at least one each), as the index has them.
pub fn read_index(index: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let text = std::fs::read_to_string(index).with_context(|| format!("cannot read {}", index.display()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{}: not valid JSON", index.display()))?;
    let map = value.get("weight_map").and_then(|m| m.as_object());
    let map = map.with_context(|| format!("{}: `weight_map` is missing", index.display()))?;
    let mut holds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, file) in map {
        let file = file.as_str().filter(|f| !f.is_empty() && !f.contains(['/', '\\']));
        let file = file.with_context(|| format!("{}: `{tensor}` is in no file of this folder", index.display()))?;
        holds.entry(file.to_owned()).or_default().push(tensor.clone());
    }
    ensure!(!holds.is_empty(), "{}: `weight_map` names no tensor; download or copy it again", index.display());
    Ok(holds)
}

/// Takes `names` from `files`, one file in memory at a time. `place` is what errors name.
fn gather(files: &[PathBuf], place: &Path, names: &Names) -> Result<Weights> {
    let known: HashSet<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let mut found: Vec<Option<Tensor>> = vec![None; names.len()];
    for path in files {
        let file = open(path)?;
        let stored: BTreeSet<String> = file.tensors().into_iter().map(|(name, _)| name).collect();
        for (slot, entry) in found.iter_mut().zip(names).filter(|(_, (name, _))| stored.contains(name)) {
            ensure!(slot.is_none(), "{}: {}", path.display(), twice(&entry.0));
            *slot = Some(take(&file, path, entry)?);
        }
        if let Some(name) = stored.iter().find(|name| !known.contains(name.as_str()) && belongs(name)) {
            bail!("{}: {}", path.display(), stranger(name, CONFIG))
        }
    }
    let one = |(t, (name, _)): (Option<Tensor>, &(String, Vec<usize>))| {
        t.with_context(|| format!("{}: {}", place.display(), absent(name, CONFIG)))
    };
    found.into_iter().zip(names).map(one).collect()
}

/// What to say of a tensor that no file has.
pub fn absent(name: &str, config: &str) -> String {
    let hint = match name {
        "lm_head.weight" => "; if the output is the embedding, set `tie_word_embeddings` to true",
        _ => "; the file is of another model or incomplete",
    };
    format!("tensor `{name}` is missing, `{config}` asks for it{hint}")
}

/// What to say of a tensor that the architecture does not have.
pub fn stranger(name: &str, config: &str) -> String {
    format!("tensor `{name}` has no place in what `{config}` describes; config and weights are of different models")
}

/// What to say of a tensor that two shards have.
pub fn twice(name: &str) -> String {
    format!("tensor `{name}` is here and in another shard; the shards are of different models, download them again")
}

/// What to say of a tensor with another shape.
pub fn misshapen(name: &str, found: &[usize], asked: &[usize], config: &str) -> String {
    format!(
        "tensor `{name}` has shape {found:?}, `{config}` asks for {asked:?}; config and weights are of different \
         models"
    )
}

/// What to say of a tensor in another precision.
pub fn packed(name: &str, kind: &str) -> String {
    format!(
        "tensor `{name}` is stored as {kind}, supported are f64, f32, bf16, f16; choose the model that is not quantised"
    )
}

/// Ends what is said of a tensor with such numbers.
pub const NOT_FINITE: &str = "holds numbers that are infinite or not numbers (NaN): the file is damaged or its training broke down; download it \
     again or take an earlier one";

/// Whether all numbers of an f32 tensor on the CPU are finite.
pub fn finite(t: &Tensor) -> Result<bool> {
    Ok(host(&t.contiguous()?)?.iter().all(|x| x.is_finite()))
}

/// Whether leaving a tensor out would change what the model computes.
pub fn belongs(name: &str) -> bool {
    name.starts_with("model.layers.") && !name.ends_with("rotary_emb.inv_freq")
}

fn open(path: &Path) -> Result<BufferedSafetensors> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let size = bytes.len();
    BufferedSafetensors::new(bytes).with_context(|| {
        let what = if size == 0 { "empty" } else { "cut off or not a safetensors file" };
        format!("{}: {what} ({size} bytes are there); download or copy it again", path.display())
    })
}

fn load(file: &BufferedSafetensors, path: &Path, name: &str) -> Result<Tensor> {
    file.load(name, &Device::Cpu).with_context(|| format!("{}: tensor `{name}` cannot be read", path.display()))
}

fn take(file: &BufferedSafetensors, path: &Path, (name, shape): &(String, Vec<usize>)) -> Result<Tensor> {
    use safetensors::Dtype::{BF16, F16, F32, F64};
    let stored = file.get(name).with_context(|| format!("{}: tensor `{name}` cannot be read", path.display()))?;
    ensure!(stored.shape() == shape, "{}: {}", path.display(), misshapen(name, stored.shape(), shape, CONFIG));
    let known = matches!(stored.dtype(), F32 | BF16 | F16 | F64);
    ensure!(known, "{}: {}", path.display(), packed(name, &format!("{:?}", stored.dtype())));
    let t = load(file, path, name)?;
    let t = t.to_dtype(DType::F32)?.contiguous()?;
    ensure!(finite(&t)?, "{}: tensor `{name}` {NOT_FINITE}", path.display());
    Ok(t)
}
