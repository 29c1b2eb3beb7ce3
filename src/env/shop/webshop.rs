//! Reads WebShop's own files and makes its goals from them: the same goals, prices and order as its Python code (as
//! verl-agent runs it) draws for a seed.
//!
//! - Products: `items_shuffle_1000.json`, `items_shuffle.json`, or the products kept in its search index, one a line.
//! - Attributes and synthetic instructions: `items_ins_v2_1000.json`, `items_ins_v2.json`.
//! - Instructions written by people: `items_human_ins.json`.
//! - Nouns of the titles: a JSON object, code to list. WebShop finds them with a language model (spaCy); without the
//!   file, all words of a title that are not common function words count, which makes `r_type` somewhat milder.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value};

use super::goal::Goal;
use super::product::{Catalogue, Product};
use crate::env::analysis::terms;
use crate::env::pyrandom::PyRandom;
use crate::env::records::{Record, read, read_object};

/// Where the files are.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    pub products: &'a Path,
    pub attributes: &'a Path,
    /// If there, goals are made from these instead of the synthetic instructions.
    pub human: Option<&'a Path>,
    pub nouns: Option<&'a Path>,
}

/// Reads products and makes all goals, shuffled by `seed`. Fails on malformed files.
pub fn load(files: Files, seed: u64) -> Result<(Catalogue, Vec<Goal>)> {
    let attributes = read_object(files.attributes)?;
    let nouns = files.nouns.map(read_object).transpose()?;
    let mut random = PyRandom::new(seed);
    let (mut products, mut codes) = (Vec::new(), HashSet::new());
    read(files.products, |record| {
        let asin = record.text("asin")?.to_owned();
        if asin == "nan" || asin.chars().count() > 10 || !codes.insert(asin) {
            return Ok(()); // WebShop passes over these as well
        }
        products.push(product(&record, &attributes, nouns.as_ref())?);
        Ok(())
    })?;
    for (product, range) in &mut products {
        product.price = if let &[low, high, ..] = &range[..] { random.uniform(low, high) } else { range[0] };
    }
    let products: Vec<Product> = products.into_iter().map(|(product, _)| product).collect();
    let instructions = match files.human {
        Some(path) => human(path, &products)?,
        None => synthetic(files.attributes, &attributes, &products)?,
    };
    let mut goals = goals(&products, instructions, &mut random);
    ensure!(!goals.is_empty(), "`{}` has no instruction for any of the products", files.attributes.display());
    PyRandom::new(seed).shuffle(&mut goals);
    Ok((Catalogue::new(products)?, goals))
}

/// A sentence about a product, before options and price are added.
struct Instruction {
    item: usize,
    text: String,
    attributes: Vec<String>,
    /// `None`: one goal for every combination of the product's options, named in the text.
    options: Option<Vec<String>>,
}

/// Prices a limit may be.
const LIMITS: std::ops::Range<u32> = 1..100; // times 10 dollars
/// Goals that one product may make; each combination of its options is one.
const MOST_WAYS: usize = 100_000;
/// The limit of products too dear for a limit.
const NO_LIMIT: f64 = 1_000_000.0;

fn goals(products: &[Product], instructions: Vec<Instruction>, random: &mut PyRandom) -> Vec<Goal> {
    let mut goals = Vec::new();
    for Instruction { item, text, attributes, options } in instructions {
        let product = &products[item];
        let limits = LIMITS.map(|n| f64::from(n) * 10.0).filter(|limit| *limit > product.price);
        let limits: Vec<f64> = limits.take(4).collect();
        let mut goal = Goal {
            item,
            query: product.query.clone(),
            text: String::new(),
            attributes,
            options: Vec::new(),
            price_upper: NO_LIMIT,
        };
        let mut price = String::new();
        if limits.len() >= 2 {
            goal.price_upper = random.sample(&limits, 2).into_iter().fold(0.0, f64::max);
            price = format!(", and price lower than {:.2} dollars", goal.price_upper);
        }
        let choices = match options {
            Some(values) => vec![values.into_iter().map(|value| (String::new(), value)).collect()],
            None => combinations(product),
        };
        goals.extend(choices.into_iter().map(|options: Vec<(String, String)>| {
            let named = options.iter().filter(|(name, _)| !name.is_empty());
            let named: Vec<String> = named.map(|(name, value)| format!("{name}: {value}")).collect();
            let with = if named.is_empty() { String::new() } else { format!(" with {}", named.join(", and ")) };
            Goal { text: format!("{text}{with}{price}"), options, ..goal.clone() }
        }));
    }
    goals
}

