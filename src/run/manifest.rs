//! What is needed to repeat a run, written once when it starts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{Result, RunError};
use super::file::atomic_write;
use super::folder::RunFolder;
use crate::core::event::FORMAT;

/// Content of `manifest.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Version of the run folder's format.
    pub format: u32,
    pub run: String,
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// The command line; values of keys that look like secrets are replaced by `***`.
    pub argv: Vec<String>,
    /// SHA-256 of the resolved configuration, hexadecimal.
    pub config_sha256: String,
    /// State of the git repository the run was started in; absent without one.
    pub git: Option<Git>,
    /// Version of this crate.
    pub version: String,
    /// Compiler it was built with, if the build could ask it (`build.rs`), else its minimum.
    pub toolchain: String,
    /// SHA-256 of the lock file of its dependencies, hexadecimal.
    pub lock_sha256: String,
    pub device: String,
    /// Model, tokenizer, template, skill and data files by their part in the run, e.g. `model` or `skill/find.md`.
    pub files: BTreeMap<String, FileHash>,
    pub seeds: BTreeMap<String, u64>,
    /// Environment variables that can change the result, of those in [`ENVIRONMENT`] that are set.
    pub environment: BTreeMap<String, String>,
    /// Every process that trained the run, the first one included.
    pub processes: Vec<Trained>,
    /// Stand-ins, as named on the screen.
    pub substitutions: Vec<String>,
    /// Anything else worth keeping, e.g. the numbers of the pretraining the model came from.
    pub notes: BTreeMap<String, serde_json::Value>,
}

/// A process that trained a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trained {
    /// Milliseconds since the Unix epoch.
    pub started_ms: u64,
    pub pid: u32,
    pub argv: Vec<String>,
    pub version: String,
    pub device: String,
    /// Steps that were done before.
    pub resumed: u64,
}

/// State of a git repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    pub commit: String,
    /// Whether tracked files differed from the commit.
    pub dirty: bool,
}

/// A file by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    pub sha256: String,
    pub bytes: u64,
}

impl Manifest {
    /// The step that the run was forked after; 0 = it began anew.
    pub fn begins_after(&self) -> u64 {
        self.notes.get("forked_from").and_then(|from| from.get("step")?.as_u64()).unwrap_or(0)
    }

    /// What this process can find out by itself: command line, versions, environment, and the git state of `place`
    /// (the folder the run is started in). The rest is for the caller to fill in.
    pub fn gather(folder: &RunFolder, config: &str, place: &Path, created_ms: u64) -> Manifest {
        let variable = |name: &&str| Some((name.to_string(), std::env::var(name).ok()?));
        let toolchain = option_env!("SDLAB_TOOLCHAIN").unwrap_or(concat!(">=", env!("CARGO_PKG_RUST_VERSION")));
        Manifest {
            format: FORMAT,
            run: folder.name(),
            created_ms,
            argv: command_line(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned())),
            config_sha256: sha256_hex(config.as_bytes()),
            git: git(place),
            version: env!("CARGO_PKG_VERSION").to_string(),
            toolchain: toolchain.to_string(),
            lock_sha256: sha256_hex(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"))),
            environment: ENVIRONMENT.iter().filter_map(variable).collect(),
            ..Manifest::default()
        }
    }

    /// Adds a file under the part it plays in the run.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn add_file(&mut self, part: &str, path: &Path) -> Result<()> {
        self.files.insert(part.to_string(), hash_file(path)?);
        Ok(())
    }

    /// Adds this process.
    pub fn add_process(&mut self, started_ms: u64, resumed: u64) {
        let argv = command_line(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()));
        let (version, device) = (env!("CARGO_PKG_VERSION").to_string(), self.device.clone());
        self.processes.push(Trained { started_ms, pid: std::process::id(), argv, version, device, resumed });
    }

    /// Writes `manifest.json` atomically.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        let path = folder.manifest();
        let mut text = serde_json::to_string_pretty(self).map_err(RunError::damaged(&path))?;
        text.push('\n');
        atomic_write(&path, text.as_bytes())
    }

    /// Reads `manifest.json`. Fields that an older version did not write have their defaults.
    pub fn read(folder: &RunFolder) -> Result<Manifest> {
        let path = folder.manifest();
        let bytes = fs::read(&path).map_err(RunError::io("read", &path))?;
        serde_json::from_slice(&bytes).map_err(RunError::damaged(&path))
    }
}

