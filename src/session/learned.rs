//! The run's own skill files: what was learned, written after every change, and read again where a person edited it.
//!
//! ```text
//! runs/<id>/skills/where.toml mistakes.toml ...    a file per category, in the form of every bank
//! ```
//!
//! An edit takes effect at the next step. One that cannot be read changes nothing, is told of once with its place, and
//! is not overwritten until it can.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::core::RunEvent;
use crate::core::skill::{Author, Happened, Provenance};
use crate::run::atomic_write;
use crate::skill::{Bank, Skill, SkillBook};

/// The folder, and what it held when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct LearnedFiles {
    folder: PathBuf,
    known: BTreeMap<String, String>,
    /// Whether what is there now could not be read.
    refused: bool,
}

impl LearnedFiles {
    /// Takes charge of the folder: it holds what was learned until now, and nothing else.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(folder: PathBuf, book: &SkillBook) -> Result<Self> {
        let mut files = Self { known: read(&folder), folder, refused: false };
        files.write(book)?;
        Ok(files)
    }

    /// Takes over what a person edited since. `None` = nothing, or nothing that can be read.
    pub fn pick_up(&mut self, book: &mut SkillBook, step: u64) -> Option<RunEvent> {
        let now = read(&self.folder);
        if now == self.known {
            return None;
        }
        let named: Vec<(String, &String)> =
            now.iter().map(|(name, text)| (self.folder.join(name).display().to_string(), text)).collect();
        let read = Bank::parse(&named);
        self.known = now.clone();
        match read {
            Ok(bank) => {
                self.refused = false;
                let (bank, reasons) = by_hand(book.learned(), bank, step + 1);
                book.replace_learned(bank, reasons);
                None
            }
            Err(error) => {
                self.refused = true;
                Some(RunEvent::ConfigRejected { step, message: error.to_string() })
            }
        }
    }

    /// Writes what was learned, unless a person's edit is there that could not be read.
    ///
    /// # Errors
    /// A file cannot be written; the next call tries again.
    pub fn write(&mut self, book: &SkillBook) -> Result<()> {
        let wanted = book.learned().files();
        if self.refused || wanted == self.known {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        for (name, text) in wanted.iter().filter(|(name, text)| self.known.get(*name) != Some(text)) {
            atomic_write(&self.folder.join(name), text.as_bytes())?;
        }
        for name in self.known.keys().filter(|name| !wanted.contains_key(*name)) {
            fs::remove_file(self.folder.join(name))?;
        }
        self.known = wanted;
        Ok(())
    }
}

/// The files by name; a folder that is not there has none.
fn read(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let named = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        Some((name, fs::read_to_string(path).ok()?))
    };
    files.filter_map(named).collect()
}

/// The edited bank, in which what a person wrote bears a person's name; and what became of each skill.
fn by_hand(before: &Bank, mut after: Bank, step: u64) -> (Bank, Vec<(String, Happened, String)>) {
    let texts = |bank: &Bank| -> BTreeMap<String, Skill> {
        bank.skills().map(|(_, skill)| (skill.id.clone(), skill.clone())).collect()
    };
    let (was, is) = (texts(before), texts(&after));
    let mut reasons = vec![];
    for id in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        let happened = match (was.get(id), is.get(id)) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(old), Some(new)) if !old.disabled && new.disabled => Happened::Disabled,
            (Some(old), Some(new)) if old.disabled && !new.disabled => Happened::Enabled,
            (Some(_), Some(_)) => Happened::Edited,
            (_, None) => Happened::Removed,
            (None, _) => Happened::Added,
        };
        if let (Happened::Added | Happened::Edited, Some(skill)) = (happened, after.skill_mut(id)) {
            skill.provenance = Provenance { author: Author::Hand, step, ..Provenance::default() };
        }
        reasons.push((id.clone(), happened, "edited by hand in the run's skills".to_owned()));
    }
    (after, reasons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skill::Way;

    const ONE: &str = "category = 'mistakes'\n[[skill]]\nid = 'dyn-0001'\ntitle = 'T'\ntext = 'One.'\n";

    fn book() -> SkillBook {
        let mut book = SkillBook::new(Bank::default(), Way::default());
        book.replace_learned(Bank::parse(&[("a", ONE)]).unwrap(), vec![]);
        book.tell();
        book
    }

    #[test]
    fn edits_take_effect_and_broken_ones_do_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("skills");
        let mut book = book();
        let mut files = LearnedFiles::begin(folder.clone(), &book).unwrap();
        let path = folder.join("mistakes.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(files.pick_up(&mut book, 3).is_none() && book.news().is_empty());

        fs::write(&path, text.replace("One.", "Uno.")).unwrap();
        assert!(files.pick_up(&mut book, 3).is_none());
        let news = book.news();
        assert_eq!((news[0].happened, news[0].skill.text.as_str()), (Happened::Edited, "Uno."));
        assert_eq!((news[0].skill.provenance.author, news[0].skill.provenance.step), (Author::Hand, 4));

        let broken = "category = 'mistakes'\nskil = 3\n";
        fs::write(&path, broken).unwrap();
        let Some(RunEvent::ConfigRejected { step: 4, message }) = files.pick_up(&mut book, 4) else { panic!() };
        assert!(message.contains("mistakes.toml:2:1: unknown field `skil`"), "{message}");
        assert!(files.pick_up(&mut book, 5).is_none(), "told once");
        assert_eq!(book.learned().skill("dyn-0001").unwrap().text, "Uno.", "the previous version is in force");
        files.write(&book).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), broken, "a person's edit is not overwritten");

        fs::write(&path, text + "disabled = true\n").unwrap();
        assert!(files.pick_up(&mut book, 5).is_none());
        assert!(book.shelf().is_empty());
        let mut other = SkillBook::new(Bank::default(), Way::default());
        other.tell();
        files.write(&other).unwrap();
        assert!(!path.exists(), "a category without a skill has no file");
    }
}
