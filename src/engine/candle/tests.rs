use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::qwen3;

use super::model::{Keep, Packed};
use super::*;
use crate::engine::{Coefficients, Engine, SampleRequest, Sampler, ScoreRow, WeightSet, sample_all};
use crate::text::Stops;

pub(super) fn tiny(tied: bool) -> Architecture {
    Architecture {
        intermediate_size: 24,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        max_position_embeddings: 200,
        tie_word_embeddings: tied,
        ..Architecture::small(Family::Qwen3, 29, 16, 2)
    }
}

/// A model whose matrices are large enough for every path to matter.
pub(super) fn engine(tied: bool) -> CandleEngine {
    let mut engine = CandleEngine::init(tiny(tied), 3).unwrap();
    for w in &mut engine.live {
        if w.rank() == 2 {
            *w = (&*w * 10.0).unwrap();
        }
    }
    engine
}

pub(super) fn ids(n: usize, salt: usize) -> Vec<u32> {
    (0..n).map(|i| ((i * 7 + salt * 13 + i * i) % 29) as u32).collect()
}

pub(super) struct Rows(Vec<(Vec<u32>, Vec<bool>)>);

impl Rows {
    pub(super) fn new() -> Self {
        let row = |n: usize, salt| (ids(n, salt), (0..n).map(|i| i > 2 && i % 3 != 0).collect());
        Self(vec![row(9, 1), row(70, 2), row(5, 3)])
    }

    pub(super) fn rows(&self) -> Vec<ScoreRow<'_>> {
        self.0.iter().map(|(ids, mask)| ScoreRow::new(ids, mask)).collect()
    }
}

/// L = sum of fixed coefficients times log-probs and entropies.
pub(super) fn coefficients(scores: &[Scores]) -> Vec<Coefficients> {
    let weight = |i: usize, k: f32| (i as f32 * k).sin();
    let one = |s: &Scores| Coefficients {
        logp: (0..s.logp.len()).map(|i| weight(i, 1.3)).collect(),
        entropy: (0..s.logp.len()).map(|i| weight(i, 0.7)).collect(),
        ..Default::default()
    };
    scores.iter().map(one).collect()
}

pub(super) fn loss(engine: &mut CandleEngine, rows: &Rows, temperature: f32) -> f64 {
    let scores = engine.score(WeightSet::Live, &rows.rows(), temperature).unwrap();
    let term = |c: &[f32], x: &[f32]| c.iter().zip(x).map(|(c, x)| *c as f64 * *x as f64).sum::<f64>();
    let pairs = coefficients(&scores).into_iter().zip(&scores).collect::<Vec<_>>();
    pairs.iter().map(|(c, s)| term(&c.logp, &s.logp) + term(&c.entropy, &s.entropy)).sum()
}

fn gradients(engine: &mut CandleEngine, rows: &Rows, temperature: f32) -> Vec<Vec<f32>> {
    engine.grads = vec![None; engine.live.len()];
    engine.forward_backward(&rows.rows(), temperature, &mut |s| Ok(coefficients(s))).unwrap();
    engine
        .grads
        .iter()
        .map(|g| g.as_ref().expect("a tensor got no gradient").flatten_all().unwrap().to_vec1().unwrap())
        .collect()
}

#[test]
fn every_trainable_tensor_gets_a_finite_nonzero_gradient() {
    for tied in [true, false] {
        let mut engine = engine(tied);
        let names = engine.decoder.names();
        for (g, (name, _)) in gradients(&mut engine, &Rows::new(), 1.0).iter().zip(&names) {
            assert!(g.iter().all(|x| x.is_finite()) && g.iter().any(|x| *x != 0.0), "{name}");
        }
    }
}

