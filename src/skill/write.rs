//! Writing a bank: as skill files that [`Bank::load`] reads again, and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bank::{Bank, Skill, SkillGroup};
use crate::core::skill::Provenance;

impl Bank {
    /// The bank as skill files: name to text. A category is a file; groups of one category that differ in their
    /// condition are numbered.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for group in self.groups() {
            let stem = file_stem(&group.category);
            let names = std::iter::once(format!("{stem}.toml")).chain((2..).map(|n| format!("{stem}_{n}.toml")));
            // of infinitely many names one is free
            if let Some(name) = names.into_iter().find(|name| !files.contains_key(name)) {
                files.insert(name, text(group));
            }
        }
        files
    }

    /// The bank as one JSON document: `{"format": "sdlab-skills", "version": 1, "skills": [...]}`, each skill with its
    /// category and provenance.
    pub fn json(&self) -> String {
        let document = serde_json::json!({ "format": FORMAT, "version": 1, "skills": self.cards() });
        // strings, numbers and lists can always be said in JSON
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }
}

/// What the JSON form calls itself.
pub(super) const FORMAT: &str = "sdlab-skills";

/// The text of a skill file.
fn text(group: &SkillGroup) -> String {
    let file =
        File { category: &group.category, keywords: &group.keywords, skill: group.skills.iter().map(entry).collect() };
    // strings, numbers, lists and tables with string keys are all TOML
    toml::to_string_pretty(&file).unwrap_or_default()
}

fn entry(skill: &Skill) -> Entry<'_> {
    let [success_analysis, mistake_analysis, golden_workflow] = skill.analyses.parts().map(|(_, text)| text);
    let known = skill.provenance != Provenance::default();
    Entry {
        id: &skill.id,
        title: &skill.title,
        text: &skill.text,
        when: skill.when.as_deref().unwrap_or_default(),
        keywords: &skill.keywords,
        success_analysis,
        mistake_analysis,
        golden_workflow,
        disabled: skill.disabled,
        provenance: known.then_some(&skill.provenance),
    }
}

/// A category as the name of a file.
fn file_stem(category: &str) -> String {
    let tame = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c.to_ascii_lowercase() } else { '_' };
    category.chars().take(64).map(tame).collect()
}

#[derive(Serialize)]
struct File<'a> {
    category: &'a str,
    #[serde(skip_serializing_if = "is_empty")]
    keywords: &'a [String],
    skill: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    when: &'a str,
    #[serde(skip_serializing_if = "is_empty")]
    keywords: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    success_analysis: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    mistake_analysis: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    golden_workflow: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<&'a Provenance>,
}

fn is_empty(keywords: &[String]) -> bool {
    keywords.is_empty()
}
