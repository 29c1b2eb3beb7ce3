//! What a trainer holds: a bank, how to choose from it, where to put it, and what came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bank::Bank;
use super::prompt::{Layout, Placement, fit};
use super::retrieve::{Chosen, Retrieval};
use crate::core::Task;
use crate::core::event::SkillUse;

/// The bank in use, with statistics per skill.
#[derive(Clone, Debug, Default)]
pub struct SkillBook {
    bank: Bank,
    retrieval: Retrieval,
    placement: Placement,
    layout: Layout,
    statistics: Statistics,
}

/// The teacher's privileged context for one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The skills, one a line; empty = the teacher reads the student's prompt.
    pub text: String,
    /// Ids of the skills in `text`, in order.
    pub ids: Vec<String>,
    /// Their titles.
    pub titles: Vec<String>,
    /// Why each was chosen.
    pub reasons: Vec<String>,
    /// Tokens of skills that were chosen but did not fit ([`Context::fit`]).
    pub lost_tokens: usize,
}

impl Context {
    /// Whether nothing is shown.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Drops whole skills from the end, with their ids, until the text holds at most `budget` tokens by `count`; see
    /// [`fit`]. The few tokens of a raw prefix's own first line are the caller's to reserve.
    pub fn fit(&mut self, budget: usize, count: impl Fn(&str) -> usize) {
        let (text, lost) = fit(&self.text, budget, count);
        self.text = text;
        self.lost_tokens += lost;
        // a skill is one line, and no skill has a line end in it
        let kept = self.text.lines().count();
        self.ids.truncate(kept);
        self.titles.truncate(kept);
        self.reasons.truncate(kept);
    }
}

/// What came of a skill since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkillStats {
    /// Episodes whose teacher was shown it.
    pub uses: u64,
    /// How many of those were won.
    pub wins: u64,
    /// Sum over those episodes whose gaps are known of their step's mean gap.
    pub gap_sum: f64,
    /// Count of those episodes.
    pub gap_uses: u64,
}

impl SkillStats {
    /// Share of its episodes that were won; `None` before the first.
    pub fn win_rate(&self) -> Option<f64> {
        (self.uses > 0).then(|| self.wins as f64 / self.uses as f64)
    }

    /// Mean gap of the tokens it conditioned; `None` before the first. All skills of an episode share its gaps: this
    /// says how the contexts with this skill did, not what the skill alone did.
    pub fn mean_gap(&self) -> Option<f64> {
        (self.gap_uses > 0).then(|| self.gap_sum / self.gap_uses as f64)
    }

    fn add(&mut self, step: &SkillUse) {
        self.uses += u64::from(step.uses);
        self.wins += u64::from(step.won);
        if let Some(gap) = step.gap {
            self.gap_sum += gap * f64::from(step.uses);
            self.gap_uses += u64::from(step.uses);
        }
    }
}

/// Statistics by skill id; what a checkpoint keeps of a book.
pub type Statistics = BTreeMap<String, SkillStats>;

impl SkillBook {
    pub fn new(bank: Bank, retrieval: Retrieval, placement: Placement, layout: Layout) -> Self {
        Self { bank, retrieval, placement, layout, statistics: Statistics::new() }
    }

    /// The skills the teacher of `task` is shown. The seed matters only to random retrieval.
    pub fn choose(&self, task: &Task, seed: u64) -> Context {
        let chosen = self.retrieval.choose(&self.bank, task, seed);
        let mut context = Context::default();
        let mut lines = Vec::with_capacity(chosen.len());
        for Chosen { id, reason, .. } in chosen {
            // chosen from this very bank
            let Some(skill) = self.bank.skill(&id) else { continue };
            lines.push(self.layout.line(skill));
            context.titles.push(skill.title.clone());
            context.ids.push(id);
            context.reasons.push(reason);
        }
        context.text = lines.join("\n");
        context
    }

    /// Adds the uses of one step to the statistics.
    pub fn learn(&mut self, step: &[SkillUse]) {
        for used in step {
            self.statistics.entry(used.id.clone()).or_default().add(used);
        }
    }

    /// Where the teacher's prompt carries the skills.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// The bank in use.
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Chooses in another way from now on.
    pub fn choose_by(&mut self, retrieval: Retrieval, placement: Placement) {
        (self.retrieval, self.placement) = (retrieval, placement);
    }

    /// Takes an edited bank into use; statistics stay, those of skills that are gone too.
    pub fn replace_bank(&mut self, bank: Bank) {
        self.bank = bank;
    }

    /// What to keep in a checkpoint.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Puts back what a checkpoint kept.
    pub fn restore(&mut self, statistics: Statistics) {
        self.statistics = statistics;
    }
}
