//! SkillRL: GRPO with a bank of skills in the student's prompt that grows from validation failures.

use serde::{Deserialize, Serialize};

use super::MethodInfo;
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::skill_grpo::grpo_reading_skills;

manual! {
/// `[method.skillrl]`. Defaults are those of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SkillRl {
    /// Share of every group that plays and is trained with skills in its prompt, in [0, 1]; 1 in the paper. 0 = plain GRPO.
    #[serde(deserialize_with = "manual::share")]
    pub share: f64,
    /// `[method.skillrl.grpo]`: all the rest; KL 0.01 to the reference.
    pub grpo: Grpo,
}
}

impl Default for SkillRl {
    fn default() -> Self {
        Self { share: 1.0, grpo: Grpo { kl_coef: 0.01, ..Grpo::default() } }
    }
}

grpo_reading_skills!(SkillRl);

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "skillrl",
    summary: "GRPO with skills in the student's own prompt, from a bank that grows where validation fails",
    docs: DOCS,
    provenance: "loss and constants READ in the authors' code (arXiv 2602.08234); the growth of the bank is the recipe's \
                 `[skills]` table, not the method's",
    axes: "credit grpo | context skills in the student's prompt | memory from validation failures",
    keys: SkillRl::KEYS,
};

const DOCS: &str = "\
Idea
  The student reads skills in training and at evaluation. Where validation still fails, the failures are read and new
  skills written.

Formula
  L      = L_GRPO + 0.01 k3(reference)          on rollouts whose prompts hold the retrieved skills; no teacher
  bank   for task types with validation success below 0.4: at most 5 failures are read, 1 to 3 skills written

Source
  'SkillRL', arXiv 2602.08234, and its code.

True expected gradient
  Policy gradient of the skilled prompt's policy, and the forward KL(reference || student).

Preconditions
  Set `eval.with_skills = true`: the method is meant to be played with skills. With a bank that does not grow this is
  Skill-GRPO (`sdlab methods show skill-grpo`).

Deviations
  The supervised cold start is not part of this; `sdlab pretrain` is the place for one.
";
