//! What is known of a server: a table `[server.NAME]` of `envs/bridge.toml`. How to reach it, what to send, and where in
//! its observations the texts and numbers stand.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::link::MOST_BYTES;
use super::socket::address;
use crate::core::Split;

/// A table `[server.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address of an OpenEnv server, `ws://host:port/ws`; empty if `command` is given.
    #[serde(default)]
    pub url: String,
    /// Program that speaks JSON lines on its standard input and output, and its arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// Games that one process of `command` plays; more than 1 for a program that understands `game` and `batch`.
    #[serde(default = "single")]
    pub games: usize,
    /// `data` of a reset. In its texts `{seed}`, `{index}`, `{split}` and `{task}` are filled in; a text that is nothing
    /// but `{seed}` or `{index}` becomes a number.
    #[serde(default = "reset")]
    pub reset: toml::Table,
    /// `data` of a step. In its texts `{action}` is filled in.
    #[serde(default = "action")]
    pub action: toml::Table,
    /// Where the observation's parts stand, as JSON pointers from `data`.
    #[serde(default)]
    pub fields: Fields,
    /// Whether a `VALIDATION_ERROR` is the answer to an odd action (shown to the agent, without reward); else it is an
    /// environment error, as is right where actions are free text.
    #[serde(default)]
    pub answers_invalid: bool,
    /// The task in words, if it is the same in every episode.
    #[serde(default)]
    pub goal: String,
    /// Tasks of each split. They differ by `{index}`, which counts on from one split to the next, and by `{seed}`.
    #[serde(default = "train")]
    pub train: u64,
    #[serde(default = "valid")]
    pub valid_seen: u64,
    #[serde(default)]
    pub valid_unseen: u64,
    /// Without a field `won`: an episode is won if it is done and its rewards add up to this.
    #[serde(default = "one")]
    pub won_at: f64,
}

/// JSON pointers (RFC 6901) from an observation's `data`; empty = there is no such part.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    /// What the agent reads. What is no text is shown as JSON.
    pub text: String,
    pub reward: String,
    pub done: String,
    /// True or false.
    pub won: String,
    /// Part of the goal that is reached, in [0, 1].
    pub score: String,
    /// Whether the action could be done.
    pub valid: String,
    /// List of actions.
    pub admissible: String,
    /// The task in words, read after the reset.
    pub goal: String,
}

impl Default for Fields {
    fn default() -> Self {
        let none = String::new;
        Fields {
            text: "/observation".into(),
            reward: "/reward".into(),
            done: "/done".into(),
            won: none(),
            score: none(),
            valid: none(),
            admissible: none(),
            goal: none(),
        }
    }
}

fn reset() -> toml::Table {
    toml::Table::from_iter([("seed".to_owned(), "{seed}".into())])
}

fn action() -> toml::Table {
    toml::Table::from_iter([("action".to_owned(), "{action}".into())])
}

fn train() -> u64 {
    10_000
}

fn valid() -> u64 {
    1_000
}

fn single() -> usize {
    1
}

fn one() -> f64 {
    1.0
}

/// What one observation says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub text: String,
    pub reward: f32,
    pub done: bool,
    pub won: Option<bool>,
    pub score: Option<f32>,
    pub valid: bool,
    pub admissible: Vec<String>,
    pub goal: Option<String>,
}

