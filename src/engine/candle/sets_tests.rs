//! Weight sets, precision, and the ways to hold activations.

use candle_core::{DType, Tensor};

use super::layout::Projection;
use super::memory::{Checkpointing, Dtype};
use super::tests::{ADAM, Rows, coefficients, engine, tiny};
use super::*;
use crate::text::Stops;

pub(super) type Numbers = Vec<Vec<f32>>;

pub(super) fn numbers(weights: &Weights) -> Numbers {
    weights.iter().map(|t| t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()).collect()
}

pub(super) fn update(engine: &mut CandleEngine) -> Update {
    learn(engine);
    engine.optim_step(&ADAM).unwrap()
}

pub(super) fn learn(engine: &mut CandleEngine) {
    engine.forward_backward(&Rows::new().rows(), 1.0, &mut |s| Ok(coefficients(s))).unwrap();
}

pub(super) fn gradients(engine: &mut CandleEngine) -> Vec<Option<Tensor>> {
    engine.grads = vec![None; engine.live.len()];
    learn(engine);
    std::mem::replace(&mut engine.grads, vec![None; engine.live.len()])
}

pub(super) fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

pub(super) fn scores(engine: &mut CandleEngine, set: WeightSet) -> Vec<Scores> {
    engine.score(set, &Rows::new().rows(), 1.0).unwrap()
}

/// The tiny engine written to a folder and opened again with `options`.
pub(super) fn opened(options: Options) -> CandleEngine {
    let folder = tempfile::tempdir().unwrap();
    engine(true).save(folder.path(), false).unwrap();
    CandleEngine::open(folder.path(), options).unwrap()
}

fn half() -> CandleEngine {
    opened(Options { dtype: Dtype::Bf16, ..Options::default() })
}

pub(super) fn lora() -> Lora {
    Lora { rank: 3, alpha: 6.0, targets: Projection::ALL.to_vec() }
}

pub(super) fn adapted() -> CandleEngine {
    opened(Options { lora: Some(lora()), seed: 5, ..Options::default() })
}

/// Adapters whose B is not zero.
pub(super) fn trained_adapters() -> CandleEngine {
    let mut engine = adapted();
    for (i, place) in engine.live.trained().skip(1).step_by(2).enumerate() {
        let shape = engine.live[place].shape().clone();
        let data = (0..shape.elem_count()).map(|k| 0.2 * ((k * 7 + i) as f32).sin()).collect();
        engine.live[place] = ops::tensor(data, shape).unwrap();
    }
    engine
}

#[test]
fn sets_share_storage_until_an_update_and_stay_as_they_were() {
    let mut engine = engine(true);
    for set in [WeightSet::StepStart, WeightSet::Reference, WeightSet::Ema] {
        engine.keep(set).unwrap();
        assert!(engine.weights(set).unwrap().same(&engine.live), "{}", set.name());
    }
    let before = numbers(&engine.live);
    let scored = scores(&mut engine, WeightSet::Live);
    for _ in 0..3 {
        assert!(!update(&mut engine).skipped);
    }
    let kept = engine.weights(WeightSet::StepStart).unwrap();
    assert!(kept.iter().zip(&engine.live).all(|(a, b)| a.id() != b.id()));
    assert!(kept.same(&engine.weights(WeightSet::Reference).unwrap()));
    assert_eq!(numbers(&kept), before);
    assert_eq!(scores(&mut engine, WeightSet::StepStart), scored);
    assert_ne!(numbers(&engine.live), before);
    engine.forget(WeightSet::StepStart);
    assert!(!engine.keeps(WeightSet::StepStart) && engine.keeps(WeightSet::Reference));
    let missing = engine.score(WeightSet::StepStart, &[], 1.0).err().unwrap().to_string();
    assert_eq!(missing, "the weight set `step-start` is asked for but was never kept");
}

