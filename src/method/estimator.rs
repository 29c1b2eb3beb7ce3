//! What pulls the student to the teacher, token by token: losses on sampled tokens, and divergences over listed ones.
//! Each is a value with its exact derivative; each is named by what it is, and says what its gradient is in expectation
//! when the tokens are the student's own.

use serde::{Deserialize, Serialize};

use super::math::Slope;

/// A loss on one sampled token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampled {
    /// `-sg[lp_teacher - lp_student] lp_student`: the gap as an advantage. Expected gradient: the reverse
    /// KL(student || teacher).
    AdvantageRkl,
    /// `lp_teacher - lp_student`. Expected gradient: exactly zero. With a detached gate before it, policy gradient
    /// with the gate as reward (SDAR).
    K1,
    /// `gap^2 / 2`. Expected gradient: the reverse KL.
    K2,
    /// `exp(gap) - 1 - gap`. Expected gradient: the forward KL(teacher || student).
    K3,
    /// `rho (exp(gap) - 1 - gap)`, `rho = exp(lp_student - lp_old)`, the gradient also through rho. Expected gradient:
    /// the reverse KL, on tokens of the old policy too (Skill-SD). rho is bounded by this; 0 = no bound. Where it binds,
    /// rho is a constant and the gradient that of k3.
    RatioK3(f64),
    /// As [`Sampled::RatioK3`], with `exp(gap) - 1 - gap` bounded by 10: beyond it only rho has a gradient (GenEvolve).
    BoundedK3(f64),
    /// `-lp_student`: likelihood of the token, whoever chose it.
    Nll,
}

/// Log-probs of one token. Only the student's carries a gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenAt {
    pub lp_student: f64,
    /// The same number, detached.
    pub lp_here: f64,
    pub lp_old: f64,
    pub lp_teacher: f64,
}

/// Largest exponent of k3's `exp(gap)`, as in SDAR's re-implementation of Skill-SD. Beyond it the term is constant.
const GAP_CLAMP: f64 = 20.0;
/// Largest value of the bounded k3, from a third party's configuration after GenEvolve.
const K3_BOUND: f64 = 10.0;
/// Largest exponent of the importance ratio, from the same source.
const RATIO_CLAMP: f64 = 10.0;

impl Sampled {
    /// Value and derivative at one token.
    pub fn at(self, token: TokenAt) -> Slope {
        let TokenAt { lp_student, lp_here, lp_old, lp_teacher } = token;
        let gap = lp_teacher - lp_student;
        match self {
            Sampled::AdvantageRkl => {
                let advantage = lp_teacher - lp_here;
                Slope { value: -advantage * lp_student, slope: -advantage }
            }
            Sampled::K1 => Slope { value: gap, slope: -1.0 },
            Sampled::K2 => Slope { value: 0.5 * gap * gap, slope: -gap },
            Sampled::K3 => k3(gap),
            Sampled::RatioK3(cap) | Sampled::BoundedK3(cap) => {
                let inner = match self {
                    Sampled::BoundedK3(_) if k3(gap).value > K3_BOUND => Slope { value: K3_BOUND, slope: 0.0 },
                    _ => k3(gap),
                };
                let free = (lp_student - lp_old).min(RATIO_CLAMP).exp();
                let bound = lp_student - lp_old > RATIO_CLAMP || (cap > 0.0 && free > cap);
                let rho = if cap > 0.0 { free.min(cap) } else { free };
                let through = if bound { 0.0 } else { inner.value };
                Slope { value: rho * inner.value, slope: rho * (inner.slope + through) }
            }
            Sampled::Nll => Slope { value: -lp_student, slope: -1.0 },
        }
    }
}

/// `exp(gap) - 1 - gap` and its derivative by the student's log-prob.
fn k3(gap: f64) -> Slope {
    if gap > GAP_CLAMP {
        return Slope { value: GAP_CLAMP.exp_m1() - gap, slope: 1.0 };
    }
    Slope { value: (gap.exp_m1() - gap).max(0.0), slope: -gap.exp_m1() }
}

