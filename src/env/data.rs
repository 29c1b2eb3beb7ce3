//! Data files of environments: paths in settings, packed files, folders.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::bufread::MultiGzDecoder;

/// A path from a setting. A first part `$NAME` stands for an environment variable, `~` for the home folder.
///
/// # Errors
/// The variable is not set, or there is nothing at the path.
pub fn expand(setting: &str) -> Result<PathBuf> {
    let (first, rest) = setting.split_once('/').unwrap_or((setting, ""));
    let name = if first == "~" { Some("HOME") } else { first.strip_prefix('$') };
    let path = match name {
        Some(name) => {
            let value = std::env::var_os(name);
            let value = value.with_context(|| format!("`{setting}`: the variable `{name}` is not set"))?;
            if rest.is_empty() { PathBuf::from(value) } else { Path::new(&value).join(rest) }
        }
        None => PathBuf::from(setting),
    };
    ensure!(path.exists(), "{}: there is no such file or folder", path.display());
    Ok(path)
}

/// The text of a file, unpacked if its name ends in `.gz`.
///
/// # Errors
/// It cannot be read, or is not text.
pub fn text(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = || {
        let mut file = BufReader::new(File::open(path)?);
        if path.extension().is_some_and(|e| e == "gz") {
            MultiGzDecoder::new(file).read_to_string(&mut text)
        } else {
            file.read_to_string(&mut text)
        }
    };
    let result: std::io::Result<usize> = { read }();
    result.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text)
}

/// Files below a folder whose names are `wanted`, sorted by path.
///
/// # Errors
/// A folder cannot be read.
pub fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("{} cannot be read", folder.display()))?;
            let path = entry.path();
            // links to folders are not followed: they may lead in a circle
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
