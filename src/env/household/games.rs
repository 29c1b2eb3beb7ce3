//! Real ALFWorld games from files.
//!
//! 1. A folder in the layout of `$ALFWORLD_DATA`: every `game.tw-pddl` below it, by the split folder it lies in (`train`,
//!    else `valid_train`; `valid_seen`; `valid_unseen`). As ALFWorld does, games that its planner did not solve, and
//!    those about sliced or movable things, are left out.
//! 2. One such file: its game serves every split.
//! 3. A file of games, one JSON object a line, packed (`.gz`) or not, each either a [`Spec`] or with a `pddl_problem`.
//!    The key `split`, else the first part of `id`, says the split; a file without either serves every split.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use super::game::Game;
use super::pddl;
use super::spec::Spec;
use crate::core::Split;
use crate::env::data;

/// Games by split, in the order of their ids.
#[derive(Debug)]
pub struct Games {
    train: Vec<Source>,
    seen: Vec<Source>,
    unseen: Vec<Source>,
}

/// Where a game comes from.
#[derive(Clone, Debug)]
enum Source {
    /// Read and checked.
    Here(Box<Spec>),
    /// Read when it is played: a whole data set is large.
    File(PathBuf),
}

impl Games {
    /// Finds and checks the games of a file or folder.
    ///
    /// # Errors
    /// Names file, entry and field of what cannot be read.
    pub fn load(path: &Path) -> Result<Games> {
        let found = if path.is_dir() {
            folder(path)?
        } else if path.extension().is_some_and(|e| e == "tw-pddl") {
            vec![(None, String::new(), Source::Here(Box::new(game_file(path)?)))]
        } else {
            lines(path)?
        };
        let of = |names: &[&str]| {
            let fits = |split: &Option<String>| split.as_deref().is_none_or(|s| names.contains(&s));
            let mut games: Vec<_> = found.iter().filter(|(split, ..)| fits(split)).collect();
            games.sort_by(|a, b| a.1.cmp(&b.1)); // stable: games without an id stay in order
            games.into_iter().map(|(.., source)| source.clone()).collect::<Vec<_>>()
        };
        let train = of(&["train"]);
        let train = if train.is_empty() { of(&["valid_train"]) } else { train };
        let games = Games { train, seen: of(&["valid_seen"]), unseen: of(&["valid_unseen"]) };
        let all = games.train.len() + games.seen.len() + games.unseen.len();
        ensure!(all > 0, "{}: there is no game in it", path.display());
        Ok(games)
    }

    /// Number of games of a split.
    pub fn size(&self, split: Split) -> u64 {
        self.list(split).len() as u64
    }

    /// The game `index` of a split.
    ///
    /// # Errors
    /// There is none, or its file cannot be read.
    pub fn spec(&self, split: Split, index: u64) -> Result<Spec> {
        match self.list(split).get(index as usize).context("there is no such game")? {
            Source::Here(spec) => Ok((**spec).clone()),
            Source::File(path) => game_file(path),
        }
    }

    fn list(&self, split: Split) -> &[Source] {
        match split {
            Split::Train => &self.train,
            Split::ValidSeen => &self.seen,
            Split::ValidUnseen => &self.unseen,
        }
    }
}

/// A game with its split (`None` = any) and id.
type Found = (Option<String>, String, Source);

fn folder(root: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in data::files(root, |name| name == GAME_FILE)? {
        let inside = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        if inside.contains("movable") || inside.contains("Sliced") {
            continue;
        }
        let split = path.iter().rev().find_map(|part| SPLITS.iter().find(|s| part == **s));
        let Some(split) = split else { continue };
        let text = data::text(&path)?;
        let game: Solvable = serde_json::from_str(&text).map_err(|e| wrong(&path, None, &text, &e))?;
        if game.solvable {
            found.push((Some((*split).to_owned()), inside, Source::File(path)));
        }
    }
    Ok(found)
}

/// What decides whether a game is dealt.
#[derive(Deserialize)]
struct Solvable {
    #[serde(default)]
    solvable: bool,
}

/// A file `game.tw-pddl`, as far as it is needed.
#[derive(Deserialize)]
struct GameFile {
    pddl_problem: String,
    #[serde(default)]
    grammar: String,
    /// The goal sentence; ours, for files of many games.
    #[serde(default)]
    desc: String,
}

impl GameFile {
    /// The goal sentence stands in the grammar that prints it; the original fills it in when it makes a game.
    fn spec(self) -> Result<Spec> {
        let printed = self.grammar.split_once(TASK).map(|(_, rest)| rest);
        let printed = printed.and_then(|rest| rest.split(['"', '\\']).next()).filter(|d| !d.starts_with(UNKNOWN));
        let desc = if self.desc.is_empty() { printed.map(str::to_owned) } else { Some(self.desc) };
        pddl::spec(&self.pddl_problem, desc).context("`pddl_problem`")
    }
}

fn game_file(path: &Path) -> Result<Spec> {
    let text = data::text(path)?;
    let game: GameFile = serde_json::from_str(&text).map_err(|e| wrong(path, None, &text, &e))?;
    let spec = game.spec().and_then(checked);
    spec.with_context(|| path.display().to_string())
}

fn lines(path: &Path) -> Result<Vec<Found>> {
    /// What an entry says about itself.
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        id: String,
        split: Option<String>,
        #[serde(default)]
        pddl_problem: Option<serde::de::IgnoredAny>,
    }
    let text = data::text(path)?;
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let entry: Entry = serde_json::from_str(line).map_err(|e| wrong(path, Some(i), line, &e))?;
        let spec = if entry.pddl_problem.is_some() {
            serde_json::from_str(line).map_err(|e| wrong(path, Some(i), line, &e)).map(GameFile::spec)?
        } else {
            serde_json::from_str(line).map_err(|e| wrong(path, Some(i), line, &e))
        };
        let place = || format!("{}:{}: game `{}`", path.display(), i + 1, entry.id);
        let spec = spec.and_then(checked).with_context(place)?;
        let split = entry.split.or_else(|| entry.id.split_once('/').map(|(split, _)| split.to_owned()));
        found.push((split, entry.id, Source::Here(Box::new(spec))));
    }
    Ok(found)
}

/// The spec, if a game can be made of it.
fn checked(spec: Spec) -> Result<Spec> {
    Game::load(&spec)?;
    Ok(spec)
}

/// What is wrong with a JSON text: file, entry, and the key before the place where reading stopped.
fn wrong(path: &Path, line: Option<usize>, text: &str, error: &serde_json::Error) -> anyhow::Error {
    let upto = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let mut end = error.column().min(upto.len());
    while !upto.is_char_boundary(end) {
        end -= 1;
    }
    let key = upto[..end].rmatch_indices("\":").next().and_then(|(at, _)| upto[..at].rsplit('"').next());
    let field = key.map_or(String::new(), |key| format!(", at or after the field `{key}`"));
    let line = line.map_or(error.line(), |line| line + 1);
    let reason = error.to_string();
    let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
    anyhow!("{}:{line}:{}: {reason}{field}", path.display(), error.column())
}

const GAME_FILE: &str = "game.tw-pddl";
const SPLITS: [&str; 4] = ["train", "valid_train", "valid_seen", "valid_unseen"];
const TASK: &str = "Your task is to: ";
const UNKNOWN: &str = "UNKNOWN GOAL";
