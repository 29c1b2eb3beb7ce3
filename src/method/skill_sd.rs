//! Skill-SD: GRPO plus importance-weighted reverse KL to the same model reading skills of its own making.

use serde::{Deserialize, Serialize};

use super::estimator::Sampled;
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::needs::{TeacherNeed, TeacherWeights};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.skill-sd]`. Defaults are the published setting; what it leaves open is marked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SkillSd {
    /// Weight of the distillation loss; >= 0. The authors saw 0.01 turn unstable. 0 = plain GRPO, bit for bit.
    #[serde(deserialize_with = "manual::non_negative")]
    pub coef: f64,
    /// Bound on the importance ratio pi / pi_old; >= 0. 0 = none, as printed. 2 is a later paper's.
    #[serde(deserialize_with = "manual::non_negative")]
    pub ratio_cap: f64,
    /// `step-start` (the paper's dynamic teacher, synced every step), `initial` (its frozen ablation), or other weights.
    pub teacher: TeacherWeights,
    /// Whether rollouts are played under the teacher's prompt: the paper's off-policy ablation, which collapses.
    pub off_policy: bool,
    /// `[method.skill-sd.grpo]`: the reinforcement learning half.
    pub grpo: Grpo,
}
}

impl Default for SkillSd {
    fn default() -> Self {
        // no KL to the reference and no entropy bonus are printed; the asymmetric bounds are, without values
        let grpo = Grpo { kl_coef: 0.0, entropy_coef: 0.0, clip_high: 0.28, ..Grpo::default() };
        Self { coef: 0.001, ratio_cap: 0.0, teacher: TeacherWeights::StepStart, off_policy: false, grpo }
    }
}

impl Method for SkillSd {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let teacher = TeacherNeed { weights: self.teacher.clone(), ..TeacherNeed::default() };
        Needs { teacher: Some(teacher), off_policy: self.off_policy, ..self.grpo.needs() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        self.grpo.credit(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = self.grpo.aggregation.weights(tokens.rows, tokens.len());
        let mut draft = self.grpo.draft(tokens, &weights);
        draft.add_sampled(tokens, &weights, self.coef, Sampled::RatioK3(self.ratio_cap), |_| 1.0);
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "skill-sd",
    summary: "GRPO plus importance-weighted reverse KL; the teacher reads skills summarised from the agent's own episodes",
    docs: DOCS,
    provenance: "loss, weight and teacher from the paper (arXiv 2604.10674, read through its project page and a line audit; \
                 no code is released); clamps from SDAR's re-implementation; clip_high 0.28 is ours, the paper gives no value",
    axes: "credit grpo | context own skills | teacher self | loss ratio k3",
    keys: SkillSd::KEYS,
};

const DOCS: &str = "\
Idea
  Every finished episode, won or lost, is summarised into a skill. The same model, reading the best skill of the task,
  scores the student's own tokens; the student moves towards it along the reverse KL.

Formula
  l_t    = log pi(y_t | prompt) - log pi_teacher(y_t | skill, prompt)
  rho_t  = pi(y_t) / pi_old(y_t)                         the gradient flows through rho
  L      = L_GRPO + coef Agg(rho_t (exp(-l_t) - 1 + l_t))
  d/dlog pi of one term is exactly rho_t l_t.

Source
  'Skill-SD: Skill-Conditioned Self-Distillation for Multi-turn LLM Agents', arXiv 2604.10674.

True expected gradient
  The reverse KL(student || teacher), also on tokens of the old policy: E_old[rho k3] = KL. Without rho (or with rho
  detached) the same loss would follow the forward KL.

Preconditions
  Plain rollouts. The bank should be filled from the agent's own episodes (`[skills]`); while it is empty there is
  no teacher and this is GRPO. The reward is the share of sub-goals reached where an environment has one.

Paper and released code
  No code was released. The paper's ablation grid: `teacher` step-start or initial, `off_policy` false or true.

Deviations
  exp(-l) is clamped at exp(20) and rho at exp(10), as in SDAR's re-implementation.
  Under off_policy, pi_old is what sampled: the model under the teacher's prompt.
";
