//! GenEvolve's learning rule: what the group's best attempt had over its worst teaches the tokens that would change most.

use serde::{Deserialize, Deserializer, Serialize};

use super::estimator::Sampled;
use super::grpo::{Grpo, GrpoTable};
use super::manual::{self, manual};
use super::math::Aggregation;
use super::needs::Privileged;
use super::weight::keep_top;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.gen-evolve]`. Defaults follow a third party's configuration; the authors' training code is not released.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenEvolve {
    /// Weight of the distillation; >= 0. 0 = plain GRPO, bit for bit.
    #[serde(deserialize_with = "manual::non_negative")]
    pub coef: f64,
    /// Share of the tokens that is distilled, those with the largest gaps, in [0, 1]; at least one is.
    #[serde(deserialize_with = "manual::share")]
    pub keep: f64,
    /// Bound on the importance ratio pi / pi_old; > 1, or 0 = none.
    #[serde(deserialize_with = "manual::above_one_or_off")]
    pub ratio_cap: f64,
    /// What the teacher reads: `best-worst`, made where the scores of the two are at least 0.2 apart.
    pub context: Privileged,
    /// `[method.gen-evolve.grpo]`: the reinforcement learning half.
    #[serde(deserialize_with = "own_grpo")]
    pub grpo: Grpo,
}
}

/// What the table does not say is this method's own default.
fn own_grpo<'de, D: Deserializer<'de>>(table: D) -> Result<Grpo, D::Error> {
    GrpoTable::deserialize(table).map(|table| table.over(GenEvolve::default().grpo))
}

impl Default for GenEvolve {
    fn default() -> Self {
        let grpo = Grpo {
            clip_high: 0.28,
            kl_coef: 1e-3,
            entropy_coef: 0.0,
            aggregation: Aggregation::SeqMeanTokenSum,
            ..Grpo::default()
        };
        Self { coef: 2.0, keep: 0.1, ratio_cap: 2.0, context: Privileged::BestWorst, grpo }
    }
}

impl Method for GenEvolve {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        let ruled = self.coef > 0.0 && self.context == Privileged::BestWorst;
        if ruled { vec!["experience: by rule, of the group at hand"] } else { vec![] }
    }

    fn needs(&self) -> Needs {
        Needs { teacher: Needs::reading(self.context).teacher, ..self.grpo.needs() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        let mut credit = self.grpo.credit(step);
        let gaps: Vec<f64> = (0..step.len()).map(|t| step.gap(t).map_or(f64::NAN, f64::abs)).collect();
        let kept = keep_top(&gaps, self.keep);
        credit.weight = kept.into_iter().map(|kept| f32::from(u8::from(kept))).collect();
        credit
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = self.grpo.aggregation.weights(tokens.rows, tokens.len());
        let mut draft = self.grpo.draft(tokens, &weights);
        let chosen = |t: usize| tokens.weight.map_or(0.0, |weight| f64::from(weight[t]));
        draft.add_sampled(tokens, &weights, self.coef, Sampled::BoundedK3(self.ratio_cap), chosen);
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "gen-evolve",
    summary: "GRPO plus importance-weighted k3 on the tenth of the tokens that the best-worst experience would change most",
    docs: DOCS,
    provenance: "READ in a third party's configuration 'following GenEvolve' (arXiv 2605.21605), so each constant is INFERRED \
                 to be the paper's; the experience is made by rule, where the authors use a summariser and a buffer",
    axes: "credit grpo | context best-worst | teacher self | select top 10% by gap | loss ratio k3",
    keys: GenEvolve::KEYS,
};

const DOCS: &str = "\
Idea
  The group's best attempt knew something its worst did not. The same model, told of the difference, scores all attempts;
  the tokens on which it differs most from the student are distilled.

Formula
  experience  where score(best) - score(worst) >= 0.2, for every attempt of the group
  kept        the `keep` share of the step's tokens with the largest |gap|
  k3_t        = min(exp(gap_t) - 1 - gap_t, 10)
  L           = L_GRPO + coef Agg( kept_t min(rho_t, ratio_cap) k3_t ),                          gradient through rho

Source
  'GenEvolve: Visual Experience Distillation', arXiv 2605.21605: its learning rule alone. Image generation, renderer and
  visual judge are not part of this.

True expected gradient
  On the kept tokens the reverse KL(student || teacher) where neither bound binds.

Preconditions
  Groups whose scores differ.

Deviations
  The experience comes from the group at hand: there is no buffer of 500 to retrieve from. Both parts have GRPO's
  aggregate (INFERRED: the source does not say). The choice of tokens is made once per step, with the step-start weights.
";