#[test]
fn the_average_follows_its_formula() {
    for mut engine in [engine(true), half(), trained_adapters()] {
        engine.average(Some(0.7)).unwrap();
        let mut expected = numbers(engine.master.as_ref().unwrap_or(&engine.live));
        for _ in 0..3 {
            update(&mut engine);
            for (e, w) in expected.iter_mut().zip(numbers(engine.master.as_ref().unwrap_or(&engine.live))) {
                e.iter_mut().zip(w).for_each(|(e, w)| *e = 0.7 * *e + 0.3 * w);
            }
        }
        let kept = engine.weights(WeightSet::Ema).unwrap();
        let expected: Vec<Vec<f32>> = match engine.rounds() {
            true => expected.into_iter().map(|e| e.into_iter().map(rounded).collect()).collect(),
            false => expected,
        };
        let bound = if engine.rounds() { 5e-3 } else { 1e-6 }; // one step of bf16 where rounding falls apart
        for (a, b) in numbers(&kept).concat().iter().zip(expected.concat()) {
            assert!((a - b).abs() <= bound * (1.0 + b.abs()), "{a} {b}");
        }
        assert!(engine.average(Some(1.0)).is_err());
        engine.average(None).unwrap();
        assert!(!engine.keeps(WeightSet::Ema));
    }
}

fn rounded(x: f32) -> f32 {
    let t = Tensor::new(&[x], &candle_core::Device::Cpu).unwrap();
    t.to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap()[0]
}

#[test]
fn a_blend_lies_between_its_sets() {
    let mut engine = engine(true);
    engine.keep(WeightSet::Initial).unwrap();
    update(&mut engine);
    let from = [WeightSet::Initial, WeightSet::Live];
    for (share, end) in [(0.0, WeightSet::Initial), (1.0, WeightSet::Live)] {
        engine.blend(WeightSet::Blend, from, share).unwrap();
        assert!(engine.weights(WeightSet::Blend).unwrap().same(&engine.weights(end).unwrap()));
    }
    engine.blend(WeightSet::Blend, from, 0.25).unwrap();
    let [a, b, mixed] = [WeightSet::Initial, WeightSet::Live, WeightSet::Blend]
        .map(|set| numbers(&engine.weights(set).unwrap()).concat());
    assert!(mixed.iter().zip(a.iter().zip(&b)).all(|(m, (a, b))| (m - (0.75 * a + 0.25 * b)).abs() < 1e-6));
    assert!(engine.blend(WeightSet::Live, from, 0.5).is_err());
    assert!(engine.blend(WeightSet::Blend, from, 1.5).is_err());
}

#[test]
fn a_blend_with_adapters_off_is_the_exact_interpolation() {
    let mut engine = trained_adapters();
    let base = engine.live.base();
    engine.sets.insert(WeightSet::Reference, sets::Kept::of(base.clone()));
    engine.blend(WeightSet::Blend, [WeightSet::Reference, WeightSet::Live], 0.25).unwrap();
    let mixed = numbers(&lora::merged(&engine.weights(WeightSet::Blend).unwrap()).unwrap()).concat();
    let (from, to) = (numbers(&base).concat(), numbers(&lora::merged(&engine.live).unwrap()).concat());
    assert!(mixed.iter().zip(from.iter().zip(&to)).all(|(m, (a, b))| (m - (0.75 * a + 0.25 * b)).abs() < 1e-5));
}

#[test]
fn an_external_checkpoint_scores_as_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = engine(true);
    update(&mut other);
    other.save(folder.path(), false).unwrap();
    let expected = scores(&mut other, WeightSet::Live);
    for mut engine in [engine(true), adapted()] {
        engine.keep_folder(WeightSet::Checkpoint, folder.path()).unwrap();
        assert_eq!(scores(&mut engine, WeightSet::Checkpoint), expected);
    }
    let mut half = half();
    half.keep_folder(WeightSet::Checkpoint, folder.path()).unwrap();
    assert_eq!(half.sets[&WeightSet::Checkpoint].dtype(), DType::BF16);
}

