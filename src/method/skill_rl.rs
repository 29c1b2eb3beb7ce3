//! SkillRL: GRPO with a bank of skills in the student's prompt that grows from failures.

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
    summary: "GRPO with skills in the student's own prompt, from a bank that grows where play fails",
    docs: DOCS,
    provenance: "loss, KL 0.01 and the update of the bank READ in the authors' code (arXiv 2602.08234); the entropy bonus 0.001, \
                 the default of the framework it builds on, is INFERRED; `share` below 1 is ours",
    axes: "credit grpo | context skills in the student's prompt | memory from failures",
    keys: SkillRl::KEYS,
};

const DOCS: &str = "\
Idea
  The student reads skills in training and at evaluation. Where it still fails, the failures are read and new skills
  written.

Formula
  L      = L_GRPO, its KL 0.01 k3(reference)    on rollouts whose prompts hold the retrieved skills; no teacher
  bank   for task types with success below 0.4: at most 5 failures are read, 1 to 3 skills written

Source
  'SkillRL', arXiv 2602.08234, and its code.

True expected gradient
  Policy gradient of the skilled prompt's policy, and the forward KL(reference || student).

Preconditions
  The panel is played without and with skills; the second is the method's. The bank grows only where the recipe names an
  author: `skills.learn.author`, with `skills.evolve.below` (0.4) and `every` (5). Without one this is Skill-GRPO
  (`sdlab methods show skill-grpo`).

Deviations
  Success and failures are those of the training step at hand; the authors take those of their validation.
  The supervised cold start is not part of this; `sdlab pretrain` is the place for one.
";
