//! Every architecture against what PyTorch computes with the same weights: `tests/fixtures/make_models.py` makes the
//! models and records logits, gradients and greedy tokens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;

use super::model::{Keep, Packed};
use super::*;
use crate::engine::{Coefficients, SampleRequest, Sampler, sample_all};
use crate::text::Stops;

const MODELS: [&str; 8] = [
    "qwen2_tied",
    "qwen2_untied", // in shards
    "qwen3_tied",
    "qwen3_untied", // stored in bf16
    "llama",        // stored in f16, untied
    "llama_bias",
    "llama3_rope",
    "linear_rope",
];

pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

/// What PyTorch computed.
struct Expected {
    rows: Vec<Vec<u32>>,
    tensors: HashMap<String, Tensor>,
}

impl Expected {
    fn of(name: &str) -> Self {
        let tensors = files::read_tensors(&folder(name).join("expected.safetensors")).unwrap();
        let rows: Vec<Vec<i64>> = tensors["rows"].to_vec2().unwrap();
        let rows = rows.iter().map(|r| r.iter().filter_map(|id| u32::try_from(*id).ok()).collect()).collect();
        Self { rows, tensors }
    }

    fn numbers(&self, name: &str) -> Vec<f32> {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("`{name}` is not recorded"))
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    }

    fn greedy(&self) -> Vec<u32> {
        self.tensors["greedy"].to_vec1::<i64>().unwrap().into_iter().map(|id| id as u32).collect()
    }
}

fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn logits(engine: &CandleEngine, rows: &[Vec<u32>]) -> Vec<f32> {
    let input = Packed::new(rows.iter().map(Vec::as_slice));
    let hidden = engine.decoder.forward(&engine.live, &input, Keep::Nothing).unwrap().hidden;
    numbers(&ops::linear(&hidden, &engine.live[engine.decoder.head()]).unwrap())
}

fn greedy(engine: &mut CandleEngine, context: &[u32]) -> Vec<u32> {
    let request = SampleRequest { slot: 0, context: context.to_vec(), limit: 64, seed: 0 };
    let stops = Stops::tokens_only(vec![]);
    sample_all(engine, &Sampler::new(0.0, &stops), vec![request]).unwrap().remove(0).ids
}

#[test]
fn logits_equal_pytorch() {
    for name in MODELS {
        let (engine, expected) = (CandleEngine::load(&folder(name)).unwrap(), Expected::of(name));
        let error = farthest(&logits(&engine, &expected.rows), &expected.numbers("logits"));
        println!("{name}: logits differ by at most {error:.1e}");
        assert!(error < 1e-4, "{name}: {error}");
    }
}

/// Files of the `gguf` package, every kind of block that its quantiser or dequantiser knows: `make_gguf.py`.
#[test]
fn gguf_files_of_others_equal_pytorch() {
    for name in ["qwen3", "llama"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf");
        let engine = CandleEngine::load(&folder.join(format!("{name}.gguf"))).unwrap();
        let recorded = files::read_tensors(&folder.join(format!("{name}.safetensors"))).unwrap();
        for ((tensor, _), w) in engine.names.iter().zip(&engine.live[..]) {
            let theirs = numbers(&recorded[tensor]);
            let error = farthest(&numbers(w)[..theirs.len()], &theirs);
            assert!(error < 1e-6, "{name}: {tensor}: {error}");
        }
        assert_eq!(recorded.len(), engine.names.len() + 2, "{name}");
        let row: Vec<u32> = recorded["row"].to_vec1::<i64>().unwrap().into_iter().map(|id| id as u32).collect();
        let error = farthest(&logits(&engine, &[row]), &numbers(&recorded["logits"]));
        println!("{name}: logits differ by at most {error:.1e}");
        assert!(error < 1e-4, "{name}: {error}");
    }
}

