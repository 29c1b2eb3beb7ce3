//! OPSD: the same model with the reference solution at hand teaches itself; no reward.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::estimator::{Listed, Sampled};
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::math::{Aggregation, Gate};
use super::needs::{Privileged, TeacherWeights, Top, Whose};
use super::sdar::Sdar;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.opsd]`. Defaults are the original paper's; `variant` names the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Opsd {
    /// `original` (generalised JSD over listed tokens), `sampled` (the authors' option: the gap as an advantage), `released`
    /// (what SDAR's code runs under this name: SDAR's gated loss on skills without reward, with KL and entropy) or
    /// `algorithm` (SDAR's text: k1 to the frozen reference, which reads no skills; no expected signal).
    pub variant: OpsdVariant,
    /// `original`: the divergence; 0 = forward, 1 = reverse KL; in [0, 1].
    #[serde(deserialize_with = "manual::share")]
    pub jsd: f64,
    /// `original`: tokens of the teacher listed per position, >= 1; the rest is one tail bucket.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub top: u32,
    /// `original` and `sampled`: whose weights the teacher has; the authors recommend `initial`, and offer `live` and
    /// `{ ema = 0.999 }`.
    pub teacher: TeacherWeights,
    /// `original` and `sampled`: what the teacher reads, in the paper `gold` (a solution, here by the environment's expert).
    pub context: Privileged,
    /// `released`: sharpness of the gate, per nat; >= 0.
    #[serde(deserialize_with = "manual::non_negative")]
    pub beta: f64,
}
}

/// Different things that go by the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpsdVariant {
    #[default]
    Original,
    Sampled,
    Released,
    Algorithm,
}

/// Weight of the distillation in SDAR's baselines.
const COEF: f64 = 0.01;

impl Default for Opsd {
    fn default() -> Self {
        Self {
            variant: OpsdVariant::Original,
            jsd: 0.5,
            top: 64,
            teacher: TeacherWeights::Initial,
            context: Privileged::Gold,
            beta: 5.0,
        }
    }
}

impl Opsd {
    /// SDAR's loss with weight 0.01 beside no policy gradient: KL and entropy stay.
    fn released(&self) -> Sdar {
        Sdar { coef: COEF.into(), beta: self.beta, gate: Gate::Gap, grpo: Grpo::default(), ..Sdar::default() }
    }
}

impl Method for Opsd {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let taught = Needs::taught(&self.teacher, self.context);
        match self.variant {
            OpsdVariant::Original => Needs { top: Top { k: self.top, of: Whose::Teacher }, ..taught },
            OpsdVariant::Sampled => taught,
            OpsdVariant::Released => self.released().needs(),
            OpsdVariant::Algorithm => Needs { reference: true, ..Needs::default() },
        }
    }

    /// No reward: advantages are 0.
    fn credit(&self, step: &Tokens) -> Credit {
        Credit::none(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = Aggregation::TokenMean.weights(tokens.rows, tokens.len());
        let mut draft = Draft::new(tokens.len());
        match self.variant {
            OpsdVariant::Original => draft.add_listed(tokens, &weights, 1.0, Listed::Jsd(self.jsd), |_| 1.0),
            OpsdVariant::Sampled => draft.add_sampled(tokens, &weights, 1.0, Sampled::AdvantageRkl, |_| 1.0),
            OpsdVariant::Released => return self.released().token_loss(tokens),
            OpsdVariant::Algorithm => draft.add_k1_to_reference(tokens, &weights, COEF),
        }
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "opsd",
    summary: "self-distillation alone: the teacher is the same model with the solution in its prompt",
    docs: DOCS,
    provenance: "original and sampled form READ in the code of 'Self-Distilled Reasoner' (arXiv 2601.18734); `released` READ in \
                 SDAR's code, `algorithm` in its text (arXiv 2605.15155); that `original` is a token mean is INFERRED; listing \
                 64 tokens and a tail where the authors sum over the vocabulary is ours",
    axes: "credit none | context solution | teacher initial | loss JSD",
    keys: Opsd::KEYS,
};

const DOCS: &str = "\
Idea
  The student plays. The same model, given a solution of the task, says how it would have continued at every token.
  The student moves towards that distribution. No reward.

Formula
  m = (1 - jsd) student + jsd teacher
  L = Agg( jsd KL(teacher || m) + (1 - jsd) KL(student || m) )      jsd 0 = KL(teacher || student), 1 = KL(student || teacher)
  sampled:   L = Agg(-sg[gap_t] log pi(y_t))
  released:  L = 0.01 Agg(sigmoid(beta gap_t) gap_t) + KL and entropy terms of GRPO, without policy gradient
  algorithm: L = 0.01 Agg(log pi(y_t) - log pi_reference(y_t))

Source
  arXiv 2601.18734; the baseline of the same name in SDAR, arXiv 2605.15155, is another method in its text (`algorithm`)
  and a third one in its code (`released`).

True expected gradient
  original: that of the divergence, per position, states taken as given. sampled: reverse KL. released: policy gradient
  with the gate as reward, and that of the KL and entropy terms. algorithm: exactly zero on the student's own samples.

Preconditions
  `gold` needs an environment with an expert; `algorithm` needs the reference weights and no teacher. Known to collapse on
  multi-turn tasks, of which a run is warned when it starts.

Paper and released code
  Four variants by name, above. The authors train LoRA of rank 64 with lr 2e-4 and sample 1,024 tokens at temperature 1.1:
  `model.lora`, `optim` and `rollout` of the recipe, whose defaults are others.

Deviations
  The sum over the vocabulary is one over the teacher's `top` most likely tokens, the sampled one, and a tail bucket.
";
