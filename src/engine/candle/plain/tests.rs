//! A whole model in f64 by the plain operations against the same model in f32 by the fused kernels.

use candle_core::{DType, Device, Tensor};

use crate::engine::candle::lora::Lora;
use crate::engine::candle::ready::Ready;
use crate::engine::candle::tests::{self, Rows, coefficients};
use crate::engine::candle::{Architecture, CandleEngine, Family, Options, Projection};
use crate::engine::{AdamW, Coefficients, Engine, Finished, SampleRequest, Sampler, ScoreRow, Scores, WeightSet};
use crate::text::Stops;

/// The same model computed with in `dtype`.
pub(super) fn twin(engine: &CandleEngine, dtype: DType) -> CandleEngine {
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
pub(super) fn apart(a: &Tensor, b: &Tensor) -> f64 {
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

pub(super) const OPTIM: AdamW =
    AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1, max_grad_norm: 0.5 };

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

/// What was drawn, and the numbers recorded of it.
type Reply = (usize, Vec<u32>, Vec<f32>);

/// Conversations of two turns with prompts of different lengths, many of which begin alike, in the order of their slots.
fn talks(engine: &mut CandleEngine, sampler: &Sampler) -> Vec<Reply> {
    let request = |slot: usize, context: Vec<u32>| SampleRequest {
        slot,
        context,
        limit: 1 + (slot * 11) % 37,
        seed: 100 + slot as u64,
    };
    let context = |slot: usize| tests::ids([3, 64, 65, 90, 70][slot % 5] - slot % 3, slot % 4);
    let mut replies: Vec<Reply> = vec![];
    let first = (0..17).map(|slot| request(slot, context(slot))).collect();
    let next = &mut |done: Finished| {
        let (slot, sample) = (done.slot, done.sample);
        let again = replies.iter().all(|(s, ..)| *s != slot);
        let after = [context(slot), sample.ids.clone(), tests::ids(1 + slot % 20, slot)].concat();
        replies.push((slot, sample.ids, sample.logp));
        Ok(if again { vec![request(slot, after)] } else { vec![] })
    };
    engine.sample(sampler, first, next).unwrap();
    replies.sort_by_key(|(slot, ..)| *slot);
    replies
}

#[test]
fn seats_hold_what_blocks_hold() {
    let mut fused = tests::engine(true);
    let mut plain = twin(&fused, DType::F64);
    let stops = Stops::tokens_only(vec![]);
    let half_a_mebibyte = 1 << 19;
    for (temperature, concurrent, cache_bytes) in
        [(0.0, 0, 0), (1.0, 0, 0), (1.0, 1, 0), (0.9, 3, 0), (1.0, 0, half_a_mebibyte), (1.0, 5, 1)]
    {
        let sampler = Sampler { concurrent, cache_bytes, ..Sampler::new(temperature, &stops) };
        let (a, b) = (talks(&mut fused, &sampler), talks(&mut plain, &sampler));
        assert_eq!(a.len(), 34);
        for ((slot, ids, logp), (_, plain_ids, plain_logp)) in a.iter().zip(&b) {
            assert_eq!(ids, plain_ids, "slot {slot}, {concurrent} at a time");
            logp.iter().zip(plain_logp).for_each(|(a, b)| assert!((a - b).abs() < 2e-5, "{a} {b}"));
        }
    }
}

#[test]
fn norms_are_those_that_are_written_out() {
    let numbers = |n: usize| (0..n).map(|i| ((i * 37 % 101) as f32 * 0.3).sin()).collect::<Vec<_>>();
    for (rows, d) in [(3, 8), (40, 24)] {
        let x = Tensor::from_vec(numbers(rows * d), (rows, d), &Device::Cpu).unwrap();
        let w = Tensor::from_vec(numbers(d), d, &Device::Cpu).unwrap();
        let exact = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
        let written = super::rms_norm(&exact(&x), &exact(&w), 1e-6).unwrap();
        assert!(apart(&super::rms_norm(&x, &w, 1e-6).unwrap(), &written) < 1e-6);
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

/// On the first GPU, where there is one: `benches/gpu/build.sh --tests`, then the program it names with
/// `engine::candle::plain --nocapture`.
#[cfg(feature = "cuda")]
#[test]
fn a_gpu_computes_what_the_cpu_computes() {
    let opened = std::panic::catch_unwind(|| super::open(0).ok()).unwrap_or(None);
    let Some(device) = opened else { return eprintln!("skipped: no GPU can be opened") };
    let rows = Rows::new();
    let stops = Stops::tokens_only(vec![]);
    for (dtype, near) in [(DType::F32, 1e-3), (DType::BF16, 0.2)] {
        let mut fused = tests::engine(true);
        let mut there = twin(&fused, dtype);
        there.live = there.live.on(&device).unwrap();
        let (a, b) = (talks(&mut fused, &Sampler::new(1.0, &stops)), talks(&mut there, &Sampler::new(1.0, &stops)));
        let same = a.iter().zip(&b).filter(|(a, b)| a.1 == b.1).count();
        eprintln!("{dtype:?}: {same} of {} replies are the same", a.len());
        assert!(dtype == DType::BF16 || same == a.len());
        for engine in [&mut fused, &mut there] {
            engine.forward_backward(&rows.rows(), 0.7, &mut |s| Ok(coefficients(s))).unwrap();
        }
        for ((name, _), (a, b)) in fused.names.iter().zip(fused.grads.iter().zip(&there.grads)) {
            let b = b.as_ref().unwrap().to_device(&Device::Cpu).unwrap();
            let error = apart(a.as_ref().unwrap(), &b);
            assert!(error < near, "{dtype:?} {name}: {error}");
        }
        for engine in [&mut fused, &mut there] {
            engine.optim_step(&OPTIM).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        there.snapshot(folder.path(), true).unwrap()().unwrap();
    }
}
