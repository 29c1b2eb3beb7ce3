//! Reading skill files; the format is in [`super::bank`].

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::bank::{BankError, GENERAL, MISTAKES, Skill, SkillGroup};
use super::neutral::{neutralise, words};
use crate::core::line_column;
use crate::core::skill::{Analyses, Provenance};

/// A file being read.
pub(super) struct Source<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

impl Source<'_> {
    pub fn group(&self, seen: &mut BTreeMap<String, String>) -> Result<SkillGroup, BankError> {
        let file: GroupFile = toml::from_str(self.text).map_err(|error| {
            let message = format!("{}, compare the format in `skills/household`", error.message().replace('\n', ", "));
            BankError { message, ..self.refusal(error.span(), "") }
        })?;
        let keywords = self.keywords(file.keywords)?;
        let category = file.category;
        let free = category.get_ref() != GENERAL && category.get_ref() != MISTAKES;
        let mut skills = Vec::with_capacity(file.skill.len());
        for entry in file.skill {
            if free && keywords.is_empty() && entry.keywords.is_empty() {
                let reason = "a skill for every goal outside `general` and `mistakes`, give it or its file `keywords`";
                return Err(self.refusal(Some(entry.id.span()), reason));
            }
            skills.push(self.skill(entry, seen)?);
        }
        Ok(SkillGroup { category: self.line(category, "category")?, keywords, skills })
    }

    fn skill(&self, entry: SkillEntry, seen: &mut BTreeMap<String, String>) -> Result<Skill, BankError> {
        let span = entry.id.span();
        let id = self.line(entry.id, "id")?;
        if let Some(first) = seen.get(&id) {
            let reason = format!("the id `{id}` is already used in {first}, give each skill its own");
            return Err(self.refusal(Some(span), &reason));
        }
        seen.insert(id.clone(), self.name.to_owned());
        let analyses = Analyses {
            success_analysis: self.optional(entry.success_analysis, "success_analysis")?,
            mistake_analysis: self.optional(entry.mistake_analysis, "mistake_analysis")?,
            golden_workflow: self.optional(entry.golden_workflow, "golden_workflow")?,
        };
        if entry.text.is_none() && analyses.is_empty() {
            return Err(self.refusal(Some(span), "the skill says nothing, give it a `text`"));
        }
        Ok(Skill {
            id,
            title: self.line(entry.title, "title")?,
            text: self.optional(entry.text, "text")?,
            when: entry.when.map(|when| self.line(when, "when")).transpose()?,
            keywords: self.keywords(entry.keywords)?,
            analyses,
            disabled: entry.disabled,
            provenance: entry.provenance,
        })
    }

    /// As [`Source::line`]; what is left out is empty.
    fn optional(&self, value: Option<Spanned<String>>, key: &str) -> Result<String, BankError> {
        value.map_or(Ok(String::new()), |value| self.line(value, key))
    }

    fn keywords(&self, keywords: Vec<Spanned<String>>) -> Result<Vec<String>, BankError> {
        keywords
            .into_iter()
            .map(|keyword| {
                let span = keyword.span();
                let words = words(keyword.get_ref());
                if words.is_empty() {
                    return Err(self.refusal(Some(span), "a keyword without letters or digits, remove it"));
                }
                Ok(words.join(" "))
            })
            .collect()
    }

    /// Neutralised and not empty.
    fn line(&self, value: Spanned<String>, key: &str) -> Result<String, BankError> {
        let span = value.span();
        let line = neutralise(value.get_ref());
        if line.is_empty() {
            return Err(self.refusal(Some(span), &format!("`{key}` is empty, write one or remove the skill")));
        }
        Ok(line)
    }

    fn refusal(&self, span: Option<Range<usize>>, message: &str) -> BankError {
        let place = span.map(|span| line_column(self.text, span.start));
        BankError { file: self.name.to_owned(), place, message: message.to_owned() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupFile {
    category: Spanned<String>,
    #[serde(default)]
    keywords: Vec<Spanned<String>>,
    #[serde(default)]
    skill: Vec<SkillEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkillEntry {
    id: Spanned<String>,
    title: Spanned<String>,
    text: Option<Spanned<String>>,
    when: Option<Spanned<String>>,
    #[serde(default)]
    keywords: Vec<Spanned<String>>,
    success_analysis: Option<Spanned<String>>,
    mistake_analysis: Option<Spanned<String>>,
    golden_workflow: Option<Spanned<String>>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    provenance: Provenance,
}
