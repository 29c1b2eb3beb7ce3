use std::fs;
use std::io::{BufWriter, Cursor};

use candle_core::quantized::gguf_file::{Value as Meta, write as write_gguf};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Tensor};
use serde_json::{Value, json};

use super::gguf::gguf_name;
use super::*;
use crate::engine::candle::arch::{Family, RopeScaling};
use crate::engine::candle::parity_tests::folder;

/// A copy of a fixture to be damaged.
pub struct Broken(pub tempfile::TempDir);

impl Broken {
    pub fn of(name: &str) -> Self {
        let target = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(folder(name)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, target.path().join(path.file_name().unwrap())).unwrap();
        }
        Self(target)
    }

    pub fn set(self, key: &str, value: Value) -> Self {
        let path = self.0.path().join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config[key] = value;
        fs::write(&path, config.to_string()).unwrap();
        self
    }

    pub fn cut(self, file: &str, part: f64) -> Self {
        let path = self.0.path().join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..(bytes.len() as f64 * part) as usize]).unwrap();
        self
    }

    /// What loading says, which must name all of `parts`.
    pub fn says(self, parts: &[&str]) {
        let error = format!("{:#}", read_model(self.0.path()).err().expect("a broken model was loaded"));
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
}

#[test]
fn unsupported_settings_are_named_with_what_is_supported() {
    let llama = || Broken::of("llama");
    llama().set("model_type", json!("gemma3")).says(&["config.json", "`gemma3`", "`qwen2`, `qwen3`, `llama`"]);
    for kind in ["yarn", "dynamic", "longrope", "mrope"] {
        let rope = json!({ "rope_type": kind, "factor": 4.0 });
        llama().set("rope_parameters", rope).says(&["config.json", kind, "`default`, `linear` and `llama3`"]);
    }
    llama().set("rope_parameters", json!({ "rope_type": "linear" })).says(&["`linear` must give `factor`"]);
    let rope = json!({ "rope_type": "default", "partial_rotary_factor": 0.5 });
    llama().set("rope_parameters", rope).says(&["`partial_rotary_factor` is 0.5"]);
    llama().set("hidden_act", json!("gelu")).says(&["`hidden_act` is `gelu`", "`silu`"]);
    llama().set("mlp_bias", json!(true)).says(&["`mlp_bias`"]);
    llama().set("quantization_config", json!({ "bits": 4 })).says(&["`quantization_config`", "not quantised"]);
    llama().set("num_key_value_heads", json!(3)).says(&["`num_attention_heads` is 4", "which is 3"]);
    Broken::of("qwen2_tied").set("use_sliding_window", json!(true)).says(&["sliding windows are not supported"]);
    Broken::of("qwen3_tied").set("layer_types", json!(["sliding_attention"])).says(&["`sliding_attention`"]);
    Broken::of("qwen3_tied").set("hidden_size", json!(null)).says(&["config.json", "not a Qwen3 configuration"]);
}

#[test]
fn config_before_transformers_5_is_understood() {
    let old = json!({ "type": "linear", "factor": 2.5 });
    let broken = Broken::of("linear_rope").set("rope_parameters", json!(null)).set("rope_scaling", old);
    let old = read_architecture(broken.set("rope_theta", json!(5e3)).0.path()).unwrap();
    assert_eq!(old, read_architecture(&folder("linear_rope")).unwrap());
    assert_eq!(old.rope_scaling, RopeScaling::Linear { factor: 2.5 });
}

#[test]
fn damaged_weights_are_named() {
    let shard = "model-00002-of-00003.safetensors";
    let missing = Broken::of("qwen2_untied");
    fs::remove_file(missing.0.path().join(shard)).unwrap();
    missing.says(&[shard, "the shard is missing", "model.layers.", "download or copy it again"]);
    Broken::of("qwen2_untied").cut(shard, 0.5).says(&[shard, "cut off", "download or copy it again"]);
    Broken::of("qwen2_tied").cut("model.safetensors", 0.99).says(&["model.safetensors", "cut off"]);
    let missing = Broken::of("qwen2_tied");
    fs::remove_file(missing.0.path().join("model.safetensors")).unwrap();
    missing.says(&["there is neither `model.safetensors` nor `model.safetensors.index.json`", "converted first"]);
    let empty = Broken::of("qwen2_tied").cut("model.safetensors", 0.0);
    empty.says(&["model.safetensors: empty (0 bytes are there); download or copy it again"]);
    let missing = Broken::of("qwen2_tied");
    fs::remove_file(missing.0.path().join("config.json")).unwrap();
    missing.says(&["cannot read", "config.json", ".gguf"]);
}

