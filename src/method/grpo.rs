//! GRPO: group-relative policy optimisation, the reinforcement learning half of every method here.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::manual::{self, manual};
use super::math::{AdvantageOver, Aggregation, Clip, KlEstimator, Weights, clipped_surrogate, spread};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.grpo]`. Defaults are the setting of SDAR's released code; `variant = "paper"` is the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "GrpoTable")]
pub struct Grpo {
    /// `code` (SDAR's released code) or `paper` (its formulas). It only decides the defaults of `advantage`,
    /// `aggregation` and `entropy_coef`: code = rows, token-mean, 0.001; paper = trajectories, seq-mean-token-mean, 0.
    pub variant: Variant,
    /// The ratio to the step-start policy is clipped below at 1 - this; >= 0 and < 1. 0 = no step that makes
    /// a disliked token less likely than it was.
    pub clip_low: f64,
    /// The ratio is clipped above at 1 + this; >= 0. 0 = no step that makes a liked token more likely than it was.
    pub clip_high: f64,
    /// Dual clip: with a negative advantage the loss of a token is at most this many advantages; > 1. 0 = no bound.
    pub dual_clip: f64,
    /// Weight of the divergence from the frozen reference weights, a loss term and not a reward; >= 0.
    /// 0 = no pull back, and reference weights are neither kept nor scored.
    pub kl_coef: f64,
    /// Estimator of that divergence: `k3`, `k2` or `k1`. As losses they pull along the forward KL, along the reverse
    /// KL, and nowhere in expectation.
    pub kl: KlEstimator,
    /// Weight of the entropy bonus: the loss includes -this * mean entropy in nats; >= 0. 0 = no bonus.
    pub entropy_coef: f64,
    /// What advantages are relative to: `rows` of the group, or its `trajectories` (one value per episode).
    pub advantage: AdvantageOver,
    /// `token-mean` (over the batch), `seq-mean-token-mean` (mean over rows of each row's mean) or
    /// `seq-mean-token-sum`. Auxiliary losses use it too.
    pub aggregation: Aggregation,
}
}

/// Which of two disagreeing sources decides the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// SDAR's formulas as printed.
    Paper,
    /// SDAR's released code.
    #[default]
    Code,
}

impl Grpo {
    /// The defaults of `variant`.
    pub fn of(variant: Variant) -> Self {
        let common = Self {
            variant,
            clip_low: 0.2,
            clip_high: 0.2,
            dual_clip: 3.0,
            kl_coef: 0.01,
            kl: KlEstimator::K3,
            entropy_coef: 0.0,
            advantage: AdvantageOver::Rows,
            aggregation: Aggregation::TokenMean,
        };
        common.with_variant(variant)
    }

    /// The same with what `variant` decides.
    fn with_variant(self, variant: Variant) -> Self {
        let (advantage, aggregation, entropy_coef) = match variant {
            Variant::Paper => (AdvantageOver::Trajectories, Aggregation::SeqMeanTokenMean, 0.0),
            Variant::Code => (AdvantageOver::Rows, Aggregation::TokenMean, 0.001),
        };
        Self { variant, advantage, aggregation, entropy_coef, ..self }
    }
}

impl Default for Grpo {
    fn default() -> Self {
        Self::of(Variant::default())
    }
}

impl Method for Grpo {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        Needs { reference: self.kl_coef > 0.0, ..Needs::default() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        let advantage = self.advantage.of(step);
        Credit { advantage: spread(step, &advantage), ..Credit::default() }
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = self.aggregation.weights(tokens.rows, tokens.len());
        self.draft(tokens, &weights).into_plan()
    }
}

impl Grpo {
    /// The loss in `f64`, before it is rounded: a relative of GRPO adds its own terms to it.
    pub(super) fn draft(&self, tokens: &Tokens, weights: &Weights) -> Draft {
        let mut draft = Draft::new(tokens.len());
        self.add_surrogate(&mut draft, tokens, weights);
        self.add_reference(&mut draft, tokens, weights);
        self.add_entropy(&mut draft, tokens, weights);
        let norm = draft.d_logp.iter().map(|slope| slope.abs()).sum();
        draft.metrics.insert("coef/rl_abs", (norm, 1.0));
        draft.reward = Some([draft.d_logp.clone(), draft.d_entropy.clone()]);
        draft
    }

    fn add_surrogate(&self, draft: &mut Draft, tokens: &Tokens, weights: &Weights) {
        let clip = Clip { low: self.clip_low, high: self.clip_high, dual: self.dual_clip };
        let (mut loss, mut ratio, mut drift, mut clipped, mut dual, mut count) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for (t, weight) in weights.live() {
            let (lp, lp_old) = (f64::from(tokens.student[t]), f64::from(tokens.old[t]));
            let token = clipped_surrogate(lp, lp_old, f64::from(tokens.advantage[t]), &clip);
            loss += weight * token.loss.value;
            draft.loss[t] += weight * token.loss.value;
            draft.d_logp[t] += weight * token.loss.slope;
            ratio += token.ratio;
            drift += lp_old - lp;
            clipped += f64::from(u8::from(token.clipped));
            dual += f64::from(u8::from(token.dual));
            count += 1.0;
        }
        draft.value += loss;
        draft.metrics.insert("pg/loss", (loss * weights.mass, weights.mass));
        draft.metrics.insert("ratio/mean", (ratio, count));
        draft.metrics.insert("kl/old", (drift, count));
        draft.metrics.insert("clip/fraction", (clipped, count));
        draft.metrics.insert("clip/dual", (dual, count));
    }

    /// Measured wherever the reference is given, in the loss only with a coefficient.
    fn add_reference(&self, draft: &mut Draft, tokens: &Tokens, weights: &Weights) {
        let Some(reference) = tokens.reference else { return };
        let mut kl = 0.0;
        for (t, weight) in weights.live() {
            let token = self.kl.at(f64::from(tokens.student[t]), f64::from(reference[t]));
            kl += weight * token.value;
            if self.kl_coef > 0.0 {
                draft.d_logp[t] += weight * self.kl_coef * token.slope;
                draft.loss[t] += weight * self.kl_coef * token.value;
            }
        }
        if self.kl_coef > 0.0 {
            draft.value += self.kl_coef * kl;
        }
        draft.metrics.insert("kl/reference", (kl * weights.mass, weights.mass));
    }

    fn add_entropy(&self, draft: &mut Draft, tokens: &Tokens, weights: &Weights) {
        let (mut sum, mut count, mut aggregate) = (0.0, 0.0, 0.0);
        for (t, weight) in weights.live() {
            let entropy = f64::from(tokens.entropy[t]);
            sum += entropy;
            count += 1.0;
            aggregate += weight * entropy;
            draft.d_entropy[t] -= weight * self.entropy_coef;
            draft.loss[t] -= weight * self.entropy_coef * entropy;
        }
        draft.value -= self.entropy_coef * aggregate;
        draft.metrics.insert("entropy/mean", (sum, count));
    }
}

/// The table as written; what is missing comes from elsewhere.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GrpoTable {
    variant: Option<Variant>,
    #[serde(deserialize_with = "manual::below_one_if_given")]
    clip_low: Option<f64>,
    #[serde(deserialize_with = "manual::non_negative_if_given")]
    clip_high: Option<f64>,
    #[serde(deserialize_with = "manual::above_one_or_off_if_given")]
    dual_clip: Option<f64>,
    #[serde(deserialize_with = "manual::non_negative_if_given")]
    kl_coef: Option<f64>,
    kl: Option<KlEstimator>,
    #[serde(deserialize_with = "manual::non_negative_if_given")]
    entropy_coef: Option<f64>,
    advantage: Option<AdvantageOver>,
    aggregation: Option<Aggregation>,
}

impl GrpoTable {
    /// The settings: what the table says, then what its variant decides, then those of `base`. A relative of GRPO with
    /// other defaults reads its table so, lest one written key bring SDAR's values for all the others.
    pub(super) fn over(self, base: Grpo) -> Grpo {
        let base = match self.variant {
            Some(variant) => base.with_variant(variant),
            None => base,
        };
        Grpo {
            variant: base.variant,
            clip_low: self.clip_low.unwrap_or(base.clip_low),
            clip_high: self.clip_high.unwrap_or(base.clip_high),
            dual_clip: self.dual_clip.unwrap_or(base.dual_clip),
            kl_coef: self.kl_coef.unwrap_or(base.kl_coef),
            kl: self.kl.unwrap_or(base.kl),
            entropy_coef: self.entropy_coef.unwrap_or(base.entropy_coef),
            advantage: self.advantage.unwrap_or(base.advantage),
            aggregation: self.aggregation.unwrap_or(base.aggregation),
        }
    }
}

impl From<GrpoTable> for Grpo {
    fn from(table: GrpoTable) -> Self {
        table.over(Grpo::default())
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "grpo",
    summary: "reinforcement learning alone: group-relative advantages, clipped ratio, KL to the reference",
    docs: DOCS,
    provenance: "formulas READ in SDAR's paper (arXiv 2605.15155), constants, aggregations, dual clip, entropy bonus, k1 and \
                 k2 READ in its released code; that a penalty counts against its whole trajectory (`advantage = \
                 \"trajectories\"`) is INFERRED",
    axes: "credit grpo",
    keys: Grpo::KEYS,
};

