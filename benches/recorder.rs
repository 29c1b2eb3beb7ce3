//! What recording costs: `cargo bench --bench recorder -- [STEPS]`.
//!
//! Trains the default recipe for some steps in a temporary folder, then records the same steps once more: every event,
//! every turn as it was played, the files of every closed step, all waits for the disk included. The ratio of the two
//! is the recorder's share of a step. Then a step with a million tokens is closed and read.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sdlab::config::{self, Overrides};
use sdlab::core::{Record, RunEvent, TokenRecord};
use sdlab::run::{Recorder, RunFolder, Source, Store};
use sdlab::session::Asserts;
use sdlab::wiring;

fn main() {
    let steps = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(4);
    let root = std::env::temp_dir().join(format!("sdlab-recorder-{}", std::process::id()));
    fs::create_dir_all(&root).expect("a temporary folder");
    share(&root, steps);
    million(&root);
    fs::remove_dir_all(&root).expect("to clean up");
}

/// The recorder's share of the time between the records of two steps.
fn share(root: &Path, steps: u64) {
    let set = vec!["run.name=trained".to_owned(), "eval.every=0".to_owned()];
    let overrides = Overrides { set, steps: Some(steps), seed: None, root: Some(root.display().to_string()) };
    let recipe = config::load(None, &overrides).expect("the default recipe");
    let folder = wiring::create_run(&recipe, "bench").expect("a run folder");
    wiring::train_here(&folder, None, Asserts::default()).expect("a training");
    let records = Source::open(&folder).and_then(|mut source| source.all()).expect("records");
    let ends: Vec<u64> = records.iter().filter_map(stepped).collect();
    let trained = Duration::from_millis(ends[ends.len() - 1] - ends[0]) / (ends.len() - 1) as u32;
    let recorded = again(root, &folder, &records) / ends.len() as u32;
    let share = 100.0 * recorded.as_secs_f64() / trained.as_secs_f64();
    println!("a step takes {:.2} s, recording it {:.1} ms: {share:.2} %", trained.as_secs_f64(), ms(recorded));
}

fn stepped(record: &Record) -> Option<u64> {
    matches!(record.event, RunEvent::Stepped { .. }).then_some(record.at_ms)
}

/// Records a run once more; how long that took.
fn again(root: &Path, folder: &RunFolder, records: &[Record]) -> Duration {
    let store = Store::new(folder);
    let read = |step| (store.episodes(step).expect("rollouts"), store.tokens(step).expect("tokens"));
    let files: Vec<_> = store.steps().into_iter().map(|step| (step, read(step))).collect();
    let copy = RunFolder::create(root, "copy").expect("a run folder");
    let mut recorder = Recorder::create(&copy).expect("a recorder");
    let began = Instant::now();
    for record in records {
        recorder.record(record.event.clone()).expect("a record");
    }
    for (step, (episodes, tokens)) in &files {
        for episode in episodes {
            let mut played = episode.clone();
            for turns in 1..=episode.turns.len() {
                played.turns = episode.turns[..turns].to_vec();
                recorder.turn(&played).expect("a turn");
            }
        }
        recorder.close_step(*step, episodes, tokens).expect("the files of a step");
    }
    began.elapsed()
}

/// Closing and reading a step with a million tokens.
fn million(root: &Path) {
    const TOKENS: u32 = 1_000_000;
    let number = |at: u32| Some(-((at.wrapping_mul(2_654_435_761) >> 8) as f32) / 1e6);
    let token = |at: u32| TokenRecord {
        group: at / 64_000,
        member: at / 8_000 % 8,
        position: at % 8_000,
        turn: at / 100 % 80,
        id: at.wrapping_mul(40_503) % 150_000,
        mask: !at.is_multiple_of(3),
        sampled: number(at),
        old: number(at),
        student: number(at + 1),
        teacher: number(at + 2),
        entropy: number(at + 3),
        gate: number(at + 4),
        advantage: Some((at / 8_000 % 5) as f32 - 2.0),
        coefficient: number(at + 5),
        ..TokenRecord::default()
    };
    let tokens: Vec<TokenRecord> = (0..TOKENS).map(token).collect();
    let folder = RunFolder::create(root, "million").expect("a run folder");
    let mut recorder = Recorder::create(&folder).expect("a recorder");
    let began = Instant::now();
    recorder.close_step(1, &[], &tokens).expect("the files of a step");
    let (written, size) = (began.elapsed(), fs::metadata(folder.tokens(1)).map_or(0, |meta| meta.len()));
    let began = Instant::now();
    let read = Store::new(&folder).tokens(1).expect("tokens");
    let same = if read == tokens { "the same" } else { "NOT the same" };
    println!(
        "a million tokens: written in {:.2} s ({:.1} bytes each), read in {:.2} s, {same}",
        written.as_secs_f64(),
        size as f64 / f64::from(TOKENS),
        began.elapsed().as_secs_f64(),
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
