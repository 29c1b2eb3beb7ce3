//! The program as a script sees it: whole outputs and exit codes.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use sdlab::config::{Overrides, Recipe, render};
use sdlab::core::RunEvent;
use sdlab::run::{Recorder, RunFolder};
use sdlab::session::{Control, Order, Reply};

fn sdlab(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sdlab"));
    command.args(arguments).stdin(Stdio::null()).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

/// Exit code, stdout, stderr.
fn said(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = sdlab(arguments);
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn refusal(text: &str) -> (i32, String, String) {
    (2, String::new(), format!("error: {text}\n"))
}

#[test]
fn without_a_terminal_the_screen_is_refused_in_one_sentence() {
    let sentence = "the screen needs a terminal, use `--batch` for JSON Lines on stdout";
    assert_eq!(said(&[]), refusal(sentence));
    assert_eq!(said(&["train", "runs/grpo.toml"]), refusal(sentence));
}

#[test]
fn the_printed_configuration_is_what_would_be_trained() {
    let built_in = sdlab::config::load(None, &Overrides::default()).unwrap();
    assert_ne!(built_in, Recipe::default(), "else this test tells nothing");
    assert_eq!(said(&["--print-config"]), (0, render(&built_in), String::new()));
    let (code, text, _) = said(&["--print-config", "--steps", "7"]);
    assert_eq!((code, text), (0, render(&built_in).replace("\nsteps = 40\n", "\nsteps = 7\n")));
    let (code, text, _) = said(&["--print-config", "runs/grpo.toml", "--set", "optim.lr=0.5"]);
    assert_eq!(code, 0);
    assert!(text.contains("\nlr = 0.5\n") && text.contains("[method.grpo]"), "{text}");
}

#[test]
fn a_broken_recipe_is_shown_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my.toml");
    std::fs::write(&path, "[rollout]\ntemprature = 1\n").unwrap();
    let path = path.to_str().unwrap();
    let text = format!(
        "{path}:2:1: unknown key `temprature`, did you mean `temperature`?\n  |\n2 | temprature = 1\n  | ^^^^^^^^^^"
    );
    assert_eq!(said(&["--batch", path]), refusal(&text));
    let missing = said(&["--batch", "no/such.toml"]);
    assert_eq!(missing, refusal("no/such.toml: cannot be read: No such file or directory (os error 2)"));
}

#[test]
fn a_broken_argument_makes_no_run() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().to_str().unwrap();
    let (code, out, error) = said(&["--batch", "--root", root, "--steps", "0"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.starts_with("error: --steps: `run.steps` must be at least 1\n"), "{error}");
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_no_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(said(&["--batch", path]), refusal(&format!("`{path}` is a folder but not a run")));
}

#[test]
fn unknown_runs_and_methods_are_named() {
    let root = tempfile::tempdir().unwrap();
    let (code, _, error) = said(&["ctl", "nobody", "pause", "--root", root.path().to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(error.contains("nobody"), "{error}");
    assert_eq!(said(&["methods", "show", "sadr"]), refusal("no method is called `sadr`, did you mean `sdar`?"));
}

#[test]
fn methods_and_environments_are_listed() {
    let (code, out, _) = said(&["methods"]);
    assert_eq!(code, 0);
    assert!(out.lines().any(|line| line.starts_with("sdar ")) && out.lines().any(|line| line.starts_with("grpo ")));
    let (_, page, _) = said(&["methods", "show", "sdar"]);
    assert!(page.starts_with("sdar: ") && page.contains("\nbeta = 5.0\n    "), "{page}");
    let (code, out, _) = said(&["envs"]);
    assert!(code == 0 && out.starts_with("household "), "{out}");
}

#[test]
fn skills_are_listed_and_shown() {
    let (code, out, error) = said(&["skills"]);
    assert_eq!((code, error.as_str()), (0, ""));
    let id = out.split_whitespace().next().unwrap();
    let (code, page, _) = said(&["skills", "show", id]);
    assert!(code == 0 && page.starts_with(&format!("{id}: ")), "{page}");
    let (code, _, error) = said(&["skills", "--set", "skills.bank=no/such"]);
    assert!(code == 2 && error.starts_with("error: no/such: cannot be read"), "{error}");
}

#[test]
fn a_recipe_before_a_command_is_refused() {
    assert_eq!(said(&["my.toml", "envs"]), refusal("`my.toml` stands before a command, put it behind"));
}

#[test]
fn options_that_a_command_does_not_read_are_refused() {
    assert_eq!(
        said(&["verify", "runs/starter", "--steps", "3"]),
        refusal("`--steps` means nothing to this command: it is about training")
    );
    assert_eq!(
        said(&["methods", "--set", "a=1"]),
        refusal("`--set` means nothing to this command: it is about training")
    );
}

#[test]
fn pretrain_refuses_what_cannot_be_trained_before_it_trains() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("made");
    for (option, value, range) in [
        ("--layers", "0", "a whole number, at least 1"),
        ("--lr", "NaN", "a finite number greater than 0"),
        ("--vocab", "10", "a whole number, at least 263"),
        ("--width", "65", "a multiple of 64, at least 64"),
        ("--minutes", "inf", "more than 0 and at most 1000000"),
        ("--skilled", "1.5", "a share from 0 to 1"),
        ("--show", "0", "a whole number, at least 1"),
        ("--games", "0", "a whole number, at least 1"),
    ] {
        let said = said(&["pretrain", "--out", out.to_str().unwrap(), option, value]);
        assert_eq!(said, refusal(&format!("{option} {value}: expected {range}")));
    }
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

/// A run of two steps that has recorded nothing but them, with the bank of its recipe.
fn two_steps(root: &Path) -> RunFolder {
    let bank = root.join("bank");
    std::fs::create_dir(&bank).unwrap();
    let text = "category = \"general\"\n[[skill]]\nid = \"look\"\ntitle = \"T\"\ntext = \"x\"\n";
    std::fs::write(bank.join("a.toml"), text).unwrap();
    let folder = RunFolder::create(root, "a").unwrap();
    std::fs::write(folder.config(), format!("[skills]\nbank = '{}'\n", bank.display())).unwrap();
    let mut recorder = Recorder::create(&folder).unwrap();
    recorder.record(started()).unwrap();
    for step in 1..=2 {
        recorder.record(RunEvent::Stepped { step, metrics: Default::default(), skills: vec![] }).unwrap();
    }
    recorder.sync().unwrap();
    folder
}

#[test]
fn a_step_that_a_run_has_not_reached_has_no_skills() {
    let root = tempfile::tempdir().unwrap();
    let folder = two_steps(root.path());
    let run = folder.path().to_str().unwrap();
    let sentence = refusal("the run `a` has no step 99 yet, its last is 2");
    assert_eq!(said(&["skills", "list", "--run", run, "--step", "99"]), sentence);
    assert_eq!(said(&["skills", "report", run, "--step", "99"]), sentence);
    assert_eq!(said(&["skills", "list", "--run", run, "--step", "2"]).0, 0);
    assert_eq!(said(&["skills", "report", run, "--step", "2"]).0, 0);
}

#[test]
fn a_skill_of_the_recipes_bank_is_disabled_there() {
    let root = tempfile::tempdir().unwrap();
    let folder = two_steps(root.path());
    let (run, bank) = (folder.path().to_str().unwrap(), root.path().join("bank"));
    let (code, out, error) = said(&["skills", "disable", "look", "--run", run]);
    assert_eq!((code, out.as_str()), (2, ""));
    let ways = format!("edit `{0}/a.toml`, or `sdlab skills disable look --bank {0}`", bank.display());
    assert!(error.contains(&ways), "{error}");
    let (code, _, error) = said(&["skills", "disable", "lok", "--run", run]);
    assert!(code == 2 && error.contains("no skill is called `lok`, did you mean `look`?"), "{error}");
    assert_eq!(said(&["skills", "disable", "look", "--bank", bank.to_str().unwrap()]).0, 0);
}

#[test]
fn an_export_that_fails_leaves_no_folder() {
    let root = tempfile::tempdir().unwrap();
    let folder = two_steps(root.path());
    let out = root.path().join("out");
    for format in ["model", "adapter"] {
        let (code, _, error) =
            said(&["export", folder.path().to_str().unwrap(), out.to_str().unwrap(), "--to", format]);
        assert!(code == 1 && error.contains("has no checkpoint yet"), "{error}");
        assert!(!out.exists());
    }
}

#[test]
fn a_run_is_not_resumed_with_what_it_would_ignore_or_from_an_emptied_file() {
    let root = tempfile::tempdir().unwrap();
    let folder = two_steps(root.path());
    std::fs::create_dir_all(folder.checkpoint(2)).unwrap();
    let (run, config) = (folder.path().to_str().unwrap(), folder.config());
    let before = std::fs::read_to_string(&config).unwrap();
    let (code, out, error) = said(&["--batch", "train", "--resume", run, "--set", "optim.lr=1", "--seed", "5"]);
    assert_eq!((code, out.as_str()), (2, ""));
    let way = format!(
        "`run.seed` cannot change within a run: start a new one from its checkpoint, `--fork {run} --set run.seed=5`"
    );
    assert!(error.starts_with(&format!("error: --seed: {way}")), "{error}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), before, "all or nothing");
    std::fs::write(&config, "").unwrap();
    let (code, _, error) = said(&["--batch", "train", "--resume", run, "--set", "skills.top_k=5"]);
    assert!(code == 2 && error.starts_with(&format!("error: {}: no key is left", config.display())), "{error}");
    assert_eq!(said(&["--batch", run]).0, 2);
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "");
}

#[test]
fn help_has_examples_and_exit_codes() {
    let (code, out, _) = said(&["--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("Examples:") && out.contains("Exit codes:") && !out.contains("__train"), "{out}");
}

#[test]
fn a_broken_assertion_makes_no_run() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().to_str().unwrap();
    let text = "--assert: expected a number, found `much`\n |\n | eval/success>=much\n |               ^^^^";
    assert_eq!(said(&["--batch", "--root", root, "--assert", "eval/success>=much"]), refusal(text));
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 0);
}

#[test]
fn check_says_what_is_wrong_as_text_and_as_json() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().to_str().unwrap();
    let (code, out, error) = said(&["check", "--root", root]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("ok    device") && out.contains("\nok    template"), "{out}");
    let (code, out, _) = said(&["check", "--json", "--root", root, "--set", "model.path=no/such/model"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["v"], &report["ok"]), (1, &1.into(), &false.into()));
    let model = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "model").unwrap();
    assert_eq!(model["status"], "fail");
    assert!(model["message"].as_str().unwrap().contains("`no/such/model` does not exist"), "{model}");
    let (code, _, error) = said(&["check", "no/such.toml"]);
    assert!(code == 2 && error.contains("no/such.toml: cannot be read"), "{error}");
}

#[test]
fn shells_and_man_are_served() {
    for (shell, part) in [("bash", "_sdlab()"), ("zsh", "#compdef sdlab"), ("fish", "complete -c sdlab")] {
        let (code, out, _) = said(&["completions", shell]);
        assert!(code == 0 && out.contains(part) && out.contains("replay"), "{shell}");
    }
    let (code, page, _) = said(&["man"]);
    assert!(code == 0 && page.contains(".TH") && page.contains("Exit codes"), "{page}");
}

#[test]
fn a_launch_names_the_socket_where_it_lies() {
    let root = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(root.path(), "a").unwrap();
    let line = || {
        let mut out = Vec::new();
        sdlab::batch::replay(&folder, &mut out).unwrap();
        serde_json::from_slice::<serde_json::Value>(&out).unwrap()["control"]["socket_path"].clone()
    };
    let mut recorder = Recorder::create(&folder).unwrap();
    recorder.record(started()).unwrap();
    recorder.sync().unwrap();
    assert_eq!(line(), folder.socket().to_str().unwrap());
    std::fs::write(folder.path().join("control.path"), "/run/user/1/sdlab/ab\n").unwrap();
    assert_eq!(line(), "/run/user/1/sdlab/ab");
}

fn started() -> RunEvent {
    RunEvent::Started {
        format: 1,
        run: "a".into(),
        recipe: "r".into(),
        method: "m".into(),
        env: "e".into(),
        model: "m".into(),
        parameters: 1,
        device: "cpu".into(),
        steps: 1,
        groups: 1,
        members: 2,
        resumed: 0,
        substitutions: vec![],
        pid: 1,
        memory: vec![],
    }
}

#[test]
fn ctl_speaks_to_the_trainer_of_a_run() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "").unwrap();
    let (_control, orders) = Control::bind(&folder, Arc::default()).unwrap();
    std::thread::spawn(move || {
        for Order { command, reply } in orders {
            reply(Reply { ok: true, message: format!("{command:?}"), standing: None });
        }
    });
    let root = root.path().to_str().unwrap();
    assert_eq!(said(&["ctl", "a", "pause", "--root", root]), (0, "Pause\n".into(), String::new()));
    let (code, out, _) = said(&["--root", root, "ctl", "a", "set", "optim.lr=1e-4", "eval.every=2", "--json"]);
    let replies: Vec<Reply> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, replies.len()), (0, 2));
    assert_eq!(replies[0].message, r#"Set { key: "optim.lr", value: "1e-4" }"#);
}
