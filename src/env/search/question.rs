//! Questions, and the files they are read from:
//!
//! - Search-R1 / FlashRAG: `question`, `golden_answers`, and perhaps `id`, `data_source`, `type`, `split`, `support`.
//! - NQ-open: `question`, `answer` (a list).
//! - HotpotQA, 2WikiMultihopQA: `_id`, `question`, `answer`, `type`, `supporting_facts`, `context`.
//! - MuSiQue: `id`, `question`, `answer`, `answer_aliases`, `paragraphs`.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::corpus::Passage;
use crate::env::records::{Record, read};

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub id: String,
    pub text: String,
    /// Every answer that counts as right; at least one.
    pub golden: Vec<String>,
    /// Data set and type, e.g. `hotpotqa/bridge`: the unit of per-type success rates.
    pub kind: String,
    /// `Some(false)`: held out by its file; `None`: the file does not say.
    pub train: Option<bool>,
    /// Titles of the passages that answer it, in order; empty if not known.
    pub titles: Vec<String>,
    /// Ids of those passages, if the file names passages by id.
    pub ids: Vec<String>,
}

/// What a file of questions holds.
#[derive(Debug, Default)]
pub struct Loaded {
    pub questions: Vec<Question>,
    /// Passages that came with the questions, each once.
    pub passages: Vec<Passage>,
}

/// Reads questions. Fails on a malformed entry, or if there is none.
pub fn load(path: &Path) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    let mut seen = std::collections::HashSet::new();
    read(path, |record| {
        let number = loaded.questions.len();
        let (question, passages) = question(&record, number)?;
        loaded.questions.push(question);
        for (title, text) in passages {
            if seen.insert((title.clone(), text.clone())) {
                loaded.passages.push(Passage::new(loaded.passages.len().to_string(), &title, &text));
            }
        }
        Ok(())
    })?;
    ensure!(!loaded.questions.is_empty(), "`{}` has no question", path.display());
    Ok(loaded)
}

/// Title and text of passages that come with a question.
type Given = Vec<(String, String)>;

fn question(record: &Record, number: usize) -> Result<(Question, Given)> {
    let text = record.text("question")?.trim().to_owned();
    ensure!(!text.is_empty(), record.error("question", "empty"));
    let id = ["id", "_id"].into_iter().find(|field| record.has(field));
    let id = id.map(|field| record.text(field)).transpose()?.map_or_else(|| number.to_string(), str::to_owned);
    let kind: Vec<&str> = [record.text_or_empty("data_source")?, record.text_or_empty("type")?]
        .into_iter()
        .filter(|p| !p.is_empty())
        .collect();
    let kind = if kind.is_empty() { "question".to_owned() } else { kind.join("/") };
    let train = record.has("split").then(|| record.text("split")).transpose()?.map(|split| split == "train");
    let (titles, passages) = evidence(record)?;
    let ids = if record.has("support") { record.texts("support")? } else { Vec::new() };
    Ok((Question { id, text, golden: golden(record)?, kind, train, titles, ids }, passages))
}

fn golden(record: &Record) -> Result<Vec<String>> {
    let field = ["golden_answers", "answer", "answers"].into_iter().find(|field| record.has(field));
    let field = field.ok_or_else(|| record.error("golden_answers", "missing, and so is `answer`"))?;
    let mut golden = match record.value(field)? {
        Value::String(one) => vec![one.clone()],
        _ => record.texts(field)?,
    };
    if record.has("answer_aliases") {
        golden.extend(record.texts("answer_aliases")?);
    }
    ensure!(!golden.is_empty(), record.error(field, "no answer"));
    Ok(golden)
}

/// Titles of the supporting passages, and all passages of the entry.
fn evidence(record: &Record) -> Result<(Vec<String>, Given)> {
    if record.has("paragraphs") {
        return paragraphs(record);
    }
    if !record.has("context") {
        return Ok((Vec::new(), Vec::new()));
    }
    let wrong = |field: &str, expected: &str| record.error(field, format!("expected {expected}"));
    let context = record.value("context")?.as_array();
    let context = context.ok_or_else(|| wrong("context", "a list of [title, sentences]"))?;
    let passage = |entry: &Value| {
        let title = entry.get(0)?.as_str()?.to_owned();
        let sentences: Option<Vec<&str>> = entry.get(1)?.as_array()?.iter().map(Value::as_str).collect();
        Some((title, sentences?.concat()))
    };
    let passages: Option<Given> = context.iter().map(passage).collect();
    let passages = passages.ok_or_else(|| wrong("context", "a list of [title, sentences]"))?;
    let mut titles: Vec<String> = Vec::new();
    if record.has("supporting_facts") {
        let facts = record.value("supporting_facts")?.as_array();
        for fact in facts.ok_or_else(|| wrong("supporting_facts", "a list of [title, number]"))? {
            let title = fact.get(0).and_then(Value::as_str);
            let title = title.ok_or_else(|| wrong("supporting_facts", "a list of [title, number]"))?;
            if !titles.iter().any(|other| other == title) {
                titles.push(title.to_owned());
            }
        }
    }
    Ok((titles, passages))
}

fn paragraphs(record: &Record) -> Result<(Vec<String>, Given)> {
    let wrong = || record.error("paragraphs", "expected a list of objects with `title` and `paragraph_text`");
    let list = record.value("paragraphs")?.as_array().ok_or_else(wrong)?;
    let (mut titles, mut passages) = (Vec::new(), Vec::new());
    for entry in list {
        let field = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(title), Some(text)) = (field("title"), field("paragraph_text")) else { return Err(wrong()) };
        if entry.get("is_supporting") == Some(&Value::Bool(true)) && !titles.contains(&title) {
            titles.push(title.clone());
        }
        passages.push((title, text));
    }
    Ok((titles, passages))
}
