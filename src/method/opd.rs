//! On-policy distillation: the student plays, a teacher scores its tokens, no reward.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::estimator::{Listed, Sampled};
use super::manual::{self, manual};
use super::math::Aggregation;
use super::needs::{Extra, Privileged, Taught, TeacherNeed, TeacherWeights, Top, Whose};
use super::schedule::Schedule;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.opd]`. Defaults: the skill-reading self as teacher, sampled reverse KL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Opd {
    /// Weight of the loss; >= 0, or a schedule of it. 0 = nothing is learnt.
    #[serde(deserialize_with = "manual::non_negative_schedule")]
    pub coef: Schedule,
    /// Whose weights the teacher has: `step-start`, `live`, `initial`, `{ ema = 0.999 }`, `{ trust-region = 0.05 }` or
    /// `{ checkpoint = "FOLDER" }` with the same tokenizer.
    pub teacher: TeacherWeights,
    /// What the teacher reads beside the prompt: `skills`, `gold`, `none` (another model's weights are enough), ...
    pub context: Privileged,
    /// Episodes of every group that the teacher plays, on which alone the loss is then taken (off-policy: the expected
    /// gradients below are those of its own samples). 0 = the student's own rollouts.
    pub rollouts: u32,
    /// On sampled tokens: `advantage-rkl`, `k2`, `k3`, `{ ratio-k3 = 0 }`, `k1` (whose expected gradient is zero), `nll`.
    pub estimator: Sampled,
    /// Tokens listed per position; 0 = only the sampled one. More cost memory and have less noise.
    pub top: u32,
    /// Over listed tokens and their tail: `rkl`, `fkl`, `{ jsd = 0.5 }`, `renormalised-fkl`. Without effect where top is 0.
    pub divergence: Listed,
    /// `token-mean`, `seq-mean-token-mean` or `seq-mean-token-sum`.
    pub aggregation: Aggregation,
}
}

impl Default for Opd {
    fn default() -> Self {
        Self {
            coef: Schedule::Constant(1.0),
            teacher: TeacherWeights::StepStart,
            context: Privileged::Skills,
            rollouts: 0,
            estimator: Sampled::AdvantageRkl,
            top: 0,
            divergence: Listed::Rkl,
            aggregation: Aggregation::TokenMean,
        }
    }
}

impl Method for Opd {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let (rows, extra) = match self.rollouts {
            0 => (Taught::All, None),
            n => (Taught::Extra, Some(Extra::Taught(n))),
        };
        let teacher = TeacherNeed { weights: self.teacher.clone(), context: self.context, rows };
        Needs { teacher: Some(teacher), top: Top { k: self.top, of: Whose::Student }, extra, ..Needs::default() }
    }

    /// No reward: advantages are 0.
    fn credit(&self, step: &Tokens) -> Credit {
        Credit::none(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let taught = if self.rollouts > 0 { tokens.part(true) } else { tokens.rows.to_vec() };
        let weights = self.aggregation.weights(&taught, tokens.len());
        let (mut draft, coef) = (Draft::new(tokens.len()), self.coef.at(tokens.step));
        if self.top > 0 {
            draft.add_listed(tokens, &weights, coef, self.divergence, |_| 1.0);
        } else {
            draft.add_sampled(tokens, &weights, coef, self.estimator, |_| 1.0);
        }
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "opd",
    summary: "on-policy distillation alone: a teacher scores the student's own tokens, no reward",
    docs: DOCS,
    provenance: "the sampled form READ in the code of 'Self-Distilled Reasoner' (arXiv 2601.18734), the distillation half READ in \
                 arXiv 2605.12483; 'Vanilla OPD' of Skill-SD's tables (arXiv 2604.10674) is only named there: that it is \
                 this, with the skill-reading self as teacher, is INFERRED; the other estimators and lists are ours",
    axes: "credit none | context any | teacher any | loss reverse KL (any)",
    keys: Opd::KEYS,
};

const DOCS: &str = "\
Idea
  The student plays by itself. A teacher, the same model with more to read or another model, scores every token the
  student chose. Nothing is rewarded.

Formula
  gap_t  = log pi_teacher(y_t | context, prompt, y_<t) - log pi(y_t | prompt, y_<t)
  L      = coef Agg(-sg[gap_t] log pi(y_t))              sampled reverse KL (the default)
  With top = K: the divergence over K listed tokens and one tail bucket, exact up to what the tail hides.

Source
  On-policy distillation as in arXiv 2601.18734 (sampled form) and arXiv 2605.12483, stage 2b.

True expected gradient
  By estimator: advantage-rkl, k2 and ratio-k3 the reverse KL; k3 the forward KL; k1 exactly zero; nll raises the
  likelihood of what was sampled, which in expectation moves nothing.

Preconditions
  The student's own rollouts. A teacher from a checkpoint must share the tokenizer. On multi-turn tasks distillation
  without reward is known to stall or to collapse (arXiv 2605.15155, figure 2), of which a run is warned when it starts.

Deviations
  Nothing is clipped, and but for ratio-k3 nothing is weighted by pi / pi_old: from the second update of a step on
  (`optim.minibatches`) the tokens are those of slightly older weights, and the gradients above hold nearly.
";
