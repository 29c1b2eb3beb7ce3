//! Skills as text, and where the teacher's prompt carries it.

use serde::{Deserialize, Serialize};

use super::bank::Skill;

/// How a skill is written; always one line a skill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The text alone, then `when` if there is one: every token costs.
    #[default]
    Compact,
    /// `title: text`, then `when`.
    Titled,
}

impl Layout {
    /// The line of one skill.
    pub fn line(self, skill: &Skill) -> String {
        let mut line = match self {
            Layout::Compact => skill.text.clone(),
            Layout::Titled => format!("{}: {}", skill.title, skill.text),
        };
        if let Some(when) = &skill.when {
            line.push(' ');
            line.push_str(when);
        }
        line
    }
}

/// Where the teacher's prompt carries the skills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Inside the user message, in the `{{skills}}` slot of the prompt template (SDAR's paper).
    #[default]
    UserSlot,
    /// As raw text before the first role token of the rendered chat prompt, in no role (SDAR's released code).
    PrefixRaw,
}

impl Placement {
    /// What goes into the `{{skills}}` slot; `None` = the template's branch without skills, the student's prompt.
    pub fn slot(self, text: &str) -> Option<&str> {
        (self == Placement::UserSlot && !text.is_empty()).then_some(text)
    }

    /// What goes before the rendered prompt; empty = nothing.
    pub fn prefix(self, text: &str) -> String {
        match self {
            Placement::UserSlot => String::new(),
            Placement::PrefixRaw => prefix_raw(text),
        }
    }
}

/// The raw prefix of SDAR's released code, to be put before the rendered chat prompt; empty without skills, so that
/// the teacher then reads the student's prompt.
pub fn prefix_raw(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("[Privileged Skill Information]\n{text}\n\n") }
}

/// Keeps as many whole lines of `text` from its start as `budget` tokens hold, and says how many tokens were lost
/// (to be recorded, never to be silent about). `count` counts the tokens of a text.
///
/// Lines go from the end, the least general first. SDAR's released code instead cuts the joined prompt on its left,
/// which drops the start of the skill text, its general skills, and can cut through a word.
pub fn fit(text: &str, budget: usize, count: impl Fn(&str) -> usize) -> (String, usize) {
    let whole = if text.is_empty() { 0 } else { count(text) };
    let (mut kept, mut cost) = (text, whole);
    while cost > budget && !kept.is_empty() {
        kept = kept.rfind('\n').map_or("", |end| &kept[..end]);
        cost = if kept.is_empty() { 0 } else { count(kept) };
    }
    (kept.to_owned(), whole.saturating_sub(cost))
}
