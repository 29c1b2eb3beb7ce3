//! The passages that are searched, and where they come from.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};

use crate::env::bm25::{Index, Params};
use crate::env::data::text;
use crate::env::records::{Record, read};

/// One passage.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    pub id: String,
    pub title: String,
    /// `"Title"`, a line break, and the text.
    pub contents: Arc<str>,
}

impl Passage {
    /// Puts title and text together.
    pub fn new(id: String, title: &str, text: &str) -> Passage {
        Passage { id, title: title.to_owned(), contents: format!("\"{title}\"\n{text}").into() }
    }
}

/// Passages with an index.
#[derive(Debug)]
pub struct Corpus {
    passages: Vec<Passage>,
    by_id: HashMap<String, u32>,
    index: Index,
}

impl Corpus {
    /// Indexes passages. Fails if two share an id, or if there is none.
    pub fn new(passages: Vec<Passage>) -> Result<Corpus> {
        ensure!(!passages.is_empty(), "the corpus has no passage");
        let mut by_id = HashMap::with_capacity(passages.len());
        for (number, passage) in passages.iter().enumerate() {
            let before = by_id.insert(passage.id.clone(), number as u32);
            ensure!(before.is_none(), "two passages have the id `{}`; each needs its own", passage.id);
        }
        let index = Index::new(passages.iter().map(|passage| &*passage.contents), Params::default());
        Ok(Corpus { passages, by_id, index })
    }

    /// Reads a corpus: JSON objects with `id` and either `contents` (title in quotes on the first line) or `title` and
    /// `text`, one a line or in a list; or, if the file's name says `.tsv`, lines `id`, text, title. Fails on a
    /// malformed entry.
    pub fn load(path: &Path) -> Result<Corpus> {
        let mut passages = Vec::new();
        let name = path.to_string_lossy().to_lowercase();
        if name.trim_end_matches(".gz").ends_with(".tsv") {
            passages = tsv(path)?;
        } else {
            read(path, |record| {
                passages.push(passage(&record)?);
                Ok(())
            })?;
        }
        Corpus::new(passages).map_err(|error| error.context(format!("`{}`", path.display())))
    }

    /// The passages, in the order in which they came.
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// The passage with an id.
    pub fn find(&self, id: &str) -> Option<&Passage> {
        self.by_id.get(id).map(|&n| &self.passages[n as usize])
    }

    /// The best `k` passages for a query, best first.
    pub fn search(&self, query: &str, k: usize) -> Vec<&Passage> {
        self.index.search(query, k).iter().map(|hit| &self.passages[hit.text]).collect()
    }
}

fn passage(record: &Record) -> Result<Passage> {
    let id = match record.value("id")? {
        serde_json::Value::Number(number) => number.to_string(),
        _ => record.text("id")?.to_owned(),
    };
    if record.has("contents") {
        let contents = record.text("contents")?;
        let first = contents.lines().next().unwrap_or_default();
        let title = first.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(first);
        return Ok(Passage { id, title: title.to_owned(), contents: contents.into() });
    }
    Ok(Passage::new(id, record.text("title")?, record.text("text")?))
}

/// Lines of three columns; the first may be a header.
fn tsv(path: &Path) -> Result<Vec<Passage>> {
    let mut passages = Vec::new();
    for (number, line) in text(path)?.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, text, title] = columns[..] else {
            let found = columns.len();
            let place = format!("`{}`, line {}", path.display(), number + 1);
            bail!("{place}: expected the 3 columns `id`, `text`, `title` with tabs between them, found {found}");
        };
        if number == 0 && id == "id" {
            continue;
        }
        passages.push(Passage::new(id.to_owned(), &unquoted(title), &unquoted(text)));
    }
    Ok(passages)
}

/// A column that may be in quotes, with quotes inside doubled.
fn unquoted(column: &str) -> String {
    match column.strip_prefix('"').and_then(|c| c.strip_suffix('"')) {
        Some(inside) => inside.replace("\"\"", "\""),
        None => column.to_owned(),
    }
}