/// SHA-256 of bytes, hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 and size of a file, read in pieces.
pub fn hash_file(path: &Path) -> Result<FileHash> {
    let file = File::open(path).map_err(RunError::io("read", path))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut hash, mut bytes, mut block) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = reader.read(&mut block).map_err(RunError::io("read", path))?;
        if read == 0 {
            return Ok(FileHash { sha256: hex(&hash.finalize()), bytes });
        }
        hash.update(&block[..read]);
        bytes += read as u64;
    }
}

/// Environment variables that are recorded; no others, so that no secret gets into a run folder.
pub const ENVIRONMENT: [&str; 9] = [
    "CANDLE_DISABLE_MKL",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "HF_HUB_OFFLINE",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "RUST_LOG",
    "TZ",
];

/// The program without its folder, and no secrets.
fn command_line(args: impl Iterator<Item = String>) -> Vec<String> {
    let mut hide_next = false;
    let mut tidy = |(index, arg): (usize, String)| {
        if index == 0 {
            return Path::new(&arg).file_name().map_or(arg.clone(), |name| name.to_string_lossy().into_owned());
        }
        if std::mem::take(&mut hide_next) {
            return HIDDEN.to_string();
        }
        match arg.split_once('=') {
            Some((key, _)) if secret(key) => format!("{key}={HIDDEN}"),
            None if arg.starts_with("--") && secret(&arg) => {
                hide_next = true;
                arg
            }
            _ => arg,
        }
    };
    args.enumerate().map(&mut tidy).collect()
}

fn secret(key: &str) -> bool {
    let last = key.rsplit(['.', '-', '_']).next().unwrap_or(key).to_ascii_lowercase();
    ["key", "apikey", "token", "secret", "password"].contains(&last.as_str())
}

fn git(place: &Path) -> Option<Git> {
    let run = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(place).args(args).env("GIT_OPTIONAL_LOCKS", "0").stdin(Stdio::null());
        let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let commit = run(&["rev-parse", "HEAD"])?.trim().to_string();
    let dirty = !run(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty();
    Some(Git { commit, dirty })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const HIDDEN: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_survives_writing_and_names_file_contents() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        let mut manifest = Manifest::gather(&folder, "steps = 3\n", root.path(), 7);
        let file = root.path().join("model");
        fs::write(&file, "abc").unwrap();
        manifest.add_file("model", &file).unwrap();
        manifest.seeds.insert("run".into(), u64::MAX);
        manifest.notes.insert("pretrain".into(), serde_json::json!({ "loss": 1.25 }));
        manifest.write(&folder).unwrap();
        assert_eq!(Manifest::read(&folder).unwrap(), manifest);
        // FIPS 180-4 example: SHA-256 of "abc".
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(manifest.files["model"], FileHash { sha256: known.into(), bytes: 3 });
        assert_eq!((manifest.run.as_str(), manifest.git), ("a", None));
        assert!(manifest.config_sha256 != sha256_hex(b"steps = 4\n"));
    }

    #[test]
    fn command_line_holds_no_secret_and_no_folder() {
        let args = ["/opt/x/sdlab", "--set", "engine.api_key=abc", "--token", "abc", "a.toml", "max_tokens=5"];
        let tidy = command_line(args.iter().map(|a| a.to_string()));
        assert_eq!(tidy, ["sdlab", "--set", "engine.api_key=***", "--token", "***", "a.toml", "max_tokens=5"]);
    }
}
