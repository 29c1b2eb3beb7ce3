//! A whole model in f64 by the plain operations against the same model in f32 by the fused kernels.

use candle_core::{DType, Device, Tensor};

use crate::engine::candle::lora::Lora;
use crate::engine::candle::ready::Ready;
use crate::engine::candle::tests::{self, Rows, coefficients};
use crate::engine::candle::{Architecture, CandleEngine, Family, Options, Projection};
use crate::engine::{AdamW, Coefficients, Engine, SampleRequest, Sampler, ScoreRow, Scores, WeightSet, sample_all};
use crate::text::Stops;

/// The same model computed with in `dtype`.
fn twin(engine: &CandleEngine, dtype: DType) -> CandleEngine {
    CandleEngine {
        decoder: engine.decoder.clone(),
        options: engine.options.clone(),
        origin: engine.origin.clone(),
        names: engine.names.clone(),
        live: engine.live.map(|t| t.to_dtype(dtype)).unwrap(),
        master: None,
        packed: None,
        sets: engine.sets.clone(),
        ready: Ready::default(),
        ema_decay: None,
        grads: vec![None; engine.live.len()],
        moments: engine.moments.clone(),
    }
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest difference relative to the larger norm.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (numbers(a), numbers(b));
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let difference: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    norm(&difference) / norm(&a).max(norm(&b)).max(1e-12)
}

fn models() -> Vec<CandleEngine> {
    let llama = Architecture { head_dim: 8, num_attention_heads: 4, ..Architecture::small(Family::Llama, 29, 16, 2) };
    let qwen2 = Architecture { head_dim: 8, ..Architecture::small(Family::Qwen2, 29, 16, 2) };
    let scaled = |architecture| {
        let mut engine = CandleEngine::init(architecture, 5).unwrap();
        engine.live.iter_mut().filter(|w| w.rank() == 2).for_each(|w| *w = (&*w * 10.0).unwrap());
        engine
    };
    vec![tests::engine(true), tests::engine(false), scaled(llama), scaled(qwen2)]
}

#[test]
fn scores_and_gradients_are_those_of_the_fused_kernels() {
    let rows = Rows::new();
    for mut fused in models() {
        let mut plain = twin(&fused, DType::F64);
        let score = |e: &mut CandleEngine| e.score(WeightSet::Live, &rows.rows(), 0.7).unwrap();
        for (a, b) in score(&mut fused).iter().zip(score(&mut plain)) {
            let pairs = a.logp.iter().zip(&b.logp).chain(a.entropy.iter().zip(&b.entropy));
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 2e-5, "{a} {b}"));
        }
        let learn = |e: &mut CandleEngine| {
            e.forward_backward(&rows.rows(), 0.7, &mut |s| Ok(coefficients(s))).unwrap();
            e.grads.clone()
        };
        for ((name, _), (a, b)) in fused.names.clone().iter().zip(learn(&mut fused).iter().zip(&learn(&mut plain))) {
            let error = apart(a.as_ref().unwrap(), b.as_ref().unwrap());
            assert!(error < 2e-5, "{} {name}: {error}", fused.info().name);
        }
    }
}

#[test]
fn listed_tokens_and_their_tail_have_the_same_scores_and_gradients() {
    let ids = tests::ids(40, 4);
    let mask: Vec<bool> = (0..40).map(|t| t > 4).collect();
    let given: Vec<u32> = (0..35 * 3).map(|i| ((i % 3) * 9 + (i / 3) % 9) as u32).collect();
    let rows = [ScoreRow { given: &given, top: 4, ..ScoreRow::new(&ids, &mask) }, ScoreRow::new(&ids, &mask)];
    let weight = |n: usize, k: f32| (0..n).map(|i| (i as f32 * k).sin()).collect::<Vec<f32>>();
    let loss = |s: &Scores| Coefficients {
        logp: weight(s.logp.len(), 1.1),
        entropy: weight(s.logp.len(), 0.6),
        given: weight(s.given.len(), 0.9),
        tail: weight(s.tail.len(), 0.4),
    };
    let mut fused = tests::engine(true);
    let mut plain = twin(&fused, DType::F64);
    let (a, b) = (fused.score(WeightSet::Live, &rows, 1.3).unwrap(), plain.score(WeightSet::Live, &rows, 1.3).unwrap());
    for (a, b) in a.iter().zip(&b) {
        assert_eq!((a.given.len(), a.tail.len(), a.top.len()), (b.given.len(), b.tail.len(), b.top.len()));
        let pairs = a.given.iter().zip(&b.given).chain(a.tail.iter().zip(&b.tail));
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 2e-5, "{a} {b}"));
        a.top.iter().zip(&b.top).for_each(|(a, b)| assert!(a.0 == b.0 && (a.1 - b.1).abs() < 2e-5));
    }
    for engine in [&mut fused, &mut plain] {
        engine.forward_backward(&rows, 1.3, &mut |s| Ok(s.iter().map(loss).collect())).unwrap();
    }
    for (a, b) in fused.grads.iter().zip(&plain.grads) {
        let error = apart(a.as_ref().unwrap(), b.as_ref().unwrap());
        assert!(error < 2e-5, "{error}");
    }
}

