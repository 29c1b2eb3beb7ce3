//! Playing one game: from a list of actions, or by hand.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::core::Task;
use crate::core::exit::Exit;
use crate::env::{Env, Step};

/// A state as `--json` prints it. The first one comes before any action: its reward and score are 0.
#[derive(Debug, Serialize)]
struct State<'a> {
    observation: &'a str,
    admissible: Vec<String>,
    reward: f32,
    done: bool,
    won: bool,
    /// Part of the goal that is reached, in [0, 1].
    score: f32,
    /// Whether the last action could be done.
    valid: bool,
}

/// The actions of a file: one a line, or one JSON list of texts. `-` is standard input. What is not text is replaced.
pub(super) fn read(file: &Path) -> Result<Vec<String>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes).context("standard input cannot be read")?;
    } else {
        bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    }
    let text = String::from_utf8_lossy(&bytes);
    match serde_json::from_str(&text) {
        Ok(list) => Ok(list),
        Err(_) => Ok(text.lines().map(str::to_owned).collect()),
    }
}

/// Does the actions and prints every state.
pub(super) fn script(task: &Task, mut game: Box<dyn Env>, actions: &[String], json: bool) -> Result<Exit> {
    let mut out = Out { json };
    let done = out.begin(task, &*game).and_then(|()| {
        for action in actions {
            let step = game.step(action);
            well(&*game)?;
            out.state(&*game, Some((action, &step)))?;
        }
        Ok(())
    });
    quiet(done)
}

/// Reads actions from standard input until the game or the input ends.
pub(super) fn by_hand(task: &Task, game: Box<dyn Env>, json: bool) -> Result<Exit> {
    quiet(converse(task, game, &mut io::stdin().lock(), json))
}

fn converse(task: &Task, mut game: Box<dyn Env>, input: &mut dyn BufRead, json: bool) -> io::Result<()> {
    let mut out = Out { json };
    let mut past = Vec::new();
    out.begin(task, &*game)?;
    if !json {
        out.line(HELP)?;
    }
    loop {
        let mut bytes = Vec::new();
        if (&mut *input).take(MOST_BYTES).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\n', '\r']);
        match line {
            "quit" => return Ok(()),
            "?" => out.list(&game.admissible())?,
            "undo" => match past.pop() {
                Some(before) => {
                    game = before;
                    out.state(&*game, None)?;
                }
                None => out.line("There is nothing to take back.")?,
            },
            _ => {
                let choices = game.admissible();
                let number = line.trim().parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                let action = number.and_then(|n| choices.get(n)).map_or(line, String::as_str);
                past.push(game.snapshot());
                let step = game.step(action);
                well(&*game)?;
                out.state(&*game, Some((action, &step)))?;
                if step.done {
                    return Ok(());
                }
            }
        }
    }
}

/// Fails if the environment itself has.
fn well(game: &dyn Env) -> io::Result<()> {
    game.failure().map_or(Ok(()), |failure| Err(io::Error::other(failure)))
}

/// Where states are printed: standard output, one line each, or as a person reads them.
struct Out {
    json: bool,
}

impl Out {
    fn begin(&mut self, task: &Task, game: &dyn Env) -> io::Result<()> {
        if !self.json {
            self.line(&format!("{}: {}", task.id, clean(&task.goal)))?;
        }
        self.state(game, None)
    }

    fn state(&mut self, game: &dyn Env, last: Option<(&str, &Step)>) -> io::Result<()> {
        if self.json {
            let step = last.map(|(_, step)| step);
            let state = State {
                observation: game.observation(),
                admissible: game.admissible(),
                reward: step.map_or(0.0, |s| s.reward),
                done: step.is_some_and(|s| s.done),
                won: step.is_some_and(|s| s.won),
                score: step.map_or(0.0, |s| s.score),
                valid: step.is_none_or(|s| s.valid),
            };
            return self.line(&serde_json::to_string(&state)?);
        }
        if let Some((action, step)) = last {
            let reward = if step.reward == 0.0 { String::new() } else { format!("   (reward {})", step.reward) };
            self.line(&format!("> {}{reward}", clean(action)))?;
        }
        self.line(&clean(game.observation()))?;
        match last {
            Some((_, step)) if step.won => self.line("Won."),
            Some((_, step)) if step.done => self.line("Lost."),
            _ => Ok(()),
        }
    }

    fn list(&mut self, choices: &[String]) -> io::Result<()> {
        let lines = choices.iter().enumerate().map(|(i, choice)| format!("{:>3} {}\n", i + 1, clean(choice)));
        self.line(lines.collect::<String>().trim_end())
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

/// A text without control codes, which could do anything to a terminal.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// A reader of our output that has gone away is not an error.
fn quiet(result: io::Result<()>) -> Result<Exit> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}

const HELP: &str = "Type an action or its number; `?` lists what can be done, `undo` takes back, `quit` ends.";
/// Most bytes of one line; what is longer is read as several.
const MOST_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_codes_are_spelt_out() {
        assert_eq!(clean("a\u{1b}[2J\tb\n"), "a\\u{1b}[2J\tb\n");
    }

    #[test]
    fn a_list_of_actions_is_lines_or_json() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in [
            (&b"look\r\n\ngo to desk 1\n"[..], vec!["look", "", "go to desk 1"]),
            (b"[\"look\", \"a\\nb\"]", vec!["look", "a\nb"]),
            (b"search[red]\n", vec!["search[red]"]),
            (b"a\xffb", vec!["a\u{fffd}b"]),
            (b"", vec![]),
        ] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(read(file.path()).unwrap(), expected);
        }
        assert!(read(Path::new("/nowhere/at/all")).is_err());
    }
}
