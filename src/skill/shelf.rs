//! A bank made ready for retrieval: what a goal's words point at is looked up, not searched for, so that a bank of ten
//! thousand skills costs what its matches cost.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use super::bank::{Bank, Skill, SkillGroup};
use super::neutral::words;
use crate::core::Task;
use crate::env::bm25;

/// A skill's number on the shelf: its place in prompt order, disabled ones left out.
pub type Place = usize;

/// A bank with its indices. Made anew whenever the bank changes.
#[derive(Debug, Default)]
pub struct Shelf {
    bank: Bank,
    /// Group and number in it of every skill that can be retrieved, in prompt order.
    places: Vec<(usize, usize)>,
    ids: HashMap<String, Place>,
    groups: Vec<Marks>,
    /// What a keyword opens.
    keywords: HashMap<String, Opened>,
    /// Words of the longest keyword.
    longest: usize,
    lexical: OnceLock<bm25::Index>,
}

/// The skills of a group.
#[derive(Debug, Default)]
struct Marks {
    /// Those without a keyword of their own.
    free: Vec<Place>,
    all: Vec<Place>,
}

#[derive(Debug, Default)]
struct Opened {
    groups: Vec<usize>,
    skills: Vec<Place>,
}

impl Shelf {
    pub fn new(bank: Bank) -> Self {
        let mut shelf = Self { bank, ..Self::default() };
        for (g, group) in shelf.bank.groups().iter().enumerate() {
            let mut marks = Marks::default();
            for (s, skill) in group.skills.iter().enumerate().filter(|(_, skill)| !skill.disabled) {
                let place = shelf.places.len();
                shelf.places.push((g, s));
                shelf.ids.insert(skill.id.clone(), place);
                marks.all.push(place);
                if skill.keywords.is_empty() {
                    marks.free.push(place);
                }
                for keyword in &skill.keywords {
                    shelf.longest = shelf.longest.max(keyword.split(' ').count());
                    shelf.keywords.entry(keyword.clone()).or_default().skills.push(place);
                }
            }
            for keyword in &group.keywords {
                shelf.longest = shelf.longest.max(keyword.split(' ').count());
                shelf.keywords.entry(keyword.clone()).or_default().groups.push(g);
            }
            shelf.groups.push(marks);
        }
        shelf
    }

    /// The bank, disabled skills included.
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Skills that can be retrieved.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing can be retrieved.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The skill at a place, with its group.
    pub fn skill(&self, place: Place) -> (&SkillGroup, &Skill) {
        let (group, skill) = self.places[place];
        let group = &self.bank.groups()[group];
        (group, &group.skills[skill])
    }

    /// Number of the group of a place.
    pub fn group_of(&self, place: Place) -> usize {
        self.places[place].0
    }

    /// Where the skill of that id stands; `None` if it is unknown or disabled.
    pub fn place(&self, id: &str) -> Option<Place> {
        self.ids.get(id).copied()
    }

    /// Ids in the order of places.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|place| self.skill(place).1.id.as_str())
    }

    /// Groups and skills that one of a text's words, or of its phrases, is a keyword of.
    pub(super) fn opened_by(&self, text: &[String]) -> (BTreeSet<usize>, BTreeSet<Place>) {
        let (mut groups, mut skills) = (BTreeSet::new(), BTreeSet::new());
        for start in 0..text.len() {
            let mut phrase = String::new();
            for word in text[start..].iter().take(self.longest) {
                if !phrase.is_empty() {
                    phrase.push(' ');
                }
                phrase.push_str(word);
                if let Some(opened) = self.keywords.get(&phrase) {
                    groups.extend(&opened.groups);
                    skills.extend(&opened.skills);
                }
            }
        }
        (groups, skills)
    }

    /// All groups and skills that have a keyword.
    pub(super) fn guarded(&self) -> (BTreeSet<usize>, BTreeSet<Place>) {
        let opened = self.keywords.values();
        (opened.clone().flat_map(|o| &o.groups).copied().collect(), opened.flat_map(|o| &o.skills).copied().collect())
    }

    /// The skills of a group that have no keyword of their own.
    pub(super) fn free(&self, group: usize) -> &[Place] {
        &self.groups[group].free
    }

    /// All skills of a group.
    pub(super) fn of_group(&self, group: usize) -> &[Place] {
        &self.groups[group].all
    }

    /// BM25 over title, text, condition, keywords and analyses; made when first asked for.
    pub(super) fn lexical(&self) -> &bm25::Index {
        self.lexical.get_or_init(|| {
            let texts: Vec<String> = (0..self.len()).map(|place| self.full_text(place)).collect();
            bm25::Index::new(texts.iter().map(String::as_str), bm25::Params::default())
        })
    }

    /// All words of a skill.
    pub fn full_text(&self, place: Place) -> String {
        let (group, skill) = self.skill(place);
        let analyses = skill.analyses.parts().map(|(_, text)| text).join(" ");
        let keywords = [group.keywords.as_slice(), &skill.keywords].concat().join(" ");
        let when = skill.when.as_deref().unwrap_or_default();
        [&skill.title, &skill.text, when, &keywords, &analyses].join(" ")
    }
}

impl Clone for Shelf {
    fn clone(&self) -> Self {
        Self::new(self.bank.clone())
    }
}

/// What a query says: the goal, and the task type in words (`pick_two_obj` says `two`).
pub fn asked(task: &Task) -> String {
    format!("{} {}", task.goal, words(&task.kind).join(" "))
}
