//! What can be typed. The texts here are the manual: `--help`, the manual page and the completions are made of them.

use std::path::PathBuf;

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use super::{check, env, lens, skills, words};
use crate::config::Overrides;
use crate::export::{Format, Pick};
use crate::run::RunFolder;
use crate::session::Asserts;
use crate::wiring;

/// Heading of the options that change what is trained.
const TRAINING: &str = "Options of training";

/// Trains small LLM agents with reinforcement learning and self-distillation, and shows every token's teacher signal
/// while it happens.
#[derive(Debug, Parser)]
#[command(name = "sdlab", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub(super) options: Options,

    /// Recipe to train, or the folder of a run to continue; without one, the built-in recipe
    pub(super) recipe: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Option<Verbs>,
}

/// Options of every mode that trains or looks for runs.
#[derive(Clone, Debug, Default, Args)]
pub struct Options {
    /// No screen: JSON Lines on stdout, talk on stderr, exit codes
    #[arg(long, global = true)]
    pub(super) batch: bool,

    /// Training steps in all
    #[arg(long, global = true, help_heading = TRAINING, value_name = "N")]
    pub(super) steps: Option<u64>,

    /// Change one key of the recipe, e.g. `--set method.sdar.beta=10`; may be repeated
    #[arg(long, global = true, help_heading = TRAINING, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,

    /// Seed of everything random
    #[arg(long, global = true, help_heading = TRAINING, value_name = "S")]
    pub(super) seed: Option<u64>,

    /// Folder in which run folders are made and looked for
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,

    /// What must hold of the last numbers, e.g. `--assert 'eval/success>=0.6'`; if not, exit code 3; may be repeated
    #[arg(long, global = true, help_heading = TRAINING, value_name = "METRIC>=X")]
    pub(super) assert: Vec<String>,

    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,

    /// Without a screen: say on stderr what the trainer is doing
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,

    /// Print the recipe that would be trained, with every key explained, and do nothing else
    #[arg(long, global = true, help_heading = TRAINING)]
    pub(super) print_config: bool,
}

impl Options {
    /// What these options change in a recipe.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            set: self.set.clone(),
            steps: self.steps,
            seed: self.seed,
            root: self.root.as_ref().map(|root| root.display().to_string()),
        }
    }

    /// The first option given that `verb` would not read.
    pub(super) fn unread_by(&self, verb: &Verbs) -> Option<&'static str> {
        use Verbs::*;
        let given = [
            ("--steps", self.steps.is_some()),
            ("--set", !self.set.is_empty()),
            ("--seed", self.seed.is_some()),
            ("--assert", !self.assert.is_empty()),
            ("--print-config", self.print_config),
        ];
        let read: &[&str] = match verb {
            Train { .. } | TrainProcess { .. } => return None,
            Pretrain(_) => &["--seed"],
            Check { .. } => &["--steps", "--set", "--seed"],
            Skills { .. } | Env { .. } | Lens(_) => &["--set", "--seed"],
            Attach { .. } | Replay { .. } | Export { .. } | Keymap | Report { .. } | Verify { .. } | Ctl { .. } => &[],
            Methods { .. } | Completions { .. } | Man => &[],
        };
        given.into_iter().find(|(name, given)| *given && !read.contains(name)).map(|(name, _)| name)
    }

    pub(super) fn asserts(&self) -> Result<Asserts> {
        Ok(Asserts::parse(&self.assert)?)
    }

    /// Opens an existing run by name or path.
    pub(super) fn open(&self, run: &str) -> Result<RunFolder> {
        let root = self.root.clone().unwrap_or_else(|| PathBuf::from("runs"));
        Ok(RunFolder::open(run, &root)?)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Verbs {
    /// Train a recipe, or continue a run
    Train {
        /// Recipe file, or the folder of a run to continue
        recipe: Option<PathBuf>,
        #[command(flatten)]
        from: Start,
    },
    /// Open the screen on a run that is being trained
    Attach {
        /// A run, by name or folder
        run: String,
    },
    /// Open the screen on a saved run, with a transport bar (with --batch: print its records); also opens rollouts of
    /// TRL, verl, verifiers and prime-rl
    Replay {
        /// A run, or a file or folder of another tool
        run: String,
    },
    /// Write a run in the format of other tools
    Export {
        /// A run, by name or folder
        run: String,
        /// Folder to write to
        out: PathBuf,
        /// What to write
        #[arg(long, value_parser = formats())]
        to: Format,
        /// With `--to model` or `adapter`: `newest`, `best` (on the panel) or a step
        #[arg(long, value_parser = pick_of, default_value = "newest")]
        checkpoint: Pick,
    },
    /// Print the keys of the screen as a keymap file, to be kept as ~/.config/sdlab/keymap.toml and changed
    Keymap,
    /// Write one page about a run: curves, evaluations, the most telling rollouts with their tokens
    Report {
        /// A run, by name or folder
        run: String,
        /// File to write; `RUN.html` here if not given
        out: Option<PathBuf>,
    },
    /// Check that a run is whole, and that its recipe does the same again
    Verify {
        /// A run, by name or folder
        run: String,
        /// Do not repeat the first step
        #[arg(long)]
        quick: bool,
    },
    /// Ask a trainer something, or tell it what to do
    Ctl {
        /// A run, by name or folder
        run: String,
        #[command(subcommand)]
        verb: super::Verb,
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
    pub(super) resume: Option<String>,
    /// Start a new run from a checkpoint of this one; any key may be changed but `model.path` and `[model.lora]`
    #[arg(long, value_name = "RUN[@STEP]", conflicts_with = "recipe")]
    pub(super) fork: Option<String>,
}

/// What to explain.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Topic {
    /// One line each
    List,
    /// Everything about one
    Show { name: String },
}

fn formats() -> impl TypedValueParser<Value = Format> {
    let of = |name: String| Format::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, format)| format);
    PossibleValuesParser::new(Format::ALL.map(|(name, _)| name)).try_map(move |name| of(name).ok_or("no such format"))
}

fn pick_of(text: &str) -> Result<Pick, String> {
    match text {
        "newest" => Ok(Pick::Newest),
        "best" => Ok(Pick::Best),
        step => step.parse().map(Pick::Step).map_err(|_| "expected `newest`, `best` or a step".into()),
    }
}

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
  sdlab --print-config                        every key of the built-in recipe, explained

Exit codes: 0 done, 1 failed, 2 wrong arguments or recipe, 3 done but an assertion failed or an
`error` alert fired, 75 stopped and resumable, 130 and 143 signals.";
