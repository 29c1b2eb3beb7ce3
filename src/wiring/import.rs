//! What other tools recorded, opened as a run that can only be read.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run::{RunFolder, foreign};

/// A run folder that goes when it is dropped.
pub struct Imported {
    pub folder: RunFolder,
    root: PathBuf,
}

impl Imported {
    /// Reads a file or folder of another tool; see [`foreign`].
    ///
    /// # Errors
    /// It holds nothing that is known, or the temporary folder cannot be written.
    pub fn open(path: &Path) -> Result<Imported> {
        let dump = foreign::read(path)?;
        let root = std::env::temp_dir().join(format!("sdlab-import-{}", std::process::id()));
        // left by a process of the same number
        let _ = fs::remove_dir_all(&root);
        DirBuilder::new().mode(0o700).create(&root).with_context(|| format!("cannot create `{}`", root.display()))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let folder = RunFolder::create_next(&root, &stem, &dump.tools.join("+"))?;
        let imported = Imported { folder, root };
        foreign::write(&dump, &imported.folder, &path.display().to_string())?;
        Ok(imported)
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        // it lies in the folder for temporary files
        let _ = fs::remove_dir_all(&self.root);
    }
}
