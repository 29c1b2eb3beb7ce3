//! TIP: distil only the tokens that matter: those where the student is unsure, or sure and wrong.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::estimator::Listed;
use super::manual::{self, manual};
use super::math::Aggregation;
use super::needs::{Privileged, TeacherWeights, Top, Whose};
use super::weight::{keep_top, min_max, soft_or};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.tip]`. Defaults are the paper's best setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tip {
    /// Share of the step's tokens that is distilled, in [0, 1]; at least one token is.
    #[serde(deserialize_with = "manual::share")]
    pub keep: f64,
    /// What a token is chosen by: `soft-or` (entropy or divergence), `entropy`, or `confident` (divergence where the student
    /// is sure, the paper's Q3).
    pub select: Select,
    /// Tokens of the student listed per position, >= 1; the rest is one tail bucket.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub top: u32,
    /// Whose weights the teacher has: `{ checkpoint = "FOLDER" }`, a stronger model with the same tokenizer, must be given;
    /// `step-start` with `context = "skills"` is a variant and not the published method.
    pub teacher: TeacherWeights,
    /// What the teacher reads beside the prompt: `none` in the paper.
    pub context: Privileged,
}
}

/// What makes a token important.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    #[default]
    SoftOr,
    Entropy,
    Confident,
}

/// Share of the highest entropies that is cut before they are compared.
const CUT: f64 = 0.02;

impl Default for Tip {
    fn default() -> Self {
        let teacher = TeacherWeights::Checkpoint(String::new());
        Self { keep: 0.5, select: Select::SoftOr, top: 64, teacher, context: Privileged::None }
    }
}

impl Tip {
    /// Importance of every token; NaN where there is no teacher for it. [N]
    fn scores(&self, step: &Tokens) -> Vec<f64> {
        let Some(top) = step.top else { return vec![f64::NAN; step.len()] };
        let divergence = |of: Listed, t: usize| {
            let part = t * top.k..(t + 1) * top.k;
            of.at(&top.student[part.clone()], &top.teacher[part]).value
        };
        let mut entropy: Vec<f64> = step.entropy.iter().map(|&h| f64::from(h)).collect();
        let mut sorted = entropy.clone();
        sorted.sort_by(f64::total_cmp);
        let highest = ((1.0 - CUT) * sorted.len() as f64) as usize;
        let most = sorted.get(highest.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0);
        entropy.iter_mut().for_each(|h| *h = h.min(most));
        let unsure = min_max(&entropy);
        let kind = if self.select == Select::Confident { Listed::Fkl } else { Listed::Rkl };
        let apart: Vec<f64> = (0..step.len()).map(|t| divergence(kind, t)).collect();
        let far = min_max(&apart);
        let score = |t: usize| match self.select {
            _ if step.gap(t).is_none() => f64::NAN,
            Select::SoftOr => soft_or(unsure[t], far[t]),
            Select::Entropy => unsure[t],
            Select::Confident => apart[t] * (1.0 - unsure[t]),
        };
        (0..step.len()).map(score).collect()
    }
}

impl Method for Tip {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        self.teacher.stand_in().into_iter().collect()
    }

    fn needs(&self) -> Needs {
        Needs { top: Top { k: self.top, of: Whose::Student }, ..Needs::taught(&self.teacher, self.context) }
    }

    /// No reward: advantages are 0. The weight of a chosen token is 1.
    fn credit(&self, step: &Tokens) -> Credit {
        let kept = keep_top(&self.scores(step), self.keep);
        let weight = kept.iter().map(|&kept| f32::from(u8::from(kept))).collect();
        Credit { advantage: vec![0.0; step.len()], weight, ..Credit::default() }
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = Aggregation::TokenMean.weights(tokens.rows, tokens.len());
        let mut draft = Draft::new(tokens.len());
        let chosen = |t: usize| tokens.weight.is_none_or(|weight| weight[t] > 0.0);
        let kept = weights.live().filter(|&(t, _)| chosen(t)).count();
        // a mean over the chosen tokens, not over all
        let coef = weights.mass / kept.max(1) as f64;
        draft.add_listed(tokens, &weights, coef, Listed::Rkl, |t| f64::from(u8::from(chosen(t))));
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "tip",
    summary: "on-policy distillation of the important tokens alone: unsure ones, and sure ones that are wrong",
    docs: DOCS,
    provenance: "formulas and defaults READ in the paper (arXiv 2604.14084); listing 64 tokens and a tail where it sums over \
                 the vocabulary is ours",
    axes: "credit none | teacher checkpoint | select top share by soft-or | loss top-K reverse KL",
    keys: Tip::KEYS,
};

const DOCS: &str = "\
Idea
  Most tokens teach nothing. Two kinds do: where the student is unsure, and where it is sure and the teacher disagrees.

Formula
  h_t    = student entropy, its top 2% cut;   delta_t = KL(student || teacher);   both moved to [0, 1] over the step
  s_t    = 1 - (1 - h_t)(1 - delta_t)          keep the `keep` share of tokens with the highest s
  L      = mean over kept tokens of KL(student || teacher)
  confident:  s_t = KL(teacher || student) (1 - h_t)

Source
  'TIP: Token Importance in On-Policy Distillation', arXiv 2604.14084. Its soft-OR inspired SDAR's gate.

True expected gradient
  That of the reverse KL at the kept positions, states taken as given.

Preconditions
  A teacher with the same tokenizer.

Deviations
  The choice is made once per step with the step-start weights; the mean is over the chosen tokens of a batch.
  Dividing entropy by ln |V| changes nothing after the move to [0, 1] and is left out.
";
