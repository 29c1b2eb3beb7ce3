//! One skill in the files of its bank: where it is, and switching it off and on without touching anything else.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml_edit::{ArrayOfTables, DocumentMut, Item, value};

/// Ids of all skills in the files of a folder.
///
/// # Errors
/// The folder cannot be read.
pub fn ids(folder: &Path) -> Result<Vec<String>> {
    let of = |file: &DocumentMut| -> Vec<String> {
        let tables = skills(file).into_iter().flat_map(ArrayOfTables::iter);
        tables.filter_map(|table| Some(table.get("id")?.as_str()?.to_owned())).collect()
    };
    Ok(files(folder)?.iter().flat_map(|(_, file)| of(file)).collect())
}

/// The file of `folder` that holds the skill `id`.
///
/// # Errors
/// No file does, or the folder cannot be read.
pub fn file_of(folder: &Path, id: &str) -> Result<PathBuf> {
    let holds = |file: &DocumentMut| skills(file).is_some_and(|all| all.iter().any(|table| is(table, id)));
    let found = files(folder)?.into_iter().find(|(_, file)| holds(file));
    found.map(|(path, _)| path).with_context(|| format!("no file of `{}` holds the skill `{id}`", folder.display()))
}

/// Says in its file that a skill is retrieved no more, or is again, and returns the file. Everything else in it stays as
/// it is.
///
/// # Errors
/// No file holds the skill, or the file cannot be written.
pub fn switch(folder: &Path, id: &str, disable: bool) -> Result<PathBuf> {
    let path = file_of(folder, id)?;
    let place = || format!("cannot change `{}`", path.display());
    let mut file: DocumentMut = fs::read_to_string(&path).with_context(place)?.parse().with_context(place)?;
    let tables = file.get_mut("skill").and_then(Item::as_array_of_tables_mut);
    for table in tables.into_iter().flat_map(ArrayOfTables::iter_mut).filter(|table| is(table, id)) {
        if disable {
            table.insert("disabled", value(true));
        } else {
            table.remove("disabled");
        }
    }
    crate::run::atomic_write(&path, file.to_string().as_bytes()).with_context(place)?;
    Ok(path)
}

/// The TOML files of a folder that can be read, by name.
fn files(folder: &Path) -> Result<Vec<(PathBuf, DocumentMut)>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the bank `{}`", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    let read = |path: PathBuf| Some((path.clone(), fs::read_to_string(&path).ok()?.parse().ok()?));
    Ok(paths.into_iter().filter_map(read).collect())
}

fn skills(file: &DocumentMut) -> Option<&ArrayOfTables> {
    file.get("skill").and_then(Item::as_array_of_tables)
}

fn is(table: &toml_edit::Table, id: &str) -> bool {
    table.get("id").and_then(Item::as_str) == Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skill::Bank;

    const TEXT: &str = "# mine\ncategory = \"clean\"\nkeywords = [\"clean\"]\n\n\
                        [[skill]]\nid = \"a\"\ntitle = \"A\"\ntext = \"Do a.\" # why\n\n\
                        [[skill]]\nid = \"b\"\ntitle = \"B\"\ntext = \"Do b.\"\n";

    #[test]
    fn a_skill_is_switched_off_and_on_and_nothing_else_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clean.toml");
        fs::write(&path, TEXT).unwrap();
        assert_eq!(switch(folder.path(), "b", true).unwrap(), path);
        let off: Vec<bool> = Bank::load(folder.path()).unwrap().skills().map(|(_, skill)| skill.disabled).collect();
        assert_eq!(off, [false, true]);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{TEXT}disabled = true\n"));
        switch(folder.path(), "b", false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), TEXT);
        assert_eq!(ids(folder.path()).unwrap(), ["a", "b"]);
        let said = switch(folder.path(), "c", true).unwrap_err().to_string();
        assert!(said.contains("no file of") && said.contains("`c`"), "{said}");
    }
}
