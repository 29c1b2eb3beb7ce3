//! CRAFT: SDAR's gate replaced by a signed credit estimated from the siblings of the rollout.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::estimator::Sampled;
use super::grpo::{Grpo, GrpoTable};
use super::manual::{self, manual};
use super::math::{KlEstimator, Slope, Weights};
use super::needs::Privileged;
use super::schedule::GateAverage;
use super::weight::{counterfactual, squash};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.craft]`. Defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Craft {
    /// Weight of the credit's loss where few and where all tokens have credit; each >= 0. `[0, 0]` = none.
    #[serde(deserialize_with = "manual::each_non_negative")]
    pub credit: [f64; 2],
    /// Weight of the KL to the reference where all and where few tokens have credit; each >= 0. `[0, 0]` = none; with
    /// `credit = [0, 0]` too: plain GRPO without KL, bit for bit.
    #[serde(deserialize_with = "manual::each_non_negative")]
    pub kl: [f64; 2],
    /// Sharpness of positive and of negative credit; each >= 0. 0 = no credit of that sign.
    #[serde(deserialize_with = "manual::each_non_negative")]
    pub beta: [f64; 2],
    /// Temperature of the siblings' weights, in nats of gap; > 0.
    #[serde(deserialize_with = "manual::positive")]
    pub tau: f64,
    /// Fewest rollouts with a token at the same place; below it the credit is the own advantage times the gap.
    pub least: u32,
    /// A token has credit where it exceeds this in size, in [0, 1).
    #[serde(deserialize_with = "manual::below_one")]
    pub threshold: f64,
    /// Decay of the average of the share of such tokens, in [0, 1).
    #[serde(deserialize_with = "manual::below_one")]
    pub decay: f64,
    /// Steps before the average decides; until then both weights are at their lower end.
    pub warmup: u64,
    /// Whether the KL to the reference follows the sign of the credit (the paper's P3); `false` = k3 everywhere.
    pub polarised: bool,
    /// Which tokens of siblings are compared: `index` (same number in the episode, as printed) or `turn` (same number in the
    /// same turn; ours).
    pub align: Align,
    /// `[method.craft.grpo]`: the reinforcement learning half, without its own KL.
    #[serde(deserialize_with = "own_grpo")]
    pub grpo: Grpo,
}
state {
    /// Average of the share of tokens with credit.
    pub controller: GateAverage,
}
}

/// How tokens of siblings are matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    #[default]
    Index,
    Turn,
}

/// What the table does not say is this method's own default.
fn own_grpo<'de, D: Deserializer<'de>>(table: D) -> Result<Grpo, D::Error> {
    GrpoTable::deserialize(table).map(|table| table.over(Craft::default().grpo))
}

impl Default for Craft {
    fn default() -> Self {
        Self {
            credit: [0.005, 0.02],
            kl: [0.005, 0.02],
            beta: [5.0, 5.0],
            tau: 1.0,
            least: 2,
            threshold: 0.1,
            decay: 0.95,
            warmup: 10,
            polarised: true,
            align: Align::Index,
            controller: GateAverage::default(),
            grpo: Grpo { kl_coef: 0.0, ..Grpo::default() },
        }
    }
}

impl Craft {
    /// Present weights of the credit's loss and of the KL.
    pub fn weights(&self) -> (f64, f64) {
        let share = self.controller.share(self.warmup);
        let mix = |[low, high]: [f64; 2], share: Option<f64>| low + (high - low) * share.unwrap_or(0.0);
        (mix(self.credit, share), mix(self.kl, share.map(|share| 1.0 - share)))
    }

    /// Signed credit of every token; 0 where there is no gap. [N]
    fn signed(&self, step: &Tokens, advantage: &[f32]) -> Vec<f64> {
        let mut places: BTreeMap<(usize, u32, usize), Vec<(usize, usize)>> = BTreeMap::new();
        let mut passed: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for row in step.facts.iter().filter(|row| !row.extra) {
            let before = passed.entry((row.group, row.member)).or_insert(0);
            for turn in &row.turns {
                for (i, t) in turn.tokens.clone().enumerate().filter(|&(_, t)| step.gap(t).is_some()) {
                    let key = match self.align {
                        Align::Index => (row.group, 0, *before + i),
                        Align::Turn => (row.group, turn.index, i),
                    };
                    places.entry(key).or_default().push((t, row.member));
                }
                *before += turn.tokens.len();
            }
        }
        let mut credit = vec![0.0; step.len()];
        for met in places.values() {
            for &(t, member) in met {
                let others = met.iter().filter(|(_, other)| *other != member);
                let siblings: Vec<(f64, f64)> =
                    others.filter_map(|&(s, _)| Some((step.gap(s)?, f64::from(advantage[s])))).collect();
                let own = f64::from(advantage[t]);
                credit[t] = if siblings.is_empty() || met.len() < self.least as usize {
                    squash(own * step.gap(t).unwrap_or(0.0), self.beta)
                } else {
                    counterfactual(&siblings, own, self.tau, self.beta)
                };
            }
        }
        credit
    }

    /// The divergence from the reference at one token, by the sign of its credit.
    fn polar(&self, lp_student: f64, lp_reference: f64, credit: f64) -> Slope {
        match () {
            () if self.polarised && credit > 0.0 => Slope { value: lp_student - lp_reference, slope: 1.0 },
            () if self.polarised && credit < 0.0 => Slope { value: -lp_student - lp_reference, slope: -1.0 },
            () => KlEstimator::K3.at(lp_student, lp_reference),
        }
    }

    fn add_reference(&self, draft: &mut super::draft::Draft, tokens: &Tokens, weights: &Weights, coef: f64) {
        let (Some(reference), true) = (tokens.reference, coef > 0.0) else { return };
        for (t, weight) in weights.live() {
            let credit = tokens.weight.map_or(0.0, |weight| f64::from(weight[t]));
            let token = self.polar(f64::from(tokens.student[t]), f64::from(reference[t]), credit);
            draft.add(t, coef * weight * token.value, coef * weight * token.slope);
        }
    }
}

impl Method for Craft {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let reference = self.kl != [0.0, 0.0];
        Needs { teacher: Needs::reading(Privileged::Skills).teacher, reference, ..self.grpo.needs() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        let mut credit = self.grpo.credit(step);
        let signed = self.signed(step, &credit.advantage);
        let active = signed.iter().filter(|c| c.abs() > self.threshold).count() as f64;
        let count = signed.len() as f64;
        credit.metrics.insert("craft/active", (active, count));
        credit.metrics.insert("craft/positive", (signed.iter().filter(|c| **c > 0.0).count() as f64, count));
        credit.weight = signed.into_iter().map(|c| c as f32).collect();
        credit
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = self.grpo.aggregation.weights(tokens.rows, tokens.len());
        let mut draft = self.grpo.draft(tokens, &weights);
        let (credit, kl) = self.weights();
        if let Some(signed) = tokens.weight {
            draft.add_sampled(tokens, &weights, credit, Sampled::Nll, |t| f64::from(signed[t]));
        }
        self.add_reference(&mut draft, tokens, &weights, kl);
        draft.into_plan()
    }

    fn adapt(&mut self, sums: &BTreeMap<&'static str, (f64, f64)>) {
        let Some((active, count)) = sums.get("craft/active") else { return };
        self.controller.see(active / count.max(1.0), self.decay);
    }

    fn state(&self) -> Vec<f64> {
        vec![self.controller.average, self.controller.age as f64]
    }

    fn resume(&mut self, state: &[f64]) {
        if let [average, age] = state {
            self.controller = GateAverage { average: *average, age: *age as u64 };
        }
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "craft",
    summary: "GRPO plus a signed token credit: what the siblings whose tokens the teacher likes gained, less the own gain",
    docs: DOCS,
    provenance: "formulas and defaults READ in the paper (arXiv 2606.29476); which end of the ranges holds during warm-up is \
                 INFERRED; align = \"turn\" is ours",
    axes: "credit grpo | context skills | teacher self | weight signed sibling credit | loss -c log p, polarised KL | \
           schedule gate average",
    keys: Craft::KEYS,
};

const DOCS: &str = "\
Idea
  What would a token have been worth had it been a sibling's? Siblings whose token at the same place the teacher endorses
  stand in for the counterfactual: their advantages, weighed by their gaps, less the own one, say with which sign and how
  strongly the token is to be distilled.

Formula
  w_j    = softmax over siblings j of gap_j / tau           CTI_i = sum_j w_j A_j - A_i
  c_t    = sign(CTI) (2 sigmoid(beta |CTI|) - 1)            detached; fewer than `least` rollouts: CTI = A_i gap_t
  L      = L_GRPO + mu L_KL - lambda Agg(c_t log pi(y_t))
  L_KL   = log pi - log ref where c > 0;  -log pi - log ref where c < 0;  k3 where c = 0
  share  = average of the share of |c| > threshold;  lambda = low + (high - low) share;  mu = low + (high - low)(1 - share)

Source
  'CRAFT', arXiv 2606.29476; its backbone is SDAR.

True expected gradient
  Policy gradient with the reward lambda c_t. Both signed branches of the KL are k1 as a loss: as printed, the first
  lowers the likelihood of the very tokens whose credit is positive (the paper reports +0.3 to +0.5 points for it).

Preconditions
  At least two rollouts of a group reach a token's place. Tokens at the same index are alike only near the start of an
  episode: `align = \"turn\"` compares within turns, and is not the paper's.

Deviations
  Credit is made once per step, with the step-start weights. During warm-up both weights are at the lower ends of their
  ranges (the paper does not say).
";
