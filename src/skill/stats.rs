//! What came of every skill: counted per step, kept apart from the texts, part of every checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::retrieve::Arm;
use crate::core::skill::{SkillTotals, SkillUse};

/// Sum and count of a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    pub sum: f64,
    pub count: f64,
}

impl Mean {
    /// Adds `value`, `weight` times.
    pub fn add(&mut self, value: f64, weight: f64) {
        self.sum += value * weight;
        self.count += weight;
    }

    /// The mean; `None` of nothing.
    pub fn value(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

/// What came of a skill since the run began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SkillStats {
    /// Episodes whose teacher was shown it, and how many of those were won.
    pub uses: u64,
    pub wins: u64,
    /// Episodes of its task types whose teacher was not, and how many of those were won.
    pub other_uses: u64,
    pub other_wins: u64,
    /// Mean gap of its tokens: sum over episodes of their step's mean. All skills of an episode share its gaps: this
    /// says how the contexts with this skill did, not what the skill alone did.
    pub gap_sum: f64,
    /// Count of those episodes.
    pub gap_uses: u64,
    /// The same over the tokens of won episodes.
    pub gap_won: Mean,
    /// The same of gates.
    pub gate: Mean,
    /// Retrievals that chose it, and the score of the groups it was chosen for.
    pub reward: Mean,
    /// UCOB's moving average, see [`SkillTotals::utility`].
    pub utility: f64,
    pub trials: u64,
    /// Further episodes that said the same.
    pub said: u64,
    /// Task types it was ever chosen for.
    pub kinds: BTreeSet<String>,
}

impl SkillStats {
    /// Share of its episodes that were won; `None` before the first.
    pub fn win_rate(&self) -> Option<f64> {
        (self.uses > 0).then(|| self.wins as f64 / self.uses as f64)
    }

    /// Mean gap of the tokens it conditioned; `None` before the first.
    pub fn mean_gap(&self) -> Option<f64> {
        (self.gap_uses > 0).then(|| self.gap_sum / self.gap_uses as f64)
    }

    /// As records tell it; `asked` = retrievals for the task type at hand, `c` = UCB's constant.
    pub fn totals(&self, asked: u64, c: f64) -> SkillTotals {
        SkillTotals {
            uses: self.uses,
            won: self.wins,
            other_uses: self.other_uses,
            other_won: self.other_wins,
            gap: self.mean_gap(),
            gap_won: self.gap_won.value(),
            gate: self.gate.value(),
            picks: self.reward.count as u64,
            reward: self.reward.value(),
            ucb: Some(self.arm().ucb(asked, c)).filter(|ucb| ucb.is_finite()),
            utility: (self.trials > 0).then_some(self.utility),
            trials: self.trials,
            said: self.said,
        }
    }

    /// What UCB retrieval compares.
    pub fn arm(&self) -> Arm {
        Arm { picks: self.reward.count, reward: self.reward.value().unwrap_or(0.0) }
    }

    fn add(&mut self, step: &SkillUse) {
        self.uses += u64::from(step.uses);
        self.wins += u64::from(step.won);
        if let Some(gap) = step.gap {
            self.gap_sum += gap * f64::from(step.uses);
            self.gap_uses += u64::from(step.uses);
        }
        if let Some(gap) = step.gap_won {
            self.gap_won.add(gap, f64::from(step.won.max(1)));
        }
        if let Some(gate) = step.gate {
            self.gate.add(gate, f64::from(step.uses));
        }
    }

    /// One comparison of students that read it with students that did not: `delta` in \[-1, 1\] is the difference of
    /// their success, `decay` the weight of the newest comparison (b of UCOB: U <- (1 - b) U + b delta).
    pub fn compare(&mut self, delta: f64, decay: f64) {
        self.utility = (1.0 - decay) * self.utility + decay * delta;
        self.trials += 1;
    }
}

/// Statistics by skill id.
pub type Statistics = BTreeMap<String, SkillStats>;

/// An episode as the statistics see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lived {
    pub group: u32,
    /// Task type.
    pub kind: String,
    /// Skills its teacher, or the student itself, was shown.
    pub skills: Vec<String>,
    /// Whether the student itself read them.
    pub read: bool,
    pub won: bool,
    /// In [0, 1].
    pub score: f64,
    /// Over its sampled tokens; no count where there was no teacher.
    pub gap: Mean,
    pub gate: Mean,
}

/// Everything counted: per skill, and retrievals per task type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    pub skills: Statistics,
    /// Retrievals so far by task type: `N` of UCB.
    pub asked: BTreeMap<String, u64>,
    /// Retired skills, and what they said.
    pub retired: BTreeMap<String, String>,
    /// Skills learned so far, those that are gone included.
    pub born: u64,
}

