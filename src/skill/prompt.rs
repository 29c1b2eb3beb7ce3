//! Skills as text, and where the teacher's prompt carries it.

use serde::{Deserialize, Serialize};

use super::bank::Skill;
use crate::core::skill::Analyses;

/// How a skill is written; always one line a skill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The text alone, then `when` if there is one: every token costs.
    #[default]
    Compact,
    /// `title: text`, then `when`.
    Titled,
    /// As `titled`, then what an author made of an episode: what works, what to avoid, the steps.
    Full,
}

impl Layout {
    /// The line of one skill.
    pub fn line(self, skill: &Skill) -> String {
        let own = analyses(&skill.analyses);
        let text = if skill.text.is_empty() { &own } else { &skill.text };
        let mut line = match self {
            Layout::Compact => text.clone(),
            Layout::Titled | Layout::Full => format!("{}: {text}", skill.title),
        };
        if let Some(when) = &skill.when {
            line.push(' ');
            line.push_str(when);
        }
        if self == Layout::Full && !skill.text.is_empty() && !own.is_empty() {
            line.push(' ');
            line.push_str(&own);
        }
        line
    }
}

/// The analyses in one line; empty without any.
fn analyses(analyses: &Analyses) -> String {
    let names = ["What works:", "Avoid:", "Steps:"];
    let parts = names.iter().zip(analyses.parts()).filter(|(_, (_, text))| !text.is_empty());
    parts.map(|(name, (_, text))| format!("{name} {text}")).collect::<Vec<_>>().join(" ")
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
    /// As a system message of its own before the user message; needs a chat template with that role.
    System,
    /// Before what the user says, in every turn of the row (HINT-SD inserts its feedback so, at single turns).
    AtTurn,
}

impl Placement {
    /// What goes into the `{{skills}}` slot; `None` = the template's branch without skills, the student's prompt.
    pub fn slot(self, text: &str) -> Option<&str> {
        (self == Placement::UserSlot && !text.is_empty()).then_some(text)
    }

    /// What goes before the rendered prompt; empty = nothing.
    pub fn prefix(self, text: &str) -> String {
        if self == Placement::PrefixRaw { prefix_raw(text) } else { String::new() }
    }

    /// The system message; `None` = there is none.
    pub fn system(self, text: &str) -> Option<String> {
        (self == Placement::System && !text.is_empty()).then(|| format!("{SYSTEM}\n{text}"))
    }

    /// What goes before the words of the user, in every turn; empty = nothing.
    pub fn turn(self, text: &str) -> String {
        if self == Placement::AtTurn && !text.is_empty() { format!("{TURN}\n{text}\n") } else { String::new() }
    }
}

/// What a system message says before the skills.
const SYSTEM: &str = "What is known to help in this environment:";
/// What a turn says before them.
const TURN: &str = "Keep in mind:";

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
