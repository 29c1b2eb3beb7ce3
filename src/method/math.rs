//! The pure pieces every method is made of: each returns a value and its exact derivative together, in `f64`.
//!
//! Letters: `lp_student`, `lp_old`, `lp_teacher`, `lp_reference` are log-probs of one sampled token. Only
//! `lp_student` (and, where said, the entropy) carries a gradient.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::view::{RowFacts, Tokens};

/// A value and its derivative by the student's log-prob.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope {
    pub value: f64,
    pub slope: f64,
}

/// How per-token losses become one number. Tokens outside every row never count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// Mean over all tokens of the batch: long rows weigh more. What SDAR's code does.
    #[default]
    TokenMean,
    /// Mean over rows of each row's token mean: rows weigh the same. SDAR's paper, where a row is a trajectory
    /// (the `transcript` layout; under `history` a row is one turn).
    SeqMeanTokenMean,
    /// Mean over rows of each row's token sum: a row's weight grows with its length, the batch's does not.
    SeqMeanTokenSum,
}

/// Weights of an [`Aggregation`]: `L = sum_t per_token[t] * loss[t]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// 0 for tokens outside every row. [N]
    pub per_token: Vec<f64>,
    /// What the aggregate is a mean over: tokens, or rows that own a token. Weighing batches by it makes their
    /// aggregates add up to that of their union.
    pub mass: f64,
}

impl Aggregation {
    /// Weight of each of `tokens` tokens, of which row r owns `rows[r]`. Rows without tokens do not count; ranges are
    /// cut at `tokens`.
    pub fn weights(self, rows: &[Range<usize>], tokens: usize) -> Weights {
        let rows: Vec<Range<usize>> =
            rows.iter().map(|row| row.start..row.end.min(tokens)).filter(|row| !row.is_empty()).collect();
        let mass = match self {
            Aggregation::TokenMean => rows.iter().map(ExactSizeIterator::len).sum::<usize>(),
            Aggregation::SeqMeanTokenMean | Aggregation::SeqMeanTokenSum => rows.len(),
        } as f64;
        let mut per_token = vec![0.0; tokens];
        for row in rows {
            let share = match self {
                Aggregation::TokenMean | Aggregation::SeqMeanTokenSum => 1.0,
                Aggregation::SeqMeanTokenMean => 1.0 / row.len() as f64,
            };
            per_token[row].fill(share / mass);
        }
        Weights { per_token, mass }
    }
}

impl Weights {
    /// Tokens that count, with their weights.
    pub fn live(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.per_token.iter().copied().enumerate().filter(|&(_, weight)| weight > 0.0)
    }
}

/// What group-relative advantages are statistics over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdvantageOver {
    /// All rows of the group, so that under the `history` layout long episodes count more; a penalty touches only
    /// its own row. What SDAR's code does.
    #[default]
    Rows,
    /// One value per episode, its return minus all its penalties, shared by its rows. SDAR's paper, which does not speak
    /// of penalties.
    Trajectories,
}

impl AdvantageOver {
    /// Advantage of every row of a step.
    pub fn of(self, step: &Tokens) -> Vec<f64> {
        let mut advantage = vec![0.0; step.rows.len()];
        for group in step.groups() {
            let facts: Vec<&RowFacts> = group.iter().map(|&row| &step.facts[row]).collect();
            for (row, value) in group.into_iter().zip(self.advantages(&facts)) {
                advantage[row] = value;
            }
        }
        advantage
    }

    /// `(score - mean) / (std + 1e-6)` of every row of a group, in order; the unbiased std, and mean 0, std 1 where
    /// there is only one score.
    pub fn advantages(self, group: &[&RowFacts]) -> Vec<f64> {
        let (scores, rows) = self.scores(group);
        let norm = Standard::of(&scores);
        rows.into_iter().map(|place| norm.apply(scores[place])).collect()
    }

    /// `score - mean` of every row of a group, in order; 0 where there is only one score.
    pub fn centred(self, group: &[&RowFacts]) -> Vec<f64> {
        let (scores, rows) = self.scores(group);
        let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        rows.into_iter().map(|place| scores[place] - mean).collect()
    }

    /// The scores statistics are over, and for every row the place of its own among them.
    fn scores(self, group: &[&RowFacts]) -> (Vec<f64>, Vec<usize>) {
        match self {
            AdvantageOver::Rows => {
                (group.iter().map(|row| row.episode_return - row.penalty).collect(), (0..group.len()).collect())
            }
            AdvantageOver::Trajectories => {
                let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
                for row in group {
                    *scores.entry(row.member).or_insert(row.episode_return) -= row.penalty;
                }
                let places: BTreeMap<usize, usize> =
                    scores.keys().enumerate().map(|(i, member)| (*member, i)).collect();
                // every member of the group was entered just above
                (scores.into_values().collect(), group.iter().map(|row| places[&row.member]).collect())
            }
        }
    }
}

/// One value per row -> one per token; 0 outside every row. [R] -> [N]
pub fn spread(step: &Tokens, per_row: &[f64]) -> Vec<f32> {
    let mut tokens = vec![0.0; step.len()];
    for (row, &value) in step.rows.iter().zip(per_row) {
        tokens[row.clone()].fill(value as f32);
    }
    tokens
}

