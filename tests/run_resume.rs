//! A run that is killed and resumed ends as if nothing had happened, bit for bit (on CPU).
//!
//! A kill is a copy of the run folder made in the middle of the run: what a dead trainer leaves is what was written
//! until then. `examples/drill.rs` does the same with real processes and `kill -9`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sdlab::config::{self, Overrides};
use sdlab::core::{Metrics, Phase, Record, RunEvent};
use sdlab::run::view::RunView;
use sdlab::run::{RunFolder, Source, Store};
use sdlab::session::Asserts;
use sdlab::wiring;

const STEPS: u64 = 4;

/// An uninterrupted run, and copies of it at some moments.
struct Runs {
    _root: tempfile::TempDir,
    whole: RunFolder,
    copies: Vec<(String, RunFolder)>,
}

fn runs() -> &'static Runs {
    static RUNS: OnceLock<Runs> = OnceLock::new();
    RUNS.get_or_init(play)
}

/// A new run of the built-in recipe with these changes.
fn made(root: &Path, set: &[&str]) -> RunFolder {
    let overrides = Overrides {
        set: set.iter().map(|set| (*set).to_owned()).collect(),
        steps: Some(STEPS),
        seed: Some(3),
        root: Some(root.display().to_string()),
    };
    wiring::create_run(&config::parse("test", "", &overrides).unwrap(), "test").unwrap()
}

fn play() -> Runs {
    let root = tempfile::tempdir().unwrap();
    let set = [
        "rollout.groups=2",
        "rollout.members=2",
        "rollout.max_new_tokens=6",
        "optim.warmup_steps=3",
        "eval.every=2",
        "eval.games=2",
        "checkpoint.every=2",
        "run.name=whole",
        "skills.retrieval=random",
        "alerts.rules=[{ metric = \"reward/mean\", above = -1.0, for = 3 }]",
    ];
    let whole = made(root.path(), &set);
    let (from, to) = (whole.path().to_path_buf(), root.path().to_path_buf());
    let moments: [(&str, Moment); 4] = [
        ("in-step-1", |e| is_progress(e, 1, Phase::Rollout)),
        ("in-update-3", |e| is_progress(e, 3, Phase::Student)),
        ("after-step-2", |e| matches!(e, RunEvent::Stepped { step: 2, .. })),
        ("after-panel-4", |e| matches!(e, RunEvent::Evaluated { step: 4, .. })),
    ];
    let mut moments = BTreeMap::from(moments);
    let tap = Box::new(move |record: &Record| {
        let due: Vec<&str> = moments.iter().filter(|(_, is)| is(&record.event)).map(|(name, _)| *name).collect();
        for name in due {
            moments.remove(name);
            copy(&from, &to.join(name));
        }
    });
    wiring::train_here(&whole, Some(tap), Asserts::default()).unwrap();
    let names = ["in-step-1", "in-update-3", "after-step-2", "after-panel-4"];
    let copies = names.map(|name| (name.to_owned(), RunFolder::open(name, root.path()).unwrap())).to_vec();
    Runs { _root: root, whole, copies }
}

fn is_progress(event: &RunEvent, step: u64, phase: Phase) -> bool {
    matches!(event, RunEvent::Progress { step: s, phase: p, done, .. } if (*s, *p) == (step, phase) && *done > 0)
}

/// Copies a folder as it is; what is renamed away while it is copied is not in the copy.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy(&path, &target),
            Ok(kind) if kind.is_file() => drop(fs::copy(&path, &target)),
            _ => {}
        }
    }
}

fn view(folder: &RunFolder) -> RunView {
    let mut view = RunView::default();
    Source::open(folder).unwrap().all().unwrap().iter().for_each(|record| view.apply(record));
    view
}

/// Whether a run is to be interrupted at an event.
type Moment = fn(&RunEvent) -> bool;

/// Metrics without times; panels and alerts; the weights.
type Essence = (Vec<(u64, Metrics)>, Vec<(u64, String)>, Vec<Vec<u8>>);