#[test]
fn gradients_match_finite_differences_along_every_tensor() {
    for (tied, temperature) in [(true, 1.0), (false, 0.7)] {
        let mut engine = engine(tied);
        let rows = Rows::new();
        let grads = gradients(&mut engine, &rows, temperature);
        let names = engine.decoder.names();
        for i in 0..engine.live.len() {
            // Along the gradient itself the slope is its norm, far above single-precision noise.
            let norm = grads[i].iter().map(|g| (*g as f64).powi(2)).sum::<f64>().sqrt();
            let original = engine.live[i].clone();
            let direction = Tensor::from_vec(grads[i].clone(), original.shape(), &Device::Cpu).unwrap();
            let mut at = |step: f64| {
                engine.live[i] = (&original + (&direction * (step / norm)).unwrap()).unwrap();
                loss(&mut engine, &rows, temperature)
            };
            let h = 4e-3 / norm.max(1.0);
            let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            engine.live[i] = original;
            assert!((slope - norm).abs() < 1e-2 * norm, "{}: slope {slope}, gradient {norm}", names[i].0);
        }
    }
}

#[test]
fn splitting_a_batch_changes_nothing() {
    let mut engine = engine(true);
    let rows = Rows::new();
    let whole = gradients(&mut engine, &rows, 1.0);
    engine.grads = vec![None; engine.live.len()];
    for row in rows.rows() {
        engine.forward_backward(&[row], 1.0, &mut |s| Ok(coefficients(s))).unwrap();
    }
    for (a, b) in whole.iter().zip(&engine.grads) {
        let b: Vec<f32> = b.as_ref().unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + a.abs())));
    }
}

#[test]
fn logits_equal_candle_transformers() {
    for tied in [true, false] {
        let engine = engine(tied);
        let tensors = engine.decoder.names().into_iter().map(|(n, _)| n).zip(engine.live.iter().cloned()).collect();
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let ids = ids(40, 5);
        let hidden = engine.decoder.forward(&engine.live, &Packed::new([&ids[..]]), Keep::Nothing).unwrap().hidden;
        let ours = ops::linear(&hidden, &engine.live[engine.decoder.head()]).unwrap();
        for n in [1, 17, 40] {
            let mut theirs = qwen3::ModelForCausalLM::new(&theirs_config(tied), vb.clone()).unwrap();
            let input = Tensor::new(&ids[..n], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let last = theirs.forward(&input, 0).unwrap().flatten_all().unwrap();
            let error = (last - ours.get(n - 1).unwrap()).unwrap().abs().unwrap().max(D::Minus1).unwrap();
            assert!(error.to_scalar::<f32>().unwrap() < 1e-4);
        }
    }
}

/// The same model in the words of candle-transformers.
fn theirs_config(tied: bool) -> qwen3::Config {
    let c = tiny(tied);
    qwen3::Config {
        vocab_size: c.vocab_size,
        hidden_size: c.hidden_size,
        intermediate_size: c.intermediate_size,
        num_hidden_layers: c.num_hidden_layers,
        num_attention_heads: c.num_attention_heads,
        head_dim: c.head_dim,
        attention_bias: c.output_bias,
        num_key_value_heads: c.num_key_value_heads,
        max_position_embeddings: c.max_position_embeddings,
        sliding_window: None,
        max_window_layers: 0,
        tie_word_embeddings: tied,
        rope_theta: c.rope_theta,
        rms_norm_eps: c.rms_norm_eps,
        use_sliding_window: false,
        hidden_act: candle_nn::Activation::Silu,
    }
}

#[test]
fn log_probs_while_sampling_equal_log_probs_when_scored() {
    let mut engine = engine(true);
    let stops = Stops::tokens_only(vec![5]);
    for temperature in [1.0, 0.8] {
        let contexts: Vec<Vec<u32>> = (0..6).map(|i| ids(10 + 9 * i, i)).collect();
        let request = |(slot, context): (usize, &Vec<u32>)| SampleRequest {
            slot,
            context: context.clone(),
            limit: 12,
            seed: 40 + slot as u64,
        };
        let requests = contexts.iter().enumerate().map(request).collect();
        let samples = sample_all(&mut engine, &Sampler::new(temperature, &stops), requests).unwrap();
        for (context, sample) in contexts.iter().zip(&samples) {
            let ids = [&context[..], &sample.ids].concat();
            let mask: Vec<bool> = (0..ids.len()).map(|t| t >= context.len()).collect();
            let scores = engine.score(WeightSet::Live, &[ScoreRow::new(&ids, &mask)], temperature).unwrap();
            let near = |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near(&scores[0].logp, &sample.logp) && near(&scores[0].entropy, &sample.entropy));
            assert_eq!(sample.closed(), sample.ids.last() == Some(&5));
        }
    }
}