#[test]
fn a_teacher_of_another_size_scores_and_plays_as_itself() {
    let folder = tempfile::tempdir().unwrap();
    let larger = Architecture { num_hidden_layers: 3, intermediate_size: 40, vocab_size: 40, ..tiny(false) };
    let mut teacher = CandleEngine::init(larger, 1).unwrap();
    teacher.save(folder.path(), false).unwrap();
    let expected = scores(&mut teacher, WeightSet::Live);
    let stops = Stops::tokens_only(vec![]);
    let sampler = Sampler::new(1.0, &stops);
    let ask = || vec![SampleRequest { slot: 0, context: vec![3, 1, 4], limit: 12, seed: 5 }];
    let said = |engine: &mut CandleEngine, set: WeightSet| {
        let mut said = vec![];
        let mut next = |finished: crate::engine::Finished| {
            said = finished.sample.ids;
            Ok(vec![])
        };
        engine.sample_as(set, &sampler, ask(), &mut next).unwrap();
        said
    };
    let words = said(&mut teacher, WeightSet::Live);
    let own = said(&mut engine(true), WeightSet::Live);
    for mut student in [engine(true), adapted()] {
        student.keep_folder(WeightSet::Checkpoint, folder.path()).unwrap();
        assert_eq!(scores(&mut student, WeightSet::Checkpoint), expected);
        assert_eq!(said(&mut student, WeightSet::Checkpoint), words);
        assert_eq!(said(&mut student, WeightSet::Live), own, "the student is what it was");
        update(&mut student);
        assert_eq!(scores(&mut student, WeightSet::Checkpoint), expected);
        for refused in [
            student.restart(WeightSet::Checkpoint),
            student.blend(WeightSet::Blend, [WeightSet::Checkpoint, WeightSet::Live], 0.5),
        ] {
            let error = refused.err().unwrap().to_string();
            assert!(error.contains("another architecture") || error.contains("started again"), "{error}");
        }
        let state = tempfile::tempdir().unwrap();
        student.save(state.path(), true).unwrap();
        student.restore(state.path()).unwrap();
        assert_eq!(scores(&mut student, WeightSet::Checkpoint), expected, "and after a resume");
    }
}

#[test]
fn every_set_is_restored_and_training_continues_bit_for_bit() {
    for make in [|| engine(true), half, trained_adapters] {
        let (folder, external) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        engine(true).save(external.path(), false).unwrap();
        let (mut a, mut b) = (make(), make());
        a.keep(WeightSet::Reference).unwrap();
        a.keep(WeightSet::Initial).unwrap();
        a.average(Some(0.9)).unwrap();
        a.keep_folder(WeightSet::Checkpoint, external.path()).unwrap();
        update(&mut a);
        a.blend(WeightSet::Blend, [WeightSet::Reference, WeightSet::Live], 0.3).unwrap();
        a.keep(WeightSet::StepStart).unwrap();
        a.save(folder.path(), true).unwrap();
        assert!(
            !folder.path().join("initial.safetensors").exists()
                || !folder.path().join("reference.safetensors").exists()
        );
        assert!(!folder.path().join("step-start.safetensors").exists(), "it equals the live weights");
        b.restore(folder.path()).unwrap();
        b.average(Some(0.9)).unwrap();
        let all: Vec<WeightSet> = a.sets.keys().copied().collect();
        assert_eq!(all.len(), 6);
        for _ in 0..2 {
            for &set in &all {
                let (x, y) = (a.weights(set).unwrap(), b.weights(set).unwrap());
                assert_eq!(numbers(&x), numbers(&y), "{}", set.name());
            }
            assert_eq!(numbers(&a.live), numbers(&b.live));
            let shared = |e: &CandleEngine| {
                e.weights(WeightSet::Initial).unwrap().same(&e.weights(WeightSet::Reference).unwrap())
            };
            assert!(a.rounds() || (shared(&a) && shared(&b)));
            assert_eq!(update(&mut a), update(&mut b));
        }
        assert_eq!(a.moments, b.moments);
    }
}

#[test]
fn a_checkpoint_that_cannot_be_used_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine(true);
    update(&mut engine);
    engine.save(folder.path(), true).unwrap();
    update(&mut engine);
    let before = numbers(&engine.live);
    std::fs::write(folder.path().join("sets.json"), "{\"twin\": \"live\"}").unwrap();
    let error = format!("{:#}", engine.restore(folder.path()).err().unwrap());
    assert!(error.contains("sets.json") && error.contains("`twin`"), "{error}");
    assert_eq!(numbers(&engine.live), before);
}

