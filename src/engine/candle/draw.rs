//! One token from its logits.

use multiversion::multiversion;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::cpu;
use crate::engine::Filter;

/// How tokens are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// 0 = the most likely token, recorded at temperature 1.
    pub temperature: f32,
    pub filter: Filter,
    /// Most likely tokens recorded.
    pub top: usize,
}

/// A drawn token, with what is recorded of softmax(logits / temperature), whatever the filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drawn {
    pub id: u32,
    pub logp: f32,
    pub entropy: f32,
    /// Probability of all tokens that could have been drawn.
    pub kept: f32,
    /// The most likely tokens and their log-probs, most likely first.
    pub top: Vec<(u32, f32)>,
}

/// Draws a token; `logits` [V] are scaled in place, `weights` is memory to work in.
pub(super) fn draw(logits: &mut [f32], how: &How, weights: &mut Vec<f32>, rng: &mut ChaCha8Rng) -> Drawn {
    let greedy = how.temperature == 0.0;
    if !greedy && how.temperature != 1.0 {
        logits.iter_mut().for_each(|z| *z /= how.temperature);
    }
    weights.resize(logits.len(), 0.0);
    let (lse, entropy) = weigh(logits, weights);
    let (id, kept) = match how.filter {
        _ if greedy => (most_likely(logits, 1)[0], 1.0),
        Filter::NONE => (pick(weights, rng.random()), 1.0),
        filter => pick_filtered(weights, &filter, rng.random()),
    };
    let top = most_likely(logits, how.top).into_iter().map(|id| (id, logits[id as usize] - lse)).collect();
    Drawn { id, logp: logits[id as usize] - lse, entropy, kept, top }
}

/// weights = exp(z - max z); returns log-sum-exp and entropy (nats) of softmax(z).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn weigh(z: &[f32], weights: &mut [f32]) -> (f32, f32) {
    let n = z.len();
    let weights = &mut weights[..n];
    let m = cpu::max(z);
    for i in 0..n {
        weights[i] = cpu::exp(z[i] - m);
    }
    let sum = cpu::sum_by(n, |i| weights[i]);
    let mean = cpu::sum_by(n, |i| weights[i] * (z[i] - m)) / sum;
    (m + sum.ln(), sum.ln() - mean)
}

/// Tokens whose weights are summed at once.
const RUN: usize = 256;

/// The token at share `u` in [0, 1) of all weight, tokens in the order of their ids.
fn pick(weights: &[f32], u: f64) -> u32 {
    let sums = run_sums(weights);
    let mut left = u * sums.iter().map(|s| *s as f64).sum::<f64>();
    let mut last = 0;
    for (run, (weights, &sum)) in weights.chunks(RUN).zip(&sums).enumerate() {
        if left >= sum as f64 {
            left -= sum as f64;
            continue;
        }
        for (i, &weight) in weights.iter().enumerate() {
            last = run * RUN + i;
            left -= weight as f64;
            if left < 0.0 {
                return last as u32;
            }
        }
    }
    // rounding has left a little over
    last as u32
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn run_sums(weights: &[f32]) -> Vec<f32> {
    weights.chunks(RUN).map(|run| cpu::sum_by(run.len(), |i| run[i])).collect()
}

/// The token at share `u` of the weight that passes the filter, and what share of all weight that is.
fn pick_filtered(weights: &[f32], filter: &Filter, u: f64) -> (u32, f32) {
    let total: f64 = run_sums(weights).iter().map(|s| *s as f64).sum();
    let ids = passing(weights, filter, total);
    let weight = |id: &u32| weights[*id as usize] as f64;
    let mass: f64 = ids.iter().map(weight).sum();
    let mut left = u * mass;
    let drawn = ids.iter().find(|id| {
        left -= weight(id);
        left < 0.0
    });
    (*drawn.unwrap_or(&ids[ids.len() - 1]), (mass / total).min(1.0) as f32)
}

/// Tokens that pass the filter, most likely first; never none. Each of its rules keeps a beginning of that order.
fn passing(weights: &[f32], filter: &Filter, total: f64) -> Vec<u32> {
    let weight = |id: &u32| weights[*id as usize] as f64;
    let (mut ids, all) = match filter.top_k {
        0 => {
            // What is less likely than this holds less than 1 - top_p together: the rest need not be put in order.
            let least = (1.0 - filter.top_p as f64) * total / weights.len() as f64;
            let mut ids: Vec<u32> = (0..weights.len() as u32).filter(|id| weight(id) >= least).collect();
            ids.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then(a.cmp(b)));
            (ids, total)
        }
        k => {
            let ids = most_likely(weights, k);
            let all = ids.iter().map(weight).sum();
            (ids, all)
        }
    };
    let mut mass = 0.0;
    let nucleus = ids.iter().position(|id| {
        mass += weight(id);
        mass >= filter.top_p as f64 * all
    });
    let least = ids.first().map_or(0.0, weight) * filter.min_p as f64;
    let likely = ids.iter().take_while(|id| weight(id) >= least).count();
    ids.truncate(nucleus.map_or(ids.len(), |at| at + 1).min(likely).max(1));
    ids
}