/// Mean and spread of a group's scores.
struct Standard {
    mean: f64,
    std: f64,
}

impl Standard {
    fn of(scores: &[f64]) -> Self {
        if scores.len() < 2 {
            return Self { mean: 0.0, std: 1.0 };
        }
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
        Self { mean, std: (squares / (scores.len() - 1) as f64).sqrt() }
    }

    fn apply(&self, score: f64) -> f64 {
        (score - self.mean) / (self.std + 1e-6)
    }
}

/// Bounds of the clipped surrogate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// The ratio is clipped below at `1 - low`.
    pub low: f64,
    /// The ratio is clipped above at `1 + high`.
    pub high: f64,
    /// With a negative advantage the loss is at most `-advantage * dual`; 0 = no such bound.
    pub dual: f64,
}

/// The policy-gradient loss of one token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surrogate {
    pub loss: Slope,
    /// `pi / pi_old` of the token.
    pub ratio: f64,
    /// True where a bound (either side, or the dual one) took the gradient away.
    pub clipped: bool,
    /// True where it was the dual one.
    pub dual: bool,
}

/// PPO's clipped surrogate with separate bounds and dual clip (SDAR, appendix; the same in its code):
/// `max(-A r, -A clip(r))`, for `A < 0` at most `-A dual`.
pub fn clipped_surrogate(lp_student: f64, lp_old: f64, advantage: f64, clip: &Clip) -> Surrogate {
    let ratio = (lp_student - lp_old).exp();
    let free = -advantage * ratio;
    let bound = -advantage * ratio.clamp(1.0 - clip.low, 1.0 + clip.high);
    let ceiling = if advantage < 0.0 && clip.dual > 0.0 { -advantage * clip.dual } else { f64::INFINITY };
    let dual = free.max(bound) > ceiling;
    let (loss, clipped) = if dual {
        (Slope { value: ceiling, slope: 0.0 }, true)
    } else if bound > free {
        (Slope { value: bound, slope: 0.0 }, true)
    } else {
        // d ratio / d lp_student = ratio, so the loss is its own derivative
        (Slope { value: free, slope: free }, false)
    };
    Surrogate { loss, ratio, clipped, dual }
}

/// Single-sample estimators of the divergence from the reference, named as usual. As a *loss* on the student's own
/// samples each has another true gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KlEstimator {
    /// `lp_student - lp_reference`. Expected gradient: zero.
    K1,
    /// `(lp_reference - lp_student)^2 / 2`. Expected gradient: that of the reverse KL(student || reference).
    K2,
    /// `exp(d) - d - 1` with `d = lp_reference - lp_student`, clamped to [-10, 10] as in SDAR's code (beyond it the
    /// gradient is 0). Expected gradient: that of the forward KL(reference || student).
    #[default]
    K3,
}

impl KlEstimator {
    /// Value and derivative at one token.
    pub fn at(self, lp_student: f64, lp_reference: f64) -> Slope {
        let d = lp_reference - lp_student;
        match self {
            KlEstimator::K1 => Slope { value: -d, slope: 1.0 },
            KlEstimator::K2 => Slope { value: 0.5 * d * d, slope: -d },
            KlEstimator::K3 => {
                let value = d.exp_m1() - d;
                if value > K3_CLAMP {
                    return Slope { value: K3_CLAMP, slope: 0.0 };
                }
                // exp(d) - 1 - d >= 0; rounding alone could put it a hair below
                Slope { value: value.max(0.0), slope: -d.exp_m1() }
            }
        }
    }
}

/// Largest value k3 takes.
const K3_CLAMP: f64 = 10.0;

/// How much a token is distilled, in (0, 1), from the gap `teacher - student` and the student's entropy in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// `sigmoid(beta * gap)`: more where the teacher endorses the token. The paper's default, the only one released.
    #[default]
    Gap,
    /// `sigmoid(beta * entropy)`: never below 1/2, and nearly 1 above 0.6 nats at beta 5.
    Entropy,
    /// `sigmoid(beta * (1 - (1 - entropy) (1 - gap)))`: above one nat it falls as the gap rises.
    SoftOr,
}

/// A gate with its partial derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateAt {
    pub gate: f64,
    pub by_gap: f64,
    pub by_entropy: f64,
}

impl Gate {
    /// The gate of one token (SDAR, section "gap, gates, loss").
    pub fn at(self, gap: f64, entropy: f64, beta: f64) -> GateAt {
        let (score, by_gap, by_entropy) = match self {
            Gate::Gap => (gap, 1.0, 0.0),
            Gate::Entropy => (entropy, 0.0, 1.0),
            Gate::SoftOr => (1.0 - (1.0 - entropy) * (1.0 - gap), 1.0 - entropy, 1.0 - gap),
        };
        let gate = sigmoid(beta * score);
        let steep = beta * gate * (1.0 - gate);
        GateAt { gate, by_gap: steep * by_gap, by_entropy: steep * by_entropy }
    }
}

/// `1 / (1 + exp(-x))`, without overflow at either end.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}
