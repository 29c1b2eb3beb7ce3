//! `sdlab ctl RUN VERB`: one command to a trainer, one answer.

use anyhow::{Context, Result};
use clap::Subcommand;

use super::Usage;
use crate::core::Command;
use crate::core::exit::Exit;
use crate::run::RunFolder;
use crate::session::{self, Reply};

/// What to tell a trainer.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Where it stands
    Status,
    /// Hold after the current step
    Pause {
        /// Hold in the middle of the step, before the engine is called next
        #[arg(long)]
        now: bool,
        /// Give up the step, write a checkpoint, and give the model's memory back until resumed
        #[arg(long, conflicts_with = "now")]
        release: bool,
    },
    /// Go on
    Resume,
    /// While paused: do one step
    Step,
    /// Write a checkpoint at the next step boundary
    Save,
    /// Finish the step, write a checkpoint, end
    Stop,
    /// End at once; the last checkpoint stays
    Abort,
    /// Change keys of the configuration: `set optim.lr=1e-4`
    Set {
        #[arg(required = true, value_name = "KEY=VALUE")]
        changes: Vec<String>,
    },
}

impl Verb {
    fn commands(&self) -> Result<Vec<Command>> {
        Ok(match self {
            Verb::Status => vec![Command::Status],
            Verb::Pause { release: true, .. } => vec![Command::Release],
            Verb::Pause { now: true, .. } => vec![Command::Hold],
            Verb::Pause { .. } => vec![Command::Pause],
            Verb::Resume => vec![Command::Resume],
            Verb::Step => vec![Command::Step],
            Verb::Save => vec![Command::Save],
            Verb::Stop => vec![Command::Stop],
            Verb::Abort => vec![Command::Abort],
            Verb::Set { changes } => changes.iter().map(|change| set(change)).collect::<Result<_>>()?,
        })
    }
}

/// Sends the verb and prints the answer; stops at the first refusal.
pub(super) fn ctl(folder: &RunFolder, verb: &Verb, json: bool) -> Result<Exit> {
    for command in verb.commands()? {
        let reply = session::send(folder.path(), &command)?;
        match json {
            true => println!("{}", serde_json::to_string(&reply).context("cannot print the answer")?),
            false => print(&reply),
        }
        if !reply.ok {
            return Ok(Exit::Failed);
        }
    }
    Ok(Exit::Done)
}

fn set(change: &str) -> Result<Command> {
    let (key, value) = change.split_once('=').ok_or_else(|| Usage(format!("`{change}`: expected `key=value`")))?;
    Ok(Command::Set { key: key.trim().into(), value: value.trim().into() })
}

fn print(reply: &Reply) {
    if !reply.ok {
        eprintln!("refused: {}", reply.message);
        return;
    }
    let Some(standing) = &reply.standing else {
        println!("{}", reply.message);
        return;
    };
    let phase = standing.phase.map_or(String::new(), |phase| format!(", {}", phase.name()));
    let state = format!("{:?}", standing.state).to_lowercase();
    println!("{} ({state}, step {} of {}{phase})", reply.message, standing.step, standing.total);
}
