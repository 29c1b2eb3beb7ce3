//! ATOD: distillation and reinforcement in one advantage, annealed from the first to the second, weighed by turn.

use serde::{Deserialize, Deserializer, Serialize};

use super::advantage::by_episode;
use super::grpo::{Grpo, GrpoTable};
use super::manual::manual;
use super::needs::{Privileged, TeacherWeights};
use super::schedule::Schedule;
use super::weight::{mean, min_max, soft_or};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens, TurnFacts};

manual! {
/// `[method.atod]`. Defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Atod {
    /// Weight of the teacher's gap in the advantage, or a schedule of it. 0 = no distillation.
    pub distil: Schedule,
    /// Weight of GRPO's advantage, or a schedule of it. 0 = no reward. With `distil = 0` and 1 here: plain GRPO, bit for bit.
    pub reward: Schedule,
    /// How far a turn's student and teacher are apart: `abs` (mean absolute gap) or `signed` (mean of student - teacher).
    pub distance: Distance,
    /// Whose weights the teacher has: `{ checkpoint = "FOLDER" }`, a model trained by reinforcement with the same
    /// tokenizer, must be given; `step-start` with `context = "skills"` is a variant and not the published method.
    pub teacher: TeacherWeights,
    /// What the teacher reads beside the prompt: `none` in the paper.
    pub context: Privileged,
    /// `[method.atod.grpo]`: the reinforcement learning half.
    #[serde(deserialize_with = "own_grpo")]
    pub grpo: Grpo,
}
}

/// How a turn's disagreement is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    #[default]
    Abs,
    Signed,
}

/// What the table does not say is this method's own default.
fn own_grpo<'de, D: Deserializer<'de>>(table: D) -> Result<Grpo, D::Error> {
    GrpoTable::deserialize(table).map(|table| table.over(Atod::default().grpo))
}

impl Default for Atod {
    fn default() -> Self {
        Self {
            distil: Schedule::linear(1.0, 0.1, 80),
            reward: Schedule::linear(1.0, 2.0, 80),
            distance: Distance::Abs,
            teacher: TeacherWeights::Checkpoint(String::new()),
            context: Privileged::None,
            grpo: Grpo { kl_coef: 0.0, entropy_coef: 0.0, ..Grpo::default() },
        }
    }
}

impl Atod {
    /// Weights of an episode's turns: high where the two disagree or the student is unsure.
    fn weigh(&self, step: &Tokens, turns: &[TurnFacts]) -> Vec<f64> {
        let gap = |t: usize| step.gap(t).unwrap_or(0.0);
        let distance = |turn: &TurnFacts| match self.distance {
            Distance::Abs => mean(turn.tokens.clone().map(|t| gap(t).abs())),
            Distance::Signed => mean(turn.tokens.clone().map(|t| -gap(t))),
        };
        let doubt = |turn: &TurnFacts| mean(turn.tokens.clone().map(|t| -f64::from(step.old[t])));
        let far = min_max(&turns.iter().map(distance).collect::<Vec<_>>());
        let unsure = min_max(&turns.iter().map(doubt).collect::<Vec<_>>());
        far.into_iter().zip(unsure).map(|(d, h)| soft_or(d, h)).collect()
    }
}

impl Method for Atod {
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
        let (distil, reward) = (self.distil.at(step.step), self.reward.at(step.step));
        let weights = by_episode(step, |turns| self.weigh(step, turns));
        let (mut gaps, mut count) = (0.0, 0.0);
        for (t, advantage) in credit.advantage.iter_mut().enumerate() {
            if reward != 1.0 {
                *advantage = (reward * f64::from(*advantage)) as f32;
            }
            let Some(gap) = step.gap(t) else { continue };
            if distil != 0.0 {
                *advantage += (distil * weights[t] * gap) as f32;
            }
            gaps += gap;
            count += 1.0;
        }
        credit.metrics.insert("gap/mean", (gaps, count));
        credit.metrics.insert("atod/distil", (distil, 1.0));
        credit.metrics.insert("atod/reward", (reward, 1.0));
        credit.metrics.insert("atod/turn_weight", (weights.iter().sum(), weights.len() as f64));
        credit.weight = weights.into_iter().map(|weight| weight as f32).collect();
        credit
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        self.grpo.token_loss(tokens)
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "atod",
    summary: "a teacher's gap and the reward in one advantage, annealed from the first to the second, weighed by turn",
    docs: DOCS,
    provenance: "formulas and defaults READ in the paper (arXiv 2606.27814, version 1); that d_k is an absolute gap is \
                 INFERRED from its figures; a self-distilled teacher is ours",
    axes: "credit grpo + gap | teacher checkpoint | weight soft-or per turn | schedule linear x2",
    keys: Atod::KEYS,
};

const DOCS: &str = "\
Idea
  Early, learn from a teacher; late, from the reward. The teacher is heard most at turns where it disagrees with the
  student or the student is unsure of itself.

Formula
  d_k    = mean over turn k of |gap|,   h_k = mean of -log pi_old;   each moved to [0, 1] over the episode's turns
  w_k    = 1 - (1 - d_k)(1 - h_k)                                  (flat turns: both 1/2, so w = 3/4)
  A_t    = distil(step) w_k(t) gap_t + reward(step) A_GRPO          in GRPO's clipped surrogate, no KL to a reference

Source
  'ATOD: Annealed Turn-aware On-policy Distillation', arXiv 2606.27814 (version 1; a version 6 exists).

True expected gradient
  At ratio 1 reward(step) times GRPO's plus distil(step) w_k times the descent direction of the reverse KL.

Preconditions
  A teacher trained by reinforcement, with the same tokenizer.

Deviations
  Schedules start at step 1 with their first value: the paper's p = min(s/T, 1) is one step ahead.
";
