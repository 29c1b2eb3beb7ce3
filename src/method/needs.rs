//! What a method must have been given before its loss can be computed. The trainer provides it, or refuses the recipe
//! with what is missing; no method is a special case there.

use serde::{Deserialize, Serialize};

use super::view::Tokens;

/// Everything a method may ask for. The default asks for nothing: reinforcement learning on plain rollouts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// Log-probs of the same tokens under a privileged context or other weights.
    pub teacher: Option<TeacherNeed>,
    /// Log-probs under the frozen reference weights.
    pub reference: bool,
    /// Log-probs of this many tokens per position under both views; 0 = none.
    pub top: Top,
    /// Log-probs of the tokens the environment gave.
    pub given: bool,
    /// Share of every group that plays and is trained with skills in the student's own prompt, in [0, 1].
    pub skilled_share: f64,
    /// All rollouts are played under the teacher's prompt, and trained under the plain one (an ablation: off-policy).
    pub off_policy: bool,
    /// A verdict on turns, by whoever the recipe names as judge.
    pub judge: Option<Verdict>,
    /// Rollouts beside the student's own.
    pub extra: Option<Extra>,
    /// The initial weights are kept.
    pub initial: bool,
    /// A second student starts from the initial weights at some step.
    pub restarts: bool,
    /// Its end puts the student aside as the teacher of later stages.
    pub hands_on: bool,
    /// Nothing is learnt by gradient: the weights stay as they are, and no update is made.
    pub frozen: bool,
    /// Chance that a tool of the environment is withheld from an execution, in [0, 1); 0 = none is.
    pub tool_dropout: f64,
    /// The ranked results of a group become notes in the bank of skills.
    pub memory: Option<Memory>,
    /// Adapters made from text by a network, which is trained in the model's place.
    pub generate: Option<Generate>,
    /// A batch must hold whole groups (pairs or siblings meet in the loss).
    pub whole_groups: bool,
}

/// What is remembered of a group: its best result against those that fell behind. Somebody must write it; where the
/// recipe names nobody (`skills.learn.author`), the distiller does. The panel is played without and with what is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// A result has fallen behind if its score is lower by this at least.
    pub margin: f64,
}

/// A hypernetwork from a skill's text to adapters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generate {
    /// Rank of the adapters on q and v, where the recipe asks for none of its own.
    pub rank: u32,
    /// Width of its hidden layer.
    pub width: u32,
    /// Share of the bank's skills that are never trained on, in [0, 1).
    pub held_out: f64,
}

/// How many tokens per position, and whose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Top {
    pub k: u32,
    pub of: Whose,
}

/// Whose most likely tokens are listed. The sampled token is always among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    #[default]
    Student,
    Teacher,
}

impl Whose {
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        if self == Whose::Student { "student" } else { "teacher" }
    }
}

/// A teacher: whose weights, reading what, about which rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherNeed {
    pub weights: TeacherWeights,
    pub context: Privileged,
    pub rows: Taught,
}

/// Whose weights the teacher has. Written `"step-start"`, or `{ ema = 0.999 }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeacherWeights {
    /// The student as it was when the step began: synced every step, fixed over its updates.
    #[default]
    StepStart,
    /// The student as it is at every update.
    Live,
    /// The student as it was when the run began.
    Initial,
    /// An exponential moving average of the student with this decay per update.
    Ema(f64),
    /// A mixture of the initial and the present weights, this share of the present ones (trust region).
    TrustRegion(f64),
    /// A model folder with the same tokenizer.
    Checkpoint(String),
    /// The student of an earlier stage, put aside ([`HandOff::Restart`](super::HandOff)).
    Staged,
}

impl TeacherWeights {
    /// What they stand in for where a method wants a stronger model for its teacher.
    pub fn stand_in(&self) -> Option<&'static str> {
        let other = matches!(self, TeacherWeights::Checkpoint(_) | TeacherWeights::Staged);
        (!other).then_some("teacher: the model itself, not a stronger one")
    }
}

