//! Whole runs on the starter model: adapters and bf16 resume exactly, and a gradient that is not finite is an alert.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use sdlab::config::{Overrides, Recipe, parse};
use sdlab::core::RunEvent;
use sdlab::core::exit::Exit;
use sdlab::run::{RunFolder, Source};
use sdlab::session::Asserts;
use sdlab::wiring::{create_run, train_here};

const SMALL: &str = "
[rollout]
groups = 1
members = 2
max_new_tokens = 12
[env.household]
max_turns = 16
[eval]
games = 0
[optim]
minibatches = 1
";

fn recipe(root: &Path, set: &[&str]) -> Recipe {
    let set = set.iter().map(|s| (*s).to_owned()).collect();
    let mut recipe = parse("small.toml", SMALL, &Overrides { set, ..Overrides::default() }).unwrap();
    recipe.run.root = root.display().to_string();
    recipe.model.path = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), recipe.model.path);
    recipe.skills.bank = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), recipe.skills.bank);
    recipe
}

fn train(recipe: &Recipe) -> RunFolder {
    let folder = create_run(recipe, "small.toml").unwrap();
    assert_eq!(train_here(&folder, None, Asserts::default()).unwrap(), Exit::Done, "{:?}", events(&folder).last());
    folder
}

fn events(folder: &RunFolder) -> Vec<RunEvent> {
    Source::open(folder).unwrap().all().unwrap().into_iter().map(|record| record.event).collect()
}

/// All numbers of a model folder by name.
fn weights(folder: &Path) -> BTreeMap<String, Vec<f32>> {
    let tensors = safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    let numbers = |t: Tensor| t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    tensors.into_iter().map(|(name, t)| (name, numbers(t))).collect()
}

#[test]
fn a_gradient_that_is_not_finite_skips_the_update_and_is_an_alert() {
    let root = tempfile::tempdir().unwrap();
    // a weight beyond single precision: the method's coefficients become infinite
    let folder = train(&recipe(root.path(), &["run.steps=1", "method.sdar.coef=1e300", "checkpoint.final=true"]));
    let mut skipped = None;
    let mut alerts = vec![];
    for event in events(&folder) {
        match event {
            RunEvent::Stepped { metrics, .. } => skipped = metrics["optim/skipped"],
            RunEvent::Alerted { rule, message, .. } => alerts.push((rule, message)),
            _ => {}
        }
    }
    assert_eq!(skipped, Some(1.0));
    let expected = "`optim/skipped` is 1.0000: a gradient was not finite, its update was skipped";
    assert!(alerts.contains(&("optim/skipped > 0".into(), expected.into())), "{alerts:?}");
    let (before, after) = (weights(Path::new(&recipe(root.path(), &[]).model.path)), weights(&folder.checkpoint(1)));
    assert!(!before.is_empty() && before == after, "no weight moves");
}

#[test]
fn adapters_and_bf16_resume_exactly() {
    for mode in ["model.lora.rank=2", "model.dtype='bf16'"] {
        let root = tempfile::tempdir().unwrap();
        let set = |steps, name| [mode, "checkpoint.every=1", "checkpoint.keep=0", "optim.lr=0.01", steps, name];
        let whole = train(&recipe(root.path(), &set("run.steps=2", "run.name=whole")));
        let parts = train(&recipe(root.path(), &set("run.steps=1", "run.name=parts")));
        sdlab::config::set_in_file(&parts.config(), "run.steps", "2").unwrap();
        assert_eq!(train_here(&parts, None, Asserts::default()).unwrap(), Exit::Done);
        let read = |folder: &RunFolder, name: &str| std::fs::read(folder.checkpoint(2).join(name)).ok();
        let files = ["adapter_model.safetensors", "model.safetensors", "master.safetensors", "sets.json"];
        let found: Vec<_> = files.iter().filter_map(|name| Some((name, read(&whole, name)?))).collect();
        assert!(found.len() >= 2, "{mode}");
        for (name, bytes) in found {
            assert!(Some(bytes) == read(&parts, name), "{mode} {name}");
        }
    }
}

#[test]
fn reward_and_distillation_are_compared_and_nothing_is_changed_by_it() {
    let root = tempfile::tempdir().unwrap();
    // an auxiliary gradient exists in every step: distillation does not wait for different rewards
    let own = ["run.steps=3", "rollout.members=4", "checkpoint.final=true"];
    let seen = train(&recipe(root.path(), &[&own[..], &["record.gradients=2", "run.name=seen"]].concat()));
    let blind = train(&recipe(root.path(), &[&own[..], &["record.gradients=0", "run.name=blind"]].concat()));
    assert_eq!(weights(&seen.checkpoint(3)), weights(&blind.checkpoint(3)));
    let numbers = |folder: &RunFolder| -> Vec<Option<f64>> {
        let of = |event| match event {
            RunEvent::Stepped { metrics, .. } => Some(metrics.get("grad/aux_norm").copied().flatten()),
            _ => None,
        };
        events(folder).into_iter().filter_map(of).collect()
    };
    let found = numbers(&seen);
    assert!(found[0].is_some_and(|norm| norm > 0.0) && found[1].is_none() && found[2].is_some(), "{found:?}");
    assert_eq!(not_finite(&seen), Vec::<String>::new());
    assert_eq!(numbers(&blind), [None, None, None]);
}

/// Names of recorded numbers that are not finite.
fn not_finite(folder: &RunFolder) -> Vec<String> {
    let of = |event| match event {
        RunEvent::Stepped { metrics, .. } => metrics.into_iter().filter(|(_, value)| value.is_none()).collect(),
        _ => vec![],
    };
    events(folder).into_iter().flat_map(of).map(|(name, _)| name).collect()
}

#[test]
fn numbers_of_steps_without_reward_or_without_a_teacher_for_some_tokens_are_finite() {
    let root = tempfile::tempdir().unwrap();
    for (name, set) in [
        // nothing is won or lost: no advantage, so no gradient of the reward
        (
            "silent",
            vec![
                "method.skill-sd={}",
                "rollout.max_new_tokens=1",
                "env.household.invalid_penalty=0",
                "record.gradients=1",
            ],
        ),
        ("hinted", vec!["method.hint-sd={}", "judge.by='oracle'", "rollout.members=4"]),
    ] {
        let name = format!("run.name={name}");
        let own = ["run.steps=2", "checkpoint.final=false", &name];
        let folder = train(&recipe(root.path(), &[&own[..], &set].concat()));
        assert_eq!(not_finite(&folder), Vec::<String>::new(), "{name}");
    }
}
