//! Every reader of a run sees the same: the live stream, the file read in any portions, the batch lines.

use std::fs;
use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

use sdlab::batch::{self, BatchPrinter};
use sdlab::core::event::{FORMAT, KeyChange, Level, Scope, SkillUse, Status};
use sdlab::core::{Metrics, Phase, Record, RunEvent};
use sdlab::run::view::{MarkKind, RunView};
use sdlab::run::{Recorder, RunFolder, Source};
use serde_json::Value;

fn started(resumed: u64) -> RunEvent {
    RunEvent::Started {
        format: FORMAT,
        run: "a".into(),
        recipe: "starter".into(),
        method: "sdar".into(),
        env: "household".into(),
        model: "tiny".into(),
        parameters: 1_000_000,
        device: "cpu".into(),
        steps: 9,
        groups: 2,
        members: 4,
        resumed,
        substitutions: vec!["oracle judge".into()],
        pid: 7,
        memory: vec![],
    }
}

fn stepped(step: u64, reward: f64) -> RunEvent {
    let metrics: Metrics =
        [("reward/mean".to_string(), Some(reward)), ("gate/mean".to_string(), Some(0.1 + 0.2))].into();
    let skill = SkillUse {
        id: "s".into(),
        title: "箱\u{1b}[2J".into(),
        uses: 2,
        won: 1,
        gap: Some(f64::NAN),
        ..SkillUse::default()
    };
    RunEvent::Stepped { step, metrics, skills: vec![skill] }
}

fn evaluated(step: u64) -> RunEvent {
    let metrics = [("eval/success".to_string(), Some(1.0 / 3.0))].into();
    RunEvent::Evaluated { step, panel: "valid-seen/3".into(), with_skills: false, metrics, outcomes: "10-".into() }
}

/// A run with everything in it: numbers that are not finite, a retune, alerts, a pause, an end.
fn story() -> Vec<RunEvent> {
    let change = |key: &str, before: &str, after: &str, scope| KeyChange {
        key: key.into(),
        before: before.into(),
        after: after.into(),
        scope,
    };
    vec![
        started(0),
        evaluated(0),
        RunEvent::Progress { step: 1, phase: Phase::Rollout, done: 1, total: 8 },
        stepped(1, 0.25),
        RunEvent::Paused { step: 1 },
        RunEvent::ConfigChanged {
            step: 1,
            revision: 2,
            changes: vec![
                change("optim.lr", "1e-5", "5e-6", Scope::Live),
                change("method.kind", "sdar", "grpo", Scope::NextRun),
            ],
        },
        RunEvent::ConfigRejected { step: 1, message: "my.toml:3:5: unknown key".into() },
        RunEvent::Resumed { step: 1 },
        stepped(2, f64::INFINITY),
        RunEvent::Alerted {
            step: 2,
            level: Level::Error,
            rule: "no_signal".into(),
            message: "no signal".into(),
            value: Some(f64::NAN),
        },
        RunEvent::Checkpointed { step: 2, path: "checkpoints/step_000002".into(), bytes: 9, seconds: 0.5 },
        RunEvent::Finished { step: 2, status: Status::Stopped, exit: 75, message: String::new(), assert: None },
    ]
}

/// Records the events; returns what the tap saw.
fn record(folder: &RunFolder, events: Vec<RunEvent>) -> Vec<Record> {
    let (send, receive) = mpsc::channel();
    let tap = Box::new(move |record: &Record| send.send(record.clone()).unwrap());
    let mut recorder = Recorder::open(folder).unwrap().with_tap(tap);
    for event in events {
        recorder.record(event).unwrap();
    }
    recorder.sync().unwrap();
    drop(recorder);
    receive.into_iter().collect()
}

fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> RunView {
    let mut view = RunView::default();
    records.into_iter().for_each(|record| view.apply(record));
    view
}

fn setup() -> (tempfile::TempDir, RunFolder) {
    let root = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(root.path(), "a").unwrap();
    (root, folder)
}

