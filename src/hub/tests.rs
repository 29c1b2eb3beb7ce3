//! Caches, ids and paths.

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn hub(cache: &Path) -> Hub {
    Hub::of(|name| match name {
        "HF_HUB_CACHE" => Some(cache.into()),
        "HF_HUB_OFFLINE" => Some("1".into()),
        _ => None,
    })
}

/// A cache with one model whose snapshot has these files.
fn cache(files: &[(&str, &str)]) -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    let model = cache.path().join("models--org--tiny-1.5");
    let snapshot = model.join("snapshots").join(COMMIT);
    for folder in [&snapshot, &model.join("refs"), &model.join("blobs")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(model.join("refs/main"), COMMIT).unwrap();
    for (i, (name, text)) in files.iter().enumerate() {
        let blob = model.join("blobs").join(i.to_string());
        fs::write(&blob, text).unwrap();
        std::os::unix::fs::symlink(&blob, snapshot.join(name)).unwrap();
    }
    cache
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

#[test]
fn a_cached_model_is_its_snapshot() {
    let cache = cache(&[("config.json", ""), ("tokenizer.json", ""), ("model.safetensors", "")]);
    let snapshot = cache.path().join("models--org--tiny-1.5/snapshots").join(COMMIT);
    let found = |text: &str| hub(cache.path()).find(&id(text));
    assert_eq!(found("org/tiny-1.5").unwrap(), snapshot);
    assert_eq!(found(&format!("org/tiny-1.5@{COMMIT}")).unwrap(), snapshot);
    fs::remove_dir_all(cache.path().join("models--org--tiny-1.5/refs")).unwrap();
    assert_eq!(found("org/tiny-1.5").unwrap(), snapshot, "the only one");
    assert!(found("org/tiny-1.5@v2").is_err());
}

#[test]
fn what_is_missing_is_named() {
    let index = r#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
    let cache =
        cache(&[("config.json", ""), ("tokenizer.json", ""), (INDEX, index), ("model-00001-of-00002.safetensors", "")]);
    let folder = cache.path().display();
    let said = |text: &str| hub(cache.path()).find(&id(text)).unwrap_err().to_string();
    assert_eq!(
        said("org/other"),
        format!(
            "the model `org/other` is not in the cache `{folder}` (there is no `models--org--other/snapshots`), and \
             `HF_HUB_OFFLINE` forbids to download it: unset that, or run `hf download org/other` first"
        )
    );
    let error = said("org/tiny-1.5");
    assert!(error.contains("lacks `model-00002-of-00002.safetensors`"), "{error}");
    let gone = cache.path().join("models--org--tiny-1.5/blobs/1");
    fs::remove_file(gone).unwrap();
    assert!(said("org/tiny-1.5").contains("lacks `tokenizer.json`"));
}

#[test]
fn adapters_need_no_model_beside_them() {
    let cache = cache(&[("adapter_config.json", ""), ("adapter_model.safetensors", "")]);
    let snapshot = hub(cache.path()).find(&id("org/tiny-1.5")).unwrap();
    assert!(snapshot.ends_with(COMMIT));
    fs::remove_file(snapshot.join("adapter_model.safetensors")).unwrap();
    let error = hub(cache.path()).find(&id("org/tiny-1.5")).unwrap_err().to_string();
    assert!(error.contains("lacks `adapter_model.safetensors`"), "{error}");
}

#[cfg(not(feature = "hub"))]
#[test]
fn a_build_that_cannot_download_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub { cache: folder.path().into(), offline: false };
    let error = format!("{:#}", hub.find(&id("org/tiny")).unwrap_err());
    assert!(error.ends_with("or build with `cargo build --release --features hub`"), "{error}");
}

#[test]
fn the_cache_is_where_others_look_for_it() {
    let cache = |set: &[(&str, &str)]| {
        let env = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Hub::of(env).cache.display().to_string()
    };
    let home = ("HOME", "/h");
    assert_eq!(cache(&[home]), "/h/.cache/huggingface/hub");
    assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
    assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/f")]), "/f/hub");
    assert_eq!(cache(&[home, ("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]), "/c");
    assert_eq!(cache(&[home, ("HF_HUB_CACHE", "")]), "/h/.cache/huggingface/hub");
}

#[test]
fn ids_are_not_paths() {
    assert_eq!(id("Qwen/Qwen2.5-0.5B@v1").revision, "v1");
    for path in ["models/a/b", "./a", "../a", "/a/b", "a", "a/", "a/b@", "a/b.gguf", "~/a", "a/b@../c", "a--b/c"] {
        assert_eq!(Id::parse(path), None, "{path}");
    }
}

#[test]
fn adapters_belong_to_a_folder_or_to_a_hub_id() {
    let folder = tempfile::tempdir().unwrap();
    let adapters = folder.path().join("adapters");
    fs::create_dir_all(folder.path().join("base-of-adapters")).unwrap();
    fs::create_dir(&adapters).unwrap();
    assert_eq!(base(&adapters, "../base-of-adapters").unwrap(), adapters.join("../base-of-adapters"));
    let written = folder.path().join("base-of-adapters");
    assert_eq!(base(&adapters, written.to_str().unwrap()).unwrap(), written);
    for missing in ["", "nowhere"] {
        let error = format!("{:#}", base(&adapters, missing).unwrap_err());
        let ends = "a model is a folder, a `.gguf` file or a hub id such as `Qwen/Qwen3-0.6B`";
        assert!(error.contains("adapter_config.json: `base_model_name_or_path` names no model"), "{error}");
        assert!(error.ends_with(ends), "{error}");
    }
}

#[test]
fn folders_and_gguf_files_are_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("m.gguf");
    fs::write(&gguf, "").unwrap();
    fs::write(folder.path().join("m.bin"), "").unwrap();
    for path in [folder.path(), &gguf] {
        assert_eq!(resolve(path.to_str().unwrap()).unwrap(), path);
    }
    let said = |path: PathBuf| resolve(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(
        said(folder.path().join("m.bin")).ends_with("is a file but not a `.gguf` file: name the folder it lies in")
    );
    assert!(said(folder.path().join("none")).contains("does not exist: a model is a folder"));
}
