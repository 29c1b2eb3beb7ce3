//! Evaluation: a frozen panel of held-out tasks, the same for every method, model and step.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use super::metrics::cut_share;
use super::rollout::{self, Played, Sampling, Seat};
use super::{Aborted, Sink, Trainer, progress, teacher};
use crate::core::{Ending, EpisodeId, Metrics, Phase, RunEvent, Split};
use crate::engine::Filter;

/// Which tasks are played, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Panel {
    /// Steps between evaluations; 0 = never by itself.
    pub every: u64,
    /// The first `games` tasks of the split.
    pub games: u32,
    pub split: Split,
    /// Sampling temperature; 0 = greedy.
    pub temperature: f32,
    /// Which tokens may be drawn.
    pub filter: Filter,
    /// Whether the panel is also played with skills in the student's own prompt.
    pub with_skills: bool,
    /// Whether the panel is played before the first step.
    pub first: bool,
}

impl Panel {
    /// e.g. `valid-seen/64`.
    pub fn name(&self) -> String {
        format!("{}/{}", crate::env::split_name(self.split), self.games)
    }

    /// Whether the panel is due after `step` of `total`.
    pub fn due(&self, step: u64, total: u64) -> bool {
        let regular = self.every > 0 && step > 0 && step.is_multiple_of(self.every);
        self.games > 0 && (regular || step == total || (step == 0 && self.first))
    }
}

/// Seed of the panel's sampling: its own, so that panels are equal across runs of different seeds.
const SEED: u64 = 0x5eed;

/// Plays the panel after `step` (without, then with skills if asked) and records it.
pub fn evaluate(trainer: &mut Trainer, step: u64, sink: &mut dyn Sink, abort: &AtomicBool) -> Result<()> {
    let mut episodes = vec![];
    for with_skills in [false, true] {
        if with_skills && !trainer.settings.eval.with_skills {
            continue;
        }
        let played = play(trainer, step, with_skills, sink, abort)?;
        sink.event(RunEvent::Evaluated {
            step,
            panel: trainer.settings.eval.name(),
            with_skills,
            metrics: metrics(&played),
            outcomes: outcomes(&played),
        });
        episodes.extend(played.into_iter().map(|p| p.episode));
    }
    sink.close_eval(step, &episodes);
    Ok(())
}

/// Plays the panel once.
pub fn play(
    trainer: &mut Trainer,
    step: u64,
    with_skills: bool,
    sink: &mut dyn Sink,
    abort: &AtomicBool,
) -> Result<Vec<Played>> {
    let panel = trainer.settings.eval;
    let mut seats = vec![];
    for group in 0..panel.games {
        let task = trainer.world.task(panel.split, group as u64)?;
        let skills = with_skills.then(|| {
            let mut context = trainer.skills.choose(&task, group as u64);
            teacher::fit(trainer, &mut context);
            context.text
        });
        // Member 1 marks the episodes that saw skills, so that both kinds can be recorded side by side.
        seats.push(Seat { id: EpisodeId { step, group, member: with_skills as u32 }, task, skills });
    }
    let (temperature, filter) = (panel.temperature, panel.filter);
    let sampling = Sampling { temperature, filter, reserve: 0, seed: SEED, ..trainer.settings.sampling.clone() };
    let mut told = 0;
    rollout::play(&mut trainer.table(), &seats, &sampling, &mut |_, over| {
        if abort.load(Ordering::Relaxed) {
            bail!(Aborted)
        }
        if over > told {
            told = over;
            sink.event(progress(step, Phase::Eval, over, seats.len()));
        }
        Ok(())
    })
}

/// Success overall and per task type, turns, and the share of valid replies.
fn metrics(played: &[Played]) -> Metrics {
    let mut kinds: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for p in played.iter().filter(|p| p.episode.ending != Ending::EnvError) {
        let entry = kinds.entry(&p.episode.task.kind).or_default();
        *entry = (entry.0 + p.episode.won() as u8 as f64, entry.1 + 1.0);
    }
    let (won, all) = kinds.values().fold((0.0, 0.0), |sum, kind| (sum.0 + kind.0, sum.1 + kind.1));
    let turns: usize = played.iter().map(|p| p.episode.turns.len()).sum();
    let valid = played.iter().flat_map(|p| &p.episode.turns).filter(|t| t.valid).count();
    let mut metrics: Metrics =
        kinds.into_iter().map(|(kind, (won, all))| (format!("success/{kind}"), Some(won / all))).collect();
    metrics.insert("success".into(), (all > 0.0).then(|| won / all));
    metrics.insert("turns".into(), Some(turns as f64 / played.len().max(1) as f64));
    metrics.insert("valid/share".into(), Some(valid as f64 / turns.max(1) as f64));
    metrics.insert("rollout/cut_share".into(), Some(cut_share(played)));
    metrics
}

/// `1` won, `0` not, `-` environment error, in panel order.
fn outcomes(played: &[Played]) -> String {
    let mark = |p: &Played| match p.episode.ending {
        Ending::Won => '1',
        Ending::EnvError => '-',
        _ => '0',
    };
    played.iter().map(mark).collect()
}
