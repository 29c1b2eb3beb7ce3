//! The one fold from records to what readers show. Total and deterministic: any sequence of records is
//! accepted, and live, finished and replayed runs go through the same code.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bank::BankView;
use super::numbers::Numbers;
use crate::core::event::{FORMAT, KeyChange, Level, SkillUse, Status};
use crate::core::{Metrics, Phase, Record, RunEvent};

/// Steps looked back at for one that recorded the same names: evaluations and checkpoints add theirs now and then.
const ALIKE: usize = 24;

/// Name under which refused edits of the configuration stand among the alerts.
const CONFIG_RULE: &str = "config";

/// One training step as recorded. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct StepView {
    pub step: u64,
    pub at_ms: u64,
    pub metrics: Numbers,
    pub skills: Arc<[SkillUse]>,
}

/// One evaluation of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalView {
    pub step: u64,
    pub at_ms: u64,
    pub panel: String,
    pub with_skills: bool,
    pub metrics: Metrics,
    pub outcomes: String,
}

/// What a mark on a chart's time axis stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    Config,
    Checkpoint,
    Resume,
    Alert,
}

/// Something that happened at a step and is drawn on every chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub step: u64,
    pub kind: MarkKind,
    pub text: String,
}

/// A line of the alert pane.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertView {
    pub step: u64,
    pub at_ms: u64,
    pub level: Level,
    pub rule: String,
    pub message: String,
}

/// Facts of the run; only the number of steps can change while it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub run: String,
    pub recipe: String,
    pub method: String,
    pub env: String,
    pub model: String,
    pub parameters: u64,
    pub device: String,
    pub steps: u64,
    pub groups: u32,
    pub members: u32,
    pub substitutions: Vec<String>,
    pub pid: u32,
    /// Planned bytes by part.
    pub memory: Vec<(String, u64)>,
}

/// What the trainer is doing right now, as far as its last record says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    pub step: u64,
    pub phase: Phase,
    pub done: u32,
    pub total: u32,
    /// When this phase of this step was first reported.
    pub since_ms: u64,
}

/// Everything the readers know of a run, folded from its records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunView {
    pub facts: Facts,
    pub steps: Vec<StepView>,
    pub evals: Vec<EvalView>,
    pub marks: Vec<Mark>,
    pub alerts: Vec<AlertView>,
    /// The skills: the bank at any step, its changes, and what was chosen.
    pub bank: BankView,
    pub progress: Option<Progress>,
    pub paused: bool,
    pub config_revision: u32,
    pub last_changes: Vec<KeyChange>,
    pub last_checkpoint: Option<(u64, u64)>,
    pub finished: Option<(Status, i32, String)>,
    /// When this process of the run began, and how many steps were done before it (not counted in the ETA).
    pub started_ms: u64,
    pub resumed_steps: u64,
    pub last_ms: u64,
    /// Records of kinds this version does not know.
    pub unknown: u64,
    /// Set when the run was written by a newer format.
    pub newer_format: Option<u32>,
}

impl RunView {
    /// Folds one record in.
    pub fn apply(&mut self, record: &Record) {
        let at_ms = record.at_ms;
        self.last_ms = at_ms;
        match &record.event {
            RunEvent::Started { .. } => self.start(record),
            RunEvent::Progress { step, phase, done, total } => self.advance(at_ms, *step, *phase, *done, *total),
            RunEvent::Stepped { step, metrics, skills } => {
                let known = self.steps.iter().rev().map(|s| &s.metrics).take(ALIKE);
                let metrics = Numbers::of(metrics, known);
                self.stepped(StepView { step: *step, at_ms, metrics, skills: skills.as_slice().into() });
            }
            RunEvent::Evaluated { .. } => self.evaluated(record),
            RunEvent::BankLoaded { step, skills } => self.bank.load(*step, skills),
            RunEvent::BankChanged { step, changes } => self.bank.change(*step, changes),
            RunEvent::Retrieved { step, choices } => self.bank.choose(*step, choices),
            RunEvent::Checkpointed { step, path, .. } => {
                self.last_checkpoint = Some((*step, at_ms));
                self.mark(*step, MarkKind::Checkpoint, path.clone());
            }
            RunEvent::ConfigChanged { step, revision, changes } => {
                self.config_revision = *revision;
                self.last_changes = changes.clone();
                let planned = changes.iter().filter(|c| c.key == "run.steps").find_map(|c| c.after.parse().ok());
                // a plan below what is done ends the run where it stands
                self.facts.steps = planned.map_or(self.facts.steps, |steps: u64| steps.max(self.last_step()));
                let text = changes.iter().map(|c| format!("{} {} -> {}", c.key, c.before, c.after)).collect::<Vec<_>>();
                self.mark(*step, MarkKind::Config, text.join(", "));
            }
            RunEvent::ConfigRejected { step, message } => self.alert(*step, at_ms, Level::Warn, CONFIG_RULE, message),
            RunEvent::Alerted { step, level, rule, message, .. } => {
                self.alert(*step, at_ms, *level, rule, message);
                self.mark(*step, MarkKind::Alert, message.clone());
            }
            RunEvent::Warned { step, message } => self.alert(*step, at_ms, Level::Warn, "warning", message),
            RunEvent::Paused { .. } => self.paused = true,
            RunEvent::Resumed { .. } => self.paused = false,
            RunEvent::Finished { status, exit, message, .. } => {
                self.finished = Some((*status, *exit, message.clone()));
                self.progress = None;
            }
            RunEvent::Unknown => self.unknown += 1,
        }
    }

