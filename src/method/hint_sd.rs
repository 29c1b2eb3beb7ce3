//! HINT-SD: of a failed episode only the turns that went wrong are distilled, from the model told what went wrong there.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::estimator::Listed;
use super::manual::{self, manual};
use super::math::Aggregation;
use super::needs::{Privileged, Taught, TeacherNeed, TeacherWeights, Top, Verdict, Whose};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.hint-sd]`. Defaults are those of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HintSd {
    /// Most turns of a failed episode that are corrected, >= 1. 1 = the paper's `single`, the first that failed.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub turns: u32,
    /// Tokens of the student listed per position, >= 1; the rest is one tail bucket.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub top: u32,
    /// `{ ema = 0.999 }` in the code, `live` in the paper's text.
    pub teacher: TeacherWeights,
}
}

impl Default for HintSd {
    fn default() -> Self {
        Self { turns: 3, top: 100, teacher: TeacherWeights::Ema(0.999) }
    }
}

impl Method for HintSd {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let teacher =
            TeacherNeed { weights: self.teacher.clone(), context: Privileged::StepFeedback, rows: Taught::Failed };
        Needs {
            teacher: Some(teacher),
            top: Top { k: self.top, of: Whose::Student },
            judge: Some(Verdict::Failures(self.turns)),
            ..Needs::default()
        }
    }

    /// No reward: advantages are 0. The weight is 1 on the tokens of turns that were found at fault.
    fn credit(&self, step: &Tokens) -> Credit {
        let mut weight = vec![0.0; step.len()];
        let (mut chosen, mut lost) = (0.0, 0.0);
        for row in step.facts.iter().filter(|row| !row.won) {
            lost += 1.0;
            for turn in row.turns.iter().filter(|turn| turn.chosen) {
                weight[turn.tokens.clone()].fill(1.0);
                chosen += 1.0;
            }
        }
        let metrics = [("hint/turns", (chosen, lost))].into();
        Credit { advantage: vec![0.0; step.len()], weight, metrics }
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = Aggregation::TokenMean.weights(tokens.rows, tokens.len());
        let mut draft = Draft::new(tokens.len());
        let taught = |t: usize| tokens.teacher.is_none_or(|teacher| !teacher[t].is_nan());
        let chosen = |t: usize| taught(t) && tokens.weight.is_some_and(|weight| weight[t] > 0.0);
        let count = weights.live().filter(|&(t, _)| chosen(t)).count();
        // a mean over the chosen tokens, not over all
        let coef = weights.mass / count.max(1) as f64;
        draft.add_listed(tokens, &weights, coef, Listed::Rkl, |t| f64::from(u8::from(chosen(t))));
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "hint-sd",
    summary: "self-distillation of the failing turns of lost episodes alone, the teacher told there what went wrong",
    docs: DOCS,
    provenance: "formula READ in the paper (arXiv 2605.17873), list size, decay and number of turns READ in its code; the \
                 wording of question and feedback is ours",
    axes: "credit none | context feedback at the turn | teacher ema | select failed, chosen turns | loss top-K reverse KL",
    keys: HintSd::KEYS,
};

const DOCS: &str = "\
Idea
  Hindsight is cheap: after a lost episode, whoever reads it whole can name the few turns that lost it and what should
  have been done. The same model, given that feedback at that very turn, teaches the student there and nowhere else.

Formula
  judge  lost episode -> {(turn i, feedback f_i)}, at most `turns`, the earliest first
  L      = mean over tokens of chosen turns of KL(pi(. | h_i, a_<t) || sg pi_teacher(. | h_i, f_i, a_<t))
  h_i is what the student read before turn i: of several chosen turns, none is taught by feedback on another.

Source
  'HINT-SD: Targeted Hindsight Self-Distillation', arXiv 2605.17873, and its code.

True expected gradient
  That of the reverse KL at the chosen positions. Won episodes and those the judge could not read teach nothing.

Preconditions
  A judge (`[judge]`); in the paper the policy itself (`self`). No reward term: known gains are from a capable model.

Deviations
  The feedback stands at the end of what the environment said at its turn (at the first turn, where the recipe puts skills);
  the authors make it a message of its own. Feedback the context has no room for is left out (`skills/lost_tokens`). The
  expert's next action is the `oracle`'s feedback, for tests.
";