/// What must not depend on interruptions.
fn essence(folder: &RunFolder) -> Essence {
    let view = view(folder);
    let timeless = |metrics: &Metrics| -> Metrics {
        let kept = metrics.iter().filter(|(name, _)| !name.starts_with("time/") && *name != "tokens/per_second");
        kept.map(|(name, value)| (name.clone(), *value)).collect()
    };
    let steps = view.steps.iter().map(|s| (s.step, timeless(&s.metrics.to_metrics()))).collect();
    let alerts = view.alerts.iter().filter(|a| a.rule.starts_with("reward")).map(|a| (a.step, a.message.clone()));
    let evals = view.evals.iter().map(|e| (e.step, e.outcomes.clone())).chain(alerts).collect();
    (steps, evals, weights(&folder.checkpoint(STEPS)))
}

/// Every file of weights and moments, in the order of their names.
fn weights(checkpoint: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(checkpoint).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect();
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn assert_same(folder: &RunFolder, whole: &RunFolder, what: &str) {
    let (a, b) = (essence(folder), essence(whole));
    assert_eq!((&a.0, &a.1), (&b.0, &b.1), "{what}");
    assert!(a.2 == b.2, "{what}: the weights differ");
    let (store, other) = (Store::new(folder), Store::new(whole));
    assert_eq!(store.steps(), (1..=STEPS).collect::<Vec<_>>(), "{what}");
    assert_eq!(store.eval_steps(), other.eval_steps(), "{what}");
    for step in store.steps() {
        assert!(store.episodes(step).unwrap() == other.episodes(step).unwrap(), "{what}: rollouts of step {step}");
        assert!(store.tokens(step).unwrap() == other.tokens(step).unwrap(), "{what}: tokens of step {step}");
    }
}

#[test]
fn a_killed_run_is_resumed_to_the_same_bits() {
    let runs = runs();
    assert_eq!(view(&runs.whole).finished.unwrap().1, 0);
    assert_eq!(essence(&runs.whole).1.len(), 4, "three panels and an alert");
    for (moment, folder) in &runs.copies {
        wiring::train_here(folder, None, Asserts::default()).unwrap();
        assert_same(folder, &runs.whole, moment);
    }
    let (_, late) = &runs.copies[1];
    assert_eq!(view(late).resumed_steps, 2, "steps before the checkpoint are not done again");
}

#[test]
fn skills_as_weights_are_resumed_to_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    let set = [
        "method.parametric-skills={ recite = 1, texts = 4, width = 8 }",
        "rollout.groups=1",
        "rollout.members=2",
        "rollout.max_new_tokens=6",
        "env.household.max_turns=16",
        "optim.minibatches=1",
        "optim.lr=0.01",
        "eval.games=0",
        "checkpoint.every=2",
        "run.name=weights",
    ];
    let whole = made(root.path(), &set);
    let (from, to) = (whole.path().to_path_buf(), root.path().join("killed"));
    let mut copied = false;
    let tap = Box::new(move |record: &Record| {
        if !copied && is_progress(&record.event, 4, Phase::Rollout) {
            copied = true;
            copy(&from, &to);
        }
    });
    wiring::train_here(&whole, Some(tap), Asserts::default()).unwrap();
    let killed = RunFolder::open("killed", root.path()).unwrap();
    wiring::train_here(&killed, None, Asserts::default()).unwrap();
    assert_eq!(view(&killed).resumed_steps, 2);
    assert_eq!(essence(&killed).0, essence(&whole).0);
    let network = |folder: &RunFolder, step: u64| fs::read(folder.checkpoint(step).join("hypernetwork.f32")).unwrap();
    assert!(network(&killed, STEPS) == network(&whole, STEPS), "network and optimiser differ");
    assert!(network(&whole, 2) != network(&whole, STEPS), "it learns in between");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let runs = runs();
    let folder = duplicate(&runs.whole, "damaged");
    let weights = folder.checkpoint(STEPS).join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&weights, bytes).unwrap();
    wiring::train_here(&folder, None, Asserts::default()).unwrap();
    assert_same(&folder, &runs.whole, "damaged");
    let records = Source::open(&folder).unwrap().all().unwrap();
    let warned = |text: &str| {
        records.iter().any(|r| matches!(&r.event, RunEvent::Warned { message, .. } if message.contains(text)))
    };
    assert!(warned("the checkpoint of step 4 cannot be used") && warned("superseded"), "{records:?}");
    assert!(folder.path().join("superseded/1/rollouts/step_000003.parquet").exists());
}