#[test]
fn live_view_equals_saved_view_in_any_portions() {
    let (_root, folder) = setup();
    let live = record(&folder, story());
    let view = fold(&live);
    assert_eq!(view.series("reward/mean"), [(1, Some(0.25)), (2, None)]);
    assert_eq!(view.alerts.iter().filter(|a| a.message.contains("not a finite number")).count(), 3, "{view:?}");
    assert_eq!(fold(&Source::open(&folder).unwrap().all().unwrap()), view);
    for (max_records, budget) in [(1, Duration::MAX), (3, Duration::MAX), (100, Duration::ZERO)] {
        let mut source = Source::open(&folder).unwrap();
        let portions = std::iter::from_fn(|| Some(source.read(max_records, budget).unwrap()).filter(|r| !r.is_empty()));
        let records: Vec<Record> = portions.flatten().collect();
        assert_eq!(records, live);
    }
}

#[test]
fn every_prefix_of_the_file_is_a_prefix_of_the_run() {
    let (_root, folder) = setup();
    let live = record(&folder, story());
    let bytes = std::fs::read(folder.events()).unwrap();
    let (_root, growing) = setup();
    let mut source = Source::open(&growing).unwrap();
    let mut file = std::fs::File::create(growing.events()).unwrap();
    let mut seen = Vec::new();
    for portion in bytes.chunks(7) {
        file.write_all(portion).unwrap();
        seen.extend(source.all().unwrap());
        assert_eq!(fold(&seen), fold(&live[..seen.len()]));
    }
    assert_eq!((seen, source.damaged()), (live, 0));
}

#[test]
fn resumed_run_replaces_repeated_steps() {
    let (_root, folder) = setup();
    let mark = |step| RunEvent::Checkpointed { step, path: format!("{step}"), bytes: 1, seconds: 0.0 };
    let first = [started(0), stepped(1, 0.1), mark(1), stepped(2, 0.2), evaluated(2), mark(2), stepped(3, 0.3)];
    let mut live = record(&folder, first.to_vec());
    live.extend(record(&folder, vec![started(1), stepped(2, 0.5), evaluated(2), evaluated(2), mark(2)]));
    let view = fold(&live);
    assert_eq!(view.series("reward/mean"), [(1, Some(0.1)), (2, Some(0.5))]);
    assert_eq!((view.evals.len(), view.resumed_steps, view.last_step()), (1, 1, 2));
    let marks: Vec<_> = view.marks.iter().map(|m| (m.step, m.kind)).collect();
    assert_eq!(marks, [(1, MarkKind::Checkpoint), (1, MarkKind::Resume), (2, MarkKind::Checkpoint)]);
    assert_eq!(fold(&Source::open(&folder).unwrap().all().unwrap()), view);
}

#[test]
fn unknown_events_and_newer_formats_are_told_not_fatal() {
    let line = r#"{"at_ms":1,"event":"telepathy","step":{"a":[1]},"why":null}"#;
    let mut records: Vec<Record> = vec![serde_json::from_str(line).unwrap()];
    let mut newer = serde_json::to_value(Record { at_ms: 2, event: started(0) }).unwrap();
    newer["format"] = (FORMAT + 1).into();
    newer["a_field_of_tomorrow"] = true.into();
    records.push(serde_json::from_value(newer).unwrap());
    let view = fold(&records);
    assert_eq!((view.unknown, view.newer_format), (1, Some(FORMAT + 1)));
}

