//! The generator: a catalogue of our own from the lexicon, and errands in it.
//!
//! Products come in families: a first product, and up to three near misses that differ from it in one thing (an
//! attribute, an option value, the price) and otherwise look like it. An errand is an item, some of its attributes,
//! one choice of its options, and a price limit; the item is dealt only if buying it earns a full reward.
//!
//! Splits: whole families are held out for `valid-unseen`; of the errands for the other items, those whose hash says so
//! are held out for `valid-seen`. So no errand is in two splits, and no item of `valid-unseen` is wanted in training.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};
use sha2::{Digest, Sha256};

use super::expert::keywords;
use super::goal::Goal;
use super::lexicon::{Category, Lexicon, fill};
use super::product::{Catalogue, Product};
use super::reward::reward;
use crate::core::Split;
use crate::core::rng::stream;

/// A generated shop.
#[derive(Clone, Debug)]
pub struct Generated {
    lexicon: Lexicon,
    seed: u64,
    catalogue: Catalogue,
    /// Items whose families are held out for `valid-unseen`, and the others.
    unseen: Vec<usize>,
    seen: Vec<usize>,
}

impl Generated {
    /// Draws `size` products, at least 1. A share `held_out` in [0, 1) of the families is for `valid-unseen` only.
    pub fn new(lexicon: Lexicon, size: usize, seed: u64, held_out: f64) -> Result<Generated> {
        let (mut products, mut families) = (Vec::new(), Vec::new());
        for family in 0.. {
            let mut rng = stream(seed, "shop family", &[family]);
            let names: Vec<&String> = lexicon.categories.keys().collect();
            let category = &lexicon.categories[names[family as usize % names.len()]];
            let first = Draft::new(&lexicon, category, &mut rng);
            let mut drafts = vec![first.clone()];
            drafts.extend((0..rng.random_range(0..=NEAR_MISSES)).map(|_| first.near_miss(&lexicon, &mut rng)));
            for draft in drafts {
                products.push(draft.product(&lexicon, &mut rng));
                families.push(family);
            }
            if products.len() >= size {
                break;
            }
        }
        products.truncate(size);
        label(&mut products, seed);
        let is_unseen = |&item: &usize| stream(seed, "shop held out", &[families[item]]).random_bool(held_out);
        let (unseen, seen) = (0..products.len()).partition(is_unseen);
        Ok(Generated { lexicon, seed, catalogue: Catalogue::new(products)?, unseen, seen })
    }

    /// The shelf.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Whether there is an item for the errands of a split.
    pub fn has(&self, split: Split) -> bool {
        !self.items(split).is_empty()
    }

    /// The `index`-th errand of a split. Fails if there is hardly any.
    pub fn goal(&self, split: Split, index: u64) -> Result<Goal> {
        for attempt in 0..ATTEMPTS {
            let mut rng = stream(self.seed, "shop errand", &[split as u64, index, attempt]);
            let Some(&item) = self.items(split).choose(&mut rng) else { break };
            let goal = self.errand(item, &mut rng);
            let in_split = split == Split::ValidUnseen || held_out(&goal) == (split == Split::ValidSeen);
            if in_split && self.is_fair(&goal) {
                return Ok(goal);
            }
        }
        bail!("no errand of this split was found; raise `products`")
    }

