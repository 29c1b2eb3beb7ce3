//! `sdlab env list|show|play|expert|bench|serve NAME`: what environments there are, playing them by hand, and serving them.

mod play;
mod serve;

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::{Options, Usage};
use crate::config::{self, closest, tables};
use crate::core::Task;
use crate::core::exit::Exit;
use crate::env::bench::{Rate, measure};
use crate::env::projection::FORMS;
use crate::env::prompt::{Templates, styles};
use crate::env::{self, Env, KINDS, Kind, SPLITS, World, split_name};

/// What to do with environments.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Verb {
    /// One line each
    List,
    /// An environment's settings, splits, styles and an example
    Show { name: String },
    /// Play a game, line by line
    Play {
        name: String,
        #[command(flatten)]
        game: GameArgs,
        /// Do the actions of this file, one a line, and end (`-` = standard input)
        #[arg(long, value_name = "FILE")]
        actions: Option<PathBuf>,
        /// Print one JSON object per state
        #[arg(long)]
        json: bool,
    },
    /// Show a solution of a game
    Expert {
        name: String,
        #[command(flatten)]
        game: GameArgs,
        /// Print one JSON object per state
        #[arg(long)]
        json: bool,
    },
    /// Serve an environment as an OpenEnv server
    Serve {
        name: String,
        /// Address to listen at; only this machine reaches 127.0.0.1
        #[arg(long, default_value = "127.0.0.1")]
        host: String,
        /// Port to listen at; 0 = a free one, which is printed
        #[arg(long, default_value_t = 8000)]
        port: u16,
        /// Most sessions at a time
        #[arg(long, default_value_t = 256)]
        sessions: usize,
        /// Speak JSON lines on standard input and output instead, for one session
        #[arg(long, conflicts_with_all = ["host", "port"])]
        stdio: bool,
    },
    /// Measure resets and steps per second on one core
    Bench {
        name: String,
        /// Games that are played
        #[arg(long, default_value_t = 64)]
        games: u64,
        /// Read games from this file or folder instead of making them
        #[arg(long = "game", value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Which game is played.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct GameArgs {
    /// Task id, or its end: `household/valid-seen/17`, `valid-seen/17`, or `17` of training (default: 0)
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Read games from this file or folder instead of making them
    #[arg(long = "game", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Does what was asked.
pub(super) fn env(verb: &Verb, options: &Options) -> Result<Exit> {
    match verb {
        Verb::List => {
            print(&KINDS.iter().map(|kind| format!("{:<12} {}\n", kind.name, kind.about)).collect::<String>())
        }
        Verb::Show { name } => print(&page(kind(name)?, &*open(name, None, options)?)?),
        Verb::Play { name, game, actions, json } => {
            let (task, game) = start(name, game, options)?;
            match actions {
                Some(file) => play::script(&task, game, &play::read(file)?, *json),
                None => play::by_hand(&task, game, *json),
            }
        }
        Verb::Expert { name, game, json } => {
            let (task, game) = start(name, game, options)?;
            let plan = game.expert();
            play::script(&task, game, &plan, *json)
        }
        Verb::Serve { name, host, port, sessions, stdio } => {
            let (world, about) = (open(name, None, options)?, kind(name)?.about);
            if *stdio {
                serve::lines(world, about, *sessions)
            } else {
                serve::listen(world, about, (host, *port), *sessions)
            }
        }
        Verb::Bench { name, games, file } => {
            let speed = measure(&*open(name, file.as_ref(), options)?, *games, ROUNDS)?;
            let line = |what: &str, rate: Rate| {
                format!("{what:<18} {:>12.0}/s, best of {ROUNDS} {:.0}/s\n", rate.median, rate.best)
            };
            let lines =
                [line("resets", speed.resets), line("steps", speed.steps), line("steps with list", speed.listed)];
            print(&lines.concat())
        }
    }
}

fn kind(name: &str) -> Result<&'static Kind> {
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| {
        let hint = closest(name, &known).map(|near| format!("did you mean `{near}`?"));
        let hint = hint.unwrap_or_else(|| format!("there is {}", known.join(", ")));
        Usage(format!("no environment is called `{name}`, {hint}")).into()
    })
}

