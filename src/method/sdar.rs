//! SDAR: GRPO plus gated self-distillation from the same model reading skills.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::estimator::{Listed, Slopes};
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::math::{Gate, Slope, Weights};
use super::needs::{Privileged, TeacherWeights, Top, Whose};
use super::schedule::Schedule;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.sdar]`. Defaults are the reported setting: gap gate, beta 5, weight 0.01.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sdar {
    /// Weight of the distillation loss beside GRPO; >= 0, or a schedule of it. The paper saw 0.1 collapse. 0 = plain GRPO,
    /// bit for bit, whose gaps and gates are still measured (`[method.grpo]` spares the teacher's forward pass).
    #[serde(deserialize_with = "manual::non_negative_schedule")]
    pub coef: Schedule,
    /// Sharpness of the gate, per nat of gap; >= 0. 0 = every gate is 1/2, whose expected gradient is exactly zero.
    #[serde(deserialize_with = "manual::non_negative")]
    pub beta: f64,
    /// What opens the gate: `gap` (the reported runs), `entropy` or `soft-or` (the paper's ablation).
    pub gate: Gate,
    /// Whether the gate is a constant for the gradient. `true` in paper and code; `false` differentiates through it.
    pub detach_gate: bool,
    /// The entropy and soft-or gates see the entropy times this; >= 0. 1 = nats, as in the paper; 1 / ln(vocabulary)
    /// normalises it (ours). 0 = these gates see no entropy. Without effect on the gap gate.
    #[serde(deserialize_with = "manual::non_negative")]
    pub entropy_scale: f64,
    /// What the gate multiplies: `rkl` (the gap of the sampled token: the reported runs), or, of the paper's ablation,
    /// `fkl` and `jsd` over listed tokens. How these are gated and estimated is not printed: INFERRED.
    pub objective: Objective,
    /// With `fkl` and `jsd`: tokens of the teacher listed per position, >= 1; the rest is one tail bucket.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub top: u32,
    /// Whose weights the teacher has: `step-start` (the released code) or `live` (the paper's formula); `initial`,
    /// `{ ema = 0.999 }`, ... are ours.
    pub teacher: TeacherWeights,
    /// `[method.sdar.grpo]`: the reinforcement learning half.
    pub grpo: Grpo,
}
}

/// What is distilled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// The gap of the sampled token, minus a single-sample estimate of KL(student || teacher).
    #[default]
    Rkl,
    /// KL(teacher || student).
    Fkl,
    /// Half KL(student || m), half KL(teacher || m), with m their mean.
    Jsd,
}

impl Objective {
    fn listed(self) -> Option<Listed> {
        match self {
            Objective::Rkl => None,
            Objective::Fkl => Some(Listed::Fkl),
            Objective::Jsd => Some(Listed::Jsd(0.5)),
        }
    }
}

/// The distillation of one token: before the coefficient and the aggregation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distilled {
    /// In (0, 1).
    pub gate: f64,
    /// `gate * gap`, or gate times divergence.
    pub value: f64,
    /// dvalue/dlp_student of the sampled token; `-gate` where the gap is distilled and the gate detached.
    pub d_logp: f64,
    /// dvalue/dentropy; 0 where the gate is detached.
    pub d_entropy: f64,
}

impl Sdar {
    /// Distils one token of the given gap (teacher - student log-prob) and student entropy in nats.
    pub fn distil(&self, gap: f64, entropy: f64) -> Distilled {
        // the gap falls one for one as the student's log-prob rises
        self.gated(gap, entropy, Slope { value: gap, slope: -1.0 })
    }

    /// The gate of a token times `what`, whose slope is by the sampled token's log-prob.
    fn gated(&self, gap: f64, entropy: f64, what: Slope) -> Distilled {
        let at = self.gate.at(gap, entropy * self.entropy_scale, self.beta);
        let through = if self.detach_gate { 0.0 } else { what.value };
        Distilled {
            gate: at.gate,
            value: at.gate * what.value,
            d_logp: at.gate * what.slope - through * at.by_gap,
            d_entropy: through * at.by_entropy * self.entropy_scale,
        }
    }

    /// Token t, and its divergence over the listed tokens where that is what is distilled.
    fn token(&self, tokens: &Tokens, t: usize, gap: f64) -> (Distilled, Option<Slopes>) {
        let entropy = f64::from(tokens.entropy[t]);
        let Some(divergence) = self.objective.listed() else { return (self.distil(gap, entropy), None) };
        let listed = tokens.top.map_or(Slopes::default(), |top| {
            let part = t * top.k..(t + 1) * top.k;
            divergence.at(&top.student[part.clone()], &top.teacher[part])
        });
        (self.gated(gap, entropy, Slope { value: listed.value, slope: 0.0 }), Some(listed))
    }

    fn add_distillation(&self, draft: &mut Draft, tokens: &Tokens, teacher: &[f32], weights: &Weights) {
        let coef = self.coef.at(tokens.step);
        let mut gates = vec![0.0f32; tokens.len()];
        let mut sums = Sums::default();
        for (t, weight) in weights.live().filter(|(t, _)| !teacher[*t].is_nan()) {
            let gap = f64::from(teacher[t]) - f64::from(tokens.student[t]);
            let (token, listed) = self.token(tokens, t, gap);
            gates[t] = token.gate as f32;
            sums.add(gap, &token, weight);
            // a weight of 0 must leave GRPO untouched even where a teacher's log-prob is not finite
            if coef == 0.0 {
                continue;
            }
            let factor = coef * weight;
            draft.d_logp[t] += factor * token.d_logp;
            draft.d_entropy[t] += factor * token.d_entropy;
            draft.loss[t] += factor * token.value;
            sums.slopes += (factor * token.d_logp).abs();
            if let Some(listed) = listed {
                sums.slopes += draft.add_top(t, factor * token.gate, &listed);
            }
        }
        if coef > 0.0 {
            draft.value += coef * sums.loss;
        }
        draft.gate = Some(gates);
        draft.metrics.extend(sums.metrics(weights.mass));
    }
}

impl Default for Sdar {
    fn default() -> Self {
        Self {
            coef: Schedule::Constant(0.01),
            beta: 5.0,
            gate: Gate::Gap,
            detach_gate: true,
            entropy_scale: 1.0,
            objective: Objective::Rkl,
            top: 64,
            teacher: TeacherWeights::StepStart,
            grpo: Grpo::default(),
        }
    }
}

impl Method for Sdar {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let top = match self.objective {
            Objective::Rkl => Top::default(),
            Objective::Fkl | Objective::Jsd => Top { k: self.top, of: Whose::Teacher },
        };
        let taught = Needs::taught(&self.teacher, Privileged::Skills);
        Needs { teacher: taught.teacher, top, ..self.grpo.needs() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        self.grpo.credit(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let weights = self.grpo.aggregation.weights(tokens.rows, tokens.len());
        let mut draft = self.grpo.draft(tokens, &weights);
        // a caller without the teacher is told so by `Needs::missing`; such a batch has no gaps to distil
        if let Some(teacher) = tokens.teacher {
            self.add_distillation(&mut draft, tokens, teacher, &weights);
        }
        draft.into_plan()
    }
}

/// Running sums over the tokens of a batch.
#[derive(Default)]
struct Sums {
    count: f64,
    gate: f64,
    active: f64,
    gap: f64,
    square: f64,
    /// Aggregated, not summed.
    loss: f64,
    slopes: f64,
}

impl Sums {
    fn add(&mut self, gap: f64, token: &Distilled, weight: f64) {
        self.count += 1.0;
        self.gate += token.gate;
        self.active += f64::from(u8::from(token.gate > 0.5));
        self.gap += gap;
        self.square += gap * gap;
        self.loss += weight * token.value;
    }

    fn metrics(&self, mass: f64) -> [(&'static str, (f64, f64)); 6] {
        [
            ("gate/mean", (self.gate, self.count)),
            ("gate/active", (self.active, self.count)),
            ("gap/mean", (self.gap, self.count)),
            ("gap/square", (self.square, self.count)),
            ("distill/loss", (self.loss * mass, mass)),
            ("coef/aux_abs", (self.slopes, 1.0)),
        ]
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "sdar",
    summary: "GRPO plus gated self-distillation: the teacher is the same model with skills in its prompt",
    docs: DOCS,
    provenance: "gap gate, loss and constants READ in the paper (arXiv 2605.15155) and its released code; entropy and soft-or \
                 gates READ in the paper alone; fkl and jsd are named there, how they are gated and estimated is INFERRED; \
                 the expected gradient is worked out here; entropy_scale, detach_gate = false, schedules of coef and teachers \
                 other than step-start and live are ours",
    axes: "credit grpo | context skills | teacher self | weight gate | loss gated k1 (gate as reward)",
    keys: Sdar::KEYS,
};

const DOCS: &str = "\
Idea
  The same model, reading skills that the student never sees, scores the tokens the student sampled. Tokens it
  endorses are made more likely; a gate keeps tokens it dislikes from being pushed as hard.

Formula
  gap_t  = log pi(y_t | skills, prompt, y_<t) - log pi(y_t | prompt, y_<t)      teacher: step-start weights, detached
  g_t    = sigmoid(beta gap_t)                                                  detached
  L      = L_GRPO + coef Agg(g_t gap_t)         so dL/dlog pi(y_t) = ... - coef g_t / tokens
  Other gates: entropy  sigmoid(beta h_t);  soft-or  sigmoid(beta (1 - (1 - h_t)(1 - gap_t))),  h_t in nats.
  Other objectives: g_t D_t in place of g_t gap_t, with D_t = KL(teacher || student) (fkl) or the JSD of both (jsd).

Source
  'Self-Distilled Agentic Reinforcement Learning' (SDAR), arXiv 2605.15155, and its released code.

True expected gradient
  On the student's own samples E[grad log pi] = 0, so only the deviation of the gate from its mean acts:
    E[grad Agg(g gap)] = -E[(g - E[g]) grad log pi],   policy gradient with the reward g in (0, 1).
  For |beta gap| << 1 this is beta / 4 times the gradient of the reverse KL(student || teacher); for large gaps it
  saturates. beta = 0: exactly zero, but for noise and, from the second update of a step on, a drift towards the samples.
  The value is not a KL: the ungated mean gap is -KL, so negative is normal and a rise toward 0 is convergence.
  The entropy gate is never below 1/2 and nearly constant at beta 5; the soft-or gate falls as the gap rises where the
  entropy is above 1 nat. fkl and jsd: the gate times the gradient of the divergence they name.

Preconditions
  The teacher's prompt differs from the student's: with no skill shown every gap is 0 and every gate 1/2
  (`gap/start_rms` is near 0 then, and an alert says so).
  Rollouts are the student's own. Replies, not observations, are distilled.

Paper and released code
  [method.sdar.grpo] variant = \"code\" (default) or \"paper\"; see `sdlab methods show grpo`. The distillation uses the
  same aggregation: one token mean (code), or the mean over rows of each row's mean (the paper's Algorithm 1).
  The paper puts skills inside the user prompt (`skills.placement = \"user-slot\"`, the default here), the code before the
  whole chat prompt (`\"prefix-raw\"`).
  Both report coef 0.01 and beta 5; the code's own default coef is 0.1, which the paper saw collapse.
  The teacher of the code has the weights of the step's start; the paper writes the present ones (`teacher = \"live\"`).
  The released 'GRPO+OPSD' baseline is beta = 0, whose expected signal is zero.

Deviations
  Metrics are means over all tokens of the step (the released code shows the last micro-batch).
  Of a teacher prompt that is too long the last skills go first; the released code cuts the prompt's beginning.
  fkl and jsd sum over the teacher's `top` likeliest tokens, the sampled one and a tail bucket, not the vocabulary.
";
