//! What the generated shop is made of: the tables of `envs/shop.toml`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The text of `envs/shop.toml`.
pub const TEXT: &str = include_str!("../../../envs/shop.toml");

/// Words and phrases. Maps are ordered, so that draws repeat.
#[derive(Clone, Debug, Deserialize)]
pub struct Lexicon {
    pub palettes: BTreeMap<String, Vec<String>>,
    pub names: Names,
    pub texts: Texts,
    pub categories: BTreeMap<String, Category>,
}

/// What names are made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// First parts of brand names.
    pub first: Vec<String>,
    /// Last parts of brand names.
    pub last: Vec<String>,
    /// Product lines.
    pub line: Vec<String>,
}

/// Sentences with `{...}` to fill in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    pub bullets: Vec<String>,
    pub descriptions: Vec<String>,
    pub goals: Vec<String>,
    pub option: String,
    pub price: String,
}

/// A kind of product.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// What one is called; empty: the category's own name.
    #[serde(default)]
    pub noun: String,
    /// Departments, general to special.
    pub path: Vec<String>,
    /// What shoppers call the kind, lower case.
    pub query: String,
    /// Phrases one can have; at least [`Self::MOST`] + 1.
    pub attributes: Vec<String>,
    pub uses: Vec<String>,
    /// Group of options to what its values are drawn from.
    pub options: BTreeMap<String, Values>,
    /// Lowest and highest price in dollars.
    pub price: [f64; 2],
}

/// Values of an option group.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// Name of a palette.
    Palette(String),
    Own(Vec<String>),
}

impl Category {
    /// Most attributes of one product.
    pub const MOST: usize = 5;
}

impl Lexicon {
    /// The lexicon of the working folder, else the one that is built in.
    pub fn current() -> Result<Lexicon> {
        let file = crate::env::file(super::KIND)?;
        Lexicon::parse(&file.text).context(file.place)
    }

    /// Reads a lexicon. Fails on a name that is used but not defined, or a category too poor to draw from.
    pub fn parse(text: &str) -> Result<Lexicon> {
        let mut lexicon: Lexicon = toml::from_str(text).context("reading the shop's lexicon")?;
        for (name, category) in &mut lexicon.categories {
            if category.noun.is_empty() {
                category.noun.clone_from(name);
            }
            let (count, needed) = (category.attributes.len(), Category::MOST + 1);
            ensure!(count >= needed, "category `{name}` has {count} attributes; give it at least {needed}");
            ensure!(!category.uses.is_empty(), "category `{name}` has no `uses`; give it one");
            let [low, high] = category.price;
            ensure!(0.0 < low && low < high, "category `{name}`: `price` must be two rising numbers above 0");
            for (group, values) in &category.options {
                let count = match values {
                    Values::Own(values) => values.len(),
                    Values::Palette(palette) => lexicon.palettes.get(palette).map_or(0, Vec::len),
                };
                ensure!(
                    count >= 3,
                    "category `{name}`, option `{group}`: needs at least 3 values, or names no palette"
                );
            }
        }
        ensure!(!lexicon.categories.is_empty(), "the shop's lexicon has no category");
        Ok(lexicon)
    }

    /// All values of an option group, in order.
    pub fn values<'a>(&'a self, values: &'a Values) -> &'a [String] {
        match values {
            Values::Own(values) => values,
            Values::Palette(name) => self.palettes.get(name).map_or(&[], Vec::as_slice),
        }
    }
}

/// Fills `{name}` places of a sentence.
pub fn fill(sentence: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(sentence.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::token_set_ratio;
    use super::*;

    #[test]
    fn built_in_parses() {
        let lexicon = Lexicon::parse(TEXT).unwrap();
        assert!(lexicon.categories.len() >= 20);
    }

    /// Else a product without an attribute would be rewarded for another one.
    #[test]
    fn attributes_of_a_category_are_told_apart() {
        for (name, category) in Lexicon::parse(TEXT).unwrap().categories {
            for (i, a) in category.attributes.iter().enumerate() {
                for b in &category.attributes[..i] {
                    assert!(
                        token_set_ratio(a, b) <= 85 && !a.contains(b.as_str()) && !b.contains(a.as_str()),
                        "{name}: {a}, {b}"
                    );
                }
            }
        }
    }

    #[test]
    fn faults_are_named() {
        for (old, new, expected) in [
            ("color = \"finish\", capacity", "color = \"glitter\", capacity", "category `kettle`, option `color`"),
            ("price = [18, 95]", "price = [95, 18]", "category `kettle`: `price` must be two rising numbers"),
            (
                "uses = [\"pour over coffee\", \"small kitchens\", \"the office\", \"tea for two\"]",
                "uses = []",
                "no `uses`",
            ),
        ] {
            assert!(TEXT.contains(old), "{old}");
            let error = Lexicon::parse(&TEXT.replace(old, new)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
