//! How a game is put into words for a model. Pure: templates and texts in, text out.
//!
//! Two layouts. `transcript`: a chat that grows, whose first message states the task and whose later ones are just
//! observations. `history`: one message, rebuilt every turn with the last few observations and actions (verl-agent,
//! used by GiGPO, SkillRL and SDAR). Both have a slot for skills after the task sentence, where SDAR's paper puts
//! them; the student's prompt leaves it empty.
//!
//! A style is one table `[prompt.NAME]` of an environment's file ([`Templates`]): its templates (minijinja) and the
//! form of its replies ([`super::projection`]). Names the templates may use:
//!
//! | name | where | meaning |
//! |---|---|---|
//! | `goal` | all but `next` and `history_line` | the task |
//! | `skills` | all but `next` and `history_line` | skill text, or none |
//! | `observation` | all | what the environment said last; in `history_line` before the action |
//! | `room` | all but `next` and `history_line` | the observation without a banner and a task sentence |
//! | `actions` | `history_*` | list of what can be done, without `help` |
//! | `admissible_actions` | `history_*` | the same as verl-agent writes it: in quotes, a line each, separated by commas |
//! | `step_count`, `current_step` | `history_next` | turns taken; that plus 1 |
//! | `history_length` | `history_next` | turns shown |
//! | `action_history` | `history_next` | the shown turns, each filled into `history_line`, joined by line breaks |
//! | `number`, `action`, `answer` | `history_line` | the turn's number from 1; its action; what the environment said to it |

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::{Deserialize, Serialize};

use super::projection::{Form, Projected, Projection};

/// How the turns of an episode become prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One row per episode: the chat grows.
    #[default]
    Transcript,
    /// One row per turn: the prompt is rebuilt.
    History,
}

/// The templates of a style, compiled, and the form of its replies.
pub struct Prompts {
    templates: Environment<'static>,
    projection: Projection,
    history: usize,
    max_chars: usize,
}

/// A table `[prompt.NAME]`: one style.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// How replies are read.
    pub projection: Form,
    /// Characters kept of a reply without tags; 30, or 100 of code, if left out.
    #[serde(default)]
    pub tail: Option<usize>,
    /// Most moves of one reply, in the form `moves`; 5 if left out.
    #[serde(default)]
    pub max_actions: Option<usize>,
    /// First message of a transcript.
    pub first: String,
    /// Every later message of a transcript.
    pub next: String,
    /// History layout, first turn.
    pub history_first: String,
    /// History layout, every later turn.
    pub history_next: String,
    /// One turn of `action_history`; verl-agent's if left out.
    #[serde(default = "history_line")]
    pub history_line: String,
    /// Characters from which on `history_next` gives way to `history_first`; 0 = never.
    #[serde(default)]
    pub max_chars: usize,
}

fn history_line() -> String {
    "[Observation {{ number }}: '{{ observation }}', Action {{ number }}: '{{ action }}']".to_owned()
}

impl Prompts {
    /// Reads the style `[prompt.<style>]` of a TOML text; other tables are left alone. Fails if it is missing or if a
    /// template cannot be read or uses a name that there is not.
    pub fn load(toml: &str, style: &str) -> Result<Prompts> {
        Prompts::new(Templates::load(toml, style)?).with_context(|| format!("in `[prompt.{style}]`"))
    }

    /// Compiles templates, and tries each once. Fails as [`Prompts::load`] does.
    pub fn new(style: Templates) -> Result<Prompts> {
        let mut templates = Environment::new();
        templates.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let plain = Projection::new(style.projection);
        let projection = Projection {
            tail: style.tail.unwrap_or(plain.tail),
            max_actions: style.max_actions.unwrap_or(plain.max_actions),
            ..plain
        };
        let max_chars = style.max_chars;
        let texts = [style.first, style.next, style.history_first, style.history_next, style.history_line];
        for (name, text) in NAMES.into_iter().zip(texts) {
            let added = templates.add_template_owned(name, text);
            added.with_context(|| format!("template `{name}` cannot be read"))?;
        }
        let prompts = Prompts { templates, projection, history: 2, max_chars };
        prompts.try_all()?;
        Ok(prompts)
    }

    /// Shows the last `turns` turns in the history layout; the papers use 2, and 4 for search.
    pub fn with_history(self, turns: usize) -> Prompts {
        Prompts { history: turns, ..self }
    }

    /// Reads a reply in the form of this style.
    pub fn project(&self, reply: &str) -> Projected {
        self.projection.project(reply)
    }

    fn try_all(&self) -> Result<()> {
        let pair = [(String::new(), String::new())];
        let action = [String::new()];
        self.try_next("")?;
        for skills in [None, Some("")] {
            self.try_first("", "", skills)?;
            self.try_history("", &[], "", &action, skills)?;
            self.try_history("", &pair, "", &action, skills)?;
        }
        Ok(())
    }

