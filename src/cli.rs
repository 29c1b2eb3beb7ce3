//! Command line: [`args`] is what can be typed, [`run`] does it, one match.

mod args;
mod check;
mod ctl;
mod env;
mod lens;
mod show;
mod skills;
mod train;
mod words;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use self::args::Verbs;
pub use self::args::{Cli, Options, Start, Topic};
pub use self::ctl::Verb;
use crate::config::ConfigError;
use crate::core::exit::Exit;
use crate::run::RunError;
use crate::skill::BankError;
use crate::wiring::{self, Imported, View};

/// A wrong command line: one clear sentence, exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Reads the process's arguments and does what they say.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Does what the arguments say (the first is the program's name).
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // help and version come this way too; a closed pipe is no reason to complain
            let _ = error.print();
            return exit_code(error.exit_code());
        }
    };
    match enter(cli) {
        Ok(exit) => exit_code(exit.code()),
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_code(code_of(&error).code())
        }
    }
}

/// Does what was asked for.
fn enter(cli: Cli) -> Result<Exit> {
    let Cli { options, recipe, command } = cli;
    let Some(verb) = command else { return train_or_print(recipe.as_deref(), &Start::default(), &options) };
    if let Some(recipe) = recipe {
        return Err(Usage(format!("`{}` stands before a command, put it behind", recipe.display())).into());
    }
    if let Some(option) = options.unread_by(&verb) {
        return Err(Usage(format!("`{option}` means nothing to this command: it is about training")).into());
    }
    match verb {
        Verbs::Train { recipe, from } => train_or_print(recipe.as_deref(), &from, &options),
        Verbs::Attach { run } => look(View::Live, &run, &options),
        Verbs::Replay { run } => look(View::Replay, &run, &options),
        Verbs::Export { run, out, to, checkpoint } => show::exported(&options.open(&run)?, to, checkpoint, &out),
        Verbs::Keymap => show::print(&crate::tui::keymap::sample()),
        Verbs::Report { run, out } => show::report(&options.open(&run)?, out),
        Verbs::Verify { run, quick } => wiring::verify(&options.open(&run)?, !quick),
        Verbs::Ctl { run, verb, json } => ctl::ctl(&options.open(&run)?, &verb, json),
        Verbs::Pretrain(args) => wiring::pretrain(&args, options.seed.unwrap_or(0)),
        Verbs::Check { recipe, json } => check::check(recipe.as_deref(), &options.overrides(), json),
        Verbs::Lens(args) => lens::lens(&args, &options),
        Verbs::Methods { what } => show::methods(&what.unwrap_or(Topic::List)),
        Verbs::Skills { what } => skills::skills(&what.unwrap_or_else(skills::by_default), &options),
        Verbs::Env { what } => env::env(&what.unwrap_or(env::Verb::List), &options),
        Verbs::Completions { shell } => words::completions(shell),
        Verbs::Man => words::manual(),
        Verbs::TrainProcess { run_dir } => train::process(&run_dir, options.asserts()?),
    }
}

fn train_or_print(recipe: Option<&Path>, from: &Start, options: &Options) -> Result<Exit> {
    if options.print_config {
        return show::config(recipe, &options.overrides());
    }
    train::train(recipe, from, options)
}

/// A run on the screen, or its records on stdout.
fn look(view: View, run: &str, options: &Options) -> Result<Exit> {
    let replay = view == View::Replay;
    let (imported, opened);
    let folder = if replay && is_foreign(run, options) {
        imported = Imported::open(Path::new(run))?;
        &imported.folder
    } else {
        opened = options.open(run)?;
        &opened
    };
    if replay && options.batch {
        return wiring::replay_batch(folder);
    }
    need_terminal()?;
    wiring::screen(folder, view)
}

/// Whether `run` is no run of ours but something that may be opened as one.
fn is_foreign(run: &str, options: &Options) -> bool {
    options.open(run).is_err() && Path::new(run).exists()
}

/// # Errors
/// There is no terminal to draw on.
fn need_terminal() -> Result<()> {
    let both = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if both { Ok(()) } else { Err(Usage(NO_TERMINAL.into()).into()) }
}

fn code_of(error: &anyhow::Error) -> Exit {
    let usage = error.is::<Usage>() || error.is::<ConfigError>() || error.is::<BankError>();
    let wrong_run = matches!(error.downcast_ref(), Some(RunError::Missing { .. } | RunError::BadName(_)));
    if usage || wrong_run { Exit::Usage } else { Exit::Failed }
}

fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

const NO_TERMINAL: &str = "the screen needs a terminal, use `--batch` for JSON Lines on stdout";
