//! Scores of given tokens from hidden states, and the way back from coefficients, in chunks of positions: the [n, V]
//! logits are never all alive.
//!
//! A position's scores are the log-prob of its token, the entropy, and where a row asks for them the log-probs of K
//! given tokens with the log of all other probability (the tail), and the K most likely tokens. Any loss on a
//! distribution cut to K tokens and a tail (forward and reverse KL, Jensen-Shannon) is a function of these numbers,
//! so its gradient needs no more than the coefficients dL/dscore.

use std::ops::Range;

use anyhow::{Result, ensure};
use candle_core::Tensor;
use rayon::prelude::*;

use super::cpu::{self, Mat};
use super::draw::most_likely;
use super::model::Packed;
use super::ops::{host, tensor};
use super::plain;
use crate::engine::{Coefficients, ScoreRow, Scores};

/// Positions whose logits exist at the same time.
pub(super) const CHUNK: usize = 512;
/// Log of the smallest tail: nothing is left of it in single precision, so its gradient is 0.
pub(super) const LEAST_TAIL: f32 = -80.0;
/// A logit that no sum shall notice, relative to log-sum-exp.
pub(super) const HIDDEN: f32 = -1e4;

/// A scored position: `target` is predicted from hidden row `from`.
pub(super) struct Position {
    pub from: usize,
    pub target: u32,
    /// Its given tokens in [`Targets::given`].
    pub given: Range<usize>,
    /// How many of the most likely tokens to report.
    pub top: usize,
}

/// The scored positions of a packed batch.
pub(super) struct Targets {
    pub positions: Vec<Position>, // [n]
    pub given: Vec<u32>,
    counts: Vec<usize>, // per row
}

impl Targets {
    /// `vocab`: tokens in the output distribution.
    pub fn new(rows: &[ScoreRow], input: &Packed, vocab: usize) -> Result<Self> {
        let mut targets = Self { positions: vec![], given: vec![], counts: vec![] };
        for (row, segment) in rows.iter().zip(&input.segments) {
            let wanted: Vec<usize> = (1..row.ids.len()).filter(|&t| row.mask[t]).collect();
            let (n, given) = (wanted.len(), row.given.len());
            ensure!(
                given == 0 || given.is_multiple_of(n.max(1)),
                "{given} given tokens cannot be shared out among {n} scored positions"
            );
            if let Some(id) = row.given.iter().find(|id| **id as usize >= vocab) {
                anyhow::bail!("given token {id} is outside the vocabulary of {vocab}");
            }
            let k = given / n.max(1);
            for (i, &t) in wanted.iter().enumerate() {
                let at = targets.given.len() + i * k;
                let position =
                    Position { from: segment.start + t - 1, target: row.ids[t], given: at..at + k, top: row.top };
                targets.positions.push(position);
            }
            targets.given.extend_from_slice(row.given);
            targets.counts.push(n);
        }
        Ok(targets)
    }

    /// Splits what was found at the positions by rows.
    pub fn scores(&self, scored: &[Scored]) -> Vec<Scores> {
        let mut rest = scored;
        let row = |&n: &usize| {
            let (row, others) = rest.split_at(n);
            rest = others;
            let given = self.given_of(n, scored.len() - rest.len());
            Scores {
                logp: row.iter().map(|s| s.logp).collect(),
                entropy: row.iter().map(|s| s.entropy).collect(),
                given: row.iter().flat_map(|s| &s.given).copied().collect(),
                tail: if given { row.iter().map(|s| s.tail).collect() } else { vec![] },
                top: row.iter().flat_map(|s| &s.top).copied().collect(),
            }
        };
        self.counts.iter().map(row).collect()
    }

    /// Whether the row of `n` positions that ends at `end` has given tokens.
    fn given_of(&self, n: usize, end: usize) -> bool {
        n > 0 && !self.positions[end - 1].given.is_empty()
    }

    fn gather(&self, hidden: &[f32], width: usize) -> Vec<f32> {
        self.positions.iter().flat_map(|p| &hidden[p.from * width..(p.from + 1) * width]).copied().collect()
    }
}

