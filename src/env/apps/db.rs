//! The state of the apps: tables of rows. A copy shares its rows until one is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Fields of a row.
pub type Row = Map<String, Value>;

/// Tables by name, rows by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Db(BTreeMap<&'static str, BTreeMap<u64, Arc<Row>>>);

/// A difference between two states.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new row. As an expectation: with at least these fields.
    Added(&'static str, Row),
    Removed(&'static str, u64),
    /// Another value of a field.
    Set(&'static str, u64, String, Value),
}

impl Db {
    /// Adds a row and returns its number, one more than the highest.
    pub fn add(&mut self, table: &'static str, row: Value) -> u64 {
        let rows = self.0.entry(table).or_default();
        let id = rows.last_key_value().map_or(1, |(id, _)| id + 1);
        let fields = match row {
            Value::Object(fields) => fields,
            _ => Row::new(),
        };
        rows.insert(id, Arc::new(fields));
        id
    }

    /// All rows of a table, in order.
    pub fn rows(&self, table: &str) -> impl DoubleEndedIterator<Item = (u64, &Row)> {
        self.0.get(table).into_iter().flatten().map(|(id, row)| (*id, &**row))
    }

    /// The rows whose `field` is `value`.
    pub fn of<'a>(
        &'a self,
        table: &str,
        field: &'a str,
        value: &'a str,
    ) -> impl DoubleEndedIterator<Item = (u64, &'a Row)> {
        self.rows(table).filter(move |(_, row)| row.get(field).and_then(Value::as_str) == Some(value))
    }

    pub fn row(&self, table: &str, id: u64) -> Option<&Row> {
        self.0.get(table)?.get(&id).map(|row| &**row)
    }

    /// Sets a field of a row that is there.
    pub fn set(&mut self, table: &str, id: u64, field: &str, value: Value) {
        if let Some(row) = self.0.get_mut(table).and_then(|rows| rows.get_mut(&id)) {
            Arc::make_mut(row).insert(field.to_owned(), value);
        }
    }

    pub fn remove(&mut self, table: &str, id: u64) {
        if let Some(rows) = self.0.get_mut(table) {
            rows.remove(&id);
        }
    }

    /// What leads from here to `after`.
    pub fn changes(&self, after: &Db) -> Vec<Change> {
        let none = BTreeMap::new();
        let mut changes = Vec::new();
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(after.0.keys()).copied().collect();
        for table in names {
            let (old, new) = (self.0.get(table).unwrap_or(&none), after.0.get(table).unwrap_or(&none));
            for (id, row) in new {
                match old.get(id) {
                    None => changes.push(Change::Added(table, (**row).clone())),
                    Some(before) if Arc::ptr_eq(before, row) => {}
                    Some(before) => {
                        let other = row.iter().filter(|(field, value)| before.get(*field) != Some(*value));
                        changes.extend(other.map(|(f, v)| Change::Set(table, *id, f.clone(), v.clone())));
                    }
                }
            }
            let gone = old.keys().filter(|id| !new.contains_key(id));
            changes.extend(gone.map(|id| Change::Removed(table, *id)));
        }
        changes
    }
}

impl Change {
    /// Whether an actual change is the expected one.
    pub fn meets(&self, expected: &Change) -> bool {
        match (self, expected) {
            (Change::Added(table, row), Change::Added(wanted, fields)) => {
                table == wanted && fields.iter().all(|(field, value)| row.get(field) == Some(value))
            }
            _ => self == expected,
        }
    }
}
