//! Training: one step on one page ([`Trainer::step`]), and what it is made of.

pub mod budget;
pub mod checkpoint;
pub mod context;
pub mod dropout;
mod embed;
pub mod evaluate;
pub mod extra;
pub mod facts;
pub mod generate;
pub mod hypernet;
mod jobs;
pub mod judge;
pub mod learn;
pub mod lesson;
pub mod metrics;
pub mod monitors;
pub mod offline;
pub mod oracle;
pub mod placement;
pub mod pretrain;
mod recite;
pub mod rollout;
pub mod row;
pub mod teacher;
pub mod weights;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};
use rand::seq::SliceRandom;

use self::lesson::{Lesson, Sums};
use self::metrics::StepMetrics;
use self::rollout::{Played, Sampling, Seat, Table};
use crate::config::{JudgeSettings, RecordSettings, RecordedTokens};
use crate::core::{Ending, Episode, EpisodeId, Phase, RunEvent, Split, Task, TokenRecord, rng};
use crate::engine::{AdamW, Engine, WeightSet};
use crate::env::World;
use crate::env::prompt::Prompts;
use crate::method::needs::{Extra, TeacherNeed, TeacherWeights};
use crate::method::{Method, Needs};
use crate::skill::SkillBook;
use crate::text::Text;

/// Everything a step needs to know that is not the method, the model or the environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub seed: u64,
    /// Tasks per step.
    pub groups: u32,
    /// Rollouts per task (G).
    pub members: u32,
    pub sampling: Sampling,
    pub optim: AdamW,
    /// Updates per step.
    pub minibatches: usize,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// Most tokens of skill text in a teacher prompt; 0 = no limit.
    pub skill_budget: usize,
    pub eval: evaluate::Panel,
    pub record: Record,
    pub judge: JudgeSettings,
}

/// What is written of the tokens, beside what the method asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Whether every token is recorded.
    pub tokens: bool,
    /// Whether a teacher scores them although the method has none.
    pub teacher: bool,
    /// Whether reference weights score them although the method has none.
    pub reference: bool,
    /// Tokens listed per position although the method lists none; 0 = none.
    pub top_k: u32,
    /// Steps between comparisons of the gradients of reward and distillation; 0 = never.
    pub gradients: u64,
}

impl Record {
    /// As the recipe says.
    pub fn of(settings: &RecordSettings) -> Self {
        Self {
            tokens: settings.tokens == RecordedTokens::All,
            teacher: settings.teacher,
            reference: settings.reference,
            top_k: settings.top_k,
            gradients: settings.gradients,
        }
    }

    /// Whether the gradients of reward and distillation are compared in this step: in the first, then every so many.
    fn compares_at(self, step: u64) -> bool {
        self.gradients > 0 && (step - 1).is_multiple_of(self.gradients)
    }

    /// The method's needs and those of the recording.
    pub fn with(self, mut needs: Needs) -> Needs {
        if self.teacher && needs.teacher.is_none() {
            needs.teacher = Some(TeacherNeed::default());
        }
        if needs.teacher.is_some() && needs.top.k == 0 {
            needs.top.k = self.top_k;
        }
        needs.reference |= self.reference;
        needs
    }
}

/// Where a trainer's doings go: records, and the files of a step. What cannot be written is the sink's business:
/// training does not stop for it.
pub trait Sink {
    fn event(&mut self, event: RunEvent);
    /// An episode in progress has moved on, or ended.
    fn live(&mut self, episode: &Episode);
    fn close_step(&mut self, step: u64, episodes: &[Episode], tokens: &[TokenRecord]);
    fn close_eval(&mut self, step: u64, episodes: &[Episode]);
}

/// Returned (inside an [`anyhow::Error`]) when a step was given up, before its first update, on request.
#[derive(Debug, thiserror::Error)]
#[error("the step was aborted")]
pub struct Aborted;

