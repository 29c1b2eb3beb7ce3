//! How long a long run takes to open: `cargo bench --bench open -- [STEPS] [ROLLOUTS] [MEGABYTES]`.
//!
//! Makes a run of 10,000 steps with 100,000 rollouts (or as many as named; with MEGABYTES the records are filled up with
//! progress to that size) in a temporary folder, and reads it as the screen does.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use sdlab::core::event::FORMAT;
use sdlab::core::{Ending, Episode, EpisodeId, Metrics, Phase, Record, RunEvent, Stop, Task, Turn};
use sdlab::run::filter::Filter;
use sdlab::run::index::{RowList, Shared, StepRows};
use sdlab::run::view::RunView;
use sdlab::run::{Recorder, RunFolder, Source, Store};

fn main() {
    // `cargo bench` adds an argument of its own
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let number = |at: usize, default: u64| numbers.get(at).copied().unwrap_or(default);
    let (steps, rollouts, megabytes) = (number(0, 10_000), number(1, 100_000), number(2, 0));
    let root = std::env::temp_dir().join(format!("sdlab-open-{}", std::process::id()));
    fs::create_dir_all(&root).expect("a temporary folder");
    let folder = RunFolder::create(&root, "long").expect("a run folder");
    make(&folder, steps, rollouts / steps.max(1), megabytes << 20);
    read(&folder, rollouts);
    fs::remove_dir_all(&root).expect("to clean up");
}

fn read(folder: &RunFolder, rollouts: u64) {
    let size = fs::metadata(folder.events()).map_or(0, |meta| meta.len()) >> 20;
    let (mut source, mut view) = (Source::open(folder).expect("a source"), RunView::default());
    let began = Instant::now();
    let first = source.read(usize::MAX, Duration::from_millis(700)).expect("records");
    first.iter().for_each(|record| view.apply(record));
    println!("first look: {} steps after {:.0} ms", view.last_step(), ms(began));
    drop(first);
    source.for_each(|record| view.apply(record)).expect("records");
    println!("all {} steps, {size} MB of records: {:.0} ms", view.last_step(), ms(began));
    let (store, began) = (Store::new(folder), Instant::now());
    let steps = store.steps();
    println!("list of {} steps, {rollouts} rollouts: {:.1} ms", steps.len(), ms(began));
    let began = Instant::now();
    let shown = 100;
    let episodes: usize =
        steps.iter().rev().take(shown).map(|step| store.episodes(*step).expect("rollouts").len()).sum();
    println!("a step's {} rollouts: {:.2} ms", episodes / shown.min(steps.len()).max(1), ms(began) / shown as f64);
    index(&store);
}

/// The list of every rollout, as the screen fills it in the background, and a filter over it.
fn index(store: &Store) {
    let (mut list, mut shared, began) = (RowList::default(), Shared::default(), Instant::now());
    for step in store.steps() {
        let mut rows = store.rows(step, &mut shared).expect("rows");
        // all files are copies of the first
        rows.iter_mut().for_each(|row| row.id.step = step);
        list.extend(vec![StepRows { step, rows, error: None }]);
    }
    println!("index of {} rollouts, in the background: {:.0} ms", list.rows().len(), ms(began));
    let filter = Filter::parse("reward<1 & step>100 & task~mug & !invalid").expect("a filter");
    let began = Instant::now();
    let passing = list.rows().iter().filter(|row| filter.passes(row)).count();
    println!("filter over them: {passing} pass, {:.1} ms", ms(began));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS unknown");
    println!("{}", memory.split_whitespace().collect::<Vec<_>>().join(" "));
}

fn make(folder: &RunFolder, steps: u64, members: u64, bytes: u64) {
    let mut recorder = Recorder::create(folder).expect("a recorder");
    recorder.record(started(steps, members as u32)).expect("a record");
    let episodes: Vec<Episode> = (0..members as u32).map(episode).collect();
    recorder.close_step(1, &episodes, &[]).expect("rollouts");
    drop(recorder);
    let parquet = fs::read(folder.rollouts(1)).expect("rollouts");
    let mut events = BufWriter::new(File::options().append(true).open(folder.events()).expect("records"));
    let mut line = |event: RunEvent, at_ms: u64| {
        let line = serde_json::to_string(&Record { at_ms, event }).expect("JSON");
        writeln!(events, "{line}").expect("a line");
        line.len() as u64 + 1
    };
    for step in 1..=steps {
        let mut written = 0;
        let mut done = 0;
        while done < 20 || written < bytes / steps {
            written += line(RunEvent::Progress { step, phase: Phase::Rollout, done, total: 64 }, step);
            done += 1;
        }
        line(RunEvent::Stepped { step, metrics: metrics(step), skills: vec![] }, step);
        fs::write(folder.rollouts(step), &parquet).expect("rollouts");
    }
}

fn started(steps: u64, members: u32) -> RunEvent {
    RunEvent::Started {
        format: FORMAT,
        run: "long".into(),
        recipe: "bench".into(),
        method: "sdar".into(),
        env: "household".into(),
        model: "none".into(),
        parameters: 0,
        device: "cpu".into(),
        steps,
        groups: 1,
        members,
        resumed: 0,
        substitutions: vec![],
        pid: 0,
        memory: vec![],
    }
}

/// As many numbers as a step of ours has.
fn metrics(step: u64) -> Metrics {
    (0..45).map(|n| (format!("group{}/metric_{n}", n % 7), Some((step * 45 + n) as f64 / 7.0))).collect()
}

fn episode(member: u32) -> Episode {
    let turn = |n: u32| Turn {
        observation: format!("You are in room {n}. You see a cabinet 1, a drawer 2 and a mug {member}."),
        reply: format!("<think>\nlook\n</think>\n<action>go to cabinet {n}</action>"),
        action: format!("go to cabinet {n}"),
        valid: true,
        reward: 0.0,
        tokens: 20,
        stop: Stop::Closed,
    };
    Episode {
        id: EpisodeId { step: 1, group: 0, member },
        task: Task { id: "household/train/1".into(), kind: "pick".into(), goal: "put a mug in cabinet.".into() },
        turns: (0..20).map(turn).collect(),
        last_observation: String::new(),
        ending: Ending::TurnLimit,
        reward: 0.0,
        score: 0.0,
        advantage: Some(0.0),
        prompt: "system".into(),
        teacher_prompt: "system".into(),
        skills: vec!["a".into()],
    }
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}