/// Every way to choose one value in each group, groups by name, the last one turning fastest.
fn combinations(product: &Product) -> Vec<Vec<(String, String)>> {
    let mut groups: Vec<_> = product.options.iter().collect();
    groups.sort();
    groups.into_iter().fold(vec![Vec::new()], |chosen, (name, values)| {
        let with = |before: &Vec<(String, String)>, value: &String| {
            before.iter().cloned().chain([(name.clone(), value.clone())]).collect()
        };
        chosen.iter().flat_map(|before| values.iter().map(move |value| with(before, value))).collect()
    })
}

fn synthetic(path: &Path, attributes: &Map<String, Value>, products: &[Product]) -> Result<Vec<Instruction>> {
    let mut found = Vec::new();
    for (item, product) in products.iter().enumerate() {
        let Some(entry) = attributes.get(&product.asin) else { continue };
        let record = Record::new(format!("`{}`, entry `{}`", path.display(), product.asin), entry.clone())?;
        if !record.has("instruction") {
            continue;
        }
        let text = record.text("instruction")?.to_owned();
        let ways = product.options.iter().fold(1usize, |ways, (_, values)| ways.saturating_mul(values.len()));
        if ways > MOST_WAYS {
            return Err(
                record.error("instruction", format!("its options can be chosen in {ways} ways, more than {MOST_WAYS}"))
            );
        }
        found.push(Instruction { item, text, attributes: record.texts("instruction_attributes")?, options: None });
    }
    Ok(found)
}

fn human(path: &Path, products: &[Product]) -> Result<Vec<Instruction>> {
    let all = read_object(path)?;
    let mut found = Vec::new();
    for (item, product) in products.iter().enumerate() {
        let place = format!("`{}`, entry `{}`", path.display(), product.asin);
        let list = match all.get(&product.asin) {
            None => continue,
            Some(Value::Array(list)) => list,
            Some(_) => bail!("{place}: expected a list of instructions"),
        };
        for entry in list {
            let record = Record::new(place.clone(), entry.clone())?;
            let attributes = record.texts("instruction_attributes")?;
            if attributes.is_empty() {
                continue;
            }
            let text = record.text("instruction")?.trim_matches('.').to_owned();
            found.push(Instruction { item, text, attributes, options: Some(record.texts("instruction_options")?) });
        }
    }
    Ok(found)
}

/// A product and its lowest and highest price, or its one price.
fn product(
    record: &Record,
    attributes: &Map<String, Value>,
    nouns: Option<&Map<String, Value>>,
) -> Result<(Product, Vec<f64>)> {
    let asin = record.text("asin")?.to_owned();
    let raw = record.has("small_description") || record.has("full_description");
    let [description, bullets] = if raw { RAW } else { KEPT };
    let bullets = match record.value(bullets)? {
        Value::String(one) => vec![one.clone()],
        _ => record.texts(bullets)?,
    };
    let range = if raw { raw_prices(record)? } else { kept_prices(record)? };
    let price_tag = match &range[..] {
        [low, high, ..] => format!("${low:?} to ${high:?}"),
        _ => format!("${:?}", range[0]),
    };
    let title = record.text("name")?.to_owned();
    let words = match nouns.and_then(|nouns| nouns.get(&asin)) {
        Some(list) => serde_json::from_value(list.clone())
            .map_err(|_| record.error("asin", format!("the nouns of `{asin}` are no list of texts")))?,
        None => title_words(&title),
    };
    let product = Product {
        query: record.text("query")?.to_lowercase().trim().to_owned(),
        categories: record.text("product_category")?.split('\u{203a}').map(|level| level.trim().to_owned()).collect(),
        price_tag,
        price: 0.0, // drawn when all are read
        options: if raw { raw_options(record)? } else { kept_options(record)? },
        bullets,
        description: record.text_or_empty(description)?.to_owned(),
        attributes: own_attributes(record, &asin, attributes)?,
        nouns: words,
        title,
        asin,
    };
    Ok((product, range))
}

