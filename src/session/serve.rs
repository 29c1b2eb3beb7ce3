//! The life of a trainer process, on one page.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::alerts::Alarms;
use super::asserts::Asserts;
use super::control::Order;
use super::halt::{Halt, Urgency};
use super::job::Job;
use super::journal::{Journal, Written};
use super::reply::Standing;
use super::tuning::Tuning;
use crate::config::{ConfigError, Recipe};
use crate::core::event::{KeyChange, Status, Verdict};
use crate::core::exit::Exit;
use crate::core::{Phase, Record, RunEvent};
use crate::run::status::State;
use crate::run::view::RunView;
use crate::skill::{Bank, BankError};

/// What the trainer is connected to.
pub struct Desk<'a> {
    /// The recipe in force at the start.
    pub recipe: Recipe,
    /// Commands of readers.
    pub orders: Receiver<Order>,
    /// Edits of the run's `config.toml`.
    pub edits: Receiver<Result<Recipe, ConfigError>>,
    /// Edits of the skills.
    pub banks: Receiver<Result<Bank, BankError>>,
    /// Edits of the environment's file: its new text.
    pub wordings: Receiver<String>,
    /// What earlier processes of this run recorded.
    pub past: RunView,
    /// Requests to end.
    pub halt: Arc<Halt>,
    /// What must hold of the last numbers.
    pub asserts: Asserts,
    /// Writes one record. An error pauses the run; the record is kept and tried again.
    pub record: &'a mut dyn FnMut(RunEvent) -> Result<Record>,
    /// Called about once a second while the job says something or the run is paused.
    pub beat: &'a mut dyn FnMut(&Standing),
    /// Writes one key into the run's `config.toml`.
    pub persist: &'a mut dyn FnMut(&str, &str) -> Result<Recipe, ConfigError>,
}

/// Runs a job to its end: done, done but an `error` alert fired, failed, stopped or aborted (resumable; interrupted if
/// Ctrl-C asked for it). The last record is [`RunEvent::Finished`].
pub fn serve(job: &mut dyn Job, desk: Desk) -> Exit {
    let mut session = Session::new(desk);
    let end = session.run(job);
    session.finish(end)
}

/// How a run ended, where it did not fail.
enum End {
    Complete,
    Stopped,
    Aborted(String),
}

/// The desk without its recipe and its journal.
pub(super) struct Links<'a> {
    pub(super) orders: Receiver<Order>,
    pub(super) edits: Receiver<Result<Recipe, ConfigError>>,
    pub(super) banks: Receiver<Result<Bank, BankError>>,
    pub(super) wordings: Receiver<String>,
    pub(super) halt: Arc<Halt>,
    pub(super) beat: &'a mut dyn FnMut(&Standing),
    pub(super) persist: &'a mut dyn FnMut(&str, &str) -> Result<Recipe, ConfigError>,
}

pub(super) struct Session<'a> {
    pub(super) links: Links<'a>,
    pub(super) journal: Journal<'a>,
    pub(super) past: RunView,
    pub(super) tuning: Tuning,
    pub(super) alarms: Alarms,
    pub(super) asserts: Asserts,
    pub(super) standing: Standing,
    /// Edits that were refused and not told of yet.
    pub(super) refused: Vec<ConfigError>,
    /// Whether the run is to hold before the next step.
    pub(super) hold: bool,
    /// Whether it is to hold now, in the middle of a step.
    pub(super) frozen: bool,
    /// Whether the model's memory is to be given back while holding, and whether it is.
    pub(super) release: bool,
    pub(super) released: bool,
    /// While holding: do one step all the same.
    pub(super) one_step: bool,
    /// Whether readers were told that the run holds.
    pub(super) announced: bool,
    pub(super) save: bool,
    pub(super) saved_at: Option<u64>,
    /// Whether a checkpoint could not be written and nobody has resumed the run since.
    pub(super) stuck: bool,
    pub(super) last_beat: Option<Instant>,
}

impl<'a> Session<'a> {
    fn new(desk: Desk<'a>) -> Self {
        let mut alarms = Alarms::default();
        alarms.set_rules(&desk.recipe.alerts.rules);
        let standing = Standing {
            state: State::Starting,
            step: 0,
            total: desk.recipe.run.steps,
            phase: None,
            revision: 0,
            pid: std::process::id(),
        };
        Self {
            tuning: Tuning::new(desk.recipe),
            journal: Journal::new(desk.record),
            links: Links {
                orders: desk.orders,
                edits: desk.edits,
                banks: desk.banks,
                wordings: desk.wordings,
                halt: desk.halt,
                beat: desk.beat,
                persist: desk.persist,
            },
            alarms,
            asserts: desk.asserts,
            standing,
            past: desk.past,
            refused: vec![],
            hold: false,
            frozen: false,
            release: false,
            released: false,
            one_step: false,
            announced: false,
            save: false,
            saved_at: None,
            stuck: false,
            last_beat: None,
        }
    }