/// A model, an environment, a method, and the number of steps done.
pub struct Trainer {
    pub settings: Settings,
    pub engine: Box<dyn Engine>,
    pub text: Text,
    pub world: Box<dyn World>,
    pub prompts: Prompts,
    pub skills: SkillBook,
    pub method: Box<dyn Method>,
    /// What becomes of finished episodes.
    pub learning: learn::Learning,
    /// Which tools the policy takes to, by task type.
    pub habits: dropout::Habits,
    /// What is trained in the model's place, if the method asks for it.
    pub generator: Option<generate::Generator>,
    /// Completed steps.
    pub done: u64,
    /// Whether a step has begun to change what is trained and has not ended.
    pub updating: bool,
    /// Why environments failed, as it was last told.
    pub trouble: String,
}

impl Trainer {
    /// One training step: play, let the teacher score the same tokens, give credit, update, learn, record.
    pub fn step(&mut self, sink: &mut dyn Sink, abort: &AtomicBool) -> Result<()> {
        let step = self.done + 1;
        let mut clock = StepMetrics::start();
        self.updating = false;
        weights::hand_off(self, step)?;
        let tasks = self.tasks(step)?;
        self.engine.keep(WeightSet::StepStart)?;

        self.bring_up(step, &tasks, sink)?;

        let mut played = match self.needs().extra {
            Some(Extra::Offline(n)) => offline::reconstruct(self, step, &tasks, n)?,
            Some(Extra::Recite(n)) => recite::texts(self, step, n)?,
            _ => self.rollout(step, &tasks, sink, abort)?,
        };
        clock.lap(Phase::Rollout);
        self.tell_trouble(step, &played, sink);
        if self.needs().off_policy {
            teacher::as_plain(self, &mut played)?;
        }
        let mut sums = Sums::new();
        let asked = judge::ask(self, step, &mut played)?;
        extra::add(self, step, &mut played, &mut sums, sink, abort)?;
        clock.lap(Phase::Rollout);
        let mut lessons = self.lessons(&played);
        sink.event(progress(step, Phase::Teacher, 0, lessons.len()));
        let taught = teacher::teach(self, step, &mut played, &mut lessons)?;
        if !taught.choices.is_empty() {
            sink.event(RunEvent::Retrieved { step, choices: taught.choices.clone() });
        }
        clock.lap(Phase::Teacher);
        if self.needs().reference {
            teacher::score_reference(self, &mut lessons)?;
        }
        clock.lap(Phase::Score);
        // the teacher has spoken: the updates need no copy of the weights before them
        self.engine.forget(WeightSet::StepStart);
        self.credit(step, &mut played, &mut lessons, &mut sums)?;
        self.updating = true;
        self.update(step, &mut lessons, &mut sums, &mut clock, sink)?;
        lesson::add(&mut sums, &metrics::totals(&played));
        self.method.adapt(&sums);
        clock.sums(sums);

        clock.asked(asked);
        dropout::count(self, &played, &mut clock)?;
        let (extra, mut played): (Vec<Played>, Vec<Played>) = played.into_iter().partition(|p| p.extra);
        let skills = self.learn(step, &played, &lessons);
        let mut metrics = clock.finish(self, &played, &lessons, taught.lost_tokens);
        metrics.extend(self.learning.metrics(self.skills.shelf().len()));
        played.extend(extra);
        self.record(step, played, &lessons, sink);
        (self.done, self.updating) = (step, false);
        sink.event(RunEvent::Stepped { step, metrics, skills });
        Ok(())
    }

    /// What the method must be given, and what shall be recorded beside it.
    pub fn needs(&self) -> Needs {
        self.settings.record.with(self.method.needs())
    }

    /// Tasks of a step: the same for every method and model under one seed.
    fn tasks(&self, step: u64) -> Result<Vec<Task>> {
        let size = self.world.size(Split::Train);
        anyhow::ensure!(size > 0, "environment `{}` has no training tasks under these settings", self.world.kind());
        let index = |group: u32| rng::seed(self.settings.seed, "task", &[step, group as u64]) % size.min(1 << 40);
        (0..self.settings.groups).map(|g| self.world.task(Split::Train, index(g))).collect()
    }