/// What was found at a position.
#[derive(Clone, Debug, Default)]
pub(super) struct Scored {
    pub logp: f32,
    pub entropy: f32,
    /// Log-sum-exp of the logits, for the way back.
    pub lse: f32,
    pub given: Vec<f32>,
    pub tail: f32,
    pub top: Vec<(u32, f32)>,
}

/// Scores `targets` from hidden [N, D] through the output matrix [V, D]; logits are divided by `temperature`.
pub(super) fn score(hidden: &Tensor, head: &Tensor, targets: &Targets, temperature: f32) -> Result<Vec<Scored>> {
    if plain::is(hidden) {
        return plain::score(hidden, head, targets, temperature);
    }
    let (v, d) = head.dims2()?;
    let (hs, e) = (host(hidden)?, host(head)?);
    let states = targets.gather(&hs, d); // [n, D]
    let n = targets.positions.len();
    let mut scored = Vec::with_capacity(n);
    let mut logits = vec![0f32; CHUNK.min(n) * v];
    for (states, positions) in states.chunks(CHUNK * d).zip(targets.positions.chunks(CHUNK)) {
        let m = positions.len();
        let logits = &mut logits[..m * v];
        project(states, &e, [m, d, v], logits, temperature);
        let found = logits.par_chunks_mut(v).zip(positions).map(|(row, p)| examine(row, p, &targets.given));
        scored.par_extend(found);
    }
    Ok(scored)
}

fn examine(row: &mut [f32], position: &Position, given: &[u32]) -> Scored {
    let (lse, entropy) = cpu::log_partition(row);
    let logp = |id: u32, row: &[f32]| row[id as usize] - lse;
    let ids = &given[position.given.clone()];
    let mut scored = Scored { logp: logp(position.target, row), entropy, lse, ..Scored::default() };
    scored.top = most_likely(row, position.top).into_iter().map(|id| (id, logp(id, row))).collect();
    if !ids.is_empty() {
        scored.given = ids.iter().map(|&id| logp(id, row)).collect();
        ids.iter().for_each(|&id| row[id as usize] = lse + HIDDEN);
        scored.tail = (cpu::log_partition(row).0 - lse).max(LEAST_TAIL);
    }
    scored
}

/// What to send back from one position.
pub(super) struct Pull<'a> {
    pub logp: f32,
    pub entropy: f32,
    pub given: &'a [f32],
    pub tail: f32,
}

/// Coefficients position by position; an error if their numbers do not fit the scores.
pub(super) fn pulls<'a>(targets: &Targets, coefficients: &'a [Coefficients]) -> Result<Vec<Pull<'a>>> {
    let rows = targets.counts.len();
    ensure!(coefficients.len() == rows, "coefficients for {} rows, there are {rows}", coefficients.len());
    let mut pulls = Vec::with_capacity(targets.positions.len());
    for (c, &n) in coefficients.iter().zip(&targets.counts) {
        let k = targets.positions[pulls.len()..].first().filter(|_| n > 0).map_or(0, |p| p.given.len());
        ensure!(c.logp.len() == n, "{} coefficients for {n} tokens", c.logp.len());
        let optional = [("entropy", &c.entropy, n), ("given-token", &c.given, n * k), ("tail", &c.tail, n.min(n * k))];
        for (name, c, all) in optional {
            ensure!(c.is_empty() || c.len() == all, "{} {name} coefficients, expected {all} or none", c.len());
        }
        let or_zero = |c: &[f32], i: usize| c.get(i).copied().unwrap_or(0.0);
        pulls.extend((0..n).map(|i| Pull {
            logp: c.logp[i],
            entropy: or_zero(&c.entropy, i),
            given: c.given.get(i * k..(i + 1) * k).unwrap_or(&[]),
            tail: or_zero(&c.tail, i),
        }));
    }
    Ok(pulls)
}

