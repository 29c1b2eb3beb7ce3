//! `sdlab env`: whole outputs, as a script sees them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// Runs the program with `input` on standard input.
fn sdlab(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sdlab"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // a program that ended at once reads nothing
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Exit code, stdout, stderr.
fn said(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = sdlab(arguments, input);
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn states(arguments: &[&str], input: &[u8]) -> Vec<Value> {
    let (code, out, error) = said(arguments, input);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A house with a desk and a closed drawer that holds a pen.
fn house(folder: &Path) -> String {
    let place = |id: &str, kind: &str, loc: &str, openable: bool| json!({"id": id, "type": kind, "loc": loc, "openable": openable, "opened": false});
    let game = json!({
        "task_type": "pick_and_place_simple", "desc": "put a pen in desk.", "agent_loc": "start",
        "params": {"object_target": "Pen", "parent_target": "Desk"}, "can_contain": [["DeskType", "PenType"]],
        "receptacles": [place("Desk_bar_1", "DeskType", "a", false), place("Drawer_bar_1", "DrawerType", "b", true)],
        "objects": [{"id": "Pen_bar_1", "type": "PenType", "flags": ["pickupable"], "in": ["Drawer_bar_1"]}],
    });
    let path = folder.join("house.jsonl");
    std::fs::write(&path, game.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn a_list_of_actions_becomes_one_state_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let (house, list) = (house(folder.path()), folder.path().join("actions"));
    let actions = "go to drawer 1\nopen drawer 1\n\u{1b}[2Jtake pen\ntake pen 1 from drawer 1\ngo to desk 1\nmove pen 1 to desk 1\n";
    std::fs::write(&list, actions).unwrap();
    let list = list.display().to_string();
    let states = states(&["env", "play", "household", "--game", &house, "--actions", &list, "--json"], b"");
    assert_eq!(states.len(), 7);
    let first = json!({
        "observation": "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly around you, \
                        you see a desk 1, and a drawer 1.\n\nYour task is to: put a pen in desk.",
        "admissible": ["go to desk 1", "go to drawer 1", "help", "inventory", "look"],
        "reward": 0.0, "done": false, "won": false, "score": 0.0, "valid": true,
    });
    assert_eq!(states[0], first);
    assert_eq!(states[2]["observation"], "You open the drawer 1. The drawer 1 is open. In it, you see a pen 1.");
    assert_eq!((&states[3]["observation"], &states[3]["valid"]), (&json!("Nothing happens."), &json!(false)));
    assert_eq!(
        [&states[6]["reward"], &states[6]["won"], &states[6]["score"]],
        [&json!(10.0), &json!(true), &json!(1.0)]
    );
    // from standard input, and as JSON
    let list = serde_json::to_string(&actions.lines().collect::<Vec<_>>()).unwrap();
    let again = ["env", "play", "household", "--game", &house, "--actions", "-", "--json"];
    assert_eq!(self::states(&again, list.as_bytes()), states);
}

#[test]
fn the_expert_wins_what_is_generated() {
    for (name, tasks) in [
        ("household", ["3", "valid-seen/2", "household/valid-unseen/1"]),
        ("sokoban", ["3", "valid-seen/2", "train/0"]),
    ] {
        for task in tasks {
            let states = states(&["env", "expert", name, "--task", task, "--json"], b"");
            assert_eq!(states.last().unwrap()["won"], true, "{name} {task}");
        }
    }
}

#[test]
fn a_person_plays_by_text_or_number_and_takes_back() {
    let folder = tempfile::tempdir().unwrap();
    let level = folder.path().join("level.txt");
    std::fs::write(&level, "@ $.\n").unwrap();
    let level = level.display().to_string();
    let (code, out, error) =
        said(&["env", "play", "sokoban", "--game", &level], b"?\nright\nundo\n\x1b[31m\n4\n3\nundo\nquit\n");
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.starts_with("sokoban/train/0: Push every box onto a target.\n # \t"), "{out}");
    assert!(out.contains("  4 up\n> right") && out.contains("> \\u{1b}[31m   (reward -0.1)"), "{out}");
    assert!(!out.contains('\u{1b}') && out.contains("> up") && out.contains("> right"), "{out}");
    let (code, out, _) = said(&["env", "play", "sokoban", "--game", &level], b"right\nright");
    assert!(code == 0 && out.ends_with("Won.\n"), "the input may end without a line break: {out}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sdlab"))
        .args(["env", "play", "household", "--json", "--actions", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let _ = child.stdin.take().unwrap().write_all("look\n".repeat(20_000).as_bytes());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn environments_are_listed_shown_and_measured() {
    let (code, out, _) = said(&["env", "list"], b"");
    assert!(code == 0 && out.starts_with("household ") && out.contains("\nsokoban "), "{out}");
    assert_eq!(said(&["env"], b"").1, out);
    let (code, page, _) = said(&["env", "show", "sokoban"], b"");
    for part in
        ["envs/sokoban.toml", "train          65536", "ragen: moves", "verl-agent (used)", "[env.sokoban]", "boxes\n"]
    {
        assert!(code == 0 && page.contains(part), "no `{part}` in {page}");
    }
    let (code, out, _) = said(&["env", "bench", "sokoban", "--games", "2"], b"");
    assert!(code == 0 && out.lines().count() == 3 && out.starts_with("resets "), "{out}");
}

#[test]
fn mistakes_are_named() {
    for (arguments, code, part) in [
        (&["env", "play", "sokobann"][..], 2, "no environment is called `sokobann`, did you mean `sokoban`?"),
        (&["env", "show", "x"], 2, "no environment is called `x`, there is household, "),
        (&["env", "play", "sokoban", "--task", "valid-seen/9999"], 1, "`sokoban/valid-seen/9999` does not exist"),
        (&["env", "play", "sokoban", "--task", "test/1"], 1, "`sokoban/test/1` is not a task of `sokoban`"),
        (&["env", "play", "household", "--game", "/nowhere/x"], 1, "/nowhere/x: there is no such file or folder"),
        (&["env", "play", "household", "--actions", "/nowhere/x"], 1, "/nowhere/x cannot be read"),
        (&["env", "play", "sokoban", "--set", "env.sokoban.boxes=9"], 2, "`env.sokoban.boxes` must be from 1 to 4"),
    ] {
        let (found, out, error) = said(arguments, b"");
        assert!(found == code && out.is_empty() && error.contains(part), "{arguments:?}: {found} {error}");
    }
}