    fn run(&mut self, job: &mut dyn Job) -> Result<End> {
        guarded(|| job.start(&mut |event| self.hear(event)))?;
        self.pick_up(job);
        loop {
            self.settle(job);
            if std::mem::take(&mut self.save) {
                self.save_or_hold(job);
            }
            if job.done() >= job.total() && !self.stuck && self.complete(job) {
                return Ok(End::Complete);
            }
            if let Some(urgency) = self.links.halt.asked() {
                return self.wind_down(job, urgency);
            }
            if self.hold && !std::mem::take(&mut self.one_step) {
                if std::mem::take(&mut self.release) {
                    self.let_go(job);
                }
                self.wait();
                continue;
            }
            self.take_up(job)?;
            if let Some(aborted) = self.step(job)? {
                return Ok(aborted);
            }
            if self.is_due(job) {
                self.save_or_hold(job);
            }
        }
    }

    /// Takes up the counters of an earlier process: alert streaks and configuration revisions are not begun anew, and
    /// edits made in between are told.
    fn pick_up(&mut self, job: &mut dyn Job) {
        self.saved_at = Some(job.done());
        let past = std::mem::take(&mut self.past);
        for step in past.steps.iter().filter(|step| step.step <= job.done()) {
            // they were told when they fired
            drop(self.alarms.check(step.step, &step.metrics.to_metrics()));
        }
        let file = self.tuning.live.clone();
        self.tuning = Tuning::resumed(job.before().unwrap_or_else(|| file.clone()), file, past.config_revision);
        self.standing.revision = self.tuning.revision;
    }

    /// Whether a checkpoint is due after the step just done.
    fn is_due(&self, job: &mut dyn Job) -> bool {
        let settings = &self.tuning.live.checkpoint;
        let regular = [settings.every, settings.permanent_every].iter().any(|&n| n > 0 && job.done().is_multiple_of(n));
        job.wants_save() || regular
    }

    /// One step; `Some` if it broke off on request in a way that cannot be saved.
    fn step(&mut self, job: &mut dyn Job) -> Result<Option<End>> {
        let (before, halt) = (job.done(), self.links.halt.clone());
        self.standing.state = State::Running;
        match guarded(|| job.step(&mut |event| self.hear(event), halt.interrupt())) {
            Err(error) if halt.asked() >= Some(Urgency::Now) => Ok(Some(End::Aborted(format!("{error:#}")))),
            Err(error) => Err(self.rescue(job, error)),
            Ok(()) if job.done() == before && !halt.interrupt().load(Ordering::SeqCst) => {
                bail!("internal error: step {} ended without being done", before + 1)
            }
            Ok(()) => Ok(None),
        }
    }

    /// Gives the model's memory back until the run goes on. What cannot be saved is kept.
    fn let_go(&mut self, job: &mut dyn Job) {
        self.save_or_hold(job);
        let landed = guarded(|| job.land(&mut |event| self.hear(event), true));
        if !self.stuck && landed.is_ok() {
            job.release();
            self.released = true;
        }
    }

    /// Before a step: loads what was given back. Readers know that the run goes on; it does not begin anew.
    fn take_up(&mut self, job: &mut dyn Job) -> Result<()> {
        self.links.halt.go_on();
        if !std::mem::take(&mut self.released) {
            return Ok(());
        }
        guarded(|| {
            job.start(&mut |event| {
                if !matches!(event, RunEvent::Started { .. }) {
                    self.hear(event);
                }
            })
        })
    }

    /// Between steps: answers commands, takes over edits, tells the job and the readers.
    fn settle(&mut self, job: &mut dyn Job) {
        (self.standing.step, self.standing.total) = (job.done(), job.total());
        self.standing.phase = None;
        self.land(job);
        self.listen();
        // between two steps there is nothing to hold in the middle of
        self.frozen = false;
        while let Ok(edit) = self.links.edits.try_recv() {
            match edit {
                Ok(recipe) => drop(self.tuning.note(recipe)),
                Err(error) => self.refused.push(error),
            }
        }
        for error in std::mem::take(&mut self.refused) {
            self.write(RunEvent::ConfigRejected { step: self.standing.step, message: error.to_string() });
        }
        self.reread(job);
        if let Some(changed) = self.tuning.apply(self.standing.step) {
            self.alarms.set_rules(&self.tuning.live.alerts.rules);
            job.retune(&self.tuning.live);
            (self.standing.total, self.standing.revision) = (job.total(), self.tuning.revision);
            self.write(changed);
        }
        let step = self.standing.step;
        if self.hold && !self.one_step && !self.announced {
            self.write(RunEvent::Paused { step });
            self.announced = true;
        } else if !self.hold && self.announced {
            self.write(RunEvent::Resumed { step });
            self.announced = false;
        }
        self.standing.state = if self.hold { State::Paused } else { State::Running };
        self.beat();
    }

