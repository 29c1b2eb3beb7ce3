//! The bank: skills as TOML files under `skills/<env>/`.
//!
//! A file is a group, read in the order of file names:
//!
//! ```toml
//! category = "clean"              # `general` comes first and `mistakes` last, wherever their files stand
//! keywords = ["clean"]            # the group is meant for goals with one of these; none = for every goal
//!
//! [[skill]]
//! id = "clean-1"                  # unique in the bank
//! title = "Use the sinkbasin"     # for people; the teacher does not read it by default
//! text = "To clean an object, hold it and use the sinkbasin."
//! when = "..."                    # optional: when it applies, appended to the text
//! keywords = ["..."]              # optional: this skill only for goals with one of these, besides the group's rule
//! disabled = true                 # optional: kept, never retrieved
//! success_analysis = "..."        # optional, as are the next two: what was made of an episode; with one of them,
//! mistake_analysis = "..."        # `text` may be left out, and the teacher reads them
//! golden_workflow = "..."
//! provenance = { author = "distiller", step = 5, task = "household/train/3", score = 1.0 }   # optional
//! ```
//!
//! Rules
//! 1. Unknown keys, empty or repeated ids, empty texts and titles, and empty keywords are refused with their place.
//! 2. A keyword is one or more words; it occurs in a goal as whole words, in any case (`pen` is not in `pencil`).
//! 3. Titles, texts and `when` are neutralised: control characters (line ends too) become spaces, invisible direction
//!    and zero-width characters go, and chat markup such as `<|im_start|>` is broken by a space, so that a bank can
//!    neither open a role in a prompt nor steer a terminal.
//! 4. What a run learns stands in the same form in its own `skills/` folder, a file per category ([`Bank::files`]).
//!    Statistics are never in these files: a checkpoint and the records keep them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::parse::Source;
use crate::core::skill::{Analyses, Provenance, SkillCard};

/// One piece of advice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Skill {
    /// Unique in its bank.
    pub id: String,
    /// For people.
    pub title: String,
    /// What the teacher reads; one line. May be empty where there are analyses.
    pub text: String,
    /// When it applies; one line.
    pub when: Option<String>,
    /// The skill is only for goals with one of these; empty = no condition. Lower case.
    pub keywords: Vec<String>,
    /// What an author made of an episode.
    pub analyses: Analyses,
    /// Kept, never retrieved.
    pub disabled: bool,
    pub provenance: Provenance,
}

/// The skills of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SkillGroup {
    /// `general` and `mistakes` have fixed places in a prompt; any other name is free.
    pub category: String,
    /// The group is only for goals with one of these; empty = no condition. Lower case.
    pub keywords: Vec<String>,
    pub skills: Vec<Skill>,
}

/// Skills of one environment, in the order in which a prompt shows them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bank {
    groups: Vec<SkillGroup>,
}

/// Why a bank was refused. Reads `file:line:column: reason, remedy`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BankError {
    /// File as the caller named it, or the folder.
    pub file: String,
    /// Line and column, both from 1; `None` where the whole file is meant.
    pub place: Option<(usize, usize)>,
    /// Reason and remedy.
    pub message: String,
}

impl fmt::Display for BankError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl Bank {
    /// The bank a recipe names: a folder, or nothing (`""`) for a run that starts with an empty one.
    pub fn open(folder: &str) -> Result<Self, BankError> {
        if folder.is_empty() { Ok(Self::default()) } else { Self::load(Path::new(folder)) }
    }

    /// Reads every `*.toml` of `folder` (not of folders in it). A folder that cannot be read, a file that is refused,
    /// and a folder without a skill file are errors.
    pub fn load(folder: &Path) -> Result<Self, BankError> {
        let files = read_folder(folder)?;
        if files.is_empty() {
            let message = "holds no `*.toml` file, add one or choose retrieval `none`".to_owned();
            return Err(BankError { file: folder.display().to_string(), place: None, message });
        }
        Self::parse(&files)
    }

