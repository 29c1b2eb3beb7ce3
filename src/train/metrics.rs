//! Numbers of a step, from what was played, taught and updated.

use std::collections::BTreeMap;
use std::time::Instant;

use super::judge::Asked;
use super::lesson::{Lesson, Sums};
use super::rollout::Played;
use super::{Trainer, lap, monitors};
use crate::core::{Ending, Episode, Metrics, Phase, Stop};
use crate::engine::{Parts, Update};

/// Collects a step's numbers while it runs.
pub struct StepMetrics {
    begun: Instant,
    last: Instant,
    seconds: BTreeMap<Phase, f64>,
    sums: Sums,
    mismatch: f64,
    norms: Vec<f64>,
    parts: Option<Parts>,
    skipped: usize,
    lr: f64,
}

impl StepMetrics {
    pub fn start() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last: now,
            seconds: BTreeMap::new(),
            sums: Sums::new(),
            mismatch: 0.0,
            norms: vec![],
            parts: None,
            skipped: 0,
            lr: 0.0,
        }
    }

    /// Books the time since the last call under `phase`.
    pub fn lap(&mut self, phase: Phase) {
        *self.seconds.entry(phase).or_insert(0.0) += lap(&mut self.last);
    }

    /// Largest difference between a log-prob while sampling and when scored with the same weights.
    pub fn mismatch(&mut self, batch: &[&mut Lesson]) {
        let of = |l: &&mut Lesson| {
            let student = l.seen.iter().flat_map(|s| s.student.clone()).collect::<Vec<_>>();
            student.iter().zip(&l.row.sampled).map(|(a, b)| (a - b).abs() as f64).fold(0.0, f64::max)
        };
        self.mismatch = batch.iter().map(of).fold(0.0, f64::max);
    }

    pub fn updated(&mut self, update: &Update, lr: f64) {
        self.norms.push(update.grad_norm);
        self.skipped += update.skipped as usize;
        self.lr = lr;
    }

    /// Takes how the gradients of reward and distillation compare in the step's first update.
    pub fn parts(&mut self, parts: Option<Parts>) {
        self.parts = parts;
    }

    /// Takes how the judge fared.
    pub fn asked(&mut self, asked: Asked) {
        if asked.episodes > 0 {
            self.sums.insert("judge/unread", (asked.unread as f64, asked.episodes as f64));
        }
    }

    /// Takes what the method reported over all batches of the step.
    pub fn sums(&mut self, sums: Sums) {
        self.sums.extend(sums);
    }

    /// All numbers of the step under their names.
    pub fn finish(mut self, trainer: &Trainer, played: &[Played], lessons: &[Lesson], lost: usize) -> Metrics {
        let mut metrics = Metrics::new();
        let mut put = |name: &str, value: f64| {
            metrics.insert(name.to_string(), value.is_finite().then_some(value));
        };
        // a step without play has no outcome
        if !played.is_empty() {
            outcomes(played, &mut put);
        }
        for (name, (sum, count)) in &self.sums {
            let mean = sum / count.max(1.0);
            match name.strip_suffix("/square") {
                Some(stem) => put(&format!("{stem}/rms"), mean.sqrt()),
                None => put(name, mean),
            }
        }
        monitors::add(played, lessons, &self.sums, &mut put);
        if !self.norms.is_empty() {
            put("mismatch/max", self.mismatch);
            put("grad/norm", self.norms.iter().sum::<f64>() / self.norms.len() as f64);
            put("optim/skipped", self.skipped as f64);
            put("lr", self.lr);
        }
        if let Some(parts) = self.parts {
            put("grad/rl_norm", parts.part);
            put("grad/aux_norm", parts.rest);
            // a reward that asks for nothing has no size to compare with
            if parts.part > 0.0 {
                put("grad/aux_to_rl", parts.rest / parts.part);
            }
            if parts.part > 0.0 && parts.rest > 0.0 {
                put("grad/cosine", parts.cosine);
            }
        }
        let needs = trainer.needs();
        if needs.teacher.is_some() || needs.skilled_share > 0.0 {
            put("skills/lost_tokens", lost as f64);
        }
        let sampled: usize = lessons.iter().map(|l| l.row.sampled.len()).sum();
        let total: usize = lessons.iter().map(|l| l.row.ids.len()).sum();
        let kept: Vec<f32> = lessons.iter().flat_map(|l| l.row.kept.iter().copied()).collect();
        if !kept.is_empty() {
            put("rollout/kept_mass", kept.iter().map(|k| *k as f64).sum::<f64>() / kept.len() as f64);
        }
        put("tokens/sampled", sampled as f64);
        put("tokens/total", total as f64);
        self.lap(Phase::Record);
        let seconds = self.begun.elapsed().as_secs_f64();
        put("time/step", seconds);
        put("tokens/per_second", total as f64 / seconds);
        for (phase, seconds) in &self.seconds {
            put(&format!("time/{}", phase.name()), *seconds);
        }
        metrics
    }
}

