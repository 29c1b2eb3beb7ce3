//! `sdlab check`: whether a recipe can be trained here, before anything is trained.
//!
//! ```text
//! ok    device      cpu, 8 threads
//! warn  disk        3.2 GiB are free where runs go, checkpoints will take up to 4.1 GiB
//!       remedy      lower `checkpoint.keep`, or set `run.root` to a larger disk
//! ```
//! With `--json` one object: `v`, `ok`, and `checks` in the order of [`CHECKS`], each with `name`, `status` (`ok`,
//! `warn`, `fail`), `message`, and where there are, `remedy` and `details`.

mod machine;
mod model;
mod play;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::show::print;
use crate::config::{self, Overrides, Recipe};
use crate::core::exit::Exit;
use crate::engine::candle::Architecture;
use crate::text::Text;

/// Version of the JSON object.
const VERSION: u32 = 1;

/// Most things shown that are wrong in one place, but for the first.
const MOST: usize = 6;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Warn,
    Fail,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    pub name: &'static str,
    pub status: Status,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// What a check says, without its name.
pub(super) struct Answer {
    status: Status,
    message: String,
    remedy: Option<String>,
    details: Vec<String>,
}

impl Answer {
    pub fn ok(message: impl Into<String>) -> Self {
        Self { status: Status::Ok, message: message.into(), remedy: None, details: vec![] }
    }

    pub fn warn(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Warn, remedy: Some(remedy.into()), ..Self::ok(message) }
    }

    pub fn fail(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(message, remedy) }
    }

    pub fn details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    /// Several things that are wrong, each a sentence.
    pub fn several(problems: &[String]) -> Self {
        let (first, rest) = problems.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let mut details: Vec<String> = rest.iter().take(MOST).cloned().collect();
        if let more @ 1.. = rest.len().saturating_sub(MOST) {
            details.push(format!("and {more} more of the kind"));
        }
        Self { status: Status::Fail, details, ..Self::ok(first) }
    }

    /// An error is a sentence that says what to do; the remedy is for those that do not.
    fn of(result: Result<Self>) -> Self {
        result.unwrap_or_else(|error| Self {
            status: Status::Fail,
            remedy: None,
            ..Self::ok(format!("{error:#}").trim().to_owned())
        })
    }
}

/// The recipe, and what earlier checks found out for later ones.
pub(super) struct Subject {
    pub recipe: Recipe,
    pub place: Option<PathBuf>,
    pub architecture: Option<Architecture>,
    pub text: Option<Text>,
}

type Check = fn(&mut Subject) -> Result<Answer>;

/// All checks in order: one that needs what another finds out stands behind it.
const CHECKS: &[(&str, Check)] = &[
    ("device", machine::device),
    ("model", model::place),
    ("weights", model::weights),
    ("architecture", model::architecture),
    ("tokenizer", model::tokenizer),
    ("vocabulary", model::vocabulary),
    ("template", model::template),
    ("environment", play::environment),
    ("skills", play::skills),
    ("memory", machine::memory),
    ("disk", machine::disk),
    ("root", machine::root),
    ("terminal", machine::terminal),
];