    fn rollout(&mut self, step: u64, tasks: &[Task], sink: &mut dyn Sink, abort: &AtomicBool) -> Result<Vec<Played>> {
        let seats = self.seats(step, tasks)?;
        let total = seats.len();
        sink.event(progress(step, Phase::Rollout, 0, total));
        let mut told = 0;
        let sampling = self.settings.sampling.clone();
        let mut table = self.table();
        let mut played = rollout::play(&mut table, &seats, &sampling, &mut |episode, over| {
            if abort.load(Ordering::Relaxed) {
                bail!(Aborted)
            }
            episode.into_iter().for_each(|episode| sink.live(episode));
            if over > told {
                told = over;
                sink.event(progress(step, Phase::Rollout, over, total));
            }
            Ok(())
        })?;
        for (p, seat) in played.iter_mut().zip(seats) {
            p.read = seat.skills.as_ref().map(|context| context.text.clone());
            p.episode.skills = seat.skills.map(|context| context.ids).unwrap_or_default();
        }
        Ok(played)
    }

    /// Says why environments failed, where that is not what was said before.
    fn tell_trouble(&mut self, step: u64, played: &[Played], sink: &mut dyn Sink) {
        let failed: Vec<&Episode> =
            played.iter().map(|p| &p.episode).filter(|e| e.ending == Ending::EnvError).collect();
        let Some(first) = failed.first() else { return };
        // the task it begins with is another one each time
        let reason = first.last_observation.split_once("`: ").map_or(&*first.last_observation, |(_, reason)| reason);
        if reason != self.trouble {
            let message = format!(
                "{} of {} environments failed, the first: {}",
                failed.len(),
                played.len(),
                first.last_observation
            );
            self.trouble = reason.to_owned();
            sink.event(RunEvent::Warned { step, message });
        }
    }

    /// Who plays what: members of a group play the same task, some of them with skills, and each without other tools, if
    /// the method says so.
    fn seats(&self, step: u64, tasks: &[Task]) -> Result<Vec<Seat>> {
        let (needs, members) = (self.needs(), self.settings.members);
        let share = if needs.off_policy { 1.0 } else { needs.skilled_share };
        let skilled = (share * f64::from(members)).round() as u32;
        let mut seats = vec![];
        for (group, task) in (0..).zip(tasks) {
            let skills = (skilled > 0).then(|| context::skills(self, step, group, task));
            seats.extend((0..members).map(|member| Seat {
                id: EpisodeId { step, group, member },
                task: task.clone(),
                skills: skills.clone().filter(|_| member < skilled),
                withheld: vec![],
            }));
        }
        dropout::withhold(self, needs.tool_dropout, &mut seats)?;
        Ok(seats)
    }

