//! SOD: on-policy distillation inside the advantage, weaker at steps where the student has drifted from the teacher.

use serde::{Deserialize, Deserializer, Serialize};

use super::advantage::by_episode;
use super::grpo::{Grpo, GrpoTable};
use super::manual::{self, manual};
use super::needs::{Privileged, TeacherWeights};
use super::weight::{mean, step_ratio};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens, TurnFacts};

manual! {
/// `[method.sod]`. Defaults are those of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sod {
    /// Weight of the teacher's gap in the advantage; >= 0. 0 = plain GRPO, bit for bit.
    #[serde(deserialize_with = "manual::non_negative")]
    pub coef: f64,
    /// A turn's weight may exceed that of the first by at most this; >= 0. 0 = it can only fall.
    #[serde(deserialize_with = "manual::non_negative")]
    pub cap: f64,
    /// Whose weights the teacher has: `{ checkpoint = "FOLDER" }`, a stronger model with the same tokenizer, must be given;
    /// `step-start` with `context = "skills"` is a self-distilled variant and not the published method.
    pub teacher: TeacherWeights,
    /// What the teacher reads beside the prompt: `none` in the paper.
    pub context: Privileged,
    /// `[method.sod.grpo]`: the reinforcement learning half.
    #[serde(deserialize_with = "own_grpo")]
    pub grpo: Grpo,
}
}

/// What the table does not say is this method's own default.
fn own_grpo<'de, D: Deserializer<'de>>(table: D) -> Result<Grpo, D::Error> {
    GrpoTable::deserialize(table).map(|table| table.over(Sod::default().grpo))
}

impl Default for Sod {
    fn default() -> Self {
        let grpo = Grpo { clip_high: 0.28, kl_coef: 0.0, entropy_coef: 0.0, ..Grpo::default() };
        let teacher = TeacherWeights::Checkpoint(String::new());
        Self { coef: 1.0, cap: 0.2, teacher, context: Privileged::None, grpo }
    }
}

impl Method for Sod {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        self.teacher.stand_in().into_iter().collect()
    }

    fn needs(&self) -> Needs {
        Needs { teacher: Needs::taught(&self.teacher, self.context).teacher, ..self.grpo.needs() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        let mut credit = self.grpo.credit(step);
        if self.coef == 0.0 || step.teacher.is_none() {
            return credit;
        }
        let distance = |turn: &TurnFacts| mean(turn.tokens.clone().map(|t| step.gap(t).unwrap_or(0.0).abs()));
        let weights = by_episode(step, |turns| step_ratio(&turns.iter().map(distance).collect::<Vec<_>>(), self.cap));
        let (mut gaps, mut count) = (0.0, 0.0);
        for (t, advantage) in credit.advantage.iter_mut().enumerate() {
            let Some(gap) = step.gap(t) else { continue };
            *advantage += (self.coef * weights[t] * gap) as f32;
            gaps += gap;
            count += 1.0;
        }
        let sum = weights.iter().sum::<f64>();
        credit.metrics.insert("gap/mean", (gaps, count));
        credit.metrics.insert("sod/step_weight", (sum, weights.len() as f64));
        credit.weight = weights.into_iter().map(|weight| weight as f32).collect();
        credit
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        self.grpo.token_loss(tokens)
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "sod",
    summary: "GRPO plus a teacher's gap in the advantage, weaker at turns where the student has drifted from the teacher",
    docs: DOCS,
    provenance: "weights and defaults READ in the authors' code (arXiv 2605.07725), formulas READ in notes that agree with \
                 it; a self-distilled teacher is ours",
    axes: "credit grpo + gap | teacher checkpoint | weight step ratio per turn",
    keys: Sod::KEYS,
};

const DOCS: &str = "\
Idea
  A stronger model scores every token the student chose. Where the conversation has led the student away from what the
  teacher knows, its advice is worth less: turns weigh by how near student and teacher are, compared with the first turn.

Formula
  d_k    = mean over turn k of |log pi_old - log pi_teacher|
  w_1    = 1,   w_k = min(prod_{u<k} (d_u + eps)/(d_{u+1} + eps), 1 + cap) = min((d_1 + eps)/(d_k + eps), 1 + cap)
  A_t    = A_GRPO + coef w_k(t) (log pi_teacher - log pi_old)          in GRPO's clipped surrogate; eps = 1e-6

Source
  'SOD: Step-wise On-policy Distillation', arXiv 2605.07725, and its code.

True expected gradient
  At ratio 1 that of GRPO plus coef w_k times the descent direction of the reverse KL(student || teacher).

Preconditions
  A teacher with the same tokenizer. With one turn w = 1 and this is GRPO + OPD.

Deviations
  The authors first train on 3k traces; `sdlab pretrain` is the place for that.
  Their older branch, which gates by outcome, is not offered.
";
