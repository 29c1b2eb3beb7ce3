//! What only prints: the configuration, the environments.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use anyhow::Result;

use crate::config::{self, Overrides};
use crate::core::exit::Exit;
use crate::env::KINDS;

/// `sdlab --print-config`: the explained defaults, or the explained recipe where one is named or changed.
pub(super) fn config(recipe: Option<&Path>, overrides: &Overrides) -> Result<Exit> {
    let plain = recipe.is_none() && *overrides == Overrides::default();
    let text = if plain { config::sample() } else { config::render(&config::load(recipe, overrides)?) };
    print(&text)
}

/// `sdlab envs`.
pub(super) fn envs() -> Result<Exit> {
    let rows = KINDS.iter().map(|kind| format!("{:<12} {}\n", kind.name, kind.about));
    print(&rows.collect::<String>())
}

/// Prints to stdout; a reader that has gone away is not an error.
fn print(text: &str) -> Result<Exit> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}
