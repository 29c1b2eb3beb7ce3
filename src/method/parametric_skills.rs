//! Parametric skills: a hypernetwork turns a skill's text into low-rank weights, so that it need not be read.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::manual::{self, manual};
use super::math::Aggregation;
use super::needs::{Extra, Generate};
use super::{Credit, HandOff, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.parametric-skills]`. Architecture, rank and schedule of the paper are not known: all values are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParametricSkills {
    /// Steps of the first stage: texts of the bank are recited under their own adapters. 0 = none. Ours.
    pub recite: u64,
    /// Texts recited in a step, >= 1; fewer if the bank has fewer. Ours.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub texts: u32,
    /// Whether the second stage learns from won episodes alone; the paper describes no reward. Ours.
    pub won: bool,
    /// Rank of the adapters on q and v, >= 1. `model.lora.rank`, if it is set, decides instead, with its targets. Ours.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub rank: u32,
    /// Width of the hypernetwork's hidden layer, >= 1. Ours.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub width: u32,
    /// Share of the bank's skills that are never trained on; the panel is judged on them alone. In [0, 1). 0 = the panel
    /// is played with the skills of training, which shows memory and not generalisation. Ours.
    #[serde(deserialize_with = "manual::below_one")]
    pub held_out: f64,
}
state {
    /// Whether the first stage is on.
    pub reciting: bool,
}
}

impl Default for ParametricSkills {
    fn default() -> Self {
        Self { recite: 10, texts: 8, won: false, rank: 4, width: 64, held_out: 0.25, reciting: true }
    }
}

impl Method for ParametricSkills {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn begin(&mut self, step: u64) -> HandOff {
        self.reciting = step <= self.recite;
        HandOff::None
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        vec!["hypernetwork: small, on the run's own bank"]
    }

    fn needs(&self) -> Needs {
        let generate = Generate { rank: self.rank, width: self.width, held_out: self.held_out };
        let extra = self.reciting.then_some(Extra::Recite(self.texts));
        // the second stage's rollouts are played with the skills in the prompt, and trained under the plain one
        Needs { generate: Some(generate), extra, off_policy: !self.reciting, initial: true, ..Needs::default() }
    }

    /// No reward: advantages are 0. The weight of a token is whether it is learnt.
    fn credit(&self, step: &Tokens) -> Credit {
        let mut weight = vec![0.0; step.len()];
        for (row, facts) in step.rows.iter().zip(step.facts).filter(|(_, facts)| facts.won || facts.extra || !self.won)
        {
            weight[row.clone()].fill(if facts.turns.is_empty() { 0.0 } else { 1.0 });
        }
        Credit { advantage: vec![0.0; step.len()], weight, ..Credit::default() }
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = Aggregation::TokenMean.weights(tokens.rows, tokens.len());
        let mut draft = Draft::new(tokens.len());
        let (mut sum, mut count) = (0.0, 0.0);
        let learnt = |t: usize| tokens.weight.is_none_or(|weight| weight[t] > 0.0);
        for (t, weight) in weights.live().filter(|(t, _)| learnt(*t)) {
            let lp = f64::from(tokens.student[t]);
            draft.add(t, -weight * lp, -weight);
            (sum, count) = (sum - lp, count + 1.0);
        }
        draft.metrics.insert(if self.reciting { "recite/nll" } else { "exploit/nll" }, (sum, count));
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "parametric-skills",
    summary: "a hypernetwork turns skill texts into low-rank weights: recited first, then learnt from play with the text",
    docs: DOCS,
    provenance: "that a hypernetwork maps text to LoRA, and the two stages, READ in abstract and notes of the paper (arXiv \
                 2606.30015); both losses are INFERRED; the network, its rank, all lengths and the wording are ours",
    axes: "credit none | rollout with skills, trained without | context skill text as weights | teacher in-context play | \
           loss nll | schedule two stages",
    keys: ParametricSkills::KEYS,
};

const DOCS: &str = "\
Idea
  A skill in the prompt costs its tokens in every turn. Turn its text into weights instead: one small network, trained over
  many skills, makes the adapters of any text, also of one it has never seen.

Formula
  e(s)   = mean hidden state of the text s under the frozen model, less the bank's mean, at unit size
  h_j    = tanh(W [e; l_j] + b),   A_j = A0_j + U_k h_j,   B_j = V_k h_j         j: q and v of every layer; k: q or v
  pi_s   = frozen model with W_j + B_j A_j
  recite L = -mean log pi_s(s | \"Say what you know.\")
  then   L = -mean log pi_s(y | prompt without s)        y played by the frozen model with s in its prompt
  Only W, b, l, A0, U and V are trained: gradients by A_j and B_j come from the engine and go on by the chain rule.

Source
  'Parametric Skills', arXiv 2606.30015.

True expected gradient
  Of the second stage: the forward KL(in-context play || pi_s), on the in-context play's texts.

Preconditions
  A bank of many skills (`skills.bank`). The panel is played three ways with the skills that were held out: without, with
  the text in the prompt, and as weights (`weights/success`, `weights/uplift`, and `weights/over_prompt`: as weights less
  in the prompt).

Deviations
  The smallest network that does it, on the run's own bank, where the authors train over tens of thousands of skills and
  judge with a language model; here the environment's own success judges. One set of adapters is made for all skills a
  task is shown, of their joined text. No adapter is ever trained for a skill alone.
";