    /// First message of a transcript. `skills` is shown after the task sentence.
    pub fn first(&self, goal: &str, observation: &str, skills: Option<&str>) -> String {
        self.try_first(goal, observation, skills).unwrap_or_else(|_| observation.to_owned())
    }

    /// A later message of a transcript.
    pub fn next(&self, observation: &str) -> String {
        self.try_next(observation).unwrap_or_else(|_| observation.to_owned())
    }

    /// The message of one turn in the history layout. `pairs` are all observations and actions so far, each
    /// observation with the action that answered it; `admissible` may contain `help`, which is not shown.
    pub fn history(
        &self,
        goal: &str,
        pairs: &[(String, String)],
        observation: &str,
        admissible: &[String],
        skills: Option<&str>,
    ) -> String {
        self.try_history(goal, pairs, observation, admissible, skills).unwrap_or_else(|_| observation.to_owned())
    }

    fn try_first(&self, goal: &str, observation: &str, skills: Option<&str>) -> Result<String> {
        self.render("first", context! { goal, observation, skills, room => room(observation) })
    }

    fn try_next(&self, observation: &str) -> Result<String> {
        self.render("next", context! { observation })
    }

    fn try_history(
        &self,
        goal: &str,
        pairs: &[(String, String)],
        observation: &str,
        admissible: &[String],
        skills: Option<&str>,
    ) -> Result<String> {
        let actions: Vec<String> = admissible.iter().filter(|a| *a != "help").cloned().collect();
        let quoted: Vec<_> = actions.iter().map(|a| format!("'{a}'")).collect();
        let admissible_actions = quoted.join("\n ");
        let common = context! { goal, skills, observation, room => room(observation), actions, admissible_actions };
        if pairs.is_empty() {
            return self.render("history_first", common);
        }
        let step_count = pairs.len();
        let history_length = self.history.min(step_count);
        let action_history = self.lines(pairs, step_count - history_length, observation)?;
        let past = context! {
            step_count, history_length, current_step => step_count + 1, action_history, ..common.clone()
        };
        let text = self.render("history_next", past)?;
        if self.max_chars > 0 && text.chars().count() > self.max_chars {
            return self.render("history_first", common);
        }
        Ok(text)
    }

    /// The turns after the first `skipped`, a line each.
    fn lines(&self, pairs: &[(String, String)], skipped: usize, observation: &str) -> Result<String> {
        let answer = |k: usize| pairs.get(k + 1).map_or(observation, |(next, _)| next.as_str());
        let line = |(k, (before, action)): (usize, &(String, String))| {
            let number = k + 1;
            self.render("history_line", context! { number, observation => before, action, answer => answer(k) })
        };
        let lines: Result<Vec<_>> = pairs.iter().enumerate().skip(skipped).map(line).collect();
        Ok(lines?.join("\n"))
    }

    /// Every template was rendered when it was loaded, so only one whose working depends on the values can fail
    /// here; the callers then show the bare observation, which is better than ending a run.
    fn render(&self, name: &str, values: Value) -> Result<String> {
        let template = self.templates.get_template(name)?;
        template.render(values).with_context(|| format!("template `{name}` cannot be filled in"))
    }
}

impl Templates {
    /// Reads the table `[prompt.<style>]` of a TOML text. Fails if there is none, naming those that there are.
    pub fn load(toml: &str, style: &str) -> Result<Templates> {
        #[derive(Deserialize)]
        struct File {
            prompt: toml::Table,
        }
        let file: File = toml::from_str(toml).context("reading the tables `[prompt.*]`")?;
        let Some(table) = file.prompt.get(style) else {
            let names: Vec<_> = file.prompt.keys().map(|name| format!("`{name}`")).collect();
            bail!("there is no style `{style}`, only {}; add a table `[prompt.{style}]`", names.join(", "));
        };
        table.clone().try_into().with_context(|| format!("reading the table `[prompt.{style}]`"))
    }

    /// Sets one of the templates by name. Fails on another name.
    pub fn set(&mut self, name: &str, text: String) -> Result<()> {
        let slots =
            [&mut self.first, &mut self.next, &mut self.history_first, &mut self.history_next, &mut self.history_line];
        let slot = NAMES.iter().position(|n| *n == name).and_then(|i| slots.into_iter().nth(i));
        *slot.with_context(|| format!("no template is called `{name}`; there is `{}`", NAMES.join("`, `")))? = text;
        Ok(())
    }
}

/// The names of the styles of an environment's file, sorted.
pub fn styles(toml: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct File {
        prompt: BTreeMap<String, toml::Table>,
    }
    let file: File = toml::from_str(toml).context("reading the tables `[prompt.*]`")?;
    Ok(file.prompt.into_keys().collect())
}

const NAMES: [&str; 5] = ["first", "next", "history_first", "history_next", "history_line"];

/// An opening text without its banner and its task sentence, which prompts state themselves.
fn room(observation: &str) -> String {
    let other = |part: &&str| !part.starts_with("-=") && !part.starts_with("Your task is to:");
    observation.split("\n\n").filter(other).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