#[test]
fn bf16_computes_with_the_rounded_master() {
    let mut engine = half();
    let same = |e: &CandleEngine| {
        let master = numbers(e.master.as_ref().unwrap()).concat();
        assert!(master.iter().zip(numbers(&e.live).concat()).all(|(m, l)| rounded(*m) == l));
        master
    };
    let before = same(&engine);
    // steps far below the spacing of bf16 numbers: the master must add them up
    let small = AdamW { lr: 1e-5, ..ADAM };
    let live = numbers(&engine.live).concat();
    for _ in 0..40 {
        learn(&mut engine);
        engine.optim_step(&small).unwrap();
    }
    let after = same(&engine);
    let moved = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a != b).count() as f64 / a.len() as f64;
    assert!(moved(&before, &after) > 0.9);
    let share = moved(&live, &numbers(&engine.live).concat());
    assert!(share > 0.001 && share < 0.9, "{share}");
    engine.keep(WeightSet::StepStart).unwrap();
    engine.keep(WeightSet::Reference).unwrap();
    assert_eq!(engine.sets[&WeightSet::Reference].dtype(), DType::BF16);
    assert!(engine.weights(WeightSet::Reference).unwrap().same(&engine.live), "equal sets compute with one copy");
    update(&mut engine);
    assert!(!engine.weights(WeightSet::Reference).unwrap().same(&engine.live));
}

#[test]
fn accumulated_batches_equal_one_large_batch() {
    let mut engine = engine(true);
    let whole = gradients(&mut engine);
    let rows = Rows::new();
    for row in rows.rows() {
        engine.forward_backward(&[row], 1.0, &mut |s| Ok(coefficients(s))).unwrap();
    }
    for (a, b) in whole.iter().zip(&engine.grads) {
        let (a, b) = (flat(a.as_ref().unwrap()), flat(b.as_ref().unwrap()));
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| (x as f64).powi(2)).sum::<f64>().sqrt();
        let error = norm(&mut a.iter().zip(&b).map(|(a, b)| a - b));
        assert!(error <= 1e-5 * norm(&mut a.iter().copied()), "{error}");
    }
}

#[test]
fn gradients_do_not_depend_on_what_is_kept_of_the_forward_pass() {
    for mut engine in [engine(true), engine(false), trained_adapters()] {
        let ways = [
            (Checkpointing::Off, 3 << 30),
            (Checkpointing::On, 3 << 30),
            (Checkpointing::Auto, 40_000),
            (Checkpointing::Auto, 100),
            (Checkpointing::On, 100),
            (Checkpointing::Off, 100),
        ];
        let mut first: Option<Vec<Option<Vec<f32>>>> = None;
        for (checkpointing, tape_bytes) in ways {
            (engine.options.checkpointing, engine.options.tape_bytes) = (checkpointing, tape_bytes);
            let found = gradients(&mut engine).iter().map(|g| g.as_ref().map(flat)).collect();
            assert!(*first.get_or_insert_with(|| Vec::clone(&found)) == found, "{checkpointing:?} {tape_bytes}");
        }
    }
}

#[test]
fn a_skipped_update_moves_no_set() {
    let mut engine = half();
    engine.average(Some(0.5)).unwrap();
    let before = numbers(&engine.live);
    let mut poison = |s: &[Scores]| {
        Ok(s.iter().map(|s| Coefficients { logp: vec![f32::INFINITY; s.logp.len()], ..Default::default() }).collect())
    };
    engine.forward_backward(&Rows::new().rows(), 1.0, &mut poison).unwrap();
    assert!(engine.optim_step(&ADAM).unwrap().skipped);
    assert_eq!(numbers(&engine.live), before);
    assert_eq!(numbers(&engine.weights(WeightSet::Ema).unwrap()), before);
    assert!(!update(&mut engine).skipped, "the poisoned gradient is gone");
}