/// A divergence over K listed tokens and, as one more outcome, all others together (the tail).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listed {
    /// KL(student || teacher).
    Rkl,
    /// KL(teacher || student).
    Fkl,
    /// `a KL(teacher || m) + (1 - a) KL(student || m)`, `m = (1 - a) student + a teacher` (OPSD, SDPO); by their
    /// convention 0 is the forward and 1 the reverse KL.
    Jsd(f64),
    /// KL(teacher || student), both renormalised on the listed tokens; no tail (UCOB).
    RenormalisedFkl,
}

/// Smallest probability a tail is taken for: below it lies rounding.
const TAIL_FLOOR: f64 = 1e-6;

/// A value and its derivative by every listed log-prob of the student.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slopes {
    pub value: f64,
    pub slopes: Vec<f64>, // [K]
}

impl Listed {
    /// The divergence at one position. `student`, `teacher`: log-probs of the same tokens, [K]; entries of -inf fill up.
    pub fn at(self, student: &[f32], teacher: &[f32]) -> Slopes {
        let (p, q) = (probabilities(student), probabilities(teacher));
        match self {
            Listed::RenormalisedFkl => renormalised(&p, &q),
            Listed::Fkl | Listed::Jsd(0.0) => by_outcome(&p, &q, |p, q| (q * log_ratio(q, p), -q / p)),
            Listed::Rkl | Listed::Jsd(1.0) => by_outcome(&p, &q, |p, q| (p * log_ratio(p, q), log_ratio(p, q))),
            Listed::Jsd(a) => by_outcome(&p, &q, |p, q| {
                let m = (1.0 - a) * p + a * q;
                let value = a * q * log_ratio(q, m) + (1.0 - a) * p * log_ratio(p, m);
                (value, (1.0 - a) * log_ratio(p, m))
            }),
        }
    }
}

fn probabilities(logs: &[f32]) -> Vec<f64> {
    logs.iter().map(|&lp| f64::from(lp).exp()).collect()
}

/// ln(x / y), 0 where x is 0; y is never below the floor where x is not.
fn log_ratio(x: f64, y: f64) -> f64 {
    if x > 0.0 { (x / y.max(1e-30)).ln() } else { 0.0 }
}

/// Sums `f(p, q) = (value, dvalue/dp up to a constant)` over the listed outcomes and the tail. A constant added to
/// every dvalue/dp drops out, because the probabilities of all outcomes sum to one.
fn by_outcome(p: &[f64], q: &[f64], f: impl Fn(f64, f64) -> (f64, f64)) -> Slopes {
    let tail = |p: &[f64]| (1.0 - p.iter().sum::<f64>()).max(0.0);
    let (p_tail, q_tail) = (tail(p), tail(q));
    // a student whose tail is rounding has nothing left to move there
    let (rest, by_rest) = if p_tail > TAIL_FLOOR { f(p_tail, q_tail.max(TAIL_FLOOR)) } else { (0.0, 0.0) };
    let mut slopes = Slopes { value: rest, slopes: Vec::with_capacity(p.len()) };
    for (&p, &q) in p.iter().zip(q) {
        if p == 0.0 {
            slopes.slopes.push(0.0);
            continue;
        }
        let (value, by_p) = f(p, q);
        slopes.value += value;
        // dp/dlp = p, and what a listed token gains the tail loses
        slopes.slopes.push(p * (by_p - by_rest));
    }
    slopes
}

fn renormalised(p: &[f64], q: &[f64]) -> Slopes {
    let (sum_p, sum_q): (f64, f64) = (p.iter().sum(), q.iter().sum());
    if sum_p == 0.0 || sum_q == 0.0 {
        return Slopes { value: 0.0, slopes: vec![0.0; p.len()] };
    }
    let pairs = || p.iter().map(|p| p / sum_p).zip(q.iter().map(|q| q / sum_q));
    let value = pairs().map(|(p, q)| q * log_ratio(q, p)).sum();
    Slopes { value, slopes: pairs().map(|(p, q)| p - q).collect() }
}

/// `-ln sigmoid(beta margin)`: the loss of preferring one text to another (DPO), and its derivative by the margin.
pub fn preference(margin: f64, beta: f64) -> Slope {
    let x = beta * margin;
    // ln(1 + exp(-x)) without overflow
    let value = (-x).max(0.0) + (-x.abs()).exp().ln_1p();
    Slope { value, slope: -beta * super::math::sigmoid(-x) }
}
