//! Weights without loading them: the headers of safetensors files, the directory of a GGUF file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// What is in the files.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub files: usize,
    pub tensors: usize,
    pub bytes: u64,
    /// Tensors by their type.
    pub kinds: BTreeMap<String, usize>,
}

/// Looks into all files of a model.
///
/// # Errors
/// A file or a shard is missing, cut off or damaged, or lacks a tensor that the index says it has.
pub(super) fn inspect(model: &Path) -> Result<Found> {
    if model.is_file() {
        return gguf(model);
    }
    let single = ["model.safetensors", "adapter_model.safetensors"].map(|name| model.join(name));
    let mut found = Found::default();
    if let Some(path) = single.iter().find(|path| path.is_file()) {
        header(path, &mut found)?;
        return Ok(found);
    }
    let index = model.join("model.safetensors.index.json");
    ensure!(
        index.is_file(),
        "{}: there is neither `model.safetensors` nor `model.safetensors.index.json`; weights in other formats must be \
         converted first",
        model.display()
    );
    let text = std::fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    let parsed: Value = serde_json::from_str(&text).with_context(|| format!("{}: not valid JSON", index.display()))?;
    let map = parsed.get("weight_map").and_then(Value::as_object);
    let map = map.with_context(|| format!("{}: `weight_map` is missing", index.display()))?;
    let mut shards: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (tensor, file) in map {
        shards.entry(file.as_str().unwrap_or_default()).or_default().insert(tensor);
    }
    for (file, tensors) in shards {
        let path = model.join(file);
        ensure!(path.is_file(), "{}: the shard is missing; download the model again", path.display());
        let names = header(&path, &mut found)?;
        if let Some(lost) = tensors.iter().find(|tensor| !names.contains(**tensor)) {
            bail!("{}: tensor `{lost}` is missing, which the index says is in it", path.display());
        }
    }
    Ok(found)
}

/// Adds what is in one safetensors file; returns the names of its tensors.
fn header(path: &Path, found: &mut Found) -> Result<BTreeSet<String>> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let damaged = || format!("{}: not safetensors, or damaged; download the file again", path.display());
    let have = file.metadata()?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).with_context(damaged)?;
    let header = u64::from_le_bytes(length);
    ensure!(header <= have.saturating_sub(8), "{}", damaged());
    let mut bytes = Vec::new();
    file.take(header).read_to_end(&mut bytes).with_context(damaged)?;
    let entries: BTreeMap<String, Value> = serde_json::from_slice(&bytes).with_context(damaged)?;
    let mut names = BTreeSet::new();
    let mut data = 0;
    for (name, entry) in entries.into_iter().filter(|(name, _)| name != "__metadata__") {
        let end = entry.get("data_offsets").and_then(|offsets| offsets.get(1)?.as_u64());
        let (Some(end), Some(kind)) = (end, entry.get("dtype").and_then(Value::as_str)) else { bail!(damaged()) };
        data = data.max(end);
        *found.kinds.entry(kind.to_lowercase()).or_default() += 1;
        names.insert(name);
    }
    let whole = data.saturating_add(8 + header);
    ensure!(
        have >= whole,
        "{}: cut off, {} bytes are missing; download the file again",
        path.display(),
        whole.saturating_sub(have)
    );
    found.files += 1;
    found.tensors += names.len();
    found.bytes += data;
    Ok(names)
}

fn gguf(path: &Path) -> Result<Found> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let bytes = file.metadata()?.len();
    let content = candle_core::quantized::gguf_file::Content::read(&mut BufReader::new(file))
        .with_context(|| format!("{}: not GGUF, or cut off; download the file again", path.display()))?;
    let mut kinds = BTreeMap::new();
    for info in content.tensor_infos.values() {
        *kinds.entry(format!("{:?}", info.ggml_dtype).to_lowercase()).or_default() += 1;
    }
    Ok(Found { files: 1, tensors: content.tensor_infos.len(), bytes, kinds })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use std::collections::HashMap;

    use super::*;

    fn shard(path: &Path, names: &[&str]) {
        let tensor = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        let tensors: HashMap<String, Tensor> = names.iter().map(|name| (name.to_string(), tensor.clone())).collect();
        candle_core::safetensors::save(&tensors, path).unwrap();
    }

    #[test]
    fn every_shard_must_hold_what_the_index_says() {
        let folder = tempfile::tempdir().unwrap();
        let said = || inspect(folder.path()).unwrap_err().to_string();
        assert!(said().contains("there is neither"));
        let index = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        shard(&folder.path().join("1.safetensors"), &["a"]);
        assert!(said().ends_with("2.safetensors: the shard is missing; download the model again"));
        shard(&folder.path().join("2.safetensors"), &["c"]);
        assert!(said().contains("2.safetensors: tensor `b` is missing"));
        shard(&folder.path().join("2.safetensors"), &["b", "c"]);
        let found = inspect(folder.path()).unwrap();
        assert_eq!((found.files, found.tensors, found.bytes), (2, 3, 3 * 24));
        assert_eq!(found.kinds, BTreeMap::from([("f32".to_owned(), 3)]));
        std::fs::write(folder.path().join("2.safetensors"), "no").unwrap();
        assert!(said().contains("2.safetensors: not safetensors, or damaged"));
    }

    #[test]
    fn a_file_that_is_no_gguf_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        std::fs::write(&path, "GGUF").unwrap();
        let error = format!("{:#}", inspect(&path).unwrap_err());
        assert!(error.contains("m.gguf: not GGUF, or cut off"), "{error}");
    }
}
