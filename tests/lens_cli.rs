//! `sdlab lens` on the run that comes with the program, whose files an older version wrote.

use std::process::{Command, Output};

use serde_json::Value;

fn lens(args: &[&str]) -> Output {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sdlab"));
    command.current_dir(root).arg("lens").args(args).output().unwrap()
}

#[test]
fn methods_are_compared_on_recorded_tokens() {
    let output = lens(&["runs/starter", "--method", "sdar", "--method", "rlsd", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tokens = found["tokens"]["id"].as_array().unwrap().len();
    assert!(tokens > 100);
    let sdar = &found["methods"][0];
    assert_eq!((&sdar["method"], sdar["coefficient"].as_array().unwrap().len()), (&"sdar".into(), tokens));
    assert!(sdar["missing"].as_array().unwrap().is_empty(), "{}", sdar["missing"]);
    assert!(
        sdar["weight"].as_array().unwrap().iter().all(|gate| gate.as_f64().is_some_and(|g| (0.0..=1.0).contains(&g)))
    );
    assert_eq!(found["disagreements"].as_array().unwrap().len(), 20);
}

#[test]
fn a_summary_says_what_is_missing() {
    let output = lens(&["runs/starter", "--method", "tip", "--method", "grpo"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("missing top: no list of likely tokens was recorded; `record.top_k = 16`"), "{text}");
    assert!(text.contains("where they disagree most"), "{text}");
}

#[test]
fn what_is_not_there_is_named() {
    let said = |args: &[&str]| {
        let output = lens(args);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["runs/nowhere"]).contains("nowhere"));
    assert!(said(&["runs/starter", "--step", "99999"]).contains("has no tokens of that step"));
    assert!(said(&["runs/starter", "--method", "sdra"]).contains("sdar"), "did you mean");
}
