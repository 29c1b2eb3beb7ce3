//! Command line: arguments to mode. [`Cli`] is what was typed, [`Mode`] what it means, [`run`] one match on it.

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
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigError, Overrides};
use crate::core::exit::Exit;
use crate::export::{Format, Pick};
use crate::run::{RunError, RunFolder};
use crate::session::Asserts;
use crate::skill::BankError;
use crate::wiring::{self, Imported, View};

pub use self::ctl::Verb;

/// Trains small LLM agents with reinforcement learning and self-distillation, and shows every token's teacher signal
/// while it happens.
#[derive(Debug, Parser)]
#[command(name = "sdlab", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    options: Options,

    /// Recipe to train, or the folder of a run to continue; without one, the built-in recipe
    recipe: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Verbs>,
}

/// Options of every mode that trains or looks for runs.
#[derive(Clone, Debug, Default, Args)]
pub struct Options {
    /// No screen: JSON Lines on stdout, talk on stderr, exit codes
    #[arg(long, global = true)]
    batch: bool,

    /// Training steps in all
    #[arg(long, global = true, value_name = "N")]
    steps: Option<u64>,

    /// Change one key of the recipe, e.g. `--set method.sdar.beta=10`; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Seed of everything random
    #[arg(long, global = true, value_name = "S")]
    seed: Option<u64>,

    /// Folder in which run folders are made and looked for
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,

    /// What must hold of the last numbers, e.g. `--assert 'eval/success>=0.6'`; if not, exit code 3; may be repeated
    #[arg(long, global = true, value_name = "METRIC>=X")]
    assert: Vec<String>,

    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Without a screen: say on stderr what the trainer is doing
    #[arg(short, long, global = true)]
    verbose: bool,

    /// Print the recipe with every key explained, and do nothing else
    #[arg(long, global = true)]
    print_config: bool,
}

impl Options {
    /// What these options change in a recipe.
    fn overrides(&self) -> Overrides {
        Overrides {
            set: self.set.clone(),
            steps: self.steps,
            seed: self.seed,
            root: self.root.as_ref().map(|root| root.display().to_string()),
        }
    }

    fn asserts(&self) -> Result<Asserts> {
        Ok(Asserts::parse(&self.assert)?)
    }

    /// Opens an existing run by name or path.
    fn open(&self, run: &str) -> Result<RunFolder> {
        let root = self.root.clone().unwrap_or_else(|| PathBuf::from("runs"));
        Ok(RunFolder::open(run, &root)?)
    }
}

#[derive(Debug, Subcommand)]
enum Verbs {
    /// Train a recipe, or continue a run
    Train {
        /// Recipe file, or the folder of a run to continue
        recipe: Option<PathBuf>,
        #[command(flatten)]
        from: Start,
    },
    /// Open the screen on a run that is being trained
    Attach { run: String },
    /// Open the screen on a saved run, with a transport bar (with --batch: print its records); also opens rollouts of
    /// TRL, verl, verifiers and prime-rl
    Replay {
        /// A run, or a file or folder of another tool
        run: String,
    },
    /// Write a run in the format of other tools
    Export {
        run: String,
        /// Folder to write to
        out: PathBuf,
        #[arg(long, value_parser = format_of)]
        to: Format,
        /// With `--to model` or `adapter`: `newest`, `best` (on the panel) or a step
        #[arg(long, value_parser = pick_of, default_value = "newest")]
        checkpoint: Pick,
    },
    /// Print the keys of the screen as a keymap file, to be kept as ~/.config/sdlab/keymap.toml and changed
    Keymap,
    /// Write one page about a run: curves, evaluations, the most telling rollouts with their tokens
    Report {
        run: String,
        /// File to write; `RUN.html` here if not given
        out: Option<PathBuf>,
    },
    /// Check that a run is whole, and that its recipe does the same again
    Verify {
        run: String,
        /// Do not repeat the first step
        #[arg(long)]
        quick: bool,
    },
    /// Ask a trainer something, or tell it what to do
    Ctl {
        run: String,
        #[command(subcommand)]
        verb: Verb,
        /// Print the answer as one JSON object
        #[arg(long, global = true)]
        json: bool,
    },
    /// Train the starter model from scripted play
    Pretrain(wiring::PretrainArgs),
    /// Look whether a recipe can be trained here: model, template, environment, memory, disk, screen
    #[command(after_help = check::EXAMPLES)]
    Check {
        /// Recipe file, or the folder of a run; without one, the built-in recipe
        recipe: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// See what any methods would do to the recorded tokens of a run
    #[command(after_help = lens::EXAMPLES)]
    Lens(lens::LensArgs),
    /// Explain the methods
    Methods {
        #[command(subcommand)]
        what: Option<Topic>,
    },
    /// Look at skills, import, export and disable them, report what a run absorbed
    Skills {
        #[command(subcommand)]
        what: Option<skills::Verb>,
    },
    /// Explain, play and measure the environments
    #[command(alias = "envs")]
    Env {
        #[command(subcommand)]
        what: Option<env::Verb>,
    },
    /// Print a script that completes arguments in a shell
    #[command(after_help = words::EXAMPLES)]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    #[command(hide = true)]
    Man,
    /// The trainer process of a run (started by `train`)
    #[command(name = "__train", hide = true)]
    TrainProcess {
        #[arg(long)]
        run_dir: PathBuf,
    },
}

/// What to go on from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Start {
    /// Continue this run, by name or folder
    #[arg(long, value_name = "RUN", conflicts_with_all = ["recipe", "fork"])]
    resume: Option<String>,
    /// Start a new run from a checkpoint of this one; any key may be changed
    #[arg(long, value_name = "RUN[@STEP]", conflicts_with = "recipe")]
    fork: Option<String>,
}

