//! What the fictional lands are made of: the tables of `envs/search.toml`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The text of `envs/search.toml`.
pub const TEXT: &str = include_str!("../../../envs/search.toml");

/// Sorts of things and how they relate. Maps are ordered, so that draws repeat.
#[derive(Clone, Debug, Deserialize)]
pub struct Lore {
    pub names: Names,
    pub sorts: BTreeMap<String, Sort>,
    pub relations: Vec<Relation>,
}

/// Syllables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    pub start: Vec<String>,
    pub middle: Vec<String>,
    pub end: Vec<String>,
}

/// A sort of thing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sort {
    /// Things of it in one land, at least 1.
    pub count: usize,
    /// Patterns of names, with `{coin}` and perhaps `{second}`.
    pub name: Vec<String>,
    /// Patterns of passages, with `{name}` and every relation.
    pub text: Vec<String>,
}

/// Something that every thing of a sort has exactly one of, so that questions have one answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    pub name: String,
    /// Sort of the things that have it.
    pub of: String,
    /// Sort of what it points to.
    #[serde(default)]
    pub to: Option<String>,
    /// What it says, if it is one of some words.
    #[serde(default)]
    pub words: Vec<String>,
    /// Least and most, if it is a number.
    #[serde(default)]
    pub number: Option<[u32; 2]>,
    /// Question for it, about `{x}`.
    pub question: String,
    /// Description of what it points to, about `{x}`.
    #[serde(default)]
    pub phrase: String,
    /// Question which of `{a}` and `{b}` has the lower number.
    #[serde(default)]
    pub compare: String,
    /// Question whether `{a}` and `{b}` have the same.
    #[serde(default)]
    pub same: String,
}

impl Lore {
    /// The lore of the working folder, else the one that is built in.
    pub fn current() -> Result<Lore> {
        let file = crate::env::file(super::KIND)?;
        Lore::parse(&file.text).context(file.place)
    }

    /// Reads lore. Fails on a name that is used but not defined, or a sort or relation that lacks something.
    pub fn parse(text: &str) -> Result<Lore> {
        let lore: Lore = toml::from_str(text).context("reading the lore of search")?;
        for (name, sort) in &lore.sorts {
            ensure!(sort.count >= 1, "sort `{name}`: `count` is 0; a land needs one");
            ensure!(!sort.name.is_empty() && !sort.text.is_empty(), "sort `{name}` needs a `name` and a `text`");
            for pattern in &sort.name {
                ensure!(pattern.contains("{coin}"), "sort `{name}`: the name `{pattern}` lacks `{{coin}}`");
            }
            for relation in lore.relations.iter().filter(|r| r.of == *name) {
                let place = format!("{{{}}}", relation.name);
                let missing = sort.text.iter().find(|text| !text.contains(&place));
                ensure!(missing.is_none(), "sort `{name}`: a text lacks `{place}`, so its question has no answer");
            }
        }
        for relation in &lore.relations {
            relation.check(&lore)?;
        }
        ensure!(!lore.relations.is_empty(), "the lore of search has no relation");
        Ok(lore)
    }

    /// The relations of a sort.
    pub fn of<'a>(&'a self, sort: &'a str) -> impl Iterator<Item = (usize, &'a Relation)> {
        self.relations.iter().enumerate().filter(move |(_, relation)| relation.of == sort)
    }
}

impl Relation {
    fn check(&self, lore: &Lore) -> Result<()> {
        let name = &self.name;
        for sort in [Some(&self.of), self.to.as_ref()].into_iter().flatten() {
            ensure!(lore.sorts.contains_key(sort), "relation `{name}` names no known sort: `{sort}`");
        }
        let says = usize::from(self.to.is_some())
            + usize::from(!self.words.is_empty())
            + usize::from(self.number.is_some_and(|[low, high]| low < high));
        ensure!(says == 1, "relation `{name}` needs exactly one of `to`, `words` and a rising `number`");
        ensure!(self.question.contains("{x}"), "relation `{name}`: `question` lacks `{{x}}`");
        ensure!(self.to.is_none() || self.phrase.contains("{x}"), "relation `{name}`: `phrase` lacks `{{x}}`");
        ensure!(self.compare.is_empty() || self.number.is_some(), "relation `{name}`: only numbers compare");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_parses() {
        let lore = Lore::parse(TEXT).unwrap();
        assert!(lore.sorts.len() >= 8 && lore.relations.len() >= 30);
    }

    #[test]
    fn faults_are_named() {
        for (old, new, expected) in [
            ("to = \"mountain\"", "to = \"hill\"", "relation `source` names no known sort: `hill`"),
            ("number = [40, 900]", "number = [900, 40]", "relation `length` needs exactly one of"),
            ("{length} kilometres long", "long", "sort `river`: a text lacks `{length}`"),
            (
                "question = \"Who wrote {x}?\"",
                "question = \"Who wrote it?\"",
                "relation `author`: `question` lacks `{x}`",
            ),
            ("name = [\"River {coin}\"]", "name = [\"River\"]", "lacks `{coin}`"),
        ] {
            assert!(TEXT.contains(old), "{old}");
            let error = Lore::parse(&TEXT.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
