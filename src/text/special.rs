//! Special tokens of a model folder: what templates call `bos_token` and the like, and what ends a reply.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// What the JSON files of a model folder say about special tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Specials {
    /// `bos_token`, `eos_token` ... as texts; only those the model has.
    pub names: Map<String, Value>,
    /// Ids that end a reply by `generation_config.json`, else `config.json`.
    pub stops: Vec<u32>,
}

impl Specials {
    /// Reads them. `config` is the content of `tokenizer_config.json`; `special_tokens_map.json` fills in what that
    /// leaves out.
    ///
    /// # Errors
    /// A file is not JSON.
    pub fn load(folder: &Path, config: &Value) -> Result<Self> {
        let map = json(&folder.join("special_tokens_map.json"))?;
        let text = |name: &str| of(config, name).or_else(|| of(&map, name));
        let names = NAMES.iter().filter_map(|name| Some((name.to_string(), text(name)?.into()))).collect();
        let mut stops = ids(&json(&folder.join("generation_config.json"))?);
        if stops.is_empty() {
            stops = ids(&json(&folder.join("config.json"))?);
        }
        Ok(Self { names, stops })
    }

    /// The text of `eos_token`.
    pub fn eos(&self) -> Option<&str> {
        self.names.get("eos_token")?.as_str()
    }
}

/// A JSON file; null where there is none.
pub(super) fn json(path: &Path) -> Result<Value> {
    if !path.exists() {
        return Ok(Value::Null);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: not valid JSON", path.display()))
}

/// A token: a text, or an object with `content`.
fn of(config: &Value, name: &str) -> Option<String> {
    let value = config.get(name)?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

/// `eos_token_id`: one or several.
fn ids(config: &Value) -> Vec<u32> {
    let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
    match config.get("eos_token_id") {
        Some(Value::Array(several)) => several.iter().filter_map(id).collect(),
        Some(one) => id(one).into_iter().collect(),
        None => vec![],
    }
}

const NAMES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_fill_in_what_others_leave_out() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, value: Value| std::fs::write(folder.path().join(name), value.to_string()).unwrap();
        put("special_tokens_map.json", json!({ "bos_token": "<s>", "eos_token": "</s>" }));
        put("config.json", json!({ "eos_token_id": 2 }));
        let config = json!({ "bos_token": null, "eos_token": { "content": "<|im_end|>", "special": true } });
        let specials = Specials::load(folder.path(), &config).unwrap();
        assert_eq!(
            specials.names,
            json!({ "bos_token": "<s>", "eos_token": "<|im_end|>" }).as_object().unwrap().clone()
        );
        assert_eq!((specials.eos(), &specials.stops[..]), (Some("<|im_end|>"), &[2][..]));
        put("generation_config.json", json!({ "eos_token_id": [7, 9] }));
        assert_eq!(Specials::load(folder.path(), &config).unwrap().stops, [7, 9]);
        std::fs::write(folder.path().join("generation_config.json"), "{").unwrap();
        let error = format!("{:#}", Specials::load(folder.path(), &config).unwrap_err());
        assert!(error.contains("generation_config.json: not valid JSON"), "{error}");
    }
}
