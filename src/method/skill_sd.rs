//! Skill-SD: GRPO plus importance-weighted reverse KL to the same model reading skills of its own making.

use serde::{Deserialize, Serialize};

use super::estimator::Sampled;
use super::grpo::{Grpo, GrpoTable};
use super::manual::{self, manual};
use super::math::AdvantageOver;
use super::needs::{Privileged, TeacherWeights};
use super::schedule::Schedule;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.skill-sd]`. Defaults are the published setting; what it leaves open is marked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "SkillSdTable")]
pub struct SkillSd {
    /// `paper`, or `sdar` (the re-implementation behind SDAR's tables). It only decides the defaults of `grpo`: paper =
    /// clip 0.2 and 0.28, no dual clip, no KL, no entropy bonus, advantages over trajectories; sdar = those of
    /// `[method.grpo]`.
    pub variant: SkillSdVariant,
    /// Weight of the distillation loss; >= 0, or a schedule of it. The authors saw 0.01 turn unstable. 0 = plain GRPO, bit
    /// for bit.
    pub coef: Schedule,
    /// Bound on the importance ratio pi / pi_old; >= 0. 0 = none, as printed. 2 is a later paper's.
    pub ratio_cap: f64,
    /// `step-start` (the paper's dynamic teacher, synced every step), `initial` (its frozen ablation), or other weights.
    pub teacher: TeacherWeights,
    /// Whether rollouts are played under the teacher's prompt: the paper's off-policy ablation, which collapses.
    pub off_policy: bool,
    /// `[method.skill-sd.grpo]`: the reinforcement learning half.
    pub grpo: Grpo,
}
}

/// Whose reinforcement learning half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkillSdVariant {
    #[default]
    Paper,
    Sdar,
}

impl SkillSdVariant {
    fn grpo(self) -> Grpo {
        match self {
            // no KL to the reference, entropy bonus or dual clip is printed; the asymmetric bounds are, without values
            Self::Paper => Grpo {
                clip_high: 0.28,
                dual_clip: 0.0,
                kl_coef: 0.0,
                entropy_coef: 0.0,
                advantage: AdvantageOver::Trajectories,
                ..Grpo::default()
            },
            Self::Sdar => Grpo::default(),
        }
    }
}

/// The table as written: what is missing of `grpo` is the variant's.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SkillSdTable {
    variant: SkillSdVariant,
    #[serde(deserialize_with = "manual::non_negative_schedule")]
    coef: Schedule,
    #[serde(deserialize_with = "manual::non_negative")]
    ratio_cap: f64,
    teacher: TeacherWeights,
    off_policy: bool,
    grpo: GrpoTable,
}

impl Default for SkillSdTable {
    fn default() -> Self {
        Self {
            variant: SkillSdVariant::Paper,
            coef: Schedule::Constant(0.001),
            ratio_cap: 0.0,
            teacher: TeacherWeights::StepStart,
            off_policy: false,
            grpo: GrpoTable::default(),
        }
    }
}

impl From<SkillSdTable> for SkillSd {
    fn from(table: SkillSdTable) -> Self {
        let SkillSdTable { variant, coef, ratio_cap, teacher, off_policy, grpo } = table;
        Self { variant, coef, ratio_cap, teacher, off_policy, grpo: grpo.over(variant.grpo()) }
    }
}

impl Default for SkillSd {
    fn default() -> Self {
        SkillSdTable::default().into()
    }
}

impl Method for SkillSd {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let taught = Needs::taught(&self.teacher, Privileged::Skills);
        Needs { teacher: taught.teacher, off_policy: self.off_policy, ..self.grpo.needs() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        self.grpo.credit(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = self.grpo.aggregation.weights(tokens.rows, tokens.len());
        let mut draft = self.grpo.draft(tokens, &weights);
        let coef = self.coef.at(tokens.step);
        draft.add_sampled(tokens, &weights, coef, Sampled::RatioK3(self.ratio_cap), |_| 1.0);
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "skill-sd",
    summary: "GRPO plus importance-weighted reverse KL; the teacher reads skills summarised from the agent's own episodes",
    docs: DOCS,
    provenance: "no code is released and the paper (arXiv 2604.10674) was not read itself: loss, rho, coef, teacher and ablation \
                 READ on its project page and in a line audit of it; reward, cold start and retrieval READ in third-party \
                 notes; clamps READ in SDAR's re-implementation; advantages over trajectories INFERRED from the formula's \
                 A_i, its gradient worked out here; clip_high 0.28 is ours, the paper's value was not found",
    axes: "credit grpo | context own skills | teacher self | loss ratio k3 (reverse KL)",
    keys: SkillSd::KEYS,
};

const DOCS: &str = "\
Idea
  Every finished episode, won or lost, is summarised into a skill. The same model, reading the best skill of the task,
  scores the student's own tokens; the student moves towards it along the reverse KL.

Formula
  l_t    = log pi(y_t | prompt) - log pi_teacher(y_t | skill, prompt)
  rho_t  = pi(y_t) / pi_old(y_t)                         the gradient flows through rho
  L      = L_GRPO + coef Agg(rho_t (exp(-l_t) - 1 + l_t))          L_GRPO: the clipped surrogate, one token mean
  d/dlog pi of one term is exactly rho_t l_t.

Source
  'Skill-SD: Skill-Conditioned Self-Distillation for Multi-turn LLM Agents', arXiv 2604.10674.

True expected gradient
  The reverse KL(student || teacher), also on tokens of the old policy: E_old[rho k3] = KL. Without rho (or with rho
  detached) the same loss would follow the forward KL.

Preconditions
  Plain rollouts. The bank is the recipe's: `runs/skill-sd.toml` starts with none, fills it from the run's own episodes
  (`skills.learn`) and retrieves by UCB, as the paper does; the default bank and keywords are those of SDAR's tables.
  While the bank is empty the teacher reads what the student reads: at the first update of a step this is GRPO (to
  rounding), at later ones the term holds the student to the step's start (with `teacher = \"initial\"`, to those weights).

Paper and released code
  variant = \"paper\" (default) or \"sdar\": SDAR's tables put the same loss beside their own GRPO, on a static bank.
  The paper's ablation grid: `teacher` step-start or initial, `off_policy` false or true.

Deviations
  The reward is the environment's; the paper's is the share of sub-goals reached.
  exp(-l) is clamped at exp(20) and rho at exp(10), as in SDAR's re-implementation.
  Under off_policy, pi_old is what sampled: the model under the teacher's prompt.
";