const OPTIM: AdamW = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1, max_grad_norm: 0.5 };

#[test]
fn updates_are_the_same_with_adapters_and_without() {
    let rows = Rows::new();
    let lora = Lora { rank: 2, alpha: 4.0, targets: vec![Projection::Q, Projection::Down] };
    let adapted = Options { lora: Some(lora), ..Options::default() };
    let adapted = CandleEngine::init_with(tests::tiny(true), 3, adapted).unwrap();
    for mut fused in [tests::engine(true), adapted] {
        let mut plain = twin(&fused, DType::F64);
        for _ in 0..3 {
            let norms = [&mut fused, &mut plain].map(|e| {
                e.forward_backward(&rows.rows(), 1.0, &mut |s| Ok(coefficients(s))).unwrap();
                e.optim_step(&OPTIM).unwrap().grad_norm
            });
            assert!((norms[0] / norms[1] - 1.0).abs() < 1e-4, "{norms:?}");
        }
        for (a, b) in fused.live.iter().zip(&plain.live) {
            assert!(apart(a, b) < 1e-3, "{}", apart(a, b));
        }
    }
}

/// Greedy replies to prompts of different lengths that share a beginning, in one batch.
fn replies(engine: &mut CandleEngine) -> Vec<(Vec<u32>, Vec<f32>)> {
    let stops = Stops::tokens_only(vec![]);
    let sampler = Sampler::new(0.0, &stops);
    let prompts = [3, 70, 140, 64].map(|n| tests::ids(n, 7));
    let requests = prompts.iter().enumerate().map(|(slot, context)| SampleRequest {
        slot,
        context: context.clone(),
        limit: 20,
        seed: slot as u64,
    });
    let samples = sample_all(engine, &sampler, requests.collect()).unwrap();
    samples.into_iter().map(|s| (s.ids, s.logp)).collect()
}

#[test]
fn pages_hold_what_blocks_hold() {
    let mut fused = tests::engine(true);
    let mut plain = twin(&fused, DType::F64);
    let (a, b) = (replies(&mut fused), replies(&mut plain));
    assert_eq!(a.len(), 4);
    for ((ids, logp), (plain_ids, plain_logp)) in a.iter().zip(&b) {
        assert_eq!(ids, plain_ids);
        logp.iter().zip(plain_logp).for_each(|(a, b)| assert!((a - b).abs() < 2e-5, "{a} {b}"));
    }
}

#[test]
fn a_checkpoint_goes_on_elsewhere() {
    let rows = Rows::new();
    let update = |e: &mut CandleEngine| {
        e.forward_backward(&rows.rows(), 1.0, &mut |s| Ok(coefficients(s))).unwrap();
        e.optim_step(&OPTIM).unwrap();
    };
    let mut fused = tests::engine(true);
    update(&mut fused);
    let folder = tempfile::tempdir().unwrap();
    fused.save(folder.path(), true).unwrap();
    let mut plain = twin(&fused, DType::F32);
    plain.restore(folder.path()).unwrap();
    plain.live = plain.live.map(|t| t.to_dtype(DType::F64)).unwrap();
    update(&mut fused);
    update(&mut plain);
    let folder = tempfile::tempdir().unwrap();
    plain.save(folder.path(), true).unwrap();
    let mut back = twin(&fused, DType::F32);
    back.restore(folder.path()).unwrap();
    for (a, b) in fused.live.iter().zip(&back.live) {
        assert!(apart(a, b) < 1e-4, "{}", apart(a, b));
    }
}

#[test]
fn bf16_stays_near() {
    let rows = Rows::new();
    let mut fused = tests::engine(true);
    let mut half = twin(&fused, DType::BF16);
    let score = |e: &mut CandleEngine| e.score(WeightSet::Live, &rows.rows(), 1.0).unwrap();
    let (a, b) = (score(&mut fused), score(&mut half));
    let pairs = a.iter().zip(&b).flat_map(|(a, b)| a.logp.iter().zip(&b.logp));
    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(worst > 1e-4 && worst < 0.3, "{worst}");
    half.forward_backward(&rows.rows(), 1.0, &mut |s| Ok(coefficients(s))).unwrap();
    assert!(half.grads.iter().flatten().all(|g| g.dtype() == DType::F32), "gradients are summed in f32");
    assert!(matches!(half.live[0].device(), Device::Cpu));
}
