//! A recipe as a commented file: the manual of the configuration, with the values of one recipe.

use std::fmt::Write;

use super::diff::leaves;
use super::fields::{Field, method_doc};
use super::recipe::{Recipe, tables};
use crate::core::event::Scope;

/// Every key with its explanation and its default.
pub fn sample() -> String {
    render(&Recipe::default())
}

/// Every key with its explanation and the value it has in `recipe`. Reads back as the same recipe.
pub fn render(recipe: &Recipe) -> String {
    let values = leaves(recipe);
    let mut out = String::from(HEADER);
    for table in tables() {
        if table.name == METHOD_BEFORE {
            method_table(recipe, &mut out);
        }
        if table.name.starts_with("env.") && table.name != format!("env.{}", recipe.env.name()) {
            continue;
        }
        comment(table.about, &mut out);
        line(&mut out, format_args!("[{}]", table.name));
        for field in table.fields {
            comment(&explanation(field), &mut out);
            let name = field.key.rsplit('.').next().unwrap_or(field.key);
            line(&mut out, format_args!("{name} = {}", value_text(recipe, field, values.get(field.key))));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

const HEADER: &str = "\
# A recipe of sdlab, with every key and the value it has in this recipe. One that is left out has its default.
# Edit the copy in a run's folder to retune that run; keys marked [next run] wait for the next one.

";

/// `[method.*]` stands before this table.
const METHOD_BEFORE: &str = "rollout";

fn method_table(recipe: &Recipe, out: &mut String) {
    let name = recipe.method.name();
    comment(&format!("The objective: `sdlab methods show {name}` explains it and its constants."), out);
    let mut open = String::new();
    for (key, value) in method_leaves(recipe) {
        let (table, name) = key.rsplit_once('.').unwrap_or(("method", &key));
        if table != open {
            if !open.is_empty() {
                out.push('\n');
            }
            line(out, format_args!("[{table}]"));
            open = table.to_owned();
        }
        comment(method_doc(&key).unwrap_or_default(), out);
        line(out, format_args!("{name} = {value}"));
    }
    if open.is_empty() {
        line(out, format_args!("[method.{name}]"));
    }
    out.push('\n');
}

/// Keys of the method, those of the outer table first: TOML has no way back out of a table.
fn method_leaves(recipe: &Recipe) -> Vec<(String, toml::Value)> {
    let mut found: Vec<_> = leaves(recipe).into_iter().filter(|(key, _)| key.starts_with("method.")).collect();
    let table = |key: &str| key.rsplit_once('.').map_or(String::new(), |(table, _)| table.to_owned());
    found.sort_by_key(|(key, _)| (table(key), key.clone()));
    found
}

fn explanation(field: &Field) -> String {
    let mark = if field.scope == Scope::NextRun { " [next run]" } else { "" };
    format!("{}{mark}", field.doc.trim_end())
}

fn value_text(recipe: &Recipe, field: &Field, value: Option<&toml::Value>) -> String {
    if field.key != "alerts.rules" || recipe.alerts.rules.is_empty() {
        return value.map_or(String::new(), toml::Value::to_string);
    }
    let rules = recipe.alerts.rules.iter().map(|rule| {
        // a rule is a flat table: one `key = value` a line, in the order of its fields
        let lines = toml::to_string(rule).unwrap_or_default();
        format!("    {{ {} }},\n", lines.trim_end().replace('\n', ", "))
    });
    format!("[\n{}]", rules.collect::<String>())
}

fn comment(text: &str, out: &mut String) {
    for text in text.trim_end().lines() {
        line(out, format_args!("# {}", text.trim()));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    // writing to a string cannot fail
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::{explanation, render, sample};
    use crate::config::{DEFAULT_TEXT, Overrides, Recipe, parse, tables};

    #[test]
    fn the_sample_reads_back_as_the_default() {
        assert_eq!(parse("sample", &sample(), &Overrides::default()).unwrap(), Recipe::default());
    }

    #[test]
    fn any_recipe_reads_back() {
        let set = ["alerts.rules=[]", "run.name=a", "method.grpo={}", "rollout.history=0", "optim.eps=1e-12"];
        let overrides = Overrides { set: set.iter().map(|s| (*s).to_owned()).collect(), ..Overrides::default() };
        let recipe = parse("r", DEFAULT_TEXT, &overrides).unwrap();
        assert_eq!(parse("again", &render(&recipe), &Overrides::default()).unwrap(), recipe);
    }

    #[test]
    fn every_key_stands_under_its_explanation() {
        let text = sample();
        let lines: Vec<&str> = text.lines().collect();
        let own = format!("env.{}", Recipe::default().env.name());
        let tables = tables().filter(|t| !t.name.starts_with("env.") || t.name == own);
        for field in tables.flat_map(|t| t.fields) {
            let name = field.key.rsplit('.').next().unwrap();
            let last = format!("# {}", explanation(field).lines().last().unwrap().trim());
            let under = lines.windows(2).any(|w| w[0] == last && w[1].starts_with(&format!("{name} = ")));
            assert!(under, "`{}` is not under its explanation", field.key);
        }
    }
}