/// What to explain.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Topic {
    /// One line each
    List,
    /// Everything about one
    Show { name: String },
}

/// What the arguments mean.
#[derive(Debug)]
enum Mode {
    PrintConfig(Option<PathBuf>),
    Train(Option<PathBuf>, Start),
    Export {
        run: String,
        to: Format,
        checkpoint: Pick,
        out: PathBuf,
    },
    /// The keys of the screen as a file.
    Keymap,
    /// One page about a run.
    Report {
        run: String,
        out: Option<PathBuf>,
    },
    Verify {
        run: String,
        quick: bool,
    },
    TrainProcess(PathBuf),
    Look(View, String),
    Ctl {
        run: String,
        verb: Verb,
        json: bool,
    },
    Pretrain(wiring::PretrainArgs),
    Check {
        recipe: Option<PathBuf>,
        json: bool,
    },
    Completions(clap_complete::Shell),
    Man,
    Lens(lens::LensArgs),
    Methods(Topic),
    Skills(skills::Verb),
    Env(env::Verb),
}

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
    let options = cli.options.clone();
    match mode(cli).and_then(|mode| enter(mode, &options)) {
        Ok(exit) => exit_code(exit.code()),
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_code(code_of(&error).code())
        }
    }
}

fn mode(cli: Cli) -> Result<Mode> {
    let print = cli.options.print_config;
    Ok(match (cli.recipe, cli.command) {
        (Some(recipe), Some(_)) => {
            let message = format!("`{}` stands before a command, put it behind", recipe.display());
            return Err(Usage(message).into());
        }
        (recipe, None) | (None, Some(Verbs::Train { recipe, .. })) if print => Mode::PrintConfig(recipe),
        (recipe, None) => Mode::Train(recipe, Start::default()),
        (None, Some(Verbs::Train { recipe, from })) => Mode::Train(recipe, from),
        (None, Some(Verbs::Keymap)) => Mode::Keymap,
        (None, Some(Verbs::Report { run, out })) => Mode::Report { run, out },
        (None, Some(Verbs::Export { run, to, checkpoint, out })) => Mode::Export { run, to, checkpoint, out },
        (None, Some(Verbs::Verify { run, quick })) => Mode::Verify { run, quick },
        (None, Some(Verbs::Attach { run })) => Mode::Look(View::Live, run),
        (None, Some(Verbs::Replay { run })) => Mode::Look(View::Replay, run),
        (None, Some(Verbs::Ctl { run, verb, json })) => Mode::Ctl { run, verb, json },
        (None, Some(Verbs::Pretrain(args))) => Mode::Pretrain(args),
        (None, Some(Verbs::Check { recipe, json })) => Mode::Check { recipe, json },
        (None, Some(Verbs::Completions { shell })) => Mode::Completions(shell),
        (None, Some(Verbs::Man)) => Mode::Man,
        (None, Some(Verbs::Lens(args))) => Mode::Lens(args),
        (None, Some(Verbs::Methods { what })) => Mode::Methods(what.unwrap_or(Topic::List)),
        (None, Some(Verbs::Skills { what })) => Mode::Skills(what.unwrap_or_else(skills::by_default)),
        (None, Some(Verbs::Env { what })) => Mode::Env(what.unwrap_or(env::Verb::List)),
        (None, Some(Verbs::TrainProcess { run_dir })) => Mode::TrainProcess(run_dir),
    })
}

