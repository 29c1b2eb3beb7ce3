//! Our side of `compare.py`: one kind of work on one model, a round for every line on standard input.
//!
//! `peer init SIZE FOLDER` writes a new model; `peer train|decode|grpo SIZE FOLDER` loads it, prints `ready`, then
//! answers every line with one JSON object: wall and CPU seconds, tokens, a value to check the work by, peak memory.
//! With `DEVICE=cuda:0` in the environment it computes there in bf16.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sdlab::engine::candle::memory::Dtype;
use sdlab::engine::candle::{Architecture, CandleEngine, Family, Options, Place};
use sdlab::engine::{AdamW, Coefficients, Engine, SampleRequest, Sampler, ScoreRow, Scores, sample_all};
use sdlab::text::Stops;
use serde_json::json;

/// Rows and tokens of a train step; rows, prompt and new tokens of a decode.
struct Work {
    train: [usize; 2],
    decode: [usize; 3],
}

fn work(size: &str) -> Work {
    match size {
        "600m" => Work { train: [8, 1024], decode: [64, 128, 256] },
        _ => Work { train: [16, 256], decode: [16, 32, 128] },
    }
}

const ADAMW: AdamW = AdamW { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, max_grad_norm: 0.0 };

/// One GRPO step: groups, rollouts of each, tokens of prompt and completion.
const GROUPS: usize = 8;
const G: usize = 8;
const GRPO_PROMPT: usize = 64;
const COMPLETION: usize = 64;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [mode, size, folder] = &args[..] else {
        eprintln!("peer is driven by benches/peer/compare.py: peer init|train|decode|grpo 3m|30m|600m FOLDER");
        return Ok(());
    };
    let folder = Path::new(folder);
    let mut engine = if mode == "init" {
        std::fs::create_dir_all(folder)?;
        return CandleEngine::init(shape(size)?, 0)?.save(folder, false);
    } else {
        CandleEngine::open(folder, options()?)?
    };
    let work = work(size);
    let vocab = engine.info().vocab;
    say(&json!({ "ready": engine.info().parameters }))?;
    for (round, line) in (0u64..).zip(std::io::stdin().lock().lines()) {
        line?;
        let (start, cpu) = (Instant::now(), cpu_seconds()?);
        let (tokens, value) = match &mode[..] {
            "train" => train(&mut engine, vocab, &work)?,
            "decode" => decode(&mut engine, vocab, &work, round)?,
            "grpo" => grpo(&mut engine, vocab, round)?,
            _ => bail!("no mode `{mode}`"),
        };
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        say(&json!({ "wall": wall, "cpu": cpu, "tokens": tokens, "value": value, "peak_kib": peak_kib()? }))?;
    }
    Ok(())
}

/// Where the environment says, and in bf16 if that is a GPU.
fn options() -> Result<Options> {
    let Ok(device) = std::env::var("DEVICE") else { return Ok(Options::default()) };
    let number = device.strip_prefix("cuda:").and_then(|number| number.parse().ok());
    let place = Place::Cuda(number.with_context(|| format!("no device `{device}`: `cuda:0`"))?);
    Ok(Options { place, dtype: Dtype::Bf16, tape_bytes: 40 << 30, ..Options::default() })
}

/// The models of the comparison: 2.98 and 29.4 million parameters, and the shape of Qwen3-0.6B.
fn shape(size: &str) -> Result<Architecture> {
    let (vocab, width, layers, heads, kv, head, ff) = match size {
        "3m" => (2048, 192, 6, 6, 2, 32, 576),
        "30m" => (8192, 512, 8, 8, 4, 64, 1536),
        "600m" => (151_936, 1024, 28, 16, 8, 128, 3072),
        _ => bail!("no size `{size}`: `3m`, `30m` or `600m`"),
    };
    Ok(Architecture {
        num_attention_heads: heads,
        num_key_value_heads: kv,
        head_dim: head,
        intermediate_size: ff,
        max_position_embeddings: 4096,
        ..Architecture::small(Family::Qwen3, vocab, width, layers)
    })
}

fn row(r: usize, tokens: usize, vocab: usize) -> Vec<u32> {
    (0..tokens).map(|t| ((t * 31 + r * 7) % vocab) as u32).collect()
}