    /// Folds a completed step in that was folded before, by this view or another.
    pub fn stepped(&mut self, step: StepView) {
        self.last_ms = step.at_ms;
        if step.step <= self.last_step() {
            self.forget_from(step.step);
        }
        self.steps.push(step);
    }

    /// Values of one metric by step, in order; `None` where it was not finite or not recorded.
    pub fn series(&self, name: &str) -> Vec<(u64, Option<f64>)> {
        self.steps.iter().map(|s| (s.step, s.metrics.value(name))).collect()
    }

    /// The last use of every skill up to and including `step`, by id; its `total` is what is known of the skill then.
    pub fn skill_uses(&self, step: u64) -> BTreeMap<&str, (u64, &SkillUse)> {
        let upto = self.steps.iter().take_while(|s| s.step <= step);
        upto.flat_map(|s| s.skills.iter().map(|used| (used.id.as_str(), (s.step, used)))).collect()
    }

    /// Names of all metrics seen, with the number of steps that carry each.
    pub fn metric_names(&self) -> BTreeMap<&str, usize> {
        // steps with the same names share one list of them, so few lists have to be looked at
        let mut lists: Vec<(&Numbers, usize)> = Vec::new();
        for numbers in self.steps.iter().map(|s| &s.metrics) {
            match lists.iter_mut().rev().find(|(known, _)| known.alike(numbers)) {
                Some((_, count)) => *count += 1,
                None => lists.push((numbers, 1)),
            }
        }
        let mut names = BTreeMap::new();
        for (name, count) in lists.iter().flat_map(|(numbers, count)| numbers.names().map(|name| (name, *count))) {
            *names.entry(name).or_insert(0) += count;
        }
        names
    }

    /// Last completed step; 0 before the first.
    pub fn last_step(&self) -> u64 {
        self.steps.last().map_or(0, |s| s.step)
    }

    fn start(&mut self, record: &Record) {
        let RunEvent::Started {
            format,
            run,
            recipe,
            method,
            env,
            model,
            parameters,
            device,
            steps,
            groups,
            members,
            resumed,
            substitutions,
            pid,
            memory,
        } = &record.event
        else {
            return;
        };
        self.facts = Facts {
            run: run.clone(),
            recipe: recipe.clone(),
            method: method.clone(),
            env: env.clone(),
            model: model.clone(),
            parameters: *parameters,
            device: device.clone(),
            steps: *steps,
            groups: *groups,
            members: *members,
            substitutions: substitutions.clone(),
            pid: *pid,
            memory: memory.clone(),
        };
        self.newer_format = (*format > FORMAT).then_some(*format);
        self.started_ms = record.at_ms;
        self.resumed_steps = *resumed;
        self.finished = None;
        self.paused = false;
        self.progress = None;
        self.forget_from(resumed.saturating_add(1));
        self.bank.forget_from(resumed.saturating_add(1));
        self.marks.retain(|m| m.step <= *resumed || m.kind == MarkKind::Config);
        // The repeated steps will say the same again; what a person did to the configuration they will not.
        self.alerts.retain(|a| a.step <= *resumed || a.rule == CONFIG_RULE);
        if *resumed > 0 {
            self.mark(*resumed, MarkKind::Resume, format!("resumed after step {resumed}"));
        }
    }

    /// A panel that is played again at the same step (after a resume) replaces its first playing.
    fn evaluated(&mut self, record: &Record) {
        let RunEvent::Evaluated { step, panel, with_skills, metrics, outcomes } = &record.event else {
            return;
        };
        self.evals.retain(|e| (e.step, &e.panel, e.with_skills) != (*step, panel, *with_skills));
        self.evals.push(EvalView {
            step: *step,
            at_ms: record.at_ms,
            panel: panel.clone(),
            with_skills: *with_skills,
            metrics: metrics.clone(),
            outcomes: outcomes.clone(),
        });
    }

    fn advance(&mut self, at_ms: u64, step: u64, phase: Phase, done: u32, total: u32) {
        let since_ms = match self.progress {
            Some(p) if p.step == step && p.phase == phase => p.since_ms,
            _ => at_ms,
        };
        self.progress = Some(Progress { step, phase, done, total, since_ms });
    }

    /// A resumed run repeats steps after its checkpoint; the repetition replaces them.
    fn forget_from(&mut self, step: u64) {
        self.steps.truncate(self.steps.partition_point(|s| s.step < step));
        self.evals.retain(|e| e.step < step);
    }

    fn mark(&mut self, step: u64, kind: MarkKind, text: String) {
        self.marks.push(Mark { step, kind, text });
    }

    fn alert(&mut self, step: u64, at_ms: u64, level: Level, rule: &str, message: &str) {
        self.alerts.push(AlertView { step, at_ms, level, rule: rule.into(), message: message.into() });
    }
}