fn enter(mode: Mode, options: &Options) -> Result<Exit> {
    match mode {
        Mode::PrintConfig(recipe) => show::config(recipe.as_deref(), &options.overrides()),
        Mode::Train(recipe, from) => train::train(recipe.as_deref(), &from, options),
        Mode::Keymap => show::print(&crate::tui::keymap::sample()),
        Mode::Report { run, out } => show::report(&options.open(&run)?, out),
        Mode::Export { run, to, checkpoint, out } => show::exported(&options.open(&run)?, to, checkpoint, &out),
        Mode::Verify { run, quick } => wiring::verify(&options.open(&run)?, !quick),
        Mode::TrainProcess(folder) => train::process(&folder, options.asserts()?),
        Mode::Look(View::Replay, run) if is_foreign(&run, options) => {
            let imported = Imported::open(Path::new(&run))?;
            if options.batch {
                return wiring::replay_batch(&imported.folder);
            }
            need_terminal()?;
            wiring::screen(&imported.folder, View::Replay)
        }
        Mode::Look(View::Replay, run) if options.batch => wiring::replay_batch(&options.open(&run)?),
        Mode::Look(view, run) => {
            need_terminal()?;
            wiring::screen(&options.open(&run)?, view)
        }
        Mode::Ctl { run, verb, json } => ctl::ctl(&options.open(&run)?, &verb, json),
        Mode::Pretrain(args) => wiring::pretrain(&args, options.seed.unwrap_or(0)),
        Mode::Check { recipe, json } => check::check(recipe.as_deref(), &options.overrides(), json),
        Mode::Completions(shell) => words::completions(shell),
        Mode::Man => words::manual(),
        Mode::Lens(args) => lens::lens(&args, options),
        Mode::Methods(topic) => show::methods(&topic),
        Mode::Skills(verb) => skills::skills(&verb, options),
        Mode::Env(verb) => env::env(&verb, options),
    }
}

/// Whether `run` is no run of ours but something that may be opened as one.
fn is_foreign(run: &str, options: &Options) -> bool {
    options.open(run).is_err() && Path::new(run).exists()
}

fn format_of(name: &str) -> Result<Format, String> {
    let known = || Format::ALL.map(|(name, _)| name).join(", ");
    let found = Format::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, format)| *format).ok_or_else(|| format!("there is {}", known()))
}

fn pick_of(text: &str) -> Result<Pick, String> {
    match text {
        "newest" => Ok(Pick::Newest),
        "best" => Ok(Pick::Best),
        step => step.parse().map(Pick::Step).map_err(|_| "expected `newest`, `best` or a step".into()),
    }
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

const EXAMPLES: &str = "\
Examples:
  sdlab                                       train the starter recipe and watch it
  sdlab train my.toml --set method.sdar.beta=10
  sdlab --batch my.toml --steps 100 --assert 'eval/success>=0.6' | jq .
  sdlab check my.toml                         can this machine train it?
  sdlab train runs/household-sdar-1           continue a run
  sdlab train --fork household-sdar-1@40 --set optim.lr=1e-4
  sdlab report household-sdar-1               one page with curves, rollouts and tokens
  sdlab replay runs/starter                   look at a saved run
  sdlab ctl household-sdar-1 pause
  sdlab env play sokoban --task 7             play a game by hand
  sdlab --print-config                        every key of a recipe, explained

Exit codes: 0 done, 1 failed, 2 wrong arguments or recipe, 3 done but an assertion failed or an
`error` alert fired, 75 stopped and resumable, 130 and 143 signals.";
