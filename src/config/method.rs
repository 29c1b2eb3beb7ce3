//! `[method.<name>]`: which objective is trained, and its constants.

use serde::{Deserialize, Serialize};

/// The one `[method.<name>]` table of a recipe, as written; the method itself knows its keys and defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MethodTable(toml::Table);

impl MethodTable {
    /// Name as in `[method.<name>]`.
    pub fn name(&self) -> &str {
        self.0.keys().next().map_or("", String::as_str)
    }
}

impl Default for MethodTable {
    fn default() -> Self {
        Self([("sdar".to_owned(), toml::Value::Table(toml::Table::new()))].into_iter().collect())
    }
}
