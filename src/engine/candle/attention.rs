//! Causal grouped-query attention over packed rows, with gradient. Sampling has its own, see `cached`.
//!
//! Scores are made in blocks of queries, never `[T, T]` at once; the backward pass rebuilds them from the saved
//! log-sum-exp (as in FlashAttention, arXiv 2205.14135, without its tiling of keys).

use std::ops::Range;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::cpu::{self, Mat, Out};
use super::model::Packed;
use super::ops::{host, tensor};
use super::plain;

/// Queries handled at once.
const BLOCK: usize = 64;

/// Heads of a model: H query heads share J key-value heads of size E.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub query: usize,
    pub kv: usize,
    pub size: usize,
}

/// o = softmax(q k^T / sqrt(E), causal) v per segment. q [N, H, E], k and v [N, J, E] -> o [N, H*E] and the
/// log-sum-exp of every (head, token), [H, N], where the backward pass wants it.
pub(super) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    input: &Packed,
    heads: Heads,
) -> Result<(Tensor, Vec<f32>)> {
    if plain::is(q) {
        return Ok((plain::attention(q, k, v, input, heads)?, vec![]));
    }
    let segments = &input.segments;
    let n = q.dim(0)?;
    let Heads { query: h, kv: j, size: e } = heads;
    let (qs, ks, vs) = (host(q)?, host(k)?, host(v)?);
    let (mut o, mut lse) = (vec![0f32; n * h * e], vec![0f32; h * n]);
    let (po, pl) = (Out::of(&mut o), Out::of(&mut lse));
    let tasks: Vec<(usize, Range<usize>)> =
        segments.iter().flat_map(|s| (0..h).map(move |head| (head, s.clone()))).collect();
    tasks.into_par_iter().for_each_init(Vec::new, |scores: &mut Vec<f32>, (head, segment)| {
        let kv = head / (h / j);
        let keys = &ks[(segment.start * j + kv) * e..];
        let values = &vs[(segment.start * j + kv) * e..];
        let t = segment.len();
        scores.resize(BLOCK * t, 0.0);
        for first in (0..t).step_by(BLOCK) {
            let m = BLOCK.min(t - first);
            let seen = first + m;
            let at = ((segment.start + first) * h + head) * e;
            let (a, b) = (Mat { data: &qs[at..], row: h * e, col: 1 }, Mat { data: keys, row: 1, col: j * e });
            cpu::gemm([m, e, seen], a, b, scores, t, 1.0 / (e as f32).sqrt(), 0.0);
            for r in 0..m {
                let row = &mut scores[r * t..r * t + seen];
                let z = cpu::softmax(&mut row[..first + r + 1]);
                row[first + r + 1..].fill(0.0);
                // SAFETY: (head, token) belongs to this task alone.
                unsafe { pl.from(head * n + segment.start + first + r)[0] = z };
            }
            let (a, b) = (Mat { data: scores, row: t, col: 1 }, Mat { data: values, row: j * e, col: 1 });
            // SAFETY: only columns [head*E, head*E + E) of this segment's rows are written.
            cpu::gemm([m, seen, e], a, b, unsafe { po.from(at) }, h * e, 1.0, 0.0);
        }
    });
    Ok((tensor(o, (n, h * e))?, lse))
}

/// What the forward pass left for the backward one.
pub(super) struct AttentionSaved<'a> {
    pub q: &'a Tensor,
    pub k: &'a Tensor,
    pub v: &'a Tensor,
    pub o: &'a Tensor,
    pub lse: &'a [f32],
}

/// Gradients of [`attention`] by q, k and v for upstream `g` [N, H*E].
pub(super) fn attention_grad(saved: &AttentionSaved, g: &Tensor, input: &Packed, heads: Heads) -> Result<[Tensor; 3]> {
    if plain::is(saved.q) {
        return plain::attention_grad([saved.q, saved.k, saved.v], g, input, heads);
    }
    let segments = &input.segments;
    let n = saved.q.dim(0)?;
    let Heads { query: h, kv: j, size: e } = heads;
    let (qs, ks, vs) = (host(saved.q)?, host(saved.k)?, host(saved.v)?);
    let (os, gs, lse) = (host(saved.o)?, host(g)?, saved.lse);
    let scale = 1.0 / (e as f32).sqrt();
    let mut dq = vec![0f32; n * h * e];
    let (mut dk, mut dv) = (vec![0f32; n * j * e], vec![0f32; n * j * e]);
    let (pq, pk, pv) = (Out::of(&mut dq), Out::of(&mut dk), Out::of(&mut dv));
    let tasks: Vec<(usize, Range<usize>)> =
        segments.iter().flat_map(|s| (0..j).map(move |kv| (kv, s.clone()))).collect();
    tasks.into_par_iter().for_each_init(Default::default, |(s, ds): &mut (Vec<f32>, Vec<f32>), (kv, segment)| {
        let t = segment.len();
        let kat = (segment.start * j + kv) * e;
        s.resize(BLOCK * t, 0.0);
        ds.resize(BLOCK * t, 0.0);
        for head in kv * (h / j)..(kv + 1) * (h / j) {
            for first in (0..t).step_by(BLOCK) {
                let m = BLOCK.min(t - first);
                let seen = first + m;
                let at = ((segment.start + first) * h + head) * e;
                let rows = |data| Mat { data, row: h * e, col: 1 };
                let columns = |data| Mat { data, row: 1, col: j * e };
                cpu::gemm([m, e, seen], rows(&qs[at..]), columns(&ks[kat..]), s, t, scale, 0.0);
                cpu::gemm([m, e, seen], rows(&gs[at..]), columns(&vs[kat..]), ds, t, 1.0, 0.0);
                for r in 0..m {
                    let live = first + r + 1;
                    let from = at + r * h * e;
                    let delta = cpu::dot(&os[from..from + e], &gs[from..from + e]);
                    let (s, ds) = (&mut s[r * t..r * t + seen], &mut ds[r * t..r * t + seen]);
                    let z = lse[head * n + segment.start + first + r];
                    cpu::attention_row_grad(&mut s[..live], &mut ds[..live], z, delta, scale);
                    s[live..].fill(0.0);
                    ds[live..].fill(0.0);
                }
                let straight = |data| Mat { data, row: t, col: 1 };
                let turned = |data| Mat { data, row: 1, col: t };
                let kv_rows = |data| Mat { data, row: j * e, col: 1 };
                // SAFETY: this task alone writes head `head` of dq and head `kv` of dk, dv in this segment.
                unsafe {
                    cpu::gemm([m, seen, e], straight(ds), kv_rows(&ks[kat..]), pq.from(at), h * e, 1.0, 0.0);
                    cpu::gemm([seen, m, e], turned(ds), rows(&qs[at..]), pk.from(kat), j * e, 1.0, 1.0);
                    cpu::gemm([seen, m, e], turned(s), rows(&gs[at..]), pv.from(kat), j * e, 1.0, 1.0);
                }
            }
        }
    });
    Ok([tensor(dq, (n, h, e))?, tensor(dk, (n, j, e))?, tensor(dv, (n, j, e))?])
}
