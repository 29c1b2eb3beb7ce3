//! Whatever a file or a message holds, reading it gives a value or an error, never a panic.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use sdlab::config::{self, Overrides};
use sdlab::core::{Command, Metrics, Record, RunEvent};
use sdlab::env;
use sdlab::export::{Format, Pick, export};
use sdlab::run::{Heartbeat, Manifest, Recorder, RunFolder, Store, foreign, sums};
use sdlab::skill::Bank;
use sdlab::tui::keymap;
use sdlab::tui::theme::{self, Depth, Theme};

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
const KEYMAP: &str = "[keys]\npane-next = [\"Tab\", \"Ctrl-n\"]\ntheme = \"F2\"\nsuspend = []\n";
const VERL: &str = "{\"input\":\"a\",\"output\":\"b\",\"score\":1.0,\"step\":4}\n{\"input\":\"a\",\"output\":\"c\"}\n";

/// A closed step of the starter run: its rollouts and its tokens as they are on disk.
fn closed() -> &'static [Vec<u8>; 2] {
    static FILES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        let starter = RunFolder::open("runs/starter", Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let step = Store::new(&starter).token_steps()[0];
        [starter.rollouts(step), starter.tokens(step)].map(|path| fs::read(path).unwrap())
    })
}

/// The names and values that a TensorBoard reader finds in an event file, its checksums left aside.
fn summaries(file: &[u8]) -> Vec<(String, f32)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let length = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        let event = fields(&file[at + 12..at + 12 + length]);
        for summary in event.iter().filter(|(field, _)| *field == 5) {
            for (_, value) in fields(summary.1) {
                let value = fields(value);
                let tag = value.iter().find(|(field, _)| *field == 1).map(|(_, tag)| *tag).unwrap();
                let number = value.iter().find(|(field, _)| *field == 2).map(|(_, number)| *number).unwrap();
                let tag = String::from_utf8(tag.to_vec()).unwrap();
                found.push((tag, f32::from_le_bytes(number.try_into().unwrap())));
            }
        }
        at += 16 + length;
    }
    found
}

/// The fields of a message of protocol buffers: number and bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    let varint = |message: &mut &[u8]| {
        let mut value = 0;
        for shift in 0.. {
            let byte = message[0];
            *message = &message[1..];
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                return value;
            }
        }
        unreachable!()
    };
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                varint(&mut message);
                0
            }
            1 => 8,
            2 => varint(&mut message) as usize,
            _ => 4,
        };
        let (value, rest) = message.split_at(length);
        found.push((key >> 3, value));
        message = rest;
    }
    found
}

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

    #[test]
    fn themes_and_keymaps(which in 0..theme::EMBEDDED.len(), theme in nearly(theme::EMBEDDED[0]), keys in nearly(KEYMAP)) {
        let _ = Theme::parse(&theme, Depth::True);
        prop_assert!(Theme::parse(theme::EMBEDDED[which], Depth::Sixteen).is_ok());
        if let Err(error) = keymap::parse("keys.toml", &keys) {
            prop_assert!(error.starts_with("keys.toml"), "{error}");
        }
    }

    #[test]
    fn files_of_environments(text in nearly(env::KINDS[0].text)) {
        if let Err(error) = env::edit::read("e.toml", &text, "verl-agent") {
            prop_assert!(error.starts_with("e.toml:"), "{error}");
        }
        let _ = env::edit::differences("e.toml", env::KINDS[0].text, &text, "verl-agent");
    }

    #[test]
    fn closed_steps_that_are_damaged(which in 0..2usize, at in any::<prop::sample::Index>(), bytes in any::<[u8; 4]>(), cut: bool) {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        let mut files = closed().clone();
        let at = at.index(files[which].len());
        if cut {
            files[which].truncate(at);
        } else {
            let end = files[which].len().min(at + bytes.len());
            files[which][at..end].copy_from_slice(&bytes[..end - at]);
        }
        for (path, file) in [folder.rollouts(1), folder.tokens(1)].iter().zip(&files) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let store = Store::new(&folder);
        let errors = [store.episodes(1).err(), store.tokens(1).err()];
        for error in errors.into_iter().flatten() {
            prop_assert!(error.to_string().contains("step_"), "the file is named: {error}");
        }
        let _ = foreign::read(&folder.rollouts(1));
    }

    #[test]
    fn names_and_numbers_reach_other_tools(metrics in prop::collection::btree_map(any::<String>(), prop::option::of(any::<f64>()), 0..6)) {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        let metrics: Metrics = metrics.into_iter().collect();
        let mut recorder = Recorder::create(&folder).unwrap();
        recorder.record(RunEvent::Stepped { step: 1, metrics: metrics.clone(), skills: vec![] }).unwrap();
        let out = root.path().join("out");
        let files = export(&folder, Format::Tensorboard, Pick::default(), &out).unwrap();
        let finite = metrics.iter().filter_map(|(name, value)| Some((name.clone(), (*value)?))).filter(|(_, v)| v.is_finite());
        let written: BTreeMap<String, f32> = finite.map(|(name, value)| (name, value as f32)).collect();
        let read: BTreeMap<String, f32> = summaries(&fs::read(&files[0]).unwrap()).into_iter().collect();
        prop_assert_eq!(read, written);
    }
}
