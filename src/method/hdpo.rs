//! HDPO: GRPO everywhere; where a whole group fails, the model that knows the solution plays, and its successes are distilled.

use serde::{Deserialize, Serialize};

use super::estimator::Listed;
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::needs::{Extra, Privileged, Taught, TeacherNeed, TeacherWeights, Top, Whose};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.hdpo]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hdpo {
    /// Weight of the distillation; >= 0. 0 = plain GRPO, bit for bit, and nothing more is played. Ours.
    #[serde(deserialize_with = "manual::non_negative")]
    pub coef: f64,
    /// Episodes played with the solution at hand for every group that lost all, >= 1; the won ones are kept. Ours.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub rollouts: u32,
    /// The divergence, in [0, 1]: 0.5 = Jensen-Shannon.
    #[serde(deserialize_with = "manual::share")]
    pub jsd: f64,
    /// Tokens of the teacher listed per position, >= 1; the rest is one tail bucket.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub top: u32,
    /// What the teacher reads and plays with: `gold`, the answer in the paper; `skills` for environments without an expert.
    pub context: Privileged,
    /// `[method.hdpo.grpo]`: the reinforcement learning half.
    pub grpo: Grpo,
}
}

impl Default for Hdpo {
    fn default() -> Self {
        Self { coef: 0.1, rollouts: 2, jsd: 0.5, top: 64, context: Privileged::Gold, grpo: Grpo::default() }
    }
}

impl Method for Hdpo {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        match self.context {
            _ if self.coef == 0.0 => vec![],
            Privileged::Skills => vec!["answer: skills"],
            _ => vec!["answer: the actions of the environment's expert"],
        }
    }

    fn needs(&self) -> Needs {
        if self.coef == 0.0 {
            return self.grpo.needs();
        }
        let teacher = TeacherNeed { weights: TeacherWeights::StepStart, context: self.context, rows: Taught::Extra };
        Needs {
            teacher: Some(teacher),
            top: Top { k: self.top, of: Whose::Teacher },
            extra: Some(Extra::Cliff(self.rollouts)),
            ..self.grpo.needs()
        }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        self.grpo.credit(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = self.grpo.aggregation.weights(&tokens.part(false), tokens.len());
        let mut draft = self.grpo.draft(tokens, &weights);
        let shown = self.grpo.aggregation.weights(&tokens.part(true), tokens.len());
        if shown.mass > 0.0 {
            draft.add_listed(tokens, &shown, self.coef, Listed::Jsd(self.jsd), |_| 1.0);
        }
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "hdpo",
    summary: "GRPO plus, where a whole group fails, distillation of episodes won with the solution at hand",
    docs: DOCS,
    provenance: "loss, filter and list size READ in notes on the paper (arXiv 2603.23871); its weight and number of rollouts \
                 were not found and are ours; a solution of the task for the answer of a sum is an adaptation",
    axes: "credit grpo | rollout teacher view on cliffs, won only | context solution | loss JSD",
    keys: Hdpo::KEYS,
};

const DOCS: &str = "\
Idea
  A group that fails as a whole has no gradient: a cliff. There the same model, shown the solution, plays instead; what it
  wins is text that works, and the plain view learns to write it.

Formula
  cliff  all members of a group lost: `rollouts` more episodes with the solution in the prompt, won ones kept
  L      = L_GRPO + coef Agg_kept( jsd KL(T || m) + (1 - jsd) KL(S || m) ),    m = (1 - jsd) S + jsd T
  T reads the solution, S does not; both score the teacher's text.

Source
  'HDPO: Hybrid Distillation Policy Optimisation', arXiv 2603.23871.

True expected gradient
  Of the second term: that of the divergence on the teacher's texts. It is off-policy: identities for the student's own
  samples do not hold.

Preconditions
  An environment with an expert, or `context = \"skills\"`. Playing again costs as much as playing: see `time/rollout`.

Deviations
  The paper is about sums with an answer; here the solution is the expert's list of actions.
";
