use std::path::Path;
use std::process::Command;

use super::*;
use crate::env::Env;
use crate::env::household::priors::TEXT;
use crate::env::household::{Household, spec::Spec};
use crate::env::projection::project;

const OPENING: &str = "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly around \
                       you, you see a bed 1, and a desk 1.\n\nYour task is to: put a pen in desk.";

#[test]
fn transcript_is_short() {
    let prompts = Prompts::load(TEXT).unwrap();
    assert_eq!(
        prompts.first("put a pen in desk.", OPENING, None),
        "You act in a home. Think, then act.\nTask: put a pen in desk.\nYou see a bed 1, and a desk 1."
    );
    assert_eq!(
        prompts.first("put a pen in desk.", OPENING, Some("- Look twice.")),
        "You act in a home. Think, then act.\nTask: put a pen in desk.\n- Look twice.\nYou see a bed 1, and a desk 1."
    );
    assert_eq!(prompts.next("Nothing happens."), "Nothing happens.");
}

#[test]
fn history_shows_the_last_pairs() {
    let prompts = Prompts::load(TEXT).unwrap();
    let pairs: Vec<_> = (1..=3).map(|k| (format!("o{k}"), format!("a{k}"))).collect();
    let text = prompts.history("g.", &pairs, "now", &["go".into(), "help".into(), "look".into()], None);
    assert!(text.contains("Steps taken: 3. The last 2:\n[Observation 2: 'o2', Action 2: 'a2']\n[Observation 3:"));
    assert!(text.contains("Step 4. now\nPossible actions: ['go'\n 'look'].") && !text.contains("o1"), "{text}");
}

#[test]
fn bad_templates_are_refused() {
    for (bad, expected) in [("{{ gaol }}", "cannot be filled in"), ("{% if %}", "cannot be read")] {
        let error =
            Prompts::load(&TEXT.replace("{{ observation }}'''\nhistory_first", &format!("{bad}'''\nhistory_first")));
        assert!(format!("{:#}", error.err().unwrap()).contains(expected));
    }
}

type Pairs = Vec<(String, String)>;

/// The papers' templates, filled in from replayed games, give the papers' prompts to the byte.
#[test]
fn recorded_prompts_agree() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.exists() {
        eprintln!("skipped: no recorded prompts");
        return;
    }
    let prompts = Prompts::new(original(&data)).unwrap();
    let games = lines(&data.join("alfworld/games_compact.jsonl.gz"));
    let all = lines(&data.join("prompts/golden_prompts.jsonl.gz"));
    let mut compared = 0;
    let mut open: Option<(String, Household, Pairs)> = None;
    for row in all.iter().filter(|row| row["env"] == "alfworld") {
        let id = row["id"].as_str().unwrap();
        if row["step"].to_string().trim_matches('"') == "0" {
            let spec: Spec = serde_json::from_value(games.iter().find(|g| g["id"] == id).unwrap().clone()).unwrap();
            open = Some((id.to_owned(), Household::new(&spec, 10.0).unwrap(), Vec::new()));
        }
        let Some((game, env, pairs)) = open.as_mut().filter(|(game, ..)| game == id) else { continue };
        if let Some(reply) = row["response"].as_str() {
            let action = project(reply).action;
            pairs.push((env.observation().to_owned(), action.clone()));
            env.step(&action);
        }
        let goal = env.game().desc.clone();
        let text = prompts.history(&goal, pairs, env.observation(), &env.admissible(), None);
        assert_eq!(text, row["prompt"], "{game} step {}", row["step"]);
        assert_eq!(env.anchor(), row["anchor"]);
        compared += 1;
    }
    assert!(compared > 3, "only {compared} prompts were compared");
}

fn original(data: &Path) -> Templates {
    let read = |name: &str| {
        let text = std::fs::read_to_string(data.join("prompts").join(name)).unwrap();
        let text =
            text.replace("{task_description}", "{{ goal }}").replace("{current_observation}", "{{ observation }}");
        let names = ["step_count", "history_length", "action_history", "current_step", "admissible_actions"];
        names.iter().fold(text, |text, name| text.replace(&format!("{{{name}}}"), &format!("{{{{ {name} }}}}")))
    };
    let mut templates: Templates = TEXT.parse::<toml::Table>().unwrap()["prompt"].clone().try_into().unwrap();
    templates.set("history_first", read("alfworld_template_no_his.txt")).unwrap();
    templates.set("history_next", read("alfworld_template.txt")).unwrap();
    templates
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let output = Command::new("gzip").arg("-dc").arg(path).output().expect("gzip runs");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
