//! Where the questions come from, and which split each belongs to.

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::Settings;
use super::corpus::Corpus;
use super::fiction::Fiction;
use super::lore::Lore;
use super::question::{Loaded, Question, load};
use crate::core::Split;
use crate::env::data::expand;

/// A supply of questions.
pub enum Pool {
    /// Drawn without end.
    Generated(Fiction),
    /// From a file; per split the positions of its questions.
    Listed { questions: Vec<Question>, splits: [Vec<u32>; 3] },
}

impl Pool {
    /// Opens what the settings name; the corpus is `None` if there are no passages, and not needed with a server.
    /// Fails on missing or malformed files.
    pub fn open(settings: &Settings) -> Result<(Pool, Option<Corpus>)> {
        if settings.questions.is_empty() {
            ensure!(
                settings.corpus.is_empty(),
                "`corpus` is set but not `questions`; name a file of questions about it"
            );
            let fiction = Fiction::new(Lore::current()?, settings.passages, settings.seed, settings.held_out);
            let corpus = Corpus::new(fiction.passages())?;
            return Ok((Pool::Generated(fiction), Some(corpus)));
        }
        let Loaded { mut questions, passages } = load(&expand(&settings.questions)?)?;
        let corpus = match (settings.corpus.as_str(), passages.is_empty()) {
            ("", true) => None,
            ("", false) => Some(Corpus::new(passages)?),
            (path, _) => Some(Corpus::load(&expand(path)?)?),
        };
        if let Some(corpus) = &corpus {
            questions.iter_mut().for_each(|question| name_passages(question, corpus));
        }
        let splits = splits(&questions);
        Ok((Pool::Listed { questions, splits }, corpus))
    }

    /// Number of questions of a split.
    pub fn size(&self, split: Split) -> u64 {
        match self {
            Pool::Listed { splits, .. } => splits[split as usize].len() as u64,
            Pool::Generated(fiction) if !fiction.has(split) => 0,
            Pool::Generated(_) if split == Split::Train => u64::MAX,
            Pool::Generated(_) => VALID_TASKS,
        }
    }

    /// A question. Fails if there is no such one.
    pub fn question(&self, split: Split, index: u64) -> Result<Question> {
        match self {
            Pool::Generated(fiction) => fiction.question(split, index),
            Pool::Listed { questions, splits } => {
                let Some(&at) = splits[split as usize].get(index as usize) else { bail!("there is no such question") };
                Ok(questions[at as usize].clone())
            }
        }
    }
}

/// Tasks of each held-out split of generated questions.
const VALID_TASKS: u64 = 1024;
/// One in this many questions is held out of a file that does not say which.
const HELD_OUT: u8 = 10;

/// Titles for the passages that a question names by id.
fn name_passages(question: &mut Question, corpus: &Corpus) {
    if question.titles.is_empty() {
        let passages = question.ids.iter().filter_map(|id| corpus.find(id));
        question.titles = passages.map(|passage| passage.title.clone()).collect();
    }
}

/// Training questions; held-out ones; and those of the held-out ones that share no supporting passage with training,
/// which are the entities it never asks about.
fn splits(questions: &[Question]) -> [Vec<u32>; 3] {
    let train =
        |question: &Question| question.train.unwrap_or_else(|| Sha256::digest(&question.text)[0] % HELD_OUT != 0);
    let asked: HashSet<&String> = questions.iter().filter(|q| train(q)).flat_map(|q| &q.titles).collect();
    let mut splits: [Vec<u32>; 3] = Default::default();
    for (at, question) in questions.iter().enumerate() {
        let known = question.titles.is_empty() || question.titles.iter().any(|title| asked.contains(title));
        let split = match (train(question), known) {
            (true, _) => Split::Train,
            (false, true) => Split::ValidSeen,
            (false, false) => Split::ValidUnseen,
        };
        splits[split as usize].push(at as u32);
        if split == Split::ValidUnseen {
            splits[Split::ValidSeen as usize].push(at as u32);
        }
    }
    splits
}