    fn errand(&self, item: usize, rng: &mut impl Rng) -> Goal {
        let product = &self.catalogue.products()[item];
        let mut attributes = product.attributes.clone();
        attributes.shuffle(rng);
        attributes.truncate(rng.random_range(1..=MOST_WANTED.min(attributes.len())));
        let choice =
            |(name, values): &(String, Vec<String>), rng: &mut _| Some((name.clone(), values.choose(rng)?.clone()));
        let options: Vec<(String, String)> = product.options.iter().filter_map(|group| choice(group, rng)).collect();
        let steps = (product.price / LIMIT_STEP).floor() + f64::from(rng.random_range(1..=3));
        let price_upper = steps * LIMIT_STEP;
        let texts = &self.lexicon.texts;
        let option = |(name, value): &(String, String)| fill(&texts.option, &[("name", name), ("value", value)]);
        let values = [
            ("noun", noun(&self.lexicon, product)),
            ("attributes", &*list(&attributes)),
            ("options", &*options.iter().map(option).collect::<String>()),
            ("price", &*fill(&texts.price, &[("price", &price_upper.to_string())])),
        ];
        let text = fill(texts.goals.choose(rng).map_or("", String::as_str), &values);
        Goal { item, query: product.query.clone(), text, attributes, options, price_upper }
    }

    /// Whether a plain query finds the item and buying it earns everything.
    fn is_fair(&self, goal: &Goal) -> bool {
        let product = &self.catalogue.products()[goal.item];
        let chosen: Vec<&str> = goal.options.iter().map(|(_, value)| value.as_str()).collect();
        reward(product, &chosen, goal, product).total == 1.0
            && self.catalogue.search(&keywords(goal)).contains(&(goal.item as u32))
    }

    fn items(&self, split: Split) -> &[usize] {
        if split == Split::ValidUnseen { &self.unseen } else { &self.seen }
    }
}

/// Most near misses of a family.
const NEAR_MISSES: usize = 3;
/// Most attributes an errand asks for.
const MOST_WANTED: usize = 3;
/// Limits are multiples of this many dollars.
const LIMIT_STEP: f64 = 10.0;
/// Draws until a split counts as empty.
const ATTEMPTS: u64 = 500;

/// One in [`HELD_OUT`] errands is kept for `valid-seen`, told by item, attributes and options.
fn held_out(goal: &Goal) -> bool {
    const HELD_OUT: u8 = 8;
    let mut attributes: Vec<&String> = goal.attributes.iter().collect();
    attributes.sort();
    let key = format!("{} {attributes:?} {:?}", goal.item, goal.options);
    Sha256::digest(key)[0] % HELD_OUT == 0
}

/// A product before it is worded.
#[derive(Clone)]
struct Draft<'a> {
    category: &'a Category,
    brand: String,
    attributes: Vec<String>,
    options: BTreeMap<String, Vec<String>>,
    price: f64,
}

impl<'a> Draft<'a> {
    fn new(lexicon: &Lexicon, category: &'a Category, rng: &mut impl Rng) -> Draft<'a> {
        let word = |words: &[String], rng: &mut _| words.choose(rng).cloned().unwrap_or_default();
        let brand = format!("{}{}", word(&lexicon.names.first, rng), word(&lexicon.names.last, rng));
        let mut attributes = category.attributes.clone();
        attributes.shuffle(rng);
        attributes.truncate(rng.random_range(Category::MOST - 2..=Category::MOST));
        let values = |all: &[String], rng: &mut _| some(all, rng);
        let options = category.options.iter();
        let options = options.map(|(name, all)| (name.clone(), values(lexicon.values(all), rng))).collect();
        let [low, high] = category.price;
        Draft { category, brand, attributes, options, price: dollars(rng.random_range(low..high)) }
    }

    /// The same but for one thing.
    fn near_miss(&self, lexicon: &Lexicon, rng: &mut impl Rng) -> Draft<'a> {
        let mut other = self.clone();
        match rng.random_range(0..3) {
            0 => {
                let free: Vec<&String> =
                    self.category.attributes.iter().filter(|a| !self.attributes.contains(a)).collect();
                let at = rng.random_range(0..other.attributes.len());
                if let Some(&new) = free.choose(rng) {
                    other.attributes[at].clone_from(new);
                }
            }
            1 => {
                let groups: Vec<String> = self.options.keys().cloned().collect();
                if let Some(name) = groups.choose(rng)
                    && let Some(values) = other.options.get_mut(name)
                {
                    *values = moved(values, lexicon.values(&self.category.options[name]), rng);
                }
            }
            _ => other.price = dollars(self.price * rng.random_range(1.4..2.2)),
        }
        other
    }

