//! From a run folder or a dump to what a lens looks at.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Recorded, read_sdar_debug};
use crate::config::{self, Overrides, Recipe};
use crate::core::TokenRecord;
use crate::method::MethodConfig;
use crate::method::needs::Extra;
use crate::run::{RunFolder, Store};
use crate::text::Text;

/// A step that can be looked at.
pub struct Opened {
    /// Records of all tokens of the step.
    pub tokens: Vec<TokenRecord>,
    /// Their texts; empty strings where there is no tokenizer.
    pub texts: Vec<String>,
    pub recorded: Recorded,
    /// The method that recorded it, with its settings; `None` for a dump of another tool.
    pub method: Option<MethodConfig>,
}

/// Opens a step of a run folder, or of SDAR's debug dump; without `step` the last one that has tokens.
///
/// # Errors
/// Nothing was recorded for the step, or the files cannot be read.
pub fn open(path: &Path, step: Option<u64>) -> Result<Opened> {
    if path.is_file() {
        return open_dump(path, step);
    }
    let folder = RunFolder::open(&path.display().to_string(), Path::new("."))?;
    let (store, name) = (Store::new(&folder), folder.name());
    let steps = store.token_steps();
    let step = chosen(&steps, step).with_context(|| match steps.last() {
        None => format!("run `{name}` recorded no tokens; `record.tokens = \"all\"` records them"),
        Some(_) => format!("run `{name}` has no tokens of that step; it has {}", listed(&steps)),
    })?;
    let (tokens, episodes) = (store.tokens(step)?, store.episodes(step)?);
    let recipe = config::load(Some(&folder.config()), &Overrides::default()).ok();
    let penalty = recipe.as_ref().map_or(0.0, penalty);
    let mut recorded = Recorded::new(step, &tokens, &episodes, penalty);
    let members = recipe.as_ref().map(|recipe| recipe.rollout.members as usize);
    let method = recipe.map(|recipe| recipe.method);
    let extra = method.as_ref().and_then(|method| method.build().needs().extra);
    if let (Some(members), Some(Extra::Cliff(_) | Extra::Taught(_) | Extra::Mirrored)) = (members, extra) {
        recorded.own_members(members);
    }
    recorded.teacher_was = method.as_ref().and_then(|method| method.build().needs().teacher);
    let texts = texts(&folder, &tokens);
    Ok(Opened { tokens, texts, recorded, method })
}

fn open_dump(path: &Path, step: Option<u64>) -> Result<Opened> {
    let mut found = read_sdar_debug(path)?;
    ensure!(!found.is_empty(), "`{}` holds no step", path.display());
    let steps: Vec<u64> = found.keys().copied().collect();
    let at = chosen(&steps, step).with_context(|| format!("the dump has no such step; it has {}", listed(&steps)))?;
    // chosen among the keys
    let debug = found.remove(&at).unwrap_or_default();
    Ok(Opened { tokens: debug.tokens, texts: debug.texts, recorded: debug.recorded, method: None })
}

/// The method of this name: with the settings of the run where it is the run's own, else the defaults; `set` may change
/// them (`method.NAME.key=value`).
///
/// # Errors
/// No method has this name, or a setting it does not have.
pub fn method_of(name: &str, own: Option<&MethodConfig>, set: &[String]) -> Result<MethodConfig> {
    let prefix = format!("method.{name}");
    let mut text = toml::Table::new();
    let settings = match own.filter(|own| own.name() == name) {
        Some(own) => toml::Table::try_from(own)?,
        None => toml::Table::from_iter([(name.to_owned(), toml::Value::Table(toml::Table::new()))]),
    };
    text.insert("method".into(), toml::Value::Table(settings));
    let set = set.iter().filter(|set| set.starts_with(&prefix)).cloned().collect();
    let overrides = Overrides { set, ..Overrides::default() };
    Ok(config::parse_alone("--method", &toml::to_string(&text)?, &overrides)?.method)
}

fn chosen(steps: &[u64], wanted: Option<u64>) -> Option<u64> {
    wanted.map_or(steps.last().copied(), |step| steps.contains(&step).then_some(step))
}

fn listed(steps: &[u64]) -> String {
    match steps {
        [first, .., last] => format!("{} steps from {first} to {last}", steps.len()),
        [only] => format!("step {only}"),
        [] => "none".into(),
    }
}

/// What a reply without the required form costs its row.
pub fn penalty(recipe: &Recipe) -> f64 {
    recipe.env.table().get("invalid_penalty").and_then(toml::Value::as_float).unwrap_or(0.0)
}

fn texts(folder: &RunFolder, tokens: &[TokenRecord]) -> Vec<String> {
    let Ok(text) = Text::load(&folder.path().join("tokenizer")) else { return vec![String::new(); tokens.len()] };
    let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
    text.bytes(&ids).into_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}
