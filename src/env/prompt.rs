//! How a game is put into words for a model. Pure: templates and texts in, text out.
//!
//! Two layouts. `transcript`: a chat that grows, whose first message states the task and whose later ones are just
//! observations. `history`: one message, rebuilt every turn with the last few observations and actions (verl-agent,
//! used by GiGPO, SkillRL and SDAR). Both have a slot for skills after the task sentence, where SDAR's paper puts
//! them; the student's prompt leaves it empty.
//!
//! Templates are minijinja text in the `[prompt]` table of an environment's file. The names they may use:
//! `goal`, `skills` (none or text), `observation`, `room`; in history also `admissible_actions`, and after the
//! first turn `step_count`, `current_step`, `history_length`, `action_history`.

use anyhow::{Context, Result, ensure};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::{Deserialize, Serialize};

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

/// The templates of an environment, compiled.
pub struct Prompts {
    templates: Environment<'static>,
    history: usize,
}

/// The `[prompt]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// Observation and action pairs shown by `history_next`; the papers use 2.
    pub history: usize,
    /// First message of a transcript.
    pub first: String,
    /// Every later message of a transcript.
    pub next: String,
    /// History layout, first turn.
    pub history_first: String,
    /// History layout, every later turn.
    pub history_next: String,
}

impl Prompts {
    /// Reads the `[prompt]` table of a TOML text; other tables are left alone. Fails if it is missing or if a
    /// template cannot be read or uses a name that there is not.
    pub fn load(toml: &str) -> Result<Prompts> {
        #[derive(Deserialize)]
        struct File {
            prompt: Templates,
        }
        let file: File = toml::from_str(toml).context("reading the table `[prompt]`")?;
        Prompts::new(file.prompt)
    }

    /// Compiles templates, and tries each once. Fails as [`Prompts::load`] does.
    pub fn new(texts: Templates) -> Result<Prompts> {
        let mut templates = Environment::new();
        templates.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let history = texts.history;
        let texts = [texts.first, texts.next, texts.history_first, texts.history_next];
        for (name, text) in NAMES.into_iter().zip(texts) {
            let added = templates.add_template_owned(name, text);
            added.with_context(|| format!("template `{name}` of `[prompt]` cannot be read"))?;
        }
        let prompts = Prompts { templates, history };
        let pair = [(String::new(), String::new())];
        prompts.try_next("")?;
        for skills in [None, Some("")] {
            prompts.try_first("", "", skills)?;
            prompts.try_history("", &[], "", &[], skills)?;
            prompts.try_history("", &pair, "", &[], skills)?;
        }
        Ok(prompts)
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
        let actions: Vec<_> = admissible.iter().filter(|a| *a != "help").map(|a| format!("'{a}'")).collect();
        let admissible_actions = actions.join("\n ");
        let common = context! { goal, skills, observation, room => room(observation), admissible_actions };
        if pairs.is_empty() {
            return self.render("history_first", common);
        }
        let step_count = pairs.len();
        let history_length = self.history.min(step_count);
        let skipped = step_count - history_length;
        let line = |(k, (seen, done)): (usize, &(String, String))| {
            format!("[Observation {0}: '{seen}', Action {0}: '{done}']", k + 1)
        };
        let lines: Vec<_> = pairs.iter().enumerate().skip(skipped).map(line).collect();
        let past = context! {
            step_count, history_length, current_step => step_count + 1, action_history => lines.join("\n"), ..common
        };
        self.render("history_next", past)
    }

    /// Every template was rendered when it was loaded, so only one whose working depends on the values can fail
    /// here; the callers then show the bare observation, which is better than ending a run.
    fn render(&self, name: &str, values: Value) -> Result<String> {
        let template = self.templates.get_template(name)?;
        template.render(values).with_context(|| format!("template `{name}` of `[prompt]` cannot be filled in"))
    }
}

impl Templates {
    /// Sets one of the four templates by name. Fails on another name.
    pub fn set(&mut self, name: &str, text: String) -> Result<()> {
        ensure!(NAMES.contains(&name), "no template is called `{name}`; there is `{}`", NAMES.join("`, `"));
        let slots = [&mut self.first, &mut self.next, &mut self.history_first, &mut self.history_next];
        for (slot, _) in slots.into_iter().zip(NAMES).filter(|(_, n)| *n == name) {
            slot.clone_from(&text);
        }
        Ok(())
    }
}

const NAMES: [&str; 4] = ["first", "next", "history_first", "history_next"];

/// An opening text without its banner and its task sentence, which prompts state themselves.
fn room(observation: &str) -> String {
    let other = |part: &&str| !part.starts_with("-=") && !part.starts_with("Your task is to:");
    observation.split("\n\n").filter(other).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
