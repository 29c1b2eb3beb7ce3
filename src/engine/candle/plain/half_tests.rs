//! A whole model in bf16 with f32 master weights, as runs with `dtype = "bf16"` have it on a GPU, against the same model
//! in f32 by the fused kernels: what a GPU would refuse for its precision is refused here.

use candle_core::{DType, Device, Tensor};

use super::tests::{OPTIM, apart, twin};
use crate::engine::candle::lora::Lora;
use crate::engine::candle::memory::{Checkpointing, Dtype};
use crate::engine::candle::tests::{self, Rows, coefficients};
use crate::engine::candle::{CandleEngine, Options, Projection, export};
use crate::engine::{Engine, SampleRequest, Sampler, ScoreRow, Update, WeightSet, sample_all};
use crate::text::Stops;

/// The same model in bf16: with master weights, or with f32 adapters.
fn half(engine: &CandleEngine) -> CandleEngine {
    let mut half = twin(engine, DType::BF16);
    half.options.dtype = Dtype::Bf16;
    if engine.live.frozen() {
        for place in engine.live.trained() {
            half.live[place] = engine.live[place].clone();
        }
    } else {
        half.master = Some(engine.live.clone());
    }
    half
}

/// A model of moderate weights: what is measured is rounding, not chaos.
fn model(lora: Option<Lora>) -> CandleEngine {
    let mut engine = CandleEngine::init_with(tests::tiny(true), 3, Options { lora, ..Options::default() }).unwrap();
    let base = engine.live.base().len();
    engine.live[..base].iter_mut().filter(|w| w.rank() == 2).for_each(|w| *w = (&*w * 4.0).unwrap());
    engine
}

fn lora() -> Option<Lora> {
    Some(Lora { rank: 2, alpha: 4.0, targets: vec![Projection::Q, Projection::V, Projection::Down] })
}

fn learn(engine: &mut CandleEngine) {
    engine.forward_backward(&Rows::new().rows(), 0.8, &mut |s| Ok(coefficients(s))).unwrap();
}

fn update(engine: &mut CandleEngine) -> Update {
    learn(engine);
    engine.optim_step(&OPTIM).unwrap()
}

fn logp(engine: &mut CandleEngine, set: WeightSet) -> Vec<f32> {
    let scores = engine.score(set, &Rows::new().rows(), 0.8).unwrap();
    scores.into_iter().flat_map(|s| s.logp).collect()
}

fn mean_gap(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
}

fn dtypes(tensors: &[Tensor]) -> Vec<DType> {
    let mut found: Vec<DType> = vec![];
    tensors.iter().for_each(|t| {
        if !found.contains(&t.dtype()) {
            found.push(t.dtype())
        }
    });
    found
}

#[test]
fn gradients_are_summed_in_f32_and_near_the_exact_ones() {
    for lora in [None, lora()] {
        let mut exact = model(lora);
        // adapters that do something
        update(&mut exact);
        let mut half = half(&exact);
        let gap = mean_gap(&logp(&mut exact, WeightSet::Live), &logp(&mut half, WeightSet::Live));
        assert!(gap > 1e-5 && gap < 0.02, "{gap}");
        learn(&mut exact);
        learn(&mut half);
        for ((name, _), (a, b)) in exact.names.iter().zip(exact.grads.iter().zip(&half.grads)) {
            let (Some(a), Some(b)) = (a, b) else {
                assert!(a.is_none() && b.is_none(), "{name}");
                continue;
            };
            assert_eq!(b.dtype(), DType::F32, "{name}");
            assert!(apart(a, b) < 0.05, "{name}: {}", apart(a, b));
        }
    }
}

#[test]
fn the_gradient_is_the_same_whatever_is_kept_of_the_forward_pass() {
    for lora in [None, lora()] {
        let exact = model(lora);
        let gradient = |checkpointing, tape_bytes| {
            let mut half = half(&exact);
            (half.options.checkpointing, half.options.tape_bytes) = (checkpointing, tape_bytes);
            learn(&mut half);
            half.grads
        };
        let all = gradient(Checkpointing::Off, u64::MAX);
        for other in [gradient(Checkpointing::On, u64::MAX), gradient(Checkpointing::On, 0)] {
            for (a, b) in all.iter().flatten().zip(other.iter().flatten()) {
                assert_eq!(apart(a, b), 0.0);
            }
        }
    }
}