#[test]
fn weights_of_another_model_are_named() {
    let shapes = &["model.safetensors", "`model.layers.0.mlp.gate_proj.weight`", "[20, 12]", "[24, 12]"];
    Broken::of("qwen2_tied").set("intermediate_size", json!(24)).says(shapes);
    Broken::of("qwen2_tied").set("model_type", json!("llama")).says(&["`model.layers.0.self_attn.k_proj.bias`"]);
    Broken::of("qwen2_tied").set("model_type", json!("qwen3")).says(&["has no place"]);
    Broken::of("qwen2_tied").set("num_hidden_layers", json!(1)).says(&["`model.layers.1.", "has no place"]);
    Broken::of("qwen2_tied").set("num_hidden_layers", json!(3)).says(&["`model.layers.2.", "is missing"]);
    Broken::of("qwen2_tied")
        .set("tie_word_embeddings", json!(false))
        .says(&["`lm_head.weight`", "`tie_word_embeddings`"]);
    let packed = Broken::of("qwen2_tied");
    let path = packed.0.path().join("model.safetensors");
    let mut tensors = read_tensors(&path).unwrap();
    let name = "model.layers.0.mlp.up_proj.weight";
    tensors.insert(name.into(), tensors[name].to_dtype(DType::U8).unwrap());
    write_tensors(&path, &tensors).unwrap();
    packed.says(&[name, "U8", "bf16"]);
}

#[test]
fn settings_of_the_wrong_kind_are_named() {
    let llama = |key: &str, value: Value| Broken::of("llama").set(key, value);
    llama("num_hidden_layers", json!(2.5)).says(&["config.json: `num_hidden_layers` is 2.5, expected a whole number"]);
    llama("hidden_size", json!(-3)).says(&["`hidden_size` is -3, expected a whole number"]);
    llama("rope_theta", json!("x")).says(&["`rope_theta` is \"x\", expected a number"]);
    llama("rope_parameters", json!("linear")).says(&["`rope_parameters` is \"linear\", expected an object"]);
    llama("hidden_size", json!(10u64.pow(15))).says(&["`hidden_size` is 1000000000000000, more than any model has"]);
    llama("rms_norm_eps", json!(-1.0)).says(&["`rms_norm_eps` is -1, it must not be negative"]);
    llama("model_type", json!(null)).says(&["`model_type` is missing", "`qwen3`"]);
    let list = Broken::of("llama");
    fs::write(list.0.path().join("config.json"), "[1]").unwrap();
    list.says(&["config.json: not the settings of a model"]);
}

/// A fixture as a GGUF file, as llama.cpp's converter lays it out.
fn as_gguf(name: &str, change: impl FnOnce(&mut Vec<(String, Meta)>)) -> (tempfile::TempDir, std::path::PathBuf) {
    let (c, weights) = read_model(&folder(name)).unwrap();
    let kind = c.family.model_type();
    let mut meta = vec![("general.architecture".to_string(), Meta::String(kind.into()))];
    let mut size = |key: &str, n: usize| meta.push((format!("{kind}.{key}"), Meta::U32(n as u32)));
    size("block_count", c.num_hidden_layers);
    size("context_length", c.max_position_embeddings);
    size("embedding_length", c.hidden_size);
    size("feed_forward_length", c.intermediate_size);
    size("attention.head_count", c.num_attention_heads);
    size("attention.head_count_kv", c.num_key_value_heads);
    size("attention.key_length", c.head_dim);
    meta.push((format!("{kind}.rope.freq_base"), Meta::F32(c.rope_theta as f32)));
    meta.push((format!("{kind}.attention.layer_norm_rms_epsilon"), Meta::F32(c.rms_norm_eps as f32)));
    let mut tensors: Vec<(String, Tensor)> = vec![];
    for ((name, _), w) in Layout::new(&c).names.iter().zip(&weights) {
        let heads = if name.contains("q_proj") { c.num_attention_heads } else { c.num_key_value_heads };
        let turned = c.family == Family::Llama && (name.contains("q_proj") || name.contains("k_proj"));
        let w = if turned { side_by_side(w, heads) } else { w.clone() };
        tensors.push((gguf_name(name).unwrap(), w));
    }
    match c.rope_scaling {
        RopeScaling::None => {}
        RopeScaling::Linear { factor } => {
            meta.push((format!("{kind}.rope.scaling.type"), Meta::String("linear".into())));
            meta.push((format!("{kind}.rope.scaling.factor"), Meta::F32(factor as f32)));
        }
        RopeScaling::Llama3 { original_max_position_embeddings: n, .. } => {
            let plain = Architecture { rope_scaling: RopeScaling::None, ..c.clone() }.frequencies();
            let factors: Vec<f32> = plain.iter().zip(c.frequencies()).map(|(p, s)| p / s).collect();
            let factors = Tensor::from_vec(factors, c.head_dim / 2, &candle_core::Device::Cpu).unwrap();
            tensors.push(("rope_freqs.weight".into(), factors));
            meta.push((format!("{kind}.rope.scaling.original_context_length"), Meta::U32(n as u32)));
        }
    }
    change(&mut meta);
    let packed: Vec<(String, QTensor)> =
        tensors.into_iter().map(|(n, t)| (n, QTensor::quantize(&t, GgmlDType::F32).unwrap())).collect();
    let mut bytes = Cursor::new(vec![]);
    let (meta, tensors): (Vec<_>, Vec<_>) =
        (meta.iter().map(|(k, v)| (&k[..], v)).collect(), packed.iter().map(|(k, t)| (&k[..], t)).collect());
    write_gguf(&mut BufWriter::new(&mut bytes), &meta, &tensors).unwrap();
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("model.gguf");
    fs::write(&path, bytes.into_inner()).unwrap();
    (target, path)
}

