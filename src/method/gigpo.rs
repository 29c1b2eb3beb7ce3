//! GiGPO: GRPO with a second, step-level group: turns of one task that were played in the same state.

use serde::{Deserialize, Serialize};

use super::advantage::{add_turns, anchored, returns_to_go};
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::math::spread;
use super::{Credit, Method, MethodInfo, Needs, Plan, RowFacts, Tokens};

manual! {
/// `[method.gigpo]`. Defaults are the authors' setting for ALFWorld and WebShop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gigpo {
    /// Weight of the step-level advantage; >= 0. 0 = only the episode's; with `normalise`, plain GRPO, bit for bit.
    #[serde(deserialize_with = "manual::non_negative")]
    pub step_weight: f64,
    /// Discount of later rewards, in [0, 1].
    #[serde(deserialize_with = "manual::share")]
    pub gamma: f64,
    /// Whether both advantages are divided by the spread of their group. `false` = the authors' `mean_norm`.
    pub normalise: bool,
    /// `[method.gigpo.grpo]`: clip, KL, entropy and aggregation; its `advantage` says over what the mean is.
    pub grpo: Grpo,
}
}

impl Default for Gigpo {
    fn default() -> Self {
        Self { step_weight: 1.0, gamma: 0.95, normalise: false, grpo: Grpo::default() }
    }
}

impl Gigpo {
    /// Episode advantage of every row. [R]
    fn episodes(&self, step: &Tokens) -> Vec<f64> {
        if self.normalise {
            return self.grpo.advantage.of(step);
        }
        let mut advantage = vec![0.0; step.rows.len()];
        for group in step.groups() {
            let facts: Vec<&RowFacts> = group.iter().map(|&row| &step.facts[row]).collect();
            for (row, value) in group.into_iter().zip(self.grpo.advantage.centred(&facts)) {
                advantage[row] = value;
            }
        }
        advantage
    }
}

impl Method for Gigpo {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        self.grpo.needs()
    }

    fn credit(&self, step: &Tokens) -> Credit {
        let mut advantage = spread(step, &self.episodes(step));
        let (steps, hits) = anchored(step, &returns_to_go(step, self.gamma), self.normalise);
        add_turns(&mut advantage, step, &steps, self.step_weight);
        let metrics = [("anchor/hit_rate", (hits, 1.0))].into();
        Credit { advantage, metrics, ..Credit::default() }
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        self.grpo.token_loss(tokens)
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "gigpo",
    summary: "GRPO plus a step-level group: turns played in the same state are compared with each other",
    docs: DOCS,
    provenance: "formula and defaults READ in the authors' code (arXiv 2505.10978); clip, KL and entropy as in `grpo`",
    axes: "credit gigpo",
    keys: Gigpo::KEYS,
};

const DOCS: &str = "\
Idea
  Rollouts of one task meet the same states. A turn is judged not only by how its episode ended but also by how those
  fared who stood at the same place and did something else.

Formula
  A_E    = R - mean of the group                                   (divided by the spread where normalise = true)
  G_k    = sum_u gamma^(u-k) reward_u
  A_S    = G_k - mean of G over all turns of the group with the same observation;  0 for a state met once
  A      = A_E + step_weight A_S                                    on all tokens of turn k

Source
  'Group-in-Group Policy Optimization' (GiGPO), arXiv 2505.10978, and its code.

True expected gradient
  Policy gradient with a baseline by state; A_S is a difference of returns from one state.

Preconditions
  States must repeat: `anchor/hit_rate` is shown, and where it is near 0 (search tasks) this is GRPO without the spread.

Deviations
  States are compared by their exact observation; the authors' option of text similarity is not offered.
  A penalty for an invalid action is part of the row's score, not of the step rewards.
";
