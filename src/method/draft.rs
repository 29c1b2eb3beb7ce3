//! A [`Plan`] under construction, in `f64`, and the auxiliary losses that most methods add to it.

use std::collections::BTreeMap;

use super::estimator::{Listed, Sampled, Slopes, TokenAt};
use super::math::Weights;
use super::view::{Plan, Reward, Tokens};

pub(super) struct Draft {
    pub value: f64,
    /// What each token adds to the value.
    pub loss: Vec<f64>, // [N]
    pub d_logp: Vec<f64>,    // [N]
    pub d_entropy: Vec<f64>, // [N]
    pub d_top: Vec<f64>,     // [N * K] or empty
    pub d_given: Vec<f64>,   // [M] or empty
    /// `d_logp` and `d_entropy` as far as the reward asks for them.
    pub reward: Option<[Vec<f64>; 2]>,
    pub gate: Option<Vec<f32>>,
    pub metrics: BTreeMap<&'static str, (f64, f64)>,
}

impl Draft {
    pub fn new(tokens: usize) -> Self {
        let zeros = vec![0.0; tokens];
        Self {
            value: 0.0,
            loss: zeros.clone(),
            d_logp: zeros.clone(),
            d_entropy: zeros,
            d_top: vec![],
            d_given: vec![],
            reward: None,
            gate: None,
            metrics: BTreeMap::new(),
        }
    }

    pub fn into_plan(self) -> Plan {
        let rounded = |slopes: Vec<f64>| slopes.into_iter().map(|slope| slope as f32).collect::<Vec<_>>();
        let reward =
            |[d_logp, d_entropy]: [Vec<f64>; 2]| Reward { d_logp: rounded(d_logp), d_entropy: sparse(d_entropy) };
        Plan {
            value: self.value,
            reward: self.reward.map(reward),
            d_logp: rounded(self.d_logp),
            d_entropy: sparse(self.d_entropy),
            d_top: sparse(self.d_top),
            d_given: sparse(self.d_given),
            gate: self.gate,
            loss: rounded(self.loss),
            metrics: self.metrics,
        }
    }

    /// Adds a loss of token t, with its derivative by the token's log-prob.
    pub fn add(&mut self, t: usize, loss: f64, slope: f64) {
        self.value += loss;
        self.share(t, loss, slope);
    }

    /// As [`Draft::add`], of a loss that is in the value already.
    pub fn share(&mut self, t: usize, loss: f64, slope: f64) {
        self.loss[t] += loss;
        self.d_logp[t] += slope;
    }

    /// Adds `coef * Agg(scale_t * estimator_t)` over the tokens that have a teacher. `scale` is detached; a token whose
    /// scale is 0 is left out of the loss but not of the mean. Records gaps, the loss and the share of tokens in it.
    pub fn add_sampled(
        &mut self,
        tokens: &Tokens,
        weights: &Weights,
        coef: f64,
        estimator: Sampled,
        scale: impl Fn(usize) -> f64,
    ) {
        let Some(teacher) = tokens.teacher else { return };
        let mut sums = Sums::default();
        let mut gates = vec![0.0f32; tokens.len()];
        for (t, weight) in weights.live() {
            let (lp_student, lp_teacher) = (f64::from(tokens.student[t]), f64::from(teacher[t]));
            if lp_teacher.is_nan() {
                continue;
            }
            let scale = scale(t);
            sums.gap(lp_teacher - lp_student);
            gates[t] = scale as f32;
            if coef == 0.0 || scale == 0.0 {
                continue;
            }
            let at = TokenAt { lp_student, lp_here: lp_student, lp_old: f64::from(tokens.old[t]), lp_teacher };
            let token = estimator.at(at);
            let slope = coef * weight * scale * token.slope;
            self.d_logp[t] += slope;
            self.loss[t] += coef * weight * scale * token.value;
            sums.loss(weight * scale * token.value, slope.abs());
        }
        self.gate = Some(gates);
        self.value += coef * sums.loss;
        self.metrics.extend(sums.metrics(weights.mass));
    }

    /// Adds `coef * Agg(log pi - log pi_reference)`: k1 with the other sign, the reference in the teacher's place.
    pub fn add_k1_to_reference(&mut self, tokens: &Tokens, weights: &Weights, coef: f64) {
        let tokens = Tokens { teacher: tokens.reference, ..*tokens };
        self.add_sampled(&tokens, weights, coef, Sampled::K1, |_| -1.0);
    }

    /// Adds `factor` times the slopes of token t by its listed log-probs; the sum of their sizes.
    pub fn add_top(&mut self, t: usize, factor: f64, listed: &Slopes) -> f64 {
        let k = listed.slopes.len();
        self.d_top.resize(self.loss.len() * k, 0.0);
        let own = self.d_top[t * k..(t + 1) * k].iter_mut().zip(&listed.slopes);
        own.fold(0.0, |sizes, (d, slope)| {
            *d += factor * slope;
            sizes + (factor * slope).abs()
        })
    }

    /// Adds `coef * Agg(scale_t * divergence_t)` over the listed tokens of both views.
    pub fn add_listed(
        &mut self,
        tokens: &Tokens,
        weights: &Weights,
        coef: f64,
        divergence: Listed,
        scale: impl Fn(usize) -> f64,
    ) {
        let Some(top) = tokens.top else { return };
        let mut sums = Sums::default();
        let mut gates = vec![0.0f32; tokens.len()];
        for (t, weight) in weights.live() {
            let part = t * top.k..(t + 1) * top.k;
            let taught = tokens.teacher.is_none_or(|teacher| !teacher[t].is_nan());
            let scale = if taught { scale(t) } else { 0.0 };
            gates[t] = scale as f32;
            if let Some(teacher) = tokens.teacher.filter(|_| taught) {
                sums.gap(f64::from(teacher[t]) - f64::from(tokens.student[t]));
            }
            if coef == 0.0 || scale == 0.0 {
                continue;
            }
            let token = divergence.at(&top.student[part.clone()], &top.teacher[part]);
            let slopes = self.add_top(t, coef * weight * scale, &token);
            self.loss[t] += coef * weight * scale * token.value;
            sums.loss(weight * scale * token.value, slopes);
        }
        self.gate = Some(gates);
        self.value += coef * sums.loss;
        self.metrics.extend(sums.metrics(weights.mass));
    }
}

/// Rounded, or nothing where all is zero.
fn sparse(slopes: Vec<f64>) -> Vec<f32> {
    if slopes.iter().all(|&slope| slope == 0.0) {
        return vec![];
    }
    slopes.into_iter().map(|slope| slope as f32).collect()
}

/// Running sums of an auxiliary loss.
#[derive(Default)]
struct Sums {
    count: f64,
    gap: f64,
    square: f64,
    chosen: f64,
    loss: f64,
    slopes: f64,
}

impl Sums {
    fn gap(&mut self, gap: f64) {
        self.count += 1.0;
        self.gap += gap;
        self.square += gap * gap;
    }

    fn loss(&mut self, value: f64, slopes: f64) {
        self.chosen += 1.0;
        self.loss += value;
        self.slopes += slopes;
    }

    fn metrics(&self, mass: f64) -> [(&'static str, (f64, f64)); 5] {
        [
            ("gap/mean", (self.gap, self.count)),
            ("gap/square", (self.square, self.count)),
            ("distill/share", (self.chosen, self.count)),
            ("distill/loss", (self.loss * mass, mass)),
            ("coef/aux_abs", (self.slopes, 1.0)),
        ]
    }
}
