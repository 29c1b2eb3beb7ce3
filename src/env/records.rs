//! Data files made of records: a JSON list of objects, or one JSON object a line, compressed by gzip or not. Whatever is wrong is named by file,
//! entry and field.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::data::text;

/// One object of a file, and where it stands.
#[derive(Clone, Debug)]
pub struct Record {
    place: String,
    fields: Map<String, Value>,
}

/// Reads a file record by record. Fails on a file that cannot be read, a malformed record, or where `each` fails.
pub fn read(path: &Path, mut each: impl FnMut(Record) -> Result<()>) -> Result<()> {
    let text = text(path)?;
    if text.trim_start().starts_with('[') {
        return read_list(path, &text, &mut each);
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("`{}`, line {}", path.display(), number + 1);
        let fields = serde_json::from_str(line).map_err(|e| anyhow!("{place}: not a JSON object, {e}"))?;
        each(Record { place, fields })?;
    }
    Ok(())
}

/// Reads a file that is one JSON object. Fails if it is not.
pub fn read_object(path: &Path) -> Result<Map<String, Value>> {
    serde_json::from_str(&text(path)?).map_err(|e| anyhow!("`{}`: not a JSON object, {e}", path.display()))
}

impl Record {
    /// A record made by hand, e.g. a value of [`read_object`]. Fails if the value is not an object.
    pub fn new(place: String, value: Value) -> Result<Record> {
        match value {
            Value::Object(fields) => Ok(Record { place, fields }),
            other => bail!("{place}: expected an object, found {}", name(&other)),
        }
    }

    /// Whether a field is there and not null.
    pub fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    /// A field as it is. Fails if it is missing.
    pub fn value(&self, field: &str) -> Result<&Value> {
        self.fields.get(field).ok_or_else(|| self.error(field, "missing"))
    }

    /// A text. Fails if the field is missing or something else.
    pub fn text(&self, field: &str) -> Result<&str> {
        let value = self.value(field)?;
        value.as_str().ok_or_else(|| self.expected(field, "a text", value))
    }

    /// A text that may be missing or null, then empty.
    pub fn text_or_empty(&self, field: &str) -> Result<&str> {
        if self.has(field) { self.text(field) } else { Ok("") }
    }

    /// A list of texts. Fails if the field is missing or something else.
    pub fn texts(&self, field: &str) -> Result<Vec<String>> {
        let value = self.value(field)?;
        let list = value.as_array().ok_or_else(|| self.expected(field, "a list of texts", value))?;
        let text = |item: &Value| Some(item.as_str()?.to_owned());
        let texts: Option<Vec<String>> = list.iter().map(text).collect();
        texts.ok_or_else(|| self.error(field, "expected a list of texts, found something else in it"))
    }

    /// The error `file, entry, field: reason`.
    pub fn error(&self, field: &str, reason: impl std::fmt::Display) -> anyhow::Error {
        anyhow!("{}, field `{field}`: {reason}", self.place)
    }

    /// The error that a field is of another type.
    pub fn expected(&self, field: &str, expected: &str, found: &Value) -> anyhow::Error {
        self.error(field, format!("expected {expected}, found {}", name(found)))
    }
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// One entry at a time, so that a large file is never in memory twice.
fn read_list(path: &Path, text: &str, each: &mut dyn FnMut(Record) -> Result<()>) -> Result<()> {
    let mut failed = None;
    let list = List { path, each, failed: &mut failed };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = list.deserialize(&mut json).and_then(|()| json.end());
    match (failed, read) {
        (Some(error), _) => Err(error),
        (None, read) => read.map_err(|e| anyhow!("`{}`: {e}", path.display())),
    }
}

struct List<'a> {
    path: &'a Path,
    each: &'a mut dyn FnMut(Record) -> Result<()>,
    failed: &'a mut Option<anyhow::Error>,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        for number in 1.. {
            let place = format!("`{}`, entry {number}", self.path.display());
            let entry =
                entries.next_element::<Value>().map_err(|e| A::Error::custom(format!("entry {number}: {e}")))?;
            let Some(entry) = entry else { break };
            if let Err(error) = Record::new(place, entry).and_then(&mut *self.each) {
                *self.failed = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut found = Vec::new();
        let done = read(file.path(), |record| {
            found.push(record.text("name")?.to_owned());
            Ok(())
        });
        let message = |e: anyhow::Error| format!("{e:#}").replace(&file.path().display().to_string(), "F");
        done.map(|()| found).map_err(message)
    }

    #[test]
    fn lists_and_lines_read_alike() {
        assert_eq!(names(r#" [{"name": "a"}, {"name": "b", "x": [1]}]"#).unwrap(), ["a", "b"]);
        assert_eq!(names("{\"name\": \"a\"}\n\n{\"name\": \"b\"}\n").unwrap(), ["a", "b"]);
        assert!(names("[]").unwrap().is_empty() && names("").unwrap().is_empty());
    }

    #[test]
    fn faults_are_named_by_place_and_field() {
        for (text, expected) in [
            (r#"[{"name": "a"}, {"name": 5}]"#, "`F`, entry 2, field `name`: expected a text, found a number"),
            (r#"[{"name": "a"}, 7]"#, "`F`, entry 2: expected an object, found a number"),
            (r#"[{"name": "a"}, {"nam"#, "`F`: entry 2: EOF while parsing a string at line 1 column 21"),
            ("{\"name\": \"a\"}\n{}", "`F`, line 2, field `name`: missing"),
            ("{\"name\": \"a\"}\nhello", "`F`, line 2: not a JSON object, expected value at line 1 column 1"),
        ] {
            assert_eq!(names(text).unwrap_err(), expected);
        }
    }
}