/// The world of a kind, with `--set env.NAME.KEY=VALUE` and a file of games.
fn open(name: &str, file: Option<&PathBuf>, options: &Options) -> Result<Box<dyn World>> {
    let kind = kind(name)?;
    let mut overrides = options.overrides();
    overrides.set.insert(0, format!("env.{name}={{}}"));
    if let Some(file) = file {
        let key = kind.data.ok_or_else(|| Usage(format!("`{name}` reads no files of games")))?;
        // quoted, so that no file name is taken for a number or a list
        overrides.set.push(format!("env.{name}.{key}={}", toml::Value::from(file.display().to_string())));
    }
    let recipe = config::parse(config::DEFAULT_NAME, "", &overrides)?;
    env::open_world(name, &recipe.env.table())
}

fn start(name: &str, game: &GameArgs, options: &Options) -> Result<(Task, Box<dyn Env>)> {
    let world = open(name, game.file.as_ref(), options)?;
    let task = match &game.task {
        Some(id) => {
            let id = if id.contains('/') { id.clone() } else { format!("train/{id}") };
            let own = format!("{name}/");
            world.task_by_id(&if id.starts_with(&own) { id } else { own + &id })?
        }
        None => {
            let split = SPLITS.into_iter().find(|split| world.size(*split) > 0).context("there is no game to play")?;
            world.task(split, 0)?
        }
    };
    let game = world.open(&task)?;
    if let Some(failure) = game.failure() {
        bail!("{failure}");
    }
    Ok((task, game))
}

/// Everything about a kind.
fn page(kind: &Kind, world: &dyn World) -> Result<String> {
    let file = env::file(kind.name)?;
    let mut out = format!("{}: {}\nfile: {}\n\nsplits\n", kind.name, kind.about, file.place);
    for split in SPLITS {
        let size = world.size(split);
        let size = if size == u64::MAX { "without end".to_owned() } else { size.to_string() };
        writeln!(out, "  {:<14} {size}", split_name(split))?;
    }
    out.push_str("\nstyles of prompts and replies\n");
    for style in styles(&file.text)? {
        let form = Templates::load(&file.text, &style)?.projection;
        let about = FORMS.iter().find(|(f, ..)| *f == form).map_or(("", ""), |(_, name, about)| (*name, *about));
        let mark = if style == world.style() { " (used)" } else { "" };
        writeln!(out, "  {style}{mark}: {}, {}", about.0, about.1)?;
    }
    let table = format!("env.{}", kind.name);
    writeln!(out, "\n[{table}]")?;
    for field in tables().filter(|t| t.name == table).flat_map(|t| t.fields) {
        writeln!(out, "{}", field.key.rsplit('.').next().unwrap_or(field.key))?;
        field.doc.trim_end().lines().for_each(|line| out.push_str(&format!("    {}\n", line.trim())));
    }
    if let Some(split) = SPLITS.into_iter().find(|split| world.size(*split) > 0) {
        let task = world.task(split, 0)?;
        let game = world.open(&task)?;
        let prompts = world.prompts()?;
        let first = match game.failure() {
            Some(failure) => format!("there is none: {failure}"),
            None => prompts.first(game.goal().unwrap_or(&task.goal), game.observation(), None),
        };
        writeln!(out, "\nfirst prompt of {} in the transcript layout\n{}", task.id, play::clean(&first))?;
    }
    Ok(out)
}

/// Prints to stdout; a reader that has gone away is not an error.
fn print(text: &str) -> Result<Exit> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}

/// Rounds of a measurement.
const ROUNDS: usize = 5;
