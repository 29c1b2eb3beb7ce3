//! Throughput of the local engine: train step and batched decoding on random tokens.
//!
//! `cargo bench --bench engine -- [D LAYERS FF VOCAB]`: tokens per second, best and median of five. Absolute
//! figures mean little across machines; compare two builds on one machine, interleaved.

use std::time::Instant;

use sdlab::engine::candle::{Architecture, CandleEngine, Family};
use sdlab::engine::{AdamW, Coefficients, Engine, SampleRequest, Sampler, ScoreRow, sample_all};
use sdlab::text::Stops;

const ROWS: usize = 16;
const TOKENS: usize = 256;
const ROUNDS: usize = 5;

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let [d, layers, ff, vocab] = sizes[..] else { return run(128, 4, 384, 512) };
    run(d, layers, ff, vocab);
}

fn run(d: usize, layers: usize, ff: usize, vocab: usize) {
    let config = Architecture { intermediate_size: ff, ..Architecture::small(Family::Qwen3, vocab, d, layers) };
    let mut engine = CandleEngine::init(config, 0).expect("a valid configuration");
    println!("{} parameters", engine.info().parameters);
    let ids: Vec<Vec<u32>> =
        (0..ROWS).map(|r| (0..TOKENS).map(|t| ((t * 31 + r * 7) % vocab) as u32).collect()).collect();
    let mask = vec![true; TOKENS];
    // the same rate for any number of rows: cost grows linearly with tokens
    for rows in [ROWS / 4, ROWS, 4 * ROWS] {
        let ids: Vec<Vec<u32>> = ids.iter().cycle().take(rows).cloned().collect();
        report(&format!("train {rows}"), rows * TOKENS, || train(&mut engine, &ids, &mask));
    }
    report("score", ROWS * TOKENS, || score(&mut engine, &ids, &mask));
    report("decode 16", ROWS * 128, || decode(&mut engine, &ids[..]));
    let many: Vec<Vec<u32>> = (0..4).flat_map(|_| ids.clone()).collect();
    report("decode 64", 4 * ROWS * 128, || decode(&mut engine, &many));
}

fn report(name: &str, tokens: usize, mut work: impl FnMut()) {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let rate = |s: f64| tokens as f64 / s;
    println!("{name:10} best {:8.0} tokens/s, median {:8.0}", rate(seconds[0]), rate(seconds[ROUNDS / 2]));
}

fn train(engine: &mut CandleEngine, ids: &[Vec<u32>], mask: &[bool]) {
    let rows: Vec<ScoreRow> = ids.iter().map(|ids| ScoreRow::new(ids, mask)).collect();
    engine
        .forward_backward(&rows, 1.0, &mut |scores| {
            Ok(scores.iter().map(|s| Coefficients { logp: vec![-1e-3; s.logp.len()], ..Default::default() }).collect())
        })
        .expect("a gradient");
    let optim = AdamW { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 };
    engine.optim_step(&optim).expect("an update");
}

fn score(engine: &mut CandleEngine, ids: &[Vec<u32>], mask: &[bool]) {
    let rows: Vec<ScoreRow> = ids.iter().map(|ids| ScoreRow::new(ids, mask)).collect();
    engine.score(sdlab::engine::WeightSet::Live, &rows, 1.0).expect("scores");
}

fn decode(engine: &mut CandleEngine, prompts: &[Vec<u32>]) {
    let requests: Vec<SampleRequest> = prompts
        .iter()
        .enumerate()
        .map(|(slot, ids)| SampleRequest { slot, context: ids[..32].to_vec(), limit: 128, seed: slot as u64 })
        .collect();
    let stops = Stops::tokens_only(vec![]);
    sample_all(engine, &Sampler::new(1.0, &stops), requests).expect("samples");
}
