//! Which skills a task's teacher is shown, and why. Pure: bank, task and seed decide.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::bank::{Bank, Skill, SkillGroup, words};
use crate::core::{Task, rng};

/// A way to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retrieval {
    /// Skills without a condition, and the first group with a keyword in the goal (the paper's KM: one task type).
    #[default]
    Keyword,
    /// Skills without a condition, and every group with a keyword in the goal (what SDAR's released code does).
    KeywordAny,
    /// The whole bank, whatever the task.
    Full,
    /// `n` skills drawn from the whole bank, whatever the task (control). Whether the paper's random retrieval keeps
    /// the general skills is not stated; here nothing is kept.
    Random {
        /// Skills to draw; more than the bank has = all of it, 0 = none.
        n: usize,
    },
    /// No skills: teacher and student read the same prompt (control).
    None,
}

/// A chosen skill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    pub id: String,
    pub category: String,
    /// Why it was chosen, e.g. ``keyword `clean` in the goal``.
    pub reason: String,
}

impl Retrieval {
    /// The skills for `task`, in prompt order. Only [`Retrieval::Random`] depends on the seed.
    ///
    /// A keyword is looked for in the goal and in the task type (`pick_two_obj` has the word `two`), as whole words;
    /// the released code looks for substrings, which finds `pen` in `pencil`.
    pub fn choose(&self, bank: &Bank, task: &Task, seed: u64) -> Vec<Chosen> {
        match *self {
            Retrieval::Keyword => by_keyword(bank, task, Reach::First),
            Retrieval::KeywordAny => by_keyword(bank, task, Reach::Every),
            Retrieval::Full => {
                bank.skills().map(|(group, skill)| chosen(group, skill, "the whole bank".to_owned())).collect()
            }
            Retrieval::Random { n } => at_random(bank, n, seed),
            Retrieval::None => Vec::new(),
        }
    }
}

/// How many groups with a matching keyword are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    First,
    Every,
}

fn by_keyword(bank: &Bank, task: &Task, reach: Reach) -> Vec<Chosen> {
    let texts = Texts::of(task);
    let mut found = false;
    let mut result = Vec::new();
    for group in bank.groups() {
        let Some(group_match) = texts.condition(&group.keywords) else { continue };
        if group_match.is_some() && reach == Reach::First && found {
            continue;
        }
        found |= group_match.is_some();
        for skill in &group.skills {
            let Some(own_match) = texts.condition(&skill.keywords) else { continue };
            let reason = own_match.or_else(|| group_match.clone()).unwrap_or_else(|| "for every goal".to_owned());
            result.push(chosen(group, skill, reason));
        }
    }
    result
}

fn at_random(bank: &Bank, n: usize, seed: u64) -> Vec<Chosen> {
    let all: Vec<_> = bank.skills().collect();
    let mut drawn: Vec<usize> = (0..all.len()).collect();
    drawn.shuffle(&mut rng::stream(seed, "skills", &[]));
    drawn.truncate(n);
    drawn.sort_unstable();
    drawn.into_iter().map(|index| chosen(all[index].0, all[index].1, "drawn at random".to_owned())).collect()
}

fn chosen(group: &SkillGroup, skill: &Skill, reason: String) -> Chosen {
    Chosen { id: skill.id.clone(), category: group.category.clone(), reason }
}

/// A task as keywords see it: words between single spaces, with a space at either end.
struct Texts {
    goal: String,
    kind: String,
}

impl Texts {
    fn of(task: &Task) -> Self {
        let spaced = |text: &str| format!(" {} ", words(text).join(" "));
        Self { goal: spaced(&task.goal), kind: spaced(&task.kind) }
    }

    /// `None` = the condition fails; `Some(None)` = there is none; `Some(Some(reason))` = it holds.
    fn condition(&self, keywords: &[String]) -> Option<Option<String>> {
        if keywords.is_empty() {
            return Some(None);
        }
        let places = [("the goal", &self.goal), ("the task type", &self.kind)];
        let found = places.iter().find_map(|(place, text)| {
            let keyword = keywords.iter().find(|keyword| text.contains(&format!(" {keyword} ")))?;
            Some(format!("keyword `{keyword}` in {place}"))
        });
        found.map(Some)
    }
}
