//! Checksums of the files of closed steps: `sums.jsonl`, a line for each file when it is written; of several lines about
//! a file (its step was done again) the last holds.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::append::LineFile;
use super::error::{Result, RunError};
use super::folder::RunFolder;
use super::manifest::{FileHash, hash_file, sha256_hex};

/// Name of the file with the checksums.
const SUMS: &str = "sums.jsonl";

#[derive(Serialize, Deserialize)]
struct Line {
    /// Below the run folder.
    file: String,
    #[serde(flatten)]
    hash: FileHash,
}

/// Notes that `path` was written with this content.
///
/// # Errors
/// The line cannot be written.
pub(super) fn note(folder: &RunFolder, path: &Path, bytes: &[u8]) -> Result<()> {
    let sums = folder.path().join(SUMS);
    let file = path.strip_prefix(folder.path()).unwrap_or(path).display().to_string();
    let line = Line { file, hash: FileHash { sha256: sha256_hex(bytes), bytes: bytes.len() as u64 } };
    let text = serde_json::to_string(&line).map_err(RunError::damaged(&sums))?;
    LineFile::open(&sums, |line| serde_json::from_slice::<Line>(line).is_ok())?.line(&text)
}

/// Compares the files of closed steps with what was written, and says how many are the same. Those that are not there,
/// or that an older version wrote, are passed over.
///
/// # Errors
/// [`RunError::Damaged`] names the first file that differs, or the list of checksums.
pub fn check_written(folder: &RunFolder) -> Result<usize> {
    let sums = folder.path().join(SUMS);
    if !sums.exists() {
        return Ok(0);
    }
    let text = std::fs::read_to_string(&sums).map_err(RunError::io("read", &sums))?;
    let lines = text.lines().map(serde_json::from_str::<Line>);
    let lines: Vec<Line> = lines.collect::<std::result::Result<_, _>>().map_err(RunError::damaged(&sums))?;
    let last: BTreeMap<String, FileHash> = lines.into_iter().map(|line| (line.file, line.hash)).collect();
    let mut same = 0;
    for (file, hash) in last {
        let path = folder.path().join(file);
        if path.exists() {
            if hash_file(&path)? != hash {
                return Err(RunError::damaged(&path)("it is not what was written"));
            }
            same += 1;
        }
    }
    Ok(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_named_and_a_file_written_again_is_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        assert_eq!(check_written(&folder).unwrap(), 0, "no checksums yet");
        let path = folder.tokens(1);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for text in ["one", "two"] {
            std::fs::write(&path, text).unwrap();
            note(&folder, &path, text.as_bytes()).unwrap();
            assert_eq!(check_written(&folder).unwrap(), 1);
        }
        std::fs::write(&path, "twp").unwrap();
        let error = check_written(&folder).unwrap_err().to_string();
        assert!(error.contains("step_000001.parquet` is damaged: it is not what was written"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(check_written(&folder).unwrap(), 0);
    }
}
