//! `sdlab verify`: whether a run is whole, and whether its recorded configuration does the same again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};

use crate::config::{self, Overrides, Recipe};
use crate::core::{Exit, Metrics, RunEvent};
use crate::env;
use crate::hub;
use crate::method::needs::Extra;
use crate::run::manifest::{hash_file, sha256_hex};
use crate::run::view::RunView;
use crate::run::{Manifest, Recorder, RunFolder, Source, Store, check_written, sums};
use crate::session::{Halt, Job, Training};

/// Checks a run and prints a line for each check. Done = nothing is wrong.
///
/// `again` = also do the first step once more and compare it bit for bit.
pub fn verify(folder: &RunFolder, again: bool) -> Result<Exit> {
    let always: [(&str, Check); 5] = [
        ("configuration", recipe),
        ("files", files),
        ("records", records),
        ("rollouts", rollouts),
        ("checkpoints", checkpoints),
    ];
    let mut checks = always.to_vec();
    if again {
        checks.push(("first step", first_step));
    }
    let mut sound = true;
    for (name, check) in checks {
        match check(folder) {
            Ok(detail) => println!("ok    {name}: {detail}"),
            Err(error) => {
                sound = false;
                println!("FAIL  {name}: {error:#}");
            }
        }
    }
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

/// What was found, or what is wrong.
type Check = fn(&RunFolder) -> Result<String>;

fn recipe(folder: &RunFolder) -> Result<String> {
    let manifest = Manifest::read(folder)?;
    let path = folder.recipe();
    if !path.exists() {
        return Ok("the recipe it began with was not kept (an older version), not checked".into());
    }
    let text = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    ensure!(sha256_hex(&text) == manifest.config_sha256, "`recipe.toml` is not the recipe the run began with");
    let changes = view(folder)?.config_revision;
    Ok(format!("as it began; {changes} changes were recorded since"))
}

/// Files named in the manifest that are still where the configuration says.
fn files(folder: &RunFolder) -> Result<String> {
    let manifest = Manifest::read(folder)?;
    let recipe = began_with(folder)?;
    let (mut same, mut absent) = (0, Vec::new());
    for (part, expected) in &manifest.files {
        let found = place(folder, &recipe, part).filter(|path| path.exists());
        let Some(path) = found else {
            absent.push(part.as_str());
            continue;
        };
        ensure!(hash_file(&path)? == *expected, "`{}` has changed since the run began", path.display());
        same += 1;
    }
    let absent = if absent.is_empty() { String::new() } else { format!("; not here: {}", absent.join(", ")) };
    Ok(format!("{same} are unchanged{absent}"))
}

fn place(folder: &RunFolder, recipe: &Recipe, part: &str) -> Option<PathBuf> {
    let model = hub::resolve(&recipe.model.path).unwrap_or_default();
    let text = folder.path().join("tokenizer");
    match part.split_once('/') {
        Some(("skills", name)) => Some(Path::new(&recipe.skills.bank).join(name)),
        Some(("model", shard)) => Some(model.join(shard)),
        None if part == "model" && model.is_file() => Some(model),
        None if part == "model" => Some(model.join("model.safetensors")),
        None if part == "tokenizer" => Some(text.join("tokenizer.json")),
        None if part == "tokenizer_config" => Some(text.join("tokenizer_config.json")),
        None if part == "template" => Some(text.join("chat_template.jinja")),
        None if part == "environment" => env::file(recipe.env.name()).ok()?.path,
        _ => None,
    }
}

fn records(folder: &RunFolder) -> Result<String> {
    let mut source = Source::open(folder)?;
    let (mut view, mut count, mut late) = (RunView::default(), 0, 0);
    source.for_each(|record| {
        late += u64::from(record.at_ms < view.last_ms);
        count += 1;
        view.apply(record);
    })?;
    ensure!(count > 0, "there are none");
    ensure!(source.damaged() == 0, "{} lines of `events.jsonl` cannot be read", source.damaged());
    let began = Manifest::read(folder)?.begins_after();
    let steps = std::iter::once(began).chain(view.steps.iter().map(|step| step.step));
    let gap = steps.clone().zip(steps.skip(1)).find(|(step, next)| *next != step + 1);
    if let Some((step, next)) = gap {
        bail!("after step {step} comes step {next}");
    }
    let late = if late == 0 { String::new() } else { format!("; the clock went back {late} times") };
    Ok(format!("{count}, up to step {} without a gap{late}", view.last_step()))
}

fn rollouts(folder: &RunFolder) -> Result<String> {
    let (view, store) = (view(folder)?, Store::new(folder));
    let recorded: BTreeSet<u64> = store.steps().into_iter().collect();
    let stages = began_with(folder)?.method.build().stages();
    // some methods play beside the group, and some have other texts in the place of play
    let replaced = stages.iter().any(|needs| matches!(needs.extra, Some(Extra::Offline(_) | Extra::Recite(_))));
    let more = stages.iter().any(|needs| needs.extra.is_some());
    let (mut episodes, mut tokens) = (0, 0);
    for step in view.steps.iter().map(|s| s.step) {
        ensure!(recorded.contains(&step), "those of step {step} are missing");
        let of_step = store.episodes(step)?;
        let expected = view.facts.groups as usize * view.facts.members as usize;
        let own = of_step.iter().filter(|e| !more || e.id.member < view.facts.members).count();
        ensure!(own == expected || replaced && !of_step.is_empty(), "step {step} has {own} of {expected}");
        episodes += of_step.len();
        tokens += store.tokens(step)?.len();
    }
    let last = view.last_step();
    if let Some(step) = recorded.iter().find(|step| **step > last + 1) {
        bail!("there are some of step {step}, but the records end with step {last}");
    }
    let same = check_written(folder)?;
    Ok(format!("{episodes} with {tokens} tokens can be read; {same} files have their checksums"))
}

fn checkpoints(folder: &RunFolder) -> Result<String> {
    let steps = folder.checkpoints();
    for step in &steps {
        ensure!(sums::check(&folder.checkpoint(*step))?, "the one of step {step} has no checksums");
    }
    Ok(format!("{} are whole", steps.len()))
}

/// Does the first step again, in a folder of its own, and compares what was recorded.
fn first_step(folder: &RunFolder) -> Result<String> {
    if Manifest::read(folder)?.notes.contains_key("forked_from") {
        return Ok("the run began with a checkpoint of another, not checked".into());
    }
    let recipe = began_with(folder)?;
    let scratch = std::env::temp_dir().join(format!("sdlab-verify-{}", std::process::id()));
    let again = repeat(&recipe, &scratch);
    let compared = again.and_then(|again| compare(folder, &again));
    // it lies in the folder for temporary files
    let _ = std::fs::remove_dir_all(&scratch);
    compared
}

fn repeat(recipe: &Recipe, scratch: &Path) -> Result<RunFolder> {
    let mut recipe = recipe.clone();
    // the panel takes no part in the step
    (recipe.eval.first, recipe.eval.every, recipe.run.steps) = (false, 0, 1_000_000_000);
    let folder = RunFolder::create(scratch, "again")?;
    let text = config::render(&recipe);
    Manifest::gather(&folder, &text, Path::new("."), 0).write(&folder)?;
    let recorder = Rc::new(RefCell::new(Recorder::create(&folder)?));
    let mut training = Training::new(&folder, &recipe, recorder.clone());
    let mut failure = None;
    let mut out = |event| {
        let written = recorder.borrow_mut().record(event);
        failure = failure.take().or(written.err());
    };
    training.start(&mut out)?;
    training.step(&mut out, Halt::default().interrupt())?;
    failure.map_or(Ok(folder), |error| Err(error.into()))
}

fn compare(folder: &RunFolder, again: &RunFolder) -> Result<String> {
    let (store, other) = (Store::new(folder), Store::new(again));
    let (episodes, tokens) = (store.episodes(1)?, store.tokens(1)?);
    ensure!(!episodes.is_empty(), "the run has no rollouts of step 1");
    ensure!(episodes == other.episodes(1)?, "the same recipe plays other rollouts");
    if !tokens.is_empty() {
        ensure!(tokens == other.tokens(1)?, "the same recipe gives tokens other numbers");
    }
    let metrics = |folder: &RunFolder| -> Result<Metrics> {
        let records = Source::open(folder)?.all()?;
        let step = records.into_iter().find_map(|record| match record.event {
            RunEvent::Stepped { step: 1, metrics, .. } => Some(metrics),
            _ => None,
        });
        let timeless = |name: &String| !name.starts_with("time/") && name != "tokens/per_second";
        Ok(step.context("step 1 was not recorded")?.into_iter().filter(|(name, _)| timeless(name)).collect())
    };
    let (was, is) = (metrics(folder)?, metrics(again)?);
    if let Some((name, value)) = was.iter().find(|(name, value)| is.get(*name) != Some(*value)) {
        bail!("the same recipe gives another `{name}`: {value:?} was {:?}", is.get(name));
    }
    Ok(format!(
        "{} rollouts, {} tokens and {} metrics are the same to the last bit",
        episodes.len(),
        tokens.len(),
        was.len()
    ))
}

/// The recipe the run began with; of an older run, its configuration.
fn began_with(folder: &RunFolder) -> Result<Recipe> {
    let path = if folder.recipe().exists() { folder.recipe() } else { folder.config() };
    Ok(config::load(Some(&path), &Overrides::default())?)
}

fn view(folder: &RunFolder) -> Result<RunView> {
    let mut view = RunView::default();
    Source::open(folder)?.for_each(|record| view.apply(record))?;
    Ok(view)
}