/// Mean negative log-likelihood of fixed rows, AdamW.
fn train(engine: &mut CandleEngine, vocab: usize, work: &Work) -> Result<(usize, f64)> {
    let [count, tokens] = work.train;
    let rows: Vec<Vec<u32>> = (0..count).map(|r| row(r, tokens, vocab)).collect();
    let mask = vec![true; tokens];
    let rows: Vec<ScoreRow> = rows.iter().map(|ids| ScoreRow::new(ids, &mask)).collect();
    let n = (count * (tokens - 1)) as f32;
    let mut nll = 0.0;
    engine.forward_backward(&rows, 1.0, &mut |scores: &[Scores]| {
        nll = -scores.iter().flat_map(|s| &s.logp).sum::<f32>() as f64 / n as f64;
        let one = |s: &Scores| Coefficients { logp: vec![-1.0 / n; s.logp.len()], ..Default::default() };
        Ok(scores.iter().map(one).collect())
    })?;
    engine.optim_step(&ADAMW)?;
    Ok((count * tokens, nll))
}

fn sample(engine: &mut CandleEngine, prompts: &[Vec<u32>], limit: usize, seed: u64) -> Result<Vec<Vec<u32>>> {
    let request = |(slot, context): (usize, &Vec<u32>)| SampleRequest {
        slot,
        context: context.clone(),
        limit,
        seed: seed + slot as u64,
    };
    let requests = prompts.iter().enumerate().map(request).collect();
    let stops = Stops::tokens_only(vec![]);
    Ok(sample_all(engine, &Sampler::new(1.0, &stops), requests)?.into_iter().map(|s| s.ids).collect())
}

fn decode(engine: &mut CandleEngine, vocab: usize, work: &Work, round: u64) -> Result<(usize, f64)> {
    let [rows, prompt, new] = work.decode;
    let prompts: Vec<Vec<u32>> = (0..rows).map(|r| row(r, prompt, vocab)).collect();
    let replies = sample(engine, &prompts, new, round << 32)?;
    let tokens = replies.iter().map(Vec::len).sum();
    Ok((tokens, tokens as f64))
}

/// Samples, rewards the share of even tokens, and updates on-policy by the GRPO gradient without a KL term.
fn grpo(engine: &mut CandleEngine, vocab: usize, round: u64) -> Result<(usize, f64)> {
    let prompts: Vec<Vec<u32>> = (0..GROUPS * G).map(|i| row(i / G, GRPO_PROMPT, vocab)).collect();
    let replies = sample(engine, &prompts, COMPLETION, round << 32)?;
    let even = |ids: &Vec<u32>| ids.iter().filter(|&&id| id % 2 == 0).count() as f32 / ids.len() as f32;
    let rewards: Vec<f32> = replies.iter().map(even).collect();
    let advantages: Vec<f32> = rewards.chunks(G).flat_map(standardised).collect();
    let rows: Vec<Vec<u32>> = prompts.iter().zip(&replies).map(|(p, r)| [&p[..], r].concat()).collect();
    let mask: Vec<bool> = (0..GRPO_PROMPT + COMPLETION).map(|t| t >= GRPO_PROMPT).collect();
    let rows: Vec<ScoreRow> = rows.iter().map(|ids| ScoreRow::new(ids, &mask)).collect();
    engine.forward_backward(&rows, 1.0, &mut |scores: &[Scores]| {
        let one = |(s, a): (&Scores, &f32)| Coefficients {
            logp: vec![-a / (s.logp.len() * GROUPS * G) as f32; s.logp.len()],
            ..Default::default()
        };
        Ok(scores.iter().zip(&advantages).map(one).collect())
    })?;
    engine.optim_step(&ADAMW)?;
    Ok((GROUPS * G * COMPLETION, rewards.iter().sum::<f32>() as f64 / rewards.len() as f64))
}

fn standardised(rewards: &[f32]) -> Vec<f32> {
    let n = rewards.len() as f32;
    let mean = rewards.iter().sum::<f32>() / n;
    let deviation = (rewards.iter().map(|r| (r - mean).powi(2)).sum::<f32>() / (n - 1.0)).sqrt();
    rewards.iter().map(|r| (r - mean) / (deviation + 1e-4)).collect()
}

/// Time all threads of this process have run; none of them ever ends.
fn cpu_seconds() -> Result<f64> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let spent = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += spent.split_whitespace().next().context("an empty schedstat")?.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 * 1e-9)
}

/// The most memory this process ever held.
fn peak_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|l| l.starts_with("VmHWM")).context("/proc/self/status has no VmHWM")?;
    Ok(line.split_whitespace().nth(1).context("VmHWM has no number")?.parse()?)
}

fn say(value: &serde_json::Value) -> Result<()> {
    println!("{value}");
    Ok(std::io::stdout().flush()?)
}
