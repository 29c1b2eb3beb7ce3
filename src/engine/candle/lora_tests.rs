//! Adapters: gradients, folders, parity with PEFT.

use super::layout::Projection;
use super::sets_tests::{adapted, flat, gradients, lora, numbers, opened, scores, trained_adapters, update};
use super::tests::{ADAM, Rows, coefficients, engine, loss, tiny};
use super::*;

#[test]
fn new_adapters_change_nothing_and_the_reference_is_the_base() {
    let (mut plain, mut engine) = (opened(Options::default()), adapted());
    assert_eq!(scores(&mut engine, WeightSet::Live), scores(&mut plain, WeightSet::Live));
    engine.keep(WeightSet::Reference).unwrap();
    let info = engine.info();
    assert_eq!((info.parameters, info.name.ends_with(" lora r3")), (plain.info().parameters, true));
    assert_eq!(info.trained, lora().parameters(&engine.decoder.config));
    let base = numbers(&engine.live.base());
    update(&mut engine);
    let reference = engine.weights(WeightSet::Reference).unwrap();
    assert!(reference.same(&engine.live.base()), "no second copy, no adapter");
    assert_eq!(numbers(&reference), base, "the base is frozen");
    assert_eq!(scores(&mut engine, WeightSet::Reference), scores(&mut plain, WeightSet::Live));
    assert_ne!(scores(&mut engine, WeightSet::Live), scores(&mut plain, WeightSet::Live));
    assert_eq!(numbers(&adapted().live), numbers(&adapted().live), "seeded");
}

#[test]
fn adapters_and_merged_matrices_are_the_same_function() {
    let mut engine = trained_adapters();
    let folder = tempfile::tempdir().unwrap();
    let mut merged = CandleEngine::init(tiny(true), 0).unwrap();
    merged.live = lora::merged(&engine.live).unwrap();
    let close = |a: &[Scores], b: &[Scores], bound: f32| {
        a.iter().zip(b).all(|(a, b)| a.logp.iter().zip(&b.logp).all(|(a, b)| (a - b).abs() < bound))
    };
    let live = scores(&mut engine, WeightSet::Live);
    assert!(close(&live, &scores(&mut merged, WeightSet::Live), 1e-4));
    export(&engine, folder.path()).unwrap();
    let mut exported = CandleEngine::load(folder.path()).unwrap();
    assert!(close(&live, &scores(&mut exported, WeightSet::Live), 0.3), "bf16");
    assert!(!exported.live.frozen());
}

#[test]
fn gradients_of_adapters_follow_from_those_of_the_matrices() {
    let mut engine = trained_adapters();
    let mut full = CandleEngine::init(tiny(true), 0).unwrap();
    full.live = lora::merged(&engine.live).unwrap();
    let (narrow, wide) = (gradients(&mut engine), gradients(&mut full));
    assert!(narrow[..full.live.len()].iter().all(Option::is_none), "frozen tensors get no gradient");
    let mut checked = 0;
    for (place, dw) in wide.iter().enumerate() {
        let Some(adapter) = engine.live.adapter(place) else { continue };
        let dw = (dw.as_ref().unwrap() * adapter.scale as f64).unwrap(); // s dL/dW
        let da = adapter.b.t().unwrap().matmul(&dw).unwrap();
        let db = dw.matmul(&adapter.a.t().unwrap()).unwrap();
        for (expected, at) in [(da, adapter.at), (db, adapter.at + 1)] {
            let found = flat(narrow[at].as_ref().unwrap());
            let size = flat(&expected).iter().fold(0f32, |m, x| m.max(x.abs()));
            assert!(flat(&expected).iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-4 * size), "{place}");
            checked += 1;
        }
    }
    assert_eq!(checked, 2 * 7 * 2);
}

#[test]
fn gradients_of_adapters_match_finite_differences() {
    let mut engine = trained_adapters();
    let (rows, grads) = (Rows::new(), gradients(&mut engine));
    for place in engine.live.trained() {
        let gradient = grads[place].as_ref().unwrap();
        let norm = flat(gradient).iter().map(|g| (*g as f64).powi(2)).sum::<f64>().sqrt();
        let original = engine.live[place].clone();
        let mut at = |step: f64| {
            engine.live[place] = (&original + (gradient * (step / norm)).unwrap()).unwrap();
            loss(&mut engine, &rows, 1.0)
        };
        let h = 4e-3 / norm.max(1.0);
        let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        engine.live[place] = original;
        assert!((slope - norm).abs() < 1e-2 * norm, "{}: slope {slope}, gradient {norm}", engine.names[place].0);
    }
}