impl Server {
    /// Reads the table of a server. Fails naming those that there are.
    pub fn load(toml: &str, name: &str) -> Result<Server> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            server: BTreeMap<String, toml::Table>,
        }
        let file: File = toml::from_str(toml).context("reading the tables `[server.*]`")?;
        let Some(table) = file.server.get(name) else {
            let names: Vec<_> = file.server.keys().map(|name| format!("`{name}`")).collect();
            bail!("there is no server `{name}`, only {}; add a table `[server.{name}]`", names.join(", "));
        };
        let server: Server =
            table.clone().try_into().with_context(|| format!("reading the table `[server.{name}]`"))?;
        server.check().with_context(|| format!("in `[server.{name}]`"))?;
        Ok(server)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.url.is_empty() != self.command.is_empty(), "either `url` or `command` says where it is");
        ensure!(self.games >= 1, "`games` is 0; a program plays one at least");
        ensure!(
            self.url.is_empty() || address(&self.url).is_some(),
            "`url` is `{}`; write it like `ws://127.0.0.1:8000/ws`",
            self.url
        );
        let f = &self.fields;
        for (name, pointer) in [
            ("text", &f.text),
            ("reward", &f.reward),
            ("done", &f.done),
            ("won", &f.won),
            ("score", &f.score),
            ("valid", &f.valid),
            ("admissible", &f.admissible),
            ("goal", &f.goal),
        ] {
            ensure!(
                pointer.is_empty() || pointer.starts_with('/'),
                "`fields.{name}` is `{pointer}`; a place is written like `/observation/{name}`"
            );
        }
        Ok(())
    }

    /// Number of tasks of a split.
    pub fn size(&self, split: Split) -> u64 {
        [self.train, self.valid_seen, self.valid_unseen][split as usize]
    }

    /// `data` of the reset of a task. `index` counts within its split.
    pub fn reset_data(&self, task: &str, split: &str, offset: u64, index: u64) -> Value {
        let number = offset + index;
        let fill = |text: &str| match text {
            "{seed}" | "{index}" => Value::from(number),
            _ => Value::from(
                text.replace("{seed}", &number.to_string())
                    .replace("{index}", &number.to_string())
                    .replace("{split}", split)
                    .replace("{task}", task),
            ),
        };
        fill_table(&self.reset, &fill)
    }

    /// The number of a split's first task.
    pub fn offset(&self, split: Split) -> u64 {
        [0, self.train, self.train + self.valid_seen][split as usize]
    }

    /// `data` of a step.
    pub fn action_data(&self, action: &str) -> Value {
        fill_table(&self.action, &|text: &str| Value::from(text.replace("{action}", action)))
    }

    /// Reads an observation. Fails, naming the field, where it has another form.
    pub fn read(&self, data: &Value) -> Result<Seen, String> {
        let f = &self.fields;
        let at = |pointer: &String| if pointer.is_empty() { None } else { data.pointer(pointer) };
        let text = at(&f.text).ok_or_else(|| format!("its observation has no `{}` (`fields.text`)", f.text))?;
        let truth = |name, pointer| flag(at(pointer)).map_err(|found| wrong(name, pointer, "true or false", &found));
        let number = |name, pointer| real(at(pointer)).map_err(|found| wrong(name, pointer, "a number", &found));
        Ok(Seen {
            text: words(text),
            reward: number("reward", &f.reward)?.unwrap_or(0.0) as f32,
            done: truth("done", &f.done)?.unwrap_or(false),
            won: truth("won", &f.won)?,
            score: number("score", &f.score)?.map(|score| score.clamp(0.0, 1.0) as f32),
            valid: truth("valid", &f.valid)?.unwrap_or(true),
            admissible: list(at(&f.admissible)),
            goal: at(&f.goal).map(words),
        })
    }
}

/// A table with its texts filled in.
fn fill_table(table: &toml::Table, fill: &dyn Fn(&str) -> Value) -> Value {
    table.iter().map(|(key, value)| (key.clone(), fill_value(value, fill))).collect::<serde_json::Map<_, _>>().into()
}

fn fill_value(value: &toml::Value, fill: &dyn Fn(&str) -> Value) -> Value {
    match value {
        toml::Value::String(text) => fill(text),
        toml::Value::Table(table) => fill_table(table, fill),
        toml::Value::Array(items) => items.iter().map(|item| fill_value(item, fill)).collect(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
    }
}

/// A text as it is, anything else as JSON; cut where it is absurdly long.
fn words(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.len() <= MOST_TEXT {
        return text;
    }
    let end = (0..=MOST_TEXT).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{} [cut]", &text[..end])
}

fn flag(value: Option<&Value>) -> Result<Option<bool>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_bool().map(Some).ok_or_else(|| words(value)),
    }
}

/// Python writes true and false for some rewards.
fn real(value: Option<&Value>) -> Result<Option<f64>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(f64::from(*truth))),
        Some(value) => value.as_f64().filter(|x| (*x as f32).is_finite()).map(Some).ok_or_else(|| words(value)),
    }
}

fn list(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().take(MOST_ACTIONS).map(words).collect()
}

fn wrong(name: &str, pointer: &str, expected: &str, found: &str) -> String {
    let found: String = found.chars().take(80).collect();
    format!("its observation has {found} at `{pointer}` (`fields.{name}`), expected {expected}")
}

/// Most bytes of an observation that are shown.
const MOST_TEXT: usize = MOST_BYTES / 64;
/// Most actions of a list that are shown.
const MOST_ACTIONS: usize = 500;

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
