//! Planned and measured peak memory of training: `cargo run --release --example memory`.
//!
//! For a 3M and a 30M model: keep a reference, sample 16 replies of 128 tokens to 128, then two updates on 16 rows of 256
//! tokens, in a process of its own for every mode. Measured is the growth of `VmHWM` (Linux) over the empty process.

use std::process::Command;

use anyhow::{Context, Result};
use sdlab::engine::candle::memory::{self, Checkpointing, Dims, Dtype, Load, TAPE_BYTES};
use sdlab::engine::candle::{Architecture, CandleEngine, Family, Lora, Options, Place, Projection};
use sdlab::engine::{AdamW, Coefficients, Engine, SampleRequest, Sampler, ScoreRow, WeightSet, sample_all};
use sdlab::text::Stops;

const ROWS: usize = 16;
const TOKENS: usize = 256;
const MODES: [&str; 5] = ["off", "on", "auto", "lora", "bf16"];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [size, mode] = &args[..] {
        return measure(&architecture(size), mode);
    }
    println!("| model | mode | planned MiB | measured MiB | measured / planned |\n|---|---|---|---|---|");
    for size in ["3M", "30M"] {
        for mode in MODES {
            let output = Command::new(std::env::current_exe()?).args([size, mode]).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            println!("| {size} | {mode} | {}", text.trim_end());
        }
    }
    Ok(())
}

fn architecture(size: &str) -> Architecture {
    let (vocab, width, ff, layers, heads, kv, head) =
        if size == "3M" { (2048, 192, 576, 6, 6, 2, 32) } else { (8192, 512, 1536, 8, 8, 4, 64) };
    Architecture {
        intermediate_size: ff,
        num_attention_heads: heads,
        num_key_value_heads: kv,
        head_dim: head,
        ..Architecture::small(Family::Qwen3, vocab, width, layers)
    }
}

fn options(mode: &str) -> Options {
    let lora = Lora { rank: 16, alpha: 32.0, targets: Projection::ALL.to_vec() };
    Options {
        dtype: if mode == "bf16" { Dtype::Bf16 } else { Dtype::F32 },
        lora: (mode == "lora").then_some(lora),
        checkpointing: match mode {
            "off" => Checkpointing::Off,
            "on" => Checkpointing::On,
            _ => Checkpointing::Auto,
        },
        ..Options::default()
    }
}

fn measure(architecture: &Architecture, mode: &str) -> Result<()> {
    let options = options(mode);
    let load = Load {
        place: Place::Cpu,
        dtype: options.dtype,
        adapter: options.lora.as_ref().map(|lora| lora.parameters(architecture)),
        checkpointing: options.checkpointing,
        averages: 0,
        kept: usize::from(options.lora.is_none()),
        rows: ROWS,
        row_tokens: TOKENS,
        sampled_tokens: TOKENS - 1,
        slots: ROWS,
        cache_bytes: 0,
        teacher: 0,
        compares: false,
        tape_bytes: TAPE_BYTES,
    };
    let plan = memory::plan(&Dims::from(architecture), &load);
    let before = peak()?;
    let mut engine = CandleEngine::init_with(architecture.clone(), 0, options)?;
    work(&mut engine, architecture.vocab_size)?;
    let (planned, measured) = (plan.peak() as f64, (peak()? - before) as f64);
    let mib = (1u64 << 20) as f64;
    println!("{:.0} | {:.0} | {:.2} |", planned / mib, measured / mib, measured / planned);
    eprintln!("{}", plan.words());
    Ok(())
}

fn work(engine: &mut CandleEngine, vocab: usize) -> Result<()> {
    let ids: Vec<Vec<u32>> =
        (0..ROWS).map(|r| (0..TOKENS).map(|t| ((t * 31 + r * 7) % vocab) as u32).collect()).collect();
    let mask = vec![true; TOKENS];
    let rows: Vec<ScoreRow> = ids.iter().map(|ids| ScoreRow::new(ids, &mask)).collect();
    let request = |slot: usize| SampleRequest {
        slot,
        context: ids[slot][..TOKENS / 2].to_vec(),
        limit: TOKENS / 2,
        seed: slot as u64,
    };
    let stops = Stops::tokens_only(vec![]);
    engine.keep(WeightSet::Reference)?;
    sample_all(engine, &Sampler::new(1.0, &stops), (0..ROWS).map(request).collect())?;
    for _ in 0..2 {
        engine.forward_backward(&rows, 1.0, &mut |scores| {
            Ok(scores.iter().map(|s| Coefficients { logp: vec![-1e-3; s.logp.len()], ..Default::default() }).collect())
        })?;
        let optim = AdamW { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 };
        engine.optim_step(&optim)?;
    }
    engine.score(WeightSet::Reference, &rows, 1.0)?;
    Ok(())
}

/// Most bytes this process has had in memory so far.
fn peak() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status").context("needs Linux")?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no VmHWM")?.parse()?;
    Ok(kib << 10)
}