#[test]
fn adapter_folders_are_read_back() {
    let (model, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    engine(true).save(model.path(), false).unwrap();
    let options = || Options { lora: Some(lora()), seed: 5, ..Options::default() };
    let mut a = CandleEngine::open(model.path(), options()).unwrap();
    update(&mut a);
    a.save(folder.path(), false).unwrap();
    assert!(!folder.path().join("model.safetensors").exists());
    let mut b = CandleEngine::load(folder.path()).unwrap();
    assert_eq!(scores(&mut a, WeightSet::Live), scores(&mut b, WeightSet::Live));
    let config = folder.path().join("adapter_config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let refused = |from: &str, to: &str| {
        std::fs::write(&config, text.replace(from, to)).unwrap();
        format!("{:#}", CandleEngine::load(folder.path()).err().unwrap())
    };
    assert!(refused("\"use_dora\": false", "\"use_dora\": true").contains("`use_dora` is true"));
    let merge = "which is not supported; merge the adapters into their model with PEFT";
    for (key, value) in [
        ("use_rslora", "true"),
        ("bias", "\"lora_only\""),
        ("modules_to_save", "[\"lm_head\"]"),
        ("rank_pattern", "{\"q_proj\": 8}"),
        ("alora_invocation_tokens", "[1, 2]"),
        ("a_setting_of_tomorrow", "1"),
    ] {
        let off = text.replace(&format!("\"{key}\""), "\"peft_version\"");
        std::fs::write(&config, off.replacen('{', &format!("{{\"{key}\": {value},"), 1)).unwrap();
        let error = format!("{:#}", CandleEngine::load(folder.path()).err().unwrap());
        assert!(error.contains(&format!("`{key}` is ")) && error.contains(merge), "{error}");
    }
    let start = |name: &str| format!("\"init_lora_weights\": \"{name}\"");
    assert!(
        refused("\"init_lora_weights\": true", &start("pissa"))
            .contains("`init_lora_weights` is `pissa`, which changes")
    );
    std::fs::write(&config, text.replace("\"init_lora_weights\": true", &start("gaussian"))).unwrap();
    assert!(CandleEngine::load(folder.path()).is_ok());
    assert!(refused("\"LORA\"", "\"LOHA\"").contains("`peft_type` is `LOHA`, only `LORA` is supported"));
    assert!(refused("\"q_proj\",", "").contains("has no place in the adapters"));
    let strangers = super::examine(folder.path()).unwrap().problems;
    assert!(
        strangers.len() == 4 && strangers[0].contains("has no place in what `adapter_config.json`"),
        "{strangers:?}"
    );
    assert!(refused("q_proj", "query").contains("`target_modules` names \"query\""));
    assert!(refused("\"r\": 3", "\"r\": 4").contains("lora_A.weight` has shape [3, 16], expected [4, 16]"));
    let none = Lora { targets: vec![], ..lora() };
    assert!(CandleEngine::open(model.path(), Options { lora: Some(none), ..options() }).is_err());
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/peft")
}

/// The row of `expected.json`, and log-probs of its tokens from the second on.
fn row_of_fixture(key: &str) -> (Vec<u32>, Vec<f32>) {
    let text = std::fs::read_to_string(fixture().join("expected.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = |key: &str| value[key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<f64>>();
    (list("ids").iter().map(|x| *x as u32).collect(), list(key).iter().map(|x| *x as f32).collect())
}

fn row_logp(engine: &mut CandleEngine, set: WeightSet, ids: &[u32]) -> Vec<f32> {
    let mask = vec![true; ids.len()];
    engine.score(set, &[ScoreRow::new(ids, &mask)], 1.0).unwrap().remove(0).logp
}

#[test]
fn adapters_written_by_peft_compute_what_peft_computes() {
    let mut engine = CandleEngine::load(&fixture().join("adapter")).unwrap();
    engine.sets.insert(WeightSet::Reference, sets::Kept::of(engine.live.base()));
    for (set, key) in [(WeightSet::Live, "logp"), (WeightSet::Reference, "logp_base")] {
        let (ids, expected) = row_of_fixture(key);
        let found = row_logp(&mut engine, set, &ids);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} {expected:?}");
    }
    // written again it is the same file but for the metadata: same names, shapes and numbers
    let folder = tempfile::tempdir().unwrap();
    engine.save(folder.path(), false).unwrap();
    let read = |folder: &Path| files::read_tensors(&folder.join("adapter_model.safetensors")).unwrap();
    let (ours, theirs) = (read(folder.path()), read(&fixture().join("adapter")));
    assert_eq!(ours.len(), theirs.len());
    assert!(theirs.iter().all(|(name, t)| flat(t) == flat(&ours[name]) && t.dims() == ours[name].dims()));
}

/// Input of `tests/fixtures/peft/peft_parity.py check`, in the folder `SDLAB_PEFT_OUT`.
#[test]
#[ignore = "writes a folder to be checked with PEFT"]
fn adapters_for_peft() {
    let out = PathBuf::from(std::env::var("SDLAB_PEFT_OUT").expect("SDLAB_PEFT_OUT names a folder"));
    let model = fixture().join("base");
    CandleEngine::load(&model).unwrap().save(&out.join("base"), false).unwrap();
    let lora = Lora { rank: 5, alpha: 7.0, targets: Projection::ALL.to_vec() };
    let options = Options { lora: Some(lora), seed: 2, ..Options::default() };
    let mut engine = CandleEngine::open(&out.join("base"), options).unwrap();
    let (ids, _) = row_of_fixture("logp");
    let mask = vec![true; ids.len()];
    for _ in 0..5 {
        engine.forward_backward(&[ScoreRow::new(&ids, &mask)], 1.0, &mut |s| Ok(coefficients(s))).unwrap();
        engine.optim_step(&AdamW { lr: 3e-2, ..ADAM }).unwrap();
    }
    engine.save(&out.join("adapter"), false).unwrap();
    let logp = row_logp(&mut engine, WeightSet::Live, &ids);
    std::fs::write(out.join("logp.json"), serde_json::json!({ "ids": ids, "logp": logp }).to_string()).unwrap();
}