/// Names of description and bullet points in WebShop's files, and in its index.
const RAW: [&str; 2] = ["full_description", "small_description"];
const KEPT: [&str; 2] = ["Description", "BulletPoints"];

fn own_attributes(record: &Record, asin: &str, attributes: &Map<String, Value>) -> Result<Vec<String>> {
    match attributes.get(asin).and_then(|entry| entry.get("attributes")) {
        None => Ok(vec!["DUMMY_ATTR".to_owned()]), // as WebShop: it may even be like something
        Some(list) => serde_json::from_value(list.clone())
            .map_err(|_| record.error("asin", format!("the attributes of `{asin}` are no list of texts"))),
    }
}

/// `$10.00 - $18.50` and the like; no price = 100 dollars.
fn raw_prices(record: &Record) -> Result<Vec<f64>> {
    let text = record.text_or_empty("pricing")?;
    let number = |part: &str| {
        let digits: String = part.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
        let price = digits.parse().ok().filter(|price: &f64| price.is_finite());
        price.ok_or_else(|| record.error("pricing", format!("no price in `{text}`; write it like `$12.50`")))
    };
    let prices = text.split('$').skip(1).take(2).map(number).collect::<Result<Vec<f64>>>()?;
    match (text.is_empty(), prices.is_empty()) {
        (true, _) => Ok(vec![NO_PRICE]),
        (false, true) => Err(record.error("pricing", format!("no price in `{text}`; write it like `$12.50`"))),
        (false, false) => Ok(prices),
    }
}

const NO_PRICE: f64 = 100.0;

fn kept_prices(record: &Record) -> Result<Vec<f64>> {
    let value = record.value("pricing")?;
    let prices: Option<Vec<f64>> = value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
    let prices = prices.ok_or_else(|| record.expected("pricing", "a list of numbers", value))?;
    Ok(if prices.is_empty() { vec![NO_PRICE] } else { prices })
}

fn raw_options(record: &Record) -> Result<Vec<(String, Vec<String>)>> {
    const FIELD: &str = "customization_options";
    let mut options: Vec<(String, Vec<String>)> = Vec::new();
    for (name, contents) in groups(record, FIELD)? {
        if contents.is_null() {
            continue;
        }
        let value = |content: &Value| {
            let text = content.get("value")?.as_str()?;
            Some(text.trim().replace('/', " | ").to_lowercase())
        };
        let values: Option<Vec<String>> = contents.as_array().and_then(|list| list.iter().map(value).collect());
        let values =
            values.ok_or_else(|| record.error(FIELD, format!("`{name}` is no list of objects with `value`")))?;
        let name = name.to_lowercase();
        match options.iter_mut().find(|(other, _)| *other == name) {
            Some((_, other)) => *other = values, // as a Python dict: the later one, at the earlier place
            None => options.push((name, values)),
        }
    }
    Ok(options)
}

fn kept_options(record: &Record) -> Result<Vec<(String, Vec<String>)>> {
    let group = |(name, values): (&String, &Value)| {
        let values = serde_json::from_value(values.clone());
        values
            .map(|values| (name.clone(), values))
            .map_err(|_| record.error("options", format!("`{name}` is no list of texts")))
    };
    groups(record, "options")?.into_iter().map(group).collect()
}

fn groups<'a>(record: &'a Record, field: &str) -> Result<Vec<(&'a String, &'a Value)>> {
    if !record.has(field) {
        return Ok(Vec::new());
    }
    match record.value(field)? {
        Value::Object(groups) => Ok(groups.iter().collect()),
        Value::String(none) if none.is_empty() => Ok(Vec::new()),
        other => Err(record.expected(field, "an object of lists", other)),
    }
}

/// Stand-in for the nouns of a title.
fn title_words(title: &str) -> Vec<String> {
    let content = |word: &&str| {
        let mut any = false;
        terms(word, |_| any = true);
        any && word.chars().count() > 1 && !word.starts_with(|c: char| c.is_ascii_digit())
    };
    let title = title.to_lowercase();
    title.split(|c: char| !c.is_alphanumeric()).filter(content).map(str::to_owned).collect()
}
