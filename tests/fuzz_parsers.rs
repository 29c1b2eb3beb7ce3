//! Whatever a file or a message holds, reading it gives a value or an error, never a panic.

use std::fs;

use proptest::prelude::*;
use sdlab::config::{self, Overrides};
use sdlab::core::{Command, Record};
use sdlab::run::{Heartbeat, Manifest, RunFolder, foreign, sums};
use sdlab::skill::Bank;

/// Texts that are nearly right: pieces of a good one, odd characters, and what terminals and editors do to files.
fn nearly(good: &'static str) -> impl Strategy<Value = String> {
    let cut = any::<prop::sample::Index>();
    let piece = prop_oneof![
        any::<String>(),
        Just("\u{1b}[2J\u{202e}\u{feff}\0".to_owned()),
        Just("\"".to_owned()),
        Just("[[".to_owned()),
        Just("= 1e999".to_owned()),
        Just("-99999999999999999999".to_owned()),
    ];
    (cut.clone(), cut, piece).prop_map(move |(a, b, piece)| {
        let place = |at: prop::sample::Index| {
            let mut at = at.index(good.len() + 1);
            while !good.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (a, b) = (place(a), place(b));
        format!("{}{piece}{}", &good[..a], &good[b..])
    })
}

fn sample() -> &'static str {
    config::sample().leak()
}

const SKILLS: &str =
    "category = \"clean\"\nkeywords = [\"clean\"]\n[[skill]]\nid = \"a\"\ntitle = \"T\"\ntext = \"t\"\n";
const RECORD: &str = r#"{"at_ms":1,"event":"stepped","step":3,"metrics":{"a":null,"b":0.1},"skills":[]}"#;
const COMMAND: &str = r#"{"command":"set","key":"optim.lr","value":"1e-4"}"#;
const SUMS: &str = r#"{"format":1,"files":{"a":{"sha256":"00","bytes":3}}}"#;
const BEAT: &str = r#"{"pid":1,"started":2,"host":"h","state":"running","step":7,"phase":"teacher","at_ms":5}"#;
const VERL: &str = "{\"input\":\"a\",\"output\":\"b\",\"score\":1.0,\"step\":4}\n{\"input\":\"a\",\"output\":\"c\"}\n";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn recipes(text in nearly(sample()), change in any::<String>()) {
        let _ = config::parse("r.toml", &text, &Overrides::default());
        let _ = config::parse("r.toml", "", &Overrides { set: vec![change.clone()], ..Overrides::default() });
        let _ = config::set("[optim]\nlr = 1\n", &change, &text);
    }

    #[test]
    fn skills(text in nearly(SKILLS)) {
        if let Err(error) = Bank::parse(&[("a.toml", &text)]) {
            prop_assert!(error.to_string().starts_with("a.toml"), "{error}");
        }
    }

    #[test]
    fn records_and_commands(record in nearly(RECORD), command in nearly(COMMAND)) {
        let _ = serde_json::from_str::<Record>(&record);
        let _ = serde_json::from_str::<Command>(&command);
    }

    #[test]
    fn files_of_a_run(beat in nearly(BEAT), checks in nearly(SUMS), manifest in any::<String>()) {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        fs::write(folder.status(), beat).unwrap();
        fs::write(folder.manifest(), manifest).unwrap();
        fs::write(folder.path().join(sums::SUMS), checks).unwrap();
        let _ = Heartbeat::read(&folder);
        let _ = Manifest::read(&folder);
        prop_assert!(sums::check(folder.path()).is_err(), "the file `a` is not there");
    }

    #[test]
    fn rollouts_of_other_tools(text in nearly(VERL)) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("3.jsonl");
        fs::write(&path, text).unwrap();
        if let Ok(dump) = foreign::read(&path) {
            let folder = RunFolder::create(root.path(), "a").unwrap();
            foreign::write(&dump, &folder, "3.jsonl").unwrap();
        }
    }
}
