//! TRL's completion tables: `step`, `prompt`, `completion`, a column for each reward function, `advantage`. Prompts and
//! completions are texts, or lists of messages.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::record::{Field, Row};
use serde_json::{Map, Value};

use super::messages::{episode, messages, number, rendered};
use super::{Rollout, step_of_path};
use crate::run::error::{Result, RunError};

/// Tool, rollouts, and how many rows could not be read.
pub(super) fn read(path: &Path) -> Result<(&'static str, Vec<Rollout>, usize)> {
    let file = File::open(path).map_err(RunError::io("read", path))?;
    // The Parquet library panics on some damaged files; here that is one more way to be damaged.
    let rows = match std::panic::catch_unwind(|| rows(file)) {
        Ok(rows) => rows.map_err(RunError::foreign(path))?,
        Err(_) => return Err(RunError::foreign(path)("its tables contradict each other")),
    };
    let step = step_of_path(path).unwrap_or(1);
    let all = rows.len();
    let rollouts: Vec<Rollout> = rows.iter().filter_map(|row| rollout(row, step)).collect();
    let skipped = all - rollouts.len();
    Ok(("trl", rollouts, skipped))
}

fn rows(file: File) -> std::result::Result<Vec<Map<String, Value>>, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let rows = reader.get_row_iter(None)?;
    rows.map(|row| row.map(|row| object(&row))).collect()
}

fn object(row: &Row) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect()
}

/// Kinds of columns that these tables do not have (dates, decimals) are absent.
fn json(field: &Field) -> Value {
    match field {
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float(value) => f64::from(*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(value) => value.as_str().into(),
        Field::Bytes(value) => String::from_utf8_lossy(value.data()).into_owned().into(),
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().map(json).collect(),
        _ => Value::Null,
    }
}

fn rollout(row: &Map<String, Value>, step: u64) -> Option<Rollout> {
    let prompt = messages(row.get("prompt")?, "user");
    let completion = messages(row.get("completion")?, "assistant");
    let step = row.get("step").and_then(number).map_or(step, |step| step.max(0.0) as u64);
    let rewards: BTreeMap<String, f64> = row
        .iter()
        .filter(|(name, value)| !FIXED.contains(&name.as_str()) && value.is_number())
        .filter_map(|(name, value)| Some((format!("reward/{name}"), number(value)?)))
        .collect();
    let conversation = [prompt.as_slice(), completion.as_slice()].concat();
    let said = |at: usize| at >= prompt.len() && conversation[at].role == "assistant";
    let mut episode = episode(&conversation, said, rewards.values().sum::<f64>() as f32);
    episode.advantage = row.get("advantage").and_then(number).map(|x| x as f32);
    Some(Rollout { step, task: rendered(&prompt), episode, tokens: vec![], numbers: rewards })
}

/// Columns that are not rewards.
const FIXED: [&str; 5] = ["step", "prompt", "completion", "advantage", "__index_level_0__"];
