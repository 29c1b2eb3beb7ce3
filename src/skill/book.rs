//! What a trainer holds: a bank, how to choose from it, where to put it, and what came of it.

use std::collections::BTreeMap;

use super::bank::Bank;
use super::prompt::{Layout, Placement, fit};
use super::retrieve::{Arm, Chosen, Query, Retrieval};
use super::shelf::Shelf;
use super::stats::{Lived, SkillStats, Statistics, Tally};
use crate::core::Task;
use crate::core::skill::{BankChange, Happened, Pick, SkillCard, SkillUse};

/// The bank in use, with statistics per skill. What the files say and what was learned are kept apart; retrieval sees
/// both.
#[derive(Clone, Debug, Default)]
pub struct SkillBook {
    files: Bank,
    learned: Bank,
    shelf: Shelf,
    way: Way,
    tally: Tally,
    /// By place on the shelf.
    arms: Vec<Arm>,
    vectors: Vectors,
    /// The bank as it was last told of.
    told: Vec<SkillCard>,
    /// Why skills came or went since, by id.
    reasons: BTreeMap<String, (Happened, String)>,
}

/// How skills are chosen and shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Way {
    pub retrieval: Retrieval,
    pub placement: Placement,
    pub layout: Layout,
    /// Weight of the newest comparison in a skill's utility, in (0, 1].
    pub decay: f64,
}

/// Mean hidden states: of the skills by place, and of goals.
#[derive(Clone, Debug, Default)]
struct Vectors {
    skills: Vec<Vec<f32>>,
    goals: BTreeMap<String, Vec<f32>>,
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

    /// Keeps those skills whose id `keep` wants.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let kept: Vec<bool> = self.ids.iter().map(|id| keep(id)).collect();
        // a skill is one line, and no skill has a line end in it
        let lines: Vec<&str> = self.text.lines().zip(&kept).filter(|(_, kept)| **kept).map(|(line, _)| line).collect();
        self.text = lines.join("\n");
        for list in [&mut self.ids, &mut self.titles, &mut self.reasons] {
            let mut at = kept.iter();
            list.retain(|_| at.next().copied().unwrap_or(false));
        }
    }

    /// The skills with the reasons, as records tell them.
    pub fn picks(&self) -> Vec<Pick> {
        let pick = |(id, reason): (&String, &String)| Pick { id: id.clone(), reason: reason.clone() };
        self.ids.iter().zip(&self.reasons).map(pick).collect()
    }
}

impl SkillBook {
    /// A book on the bank of the files.
    pub fn new(files: Bank, way: Way) -> Self {
        let mut book = Self { files, way, ..Self::default() };
        book.settle();
        book
    }

    /// The skills the teacher of `task` is shown. The seed matters to random retrieval and to ties of UCB.
    pub fn choose(&self, task: &Task, seed: u64) -> Context {
        let vectors = self.vectors.goals.get(&task.goal).map(|goal| (self.vectors.skills.as_slice(), goal.as_slice()));
        let asked = self.tally.asked.get(&task.kind).copied().unwrap_or(0);
        let query = Query { task, seed, arms: &self.arms, asked, vectors };
        let mut context = Context::default();
        let mut lines = Vec::new();
        for Chosen { id, reason, .. } in self.way.retrieval.choose(&self.shelf, &query) {
            // chosen from this very shelf
            let Some(place) = self.shelf.place(&id) else { continue };
            let (_, skill) = self.shelf.skill(place);
            lines.push(self.way.layout.line(skill));
            context.titles.push(skill.title.clone());
            context.ids.push(id);
            context.reasons.push(reason);
        }
        context.text = lines.join("\n");
        context
    }

    /// Counts the episodes of a step; returns what came of each skill, in this step and in all.
    pub fn learn(&mut self, step: &[Lived]) -> Vec<SkillUse> {
        let mut uses = self.tally.count(step, self.way.decay);
        let c = self.way.retrieval.exploration();
        for used in &mut uses {
            let shown = |lived: &&Lived| lived.skills.contains(&used.id);
            let kind = step.iter().find(shown).map_or("", |lived| &lived.kind);
            let asked = self.tally.asked.get(kind).copied().unwrap_or(0);
            used.title = self.skill_title(&used.id);
            used.total = self.tally.skills.get(&used.id).map(|stats| stats.totals(asked, c)).unwrap_or_default();
        }
        self.rearm();
        uses
    }

    /// Counts tasks that were played with and without skills: pairs of (skills shown, difference of success).
    pub fn compare(&mut self, pairs: &[(&[String], f64)]) {
        self.tally.compare(pairs, self.way.decay);
    }

    fn skill_title(&self, id: &str) -> String {
        self.shelf.bank().skill(id).map_or_else(|| id.to_owned(), |skill| skill.title.clone())
    }

