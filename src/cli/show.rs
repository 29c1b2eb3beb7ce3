//! What only prints: the configuration, the methods.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Topic, Usage};
use crate::config::{self, Overrides, closest};
use crate::core::exit::Exit;
use crate::export::{self, Format, Pick};
use crate::method::{METHODS, MethodInfo};
use crate::run::RunFolder;

/// `sdlab --print-config`: the explained defaults, or the explained recipe where one is named or changed.
pub(super) fn config(recipe: Option<&Path>, overrides: &Overrides) -> Result<Exit> {
    let plain = recipe.is_none() && *overrides == Overrides::default();
    let text = if plain { config::sample() } else { config::render(&config::load(recipe, overrides)?) };
    print(&text)
}

/// `sdlab methods list|show NAME`.
pub(super) fn methods(topic: &Topic) -> Result<Exit> {
    match topic {
        Topic::List => print(&METHODS.iter().map(|m| format!("{:<12} {}\n", m.name, m.summary)).collect::<String>()),
        Topic::Show { name } => match METHODS.iter().find(|method| method.name == name) {
            Some(method) => print(&method_page(method)),
            None => {
                let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
                Err(unknown("method", name, &known).into())
            }
        },
    }
}

/// Everything about a method: what it is, where it comes from, its constants with their defaults.
fn method_page(method: &MethodInfo) -> String {
    let mut page =
        format!("{}: {}\n\n{}\n\n{}\n", method.name, method.summary, method.docs.trim(), method.provenance.trim());
    page.push_str(&format!("\n[method.{}]\n", method.name));
    for key in method.keys {
        page.push_str(&format!("{}\n", key.key));
        key.doc.trim_end().lines().for_each(|line| page.push_str(&format!("    {}\n", line.trim())));
    }
    page
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