    /// Takes over edited skills and prompts; a file that does not parse changes nothing.
    fn reread(&mut self, job: &mut dyn Job) {
        while let Ok(edit) = self.links.banks.try_recv() {
            self.adopt(edit.map(|bank| job.reskill(bank)).map_err(|error| error.to_string()));
        }
        while let Ok(text) = self.links.wordings.try_recv() {
            self.adopt(job.reword(&text));
        }
    }

    /// Records an edit that the job has taken over or refused.
    fn adopt(&mut self, edit: Result<Vec<KeyChange>, String>) {
        let step = self.standing.step;
        let event = match edit {
            Ok(changes) => self.tuning.also(step, changes),
            Err(message) => Some(RunEvent::ConfigRejected { step, message }),
        };
        self.standing.revision = self.tuning.revision;
        event.into_iter().for_each(|event| self.write(event));
    }

    /// Takes one event of the job; between events, readers are answered.
    pub(super) fn hear(&mut self, event: RunEvent) {
        let mut alerts = Vec::new();
        self.asserts.hear(&event);
        match &event {
            RunEvent::Progress { phase, .. } => self.standing.phase = Some(*phase),
            RunEvent::Stepped { step, metrics, .. } => {
                self.standing.step = *step;
                self.standing.phase = Some(Phase::Record);
                alerts = self.alarms.check(*step, metrics);
            }
            _ => {}
        }
        self.write(event);
        alerts.into_iter().for_each(|alert| self.write(alert));
        self.listen();
        self.beat();
        self.freeze();
    }

    /// Writes a record; where that fails the run is to hold.
    pub(super) fn write(&mut self, event: RunEvent) {
        self.hold |= self.journal.write(event, self.standing.step) == Written::Lost;
    }

    pub(super) fn beat(&mut self) {
        if self.last_beat.is_some_and(|last| last.elapsed() < BEAT) {
            return;
        }
        self.last_beat = Some(Instant::now());
        (self.links.beat)(&self.standing);
    }

    fn wind_down(&mut self, job: &mut dyn Job, urgency: Urgency) -> Result<End> {
        self.standing.state = State::Stopping;
        if urgency == Urgency::Abort {
            return Ok(End::Aborted("aborted on request".into()));
        }
        self.save(job)?;
        guarded(|| job.land(&mut |event| self.hear(event), true))?;
        Ok(End::Stopped)
    }

    fn finish(&mut self, end: Result<End>) -> Exit {
        let complete = matches!(end, Ok(End::Complete));
        let verdict = complete.then(|| self.asserts.verdict()).flatten();
        let broken = verdict.as_ref().filter(|(verdict, _)| *verdict == Verdict::Fail).map(|(_, why)| why);
        let (status, message) = match end {
            Ok(End::Complete) if broken.is_some() => {
                (Status::Ok, format!("done, but {}", broken.map_or("", |why| why)))
            }
            Ok(End::Complete) if self.alarms.failed => (Status::Ok, "done, but an `error` alert fired".into()),
            Ok(End::Complete) => (Status::Ok, "done".into()),
            Ok(End::Stopped) => (Status::Stopped, "stopped on request, resumable".into()),
            Ok(End::Aborted(why)) => (Status::Aborted, why),
            Err(error) => (Status::Failed, format!("{error:#}")),
        };
        let exit = match status {
            Status::Ok if self.alarms.failed || broken.is_some() => Exit::AssertFailed,
            Status::Aborted if self.links.halt.by_keyboard() => Exit::Interrupted,
            status => status.into(),
        };
        self.listen();
        let (step, assert) = (self.standing.step, verdict.map(|(verdict, _)| verdict));
        self.write(RunEvent::Finished { step, status, exit: exit.code(), message, assert });
        self.standing.state = State::Finished;
        self.last_beat = None;
        self.beat();
        if exit == Exit::Done && !self.journal.is_complete() { Exit::Failed } else { exit }
    }
}

/// A panic in the job ends the run like an error: with a record and an exit code.
pub(super) fn guarded(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let words = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given").to_owned()
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(anyhow!("internal error: {}", words(panic))))
}

/// Least time between heartbeats.
const BEAT: Duration = Duration::from_secs(1);
