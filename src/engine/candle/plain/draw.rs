//! Drawing tokens where their logits are. Only what a run of tokens weighs in all goes to the host, and then the tokens of
//! one run: a two-hundredth of the logits.

use candle_core::{Result, Tensor};

use super::wide;
use crate::engine::Filter;
use crate::engine::candle::draw::{Drawn, How, most_likely};

/// Tokens in a run, where the vocabulary is a multiple of no other length.
const RUN: usize = 256;

/// Whether tokens are drawn here: a filter needs all of them in order.
pub(in super::super) fn draws(how: &How) -> bool {
    how.filter == Filter::NONE || how.temperature == 0.0
}

/// As `draw::draw`: a token for every row of logits [R, V]. `share` gives a row's random number in [0, 1).
pub(in super::super) fn draw(logits: &Tensor, how: &How, mut share: impl FnMut(usize) -> f64) -> Result<Vec<Drawn>> {
    let greedy = how.temperature == 0.0;
    let mut z = super::single(&wide(logits)?)?;
    if !greedy && how.temperature != 1.0 {
        z = (z / f64::from(how.temperature))?;
    }
    let (r, _) = z.dims2()?;
    let z = z.broadcast_sub(&z.max_keepdim(1)?)?;
    let weights = z.exp()?;
    let runs = in_runs(&weights, 0.0)?; // [R * n, RUN]
    let n = runs.dim(0)? / r;
    let sums = Tensor::cat(&[runs.sum(1)?, (&weights * &z)?.sum(1)?], 0)?.to_vec1::<f32>()?;
    let (sums, slopes) = sums.split_at(r * n);
    let totals: Vec<f64> = sums.chunks(n).map(|sums| sums.iter().map(|s| f64::from(*s)).sum()).collect();
    let mut top = if how.top > 0 { most(&z, how.top)? } else { vec![vec![]; r] };
    let ids = if greedy {
        most(&z, 1)?.into_iter().map(|best| best[0]).collect()
    } else {
        let at: Vec<(usize, f64)> = (0..r).map(|row| run_of(&sums[row * n..][..n], share(row) * totals[row])).collect();
        let chosen: Vec<u32> = at.iter().enumerate().map(|(row, (run, _))| (row * n + run) as u32).collect();
        let chosen = lookup(&runs, &chosen)?;
        let one = |((run, left), weights): (&(usize, f64), &[f32])| {
            let i = within(weights, *left);
            ((run * weights.len() + i) as u32, weights[i].ln())
        };
        at.iter().zip(chosen.chunks(chosen.len() / r)).map(one).collect::<Vec<(u32, f32)>>()
    };
    let row = |(row, (id, z)): (usize, (u32, f32))| {
        let (total, log) = (totals[row], totals[row].ln() as f32);
        let mut top = std::mem::take(&mut top[row]);
        top.iter_mut().for_each(|(_, logp)| *logp -= log);
        let entropy = (totals[row].ln() - f64::from(slopes[row]) / total) as f32;
        Drawn { id, logp: z - log, entropy, kept: 1.0, top }
    };
    Ok(ids.into_iter().enumerate().map(row).collect())
}

/// The run at `left` of all weight, and how much of that is left in it.
fn run_of(sums: &[f32], mut left: f64) -> (usize, f64) {
    let mut last = 0;
    for (run, sum) in sums.iter().map(|s| f64::from(*s)).enumerate() {
        if left < sum {
            return (run, left);
        }
        left -= sum;
        last = if sum > 0.0 { run } else { last };
    }
    // rounding has left a little over
    (last, f64::from(sums[last]))
}

/// The token of a run at `left` of its weight.
fn within(weights: &[f32], mut left: f64) -> usize {
    let mut last = 0;
    for (i, weight) in weights.iter().enumerate() {
        left -= f64::from(*weight);
        if left < 0.0 {
            return i;
        }
        last = if *weight > 0.0 { i } else { last };
    }
    last
}

