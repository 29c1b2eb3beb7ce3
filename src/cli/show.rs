//! What only prints: the configuration, the methods.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Topic, Usage};
use crate::config::{self, Overrides, closest};
use crate::core::exit::Exit;
use crate::export::{self, Format, Pick};
use crate::method::{METHODS, MethodConfig, MethodInfo};
use crate::run::RunFolder;

/// `sdlab --print-config`: the recipe that the same arguments would train, every key explained.
pub(super) fn config(recipe: Option<&Path>, overrides: &Overrides) -> Result<Exit> {
    print(&config::render(&config::load(recipe, overrides)?))
}

/// `sdlab methods list|show NAME`.
pub(super) fn methods(topic: &Topic) -> Result<Exit> {
    match topic {
        Topic::List => print(&family()),
        Topic::Show { name } => match METHODS.iter().find(|method| method.name == name) {
            Some(method) => print(&method_page(method)),
            None => {
                let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
                Err(unknown("method", name, &known).into())
            }
        },
    }
}

/// The family as a table: a line per method, a column per axis, and under `beside` the axes that few have.
fn family() -> String {
    let mut rows: Vec<Vec<String>> =
        vec![["method", "credit", "context", "teacher", "loss", "beside"].map(String::from).into()];
    for method in METHODS {
        let mut row = vec![method.name.to_owned()];
        row.extend(AXES.map(|axis| axis_of(method, axis).unwrap_or("-").to_owned()));
        let parts = method.axes.split(" | ").filter(|part| !AXES.iter().any(|axis| part.starts_with(axis)));
        row.push(parts.collect::<Vec<_>>().join("; "));
        rows.push(row);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=AXES.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        format!("{cells}{}", row.last().map_or("", String::as_str)).trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Axes that most methods have.
const AXES: [&str; 4] = ["credit", "context", "teacher", "loss"];

fn axis_of(method: &MethodInfo, axis: &str) -> Option<&'static str> {
    method.axes.split(" | ").find_map(|part| part.strip_prefix(axis)).map(str::trim)
}

/// Everything about a method: what it is, where it comes from, what it asks for, its constants with their defaults.
fn method_page(method: &MethodInfo) -> String {
    let mut page = format!("{}: {}\n\n{}\n", method.name, method.summary, method.docs.trim());
    page.push_str("\nProvenance\n");
    wrap(method.provenance, 116).iter().for_each(|line| page.push_str(&format!("  {line}\n")));
    let config = MethodConfig::all().into_iter().find(|config| config.name() == method.name);
    let asks = config.as_ref().map(|config| config.build().needs().sentences()).unwrap_or_default();
    if !asks.is_empty() {
        page.push_str("\nAsks for\n");
        asks.iter().for_each(|ask| page.push_str(&format!("  {ask}\n")));
    }
    let stand_ins = config.as_ref().map(|config| config.build().stand_ins()).unwrap_or_default();
    if !stand_ins.is_empty() {
        page.push_str("\nStand-ins (named on the screen and in the manifest)\n");
        stand_ins.iter().for_each(|what| page.push_str(&format!("  {what}\n")));
    }
    let table = config.and_then(|config| toml::Table::try_from(config).ok()).unwrap_or_default();
    let defaults = table.values().next().and_then(toml::Value::as_table).cloned().unwrap_or_default();
    page.push_str(&format!("\n[method.{}]\n", method.name));
    // a key without a default is no setting but state
    for key in method.keys.iter().filter(|key| defaults.contains_key(key.key)) {
        match &defaults[key.key] {
            toml::Value::Table(inner) if inner.contains_key("variant") || key.key == "gigpo" => {
                page.push_str(&format!("{} = {{ {}... }}\n", key.key, unusual(key.key, inner)));
            }
            toml::Value::Array(list) if list.iter().all(toml::Value::is_table) => {
                let lines: String = list.iter().map(|item| format!("  {item},\n")).collect();
                page.push_str(&format!("{} = [\n{lines}]\n", key.key));
            }
            value => page.push_str(&format!("{} = {value}\n", key.key)),
        }
        key.doc.trim_end().lines().for_each(|line| page.push_str(&format!("    {}\n", line.trim())));
    }
    page
}

/// The settings of a nested method that are not its own defaults, each with a comma.
fn unusual(method: &str, inner: &toml::Table) -> String {
    let own = MethodConfig::all().into_iter().find(|config| config.name() == method);
    let usual = own.and_then(|config| toml::Table::try_from(config).ok()).unwrap_or_default();
    let usual = usual.get(method).and_then(toml::Value::as_table);
    let changed = inner.iter().filter(|(key, value)| usual.is_none_or(|usual| usual.get(*key) != Some(value)));
    changed.filter(|(_, value)| !value.is_table()).map(|(key, value)| format!("{key} = {value}, ")).collect()
}

/// Words in lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

/// `sdlab export`: the files that were written, one a line.
pub(super) fn exported(folder: &RunFolder, format: Format, pick: Pick, out: &Path) -> Result<Exit> {
    let files = export::export(folder, format, pick, out)?;
    print(&files.iter().map(|file| format!("{}\n", file.display())).collect::<String>())
}

/// `sdlab report`: the file that was written.
pub(super) fn report(folder: &RunFolder, out: Option<PathBuf>) -> Result<Exit> {
    let path = out.unwrap_or_else(|| PathBuf::from(format!("{}.html", folder.name())));
    export::report(folder, &path)?;
    print(&format!("{}\n", path.display()))
}

pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> Usage {
    match closest(name, known) {
        None if known.is_empty() => Usage(format!("no {what} is called `{name}`, there is none at all")),
        Some(near) => Usage(format!("no {what} is called `{name}`, did you mean `{near}`?")),
        None => Usage(format!("no {what} is called `{name}`, there is {}", known.join(", "))),
    }
}

/// Prints to stdout; a reader that has gone away is not an error.
pub(super) fn print(text: &str) -> Result<Exit> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::method_page;
    use crate::method::METHODS;

    fn page(name: &str) -> String {
        method_page(METHODS.iter().find(|method| method.name == name).unwrap())
    }

    #[test]
    fn pages_fit_a_wide_terminal_and_tell_defaults_of_their_own() {
        for method in METHODS {
            for line in page(method.name).lines().filter(|line| !line.contains(" = ")) {
                assert!(line.chars().count() <= 130, "{}: {line}", method.name);
            }
        }
        let skill_sd = page("skill-sd");
        assert!(skill_sd.contains("clip_high = 0.28, dual_clip = 0.0, entropy_coef = 0.0, kl_coef = 0.0, ... }"));
        assert!(page("sdar").contains("grpo = { ... }"));
    }
}
