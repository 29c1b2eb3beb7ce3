//! What shells and `man` read, made from the same definitions as `--help`.

use anyhow::Result;
use clap::CommandFactory;

use super::Cli;
use super::show::print;
use crate::core::exit::Exit;

/// `sdlab completions SHELL`.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sdlab", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// `sdlab man`.
pub(super) fn manual() -> Result<Exit> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    print(&String::from_utf8_lossy(&page))
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sdlab completions bash > ~/.local/share/bash-completion/completions/sdlab
  sdlab completions fish > ~/.config/fish/completions/sdlab.fish
  sdlab man | man -l -                        the manual page";
