//! Recordings of the original environments, where they are at hand: `SDLAB_TEST_DATA`, else a folder beside the
//! repository. Tests that need them say so and pass without.
#![allow(dead_code)] // every test that includes this uses a part of it

use std::path::PathBuf;
use std::process::Command;

use sdlab::env::prompt::{Prompts, Templates};
use sdlab::env::{Env, KINDS};
use serde_json::Value;

/// The path of a recording; `None`, with a message, if it is not at hand.
pub fn file(name: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    let folder = std::env::var_os("SDLAB_TEST_DATA").map_or(PathBuf::from(beside), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("skipped: no recording {}", path.display());
        return None;
    }
    Some(path)
}

/// The text of a recording, unpacked if its name ends in `.gz`.
pub fn text(name: &str) -> Option<String> {
    let path = file(name)?;
    if path.extension().is_none_or(|e| e != "gz") {
        return Some(std::fs::read_to_string(path).unwrap());
    }
    let output = Command::new("gzip").arg("-dc").arg(&path).output().expect("gzip runs");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The JSON values of a recording, one a line.
pub fn lines(name: &str) -> Option<Vec<Value>> {
    Some(text(name)?.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The recorded prompts of one original environment, in order.
pub fn prompts(original: &str) -> Option<Vec<Value>> {
    let rows = lines("prompts/golden_prompts.jsonl.gz")?;
    Some(rows.into_iter().filter(|row| row["env"] == original).collect())
}

/// Our style of an environment with the original's templates `<original>_template*.txt` in place of our wording.
/// The first turn's template is told apart by its name; `{name}` becomes `{{ name }}`.
pub fn original(kind: &str, style: &str, original: &str) -> Option<Templates> {
    let ours = KINDS.iter().find(|k| k.name == kind).unwrap().text;
    let mut templates = Templates::load(ours, style).unwrap();
    for (slot, part) in [("history_first", "_no_his"), ("history_next", "")] {
        let text = text(&format!("prompts/{original}_template{part}.txt"))?;
        templates.set(slot, NAMES.iter().fold(text, |text, (theirs, ours)| text.replace(theirs, ours))).unwrap();
    }
    Some(templates)
}

/// Plays recorded replies and compares prompts, anchors, rewards and verdicts. Returns the number of prompts compared.
pub fn play(prompts: &Prompts, goal: &str, env: &mut dyn Env, rows: &[&Value]) -> usize {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for row in rows {
        let place = format!("{} step {}", row["id"], row["step"]);
        if let Some(reply) = row["response"].as_str() {
            let found = prompts.project(reply);
            pairs.push((env.observation().to_owned(), found.action.clone()));
            let step = env.step(&found.action);
            assert_eq!(row["valid"], i32::from(found.valid), "{place}");
            if let Some(reward) = row["reward"].as_f64() {
                assert!((f64::from(step.reward) - reward).abs() < 1e-5, "{place}: {} but {reward}", step.reward);
                assert_eq!(row["done"], step.done, "{place}");
            }
        }
        let text = prompts.history(goal, &pairs, env.observation(), &env.admissible(), None);
        assert_eq!(text, row["prompt"].as_str().unwrap(), "{place}");
        if let Some(anchor) = row["anchor"].as_str() {
            assert_eq!(env.anchor(), anchor, "{place}");
        }
    }
    rows.len()
}

/// Placeholders of the original templates, and what they are here.
const NAMES: &[(&str, &str)] = &[
    ("{task_description}", "{{ goal }}"),
    ("{current_observation}", "{{ observation }}"),
    ("{admissible_actions}", "{{ admissible_actions }}"),
    (
        "{available_actions}",
        "{% for action in actions %}'{{ action }}',{% if not loop.last %}\n{% endif %}{% endfor %}",
    ),
    ("{memory_context}", "{{ action_history }}"),
    ("{step_count}", "{{ step_count }}"),
    ("{history_length}", "{{ history_length }}"),
    ("{action_history}", "{{ action_history }}"),
    ("{current_step}", "{{ current_step }}"),
];
