//! The generator: fictional lands, a passage about each thing in them, and questions that take one to three facts.
//!
//! Every relation gives each thing exactly one value, so a chain of relations (`the mayor of the town where X was born`)
//! names one thing and its question has one answer. Kinds of questions: `one-hop`, `two-hop`, `three-hop`, `compare`
//! (which of two has the lower number) and `same` (yes or no).
//!
//! Splits: whole lands are held out for `valid-unseen`, with all their names; of the questions about the other lands,
//! those whose hash says so are held out for `valid-seen`.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use sha2::{Digest, Sha256};

use super::corpus::Passage;
use super::lore::{Lore, Relation};
use super::question::Question;
use crate::core::Split;
use crate::core::rng::stream;

/// A generated world of lands.
#[derive(Clone, Debug)]
pub struct Fiction {
    lore: Lore,
    seed: u64,
    lands: Vec<Land>,
    /// Lands that are held out for `valid-unseen`, and the others.
    unseen: Vec<usize>,
    seen: Vec<usize>,
}

/// Things that know only each other.
#[derive(Clone, Debug)]
struct Land {
    things: Vec<Thing>,
}

#[derive(Clone, Debug)]
struct Thing {
    sort: String,
    name: String,
    /// Relation and value, in the order of the lore.
    facts: Vec<(usize, Value)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Thing(usize),
    Word(String),
    Number(u32),
}

impl Fiction {
    /// Draws lands until there are `size` things, and some more to complete the last land. A share `held_out` in [0, 1)
    /// of the lands is for `valid-unseen` only.
    pub fn new(lore: Lore, size: usize, seed: u64, held_out: f64) -> Fiction {
        let (mut lands, mut names, mut count) = (Vec::new(), BTreeSet::new(), 0);
        while count < size.max(1) {
            let mut rng = stream(seed, "search land", &[lands.len() as u64]);
            let land = Land::new(&lore, &mut names, &mut rng);
            count += land.things.len();
            lands.push(land);
        }
        let is_unseen = |&land: &usize| stream(seed, "search held out", &[land as u64]).random_bool(held_out);
        let (unseen, seen) = (0..lands.len()).partition(is_unseen);
        Fiction { lore, seed, lands, unseen, seen }
    }

    /// A passage about each thing.
    pub fn passages(&self) -> Vec<Passage> {
        let mut passages = Vec::new();
        for (number, land) in self.lands.iter().enumerate() {
            for thing in &land.things {
                let mut rng = stream(self.seed, "search text", &[number as u64, passages.len() as u64]);
                let pattern = self.lore.sorts[&thing.sort].text.choose(&mut rng).map_or("", String::as_str);
                let mut text = pattern.replace("{name}", &thing.name);
                for (relation, value) in &thing.facts {
                    text = text.replace(&format!("{{{}}}", self.lore.relations[*relation].name), &land.word(value));
                }
                passages.push(Passage::new(passages.len().to_string(), &thing.name, &text));
            }
        }
        passages
    }

    /// Whether there is a land for the questions of a split.
    pub fn has(&self, split: Split) -> bool {
        !self.lands_of(split).is_empty()
    }

    /// The `index`-th question of a split. Fails if there is hardly any.
    pub fn question(&self, split: Split, index: u64) -> Result<Question> {
        let kind = stream(self.seed, "search kind", &[split as u64, index]).random_range(0..KINDS.len());
        for attempt in 0..ATTEMPTS {
            let mut rng = stream(self.seed, "search question", &[split as u64, index, attempt]);
            let Some(&land) = self.lands_of(split).choose(&mut rng) else { break };
            let Some(question) = self.draft(&self.lands[land], KINDS[kind], &mut rng) else { continue };
            if split == Split::ValidUnseen || held_out(&question) == (split == Split::ValidSeen) {
                return Ok(question);
            }
        }
        bail!("no question of this split was found; raise `passages`")
    }

    fn lands_of(&self, split: Split) -> &[usize] {
        if split == Split::ValidUnseen { &self.unseen } else { &self.seen }
    }

    /// One try; `None` if the draws do not work out.
    fn draft(&self, land: &Land, kind: &str, rng: &mut impl Rng) -> Option<Question> {
        let (text, answer, things) = match kind {
            "compare" => self.compare(land, rng)?,
            "same" => self.same(land, rng)?,
            _ => self.chain(land, KINDS.iter().position(|k| *k == kind)? + 1, rng)?,
        };
        let titles = things.into_iter().map(|thing| land.things[thing].name.clone()).collect();
        let id = String::new(); // the task's id names it
        Some(Question { id, text, golden: vec![answer], kind: kind.to_owned(), train: None, titles, ids: Vec::new() })
    }

    fn chain(&self, land: &Land, hops: usize, rng: &mut impl Rng) -> Option<Draft> {
        let mut at = rng.random_range(0..land.things.len());
        let mut described = land.things[at].name.clone();
        let mut visited = vec![at];
        for hop in 1..=hops {
            let joins = |(relation, _): &&(usize, Value)| hop == hops || self.lore.relations[*relation].to.is_some();
            let facts: Vec<_> = land.things[at].facts.iter().filter(joins).collect();
            let (relation, value) = facts.choose(rng)?;
            let relation = &self.lore.relations[*relation];
            if let Value::Thing(next) = value
                && visited.contains(next)
            {
                return None;
            }
            if hop == hops {
                return Some((relation.question.replace("{x}", &described), land.word(value), visited));
            }
            let Value::Thing(next) = *value else { return None };
            at = next;
            visited.push(at);
            described = relation.phrase.replace("{x}", &described);
        }
        None
    }