impl Tally {
    /// The name of the next learned skill; none is used twice.
    pub fn next_id(&mut self) -> String {
        self.born += 1;
        format!("dyn-{:04}", self.born)
    }

    /// Another episode said what a skill says.
    pub fn said(&mut self, id: &str) {
        self.skills.entry(id.to_owned()).or_default().said += 1;
    }

    /// Counts the episodes of one step. Returns the uses of that step, by id, without titles and totals.
    pub fn count(&mut self, step: &[Lived], decay: f64) -> Vec<SkillUse> {
        let ids: BTreeSet<&String> = step.iter().flat_map(|lived| &lived.skills).collect();
        let uses: Vec<SkillUse> = ids.into_iter().map(|id| used(id, step)).collect();
        for one in &uses {
            self.skills.entry(one.id.clone()).or_default().add(one);
        }
        self.reward_choices(step);
        self.count_others(step);
        self.compare_views(step, decay);
        uses
    }

    /// One comparison per skill from tasks that were played with and without it: pairs of (skills shown, difference of
    /// success).
    pub fn compare(&mut self, pairs: &[(&[String], f64)], decay: f64) {
        let mut deltas: BTreeMap<&String, Mean> = BTreeMap::new();
        for (ids, delta) in pairs {
            ids.iter().for_each(|id| deltas.entry(id).or_default().add(*delta, 1.0));
        }
        for (id, delta) in deltas {
            let stats = self.skills.entry(id.clone()).or_default();
            stats.compare(delta.value().unwrap_or(0.0), decay);
        }
    }

    /// A group is one retrieval: it rewards its skills with the mean score of the episodes that were shown them.
    fn reward_choices(&mut self, step: &[Lived]) {
        let mut groups: BTreeMap<u32, Vec<&Lived>> = BTreeMap::new();
        step.iter().for_each(|lived| groups.entry(lived.group).or_default().push(lived));
        for members in groups.values() {
            let Some(shown) = members.iter().find(|lived| !lived.skills.is_empty()) else { continue };
            *self.asked.entry(shown.kind.clone()).or_default() += 1;
            for id in &shown.skills {
                let mut score = Mean::default();
                members.iter().filter(|m| m.skills.contains(id)).for_each(|m| score.add(m.score, 1.0));
                let stats = self.skills.entry(id.clone()).or_default();
                stats.reward.add(score.value().unwrap_or(0.0), 1.0);
                stats.kinds.insert(shown.kind.clone());
            }
        }
    }

    fn count_others(&mut self, step: &[Lived]) {
        let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for lived in step {
            let (all, won) = kinds.entry(&lived.kind).or_default();
            *all += 1;
            *won += u64::from(lived.won);
        }
        for (id, stats) in &mut self.skills {
            for (kind, (all, won)) in kinds.iter().filter(|(kind, _)| stats.kinds.contains(**kind)) {
                let shown = |l: &&Lived| l.kind == *kind && l.skills.contains(id);
                let with = step.iter().filter(shown).count() as u64;
                let won_with = step.iter().filter(shown).filter(|l| l.won).count() as u64;
                stats.other_uses += all - with;
                stats.other_wins += won - won_with;
            }
        }
    }

    /// Groups in which some students read skills and others did not (UCOB's task-skill credit).
    fn compare_views(&mut self, step: &[Lived], decay: f64) {
        let mut groups: BTreeMap<u32, (Mean, Mean, &[String])> = BTreeMap::new();
        for lived in step {
            let (with, without, ids) = groups.entry(lived.group).or_default();
            let won = f64::from(u8::from(lived.won));
            if lived.read {
                with.add(won, 1.0);
                *ids = &lived.skills;
            } else {
                without.add(won, 1.0);
            }
        }
        for (with, without, ids) in groups.into_values() {
            let (Some(with), Some(without)) = (with.value(), without.value()) else { continue };
            for id in ids {
                self.skills.entry(id.clone()).or_default().compare(with - without, decay);
            }
        }
    }
}

fn used(id: &str, step: &[Lived]) -> SkillUse {
    let (mut gap, mut gap_won, mut gate) = (Mean::default(), Mean::default(), Mean::default());
    let (mut uses, mut won) = (0, 0);
    for lived in step.iter().filter(|lived| lived.skills.iter().any(|shown| shown == id)) {
        uses += 1;
        won += u32::from(lived.won);
        let into = |mean: &mut Mean, of: &Mean| *mean = Mean { sum: mean.sum + of.sum, count: mean.count + of.count };
        into(&mut gap, &lived.gap);
        into(&mut gate, &lived.gate);
        if lived.won {
            into(&mut gap_won, &lived.gap);
        }
    }
    SkillUse {
        id: id.to_owned(),
        uses,
        won,
        gap: gap.value(),
        gap_won: gap_won.value(),
        gate: gate.value(),
        ..SkillUse::default()
    }
}