/// The `k` greatest, greatest first, the lower id first among equals; at least one for k > 0.
pub(super) fn most_likely(values: &[f32], k: usize) -> Vec<u32> {
    let mut best: Vec<u32> = Vec::with_capacity(k.min(values.len()) + 1);
    if k == 0 {
        return best;
    }
    for (id, &value) in values.iter().enumerate() {
        if best.len() == k && best.last().is_some_and(|last| values[*last as usize] >= value) {
            continue;
        }
        let at = best.partition_point(|other| values[*other as usize] >= value);
        best.insert(at, id as u32);
        best.truncate(k);
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::rng;

    const ALL: How = How { temperature: 1.0, filter: Filter::NONE, top: 0 };

    /// Softmax in double precision.
    fn softmax(logits: &[f32], temperature: f32) -> Vec<f64> {
        let z: Vec<f64> = logits.iter().map(|z| *z as f64 / temperature as f64).collect();
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        z.iter().map(|z| z.exp() / sum).collect()
    }

    fn logits(n: usize) -> impl Strategy<Value = Vec<f32>> {
        proptest::collection::vec(-6f32..6.0, 1..n)
    }

    proptest! {
        #[test]
        fn what_is_recorded_is_the_full_distribution(
            z in logits(700), t in 0.2f32..3.0, top_k in 0usize..9, top_p in 0.1f32..1.0, seed: u64,
        ) {
            let p = softmax(&z, t);
            let how = How { temperature: t, filter: Filter { top_k, top_p, min_p: 0.0 }, top: 3 };
            let drawn = draw(&mut z.clone(), &how, &mut vec![], &mut rng::stream(seed, "test", &[]));
            let entropy: f64 = p.iter().map(|p| -p * p.ln()).sum();
            prop_assert!((drawn.logp as f64 - p[drawn.id as usize].ln()).abs() < 1e-4);
            prop_assert!((drawn.entropy as f64 - entropy).abs() < 1e-4);
            let mut order: Vec<usize> = (0..p.len()).collect();
            order.sort_by(|a, b| z[*b].total_cmp(&z[*a]).then(a.cmp(b)));
            prop_assert_eq!(drawn.top.len(), 3.min(p.len()));
            for ((id, logp), want) in drawn.top.iter().zip(order) {
                prop_assert_eq!(z[*id as usize], z[want]);
                prop_assert!((*logp as f64 - p[want].ln()).abs() < 1e-4);
            }
        }

        #[test]
        fn filters_keep_what_they_say(z in logits(400), top_k in 0usize..20, top_p in 0.05f32..1.0, min_p in 0f32..0.5) {
            let mut weights = vec![0.0; z.len()];
            weigh(&z, &mut weights);
            let total: f64 = weights.iter().map(|w| *w as f64).sum();
            let ids = passing(&weights, &Filter { top_k, top_p, min_p }, total);
            // the same by the definition, from a full sort in double precision
            let mut order: Vec<u32> = (0..z.len() as u32).collect();
            let weight = |id: u32| weights[id as usize] as f64;
            order.sort_by(|a, b| weight(*b).total_cmp(&weight(*a)).then(a.cmp(b)));
            if top_k > 0 {
                order.truncate(top_k);
            }
            let all: f64 = if top_k > 0 { order.iter().map(|id| weight(*id)).sum() } else { total };
            let mut before = 0.0;
            let nucleus: Vec<u32> = order
                .into_iter()
                .take_while(|id| {
                    let open = before < top_p as f64 * all;
                    before += weight(*id);
                    open
                })
                .collect();
            let most = weight(nucleus[0]);
            let want: Vec<u32> = nucleus.into_iter().filter(|id| weight(*id) >= min_p as f64 * most).collect();
            prop_assert_eq!(ids, want);
        }
    }

    #[test]
    fn draws_follow_the_filtered_distribution() {
        let z: Vec<f32> = (0..600).map(|i| ((i * 37 % 101) as f32 * 0.11).sin() * 4.0).collect();
        for filter in
            [Filter::NONE, Filter { top_k: 7, top_p: 0.8, min_p: 0.0 }, Filter { top_k: 0, top_p: 1.0, min_p: 0.9 }]
        {
            let p = softmax(&z, 1.0);
            let mut weights = vec![0.0; z.len()];
            weigh(&z, &mut weights);
            let total = weights.iter().map(|w| *w as f64).sum();
            let ids = if filter == Filter::NONE { (0..600).collect() } else { passing(&weights, &filter, total) };
            let mass: f64 = ids.iter().map(|id| p[*id as usize]).sum();
            let (n, mut counts) = (20_000, vec![0f64; z.len()]);
            let mut stream = rng::stream(1, "draws", &[]);
            for _ in 0..n {
                let drawn = draw(&mut z.clone(), &How { filter, ..ALL }, &mut vec![], &mut stream);
                assert!((drawn.kept as f64 - mass).abs() < 1e-5);
                counts[drawn.id as usize] += 1.0 / n as f64;
            }
            for id in 0..z.len() as u32 {
                let want = if ids.contains(&id) { p[id as usize] / mass } else { 0.0 };
                let error = (want * (1.0 - want) / n as f64).sqrt();
                let slack = if want > 0.0 { 3.0 / n as f64 } else { 0.0 }; // a rare token may come by chance
                assert!((counts[id as usize] - want).abs() <= 5.0 * error + slack, "{filter:?}, token {id}");
            }
        }
    }

    #[test]
    fn greedy_takes_the_first_of_the_most_likely_and_reports_temperature_1() {
        let mut stream = rng::stream(1, "greedy", &[]);
        let drawn = draw(&mut [0.0, 2.0, 1.0, 2.0], &How { temperature: 0.0, ..ALL }, &mut vec![], &mut stream);
        let p = softmax(&[0.0, 2.0, 1.0, 2.0], 1.0);
        assert_eq!((drawn.id, drawn.kept), (1, 1.0));
        assert!((drawn.logp as f64 - p[1].ln()).abs() < 1e-6);
    }
}
