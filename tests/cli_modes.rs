//! The program as a script sees it: whole outputs and exit codes.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;

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
fn the_printed_configuration_is_the_explained_default() {
    assert_eq!(said(&["--print-config"]), (0, sdlab::config::sample(), String::new()));
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
    assert!(page.starts_with("sdar: ") && page.contains("\nbeta\n    "), "{page}");
    let (code, out, _) = said(&["envs"]);
    assert!(code == 0 && out.starts_with("household "), "{out}");
}

#[test]
fn a_recipe_before_a_command_is_refused() {
    assert_eq!(said(&["my.toml", "envs"]), refusal("`my.toml` stands before a command, put it behind"));
}

#[test]
fn help_has_examples_and_exit_codes() {
    let (code, out, _) = said(&["--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("Examples:") && out.contains("Exit codes:") && !out.contains("__train"), "{out}");
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
