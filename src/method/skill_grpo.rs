//! Skill-GRPO: GRPO with skills in the student's own prompt.

use serde::{Deserialize, Serialize};

use super::MethodInfo;
use super::grpo::Grpo;
use super::manual::{self, manual};

manual! {
/// `[method.skill-grpo]`. Defaults are the baseline of SDAR's and Skill-SD's tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SkillGrpo {
    /// Share of every group that plays and is trained with skills in its prompt, in [0, 1]. 0 = plain GRPO.
    #[serde(deserialize_with = "manual::share")]
    pub share: f64,
    /// `[method.skill-grpo.grpo]`: all the rest.
    pub grpo: Grpo,
}
}

impl Default for SkillGrpo {
    fn default() -> Self {
        Self { share: 1.0, grpo: Grpo::default() }
    }
}

/// GRPO on rollouts a share of which is played with skills: for settings with `share` and `grpo`.
macro_rules! grpo_reading_skills {
    ($name:ty) => {
        impl $crate::method::Method for $name {
            fn name(&self) -> &'static str {
                INFO.name
            }

            fn needs(&self) -> $crate::method::Needs {
                $crate::method::Needs { skilled_share: self.share, ..self.grpo.needs() }
            }

            fn credit(&self, step: &$crate::method::Tokens) -> $crate::method::Credit {
                self.grpo.credit(step)
            }

            fn token_loss(&self, tokens: &$crate::method::Tokens) -> $crate::method::Plan {
                self.grpo.token_loss(tokens)
            }
        }
    };
}

pub(super) use grpo_reading_skills;

grpo_reading_skills!(SkillGrpo);

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "skill-grpo",
    summary: "GRPO with skills in the student's own prompt (Skill-Augmented GRPO; with a growing bank: SkillRL)",
    docs: DOCS,
    provenance: "Skill-GRPO READ in SDAR (arXiv 2605.15155) and its code; Skill-Augmented GRPO READ on the project page of \
                 Skill-SD (arXiv 2604.10674); `share` below 1 is ours",
    axes: "credit grpo | context skills in the student's prompt",
    keys: SkillGrpo::KEYS,
};

const DOCS: &str = "\
Idea
  The student reads the skills itself, in training. Played without them afterwards it shows what it has absorbed, and
  played with them what it has come to depend on.

Formula
  GRPO on rollouts whose prompts hold the retrieved skills. No teacher.

Source
  Skill-GRPO in SDAR, arXiv 2605.15155 (evaluated without skills; Skill-GRPO* with them); Skill-Augmented GRPO in
  Skill-SD, arXiv 2604.10674; with a bank that grows from validation failures, SkillRL, arXiv 2602.08234.

True expected gradient
  Policy gradient of the skilled prompt's policy. The plain prompt's policy moves only by generalisation.

Preconditions
  None. The panel is played without skills (Skill-GRPO) and with them (Skill-GRPO*).

Deviations
  Skills stand in the opening prompt, once; SDAR's code repeats them before every observation. Its retrieval is
  `skills.retrieval = \"keyword-any\"` over the prompt; here it is the recipe's, over the goal.
";
