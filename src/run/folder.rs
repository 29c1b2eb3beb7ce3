//! Where everything of a run lies, and how runs are named and found.
//!
//! ```text
//! runs/<name>/
//!   config.toml  recipe.toml (as it began)  manifest.json  events.jsonl  status.json  lock  control.sock
//!   rollouts/step_000123.parquet (live: .jsonl)   rollouts/eval_000120.parquet   tokens/step_000123.parquet
//!   checkpoints/step_000100/   superseded/1/   skills/   logs/
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::{Result, RunError};
use super::file::private_dir;

/// The folder of one run. Only names places; holds nothing open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a new run `root/name`, readable by this user only; `root` is made if absent.
    ///
    /// # Errors
    /// [`RunError::Unfinished`] if a run was killed while it was made, [`RunError::Exists`] if there is anything of that name (runs are never overwritten), [`RunError::BadName`], or
    /// an I/O error.
    pub fn create(root: &Path, name: &str) -> Result<RunFolder> {
        if !usable(name) {
            return Err(RunError::BadName(name.to_string()));
        }
        fs::create_dir_all(root).map_err(RunError::io("create", root))?;
        let path = root.join(name);
        private_dir(&path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists if is_unfinished(&path) => RunError::Unfinished(path.clone()),
            ErrorKind::AlreadyExists => RunError::Exists { name: name.to_string(), root: root.to_path_buf() },
            _ => RunError::io("create", &path)(error),
        })?;
        for part in PARTS {
            let part = path.join(part);
            private_dir(&part).map_err(RunError::io("create", &part))?;
        }
        Ok(RunFolder { path })
    }

    /// Makes the folder of a new run with the next free name `<env>-<method>-<n>`, `n` counting from 1 and never
    /// filling a gap. Two processes that ask at once get two names.
    pub fn create_next(root: &Path, env: &str, method: &str) -> Result<RunFolder> {
        let stem = format!("{}-{}-", tame(env), tame(method));
        let mut number = list_names(root).iter().filter_map(|name| name.strip_prefix(&stem)?.parse::<u64>().ok()).max();
        loop {
            let next = number.unwrap_or(0).saturating_add(1);
            match RunFolder::create(root, &format!("{stem}{next}")) {
                Err(RunError::Exists { .. } | RunError::Unfinished(_)) if next < u64::MAX => number = Some(next),
                other => return other,
            }
        }
    }

    /// Opens an existing run: a name inside `root`, a path to a run folder, or a path to its `events.jsonl`.
    ///
    /// # Errors
    /// [`RunError::Missing`] with the nearest name and the runs there are.
    pub fn open(path_or_name: &str, root: &Path) -> Result<RunFolder> {
        let given = Path::new(path_or_name);
        let given = if given.file_name().is_some_and(|n| n == "events.jsonl") {
            given.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
        } else {
            given
        };
        let named = root.join(path_or_name);
        // A name comes first: `sdlab attach foo` means the run, not a folder that happens to be here.
        let found = [named.as_path(), given].into_iter().find(|path| is_run(path));
        match found {
            Some(path) if !path_or_name.is_empty() => Ok(RunFolder { path: path.to_path_buf() }),
            _ => Err(RunError::Missing {
                name: path_or_name.to_string(),
                root: root.to_path_buf(),
                hint: hint(path_or_name, &list_runs(root)),
            }),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the run: the last part of its path.
    pub fn name(&self) -> String {
        let whole = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        whole.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Resolved configuration; edited to retune the run.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The resolved configuration the run began with; never changed.
    pub fn recipe(&self) -> PathBuf {
        self.path.join("recipe.toml")
    }

    /// What is needed to repeat the run.
    pub fn manifest(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// The records.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// Episodes of a closed training step.
    pub fn rollouts(&self, step: u64) -> PathBuf {
        self.path.join(format!("rollouts/step_{step:06}.parquet"))
    }

    /// Episodes of the training step that is being played.
    pub fn live_rollouts(&self, step: u64) -> PathBuf {
        self.path.join(format!("rollouts/step_{step:06}.jsonl"))
    }

    /// Episodes of the evaluation after `step`.
    pub fn eval_rollouts(&self, step: u64) -> PathBuf {
        self.path.join(format!("rollouts/eval_{step:06}.parquet"))
    }

    /// Tokens of a closed training step.
    pub fn tokens(&self, step: u64) -> PathBuf {
        self.path.join(format!("tokens/step_{step:06}.parquet"))
    }

    /// Folder of the checkpoint after `step`; not created here.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.path.join(format!("checkpoints/step_{step:06}"))
    }

    /// Steps that have a checkpoint folder, ascending.
    pub fn checkpoints(&self) -> Vec<u64> {
        numbered(&self.path.join("checkpoints"), "step_", "")
    }

    /// The skill bank as it grew.
    pub fn skills(&self) -> PathBuf {
        self.path.join("skills")
    }

    /// Where the trainer listens for commands. (A Unix socket path is limited to about 100 bytes.)
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Heartbeat of the trainer.
    pub fn status(&self) -> PathBuf {
        self.path.join("status.json")
    }

    /// Held by the trainer while it lives.
    pub fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Text logs.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }
}

/// Names of the runs in `root`, sorted so that `-2` comes before `-10`.
pub fn list_runs(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = list_names(root).into_iter().filter(|name| is_run(&root.join(name))).collect();
    names.sort_by_cached_key(|name| natural(name));
    names
}

/// Numbers `n` of the entries `<prefix><n><suffix>` of a folder, ascending; empty if there is no such folder.
pub(crate) fn numbered(folder: &Path, prefix: &str, suffix: &str) -> Vec<u64> {
    let number = |name: &String| {
        let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let mut numbers: Vec<u64> = list_names(folder).iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn list_names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn is_run(path: &Path) -> bool {
    path.is_dir() && MARKERS.iter().any(|marker| path.join(marker).is_file())
}

/// Whether a run was killed while its folder was made: nothing can have been recorded.
fn is_unfinished(path: &Path) -> bool {
    path.is_dir() && !["events.jsonl", "config.toml"].iter().any(|file| path.join(file).exists())
}

fn usable(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(good) && !name.starts_with(['.', '-'])
}

/// A usable part of a name.
fn tame(part: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '_' };
    let tamed: String = part.chars().take(48).map(good).collect();
    if tamed.is_empty() || tamed.starts_with('.') { format!("x{tamed}") } else { tamed }
}

/// Sort key: the name without its last number, then the number.
fn natural(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_string(), name[stem.len()..].parse().unwrap_or(0))
}

fn hint(name: &str, known: &[String]) -> String {
    if known.is_empty() {
        return "; there are no runs there yet".to_string();
    }
    let nearest = known.iter().map(|k| (strsim::jaro_winkler(name, k), k)).max_by(|a, b| a.0.total_cmp(&b.0));
    let guess = nearest.filter(|(likeness, _)| *likeness > 0.7).map(|(_, k)| format!("; did you mean `{k}`?"));
    let shown = known.iter().rev().take(SHOWN).map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
    let more = known.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}; there are {shown}{more}", guess.unwrap_or_default())
}

