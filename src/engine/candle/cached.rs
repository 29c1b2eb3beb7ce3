//! Attention of new tokens against the KV cache.
//!
//! Every sum runs in an order fixed by the token's own position, so a result depends neither on the other rows of
//! the batch nor on how many tokens are run at once.

use std::ops::Range;

use candle_core::{Result, Tensor};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use rayon::prelude::*;

use super::attention::Heads;
use super::cpu;
use super::kv::{BLOCK, Block, CacheShape, Sequence};
use super::model::Packed;
use super::ops::{host, tensor};

/// Below so many (token, head, key) triples a thread is not worth waking.
const TASK: usize = 1 << 12;
/// Numbers of a value vector that are summed at once.
const LANES: usize = 16;

/// Writes the new keys k [N, J, E] and values v [N, J*E] of one layer into the caches of their segments.
pub(super) fn append(
    caches: &mut [&mut Sequence],
    shape: CacheShape,
    layer: usize,
    segments: &[Range<usize>],
    [k, v]: [&Tensor; 2],
) -> Result<()> {
    let width = shape.heads * shape.size;
    let (k, v) = (host(k)?, host(v)?);
    for (cache, segment) in caches.iter_mut().zip(segments) {
        let part = segment.start * width..segment.end * width;
        cache.write(shape, layer, &k[part.clone()], &v[part]);
    }
    Ok(())
}

/// Attention of packed new tokens q [N, H, E], each seeing its segment's cache up to itself -> [N, H*E].
pub(super) fn attend(
    q: &Tensor,
    caches: &[&mut Sequence],
    shape: CacheShape,
    layer: usize,
    input: &Packed,
    heads: Heads,
) -> Result<Tensor> {
    let n = q.dim(0)?;
    let Heads { query: h, kv: j, size: e } = heads;
    let qs = host(q)?;
    let mut o = vec![0f32; n * h * e];
    let owner: Vec<usize> =
        input.segments.iter().enumerate().flat_map(|(i, s)| std::iter::repeat_n(i, s.len())).collect();
    let blocks: Vec<&[Block]> = caches.iter().map(|c| c.blocks()).collect();
    let mean = input.positions.iter().map(|p| *p as usize + 1).sum::<usize>() / n.max(1);
    let least = TASK / (mean * h).max(1) + 1;
    o.par_chunks_mut(h * e).enumerate().with_min_len(least).for_each_init(
        Vec::new,
        |scores: &mut Vec<f32>, (token, o)| {
            let seen = input.positions[token] as usize + 1;
            let blocks = &blocks[owner[token]][..seen.div_ceil(BLOCK)];
            let group = h / j * e;
            for kv in 0..j {
                let at = [shape.keys(layer, kv), shape.values(layer, kv)];
                let q = &qs[token * h * e + kv * group..][..group];
                attend_group(q, blocks, at, [e, seen], scores, &mut o[kv * group..][..group]);
            }
        },
    );
    drop(qs);
    tensor(o, (n, h * e))
}

/// x * y + z, as one operation where the target has it.
#[inline(always)]
fn fused(fma: bool, x: f32, y: f32, z: f32) -> f32 {
    if fma { x.mul_add(y, z) } else { x * y + z }
}

/// The query heads q [G, E] that share one key-value head, against its first `seen` keys: o = softmax(q k^T / sqrt(E)) v
/// [G, E]. `at`: where the head's keys and values start in each block.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn attend_group(
    q: &[f32],
    blocks: &[Block],
    at: [usize; 2],
    [e, seen]: [usize; 2],
    scores: &mut Vec<f32>,
    o: &mut [f32],
) {
    let fma = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let scale = 1.0 / (e as f32).sqrt();
    scores.resize(blocks.len() * BLOCK, 0.0);
    for (q, o) in q.chunks_exact(e).zip(o.chunks_exact_mut(e)) {
        let (last, whole) = blocks.split_last().expect("a token sees itself at least");
        let (parts, _) = scores.as_chunks_mut::<BLOCK>();
        for (block, s) in whole.iter().zip(parts.iter_mut()) {
            against::<BLOCK>(fma, q, &block[at[0]..], scale, s);
        }
        // what is not seen of the last block need not be read
        let rest = &mut parts[whole.len()];
        match seen - whole.len() * BLOCK {
            0..=16 => against::<16>(fma, q, &last[at[0]..], scale, rest),
            17..=32 => against::<32>(fma, q, &last[at[0]..], scale, rest),
            _ => against::<BLOCK>(fma, q, &last[at[0]..], scale, rest),
        }
        let live = &mut scores[..seen];
        let m = cpu::max(live);
        for s in live.iter_mut() {
            *s = cpu::exp(*s - m);
        }
        let inv = 1.0 / cpu::sum_by(seen, |i| live[i]);
        scores[seen..].fill(0.0);
        mix(fma, &scores[..seen.next_multiple_of(4)], blocks, at[1], e, o);
        o.iter_mut().for_each(|o| *o *= inv);
    }
}

/// Scores of a query against the first M keys of a block, the others' are not touched.
#[inline(always)]
fn against<const M: usize>(fma: bool, q: &[f32], keys: &[f32], scale: f32, scores: &mut [f32; BLOCK]) {
    let mut sum = [0f32; M];
    for (&x, keys) in q.iter().zip(keys.as_chunks::<BLOCK>().0) {
        for (sum, &k) in sum.iter_mut().zip(keys) {
            *sum = fused(fma, x, k, *sum);
        }
    }
    for (score, sum) in scores.iter_mut().zip(sum) {
        *score = sum * scale;
    }
}

/// o[e] = sum over tokens of weight * value[e]; there is a multiple of 4 tokens, unseen ones have weight 0.
#[inline(always)]
fn mix(fma: bool, weights: &[f32], blocks: &[Block], at: usize, e: usize, o: &mut [f32]) {
    let whole = e / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        // four sums, because one alone would wait for itself
        let mut sums = [[0f32; LANES]; 4];
        for (block, weights) in blocks.iter().zip(weights.chunks(BLOCK)) {
            let values = &block[at..][..BLOCK * e];
            for (weights, values) in weights.as_chunks::<4>().0.iter().zip(values.chunks_exact(4 * e)) {
                for (i, (sum, &w)) in sums.iter_mut().zip(weights).enumerate() {
                    let v = &values[i * e + first..][..LANES];
                    for l in 0..LANES {
                        sum[l] = fused(fma, w, v[l], sum[l]);
                    }
                }
            }
        }
        for l in 0..LANES {
            o[first + l] = (sums[0][l] + sums[1][l]) + (sums[2][l] + sums[3][l]);
        }
    }
    for (i, o) in o.iter_mut().enumerate().skip(whole) {
        let tokens = blocks.iter().flat_map(|b| b[at..][..BLOCK * e].chunks_exact(e));
        *o = weights.iter().zip(tokens).map(|(w, v)| w * v[i]).sum();
    }
}