    fn product(self, lexicon: &Lexicon, rng: &mut impl Rng) -> Product {
        let texts = &lexicon.texts;
        let word = |words: &[String], rng: &mut _| words.choose(rng).cloned().unwrap_or_default();
        let (line, usage) = (word(&lexicon.names.line, rng), word(&self.category.uses, rng));
        let bullet = |attribute: &String, rng: &mut _| fill(&word(&texts.bullets, rng), &[("attribute", attribute)]);
        let mut bullets: Vec<String> = self.attributes.iter().map(|attribute| bullet(attribute, rng)).collect();
        bullets.shuffle(rng);
        let noun = &self.category.noun;
        let values =
            [("line", &*line), ("noun", noun), ("brand", &self.brand), ("use", &usage), ("bullets", &bullets[0])];
        let title_part = self.attributes.sample(rng, 2).cloned().collect::<Vec<_>>();
        let title = format!("{} {line} {} with {} for {usage}", self.brand, capital(noun), list(&title_part));
        let nouns = [&self.brand, &line].into_iter().map(|name| name.to_lowercase());
        Product {
            asin: String::new(), // given when all are drawn
            title,
            query: self.category.query.clone(),
            categories: self.category.path.clone(),
            price_tag: format!("${:?}", self.price),
            price: self.price,
            options: self.options.into_iter().collect(),
            description: fill(&word(&texts.descriptions, rng), &values),
            bullets,
            nouns: nouns.chain(noun.split(' ').map(str::to_owned)).collect(),
            attributes: self.attributes,
        }
    }
}

/// Three to five of all values, in their order.
fn some(all: &[String], rng: &mut impl Rng) -> Vec<String> {
    let count = rng.random_range(3..=5).min(all.len());
    let mut picked: Vec<usize> = (0..all.len()).collect();
    picked.shuffle(rng);
    picked.truncate(count);
    picked.sort_unstable();
    picked.into_iter().map(|i| all[i].clone()).collect()
}

/// The values with one exchanged for its neighbour in the palette where that is free, else without it.
fn moved(values: &[String], all: &[String], rng: &mut impl Rng) -> Vec<String> {
    let mut kept: BTreeSet<usize> = values.iter().filter_map(|v| all.iter().position(|a| a == v)).collect();
    let places: Vec<usize> = kept.iter().copied().collect();
    if let Some(&gone) = places.choose(rng) {
        kept.remove(&gone);
        let near = [gone + 1, gone.wrapping_sub(1)].into_iter().find(|&n| n < all.len() && !places.contains(&n));
        kept.extend(near);
    }
    kept.into_iter().map(|i| all[i].clone()).collect()
}

/// Gives every product a code that tells nothing about it: a letter and five digits.
fn label(products: &mut [Product], seed: u64) {
    let mut rng = stream(seed, "shop codes", &[]);
    let mut used = BTreeSet::new();
    for product in products {
        product.asin = loop {
            let code = format!("{}{:05}", rng.random_range(b'A'..=b'Z') as char, rng.random_range(0..100_000));
            if used.insert(code.clone()) {
                break code;
            }
        };
    }
}

/// A price ending in .00, .49 or .99.
fn dollars(price: f64) -> f64 {
    let whole = price.floor();
    [whole, whole + 0.49, whole + 0.99][(price.fract() * 3.0) as usize % 3]
}

/// `a`, `a and b`, `a, b and c`.
fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Each word with a capital.
fn capital(text: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|c| c.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn noun<'a>(lexicon: &'a Lexicon, product: &Product) -> &'a str {
    let of = lexicon.categories.values().find(|category| category.query == product.query);
    of.map_or("", |category| &category.noun)
}