#[test]
fn a_fork_goes_on_from_the_checkpoint_under_another_recipe() {
    let runs = runs();
    let overrides = Overrides { set: vec!["rollout.members=3".into()], steps: Some(3), ..Overrides::default() };
    let fork = wiring::fork(&runs.whole, Some(2), &overrides).unwrap();
    assert_ne!(fork.name(), "whole");
    wiring::train_here(&fork, None, Asserts::default()).unwrap();
    let view = view(&fork);
    assert_eq!((view.resumed_steps, view.steps.len(), view.last_step()), (2, 1, 3));
    assert_eq!(Store::new(&fork).episodes(3).unwrap().len(), 6);
    let done = Overrides { steps: Some(2), ..Overrides::default() };
    let idle = wiring::fork(&runs.whole, Some(2), &done).unwrap_err().to_string();
    assert!(idle.starts_with("--fork: the checkpoint is of step 2, and the new run would end with step 2"), "{idle}");
    let missing = wiring::fork(&runs.whole, Some(3), &overrides).unwrap_err();
    assert!(format!("{missing:#}").contains("no usable checkpoint of step 3, there is 2, 4"), "{missing:#}");
}

#[test]
fn a_run_is_whole_and_does_the_same_again() {
    assert_eq!(wiring::verify(&runs().whole, true).unwrap(), sdlab::core::Exit::Done);
    let folder = duplicate(&runs().whole, "holed");
    fs::remove_file(folder.rollouts(2)).unwrap();
    assert_eq!(wiring::verify(&folder, false).unwrap(), sdlab::core::Exit::Failed);
    // a bit of every file of a step counts, also where it can still be read
    let whole = &runs().whole;
    for (n, path) in [whole.tokens(2), whole.rollouts(1), whole.eval_rollouts(4)].iter().enumerate() {
        let folder = duplicate(whole, &format!("flipped-{n}"));
        let path = folder.path().join(path.strip_prefix(whole.path()).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(wiring::verify(&folder, false).unwrap(), sdlab::core::Exit::Failed, "{}", path.display());
    }
}

#[test]
fn steps_without_records_are_told() {
    let folder = duplicate(&runs().whole, "unrecorded");
    config::set_in_file(&folder.config(), "run.steps", "5").unwrap();
    fs::write(folder.events(), "").unwrap();
    wiring::train_here(&folder, None, Asserts::default()).unwrap();
    let records = Source::open(&folder).unwrap().all().unwrap();
    let told = |r: &Record| matches!(&r.event, RunEvent::Warned { message, .. } if message.contains("no record of 4 of the steps 1 to 4"));
    assert!(records.iter().any(told), "{records:?}");
    assert_eq!(wiring::verify(&folder, false).unwrap(), sdlab::core::Exit::Failed);
}

#[test]
fn a_run_is_resumed_without_its_model() {
    let folder = duplicate(&runs().whole, "moved");
    config::set_in_file(&folder.config(), "model.path", "/nowhere/model").unwrap();
    config::set_in_file(&folder.config(), "rollout.groups", "9").unwrap();
    config::set_in_file(&folder.config(), "run.steps", "5").unwrap();
    wiring::train_here(&folder, None, Asserts::default()).unwrap();
    let view = view(&folder);
    assert_eq!((view.last_step(), view.facts.groups, view.config_revision), (5, 2, 1), "{:?}", view.finished);
    let keys: Vec<&str> = view.last_changes.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["model.path", "rollout.groups", "run.steps"]);
}

fn duplicate(folder: &RunFolder, name: &str) -> RunFolder {
    let to: PathBuf = folder.path().with_file_name(name);
    copy(folder.path(), &to);
    RunFolder::open(&to.display().to_string(), Path::new(".")).unwrap()
}