/// Gradients for L = sum over scores of coefficient * score: dL/dhidden [N, D] and, if `head_trained`, dL/dhead [V, D].
pub(super) fn score_grad(
    hidden: &Tensor,
    head: &Tensor,
    targets: &Targets,
    scored: &[Scored],
    coefficients: &[Coefficients],
    temperature: f32,
    head_trained: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    if plain::is(hidden) {
        return plain::score_grad(hidden, head, targets, scored, coefficients, temperature, head_trained);
    }
    let (v, d) = head.dims2()?;
    let (hs, e) = (host(hidden)?, host(head)?);
    let (pulls, states) = (pulls(targets, coefficients)?, targets.gather(&hs, d));
    let n = targets.positions.len();
    let (mut dhidden, mut dhead) = (vec![0f32; hs.len()], head_trained.then(|| vec![0f32; v * d]));
    let (mut logits, mut dstates) = (vec![0f32; CHUNK.min(n) * v], vec![0f32; CHUNK.min(n) * d]);
    for first in (0..n).step_by(CHUNK) {
        let m = CHUNK.min(n - first);
        let (logits, part) = (&mut logits[..m * v], &states[first * d..(first + m) * d]);
        project(part, &e, [m, d, v], logits, temperature);
        logits.par_chunks_mut(v).enumerate().for_each(|(i, row)| {
            let position = &targets.positions[first + i];
            pull_back(row, position, &targets.given, &scored[first + i], &pulls[first + i]);
        });
        let dlogits = Mat { data: logits, row: v, col: 1 };
        cpu::gemm([m, v, d], dlogits, Mat { data: &e, row: d, col: 1 }, &mut dstates, d, 1.0 / temperature, 0.0);
        if let Some(dhead) = &mut dhead {
            let turned = Mat { data: logits, row: 1, col: v };
            cpu::gemm([v, m, d], turned, Mat { data: part, row: d, col: 1 }, dhead, d, 1.0 / temperature, 1.0);
        }
        for (position, ds) in targets.positions[first..].iter().zip(dstates[..m * d].chunks_exact(d)) {
            // every hidden row is scored once at most
            dhidden[position.from * d..][..d].copy_from_slice(ds);
        }
    }
    let dhead = dhead.map(|dhead| tensor(dhead, (v, d))).transpose()?;
    Ok((tensor(dhidden, hidden.shape())?, dhead))
}

/// Turns a position's logits z into dL/dz in place. With p = softmax(z), S the given tokens, r the tail's mass,
///
///   dL/dz = a (onehot - p) - b p (log p + H) + sum_k c_k (onehot_k - p) + t (p [not in S] / r - p)
///
/// for L = a log p\[target\] + b H(p) + sum_k c_k log p_k + t log r.
fn pull_back(row: &mut [f32], position: &Position, given: &[u32], scored: &Scored, pull: &Pull) {
    let ids = &given[position.given.clone()];
    let Scored { lse, entropy, tail, .. } = *scored;
    let (b, t) = (pull.entropy, if tail > LEAST_TAIL { pull.tail } else { 0.0 });
    let all = pull.logp + pull.given.iter().sum::<f32>() + t;
    if t == 0.0 {
        cpu::logits_grad(row, lse, entropy, all, b);
    } else {
        ids.iter().for_each(|&id| row[id as usize] = lse + HIDDEN);
        cpu::logits_grad_tail(row, [lse, entropy, tail], all, b, t);
        for (&id, &log_p) in ids.iter().zip(&scored.given) {
            row[id as usize] = -log_p.exp() * (all + b * (log_p + entropy));
        }
    }
    ids.iter().zip(pull.given).for_each(|(&id, c)| row[id as usize] += c);
    row[position.target as usize] += pull.logp;
}

/// logits [m, V] = states [m, D] head^T / temperature.
fn project(states: &[f32], head: &[f32], dims: [usize; 3], logits: &mut [f32], temperature: f32) {
    let [_, d, v] = dims;
    let (a, b) = (Mat { data: states, row: d, col: 1 }, Mat { data: head, row: 1, col: d });
    cpu::gemm(dims, a, b, logits, v, 1.0 / temperature, 0.0);
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;
