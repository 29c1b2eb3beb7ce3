//! An imported dump as a run folder: from there on it is a run like any other, only that nobody trains it.

use std::collections::{BTreeMap, BTreeSet};

use super::Dump;
use crate::core::event::{FORMAT, Status};
use crate::core::{Episode, RunEvent};
use crate::run::error::Result;
use crate::run::finite::metrics_from;
use crate::run::folder::RunFolder;
use crate::run::recorder::Recorder;

/// Writes the records, rollouts and tokens of `dump` into a new run folder; `source` is where it came from.
///
/// # Errors
/// An I/O error.
pub fn write(dump: &Dump, folder: &RunFolder, source: &str) -> Result<()> {
    let mut recorder = Recorder::create(folder)?.with_clock(Box::new(|| 0));
    let steps: BTreeSet<u64> = dump.episodes.iter().map(|episode| episode.id.step).collect();
    let last = steps.last().copied().unwrap_or(0);
    recorder.record(started(dump, folder, source, last))?;
    if dump.skipped > 0 {
        let message = format!("{} lines or rows of `{source}` could not be read", dump.skipped);
        recorder.record(RunEvent::Warned { step: 0, message })?;
    }
    for step in steps {
        let of_step = dump.episodes.iter().zip(&dump.numbers).filter(|(episode, _)| episode.id.step == step);
        let (episodes, numbers): (Vec<Episode>, Vec<_>) = of_step.map(|(e, n)| (e.clone(), n)).unzip();
        let tokens = dump.tokens.get(&step).map(Vec::as_slice).unwrap_or_default();
        recorder.close_step(step, &episodes, tokens)?;
        let (metrics, _) = metrics_from(means(&episodes, &numbers));
        recorder.record(RunEvent::Stepped { step, metrics, skills: vec![] })?;
    }
    let end = RunEvent::Finished { step: last, status: Status::Ok, exit: 0, message: "imported".into(), assert: None };
    recorder.record(end).map(|_| ())
}

fn started(dump: &Dump, folder: &RunFolder, source: &str, last: u64) -> RunEvent {
    let most = |of: fn(&Episode) -> u32| dump.episodes.iter().map(of).max().map_or(0, |n| n + 1);
    RunEvent::Started {
        format: FORMAT,
        run: folder.name(),
        recipe: source.into(),
        method: dump.tools.join("+"),
        env: "imported".into(),
        model: "unknown".into(),
        parameters: 0,
        device: "unknown".into(),
        steps: last,
        groups: most(|e| e.id.group),
        members: most(|e| e.id.member),
        resumed: 0,
        substitutions: vec![format!("imported from {}: success means a reward of at least 1", dump.tools.join(", "))],
        pid: 0,
        memory: vec![],
    }
}

/// Means over the episodes of a step, under the names our own runs use.
fn means(episodes: &[Episode], numbers: &[&BTreeMap<String, f64>]) -> BTreeMap<String, f64> {
    let mean = |of: &dyn Fn(&Episode) -> f64| episodes.iter().map(of).sum::<f64>() / episodes.len().max(1) as f64;
    let mut groups: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
    for episode in episodes {
        groups.entry(episode.id.group).or_default().push(episode.reward);
    }
    let silent = groups.values().filter(|rewards| rewards.iter().all(|r| *r == rewards[0])).count();
    let mut means = BTreeMap::from([
        ("reward/mean".to_owned(), mean(&|e| f64::from(e.reward))),
        ("success/mean".to_owned(), mean(&|e| f64::from(u8::from(e.won())))),
        ("turns/mean".to_owned(), mean(&|e| e.turns.len() as f64)),
        ("groups/no_signal".to_owned(), silent as f64 / groups.len().max(1) as f64),
    ]);
    let names: BTreeSet<&String> = numbers.iter().flat_map(|row| row.keys()).collect();
    for name in names {
        let values: Vec<f64> = numbers.iter().filter_map(|row| row.get(name).copied()).collect();
        means.entry(name.clone()).or_insert(values.iter().sum::<f64>() / values.len() as f64);
    }
    means
}