    /// Reads a bank from `(file name, text)` pairs, in their order.
    pub fn parse<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)]) -> Result<Self, BankError> {
        let mut groups = Vec::with_capacity(files.len());
        let mut seen = BTreeMap::new();
        for (name, text) in files {
            let source = Source { name: name.as_ref(), text: text.as_ref() };
            groups.push(source.group(&mut seen)?);
        }
        Ok(Self::of(groups))
    }

    /// A bank of groups, brought into prompt order.
    pub fn of(mut groups: Vec<SkillGroup>) -> Self {
        groups.sort_by_key(|group: &SkillGroup| match group.category.as_str() {
            GENERAL => 0,
            MISTAKES => 2,
            _ => 1,
        });
        Self { groups }
    }

    /// Both banks; of two skills with one id, that of `self`.
    pub fn with(&self, other: &Bank) -> Self {
        let taken: BTreeSet<&str> = self.skills().map(|(_, skill)| skill.id.as_str()).collect();
        let mut more = other.groups.clone();
        more.iter_mut().for_each(|group| group.skills.retain(|skill| !taken.contains(skill.id.as_str())));
        Self::of([self.groups.clone(), more].concat())
    }

    /// Puts a skill into the group of that name that has no condition of its own, which is made if there is none.
    pub fn add(&mut self, category: &str, skill: Skill) {
        match self.groups.iter_mut().find(|group| group.category == category && group.keywords.is_empty()) {
            Some(group) => group.skills.push(skill),
            None => {
                let group = SkillGroup { category: category.to_owned(), keywords: vec![], skills: vec![skill] };
                *self = Self::of([std::mem::take(&mut self.groups), vec![group]].concat());
            }
        }
    }

    /// Takes the skill of that id out.
    pub fn remove(&mut self, id: &str) -> Option<Skill> {
        let mut found = None;
        for group in &mut self.groups {
            if let Some(at) = group.skills.iter().position(|skill| skill.id == id) {
                found = Some(group.skills.remove(at));
            }
        }
        self.groups.retain(|group| !group.skills.is_empty());
        found
    }

    /// The skill of that id, to be changed.
    pub fn skill_mut(&mut self, id: &str) -> Option<&mut Skill> {
        self.groups.iter_mut().flat_map(|group| &mut group.skills).find(|skill| skill.id == id)
    }

    /// Number of skills.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.skills.len()).sum()
    }

    /// Whether there is no skill.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every skill as records tell it, in prompt order.
    pub fn cards(&self) -> Vec<SkillCard> {
        self.skills().map(|(group, skill)| skill.card(group)).collect()
    }

    /// Groups in prompt order: `general`, the others as their files are named, `mistakes`.
    pub fn groups(&self) -> &[SkillGroup] {
        &self.groups
    }

    /// Every skill with its group, in prompt order.
    pub fn skills(&self) -> impl Iterator<Item = (&SkillGroup, &Skill)> {
        self.groups.iter().flat_map(|group| group.skills.iter().map(move |skill| (group, skill)))
    }

    /// The skill of that id.
    pub fn skill(&self, id: &str) -> Option<&Skill> {
        self.skills().map(|(_, skill)| skill).find(|skill| skill.id == id)
    }
}

impl Skill {
    /// The skill with all that its group says of it.
    pub fn card(&self, group: &SkillGroup) -> SkillCard {
        let mut keywords = [group.keywords.as_slice(), &self.keywords].concat();
        keywords.dedup();
        SkillCard {
            id: self.id.clone(),
            category: group.category.clone(),
            title: self.title.clone(),
            text: self.text.clone(),
            when: self.when.clone(),
            keywords,
            analyses: self.analyses.clone(),
            disabled: self.disabled,
            provenance: self.provenance.clone(),
        }
    }
}

/// Names and texts of the `*.toml` files of a folder (not of folders in it), by name.
pub(super) fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, BankError> {
    let unreadable = |path: &Path, error: std::io::Error| BankError {
        file: path.display().to_string(),
        place: None,
        message: format!("cannot be read: {error}, name a folder of skill files"),
    };
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    Ok(files)
}

/// Category that is shown first.
pub const GENERAL: &str = "general";
/// Category that is shown last.
pub const MISTAKES: &str = "mistakes";