const DOCS: &str = "\
Idea
  Play every task G times. An episode better than its group makes its tokens more likely, a worse one less.

Formula
  r_t    = pi(y_t) / pi_old(y_t)                    pi_old: the weights at the start of the step
  A      = (score - mean) / (std + 1e-6)            over the group; unbiased std; one score alone: mean 0, std 1
  pg_t   = max(-A r_t, -A clip(r_t, 1 - clip_low, 1 + clip_high)), and for A < 0 at most -A dual_clip
  kl_t   = exp(d_t) - d_t - 1,  d_t = log pi_ref(y_t) - log pi(y_t)       (k3, clamped to 10)
  L      = Agg(pg) + kl_coef Agg(kl) - entropy_coef Agg(entropy)
  A row's score is the return of its episode minus the penalty for an invalid action.

Source
  GRPO as used in 'Self-Distilled Agentic Reinforcement Learning' (SDAR), arXiv 2605.15155, and its released code.

True expected gradient
  At ratio 1 the first term is plain policy gradient with advantage A. The k3 term, as a loss on the student's own
  samples, pulls along the forward KL(reference || student); k2 along the reverse KL; k1 nowhere in expectation.

Preconditions
  G >= 2 rollouts per task; a group whose scores are all equal gives no signal.

Paper and released code
  variant = \"code\" (default): advantages over all rows of the group, one token mean, entropy bonus 0.001.
  variant = \"paper\": one advantage per trajectory, mean over rows of each row's token mean, no entropy bonus.
  The paper's mean is over trajectories: use it with the transcript layout, where a row is one. Its own algorithms of GRPO
  and Skill-SD print one pooled token mean instead (`aggregation = \"token-mean\"`), and that of GRPO no KL.
  Search tasks in the released code use kl_coef = 0.001; the entropy bonus is in the code alone.

Deviations
  The released code also duplicates random rows to make the batch divisible; here no row is counted twice.
  An aggregate is that of all rows of an update (the released code: of a micro-batch on one device, then a mean of those).
  Old log-probs are the sampler's, which computes with the same weights (`mismatch/max` is the difference); the released
  code scores the rows once more.
";