#[test]
fn batch_lines_keep_the_contract_and_replay_repeats_them() {
    let (_root, folder) = setup();
    let mut live = Vec::new();
    let mut printer = BatchPrinter::new(&mut live, &folder);
    for record in record(&folder, story()) {
        printer.print(&record).unwrap();
    }
    let mut saved = Vec::new();
    batch::replay(&folder, &mut saved).unwrap();
    let text = String::from_utf8(live).unwrap();
    assert_eq!(String::from_utf8(saved).unwrap(), text);
    let run_dir = folder.path().to_str().unwrap();
    let warned = |step: u64, name: &str| {
        format!(
            r#"{{"event":"alert","step":{step},"level":"warn","rule":"warning","message":"not a finite number, recorded as absent: {name}"}}"#
        )
    };
    let expected = [
        format!(
            r#"{{"event":"launch","v":1,"run_id":"a","pid":7,"run_dir":"{run_dir}","control":{{"socket_path":"{run_dir}/control.sock"}}}}"#
        ),
        r#"{"event":"eval","step":0,"panel":"valid-seen/3","with_skills":false,"outcomes":"10-","eval/success":0.3333333333333333}"#.into(),
        r#"{"event":"step","step":1,"gate/mean":0.30000000000000004,"reward/mean":0.25}"#.into(),
        warned(1, "`gap of skill s`"),
        r#"{"event":"config","step":1,"changed":{"optim.lr":[0.00001,5e-6]},"scope":"live","rev":2}"#.into(),
        r#"{"event":"config","step":1,"changed":{"method.kind":["sdar","grpo"]},"scope":"next-run","rev":2}"#.into(),
        r#"{"event":"alert","step":1,"level":"warn","rule":"config","message":"my.toml:3:5: unknown key"}"#.into(),
        r#"{"event":"step","step":2,"gate/mean":0.30000000000000004,"reward/mean":null}"#.into(),
        warned(2, "`reward/mean`, `gap of skill s`"),
        r#"{"event":"alert","step":2,"level":"error","rule":"no_signal","message":"no signal"}"#.into(),
        warned(2, "`value of rule no_signal`"),
        r#"{"event":"checkpoint","step":2,"path":"checkpoints/step_000002","bytes":9,"seconds":0.5}"#.into(),
        r#"{"event":"done","status":"stopped","steps":2,"exit":75}"#.to_string(),
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

/// A pipe whose reader leaves after so many writes.
struct Pipe(usize);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn reader_that_leaves_is_not_an_error() {
    let (_root, folder) = setup();
    let mut printer = BatchPrinter::new(Pipe(1), &folder);
    let record = |step| Record { at_ms: 0, event: stepped(step, 0.0) };
    printer.print(&record(1)).unwrap();
    assert!(!printer.closed());
    printer.print(&record(2)).unwrap();
    printer.print(&record(3)).unwrap();
    assert!(printer.closed());
}

#[test]
fn hostile_lines_are_skipped_or_shown_as_text() {
    let (_root, folder) = setup();
    record(&folder, vec![started(0), stepped(1, 0.5)]);
    let mut text = fs::read_to_string(folder.events()).unwrap();
    let long =
        format!("{{\"at_ms\":9,\"event\":\"warned\",\"step\":1,\"message\":\"{}\"}}", "\u{202e}x".repeat(2_500_000));
    let broken =
        [&long[..], "\u{1b}[2J\u{1b}]52;c;!\u{7}", "{\"at_ms\":9,\"event\":\"stepped\"}", "\u{feff}", "nul\0l"]
            .join("\n");
    text = format!("{text}{broken}\n");
    let mut bytes = text.into_bytes();
    bytes.extend(b"\xff\xfe\xc3\n");
    fs::write(folder.events(), &bytes).unwrap();
    record(&folder, vec![stepped(2, 0.75)]);
    let records = Source::open(&folder).unwrap().all().unwrap();
    let view = fold(&records);
    assert_eq!(view.last_step(), 2, "what follows is read");
    let mut printed = Vec::new();
    batch::replay(&folder, &mut printed).unwrap();
    assert!(!printed.contains(&0x1b), "no escape code reaches a terminal");
    assert!(
        printed.split(|b| *b == b'\n').filter(|l| !l.is_empty()).all(|l| serde_json::from_slice::<Value>(l).is_ok())
    );
}