/// The order of rows in `llama` files: row 2i of a head is row i, row 2i + 1 is row i + E/2.
fn side_by_side(w: &Tensor, heads: usize) -> Tensor {
    let rows = w.dim(0).unwrap();
    let e = rows / heads;
    let from = |r: usize| (r / e * e + r % e / 2 + (r % 2) * (e / 2)) as u32;
    let order: Vec<u32> = (0..rows).map(from).collect();
    w.index_select(&Tensor::new(order, w.device()).unwrap(), 0).unwrap()
}

#[test]
fn gguf_files_equal_their_folders() {
    for name in ["qwen2_tied", "qwen3_untied", "llama", "llama_bias", "llama3_rope", "linear_rope"] {
        let (_folder, path) = as_gguf(name, |_| {});
        let (ours, weights) = read_model(&path).unwrap();
        let (theirs, originals) = read_model(&folder(name)).unwrap();
        assert_eq!(read_architecture(&path).unwrap(), ours);
        assert_eq!(ours, Architecture { special: ours.special.clone(), ..theirs }, "{name}");
        for (i, (a, b)) in weights.iter().zip(&originals).enumerate() {
            let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(numbers(a), numbers(b), "{name}: {}", Layout::new(&ours).names[i].0);
        }
    }
}

#[test]
fn gguf_files_that_cannot_be_used_say_why() {
    let says = |path: &Path, parts: &[&str]| {
        let error = format!("{:#}", read_model(path).err().expect("a broken file was loaded"));
        parts.iter().for_each(|part| assert!(error.contains(part), "`{part}` is not in: {error}"));
    };
    let (_folder, path) = as_gguf("llama", |meta| meta[0].1 = Meta::String("gemma3".into()));
    says(&path, &["model.gguf", "`gemma3`", "`qwen2`, `qwen3`, `llama`"]);
    let yarn = |meta: &mut Vec<_>| meta.push(("llama.rope.scaling.type".into(), Meta::String("yarn".into())));
    let (_folder, path) = as_gguf("llama", yarn);
    says(&path, &["model.gguf", "`yarn`", "`linear`"]);
    let (_folder, path) = as_gguf("llama", |meta| meta.retain(|(k, _)| k != "llama.block_count"));
    says(&path, &["`llama.block_count` is missing"]);
    let other = |meta: &mut Vec<(String, Meta)>| meta.retain(|(k, _)| !k.contains("original_context_length"));
    let (_folder, path) = as_gguf("llama3_rope", other);
    says(&path, &["`rope_freqs.weight`", "Hugging Face folder"]);
    let (_folder, path) = as_gguf("llama", |meta| meta.push(("llama.rope.dimension_count".into(), Meta::U32(4))));
    says(&path, &["`llama.rope.dimension_count` is 4 with heads of 8; supported are heads rotated whole"]);
    let (_folder, path) = as_gguf("llama", |meta| meta.retain(|(k, _)| k != "llama.attention.head_count"));
    says(&path, &["`llama.attention.head_count` is missing"]);
    let (_folder, path) = as_gguf("llama_bias", |meta| {
        let layers = meta.iter_mut().find(|(k, _)| k == "llama.block_count").unwrap();
        layers.1 = Meta::U32(1);
    });
    says(&path, &["tensor `blk.1.attn_k.bias` has no place in the model that the metadata describe"]);
    assert!(examine(&path).unwrap().problems.len() > 8);
    let (_folder, path) = as_gguf("llama", |_| {});
    assert_eq!(examine(&path).unwrap().problems, Vec::<String>::new());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 2000]).unwrap();
    says(&path, &["model.gguf", "cut off"]);
    fs::write(&path, &bytes[..100]).unwrap();
    says(&path, &["model.gguf", "cut off"]);
    says(Path::new("/nowhere/model.gguf"), &["/nowhere/model.gguf"]);
}
