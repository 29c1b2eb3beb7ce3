//! Checksums of a folder that is written once: `sums.json` beside the files it is about.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{Result, RunError};
use super::file::atomic_write;
use super::manifest::{FileHash, hash_file};

/// Name of the file with the checksums.
pub const SUMS: &str = "sums.json";

/// Content of [`SUMS`].
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sums {
    format: u32,
    /// By name in the folder.
    files: BTreeMap<String, FileHash>,
}

/// Hashes every file of `folder` (not of folders in it) into [`SUMS`] and waits until all of them are on the disk.
/// Returns their size in bytes.
///
/// # Errors
/// A file cannot be read, or the checksums cannot be written.
pub fn seal(folder: &Path) -> Result<u64> {
    let mut sums = Sums { format: 1, ..Sums::default() };
    for entry in fs::read_dir(folder).map_err(RunError::io("read", folder))? {
        let path = entry.map_err(RunError::io("read", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && name != SUMS {
            File::open(&path).and_then(|file| file.sync_all()).map_err(RunError::io("write", &path))?;
            sums.files.insert(name, hash_file(&path)?);
        }
    }
    let path = folder.join(SUMS);
    atomic_write(&path, &serde_json::to_vec_pretty(&sums).map_err(RunError::damaged(&path))?)?;
    Ok(sums.files.values().map(|file| file.bytes).sum())
}

/// Compares every file with its checksum. `Ok(false)` = the folder has no checksums (an older version wrote it).
///
/// # Errors
/// [`RunError::Damaged`] names the first file that is missing or differs.
pub fn check(folder: &Path) -> Result<bool> {
    let path = folder.join(SUMS);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(RunError::io("read", &path)(error)),
    };
    let sums: Sums = serde_json::from_slice(&bytes).map_err(RunError::damaged(&path))?;
    for (name, expected) in &sums.files {
        let file = folder.join(name);
        let found = hash_file(&file)?;
        if found != *expected {
            let reason = format!("it has {} bytes and not the content that was written", found.bytes);
            return Err(RunError::damaged(&file)(reason));
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_cut_and_a_missing_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("a"), "one").unwrap();
        fs::write(path.join("b"), "twelve").unwrap();
        assert!(!check(path).unwrap(), "no sums yet");
        assert_eq!(seal(path).unwrap(), 9);
        assert!(check(path).unwrap());
        for content in ["twelvE", "twel"] {
            fs::write(path.join("b"), content).unwrap();
            let error = check(path).unwrap_err().to_string();
            assert!(error.contains("/b` is damaged"), "{error}");
        }
        fs::remove_file(path.join("b")).unwrap();
        assert!(check(path).unwrap_err().to_string().contains("cannot read"));
        fs::write(path.join(SUMS), "{").unwrap();
        assert!(check(path).unwrap_err().to_string().contains(SUMS));
    }
}
