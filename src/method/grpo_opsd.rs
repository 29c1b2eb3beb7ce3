//! GRPO + OPSD: reinforcement learning beside ungated self-distillation, in the forms that go by this name.

use serde::{Deserialize, Serialize};

use super::estimator::Sampled;
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::schedule::Schedule;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.grpo-opsd]`. Defaults are SDAR's released baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpoOpsd {
    /// `released` (a constant gate of 1/2: no expected signal), `algorithm` (the paper's text: k1 to the reference, no
    /// expected signal either) or `advantage` (the gap as an advantage: the reverse KL).
    pub variant: GrpoOpsdVariant,
    /// Weight of the distillation; >= 0, or a schedule of it. 0 = plain GRPO, bit for bit.
    #[serde(deserialize_with = "manual::non_negative_schedule")]
    pub coef: Schedule,
    /// `[method.grpo-opsd.grpo]`: the reinforcement learning half.
    pub grpo: Grpo,
}
}

/// What is added to GRPO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrpoOpsdVariant {
    #[default]
    Released,
    Algorithm,
    Advantage,
}

impl Default for GrpoOpsd {
    fn default() -> Self {
        Self { variant: GrpoOpsdVariant::Released, coef: Schedule::Constant(0.01), grpo: Grpo::default() }
    }
}

impl Method for GrpoOpsd {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let grpo = self.grpo.needs();
        match self.variant {
            GrpoOpsdVariant::Algorithm => Needs { reference: true, ..grpo },
            _ => Needs { teacher: Needs::skills().teacher, ..grpo },
        }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        self.grpo.credit(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = self.grpo.aggregation.weights(tokens.rows, tokens.len());
        let mut draft = self.grpo.draft(tokens, &weights);
        let coef = self.coef.at(tokens.step);
        match self.variant {
            GrpoOpsdVariant::Released => draft.add_sampled(tokens, &weights, coef, Sampled::K1, |_| 0.5),
            GrpoOpsdVariant::Advantage => draft.add_sampled(tokens, &weights, coef, Sampled::AdvantageRkl, |_| 1.0),
            GrpoOpsdVariant::Algorithm => draft.add_k1_to_reference(tokens, &weights, coef),
        }
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "grpo-opsd",
    summary: "GRPO plus ungated self-distillation; as released it carries no expected distillation signal",
    docs: DOCS,
    provenance: "released READ in SDAR's script (gate_beta = 0) and the table of its paper (arXiv 2605.15155: coef 0.01, beta 0); \
                 algorithm READ in its text; advantage, the meaningful form, INFERRED from the sampled option of arXiv \
                 2601.18734",
    axes: "credit grpo | context skills | teacher self | loss k1 (no expected signal)",
    keys: GrpoOpsd::KEYS,
};

const DOCS: &str = "\
Idea
  The baseline SDAR is compared with: the same teacher, no gate.

Formula
  released:  L = L_GRPO + coef Agg(1/2 (log pi_teacher - log pi))
  algorithm: L = L_GRPO + coef Agg(log pi - log pi_reference)
  advantage: L = L_GRPO + coef Agg(-sg[log pi_teacher - log pi] log pi)

Source
  SDAR, arXiv 2605.15155, its released code and its algorithm of this name.

True expected gradient
  released and algorithm: that of GRPO alone, because E[grad log pi] = 0 on the student's own samples; what remains is
  noise and, within a step of several updates, a drift towards the old samples.
  advantage: GRPO's plus that of the reverse KL(student || teacher).

Preconditions
  As for SDAR; `algorithm` needs the reference weights and no teacher.

Paper and released code
  `released` (default) and `algorithm` are the baseline of the tables as scripted and as printed; neither distils anything.
  Choose `advantage` for a comparison that means something, and say so.

Deviations
  Those of GRPO.
";