/// Reward, success and score of the step's own episodes, as sums.
pub(super) fn totals(played: &[Played]) -> Sums {
    let own = || played.iter().filter(|p| !p.extra && p.episode.ending != Ending::EnvError).map(|p| &p.episode);
    let count = own().count() as f64;
    if count == 0.0 {
        return Sums::new();
    }
    let sum = |of: fn(&Episode) -> f64| (own().map(of).sum::<f64>(), count);
    [
        ("reward/mean", sum(|e| f64::from(e.reward))),
        ("success/mean", sum(|e| f64::from(u8::from(e.won())))),
        ("score/mean", sum(|e| f64::from(e.score))),
    ]
    .into()
}

/// Rewards, success, groups without signal, turns and validity.
fn outcomes(played: &[Played], put: &mut impl FnMut(&str, f64)) {
    let failed = |p: &&Played| p.episode.ending == Ending::EnvError;
    put("env/errors", played.iter().filter(failed).count() as f64 / played.len().max(1) as f64);
    // an environment that failed says nothing about the policy
    put("rollout/cut_share", cut_share(played));
    let played: &[&Played] = &played.iter().filter(|p| !failed(p)).collect::<Vec<_>>();
    let mean = |of: &dyn Fn(&Played) -> f64| played.iter().map(|p| of(p)).sum::<f64>() / played.len().max(1) as f64;
    put("turns/mean", mean(&|p| p.episode.turns.len() as f64));
    put("penalty/mean", mean(&|p| p.penalty as f64));
    let turns: Vec<_> = played.iter().flat_map(|p| &p.episode.turns).collect();
    put("valid/share", turns.iter().filter(|t| t.valid).count() as f64 / turns.len().max(1) as f64);
    // equal rewards with different penalties do teach
    let mut groups: BTreeMap<u32, Vec<[f32; 2]>> = BTreeMap::new();
    for p in played {
        groups.entry(p.episode.id.group).or_default().push([p.episode.reward, p.penalty]);
    }
    let silent = groups.values().filter(|returns| returns.iter().all(|r| *r == returns[0])).count();
    put("groups/no_signal", silent as f64 / groups.len().max(1) as f64);
    let mut kinds: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for p in played {
        let entry = kinds.entry(&p.episode.task.kind).or_default();
        *entry = (entry.0 + p.episode.won() as u8 as f64, entry.1 + 1.0);
    }
    for (kind, (won, all)) in kinds {
        put(&format!("success/{kind}"), won / all);
    }
}

/// Share of replies that a limit cut off: of the reply, or of the context.
pub(super) fn cut_share(played: &[Played]) -> f64 {
    let turns: Vec<_> = played.iter().flat_map(|p| &p.episode.turns).collect();
    turns.iter().filter(|t| t.stop != Stop::Closed).count() as f64 / turns.len().max(1) as f64
}
