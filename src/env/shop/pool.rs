//! Where a shop's errands come from, and which split each belongs to.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Settings;
use super::generate::Generated;
use super::goal::Goal;
use super::lexicon::Lexicon;
use super::product::Catalogue;
use super::webshop::{Files, load};
use crate::core::Split;
use crate::core::rng::stream;
use crate::env::data::expand;

/// A supply of errands.
pub enum Pool {
    /// Drawn without end.
    Generated(Box<Generated>),
    /// WebShop's, in the order of its shuffle; per split the positions of its goals.
    Listed { goals: Vec<Goal>, splits: [Vec<u32>; 3] },
}

impl Pool {
    /// Opens what the settings name. Fails on missing or malformed files.
    pub fn open(settings: &Settings) -> Result<(Pool, Catalogue)> {
        if settings.products.is_empty() {
            let generated = Generated::new(Lexicon::current()?, settings.size, settings.seed, settings.held_out)?;
            let catalogue = generated.catalogue().clone();
            return Ok((Pool::Generated(Box::new(generated)), catalogue));
        }
        let products = &*expand(&settings.products)?;
        let attributes = given(&settings.attributes)?.or_else(|| beside(products, ATTRIBUTES));
        let attributes = attributes.with_context(|| {
            format!(
                "no `{}` beside `{}`; name the file with `attributes`",
                ATTRIBUTES.join("` or `"),
                settings.products
            )
        })?;
        let nouns = given(&settings.nouns)?.or_else(|| beside(products, NOUNS));
        let human = given(&settings.human)?;
        let files = Files { products, attributes: &attributes, human: human.as_deref(), nouns: nouns.as_deref() };
        let (catalogue, goals) = load(files, settings.seed)?;
        let splits = splits(&goals, settings);
        Ok((Pool::Listed { goals, splits }, catalogue))
    }

    /// Number of errands of a split.
    pub fn size(&self, split: Split) -> u64 {
        match self {
            Pool::Listed { splits, .. } => splits[split as usize].len() as u64,
            Pool::Generated(shop) if !shop.has(split) => 0,
            Pool::Generated(_) if split == Split::Train => u64::MAX,
            Pool::Generated(_) => VALID_TASKS,
        }
    }

    /// An errand. Fails if there is no such one.
    pub fn goal(&self, split: Split, index: u64) -> Result<Goal> {
        match self {
            Pool::Generated(shop) => shop.goal(split, index),
            Pool::Listed { goals, splits } => {
                let Some(&at) = splits[split as usize].get(index as usize) else { bail!("there is no such errand") };
                Ok(goals[at as usize].clone())
            }
        }
    }
}

/// Tasks of each held-out split of a generated shop.
const VALID_TASKS: u64 = 1024;
/// The first goals of the shuffled list are WebShop's test set; fewer where there are few.
const TEST_GOALS: usize = 500;

const ATTRIBUTES: &[&str] = &["items_ins_v2_1000.json", "items_ins_v2.json"];
const NOUNS: &[&str] = &["title_nouns_spacy.json", "title_nouns.json"];

fn given(path: &str) -> Result<Option<PathBuf>> {
    (!path.is_empty()).then(|| expand(path)).transpose()
}

fn beside(file: &Path, names: &[&str]) -> Option<PathBuf> {
    let names = names.iter().flat_map(|name| [(*name).to_owned(), format!("{name}.gz")]);
    names.map(|name| file.with_file_name(name)).find(|path| path.exists())
}

/// The published splits; the goals of held-out items are taken from both.
fn splits(goals: &[Goal], settings: &Settings) -> [Vec<u32>; 3] {
    use rand::RngExt;
    let unseen = |item: usize| stream(settings.seed, "shop held out", &[item as u64]).random_bool(settings.held_out);
    let test = TEST_GOALS.min(goals.len() / 5);
    let mut splits: [Vec<u32>; 3] = Default::default();
    for (at, goal) in goals.iter().enumerate() {
        let split = match () {
            () if unseen(goal.item) => Split::ValidUnseen,
            () if at < test => Split::ValidSeen,
            () => Split::Train,
        };
        splits[split as usize].push(at as u32);
    }
    splits
}