    fn compare(&self, land: &Land, rng: &mut impl Rng) -> Option<Draft> {
        let (relation, (a, first), (b, second)) = self.pair(land, |r| &r.compare, rng)?;
        let (Value::Number(x), Value::Number(y)) = (first, second) else { return None };
        let lower = if x < y { a } else { b };
        (x != y).then(|| (between(&relation.compare, land, a, b), land.things[lower].name.clone(), vec![a, b]))
    }

    fn same(&self, land: &Land, rng: &mut impl Rng) -> Option<Draft> {
        let wanted = rng.random_bool(0.5);
        let (relation, (a, first), (b, second)) = self.pair(land, |r| &r.same, rng)?;
        let answer = if wanted { "yes" } else { "no" };
        ((first == second) == wanted).then(|| (between(&relation.same, land, a, b), answer.to_owned(), vec![a, b]))
    }

    /// Two things with a relation for which there is a question about two.
    fn pair<'a>(
        &'a self,
        land: &'a Land,
        asked: impl Fn(&Relation) -> &String,
        rng: &mut impl Rng,
    ) -> Option<(&'a Relation, Entry<'a>, Entry<'a>)> {
        let fitting: Vec<usize> =
            (0..self.lore.relations.len()).filter(|&r| !asked(&self.lore.relations[r]).is_empty()).collect();
        let relation = *fitting.choose(rng)?;
        let with = |(number, thing): (usize, &'a Thing)| {
            let (_, value) = thing.facts.iter().find(|(r, _)| *r == relation)?;
            Some((number, value))
        };
        let things: Vec<_> = land.things.iter().enumerate().filter_map(with).collect();
        let [a, b] = things.sample(rng, 2).copied().collect::<Vec<_>>()[..] else { return None };
        Some((&self.lore.relations[relation], a, b))
    }
}

/// A thing by its number, and what is said of it.
type Entry<'a> = (usize, &'a Value);

/// Text, answer, and the things one must read about.
type Draft = (String, String, Vec<usize>);

/// Kinds of questions; the first three by their number of hops.
pub const KINDS: [&str; 5] = ["one-hop", "two-hop", "three-hop", "compare", "same"];

/// Draws until a split counts as empty.
const ATTEMPTS: u64 = 500;

/// One in [`HELD_OUT`] questions is kept for `valid-seen`.
fn held_out(question: &Question) -> bool {
    const HELD_OUT: u8 = 8;
    Sha256::digest(&question.text)[0] % HELD_OUT == 0
}

fn between(pattern: &str, land: &Land, a: usize, b: usize) -> String {
    pattern.replace("{a}", &land.things[a].name).replace("{b}", &land.things[b].name)
}

impl Land {
    fn new(lore: &Lore, names: &mut BTreeSet<String>, rng: &mut impl Rng) -> Land {
        let mut things = Vec::new();
        for (name, sort) in &lore.sorts {
            for _ in 0..sort.count {
                let called = called(lore, &sort.name, names, rng);
                things.push(Thing { sort: name.clone(), name: called, facts: Vec::new() });
            }
        }
        let mut land = Land { things };
        for at in 0..land.things.len() {
            let sort = land.things[at].sort.clone();
            let facts = lore.of(&sort).filter_map(|(number, relation)| Some((number, land.value(relation, at, rng)?)));
            land.things[at].facts = facts.collect();
        }
        land
    }

    /// A value for a relation of thing `of`; never the thing itself.
    fn value(&self, relation: &Relation, of: usize, rng: &mut impl Rng) -> Option<Value> {
        if let Some([low, high]) = relation.number {
            return Some(Value::Number(rng.random_range(low..=high)));
        }
        let Some(sort) = &relation.to else { return relation.words.choose(rng).cloned().map(Value::Word) };
        let fits: Vec<usize> = (0..self.things.len()).filter(|&n| n != of && self.things[n].sort == *sort).collect();
        fits.choose(rng).copied().map(Value::Thing)
    }

    fn word(&self, value: &Value) -> String {
        match value {
            Value::Thing(thing) => self.things[*thing].name.clone(),
            Value::Word(word) => word.clone(),
            Value::Number(number) => number.to_string(),
        }
    }
}

/// A name that nothing has yet, by one of the patterns.
fn called(lore: &Lore, patterns: &[String], names: &mut BTreeSet<String>, rng: &mut impl Rng) -> String {
    let pattern = patterns.choose(rng).cloned().unwrap_or_default();
    let coin = |rng: &mut _| {
        let of = |parts: &[String], rng: &mut _| parts.choose(rng).cloned().unwrap_or_default();
        let (start, middle) = (of(&lore.names.start, rng), of(&lore.names.middle, rng));
        format!("{start}{middle}{}", of(&lore.names.end, rng))
    };
    loop {
        // with many lands the syllables run short, and names grow
        let long = if names.len() * 2 > combinations(lore) { coin(rng).to_lowercase() } else { String::new() };
        let name = pattern.replace("{coin}", &format!("{}{long}", coin(rng))).replace("{second}", &coin(rng));
        if names.insert(name.clone()) {
            return name;
        }
    }
}

fn combinations(lore: &Lore) -> usize {
    lore.names.start.len() * lore.names.middle.len() * lore.names.end.len()
}
