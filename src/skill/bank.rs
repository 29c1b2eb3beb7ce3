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
//! ```
//!
//! Rules
//! 1. Unknown keys, empty or repeated ids, empty texts and titles, and empty keywords are refused with their place.
//! 2. A keyword is one or more words; it occurs in a goal as whole words, in any case (`pen` is not in `pencil`).
//! 3. Titles, texts and `when` are neutralised: control characters (line ends too) become spaces, invisible direction
//!    and zero-width characters go, and chat markup such as `<|im_start|>` is broken by a space, so that a bank can
//!    neither open a role in a prompt nor steer a terminal.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    /// Unique in its bank.
    pub id: String,
    /// For people.
    pub title: String,
    /// What the teacher reads; one line.
    pub text: String,
    /// When it applies; one line.
    pub when: Option<String>,
    /// The skill is only for goals with one of these; empty = no condition. Lower case.
    pub keywords: Vec<String>,
}

/// The skills of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillGroup {
    /// `general` and `mistakes` have fixed places in a prompt; any other name is free.
    pub category: String,
    /// The group is only for goals with one of these; empty = no condition. Lower case.
    pub keywords: Vec<String>,
    pub skills: Vec<Skill>,
}

/// Skills of one environment, in the order in which a prompt shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Reads every `*.toml` of `folder` (not of folders in it). A folder that cannot be read, a file that is refused,
    /// and a folder without a skill file are errors.
    pub fn load(folder: &Path) -> Result<Self, BankError> {
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
        if files.is_empty() {
            let message = "holds no `*.toml` file, add one or choose retrieval `none`".to_owned();
            return Err(BankError { file: folder.display().to_string(), place: None, message });
        }
        files.sort();
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
        groups.sort_by_key(|group: &SkillGroup| match group.category.as_str() {
            GENERAL => 0,
            MISTAKES => 2,
            _ => 1,
        });
        Ok(Self { groups })
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

/// Category that is shown first.
pub const GENERAL: &str = "general";
/// Category that is shown last.
pub const MISTAKES: &str = "mistakes";

/// `text` on one line and without power over a prompt or a terminal (rule 3 of the module).
pub fn neutralise(text: &str) -> String {
    let visible: String = text
        .chars()
        .filter(|&c| !INVISIBLE.iter().any(|range| range.contains(&c)))
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect();
    // a space inside a mark breaks it, and no mark has a space in it, so that none can arise anew
    let broken = MARKS.iter().fold(visible, |text, mark| {
        let (head, tail) = mark.split_at(1);
        text.replace(mark, &format!("{head} {tail}"))
    });
    broken.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Zero-width and direction characters.
const INVISIBLE: [std::ops::RangeInclusive<char>; 5] = [
    '\u{ad}'..='\u{ad}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{2069}',
    '\u{feff}'..='\u{feff}',
];

/// What opens or closes a role in common chat templates; each begins with a one-byte character.
const MARKS: [&str; 12] = [
    "<|",
    "|>",
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<</SYS>>",
];

/// A file being read.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn group(&self, seen: &mut BTreeMap<String, String>) -> Result<SkillGroup, BankError> {
        let file: GroupFile = toml::from_str(self.text).map_err(|error| {
            let message = format!("{}, compare the format in `skills/household`", error.message().replace('\n', ", "));
            BankError { message, ..self.refusal(error.span(), "") }
        })?;
        let keywords = self.keywords(file.keywords)?;
        let category = file.category;
        let free = category.get_ref() != GENERAL && category.get_ref() != MISTAKES;
        let mut skills = Vec::with_capacity(file.skill.len());
        for entry in file.skill {
            if free && keywords.is_empty() && entry.keywords.is_empty() {
                let reason = "a skill for every goal outside `general` and `mistakes`, give it or its file `keywords`";
                return Err(self.refusal(Some(entry.id.span()), reason));
            }
            skills.push(self.skill(entry, seen)?);
        }
        Ok(SkillGroup { category: self.line(category, "category")?, keywords, skills })
    }

    fn skill(&self, entry: SkillEntry, seen: &mut BTreeMap<String, String>) -> Result<Skill, BankError> {
        let span = entry.id.span();
        let id = self.line(entry.id, "id")?;
        if let Some(first) = seen.get(&id) {
            let reason = format!("the id `{id}` is already used in {first}, give each skill its own");
            return Err(self.refusal(Some(span), &reason));
        }
        seen.insert(id.clone(), self.name.to_owned());
        Ok(Skill {
            id,
            title: self.line(entry.title, "title")?,
            text: self.line(entry.text, "text")?,
            when: entry.when.map(|when| self.line(when, "when")).transpose()?,
            keywords: self.keywords(entry.keywords)?,
        })
    }

    fn keywords(&self, keywords: Vec<Spanned<String>>) -> Result<Vec<String>, BankError> {
        keywords
            .into_iter()
            .map(|keyword| {
                let span = keyword.span();
                let words = words(keyword.get_ref());
                if words.is_empty() {
                    return Err(self.refusal(Some(span), "a keyword without letters or digits, remove it"));
                }
                Ok(words.join(" "))
            })
            .collect()
    }

    /// Neutralised and not empty.
    fn line(&self, value: Spanned<String>, key: &str) -> Result<String, BankError> {
        let span = value.span();
        let line = neutralise(value.get_ref());
        if line.is_empty() {
            return Err(self.refusal(Some(span), &format!("`{key}` is empty, write one or remove the skill")));
        }
        Ok(line)
    }

    fn refusal(&self, span: Option<Range<usize>>, message: &str) -> BankError {
        let place = span.map(|span| {
            // a span of the parser lies in the text it parsed
            let before = self.text.get(..span.start).unwrap_or(self.text);
            let line_start = before.rfind('\n').map_or(0, |end| end + 1);
            (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
        });
        BankError { file: self.name.to_owned(), place, message: message.to_owned() }
    }
}

/// The words of `text` in lower case: runs of letters and digits.
pub(super) fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupFile {
    category: Spanned<String>,
    #[serde(default)]
    keywords: Vec<Spanned<String>>,
    #[serde(default)]
    skill: Vec<SkillEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkillEntry {
    id: Spanned<String>,
    title: Spanned<String>,
    text: Spanned<String>,
    when: Option<Spanned<String>>,
    #[serde(default)]
    keywords: Vec<Spanned<String>>,
}
