//! What is played and what is learned from: tasks, turns, episodes, and tokens with their signals.

use serde::{Deserialize, Serialize};

/// Which part of an environment's tasks is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Tasks to learn from.
    Train,
    /// Held-out tasks in rooms that also occur in training.
    ValidSeen,
    /// Held-out tasks in rooms that never occur in training.
    ValidUnseen,
}

/// One task instance. Its `id` alone is enough to rebuild it: `household/valid-seen/17`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Environment, split and number, separated by `/`.
    pub id: String,
    /// Task type, the unit of per-type success rates and of keyword retrieval, e.g. `pick_clean_then_place`.
    pub kind: String,
    /// The goal as the agent reads it, e.g. `put a clean mug in cabinet.`
    pub goal: String,
}

/// Why sampling of one reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// The model closed its reply (end-of-turn token or stop string).
    Closed,
    /// The reply reached the token limit. Data, not an error.
    TokenLimit,
    /// Prompt and reply together reached the longest row. Data, not an error.
    ContextLimit,
}

/// Why an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The goal was reached.
    Won,
    /// The environment ended the episode without success.
    Lost,
    /// The turn limit was reached.
    TurnLimit,
    /// The next prompt would not fit the model's context.
    ContextLimit,
    /// The environment failed; never counted as a zero reward.
    EnvError,
    /// Still being played (live records only).
    Playing,
}

/// One exchange: what the environment showed, what the policy replied, what was done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// What the environment said before this reply.
    pub observation: String,
    /// The sampled text, exactly, without the end-of-turn token.
    pub reply: String,
    /// The action the environment was given (the projected reply).
    pub action: String,
    /// False if the reply did not have the required form.
    pub valid: bool,
    /// Environment reward of this action, before penalties.
    pub reward: f32,
    /// Sampled tokens in the reply, end-of-turn token included.
    pub tokens: u32,
    /// Why sampling ended.
    pub stop: Stop,
}

/// Names an episode inside a run: the `member`-th rollout of the `group`-th task of `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeId {
    pub step: u64,
    pub group: u32,
    pub member: u32,
}

/// One rollout of one task, as text and outcomes. Tokens are recorded beside it ([`TokenRecord`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    pub id: EpisodeId,
    pub task: Task,
    pub turns: Vec<Turn>,
    /// What the environment said after the last action; empty while playing.
    pub last_observation: String,
    pub ending: Ending,
    /// Sum of turn rewards, before penalties.
    pub reward: f32,
    /// Environment's own score in [0, 1] (1 = solved).
    pub score: f32,
    /// Group-relative advantage of the episode (mean over its rows); `None` before credit or in evaluation.
    pub advantage: Option<f32>,
    /// The prompt the student saw first, as rendered (special tokens included).
    pub prompt: String,
    /// The prompt under which the teacher scored the same reply tokens; empty without a teacher.
    pub teacher_prompt: String,
    /// Ids of the skills the teacher was shown.
    pub skills: Vec<String>,
}

impl Episode {
    /// Whether the goal was reached.
    pub fn won(&self) -> bool {
        self.ending == Ending::Won
    }
}

/// Under which prompt a row's tokens were sampled. A row is always trained under the plain one, unless it is
/// [`View::Skilled`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// The plain prompt.
    #[default]
    Plain,
    /// The student's own prompt held skills, and is trained with them.
    Skilled,
    /// The teacher's prompt: not sampled from what is trained, so the identities for on-policy estimators do not hold.
    Teacher,
}

/// What a turn did for the outcome, by a judge (TRIAGE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Decisive,
    Exploration,
    NoProgress,
    Regression,
}

/// A token that was listed at a position, and both views on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    pub id: u32,
    /// Log-prob by the student.
    pub student: f32,
    /// Log-prob by the teacher.
    pub teacher: f32,
}

/// One token of a training row with every recorded signal. Log-probabilities are natural logs of the
/// temperature-scaled policy; `None` = not computed for this method, or the token was not sampled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenRecord {
    pub group: u32,
    pub member: u32,
    /// Position in the row.
    pub position: u32,
    /// Index of the turn this token belongs to.
    pub turn: u32,
    pub id: u32,
    /// 1 = sampled by the policy (in the loss), 0 = given (prompt, observation).
    pub mask: bool,
    /// Whether a sampled token is part of the action.
    #[serde(default)]
    pub action: bool,
    /// Under which prompt the row was sampled.
    #[serde(default)]
    pub view: View,
    /// What a judge said of the turn.
    #[serde(default)]
    pub role: Option<Role>,
    /// Whether a judge named the turn as one to be corrected.
    #[serde(default)]
    pub chosen: bool,
    /// Log-prob recorded while sampling.
    pub sampled: Option<f32>,
    /// Log-prob under the weights at the start of the step (denominator of the ratio).
    pub old: Option<f32>,
    /// Log-prob under the current weights when the update was computed.
    pub student: Option<f32>,
    /// Log-prob of the same token under the teacher's context.
    pub teacher: Option<f32>,
    /// Entropy of the teacher's distribution at this position, in nats.
    #[serde(default)]
    pub teacher_entropy: Option<f32>,
    /// Log-prob under the frozen reference weights.
    pub reference: Option<f32>,
    /// Entropy of the student's distribution at this position, in nats.
    pub entropy: Option<f32>,
    /// Gate in [0, 1] the method put on the distillation of this token.
    pub gate: Option<f32>,
    pub advantage: Option<f32>,
    /// dL/dlp: what the method asked the engine to back-propagate for this token.
    pub coefficient: Option<f32>,
    /// The most likely tokens of the position under both views, and the sampled one; empty = not recorded.
    #[serde(default)]
    pub top: Vec<Listed>,
}

impl TokenRecord {
    /// Teacher minus student log-prob: positive where the teacher endorses the token.
    pub fn gap(&self) -> Option<f32> {
        Some(self.teacher? - self.student.or(self.old)?)
    }

    /// Whether it is worth jumping to: sampled, with a gap of at least [`HOT_GAP`] either way.
    pub fn is_hot(&self) -> bool {
        self.mask && self.gap().is_some_and(|gap| gap.abs() >= HOT_GAP)
    }
}

/// Tokens whose gap is at least this far from zero, in nats, are worth looking at. Ours.
pub const HOT_GAP: f32 = 0.5;
