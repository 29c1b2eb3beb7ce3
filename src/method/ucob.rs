//! UCOB: half the group plays with skills, half without; at a state both have met, the view that fared better teaches
//! the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::advantage::returns_to_go;
use super::estimator::Listed;
use super::gigpo::Gigpo;
use super::manual::{self, manual};
use super::math::sigmoid;
use super::needs::{Extra, Privileged, Taught, TeacherNeed, TeacherWeights, Top, Whose};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};
use crate::core::View;

manual! {
/// `[method.ucob]`. Defaults are the paper's; its skill writer is not part of this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ucob {
    /// Weight of the distillation between the views; >= 0. 0 = GiGPO on half-skilled groups.
    #[serde(deserialize_with = "manual::non_negative")]
    pub coef: f64,
    /// Share of every group that plays with skills, in [0, 1].
    #[serde(deserialize_with = "manual::share")]
    pub share: f64,
    /// The winner's return must exceed the other view's best by this at least; >= 0.
    #[serde(deserialize_with = "manual::non_negative")]
    pub margin: f64,
    /// The difference of returns is divided by this, > 0, ...
    #[serde(deserialize_with = "manual::positive")]
    pub tau: f64,
    /// ... and then bounded by this; >= 0.
    #[serde(deserialize_with = "manual::non_negative")]
    pub most: f64,
    /// Sharpness of the gate on the gap between the views, per nat; >= 0. 0 = a constant 1/2.
    #[serde(deserialize_with = "manual::non_negative")]
    pub beta: f64,
    /// Tokens of an action count so many times; >= 0. 1 = as in the paper's formula, 2 in its released code.
    #[serde(deserialize_with = "manual::non_negative")]
    pub action_weight: f64,
    /// Tokens of the winning view listed per position, >= 1; both views are renormalised on them.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub top: u32,
    /// `[method.ucob.gigpo]`: the backbone, with its KL of 0.01.
    pub gigpo: Gigpo,
}
}

impl Default for Ucob {
    fn default() -> Self {
        let mut gigpo = Gigpo::default();
        gigpo.grpo.kl_coef = 0.01;
        Self { coef: 0.1, share: 0.5, margin: 0.05, tau: 0.2, most: 2.0, beta: 5.0, action_weight: 1.0, top: 32, gigpo }
    }
}

impl Ucob {
    /// Weight of every token of a mirrored row: how much better its turn fared than the other view at the same state. [N]
    fn wins(&self, step: &Tokens) -> (Vec<f32>, f64) {
        let returns = returns_to_go(step, self.gigpo.gamma);
        let mut met: BTreeMap<(usize, u64), [f64; 2]> = BTreeMap::new();
        for (row, values) in step.facts.iter().zip(&returns).filter(|(row, _)| !row.extra) {
            for (turn, value) in row.turns.iter().zip(values) {
                let best = met.entry((row.group, turn.anchor)).or_insert([f64::NEG_INFINITY; 2]);
                let side = usize::from(row.view == View::Skilled);
                best[side] = best[side].max(*value);
            }
        }
        let mut weight = vec![0.0; step.len()];
        let mut count = 0.0;
        for (row, values) in step.facts.iter().zip(&returns).filter(|(row, _)| row.extra) {
            for (turn, value) in row.turns.iter().zip(values) {
                let Some(best) = met.get(&(row.group, turn.anchor)) else { continue };
                let side = usize::from(row.view == View::Skilled);
                // the best of its own view there, and the other view was there too
                let lead = value - best[1 - side];
                if *value < best[side] || !lead.is_finite() || lead <= self.margin {
                    continue;
                }
                let own = (lead / self.tau).clamp(0.0, self.most);
                weight[turn.tokens.clone()].fill(own as f32);
                weight[turn.action.clone()].fill((own * self.action_weight) as f32);
                count += 1.0;
            }
        }
        (weight, count)
    }
}

impl Method for Ucob {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        vec!["skills: the recipe's bank, no writer is trained"]
    }

    fn needs(&self) -> Needs {
        let needs = Needs { skilled_share: self.share, ..self.gigpo.needs() };
        if self.coef == 0.0 {
            return needs;
        }
        let teacher =
            TeacherNeed { weights: TeacherWeights::StepStart, context: Privileged::Skills, rows: Taught::Extra };
        let top = Top { k: self.top, of: Whose::Teacher };
        Needs { teacher: Some(teacher), top, extra: Some(Extra::Mirrored), ..needs }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        let mut credit = self.gigpo.credit(step);
        let (weight, wins) = self.wins(step);
        let turns: usize = step.facts.iter().filter(|row| row.extra).map(|row| row.turns.len()).sum();
        credit.metrics.insert("ucob/wins", (wins, turns as f64));
        credit.weight = weight;
        credit
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let grpo = &self.gigpo.grpo;
        let weights = grpo.aggregation.weights(&tokens.part(false), tokens.len());
        let mut draft = grpo.draft(tokens, &weights);
        let mirrored = grpo.aggregation.weights(&tokens.part(true), tokens.len());
        let (Some(weight), Some(teacher), true) = (tokens.weight, tokens.teacher, mirrored.mass > 0.0) else {
            return draft.into_plan();
        };
        let scale = |t: usize| {
            let gap = f64::from(teacher[t]) - f64::from(tokens.student[t]);
            if weight[t] > 0.0 { f64::from(weight[t]) * sigmoid(self.beta * gap) } else { 0.0 }
        };
        // a mean over the tokens of winning turns, not over all mirrored ones
        let winning = mirrored.live().filter(|&(t, _)| weight[t] > 0.0).map(|(_, w)| w).sum::<f64>();
        let coef = if winning > 0.0 { self.coef / winning } else { 0.0 };
        draft.add_listed(tokens, &mirrored, coef, Listed::RenormalisedFkl, scale);
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "ucob",
    summary: "GiGPO on groups played half with skills, half without; at shared states the better view teaches the other",
    docs: DOCS,
    provenance: "formulas and defaults READ in the paper (arXiv 2606.29502) and its code; the paper's rule, not the code's, \
                 where a state was met by one view alone; the trained skill writer is left out",
    axes: "credit gigpo | rollout half with skills | context skills | teacher the view that won | weight return gap x gate | \
           loss top-K forward KL",
    keys: Ucob::KEYS,
};

const DOCS: &str = "\
Idea
  Skills do not always help. Let half of the group play with them and half without, and where both meet the same state let
  the higher return decide who teaches whom.

Formula
  at a state met by both views: winner = highest return to go, lead = G_winner - best G of the other view > margin
  w      = min(lead / tau, most)
  g_t    = sigmoid(beta (log pi(y_t | winner's prompt) - log pi(y_t | other prompt)))                  detached
  L      = L_GiGPO + 0.01 k3(reference) + coef mean_t w g_t KL(winner || other), over the winner's text and its top tokens

Source
  'UCOB', arXiv 2606.29502, and its code.

True expected gradient
  Of the last term: the forward KL from the view that won, on its text, at the view that lost.

Preconditions
  States must repeat between the views (`anchor/hit_rate`, `ucob/wins`); where they do not this is GiGPO.

Deviations
  Every episode is scored once more under the other prompt. A winner's lead is over the best return of the other view; the
  paper pairs it with up to two records of the other view, each with a lead of its own. Of equal winners all count.
  Skills come from the recipe's bank: the paper's reflections, their utility and the training of their writer are not part
  of this. `action_weight = 2` is the code's, absent from the paper's formula.
";
