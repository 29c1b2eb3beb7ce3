//! Files that are either wholly there or not there at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::error::{Result, RunError};

/// Writes `bytes` to `path` so that a reader, a crash or a full disk sees the old content or the new, never a
/// part: temporary file in the same folder, fsync, rename, fsync of the folder.
///
/// # Errors
/// Names the path and the remedy; the old content is untouched and the temporary file is removed.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // Best effort: the temporary file may never have come to be.
        let _ = fs::remove_file(&temporary);
        return Err(RunError::io("write", path)(error));
    }
    // A folder that cannot be fsynced (some network file systems) still has the renamed file.
    if let Some(folder) = path.parent().and_then(|p| File::open(p).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Creates one folder that only this user can enter.
pub(crate) fn private_dir(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::atomic_write;
    use std::fs;

    #[test]
    fn failed_write_leaves_old_content_and_no_rubbish() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        atomic_write(&path, b"one").unwrap();
        atomic_write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        // The target is a non-empty folder: the rename fails after the temporary file was written.
        let blocked = dir.path().join("blocked");
        fs::create_dir_all(blocked.join("inner")).unwrap();
        let error = atomic_write(&blocked, b"x").unwrap_err().to_string();
        assert!(error.contains("blocked"), "{error}");
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn parent_that_is_a_file_is_an_error_with_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        let error = atomic_write(&dir.path().join("file/a"), b"x").unwrap_err().to_string();
        assert!(error.contains("check that the run folder"), "{error}");
    }
}
