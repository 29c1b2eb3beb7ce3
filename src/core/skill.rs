//! What records say of skills: the bank as it stands, how it changes, what was chosen and why, what came of it.
//!
//! A reader gets the bank of any step from [`crate::run::bank::BankView`]; the statistics of a skill stand in every
//! [`SkillUse`], cumulated up to and including that step.

use serde::{Deserialize, Serialize};

use super::episode::EpisodeId;

/// Who wrote a skill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Author {
    /// A file of the bank the recipe names.
    #[default]
    File,
    /// A person, in the run's own `skills/learned.toml`.
    Hand,
    /// The deterministic episode distiller.
    Distiller,
    /// A language model behind an OpenAI-compatible endpoint.
    Endpoint,
    /// The policy itself.
    Policy,
}

impl Author {
    /// As it is written in records.
    pub fn name(self) -> &'static str {
        match self {
            Author::File => "file",
            Author::Hand => "hand",
            Author::Distiller => "distiller",
            Author::Endpoint => "endpoint",
            Author::Policy => "policy",
        }
    }
}

/// Where a skill comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    pub author: Author,
    /// First step whose teacher could read it; 0 = there from the start.
    pub step: u64,
    /// The episode it was made of; for a contrast the better one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<EpisodeId>,
    /// Task of that episode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Score of that episode in [0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// Model behind the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// SHA-256 of the prompt the author was given, in hexadecimal; none for people and the distiller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

/// What an author made of an episode (Skill-SD's schema); empty = nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Analyses {
    /// What was right and can be reused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub success_analysis: String,
    /// What failed, and why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mistake_analysis: String,
    /// The steps to take, in order.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub golden_workflow: String,
}

impl Analyses {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts().iter().all(|(_, text)| text.is_empty())
    }

    /// The three parts under their names, in the order in which they are shown.
    pub fn parts(&self) -> [(&'static str, &str); 3] {
        [
            ("success_analysis", &self.success_analysis),
            ("mistake_analysis", &self.mistake_analysis),
            ("golden_workflow", &self.golden_workflow),
        ]
    }
}

/// A skill of the bank, complete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SkillCard {
    pub id: String,
    pub category: String,
    pub title: String,
    /// What the teacher reads.
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Its group's and its own, as `a goal with one of these`; empty = every goal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    #[serde(skip_serializing_if = "Analyses::is_empty")]
    pub analyses: Analyses,
    /// Kept in the bank but never retrieved.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    pub provenance: Provenance,
}

/// What happened to a skill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    Added,
    /// Reworded, or its conditions changed.
    Edited,
    Disabled,
    Enabled,
    /// Taken out by the evolution rule: it does harm.
    Retired,
    /// Taken out because the bank was full.
    Evicted,
    /// Taken out by a person.
    Removed,
}

impl Happened {
    /// Whether the skill is out of the bank afterwards.
    pub fn is_end(self) -> bool {
        matches!(self, Happened::Retired | Happened::Evicted | Happened::Removed)
    }
}

/// One change of the bank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BankChange {
    pub happened: Happened,
    /// The skill as it is afterwards, or as it last was.
    pub skill: SkillCard,
    /// Why, in words.
    pub reason: String,
}

/// What was chosen for the episodes of one group; its members share the choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    pub group: u32,
    /// In prompt order; skills that did not fit the budget are left out.
    pub picks: Vec<Pick>,
    /// Tokens of chosen skill text that did not fit.
    pub lost_tokens: u64,
}

/// A chosen skill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pick {
    pub id: String,
    /// e.g. ``keyword `clean` in the goal``.
    pub reason: String,
}

/// A skill as it was used in one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SkillUse {
    pub id: String,
    pub title: String,
    /// Episodes of this step whose teacher was shown the skill.
    pub uses: u32,
    /// How many of those were won.
    pub won: u32,
    /// Mean gap over the tokens the skill conditioned.
    pub gap: Option<f64>,
    /// Mean gap over those of won episodes: positive = it endorses what works, negative = it speaks against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_won: Option<f64>,
    /// Mean gate over the tokens it conditioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<f64>,
    /// Everything up to and including this step.
    #[serde(default)]
    pub total: SkillTotals,
}

/// What came of a skill since the run began. `None` = nothing is known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SkillTotals {
    /// Episodes whose teacher was shown it, and how many of them were won.
    pub uses: u64,
    pub won: u64,
    /// Episodes of the same task types whose teacher was not, and how many of them were won.
    pub other_uses: u64,
    pub other_won: u64,
    /// Mean over the steps that used it, weighted by episodes.
    pub gap: Option<f64>,
    pub gap_won: Option<f64>,
    pub gate: Option<f64>,
    /// Retrievals (one per group) that chose it: `n(e)` of UCB.
    pub picks: u64,
    /// Mean score of the episodes it was chosen for, in [0, 1].
    pub reward: Option<f64>,
    /// Mean score + c sqrt(ln N / n), N = retrievals for this step's task type; what UCB retrieval compares.
    pub ucb: Option<f64>,
    /// Success of students who read it less that of students who did not, on the same tasks: a moving average (UCOB).
    /// Known where a method plays part of a group with skills, or the panel is also played with skills.
    pub utility: Option<f64>,
    /// Comparisons behind `utility`.
    pub trials: u64,
    /// Further episodes that said the same.
    pub said: u64,
}

impl SkillTotals {
    /// Success with the skill less success without it, over episodes of its task types; `None` before both are known.
    pub fn uplift(&self) -> Option<f64> {
        let share = |won: u64, of: u64| (of > 0).then(|| won as f64 / of as f64);
        Some(share(self.won, self.uses)? - share(self.other_won, self.other_uses)?)
    }
}
