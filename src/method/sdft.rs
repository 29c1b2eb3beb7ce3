//! SDFT: learning from demonstrations without forgetting: the model that has read one teaches the model that has not.

use serde::{Deserialize, Serialize};

use super::manual::{self, manual};
use super::needs::{Privileged, TeacherWeights};
use super::{Credit, Method, MethodInfo, Needs, Plan, Sdpo, Tokens};

manual! {
/// `[method.sdft]`. The paper leaves the decay open; the rest is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sdft {
    /// Tokens of the student listed per position, >= 1; the rest is one tail bucket.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub top: u32,
    /// `{ ema = DECAY }`, a slow copy of the student. Its decay is ours.
    pub teacher: TeacherWeights,
    /// What the teacher reads: `gold`, a demonstration by the environment's expert.
    pub context: Privileged,
}
}

impl Default for Sdft {
    fn default() -> Self {
        Self { top: 64, teacher: TeacherWeights::Ema(0.99), context: Privileged::Gold }
    }
}

impl Sdft {
    /// SDPO's loss at its reverse end, without a weight by the ratio.
    fn sdpo(&self) -> Sdpo {
        let (top, teacher, context) = (self.top, self.teacher.clone(), self.context);
        Sdpo { alpha: 1.0, top, ratio_cap: 0.0, teacher, context }
    }
}

impl Method for Sdft {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        self.sdpo().stand_ins()
    }

    fn needs(&self) -> Needs {
        self.sdpo().needs()
    }

    /// No reward: advantages are 0.
    fn credit(&self, step: &Tokens) -> Credit {
        Credit::none(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        self.sdpo().token_loss(tokens)
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "sdft",
    summary: "self-distillation from demonstrations: a slow copy of the model that has read one scores the student's play",
    docs: DOCS,
    provenance: "formula READ in notes on the paper (arXiv 2601.19897, not the unrelated 2402.13669); the decay 0.99 and the \
                 64 listed tokens are ours",
    axes: "credit none | context demonstration | teacher ema | loss top-K reverse KL",
    keys: Sdft::KEYS,
};

const DOCS: &str = "\
Idea
  Fine-tuning on demonstrations makes a model forget. Instead the student plays by itself, and the same model, shown a
  demonstration of the task, says at every token how it would go on. What is learnt stays close to what the model is.

Formula
  L      = Agg( KL(pi(. | prompt) || pi_slow(. | demonstration, prompt)) )        slow <- decay slow + (1 - decay) student

Source
  'SDFT', arXiv 2601.19897.

True expected gradient
  That of the reverse KL at the visited states.

Preconditions
  An environment with an expert.

Deviations
  The sum over the vocabulary is one over the student's `top` most likely tokens, the sampled one, and a tail bucket.
";