/// Checks a recipe, or that of the run whose folder is named.
pub(super) fn check(recipe: Option<&Path>, overrides: &Overrides, json: bool) -> Result<Exit> {
    let file = recipe.filter(|path| path.is_dir()).map(|folder| folder.join("config.toml"));
    let recipe = config::load_to_train(file.as_deref().or(recipe), overrides)?;
    let findings = findings(recipe);
    let ok = findings.iter().all(|finding| finding.status != Status::Fail);
    match json {
        true => print(&format!("{}\n", json!({ "v": VERSION, "ok": ok, "checks": findings })))?,
        false => print(&table(&findings, colour()))?,
    };
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn findings(recipe: Recipe) -> Vec<Finding> {
    let mut subject = Subject { recipe, place: None, architecture: None, text: None };
    let run = |(name, check): &(&'static str, Check)| {
        let Answer { status, message, remedy, details } = Answer::of(check(&mut subject));
        Finding { name, status, message, remedy, details }
    };
    CHECKS.iter().map(run).collect()
}

/// What a check says that needs what an earlier one did not find.
fn skipped(missing: &str) -> Result<Answer> {
    Ok(Answer::warn(format!("not checked: there is no {missing} to check"), format!("see `{missing}` above")))
}

fn table(findings: &[Finding], colour: bool) -> String {
    let mut out = String::new();
    for Finding { name, status, message, remedy, details } in findings {
        let (word, code) = match status {
            Status::Ok => ("ok", 32),
            Status::Warn => ("warn", 33),
            Status::Fail => ("FAIL", 31),
        };
        let word = if colour { format!("\x1b[{code}m{word:<4}\x1b[0m") } else { format!("{word:<4}") };
        out += &format!("{word}  {name:<12}  {}\n", message.replace('\n', &format!("\n{:20}", "")));
        let more = details.iter().cloned().chain(remedy.iter().map(|remedy| format!("-> {remedy}")));
        more.for_each(|line| out += &format!("{:20}{line}\n", ""));
    }
    out
}

fn colour() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !set("NO_COLOR") && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sdlab check                                 the built-in recipe
  sdlab check my.toml --set model.path=Qwen/Qwen3-0.6B
  sdlab check my.toml --json | jq '.checks[] | select(.status != \"ok\")'

Exit codes: 0 nothing failed, 1 something did, 2 wrong arguments or recipe.";

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
        findings.iter().find(|finding| finding.name == name).unwrap()
    }

    fn starter() -> Recipe {
        let mut recipe = Recipe::default();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        recipe.model.path = here.join(&recipe.model.path).display().to_string();
        recipe.skills.bank = here.join(&recipe.skills.bank).display().to_string();
        recipe
    }

    #[test]
    fn the_starter_can_be_trained() {
        let root = tempfile::tempdir().unwrap();
        let mut recipe = starter();
        recipe.run.root = root.path().join("a/b").display().to_string();
        let findings = findings(recipe);
        let failed: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Fail).collect();
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(findings.iter().map(|f| f.name).collect::<Vec<_>>(), CHECKS.iter().map(|c| c.0).collect::<Vec<_>>());
        assert!(of(&findings, "weights").message.contains(" tensors in 1 file"), "{findings:?}");
        assert!(of(&findings, "template").details.join("\n").contains("<|im_start|>user"), "{findings:?}");
        assert!(of(&findings, "memory").details.iter().any(|line| line.contains("optimiser")), "{findings:?}");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "nothing is left behind");
        let shown = table(&findings, false);
        assert!(shown.starts_with("ok    device        ") && !shown.contains('\x1b'), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_named_and_the_rest_is_checked() {
        let mut recipe = starter();
        recipe.model.path = "no/such/model".into();
        recipe.skills.bank = "no/bank".into();
        let findings = findings(recipe);
        let model = of(&findings, "model");
        assert_eq!(model.status, Status::Fail);
        assert!(model.message.contains("`no/such/model` does not exist"), "{model:?}");
        assert_eq!(of(&findings, "weights").message, "not checked: there is no model to check");
        assert_eq!(of(&findings, "skills").status, Status::Fail);
        assert_eq!(of(&findings, "disk").status, Status::Ok);
    }

    #[test]
    fn a_damaged_model_fails_its_own_checks() {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = starter();
        for entry in std::fs::read_dir(&recipe.model.path).unwrap().flatten() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        recipe.model.path = folder.path().display().to_string();
        let weights = folder.path().join("model.safetensors");
        let bytes = std::fs::read(&weights).unwrap();
        std::fs::write(&weights, &bytes[..bytes.len() - 10]).unwrap();
        std::fs::write(folder.path().join("chat_template.jinja"), "\n{% if %}").unwrap();
        let findings = findings(recipe);
        let message = &of(&findings, "weights").message;
        assert!(message.contains("model.safetensors: cut off, 10 bytes are missing"), "{message}");
        let message = &of(&findings, "tokenizer").message;
        assert!(message.contains("chat_template.jinja:2: the chat template does not compile"), "{message}");
    }

    #[test]
    fn weights_that_could_not_be_loaded_fail_and_so_does_all_of_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = starter();
        for entry in std::fs::read_dir(&recipe.model.path).unwrap().flatten() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        recipe.model.path = folder.path().display().to_string();
        let config = folder.path().join("config.json");
        let mut settings: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
        settings["intermediate_size"] = json!(7);
        std::fs::write(&config, settings.to_string()).unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
        std::fs::write(folder.path().join("chat_template.jinja"), "{% if %}").unwrap();
        let findings = findings(recipe);
        let weights = of(&findings, "weights");
        assert_eq!((weights.status, weights.details.len()), (Status::Fail, MOST + 1), "{weights:?}");
        assert!(weights.message.contains("`config.json` asks for [") && weights.details[MOST].ends_with("of the kind"));
        let tokenizer = of(&findings, "tokenizer");
        assert!(tokenizer.message.contains("cannot read the tokenizer"), "{tokenizer:?}");
        assert!(tokenizer.details[0].contains("chat_template.jinja:1: the chat template does not compile"));
    }
}
