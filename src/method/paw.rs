//! PaW: the policy also learns to predict what the environment will answer, from tokens it has already seen.

use serde::{Deserialize, Serialize};

use super::gigpo::Gigpo;
use super::manual::{self, manual};
use super::weight::{keep_top, mean};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.paw]`. The paper's alpha, bound and base weight are not known; these are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paw {
    /// Weight of the world-model loss before the group's factor; >= 0. 0 = the backbone, bit for bit. Ours.
    #[serde(deserialize_with = "manual::non_negative")]
    pub coef: f64,
    /// Share of the step's turns whose answers are predicted, those with the highest entropy, in [0, 1]. Ours.
    #[serde(deserialize_with = "manual::share")]
    pub keep: f64,
    /// Tokens predicted with at least this probability teach nothing, in [0, 1]. Ours.
    #[serde(deserialize_with = "manual::share")]
    pub confident: f64,
    /// `[method.paw.gigpo]`: the backbone. `step_weight = 0` and `normalise = true` make it GRPO.
    pub gigpo: Gigpo,
}
}

impl Default for Paw {
    fn default() -> Self {
        Self { coef: 0.1, keep: 0.5, confident: 0.9, gigpo: Gigpo::default() }
    }
}

impl Paw {
    /// Entropy of every turn with the place of its first token and the factor `1 - R/Rmax` of its group.
    fn turns(&self, step: &Tokens) -> Vec<(std::ops::Range<usize>, f64, f64)> {
        let mut turns = vec![];
        for group in step.groups() {
            let score = mean(group.iter().map(|&row| step.facts[row].score));
            for turn in group.iter().flat_map(|&row| &step.facts[row].turns) {
                // of the action, where it is known which tokens say it
                let of = if turn.action.is_empty() { &turn.tokens } else { &turn.action };
                let entropy = mean(of.clone().map(|t| f64::from(step.entropy[t])));
                turns.push((turn.tokens.clone(), entropy, (1.0 - score).clamp(0.0, 1.0)));
            }
        }
        turns
    }
}

impl Method for Paw {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        Needs { given: self.coef > 0.0, ..self.gigpo.needs() }
    }

    /// The weight of a turn's tokens is that of predicting the answer to it.
    fn credit(&self, step: &Tokens) -> Credit {
        let mut credit = self.gigpo.credit(step);
        let turns = self.turns(step);
        let kept = keep_top(&turns.iter().map(|turn| turn.1).collect::<Vec<_>>(), self.keep);
        let mut weight = vec![0.0f32; step.len()];
        for ((tokens, _, factor), _) in turns.iter().zip(kept).filter(|(_, kept)| *kept) {
            weight[tokens.clone()].fill(*factor as f32);
        }
        credit.metrics.insert("paw/factor", (turns.iter().map(|t| t.2).sum(), turns.len() as f64));
        credit.weight = weight;
        credit
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let grpo = &self.gigpo.grpo;
        let weights = grpo.aggregation.weights(tokens.rows, tokens.len());
        let mut draft = grpo.draft(tokens, &weights);
        let (Some(given), Some(weight), true) = (tokens.given, tokens.weight, self.coef > 0.0) else {
            return draft.into_plan();
        };
        draft.d_given = vec![0.0; given.student.len()];
        let count = given.student.len().max(1) as f64;
        let (mut loss, mut taught) = (0.0, 0.0);
        for (row, places) in given.rows.iter().enumerate() {
            for m in places.clone() {
                let turn = tokens.facts.get(row).and_then(|facts| facts.turns.get(given.turn[m] as usize));
                let factor = turn.map_or(0.0, |turn| weight.get(turn.tokens.start).copied().unwrap_or(0.0));
                let p = f64::from(given.student[m]).exp();
                if factor == 0.0 || p >= self.confident {
                    continue;
                }
                let scale = self.coef * f64::from(factor) / count;
                loss += scale * (1.0 - p);
                taught += 1.0;
                draft.d_given[m] = -scale * p; // d(1 - p)/dlog p
            }
        }
        draft.value += loss;
        draft.metrics.insert("paw/loss", (loss, 1.0));
        draft.metrics.insert("paw/taught", (taught, count));
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "paw",
    summary: "GiGPO or GRPO plus prediction of the environment's answers, with a loss that ignores what cannot be known",
    docs: DOCS,
    provenance: "selection, clipped absolute error and factor READ in notes on the paper (arXiv 2606.02388); the form \
                 1[p < c](1 - p) is INFERRED; coef, keep and confident are ours",
    axes: "credit gigpo or grpo | aux next observation, top share by entropy, 1 - R/Rmax",
    keys: Paw::KEYS,
};

const DOCS: &str = "\
Idea
  What the environment answered stands in every rollout and is thrown away. Predicting it, with the same model and head,
  teaches how the world works; most where the policy was unsure and while the task is not yet solved.

Formula
  turns   the `keep` share of the step's turns with the highest mean entropy
  L_obs   = mean over answered tokens of factor 1[p < confident] (1 - p)       p = pi(answer token | all before it)
  factor  = 1 - R / R_max of the group, on the chosen turns, else 0
  L       = L_GiGPO + coef L_obs

Source
  'PaW: Policy and World-modelling co-training', arXiv 2606.02388.

True expected gradient
  Of the second term: likelihood of the answers, each token weighed by its own probability, so that what looks
  impossible pulls little, and nothing where the prediction is good.

Preconditions
  The transcript layout: under `history` no answer stands in a row.

Deviations
  R / R_max is the environment's own score in [0, 1]. The entropy is averaged over the action's tokens (over the
  whole reply where they are not known), and answered tokens include the template's own, which are soon predicted well
  enough to be left out.
";