/// What the teacher reads and the student does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Privileged {
    /// Nothing: the teacher differs by its weights alone.
    None,
    /// Skills of the bank.
    #[default]
    Skills,
    /// A solution of the same task by the environment's expert.
    Gold,
    /// A successful episode of another member of the group.
    PeerSuccess,
    /// A successful episode of another member where there is one, and what the environment said at the end.
    PeerAndFeedback,
    /// What a judge says of single turns, inserted at those turns.
    StepFeedback,
    /// What distinguishes the group's successes from its failures.
    SiblingContrast,
    /// What distinguishes the group's best episode from its worst.
    BestWorst,
}

/// Which rows a teacher is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taught {
    #[default]
    All,
    /// Rows of lost episodes.
    Failed,
    /// Rows of groups with successes and failures.
    Mixed,
    /// Rows of extra rollouts alone.
    Extra,
}

/// What a judge is asked about every episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The [`Role`](super::view::Role) of every turn, the outcome hidden.
    Roles,
    /// Up to this many turns of a failed episode that went wrong, each with feedback.
    Failures(u32),
}

/// Rollouts beside the student's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Where all of a group failed: this many episodes under the teacher's prompt, of which the won ones are kept.
    Cliff(u32),
    /// So many episodes per group played under the teacher's prompt.
    Taught(u32),
    /// Every episode once more under the other prompt: without skills where it was played with them, and with them where
    /// without; the teacher is the view that played it.
    Mirrored,
    /// No play: this many candidate actions at every step of an expert's trajectory, spliced by index.
    Offline(u32),
    /// No play: this many texts of the bank, to be recited.
    Recite(u32),
}

impl TeacherWeights {
    /// As it is written in a recipe, without its number.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StepStart => "step-start",
            Self::Live => "live",
            Self::Initial => "initial",
            Self::Ema(_) => "ema",
            Self::TrustRegion(_) => "trust-region",
            Self::Checkpoint(_) => "checkpoint",
            Self::Staged => "staged",
        }
    }
}

impl Privileged {
    /// As it is written in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Skills => "skills",
            Self::Gold => "gold",
            Self::PeerSuccess => "peer-success",
            Self::PeerAndFeedback => "peer-and-feedback",
            Self::StepFeedback => "step-feedback",
            Self::SiblingContrast => "sibling-contrast",
            Self::BestWorst => "best-worst",
        }
    }
}

impl Needs {
    /// What `tokens` lack of it, by name; empty = the loss can be computed in full. A loss leaves out the terms whose
    /// numbers are missing.
    pub fn missing(&self, tokens: &Tokens) -> Vec<&'static str> {
        [
            ("teacher", self.teacher.is_some() && tokens.teacher.is_none()),
            ("reference", self.reference && tokens.reference.is_none()),
            ("top", self.top.k > 0 && tokens.top.is_none()),
            ("given", self.given && tokens.given.is_none()),
            ("judge", self.judge.is_some() && !judged(tokens)),
        ]
        .into_iter()
        .filter_map(|(name, lacks)| lacks.then_some(name))
        .collect()
    }

    /// The needs of distilling every row from a teacher of these weights who reads `context`.
    pub fn taught(weights: &TeacherWeights, context: Privileged) -> Self {
        Self { teacher: Some(TeacherNeed { weights: weights.clone(), context, rows: Taught::All }), ..Self::default() }
    }

    /// The needs of distilling from a teacher who reads `context` with the step-start weights.
    pub fn reading(context: Privileged) -> Self {
        Self { teacher: Some(TeacherNeed { context, ..TeacherNeed::default() }), ..Self::default() }
    }

    /// The needs of distilling from a teacher who reads skills with the step-start weights.
    pub fn skills() -> Self {
        Self { teacher: Some(TeacherNeed::default()), ..Self::default() }
    }
}

impl Default for TeacherNeed {
    fn default() -> Self {
        Self { weights: TeacherWeights::StepStart, context: Privileged::Skills, rows: Taught::All }
    }
}

fn judged(tokens: &Tokens) -> bool {
    tokens.facts.iter().flat_map(|row| &row.turns).any(|turn| turn.role.is_some() || turn.chosen)
}
