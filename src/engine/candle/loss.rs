//! Log-probs and entropies of given tokens from hidden states, and the way back from coefficients, in chunks of
//! positions: the [n, V] logits are never all alive.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::cpu::{self, Mat};
use super::model::Packed;
use super::ops::{host, tensor};
use crate::engine::ScoreRow;

/// Positions whose logits exist at the same time.
const CHUNK: usize = 512;

/// The scored positions of a packed batch: token `target[i]` is predicted from hidden row `from[i]`.
pub(super) struct Targets {
    pub from: Vec<usize>,   // [n]
    pub target: Vec<u32>,   // [n]
    pub counts: Vec<usize>, // per row
}

impl Targets {
    pub fn new(rows: &[ScoreRow], input: &Packed) -> Self {
        let mut targets = Self { from: vec![], target: vec![], counts: vec![] };
        for (row, segment) in rows.iter().zip(&input.segments) {
            let wanted: Vec<usize> = (1..row.ids.len()).filter(|&t| row.mask[t]).collect();
            targets.from.extend(wanted.iter().map(|t| segment.start + t - 1));
            targets.target.extend(wanted.iter().map(|&t| row.ids[t]));
            targets.counts.push(wanted.len());
        }
        targets
    }

    fn gather(&self, hidden: &[f32], width: usize) -> Vec<f32> {
        self.from.iter().flat_map(|&i| &hidden[i * width..(i + 1) * width]).copied().collect()
    }
}

/// Log-prob and entropy per scored position, and its log-sum-exp for the way back. All [n].
pub(super) struct Scored {
    pub logp: Vec<f32>,
    pub entropy: Vec<f32>,
    lse: Vec<f32>,
}

/// Scores `targets` from hidden [N, D] through the output matrix [V, D]; logits are divided by `temperature`.
pub(super) fn score(hidden: &Tensor, head: &Tensor, targets: &Targets, temperature: f32) -> Result<Scored> {
    let (v, d) = head.dims2()?;
    let (hs, e) = (host(hidden)?, host(head)?);
    let states = targets.gather(&hs, d); // [n, D]
    let n = targets.target.len();
    let mut scored = Scored { logp: Vec::with_capacity(n), entropy: Vec::with_capacity(n), lse: Vec::with_capacity(n) };
    let mut logits = vec![0f32; CHUNK.min(n) * v];
    for first in (0..n).step_by(CHUNK) {
        let m = CHUNK.min(n - first);
        let logits = &mut logits[..m * v];
        project(&states[first * d..(first + m) * d], &e, [m, d, v], logits, temperature);
        let rows: Vec<(f32, f32)> = logits.par_chunks(v).map(cpu::log_partition).collect();
        for (i, (lse, entropy)) in rows.into_iter().enumerate() {
            scored.logp.push(logits[i * v + targets.target[first + i] as usize] - lse);
            scored.entropy.push(entropy);
            scored.lse.push(lse);
        }
    }
    Ok(scored)
}

/// Gradients for L = sum_i logp_coef[i] * logp[i] + entropy_coef[i] * entropy[i]: dL/dhidden [N, D] and,
/// if `head_trained`, dL/dhead [V, D].
pub(super) fn score_grad(
    hidden: &Tensor,
    head: &Tensor,
    targets: &Targets,
    scored: &Scored,
    coef: (&[f32], &[f32]),
    temperature: f32,
    head_trained: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let (v, d) = head.dims2()?;
    let (hs, e) = (host(hidden)?, host(head)?);
    let states = targets.gather(&hs, d);
    let n = targets.target.len();
    let (mut dhidden, mut dhead) = (vec![0f32; hs.len()], head_trained.then(|| vec![0f32; v * d]));
    let mut logits = vec![0f32; CHUNK.min(n) * v];
    let mut dstates = vec![0f32; CHUNK.min(n) * d];
    for first in (0..n).step_by(CHUNK) {
        let m = CHUNK.min(n - first);
        let logits = &mut logits[..m * v];
        let part = &states[first * d..(first + m) * d];
        project(part, &e, [m, d, v], logits, temperature);
        logits.par_chunks_mut(v).enumerate().for_each(|(i, row)| {
            let i = first + i;
            let b = coef.1.get(i).copied().unwrap_or(0.0);
            cpu::logits_grad(row, targets.target[i] as usize, scored.lse[i], scored.entropy[i], coef.0[i], b);
        });
        let dlogits = Mat { data: logits, row: v, col: 1 };
        cpu::gemm([m, v, d], dlogits, Mat { data: &e, row: d, col: 1 }, &mut dstates, d, 1.0 / temperature, 0.0);
        if let Some(dhead) = &mut dhead {
            let turned = Mat { data: logits, row: 1, col: v };
            cpu::gemm([v, m, d], turned, Mat { data: part, row: d, col: 1 }, dhead, d, 1.0 / temperature, 1.0);
        }
        for (i, ds) in dstates[..m * d].chunks_exact(d).enumerate() {
            let at = targets.from[first + i] * d;
            for (h, g) in dhidden[at..at + d].iter_mut().zip(ds) {
                *h += g;
            }
        }
    }
    let dhead = dhead.map(|dhead| tensor(dhead, (v, d))).transpose()?;
    Ok((tensor(dhidden, hidden.shape())?, dhead))
}

/// logits [m, V] = states [m, D] head^T / temperature.
fn project(states: &[f32], head: &[f32], dims: [usize; 3], logits: &mut [f32], temperature: f32) {
    let [_, d, v] = dims;
    let (a, b) = (Mat { data: states, row: d, col: 1 }, Mat { data: head, row: 1, col: d });
    cpu::gemm(dims, a, b, logits, v, 1.0 / temperature, 0.0);
}