    /// How skills are chosen and shown.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Where the teacher's prompt carries the skills.
    pub fn placement(&self) -> Placement {
        self.way.placement
    }

    /// The bank in use: the files' and what was learned.
    pub fn bank(&self) -> &Bank {
        self.shelf.bank()
    }

    /// What the files say.
    pub fn files(&self) -> &Bank {
        &self.files
    }

    /// What was learned.
    pub fn learned(&self) -> &Bank {
        &self.learned
    }

    /// The bank ready for retrieval.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Chooses and shows in another way from now on.
    pub fn choose_by(&mut self, way: Way) {
        self.way = way;
    }

    /// Takes an edited bank of the files into use; statistics stay, those of skills that are gone too.
    pub fn replace_bank(&mut self, files: Bank) {
        self.files = files;
        self.settle();
    }

    /// Takes another learned bank into use; `reasons` say of ids what happened and why.
    pub fn replace_learned(&mut self, learned: Bank, reasons: Vec<(String, Happened, String)>) {
        // in the order in which a checkpoint or a person's edit gives it back: a resumed run shows the same prompts
        let files: Vec<(String, String)> = learned.files().into_iter().collect();
        self.learned = Bank::parse(&files).unwrap_or(learned);
        self.reasons.extend(reasons.into_iter().map(|(id, happened, why)| (id, (happened, why))));
        self.settle();
    }

    /// What changed since this was last asked, to be recorded.
    pub fn news(&mut self) -> Vec<BankChange> {
        let cards = self.bank().cards();
        if cards == self.told {
            return Vec::new();
        }
        let reasons = std::mem::take(&mut self.reasons);
        let changes = differences(&self.told, &cards, &reasons);
        self.told = cards;
        changes
    }

    /// The whole bank, to be recorded; [`SkillBook::news`] counts from here.
    pub fn tell(&mut self) -> Vec<SkillCard> {
        self.told = self.bank().cards();
        self.reasons.clear();
        self.told.clone()
    }

    /// Takes mean hidden states: of the skills by place, and of goals.
    pub fn set_vectors(&mut self, skills: Vec<Vec<f32>>, goals: BTreeMap<String, Vec<f32>>) {
        self.vectors = Vectors { skills, goals };
    }

    /// What was counted of every skill.
    pub fn statistics(&self) -> &Statistics {
        &self.tally.skills
    }

    /// What was counted of one skill; nothing yet = zeros.
    pub fn stats_of(&self, id: &str) -> SkillStats {
        self.tally.skills.get(id).cloned().unwrap_or_default()
    }

    /// What to keep in a checkpoint, beside [`SkillBook::learned`].
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Puts back what a checkpoint kept.
    pub fn restore(&mut self, tally: Tally, learned: Bank) {
        self.tally = tally;
        self.learned = learned;
        self.settle();
    }

    /// The shelf and everything by place, after the bank changed.
    fn settle(&mut self) {
        let mut bank = self.files.with(&self.learned);
        // one that is renamed in its file comes back
        self.tally.retired.keys().for_each(|id| drop(bank.remove(id)));
        self.shelf = Shelf::new(bank);
        self.vectors = Vectors::default();
        self.rearm();
    }

    fn rearm(&mut self) {
        let arm = |id: &str| self.tally.skills.get(id).map(SkillStats::arm).unwrap_or_default();
        self.arms = self.shelf.ids().map(arm).collect();
    }
}

/// What leads from one bank to another, with the reasons that are known.
fn differences(
    before: &[SkillCard],
    after: &[SkillCard],
    reasons: &BTreeMap<String, (Happened, String)>,
) -> Vec<BankChange> {
    let was: BTreeMap<&str, &SkillCard> = before.iter().map(|card| (card.id.as_str(), card)).collect();
    let is: BTreeMap<&str, &SkillCard> = after.iter().map(|card| (card.id.as_str(), card)).collect();
    let change = |card: &SkillCard, plain: Happened| {
        let (happened, reason) = match reasons.get(&card.id) {
            Some((happened, why)) if happened.is_end() == plain.is_end() => (*happened, why.clone()),
            _ => (plain, "edited by hand".to_owned()),
        };
        BankChange { happened, skill: card.clone(), reason }
    };
    let gone = before.iter().filter(|card| !is.contains_key(card.id.as_str()));
    let mut changes: Vec<BankChange> = gone.map(|card| change(card, Happened::Removed)).collect();
    for card in after {
        let happened = match was.get(card.id.as_str()) {
            Some(old) if *old == card => continue,
            Some(old) if !old.disabled && card.disabled => Happened::Disabled,
            Some(old) if old.disabled && !card.disabled => Happened::Enabled,
            Some(_) => Happened::Edited,
            None => Happened::Added,
        };
        changes.push(change(card, happened));
    }
    changes
}