    fn table(&mut self) -> Table<'_> {
        let weights = WeightSet::Live;
        Table { engine: &mut *self.engine, weights, text: &self.text, world: &*self.world, prompts: &self.prompts }
    }

    fn lessons(&self, played: &[Played]) -> Vec<Lesson> {
        let given = self.needs().given;
        let lesson = |p: &Played, row: &row::Row| Lesson {
            id: p.episode.id,
            facts: facts::of(p, row),
            row: row.clone(),
            read: p.read.clone(),
            teacher_rows: vec![],
            teacher_entropy: None,
            listed: None,
            advantage: vec![],
            weight: vec![],
            teacher: None,
            reference: None,
            given: given.then(|| lesson::Given::of(row)),
            seen: None,
        };
        scored(played).flat_map(|p| p.rows.iter().map(move |row| lesson(p, row))).collect()
    }

    /// Credit by the method. Lessons stand in the order of `played`.
    fn credit(&self, step: u64, played: &mut [Played], lessons: &mut [Lesson], sums: &mut Sums) -> Result<()> {
        lesson::credit(&*self.method, step, lessons, sums)?;
        for p in played {
            let own: Vec<f32> =
                lessons.iter().filter(|l| l.id == p.episode.id).flat_map(|l| l.advantage.iter().copied()).collect();
            p.episode.advantage = (!own.is_empty()).then(|| own.iter().sum::<f32>() / own.len() as f32);
        }
        Ok(())
    }

    fn update(
        &mut self,
        step: u64,
        lessons: &mut [Lesson],
        sums: &mut Sums,
        clock: &mut StepMetrics,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        if self.needs().frozen {
            return Ok(());
        }
        let batches = self.batches(step, lessons);
        let warm = (step as f64 / self.settings.warmup_steps.max(1) as f64).min(1.0);
        let live = self.needs().teacher.is_some_and(|teacher| teacher.weights == TeacherWeights::Live);
        let optim = AdamW { lr: self.settings.optim.lr * warm, ..self.settings.optim };
        for (i, batch) in batches.iter().enumerate() {
            sink.event(progress(step, Phase::Student, i, batches.len()));
            let mut part: Vec<&mut Lesson> =
                lessons.iter_mut().enumerate().filter(|(l, _)| batch.contains(l)).map(|(_, l)| l).collect();
            let temperature = self.settings.sampling.temperature;
            if i > 0 && live {
                teacher::score(&mut *self.engine, WeightSet::Live, &mut part, temperature)?;
            }
            if self.generator.is_some() {
                let update = generate::update(self, step, &mut part, &optim, sums)?;
                clock.updated(&update, optim.lr);
                clock.lap(Phase::Student);
                continue;
            }
            let reward = lesson::update(&mut *self.engine, &*self.method, step, &mut part, temperature, sums)?;
            if i == 0 {
                clock.mismatch(&part);
                if let Some(reward) = reward.filter(|_| self.settings.record.compares_at(step)) {
                    clock.parts(lesson::compare(&mut *self.engine, &part, temperature, reward)?);
                }
            }
            clock.lap(Phase::Student);
            let update = self.engine.optim_step(&optim)?;
            clock.updated(&update, optim.lr);
            clock.lap(Phase::Optim);
        }
        Ok(())
    }

    /// Which rows meet in which update: drawn one by one, or whole groups if the method compares within them.
    fn batches(&self, step: u64, lessons: &[Lesson]) -> Vec<Vec<usize>> {
        let mut units: Vec<Vec<usize>> = vec![];
        if self.needs().whole_groups {
            let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
            lessons.iter().enumerate().for_each(|(i, l)| groups.entry(l.id.group).or_default().push(i));
            units.extend(groups.into_values());
        } else {
            units.extend((0..lessons.len()).map(|i| vec![i]));
        }
        units.shuffle(&mut rng::stream(self.settings.seed, "order", &[step]));
        let size = units.len().div_ceil(self.settings.minibatches.max(1));
        units.chunks(size.max(1)).map(<[Vec<usize>]>::concat).collect()
    }

    fn record(&self, step: u64, played: Vec<Played>, lessons: &[Lesson], sink: &mut dyn Sink) {
        let tokens: Vec<TokenRecord> =
            if self.settings.record.tokens { lessons.iter().flat_map(lesson::records).collect() } else { vec![] };
        let episodes: Vec<Episode> = played.into_iter().map(|p| p.episode).collect();
        sink.close_step(step, &episodes, &tokens);
    }
}

/// The episodes to learn from: not those whose environment failed, which say nothing about the policy.
fn scored(played: &[Played]) -> impl Iterator<Item = &Played> {
    played.iter().filter(|p| p.episode.ending != Ending::EnvError)
}

fn progress(step: u64, phase: Phase, done: usize, total: usize) -> RunEvent {
    RunEvent::Progress { step, phase, done: done as u32, total: total as u32 }
}

/// Seconds since `start`, and `start` moved to now.
fn lap(start: &mut Instant) -> f64 {
    let seconds = start.elapsed().as_secs_f64();
    *start = Instant::now();
    seconds
}
