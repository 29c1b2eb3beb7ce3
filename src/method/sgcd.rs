//! SGCD: distillation as credit alone: where the model that knows how siblings fared would have gone another way, the
//! reward counts double.

use serde::{Deserialize, Serialize};

use super::advantage::episodes;
use super::estimator::Listed;
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::needs::{Privileged, Taught, TeacherNeed, TeacherWeights, Top, Whose};
use super::weight::min_max;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.sgcd]`. The thresholds of the segments are ours; the paper gives none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgcd {
    /// How much a salient token's advantage grows; >= 0. 0 = plain GRPO, bit for bit.
    #[serde(deserialize_with = "manual::non_negative")]
    pub gamma: f64,
    /// It grows at most to this many times; >= 1.
    #[serde(deserialize_with = "manual::from_one")]
    pub cap: f64,
    /// A segment starts where the divergence, moved to [0, 1] over the rollout, reaches this; in [0, 1]. Ours.
    #[serde(deserialize_with = "manual::share")]
    pub spike: f64,
    /// It ends where the divergence falls below this; in [0, 1]. Ours.
    #[serde(deserialize_with = "manual::share")]
    pub reset: f64,
    /// Or where the teacher's entropy has risen by this many nats since its start; >= 0. Ours.
    #[serde(deserialize_with = "manual::non_negative")]
    pub rise: f64,
    /// Tokens of the teacher listed per position, >= 1; the sampled one is always among them, the rest is one tail bucket.
    /// The paper's number is not known; ours.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub top: u32,
    /// What the teacher reads: `sibling-contrast`, how a success and a failure of the group differ.
    pub context: Privileged,
    /// `[method.sgcd.grpo]`: where the advantages come from.
    pub grpo: Grpo,
}
}

impl Default for Sgcd {
    fn default() -> Self {
        Self {
            gamma: 1.0,
            cap: 2.0,
            spike: 0.5,
            reset: 0.1,
            rise: 0.5,
            top: 32,
            context: Privileged::SiblingContrast,
            grpo: Grpo::default(),
        }
    }
}

impl Sgcd {
    /// Saliency of a rollout's tokens in [0, 1]: the height of the spike that opened the segment a token lies in, else 0.
    pub fn segments(&self, divergence: &[f64], entropy: &[f64]) -> Vec<f64> {
        let height = min_max(divergence);
        let flat = height.iter().all(|h| *h == 0.5);
        let mut open: Option<(f64, f64)> = None;
        let mut saliency = vec![0.0; divergence.len()];
        for t in 0..divergence.len() {
            if let Some((_, start)) = open
                && (height[t] < self.reset || entropy[t] > start + self.rise)
            {
                open = None;
            }
            if !flat && height[t] >= self.spike && open.is_none_or(|(top, _)| height[t] > top) {
                open = Some((height[t], entropy[t]));
            }
            saliency[t] = open.map_or(0.0, |(top, _)| top);
        }
        saliency
    }
}

impl Method for Sgcd {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        let ruled = self.gamma > 0.0 && self.context == Privileged::SiblingContrast;
        if ruled { vec!["contrast: by rule, not by a model"] } else { vec![] }
    }

    fn needs(&self) -> Needs {
        let teacher = TeacherNeed { weights: TeacherWeights::StepStart, context: self.context, rows: Taught::Mixed };
        Needs { teacher: Some(teacher), top: Top { k: self.top, of: Whose::Teacher }, ..self.grpo.needs() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        let mut credit = self.grpo.credit(step);
        let (Some(top), Some(entropy), true) = (step.top, step.teacher_entropy, self.gamma > 0.0) else {
            return credit;
        };
        let mut weight = vec![1.0f32; step.len()];
        let (mut salient, mut count) = (0.0, 0.0);
        for rollout in episodes(step) {
            let of = |(row, k): (usize, usize)| step.facts[row].turns[k].tokens.clone();
            let tokens: Vec<usize> = rollout.into_iter().flat_map(of).filter(|&t| step.gap(t).is_some()).collect();
            let divergence = |t: usize| {
                let part = t * top.k..(t + 1) * top.k;
                Listed::Rkl.at(&top.student[part.clone()], &top.teacher[part]).value
            };
            let divergences: Vec<f64> = tokens.iter().map(|&t| divergence(t)).collect();
            let entropies: Vec<f64> = tokens.iter().map(|&t| f64::from(entropy[t])).collect();
            for (t, saliency) in tokens.into_iter().zip(self.segments(&divergences, &entropies)) {
                let factor = (1.0 + self.gamma * saliency).clamp(1.0, self.cap.max(1.0));
                credit.advantage[t] = (f64::from(credit.advantage[t]) * factor) as f32;
                weight[t] = factor as f32;
                salient += f64::from(u8::from(saliency > 0.0));
                count += 1.0;
            }
        }
        credit.metrics.insert("sgcd/salient", (salient, count));
        credit.weight = weight;
        credit
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        self.grpo.token_loss(tokens)
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "sgcd",
    summary: "GRPO whose advantages grow on the stretches where a view that knows the siblings' fates diverges",
    docs: DOCS,
    provenance: "weights, gamma and cap READ in the paper (arXiv 2606.12634); thresholds of the segments and the \
                 length of the list are ours; the \
                 reference is made by rule from the traces where the authors ask an external model",
    axes: "credit grpo x saliency | context sibling contrast | teacher self | select mixed groups",
    keys: Sgcd::KEYS,
};

const DOCS: &str = "\
Idea
  In a group with successes and failures, what separates them says where the decision fell. The same model, told of it,
  is compared with the student token by token; the stretches where the two part are where credit belongs. The teacher
  never pulls: it only says where the reward counts more.

Formula
  d_t    = KL(student || teacher) over the teacher's top tokens, the sampled one and a tail
  s_t    in [0, 1]: d moved to [0, 1] over the rollout; a segment opens at a spike, lasts while the teacher stays sure, and
         closes when its entropy rises or the divergence resets; s is the height of its spike, 0 outside
  A_t    = A clip(1 + gamma s_t, 1, cap)                                  in GRPO

Source
  'SGCD: Sibling-Guided Credit Distillation', arXiv 2606.12634.

True expected gradient
  Policy gradient with the advantages A_t; no sign is ever flipped, and no term pulls towards the teacher.

Preconditions
  Groups with both outcomes; elsewhere this is GRPO.

Deviations
  The contrast is a line on each of two siblings and on the turn where they part, written by rule and not by a model.
";
