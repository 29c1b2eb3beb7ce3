//! SOLAR-RL: credit without play: candidates at the steps of an expert's trajectory, cut at the first failure.

use serde::{Deserialize, Serialize};

use super::advantage::{episodes, shaped_steps};
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::needs::Extra;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.solar]`. Candidates and shaping are the paper's; the mix of the target is ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Solar {
    /// Candidate actions at every step of the expert's trajectory, >= 1; they take the place of the group's rollouts.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub candidates: u32,
    /// A candidate whose validity is below this is a failure, in [0, 1].
    #[serde(deserialize_with = "manual::share")]
    pub threshold: f64,
    /// What the target of a trajectory is made of: mean validity, share of the steps before the first failure, success;
    /// each >= 0. Ours.
    #[serde(deserialize_with = "manual::each_non_negative")]
    pub mix: [f64; 3],
    /// `[method.solar.grpo]`: clip, KL, entropy and aggregation.
    pub grpo: Grpo,
}
}

impl Default for Solar {
    fn default() -> Self {
        Self { candidates: 8, threshold: 0.5, mix: [0.5, 0.25, 0.25], grpo: Grpo::default() }
    }
}

impl Solar {
    /// Shaped rewards of a trajectory's steps from their validities, up to and with the first failure.
    pub fn shape(&self, validity: &[f64]) -> Vec<f64> {
        let steps = validity.len().max(1) as f64;
        let failure = validity.iter().position(|v| *v < self.threshold).unwrap_or(validity.len());
        let mean = validity.iter().sum::<f64>() / steps;
        let success = f64::from(u8::from(failure == validity.len()));
        let quality = self.mix[0] * mean + self.mix[1] * failure as f64 / steps + self.mix[2] * success;
        shaped_steps(validity, quality * steps, self.threshold)
    }
}

impl Method for Solar {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        vec!["validity: word overlap with a scripted expert"]
    }

    fn needs(&self) -> Needs {
        Needs { extra: Some(Extra::Offline(self.candidates)), ..self.grpo.needs() }
    }

    /// Every turn's shaped reward, less the mean over its group and divided by the spread.
    fn credit(&self, step: &Tokens) -> Credit {
        let mut advantage = vec![0.0f32; step.len()];
        let (mut valid, mut turns) = (0.0, 0.0);
        let trajectories = episodes(step);
        let group_of = |trajectory: &[(usize, usize)]| trajectory.first().map(|&(row, _)| step.facts[row].group);
        let mut groups: Vec<usize> = trajectories.iter().filter_map(|t| group_of(t)).collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            let own = trajectories.iter().filter(|t| group_of(t) == Some(group));
            let mut shaped: Vec<((usize, usize), f64)> = vec![];
            for trajectory in own {
                let validity: Vec<f64> = trajectory.iter().map(|&(row, k)| step.facts[row].turns[k].reward).collect();
                valid += validity.iter().sum::<f64>();
                turns += validity.len() as f64;
                shaped.extend(trajectory.iter().copied().zip(self.shape(&validity)));
            }
            let count = shaped.len() as f64;
            let mean = shaped.iter().map(|(_, r)| r).sum::<f64>() / count.max(1.0);
            let squares = shaped.iter().map(|(_, r)| (r - mean).powi(2)).sum::<f64>();
            let spread = (squares / (count - 1.0).max(1.0)).sqrt() + 1e-6;
            for ((row, k), reward) in shaped {
                let tokens = step.facts[row].turns[k].tokens.clone();
                advantage[tokens].fill(((reward - mean) / spread) as f32);
            }
        }
        let metrics = [("solar/validity", (valid, turns))].into();
        Credit { advantage, metrics, ..Credit::default() }
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        self.grpo.token_loss(tokens)
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "solar",
    summary: "no play: candidates at an expert's steps, spliced to trajectories, rewarded densely up to the first failure",
    docs: DOCS,
    provenance: "candidates, validity and shaping READ in two notes on the paper (arXiv 2604.22558); the target's mix and the \
                 normalisation are INFERRED; exact match and word overlap with the expert's action stand in for its scorers",
    axes: "credit grpo on shaped steps | rollout offline reconstruction",
    keys: Solar::KEYS,
};

const DOCS: &str = "\
Idea
  An expert's trajectory has a right action at every step. Ask the policy for several candidates at each, splice those of
  the same number to trajectories, and reward every step by how it fits, up to the first that does not: that is how far
  the policy would have come.

Formula
  s_k    in [0, 1]: 1 where the action is the expert's, else the F1 of their words
  base   s_k before the first failure (s_k < threshold), -(1 - s_k) at it; what is behind it is cut off
  R      = (mix_1 mean s + mix_2 share of steps before the failure + mix_3 success) x steps
  r_k    = base_k + (R - sum base) / (number of positive steps before the failure)   on those; base_k where there is none
  A_k    = (r_k - mean) / spread over the steps of the group's cut trajectories, 0 behind a cut; then GRPO's surrogate

Source
  'SOLAR-RL: Semi-Online Long-horizon Assignment RL', arXiv 2604.22558.

True expected gradient
  Policy gradient at the expert's states with r_k as reward; the states are not the policy's own.

Preconditions
  An environment with an expert. No claim about graphical interfaces is made: here the steps are texts.

Deviations
  Rewards are normalised together, not positives and negatives apart. One stage instead of two. The reported success is
  that every candidate of a trajectory fits; evaluation plays for real.
";
