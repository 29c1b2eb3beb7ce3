//! What a trainer holds: a bank, how to choose from it, where to put it, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bank::Bank;
use super::prompt::{Fitted, Layout, Placed, Placement, fit};
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
    placement: Placement,
}

impl Context {
    /// Whether nothing is shown.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The strings for the prompt's slot and prefix.
    pub fn placed(&self) -> Placed {
        self.placement.place(&self.text)
    }

    /// Drops whole skills from the end until the text holds at most `budget` tokens by `count`; see [`fit`]. The few
    /// tokens of a raw prefix's own first line are the caller's to reserve.
    pub fn fit(&mut self, budget: usize, count: &dyn Fn(&str) -> usize) {
        // a skill is one line, and no skill has a line end in it
        let lines: Vec<String> = self.text.lines().map(str::to_owned).collect();
        let Fitted { text, kept, lost_tokens } = fit(&lines, budget, count);
        self.text = text;
        self.ids.truncate(kept);
        self.titles.truncate(kept);
        self.reasons.truncate(kept);
        self.lost_tokens += lost_tokens;
    }
}

/// What came of one episode whose teacher was shown skills.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// As in [`Context::ids`].
    pub ids: &'a [String],
    pub won: bool,
    /// Gaps of the episode's sampled tokens, `(sum, count)`; `None` without a teacher's scores.
    pub gap: Option<(f64, f64)>,
}

/// What came of a skill since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkillStats {
    /// Episodes whose teacher was shown it.
    pub uses: u64,
    /// How many of those were won.
    pub wins: u64,
    /// Sum of the gaps of their tokens.
    pub gap_sum: f64,
    /// Count of those tokens.
    pub gap_tokens: f64,
}

impl SkillStats {
    /// Mean gap over the tokens it conditioned; `None` before the first. Shared by all skills of an episode: it says
    /// how the contexts with this skill did, not what the skill alone did.
    pub fn mean_gap(&self) -> Option<f64> {
        (self.gap_tokens > 0.0).then(|| self.gap_sum / self.gap_tokens)
    }

    fn add(&mut self, shown: &Shown) {
        let (sum, count) = shown.gap.unwrap_or_default();
        self.uses += 1;
        self.wins += u64::from(shown.won);
        self.gap_sum += sum;
        self.gap_tokens += count;
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
        let mut context = Context { placement: self.placement, ..Context::default() };
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

    /// Adds the episodes of one step to the statistics and returns the step's own uses, by id.
    pub fn learn(&mut self, step: &[Shown]) -> Vec<SkillUse> {
        let mut uses = Statistics::new();
        for shown in step {
            for id in shown.ids.iter().collect::<BTreeSet<_>>() {
                uses.entry(id.clone()).or_default().add(shown);
                self.statistics.entry(id.clone()).or_default().add(shown);
            }
        }
        uses.into_iter()
            .map(|(id, stats)| SkillUse {
                title: self.bank.skill(&id).map_or_else(|| id.clone(), |skill| skill.title.clone()),
                uses: u32::try_from(stats.uses).unwrap_or(u32::MAX),
                won: u32::try_from(stats.wins).unwrap_or(u32::MAX),
                gap: stats.mean_gap(),
                id,
            })
            .collect()
    }

    /// The bank in use.
    pub fn bank(&self) -> &Bank {
        &self.bank
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
