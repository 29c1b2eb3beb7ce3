//! From what a recipe calls a model to where it lies: a folder, a `.gguf` file, or a hub id in the local cache.
//!
//! The cache is that of `huggingface_hub`:
//! ```text
//! models--org--name/   refs/main             the commit that `main` was when it was downloaded
//!                      snapshots/COMMIT/...  files by their names, links into blobs/
//! ```
//! What is in the cache is taken as it is: a run does not depend on what the hub holds today.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

/// Where a model lies.
///
/// # Errors
/// It is neither a folder nor a `.gguf` file nor a hub id that can be had; the sentence says what was looked for and
/// where.
pub fn resolve(model: &str) -> Result<PathBuf> {
    let path = Path::new(model);
    if path.is_dir() || path.is_file() {
        let gguf = path.extension().is_some_and(|extension| extension == "gguf");
        ensure!(path.is_dir() || gguf, "`{model}` is a file but not a `.gguf` file: name the folder it lies in");
        return Ok(path.to_owned());
    }
    let Some(id) = Id::parse(model) else {
        bail!("`{model}` does not exist: a model is a folder, a `.gguf` file or a hub id such as `Qwen/Qwen3-0.6B`");
    };
    Hub::of(|name| std::env::var_os(name)).find(&id)
}

/// Where the model lies that the adapters in `folder` belong to: a path as it is written, or as it is seen from there,
/// or whatever else [`resolve`] knows.
///
/// # Errors
/// There is no such model; the sentence names the setting.
pub fn base(folder: &Path, written: &str) -> Result<PathBuf> {
    let beside = folder.join(written);
    match Path::new(written) {
        path if !written.is_empty() && path.exists() => Ok(path.to_owned()),
        _ if !written.is_empty() && beside.exists() => Ok(beside),
        _ => resolve(written).with_context(|| {
            let config = folder.join("adapter_config.json");
            format!("{}: `base_model_name_or_path` names no model that is here", config.display())
        }),
    }
}

/// `org/name`, perhaps with `@revision` (a branch, a tag or a commit).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Id {
    org: String,
    name: String,
    revision: String,
}

impl Id {
    fn parse(text: &str) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (org, name) = id.split_once('/')?;
        let word = |text: &str| {
            let legal = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            legal && !text.is_empty() && !text.starts_with(['.', '-']) && !text.contains("--")
        };
        let revised = !revision.is_empty() && revision.split('/').all(word);
        (word(org) && word(name) && revised && !name.to_ascii_lowercase().ends_with(".gguf")).then(|| Self {
            org: org.into(),
            name: name.into(),
            revision: revision.into(),
        })
    }

    fn folder(&self) -> String {
        format!("models--{}--{}", self.org, self.name)
    }
}

/// The cache, and whether the hub may be asked.
struct Hub {
    cache: PathBuf,
    offline: bool,
}

