//! Evaluation: a frozen panel of held-out tasks, the same for every method, model and step.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use super::generate::{self, is_held_out};
use super::metrics::cut_share;
use super::rollout::{self, Played, Sampling, Seat};
use super::{Aborted, Sink, Trainer, progress, teacher};
use crate::core::{Ending, Episode, EpisodeId, Metrics, Phase, RunEvent, Split, Task};
use crate::engine::Filter;
use crate::skill::stats::Mean;

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
    let mut episodes: Vec<Episode> = vec![];
    for with_skills in [false, true] {
        if with_skills && !trainer.settings.eval.with_skills {
            continue;
        }
        let how = if with_skills { How::Prompt } else { How::Plain };
        let played = play(trainer, step, how, sink, abort)?;
        let mut metrics = metrics(&played);
        let mut more = vec![];
        if with_skills {
            metrics.extend(uplift(&episodes, &played));
            compare(trainer, &episodes, &played);
            if trainer.generator.is_some() {
                more = generate::play(trainer, step, sink, abort)?;
                metrics.extend(as_weights(&episodes, &played, &more));
            }
        }
        sink.event(RunEvent::Evaluated {
            step,
            panel: trainer.settings.eval.name(),
            with_skills,
            metrics,
            outcomes: outcomes(&played),
        });
        episodes.extend(played.into_iter().chain(more).map(|p| p.episode));
    }
    sink.close_eval(step, &episodes);
    Ok(())
}

/// Both playings of a task, without and with skills, where the environment failed in neither.
fn pairs<'a>(plain: &'a [Episode], skilled: &'a [Played]) -> impl Iterator<Item = (&'a Episode, &'a Episode)> {
    let both = plain.iter().zip(skilled.iter().map(|p| &p.episode));
    both.filter(|(a, b)| a.ending != Ending::EnvError && b.ending != Ending::EnvError)
}

/// Success with skills less success without, on the same tasks: in all, and per task type. What shrinks over training
/// while success without skills grows has been absorbed.
fn uplift(plain: &[Episode], skilled: &[Played]) -> Metrics {
    let mut kinds: BTreeMap<String, Mean> = BTreeMap::new();
    for (a, b) in pairs(plain, skilled) {
        let delta = f64::from(u8::from(b.won())) - f64::from(u8::from(a.won()));
        for name in ["skills/uplift".to_owned(), format!("skills/uplift/{}", a.task.kind)] {
            kinds.entry(name).or_default().add(delta, 1.0);
        }
    }
    kinds.into_iter().map(|(name, mean)| (name, mean.value())).collect()
}

/// Success with the skills as weights, and what it is over that of the plain panel and of the one with them in the prompt.
fn as_weights(plain: &[Episode], prompt: &[Played], weights: &[Played]) -> Metrics {
    let over = |others: &mut dyn Iterator<Item = (&Episode, &Episode)>| {
        let mut mean = Mean::default();
        others.for_each(|(a, b)| mean.add(f64::from(u8::from(b.won())) - f64::from(u8::from(a.won())), 1.0));
        mean.value()
    };
    let mut success = Mean::default();
    weights.iter().for_each(|p| success.add(f64::from(u8::from(p.episode.won())), 1.0));
    let prompt: Vec<Episode> = prompt.iter().map(|p| p.episode.clone()).collect();
    [
        ("weights/success", success.value()),
        ("weights/uplift", over(&mut pairs(plain, weights))),
        ("weights/over_prompt", over(&mut pairs(&prompt, weights))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Lets the statistics know what reading its skills did to each task.
fn compare(trainer: &mut Trainer, plain: &[Episode], skilled: &[Played]) {
    let delta = |(a, b): (&Episode, &Episode)| f64::from(u8::from(b.won())) - f64::from(u8::from(a.won()));
    let found: Vec<(Vec<String>, f64)> =
        pairs(plain, skilled).map(|(a, b)| (b.skills.clone(), delta((a, b)))).collect();
    let pairs: Vec<(&[String], f64)> = found.iter().map(|(ids, delta)| (ids.as_slice(), *delta)).collect();
    trainer.skills.compare(&pairs);
}

/// What of the skills the player has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing.
    Plain,
    /// They stand in its prompt.
    Prompt,
    /// They are its adapters.
    Weights,
}

/// Plays the panel once.
pub fn play(
    trainer: &mut Trainer,
    step: u64,
    how: How,
    sink: &mut dyn Sink,
    abort: &AtomicBool,
) -> Result<Vec<Played>> {
    let seats = seats(trainer, step, how)?;
    let skills: Vec<_> = seats.iter().map(|seat| seat.skills.clone()).collect();
    let mut played = play_seats(trainer, step, seats, sink, abort)?;
    for (p, skills) in played.iter_mut().zip(skills) {
        p.episode.skills = skills.map(|context| context.ids).unwrap_or_default();
    }
    Ok(played)
}

/// The panel's seats, each with the skills of its task. The number of the member says [`How`] it is played, so that all
/// kinds can be recorded side by side.
pub(super) fn seats(trainer: &mut Trainer, step: u64, how: How) -> Result<Vec<Seat>> {
    let panel = trainer.settings.eval;
    let tasks: Result<Vec<Task>> = (0..panel.games).map(|n| trainer.world.task(panel.split, u64::from(n))).collect();
    let tasks = tasks?;
    if how != How::Plain {
        trainer.embed(&tasks)?;
    }
    let held_out = trainer.needs().generate.map(|generate| generate.held_out).filter(|share| *share > 0.0);
    let seat = |(group, task): (u32, Task)| {
        let skills = (how != How::Plain).then(|| {
            let mut context = trainer.skills.choose(&task, u64::from(group));
            // judged on what was never trained on
            held_out.iter().for_each(|share| context.retain(|id| is_held_out(id, *share)));
            teacher::fit(trainer, &mut context);
            context
        });
        Seat { id: EpisodeId { step, group, member: how as u32 }, task, skills, withheld: vec![] }
    };
    Ok((0..).zip(tasks).map(seat).collect())
}

/// Plays these seats as the panel is played.
pub(super) fn play_seats(
    trainer: &mut Trainer,
    step: u64,
    seats: Vec<Seat>,
    sink: &mut dyn Sink,
    abort: &AtomicBool,
) -> Result<Vec<Played>> {
    let panel = trainer.settings.eval;
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
    let own = || played.iter().filter(|p| p.episode.ending != Ending::EnvError);
    let score = own().map(|p| f64::from(p.episode.score)).sum::<f64>();
    metrics.insert("score/mean".into(), (all > 0.0).then(|| score / all));
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
