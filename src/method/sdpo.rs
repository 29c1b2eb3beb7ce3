//! SDPO: the model teaches itself from what a sibling did right and what the environment said; no policy gradient.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::estimator::{Listed, Sampled};
use super::manual::{self, manual};
use super::math::Aggregation;
use super::needs::{Privileged, TeacherWeights, Top, Whose};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.sdpo]`. Defaults are the generic setting of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sdpo {
    /// The divergence, in [0, 1]: 0 = KL(teacher || student), 0.5 = Jensen-Shannon, 1 = KL(student || teacher), the
    /// authors' choice with rich feedback.
    #[serde(deserialize_with = "manual::share")]
    pub alpha: f64,
    /// Tokens of the student listed per position; the rest is one tail bucket. 0 = the sampled form: the gap as an advantage.
    pub top: u32,
    /// Bound on the importance ratio pi / pi_old that weighs a token; > 1, or 0 = no such weight.
    #[serde(deserialize_with = "manual::above_one_or_off")]
    pub ratio_cap: f64,
    /// `{ ema = 0.95 }` (their rate 0.05), `{ trust-region = 0.05 }`, or other weights.
    pub teacher: TeacherWeights,
    /// `peer-success` (a sibling's success), or `peer-and-feedback` (also the environment's last words).
    pub context: Privileged,
}
}

impl Default for Sdpo {
    fn default() -> Self {
        let teacher = TeacherWeights::Ema(0.95);
        Self { alpha: 0.5, top: 100, ratio_cap: 2.0, teacher, context: Privileged::PeerAndFeedback }
    }
}

impl Sdpo {
    /// The detached importance weight of a token.
    fn ratio(&self, tokens: &Tokens, t: usize) -> f64 {
        let ratio = (f64::from(tokens.student[t]) - f64::from(tokens.old[t])).exp();
        if self.ratio_cap > 0.0 { ratio.min(self.ratio_cap) } else { 1.0 }
    }
}

impl Method for Sdpo {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        let mixed = matches!(self.teacher, TeacherWeights::TrustRegion(_));
        if mixed { vec!["trust region: weights are mixed, not logits"] } else { vec![] }
    }

    fn needs(&self) -> Needs {
        Needs { top: Top { k: self.top, of: Whose::Student }, ..Needs::taught(&self.teacher, self.context) }
    }

    /// The distillation replaces the policy gradient: advantages are 0.
    fn credit(&self, step: &Tokens) -> Credit {
        Credit::none(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        // a mean over the rows that have a context, not over all
        let context = |row: &Range<usize>| {
            tokens.teacher.is_none_or(|teacher| teacher.get(row.start).is_some_and(|lp| !lp.is_nan()))
        };
        let rows: Vec<Range<usize>> = tokens.rows.iter().filter(|row| context(row)).cloned().collect();
        let weights = Aggregation::TokenMean.weights(&rows, tokens.len());
        let mut draft = Draft::new(tokens.len());
        let ratio = |t: usize| self.ratio(tokens, t);
        if self.top > 0 {
            draft.add_listed(tokens, &weights, 1.0, Listed::Jsd(self.alpha), ratio);
        } else {
            draft.add_sampled(tokens, &weights, 1.0, Sampled::AdvantageRkl, ratio);
        }
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "sdpo",
    summary: "self-distillation from a sibling's success and the environment's feedback, in place of a policy gradient",
    docs: DOCS,
    provenance: "loss, weights and defaults READ in the authors' code (arXiv 2601.20802); the wording of the context is ours",
    axes: "credit none | context peer success + feedback | teacher ema or trust region | select has context | loss JSD",
    keys: Sdpo::KEYS,
};

const DOCS: &str = "\
Idea
  Another attempt at the same task may have succeeded, and the environment may have said what went wrong. The same model,
  told this, scores the attempt at hand; the student moves towards what it would have said.

Formula
  m      = (1 - alpha) student + alpha teacher
  L      = Agg( min(rho_t, ratio_cap) [ alpha KL(teacher || m) + (1 - alpha) KL(student || m) ] ),   rho = pi / pi_old, detached
  Agg is the mean over the tokens of rows that have a context.
  top = 0:  L = Agg(min(rho_t, ratio_cap) (-sg[gap_t] log pi(y_t)))

Source
  'SDPO: Self-Distillation Policy Optimization', arXiv 2601.20802, and its code.

True expected gradient
  That of the divergence at the visited states. With top = 0 the reverse KL.

Preconditions
  A row without context is left out: under `peer-success` a group without another success teaches nothing.

Deviations
  A trust-region teacher mixes weights, theirs mixes logits. Their demonstration drops the thinking of the successful
  attempt; here it is the list of its actions. Known to collapse to no tool use on some agent tasks (arXiv 2606.12634).
";
