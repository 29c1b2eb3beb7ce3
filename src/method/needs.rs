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
    /// The initial weights are kept, for a later stage.
    pub initial: bool,
    /// A batch must hold whole groups (pairs or siblings meet in the loss).
    pub whole_groups: bool,
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

    /// What is asked for, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let mut asks = vec![];
        if let Some(teacher) = &self.teacher {
            let rows = match teacher.rows {
                Taught::All => "every row",
                Taught::Failed => "rows of lost episodes",
                Taught::Mixed => "rows of groups with both outcomes",
                Taught::Extra => "rows of extra rollouts",
            };
            asks.push(format!(
                "a teacher: weights `{}`, reading `{}`, for {rows}",
                teacher.weights.name(),
                teacher.context.name()
            ));
        }
        if self.reference {
            asks.push("log-probs of the frozen reference".into());
        }
        if self.top.k > 0 {
            asks.push(format!("{} tokens listed per position, the {}'s likeliest", self.top.k, self.top.of.name()));
        }
        if self.given {
            asks.push("log-probs of the environment's answers".into());
        }
        if self.skilled_share > 0.0 {
            asks.push(format!("skills in the student's own prompt for {:.0}% of a group", 100.0 * self.skilled_share));
        }
        match self.judge {
            Some(Verdict::Roles) => asks.push("a judge of what every turn did (`judge.by`)".into()),
            Some(Verdict::Failures(n)) => asks.push(format!("a judge who names up to {n} failing turns (`judge.by`)")),
            None => {}
        }
        asks.extend(self.extra.map(|extra| match extra {
            Extra::Cliff(n) => format!("{n} more episodes with the context in the prompt where a whole group lost"),
            Extra::Taught(n) => format!("{n} more episodes per group with the context in the prompt"),
            Extra::Mirrored => "every episode once more under the other prompt".into(),
            Extra::Offline(n) => format!("{n} candidate actions at every step of an expert's trajectory"),
        }));
        asks
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
