//! What a run says about itself. One type, written once, read by every reader.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::skill::{BankChange, Choice, SkillCard};
pub use super::skill::{SkillTotals, SkillUse};

/// Version of the record format; stated in the first record of a run.
pub const FORMAT: u32 = 1;

/// Named numbers, `group/name`. A non-finite value is `None` (JSON has no NaN) and is reported by a
/// [`RunEvent::Warned`].
pub type Metrics = BTreeMap<String, Option<f64>>;

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    #[serde(flatten)]
    pub event: RunEvent,
}

/// What part of a step is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Playing: sampling replies and stepping environments.
    Rollout,
    /// Scoring under the reference and step-start weights.
    Score,
    /// Scoring the same tokens under the teacher's context.
    Teacher,
    /// Forward and backward of the student.
    Student,
    /// Optimiser update.
    Optim,
    /// Playing the evaluation panel.
    Eval,
    /// Writing rollouts, tokens and checkpoints.
    Record,
}

impl Phase {
    /// All phases in the order a step passes them.
    pub const ALL: [Phase; 7] =
        [Phase::Rollout, Phase::Score, Phase::Teacher, Phase::Student, Phase::Optim, Phase::Eval, Phase::Record];

    /// Lower-case name, also the metric suffix in `time/<name>`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Rollout => "rollout",
            Phase::Score => "score",
            Phase::Teacher => "teacher",
            Phase::Student => "student",
            Phase::Optim => "optim",
            Phase::Eval => "eval",
            Phase::Record => "record",
        }
    }
}

/// One changed configuration key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Dotted key, e.g. `optim.lr`.
    pub key: String,
    pub before: String,
    pub after: String,
    /// When it takes effect.
    pub scope: Scope,
}

/// When a changed key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// At once.
    Live,
    /// From the next training step.
    NextStep,
    /// Only in the next run; this run keeps the old value.
    NextRun,
}

/// How serious an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Info,
    Warn,
    Error,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All steps done.
    Ok,
    /// Stopped on request at a step boundary; resumable.
    Stopped,
    /// Aborted on request in the middle of a step; resumable from the last checkpoint.
    Aborted,
    /// Failed; the message says why.
    Failed,
}

/// Whether a run's last numbers are what they were asserted to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail,
}

/// Everything that happens in a run, in the order it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// First record of a run, and again after every resume.
    Started {
        format: u32,
        run: String,
        recipe: String,
        method: String,
        env: String,
        model: String,
        /// Parameters of the model.
        parameters: u64,
        device: String,
        /// Steps planned in all.
        steps: u64,
        /// Tasks per step.
        groups: u32,
        /// Rollouts per task.
        members: u32,
        /// Steps that were already done when this process started.
        resumed: u64,
        /// Stand-ins to be named on the screen (an oracle judge, a synthetic corpus, an inferred constant).
        substitutions: Vec<String>,
        /// Process that trains.
        pid: u32,
        /// What memory is planned for, and the bytes of it. Parts need not be there at the same time.
        #[serde(default)]
        memory: Vec<(String, u64)>,
    },
    /// Progress inside a step: `done` of `total` units (episodes, rows) of `phase`.
    Progress {
        step: u64,
        phase: Phase,
        done: u32,
        total: u32,
    },
    /// A training step is complete; `step` counts from 1.
    Stepped {
        step: u64,
        metrics: Metrics,
        skills: Vec<SkillUse>,
    },
    /// The frozen panel was played.
    Evaluated {
        step: u64,
        /// Panel name, e.g. `valid-seen/64`.
        panel: String,
        /// Whether the student saw skills in its own prompt.
        with_skills: bool,
        metrics: Metrics,
        /// Per task in panel order, `1` won, `0` not, `-` environment error.
        outcomes: String,
    },
    /// The whole bank, when a process begins to train: as it is in force after `step` steps.
    BankLoaded {
        step: u64,
        skills: Vec<SkillCard>,
    },
    /// The bank changed; the teacher of `step` is the first to read it so.
    BankChanged {
        step: u64,
        changes: Vec<BankChange>,
    },
    /// What the teacher of `step` was shown, and why.
    Retrieved {
        step: u64,
        choices: Vec<Choice>,
    },
    /// A checkpoint is on disk.
    Checkpointed {
        step: u64,
        path: String,
        bytes: u64,
        seconds: f64,
    },
    /// The configuration file was edited and accepted.
    ConfigChanged {
        step: u64,
        revision: u32,
        changes: Vec<KeyChange>,
    },
    /// The configuration file was edited and refused; nothing changed.
    ConfigRejected {
        step: u64,
        message: String,
    },
    /// A rule fired.
    Alerted {
        step: u64,
        level: Level,
        rule: String,
        message: String,
        value: Option<f64>,
    },
    /// Something odd that is not a rule: a non-finite metric, a lost write.
    Warned {
        step: u64,
        message: String,
    },
    Paused {
        step: u64,
    },
    Resumed {
        step: u64,
    },
    /// Last record of a process that ended in order. No `Finished` = it died.
    Finished {
        step: u64,
        status: Status,
        exit: i32,
        message: String,
        /// Whether what `--assert` demanded holds; only where it was demanded and all steps are done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assert: Option<Verdict>,
    },
    /// An event of a newer version; counted, never fatal.
    #[serde(other)]
    Unknown,
}

/// What a reader may ask of the trainer, one JSON object a line over the control socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Hold after the current step.
    Pause,
    /// Hold now: before the engine is called next. The step goes on where it was when resumed.
    Hold,
    /// Give up the step that runs, write a checkpoint, hold, and give the memory of the model back until resumed.
    Release,
    Resume,
    /// While paused: do one step and pause again.
    Step,
    /// Write a checkpoint at the next step boundary.
    Save,
    /// Finish the current step, write a checkpoint, end.
    Stop,
    /// End at once; the last checkpoint stays.
    Abort,
    /// Change one configuration key.
    Set {
        key: String,
        value: String,
    },
    /// Answer with the trainer's state; changes nothing.
    Status,
}
