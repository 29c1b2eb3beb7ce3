//! The bank of skills as a run's records tell it: at any step, with the life of every skill.
//!
//! ```text
//! BankLoaded { step: 0, skills }      the bank of the files (and of a checkpoint, after a resume)
//! BankChanged { step: 5, changes }    the teacher of step 5 is the first to read it so
//! Retrieved { step: 5, choices }      what each group's teacher was shown, and why
//! Stepped { step: 5, skills }         what came of it, in this step and in all (`SkillUse::total`)
//! ```
//!
//! Records of steps that a resume repeats are forgotten with those steps.

use std::collections::BTreeMap;

use crate::core::skill::{BankChange, Choice, SkillCard};

/// Loads and changes of the bank in the order of the records, and the choices of every step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BankView {
    entries: Vec<(u64, Entry)>,
    choices: BTreeMap<u64, Vec<Choice>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Loaded(Vec<SkillCard>),
    Changed(Box<BankChange>),
}

impl BankView {
    /// The bank that the teacher of `step` reads; with `u64::MAX`, the newest. In the order in which skills came in.
    pub fn at(&self, step: u64) -> Vec<&SkillCard> {
        let upto = &self.entries[..self.entries.partition_point(|(at, _)| *at <= step)];
        let load = upto.iter().rposition(|(_, entry)| matches!(entry, Entry::Loaded(_)));
        let mut bank: Vec<Option<&SkillCard>> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, entry) in &upto[load.unwrap_or(0)..] {
            let (cards, end) = match entry {
                Entry::Loaded(cards) => (cards.as_slice(), false),
                Entry::Changed(change) => (std::slice::from_ref(&change.skill), change.happened.is_end()),
            };
            for card in cards {
                let place = *places.entry(&card.id).or_insert_with(|| {
                    bank.push(None);
                    bank.len() - 1
                });
                bank[place] = (!end).then_some(card);
            }
        }
        bank.into_iter().flatten().collect()
    }

    /// Changes up to and including `step`, oldest first, each with the step from which it holds.
    pub fn changes(&self, step: u64) -> impl Iterator<Item = (u64, &BankChange)> {
        self.entries.iter().take_while(move |(at, _)| *at <= step).filter_map(|(at, entry)| match entry {
            Entry::Changed(change) => Some((*at, &**change)),
            Entry::Loaded(_) => None,
        })
    }

    /// What the groups of `step` were shown; empty where nothing was recorded.
    pub fn choices(&self, step: u64) -> &[Choice] {
        self.choices.get(&step).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing was ever recorded of skills (runs of older versions, other tools).
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.choices.is_empty()
    }

    pub(super) fn load(&mut self, step: u64, skills: &[SkillCard]) {
        self.push(step, Entry::Loaded(skills.to_vec()));
    }

    pub(super) fn change(&mut self, step: u64, changes: &[BankChange]) {
        changes.iter().for_each(|change| self.push(step, Entry::Changed(Box::new(change.clone()))));
    }

    pub(super) fn choose(&mut self, step: u64, choices: &[Choice]) {
        self.choices.insert(step, choices.to_vec());
    }

    /// Drops what was recorded of `step` and later ones.
    pub(super) fn forget_from(&mut self, step: u64) {
        self.entries.truncate(self.entries.partition_point(|(at, _)| *at < step));
        drop(self.choices.split_off(&step));
    }

    /// Steps never go back, whatever the records say: what would, belongs to the last step.
    fn push(&mut self, step: u64, entry: Entry) {
        let last = self.entries.last().map_or(0, |(at, _)| *at);
        self.entries.push((step.max(last), entry));
    }
}

#[cfg(test)]
mod tests {
    use super::BankView;
    use crate::core::skill::{BankChange, Happened, SkillCard};

    fn card(id: &str, text: &str) -> SkillCard {
        SkillCard { id: id.into(), text: text.into(), ..SkillCard::default() }
    }

    fn change(happened: Happened, id: &str, text: &str) -> BankChange {
        BankChange { happened, skill: card(id, text), reason: String::new() }
    }

    fn texts(view: &BankView, step: u64) -> Vec<String> {
        view.at(step).into_iter().map(|card| format!("{}={}", card.id, card.text)).collect()
    }

    #[test]
    fn the_bank_of_every_step_can_be_seen() {
        let mut view = BankView::default();
        view.load(0, &[card("a", "one"), card("b", "two")]);
        view.change(3, &[change(Happened::Added, "c", "three"), change(Happened::Edited, "a", "uno")]);
        view.change(5, &[change(Happened::Retired, "b", "two")]);
        view.change(7, &[change(Happened::Added, "b", "again")]);
        assert_eq!(texts(&view, 2), ["a=one", "b=two"]);
        assert_eq!(texts(&view, 3), ["a=uno", "b=two", "c=three"]);
        assert_eq!(texts(&view, 6), ["a=uno", "c=three"]);
        assert_eq!(texts(&view, u64::MAX), ["a=uno", "b=again", "c=three"]);
        assert_eq!(view.changes(5).map(|(step, c)| (step, c.happened)).collect::<Vec<_>>().len(), 3);

        // resumed after step 4: what came later is told again
        view.forget_from(5);
        view.load(4, &[card("a", "uno"), card("d", "four")]);
        assert_eq!(texts(&view, 9), ["a=uno", "d=four"]);
        assert_eq!(texts(&view, 3), ["a=uno", "b=two", "c=three"], "what was read before stays");
    }
}
