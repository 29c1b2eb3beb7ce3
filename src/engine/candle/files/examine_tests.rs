//! Weights that are looked at and not kept.

use std::fs;
use std::path::Path;

use candle_core::{DType, Tensor};
use serde_json::json;

use super::tests::Broken;
use super::*;
use crate::engine::candle::parity_tests::folder;

/// The same file with other numbers in one tensor.
fn rewrite(folder: &Path, file: &str, change: impl FnOnce(&mut std::collections::HashMap<String, Tensor>)) {
    let path = folder.join(file);
    let mut tensors = read_tensors(&path).unwrap();
    change(&mut tensors);
    write_tensors(&path, &tensors).unwrap();
}

#[test]
fn numbers_that_are_not_finite_are_told_by_their_tensor() {
    let name = "model.layers.1.mlp.up_proj.weight";
    for (wrong, dtype) in [(f32::NAN, DType::F32), (f32::INFINITY, DType::BF16), (f32::NEG_INFINITY, DType::F16)] {
        let broken = Broken::of("qwen2_tied");
        rewrite(broken.0.path(), "model.safetensors", |tensors| {
            let mut numbers: Vec<f32> = tensors[name].flatten_all().unwrap().to_vec1().unwrap();
            numbers[7] = wrong;
            let t = Tensor::from_vec(numbers, tensors[name].dims(), &candle_core::Device::Cpu).unwrap();
            tensors.insert(name.into(), t.to_dtype(dtype).unwrap());
        });
        let found = examine(broken.0.path()).unwrap().problems;
        assert!(found.len() == 1 && found[0].contains(name) && found[0].contains("NaN"), "{found:?}");
        broken.says(&["model.safetensors: tensor `model.layers.1.mlp.up_proj.weight` holds numbers that are infinite"]);
    }
}

#[test]
fn all_that_is_wrong_with_weights_is_told() {
    for name in ["llama", "qwen2_untied", "qwen3_untied"] {
        let found = examine(&folder(name)).unwrap();
        let (c, weights) = read_model(&folder(name)).unwrap();
        assert_eq!((found.problems, found.tensors), (vec![], Layout::new(&c).names.len()), "{name}");
        assert!(found.bytes >= 2 * weights.iter().map(|w| w.elem_count() as u64).sum::<u64>());
    }
    let says = |broken: &Broken, parts: &[&str]| {
        let found = examine(broken.0.path()).unwrap().problems;
        assert_eq!(found.len(), parts.len(), "{found:#?}");
        parts.iter().for_each(|part| assert!(found.iter().any(|f| f.contains(part)), "`{part}`: {found:#?}"));
    };
    let shard = |n: usize| format!("model-0000{n}-of-00003.safetensors");
    let gone = Broken::of("qwen2_untied").cut(&shard(3), 0.9);
    fs::remove_file(gone.0.path().join(shard(2))).unwrap();
    says(&gone, &["model-00002-of-00003.safetensors: the shard is missing", "cut off, "]);
    let moved = Broken::of("qwen2_untied");
    let (mut taken, mut name) = (None, String::new());
    rewrite(moved.0.path(), &shard(1), |tensors| {
        name = tensors.keys().min().unwrap().clone();
        taken = tensors.remove(&name);
    });
    says(&moved, &["is missing, which `model.safetensors.index.json` says is in it"]);
    rewrite(moved.0.path(), &shard(2), |tensors| {
        let strange = "model.layers.0.self_attn.sinks".to_owned();
        let one = tensors.values().next().unwrap().clone();
        tensors.extend([(strange, one), (name.clone(), taken.take().unwrap())]);
    });
    says(&moved, &["`model.layers.0.self_attn.sinks` has no place"]);
    moved.says(&["`model.layers.0.self_attn.sinks` has no place"]);
    let narrow = Broken::of("qwen2_tied").set("intermediate_size", json!(24));
    assert_eq!(examine(narrow.0.path()).unwrap().problems.len(), 6, "three matrices in two layers");
    says(&Broken::of("qwen2_tied").cut("model.safetensors", 0.0), &["model.safetensors: empty"]);
    let few = Broken::of("qwen2_tied").set("tie_word_embeddings", json!(false));
    let longer = Broken::of("qwen2_tied");
    let path = longer.0.path().join("model.safetensors");
    fs::write(&path, [fs::read(&path).unwrap(), vec![0; 3]].concat()).unwrap();
    says(&longer, &["not safetensors, or damaged"]);
    says(&few, &["tensor `lm_head.weight` is missing, `config.json` asks for it; if the output is the embedding"]);
    let untold = Broken::of("qwen2_untied");
    let index = r#"{"weight_map": {"a": 3}}"#;
    fs::write(untold.0.path().join("model.safetensors.index.json"), index).unwrap();
    let error = examine(untold.0.path()).unwrap_err().to_string();
    assert!(error.ends_with("model.safetensors.index.json: `a` is in no file of this folder"), "{error}");
}