impl Hub {
    /// Reads `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`, `HOME` and `HF_HUB_OFFLINE` through `env`.
    fn of(env: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || {
            let user = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
            path("HF_HOME").unwrap_or_else(|| user.unwrap_or_default().join("huggingface"))
        };
        let cache =
            path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).unwrap_or_else(|| home().join("hub"));
        let offline = env("HF_HUB_OFFLINE").and_then(|value| value.into_string().ok());
        let offline = offline.is_some_and(|v| ["1", "on", "yes", "true"].contains(&v.to_ascii_lowercase().as_str()));
        Self { cache, offline }
    }

    fn find(&self, id: &Id) -> Result<PathBuf> {
        let missing = match self.snapshot(id) {
            None => format!("is not in the cache `{}` (there is no `{}/snapshots`)", self.cache.display(), id.folder()),
            Some(folder) => match lacks(&folder)? {
                None => return Ok(folder),
                Some(file) => format!("is in the cache, but `{}` lacks `{file}`", folder.display()),
            },
        };
        let (model, name) =
            (format!("the model `{}/{}` {missing}", id.org, id.name), format!("{}/{}", id.org, id.name));
        ensure!(
            !self.offline,
            "{model}, and `HF_HUB_OFFLINE` forbids to download it: unset that, or run `hf download {name}` first"
        );
        let folder = download(&self.cache, id).with_context(|| model)?;
        match lacks(&folder)? {
            None => Ok(folder),
            Some(file) => bail!("`{name}` was downloaded to `{}`, but has no `{file}`", folder.display()),
        }
    }

    /// The snapshot of the revision: a commit, or what a branch or tag pointed to; without such a note, the only one.
    fn snapshot(&self, id: &Id) -> Option<PathBuf> {
        let model = self.cache.join(id.folder());
        let commit = fs::read_to_string(model.join("refs").join(&id.revision)).ok();
        let snapshots = model.join("snapshots");
        let named = snapshots.join(commit.as_deref().map_or(id.revision.as_str(), str::trim));
        if named.is_dir() {
            return Some(named);
        }
        let all: Vec<PathBuf> = fs::read_dir(&snapshots).ok()?.flatten().map(|entry| entry.path()).collect();
        let only = commit.is_none() && id.revision == "main" && all.len() == 1;
        all.into_iter().next().filter(|folder| only && folder.is_dir())
    }
}

/// The first file that a model folder, or one of adapters, needs and this one has not. A link into blobs that are gone
/// counts as missing.
fn lacks(folder: &Path) -> Result<Option<String>> {
    let has = |name: &str| folder.join(name).is_file();
    if has("adapter_config.json") && !has("config.json") {
        let weights = "adapter_model.safetensors";
        return Ok((!has(weights)).then(|| weights.to_owned()));
    }
    if let Some(file) = ["config.json", "tokenizer.json"].into_iter().find(|file| !has(file)) {
        return Ok(Some(file.into()));
    }
    if has("model.safetensors") {
        return Ok(None);
    }
    let index = folder.join(INDEX);
    if !has(INDEX) {
        return Ok(Some("model.safetensors".into()));
    }
    let text = fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    let index: Value = serde_json::from_str(&text).with_context(|| format!("{}: not valid JSON", index.display()))?;
    let shards = index.get("weight_map").and_then(Value::as_object).map(|map| map.values().filter_map(Value::as_str));
    Ok(shards.into_iter().flatten().find(|shard| !has(shard)).map(str::to_owned))
}

const INDEX: &str = "model.safetensors.index.json";

/// Downloads what a model folder needs into the cache. Token and endpoint are those of the environment (`HF_TOKEN`,
/// the file `token` in `HF_HOME`, `HF_ENDPOINT`).
#[cfg(feature = "hub")]
fn download(cache: &Path, id: &Id) -> Result<PathBuf> {
    const FILES: [&str; 3] = ["*.json", "*.jinja", "*.safetensors"];
    eprintln!("downloading `{}/{}` to `{}`", id.org, id.name, cache.display());
    let fail = |e: hf_hub::HFError| anyhow!("and it cannot be downloaded: {e}");
    let client = hf_hub::HFClient::builder().cache_dir(cache).build_sync().map_err(fail)?;
    let files: Vec<String> = FILES.map(str::to_owned).to_vec();
    // weights in other formats often lie in folders of their own
    let folders = vec!["*/*".to_owned()];
    client
        .model(&id.org, &id.name)
        .snapshot_download()
        .revision(id.revision.clone())
        .allow_patterns(files)
        .ignore_patterns(folders)
        .send()
        .map_err(fail)
}

#[cfg(not(feature = "hub"))]
fn download(_cache: &Path, id: &Id) -> Result<PathBuf> {
    Err(anyhow!(
        "and this build cannot download: run `hf download {}/{}`, or build with `cargo build --release --features hub`",
        id.org,
        id.name
    ))
}