#[test]
fn updates_move_f32_weights_and_round_them() {
    let mut exact = model(None);
    let mut half = half(&exact);
    for set in [WeightSet::Reference, WeightSet::Ema] {
        half.keep(set).unwrap();
    }
    half.average(Some(0.5)).unwrap();
    let before = logp(&mut half, WeightSet::Reference);
    for _ in 0..3 {
        let (a, b) = (update(&mut exact), update(&mut half));
        assert!((a.grad_norm / b.grad_norm - 1.0).abs() < 0.03, "{} {}", a.grad_norm, b.grad_norm);
    }
    let master = half.master.clone().unwrap();
    assert_eq!((dtypes(&master), dtypes(&half.live)), (vec![DType::F32], vec![DType::BF16]));
    for ((exact, master), live) in exact.live.iter().zip(&master).zip(&half.live) {
        assert!(apart(exact, master) < 0.05, "{}", apart(exact, master));
        assert_eq!(apart(&master.to_dtype(DType::BF16).unwrap(), live), 0.0);
    }
    assert_eq!(logp(&mut half, WeightSet::Reference), before, "what was kept stays");
    assert_eq!(half.sets[&WeightSet::Ema].dtype(), DType::F32);
    assert_eq!(half.sets[&WeightSet::Reference].dtype(), DType::BF16);
    for set in [WeightSet::Ema, WeightSet::StepStart] {
        half.blend(WeightSet::Blend, [WeightSet::Reference, WeightSet::Live], 0.25).unwrap();
        half.keep(WeightSet::StepStart).unwrap();
        assert!(logp(&mut half, set).iter().all(|x| x.is_finite()));
        assert_ne!(logp(&mut half, WeightSet::Blend), before);
    }
    half.restart(WeightSet::Reference).unwrap();
    assert_eq!(logp(&mut half, WeightSet::Live), before);
    assert!(!update(&mut half).skipped);
    assert_eq!(dtypes(half.master.as_ref().unwrap()), [DType::F32], "a second student has a master too");
}

#[test]
fn a_checkpoint_is_taken_up_again() {
    for lora in [None, lora()] {
        let mut half = half(&model(lora));
        half.keep(WeightSet::Reference).unwrap();
        update(&mut half);
        half.keep(WeightSet::StepStart).unwrap();
        let folder = tempfile::tempdir().unwrap();
        half.snapshot(folder.path(), true).unwrap()().unwrap();
        let want = [WeightSet::Live, WeightSet::Reference, WeightSet::StepStart].map(|set| logp(&mut half, set));
        let norm = update(&mut half).grad_norm;
        update(&mut half);
        half.restore(folder.path()).unwrap();
        let found = [WeightSet::Live, WeightSet::Reference, WeightSet::StepStart].map(|set| logp(&mut half, set));
        assert_eq!(found, want);
        assert_eq!(half.live[0].dtype(), DType::BF16);
        assert_eq!(update(&mut half).grad_norm, norm);
        let merged = tempfile::tempdir().unwrap();
        export(&half, merged.path()).unwrap();
        assert!(CandleEngine::load(merged.path()).is_ok());
    }
}

/// Replies to prompts of different lengths, two of which begin alike, with what was scored for them.
#[test]
fn sampled_log_probs_are_near_scored_ones() {
    for lora in [None, lora()] {
        let mut half = half(&model(lora));
        update(&mut half);
        let stops = Stops::tokens_only(vec![]);
        let contexts: Vec<Vec<u32>> = [3, 70, 140, 64, 71].iter().map(|n| tests::ids(*n, 7)).collect();
        let request = |(slot, context): (usize, &Vec<u32>)| SampleRequest {
            slot,
            context: context.clone(),
            limit: 30,
            seed: slot as u64,
        };
        let requests = contexts.iter().enumerate().map(request).collect();
        let samples = sample_all(&mut half, &Sampler::new(0.8, &stops), requests).unwrap();
        for (context, sample) in contexts.iter().zip(&samples) {
            let ids = [&context[..], &sample.ids].concat();
            let mask: Vec<bool> = (0..ids.len()).map(|t| t >= context.len()).collect();
            let scores = half.score(WeightSet::Live, &[ScoreRow::new(&ids, &mask)], 0.8).unwrap();
            let gap = mean_gap(&scores[0].logp, &sample.logp);
            assert!(gap < 0.01, "{gap}");
            assert!(mean_gap(&scores[0].entropy, &sample.entropy) < 0.01);
        }
    }
}

#[test]
fn texts_are_placed_near_where_f32_places_them() {
    let mut exact = model(None);
    let mut half = half(&exact);
    let rows = [tests::ids(9, 1), tests::ids(30, 2)];
    let rows: Vec<&[u32]> = rows.iter().map(|r| &r[..]).collect();
    let place = |e: &mut CandleEngine| {
        let means = e.embed(WeightSet::Live, &rows).unwrap().concat();
        let n = means.len();
        Tensor::from_vec(means, n, &Device::Cpu).unwrap()
    };
    assert!(apart(&place(&mut exact), &place(&mut half)) < 0.02);
}