const PARTS: [&str; 5] = ["rollouts", "tokens", "checkpoints", "skills", "logs"];
const MARKERS: [&str; 3] = ["events.jsonl", "manifest.json", "config.toml"];
/// Runs named in an error.
const SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn names_count_up_and_never_overwrite() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("runs");
        let next = || RunFolder::create_next(&root, "household", "sdar").unwrap().name();
        assert_eq!([next(), next()], ["household-sdar-1", "household-sdar-2"]);
        fs::remove_dir_all(root.join("household-sdar-1")).unwrap();
        fs::write(root.join("household-sdar-9"), "a file in the way").unwrap();
        assert_eq!(next(), "household-sdar-10");
        assert_eq!(RunFolder::create_next(&root, "a b/..", "").unwrap().name(), "a_b_..-x-1");
        assert!(matches!(RunFolder::create(&root, "household-sdar-2"), Err(RunError::Unfinished(_))));
        fs::write(root.join("household-sdar-2/config.toml"), "").unwrap();
        assert!(matches!(RunFolder::create(&root, "household-sdar-2"), Err(RunError::Exists { .. })));
        assert!(matches!(RunFolder::create(&root, "household-sdar-9"), Err(RunError::Exists { .. })));
        for bad in ["", "..", "a/b", "-x", ".x", "a b"] {
            assert!(matches!(RunFolder::create(&root, bad), Err(RunError::BadName(_))), "{bad:?}");
        }
    }

    #[test]
    fn folder_is_private_and_laid_out() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(folder.rollouts(123).ends_with("a/rollouts/step_000123.parquet"));
        assert!(folder.rollouts(1).parent().unwrap().is_dir());
        fs::create_dir(folder.checkpoint(20)).unwrap();
        fs::create_dir(folder.checkpoint(3)).unwrap();
        fs::create_dir(folder.path().join("checkpoints/.step_000030.tmp")).unwrap();
        assert_eq!(folder.checkpoints(), [3, 20]);
    }

    #[test]
    fn open_finds_by_name_and_path_and_suggests() {
        let root = tempfile::tempdir().unwrap();
        for name in ["shop-grpo-2", "shop-grpo-10", "household-sdar-1"] {
            fs::write(RunFolder::create(root.path(), name).unwrap().events(), "").unwrap();
        }
        RunFolder::create(root.path(), "empty").unwrap();
        assert_eq!(list_runs(root.path()), ["household-sdar-1", "shop-grpo-2", "shop-grpo-10"]);
        let by_name = RunFolder::open("shop-grpo-2", root.path()).unwrap();
        let elsewhere = Path::new("/nonexistent");
        let path = by_name.path().to_str().unwrap();
        assert_eq!(RunFolder::open(path, elsewhere).unwrap(), by_name);
        assert_eq!(RunFolder::open(&format!("{path}/events.jsonl"), elsewhere).unwrap(), by_name);
        let error = RunFolder::open("shop-grp-2", root.path()).unwrap_err().to_string();
        assert!(error.contains("did you mean `shop-grpo-2`?") && error.contains("`household-sdar-1`"), "{error}");
        let error = RunFolder::open("", elsewhere).unwrap_err().to_string();
        assert!(error.contains("no runs there yet"), "{error}");
    }
}
