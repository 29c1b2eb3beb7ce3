//! What a trainer answers, one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::core::Phase;
use crate::run::status::State;

/// Where a trainer stands; also what its heartbeat carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub state: State,
    /// Completed steps.
    pub step: u64,
    /// Planned steps.
    pub total: u64,
    /// Part of the step that runs, as last reported.
    pub phase: Option<Phase>,
    /// Number of accepted changes of the configuration.
    pub revision: u32,
    /// Process that trains.
    pub pid: u32,
}

/// Answer to one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether the command was understood and taken.
    pub ok: bool,
    /// What will happen, or why nothing will.
    pub message: String,
    /// Absent only if the trainer itself could not be asked.
    #[serde(default)]
    pub standing: Option<Standing>,
}

impl Reply {
    /// A refusal that did not reach the trainer.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { ok: false, message: message.into(), standing: None }
    }
}