/// The `k` greatest of every row of x [R, V] in f32 and their places, greatest first, the lower place first among equals:
/// they are in the `k` runs with the greatest maxima.
pub(super) fn most(x: &Tensor, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
    let (r, v) = x.dims2()?;
    let runs = in_runs(x, f32::NEG_INFINITY)?;
    let (n, length) = (runs.dim(0)? / r, runs.dim(1)?);
    let maxima = runs.max(1)?.to_vec1::<f32>()?;
    let best = |maxima: &[f32]| {
        let mut best = most_likely(maxima, k);
        best.sort_unstable();
        best
    };
    let best: Vec<Vec<u32>> = maxima.chunks(n).map(best).collect();
    let ids: Vec<u32> =
        best.iter().enumerate().flat_map(|(row, b)| b.iter().map(move |b| (row * n) as u32 + b)).collect();
    let found = lookup(&runs, &ids)?;
    let row = |(best, found): (&Vec<u32>, &[f32])| {
        let place = |at: u32| best[at as usize / length] * length as u32 + at % length as u32;
        most_likely(found, k.min(v)).into_iter().map(|at| (place(at), found[at as usize])).collect()
    };
    Ok(best.iter().zip(found.chunks(found.len() / r)).map(row).collect())
}

/// x [R, V] as runs [R * n, length]; `fill` is behind the end.
fn in_runs(x: &Tensor, fill: f32) -> Result<Tensor> {
    let (r, v) = x.dims2()?;
    let even = 1 << v.trailing_zeros().min(RUN.ilog2());
    let length = if 4 * even >= RUN { even } else { RUN };
    let rest = v.next_multiple_of(length) - v;
    if rest == 0 {
        return x.reshape(((), length));
    }
    Tensor::cat(&[x, &Tensor::full(fill, (r, rest), x.device())?], 1)?.reshape(((), length))
}

/// The rows `ids` of x, on the host.
fn lookup(x: &Tensor, ids: &[u32]) -> Result<Vec<f32>> {
    x.index_select(&Tensor::new(ids, x.device())?, 0)?.flatten_all()?.to_vec1()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::RngExt;

    use super::*;
    use crate::core::rng;
    use crate::engine::candle::draw;

    fn logits(r: usize, v: usize) -> Vec<f32> {
        let mut stream = rng::stream(3, "logits", &[v as u64]);
        // few values, so that many are equal
        (0..r * v).map(|_| stream.random_range(-40i32..40) as f32 * 0.1).collect()
    }

    #[test]
    fn tokens_are_those_that_the_host_draws() {
        for v in [29, 256, 300, 1000, 5 * 128] {
            let r = 9;
            let z = logits(r, v);
            let tensor = Tensor::from_vec(z.clone(), (r, v), &Device::Cpu).unwrap();
            for (temperature, top) in [(1.0, 0), (0.7, 4), (0.0, 2)] {
                let how = How { temperature, filter: Filter::NONE, top };
                let mut streams: Vec<_> = (0..r as u64).map(|row| rng::stream(row, "draw", &[])).collect();
                let here = draw(&tensor, &how, |row| streams[row].random()).unwrap();
                for (row, drawn) in here.iter().enumerate() {
                    let mut stream = rng::stream(row as u64, "draw", &[]);
                    let want = draw::draw(&mut z[row * v..][..v].to_vec(), &how, &mut vec![], &mut stream);
                    assert_eq!(drawn.id, want.id, "{v} tokens, temperature {temperature}");
                    let near = |a: f32, b: f32| assert!((a - b).abs() < 2e-5, "{a}, not {b}");
                    near(drawn.logp, want.logp);
                    near(drawn.entropy, want.entropy);
                    assert_eq!(drawn.top.len(), want.top.len());
                    for (a, b) in drawn.top.iter().zip(&want.top) {
                        assert_eq!(a.0, b.0);
                        near(a.1, b.1);
                    }
                }
            }
        }
    }

    #[test]
    fn the_greatest_are_found_among_many_equal_ones() {
        for v in [7, 300, 2048] {
            let z = logits(5, v);
            let tensor = Tensor::from_vec(z.clone(), (5, v), &Device::Cpu).unwrap();
            for k in [1, 3, 20] {
                for (found, z) in most(&tensor, k).unwrap().iter().zip(z.chunks(v)) {
                    let want: Vec<(u32, f32)> = most_likely(z, k).into_iter().map(|id| (id, z[id as usize])).collect();
                    assert_eq!(*found, want);
                }
            }
        }
    }

    #[test]
    fn a_share_at_the_end_finds_the_last_token_of_any_weight() {
        assert_eq!(run_of(&[1.0, 2.0, 0.0], 3.0), (1, 2.0));
        assert_eq!(run_of(&[1.0, 2.0, 0.0], 1.5), (1, 0.5));
        assert_eq!(within(&[0.5, 0.5, 0.0], 1.0), 1);
        assert_eq!(within(&[0.0, 0.5, 0.5], 0.0), 1);
    }
}
