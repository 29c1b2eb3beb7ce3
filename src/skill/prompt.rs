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

/// The two strings a placement gives; at most one is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// For the `{{skills}}` slot.
    pub slot: String,
    /// To be put before the rendered prompt.
    pub prefix: String,
}

impl Placement {
    /// Where `text` goes. Without skills both strings are empty: the teacher reads the student's prompt.
    pub fn place(self, text: &str) -> Placed {
        if text.is_empty() {
            return Placed::default();
        }
        match self {
            Placement::UserSlot => Placed { slot: text.to_owned(), prefix: String::new() },
            Placement::PrefixRaw => Placed { slot: String::new(), prefix: format!("{PREFIX_HEAD}\n{text}\n\n") },
        }
    }
}

/// First line of the raw prefix, as in SDAR's released code.
const PREFIX_HEAD: &str = "[Privileged Skill Information]";

/// What [`fit`] kept and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fitted {
    /// The kept lines, joined by line ends.
    pub text: String,
    /// Lines kept, from the start.
    pub kept: usize,
    /// Tokens of the whole text minus tokens of the kept one: to be recorded, never to be silent about.
    pub lost_tokens: usize,
}

/// Keeps as many whole lines from the start as `budget` tokens hold; `count` counts the tokens of a text.
///
/// Lines go from the end, the least general first. SDAR's released code instead cuts the joined prompt on its left,
/// which drops the start of the skill text, its general skills, and can cut through a word.
pub fn fit(lines: &[String], budget: usize, count: &dyn Fn(&str) -> usize) -> Fitted {
    let tokens = |text: &str| if text.is_empty() { 0 } else { count(text) };
    let whole = tokens(&lines.join("\n"));
    for kept in (0..=lines.len()).rev() {
        let text = lines[..kept].join("\n");
        let cost = tokens(&text);
        if cost <= budget || kept == 0 {
            return Fitted { text, kept, lost_tokens: whole.saturating_sub(cost) };
        }
    }
    Fitted::default()
}