#[test]
fn gradients_equal_pytorch() {
    for name in MODELS {
        let (mut engine, expected) = (CandleEngine::load(&folder(name)).unwrap(), Expected::of(name));
        let masks: Vec<Vec<bool>> = expected.rows.iter().map(|r| vec![true; r.len()]).collect();
        let rows: Vec<ScoreRow> =
            expected.rows.iter().zip(&masks).map(|(ids, mask)| ScoreRow::new(ids, mask)).collect();
        let mut left = &expected.numbers("coefficients")[..];
        let mut split = |n: usize| {
            let (now, later) = left.split_at(n);
            left = later;
            Coefficients { logp: now.to_vec(), ..Default::default() }
        };
        let mut loss = |scores: &[Scores]| Ok(scores.iter().map(|s| split(s.logp.len())).collect());
        engine.forward_backward(&rows, 1.0, &mut loss).unwrap();
        let names = engine.decoder.names();
        let recorded = expected.tensors.keys().filter(|k| k.starts_with("grad.")).count();
        assert_eq!(recorded, names.len(), "{name}: other tensors than PyTorch's");
        let mut worst = 0f64;
        for ((tensor, _), grad) in names.iter().zip(&engine.grads) {
            let ours = numbers(grad.as_ref().unwrap());
            let theirs = expected.numbers(&format!("grad.{tensor}"));
            let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| (x as f64).powi(2)).sum::<f64>().sqrt();
            let error = norm(&mut ours.iter().zip(&theirs).map(|(a, b)| a - b)) / norm(&mut theirs.iter().copied());
            assert!(error < 1e-4, "{name}: {tensor}: {error}");
            worst = worst.max(error);
        }
        println!("{name}: gradients differ by at most {worst:.1e} of their norm");
    }
}

#[test]
fn greedy_tokens_equal_pytorch() {
    for name in MODELS {
        let (mut engine, expected) = (CandleEngine::load(&folder(name)).unwrap(), Expected::of(name));
        assert_eq!(greedy(&mut engine, &expected.rows[0]), expected.greedy(), "{name}");
    }
}

#[test]
fn saved_models_load_as_they_were() {
    for name in MODELS {
        let (mut engine, expected) = (CandleEngine::load(&folder(name)).unwrap(), Expected::of(name));
        let target = tempfile::tempdir().unwrap();
        engine.save(target.path(), false).unwrap();
        let mut again = CandleEngine::load(target.path()).unwrap();
        assert_eq!(again.decoder.config, engine.decoder.config, "{name}");
        assert_eq!(logits(&again, &expected.rows), logits(&engine, &expected.rows), "{name}");
        assert_eq!(greedy(&mut again, &expected.rows[0]), greedy(&mut engine, &expected.rows[0]), "{name}");
    }
}

#[test]
fn the_name_says_the_family() {
    let name = |model: &str| CandleEngine::load(&folder(model)).unwrap().info().name;
    assert_eq!(
        [name("qwen2_tied"), name("qwen3_tied"), name("llama3_rope")],
        ["Qwen2 2L d12", "Qwen3 2L d12", "Llama 2L d12"]
    );
}

#[test]
fn twenty_steps_learn_one_row_in_every_family() {
    for family in Family::ALL {
        let mut engine = CandleEngine::init(Architecture::small(family, 64, 128, 2), 1).unwrap();
        let ids: Vec<u32> = (0..16).map(|i| (i * 23 + 5) % 61).collect();
        let row = ScoreRow::new(&ids, &[true; 16]);
        let optim = AdamW { lr: 3e-3, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 };
        for _ in 0..20 {
            let mut loss = |s: &[Scores]| {
                let n = s[0].logp.len();
                Ok(vec![Coefficients { logp: vec![-1.0 / n as f32; n], ..Default::default() }])
            };
            engine.forward_backward(&[row], 1.0, &mut loss).unwrap();
            engine.optim_step(&optim).unwrap();
        }
        let scores = engine.score(WeightSet::Live, &[row], 1.0).unwrap().remove(0).logp;
        let nll = -scores.iter().sum::<f32>() / scores.len() as f32;
        println!("{}: {nll:.3} nats after 20 steps", family.name());
        assert!(nll < 0.1, "{}: {nll}", family.name());
    }
}