pub(super) const ADAM: AdamW =
    AdamW { lr: 3e-3, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 };

fn nll(scores: &[Scores]) -> Vec<Coefficients> {
    let n: usize = scores.iter().map(|s| s.logp.len()).sum();
    scores.iter().map(|s| Coefficients { logp: vec![-1.0 / n as f32; s.logp.len()], ..Default::default() }).collect()
}

#[test]
fn training_fits_one_row_and_kept_weights_stay() {
    let mut engine = CandleEngine::init(tiny(true), 1).unwrap();
    engine.keep(WeightSet::Reference).unwrap();
    let (ids, mask) = (ids(12, 4), vec![true; 12]);
    let row = ScoreRow::new(&ids, &mask);
    let mean = |s: &[Scores]| s[0].logp.iter().sum::<f32>() / s[0].logp.len() as f32;
    let before = mean(&engine.score(WeightSet::Live, &[row], 1.0).unwrap());
    for _ in 0..20 {
        engine.forward_backward(&[row], 1.0, &mut |s| Ok(nll(s))).unwrap();
        assert!(!engine.optim_step(&AdamW { lr: 1e-1, ..ADAM }).unwrap().skipped);
    }
    assert!(mean(&engine.score(WeightSet::Live, &[row], 1.0).unwrap()) > -0.1);
    assert_eq!(mean(&engine.score(WeightSet::Reference, &[row], 1.0).unwrap()), before);
}

#[test]
fn a_non_finite_gradient_skips_the_update() {
    let mut engine = engine(true);
    let rows = Rows::new();
    let before = engine.live.clone();
    let mut poison = |s: &[Scores]| {
        let mut c = coefficients(s);
        c[0].logp[0] = f32::NAN;
        Ok(c)
    };
    engine.forward_backward(&rows.rows(), 1.0, &mut poison).unwrap();
    let update = engine.optim_step(&ADAM).unwrap();
    assert!(update.skipped && !update.grad_norm.is_finite());
    assert!(before.iter().zip(&engine.live).all(|(a, b)| a.id() == b.id()));
}

#[test]
fn save_and_restore_continue_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (engine(false), CandleEngine::init(tiny(false), 9).unwrap());
    let rows = Rows::new();
    let update = |e: &mut CandleEngine| {
        e.forward_backward(&rows.rows(), 1.0, &mut |s| Ok(coefficients(s))).unwrap();
        e.optim_step(&ADAM).unwrap()
    };
    a.keep(WeightSet::Reference).unwrap();
    update(&mut a);
    a.save(folder.path(), true).unwrap();
    b.restore(folder.path()).unwrap();
    assert_eq!(update(&mut a), update(&mut b));
    for set in [WeightSet::Live, WeightSet::Reference] {
        assert_eq!(a.score(set, &rows.rows(), 1.0).unwrap(), b.score(set, &rows.rows(), 1.0).unwrap());
    }
    let loaded = CandleEngine::load(folder.path()).unwrap();
    assert_eq!(loaded.decoder.config, a.decoder.config);
}

#[test]
fn broken_folders_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = |folder: &Path| format!("{:#}", CandleEngine::load(folder).err().unwrap());
    assert!(message(folder.path()).contains("config.json"));
    let engine = engine(true);
    engine.save(folder.path(), false).unwrap();
    let weights = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    assert!(message(folder.path()).contains("cut off"));
    std::fs::write(&weights, &bytes).unwrap();
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    std::fs::write(folder.path().join("config.json"), config.replace("\"hidden_size\": 16", "\"hidden_size\": 32"))
        .unwrap();
    assert!(message(folder.path()).contains("model.embed_tokens.weight"));
}
