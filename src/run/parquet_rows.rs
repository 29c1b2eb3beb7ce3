//! Episodes and tokens as rows. Nothing is lost: what is written is read back equal.
//!
//! Episodes: one row each. `step prompt completion reward advantage` are the columns that viewers of TRL's completion
//! files expect; `completion`, `won` and (for tokens) `gap` are derived and not read back. Turns and skills are JSON.
//!
//! Tokens: one row each, a column for every field of [`TokenRecord`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;

use parquet::errors::{ParquetError, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::parquet_columns::{Column, Table};
use crate::core::{Ending, Episode, EpisodeId, Listed, Task, TokenRecord};

/// Episodes as the bytes of a Parquet file.
///
/// What lists and filters ask of every rollout of a run has columns of its own, so that they need not read the texts:
/// counts of its turns, and means over its sampled `tokens` where there are any.
pub(crate) fn encode_episodes(episodes: &[Cow<'_, Episode>], tokens: &[TokenRecord]) -> Result<Vec<u8>> {
    let sums = token_sums(tokens);
    let mean = |of: fn(&TokenSums) -> Option<f32>| {
        Column::Number(episodes.iter().map(|e| sums.get(&(e.id.group, e.id.member)).and_then(of)).collect())
    };
    let text = |of: fn(&Episode) -> &str| Column::Text(episodes.iter().map(|e| of(e).to_string()).collect());
    let number = |of: fn(&Episode) -> Option<f32>| Column::Number(episodes.iter().map(|e| of(e)).collect());
    let count = |of: fn(&Episode) -> u32| Column::Count(episodes.iter().map(|e| of(e)).collect());
    let made = |of: fn(&Episode) -> Result<String>| {
        Ok::<_, ParquetError>(Column::Text(episodes.iter().map(|e| of(e)).collect::<Result<_>>()?))
    };
    Table::default()
        .with("step", Column::Long(episodes.iter().map(|e| e.id.step).collect()))
        .with("group", count(|e| e.id.group))
        .with("member", count(|e| e.id.member))
        .with("prompt", text(|e| &e.prompt))
        .with("completion", made(|e| Ok(completion(e)))?)
        .with("reward", number(|e| Some(e.reward)))
        .with("advantage", number(|e| e.advantage))
        .with("score", number(|e| Some(e.score)))
        .with("won", Column::Flag(episodes.iter().map(|e| e.won()).collect()))
        .with("ending", made(|e| word(&e.ending))?)
        .with("task_id", text(|e| &e.task.id))
        .with("task_kind", text(|e| &e.task.kind))
        .with("task_goal", text(|e| &e.task.goal))
        .with("turns", made(|e| json(&e.turns))?)
        .with("last_observation", text(|e| &e.last_observation))
        .with("teacher_prompt", text(|e| &e.teacher_prompt))
        .with("skills", made(|e| json(&e.skills))?)
        .with("turn_count", count(|e| e.turns.len() as u32))
        .with("tokens", count(|e| e.turns.iter().map(|t| t.tokens).sum()))
        .with("invalid", count(|e| e.turns.iter().filter(|t| !t.valid).count() as u32))
        .with("gap", mean(|s| s.gap.mean()))
        .with("gate", mean(|s| s.gate.mean()))
        .with("hot", mean(|s| s.gap.mean().map(|_| s.hot as f32)))
        .encode()
}

/// Sums over the sampled tokens of one rollout.
#[derive(Default)]
struct TokenSums {
    gap: Mean,
    gate: Mean,
    hot: u32,
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: Option<f32>) {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            self.sum += f64::from(value);
            self.count += 1;
        }
    }

    fn mean(&self) -> Option<f32> {
        (self.count > 0).then(|| (self.sum / f64::from(self.count)) as f32)
    }
}

fn token_sums(tokens: &[TokenRecord]) -> HashMap<(u32, u32), TokenSums> {
    let mut sums: HashMap<(u32, u32), TokenSums> = HashMap::new();
    for token in tokens.iter().filter(|t| t.mask) {
        let sum = sums.entry((token.group, token.member)).or_default();
        sum.gap.add(token.gap());
        sum.gate.add(token.gate);
        sum.hot += u32::from(token.is_hot());
    }
    sums
}

/// Episodes of a file written by [`encode_episodes`].
pub(crate) fn decode_episodes(file: File) -> Result<Vec<Episode>> {
    let mut table = Table::decode(file)?;
    let rows = table.rows();
    if rows == 0 {
        return Ok(Vec::new());
    }
    let mut text = |name: &str| Ok::<_, ParquetError>(Strings::new(table.texts(name)?));
    let (mut ids, mut kinds, mut goals) = (text("task_id")?, text("task_kind")?, text("task_goal")?);
    let (mut prompts, mut teacher_prompts) = (text("prompt")?, text("teacher_prompt")?);
    let (mut turns, mut skills, mut endings) = (text("turns")?, text("skills")?, text("ending")?);
    let mut last_observations = text("last_observation")?;
    let (steps, groups, members) = (table.longs("step")?, table.counts("group")?, table.counts("member")?);
    let (rewards, scores) = (table.numbers("reward")?, table.numbers("score")?);
    let advantages = table.numbers("advantage")?;
    (0..rows)
        .map(|row| {
            Ok(Episode {
                id: EpisodeId { step: steps[row], group: groups[row], member: members[row] },
                task: Task { id: ids.next()?, kind: kinds.next()?, goal: goals.next()? },
                turns: parse(&turns.next()?)?,
                last_observation: last_observations.next()?,
                ending: ending(&endings.next()?)?,
                reward: rewards[row].unwrap_or(0.0),
                score: scores[row].unwrap_or(0.0),
                advantage: advantages[row],
                prompt: prompts.next()?,
                teacher_prompt: teacher_prompts.next()?,
                skills: parse(&skills.next()?)?,
            })
        })
        .collect()
}

/// Tokens of `step` as the bytes of a Parquet file.
pub(crate) fn encode_tokens(step: u64, tokens: &[TokenRecord]) -> Result<Vec<u8>> {
    let count = |of: fn(&TokenRecord) -> u32| Column::Count(tokens.iter().map(of).collect());
    let number = |of: fn(&TokenRecord) -> Option<f32>| Column::Number(tokens.iter().map(of).collect());
    let flag = |of: fn(&TokenRecord) -> bool| Column::Flag(tokens.iter().map(of).collect());
    let name = |of: fn(&TokenRecord) -> Result<String>| {
        Ok::<_, ParquetError>(Column::Text(tokens.iter().map(of).collect::<Result<_>>()?))
    };
    let mut table = Table::default()
        .with("step", Column::Long(vec![step; tokens.len()]))
        .with("group", count(|t| t.group))
        .with("member", count(|t| t.member))
        .with("position", count(|t| t.position))
        .with("turn", count(|t| t.turn))
        .with("id", count(|t| t.id))
        .with("mask", flag(|t| t.mask))
        .with("action", flag(|t| t.action))
        .with("view", name(|t| word(&t.view))?)
        .with("role", name(|t| t.role.as_ref().map_or(Ok(String::new()), word))?)
        .with("chosen", flag(|t| t.chosen))
        .with("sampled", number(|t| t.sampled))
        .with("old", number(|t| t.old))
        .with("student", number(|t| t.student))
        .with("teacher", number(|t| t.teacher))
        .with("teacher_entropy", number(|t| t.teacher_entropy))
        .with("reference", number(|t| t.reference))
        .with("entropy", number(|t| t.entropy))
        .with("gate", number(|t| t.gate))
        .with("advantage", number(|t| t.advantage))
        .with("coefficient", number(|t| t.coefficient))
        .with("gap", number(TokenRecord::gap));
    for k in 0..tokens.iter().map(|t| t.top.len()).max().unwrap_or(0) {
        let at = |of: fn(&Listed) -> f32| Column::Number(tokens.iter().map(|t| t.top.get(k).map(of)).collect());
        let ids = Column::Count(tokens.iter().map(|t| t.top.get(k).map_or(u32::MAX, |l| l.id)).collect());
        table = table
            .with(&format!("top_{k}_id"), ids)
            .with(&format!("top_{k}_student"), at(|l| l.student))
            .with(&format!("top_{k}_teacher"), at(|l| l.teacher));
    }
    table.encode()
}

/// Tokens of a file written by [`encode_tokens`].
pub(crate) fn decode_tokens(file: File) -> Result<Vec<TokenRecord>> {
    let mut table = Table::decode(file)?;
    let rows = table.rows();
    if rows == 0 {
        return Ok(Vec::new());
    }
    let mut count = |name: &str| table.counts(name);
    let (groups, members, positions) = (count("group")?, count("member")?, count("position")?);
    let (turns, ids) = (count("turn")?, count("id")?);
    let masks = table.flags("mask")?;
    let mut number = |name: &str| table.numbers(name);
    let (sampled, old, student) = (number("sampled")?, number("old")?, number("student")?);
    let (teacher, reference, entropy) = (number("teacher")?, number("reference")?, number("entropy")?);
    let (gate, advantage, coefficient) = (number("gate")?, number("advantage")?, number("coefficient")?);
    // columns that files of older versions do not have
    let teacher_entropy = number("teacher_entropy").ok();
    let (actions, chosen) = (table.flags("action").ok(), table.flags("chosen").ok());
    let (views, roles) = (table.texts("view").ok(), table.texts("role").ok());
    let mut listed = Vec::new();
    while let Ok(ids) = table.counts(&format!("top_{}_id", listed.len())) {
        let number = |table: &mut Table, of: &str| table.numbers(&format!("top_{}_{of}", listed.len()));
        let (student, teacher) = (number(&mut table, "student")?, number(&mut table, "teacher")?);
        listed.push((ids, student, teacher));
    }
    let top = |row: usize| {
        let one = |(ids, student, teacher): &(Vec<u32>, Vec<Option<f32>>, Vec<Option<f32>>)| {
            let of = |column: &[Option<f32>]| column.get(row).copied().flatten();
            // an absent number is that of a token that was not listed, or -inf
            let id = *ids.get(row).filter(|id| **id != u32::MAX)?;
            let number = |column| of(column).unwrap_or(f32::NEG_INFINITY);
            Some(Listed { id, student: number(student), teacher: number(teacher) })
        };
        listed.iter().filter_map(one).collect()
    };
    let token = |row: usize| TokenRecord {
        group: groups[row],
        member: members[row],
        position: positions[row],
        turn: turns[row],
        id: ids[row],
        mask: masks[row],
        action: actions.as_ref().is_some_and(|c| c[row]),
        view: views.as_ref().and_then(|c| named(&c[row])).unwrap_or_default(),
        role: roles.as_ref().and_then(|c| named(&c[row])),
        chosen: chosen.as_ref().is_some_and(|c| c[row]),
        sampled: sampled[row],
        old: old[row],
        student: student[row],
        teacher: teacher[row],
        teacher_entropy: teacher_entropy.as_ref().and_then(|c| c[row]),
        reference: reference[row],
        entropy: entropy[row],
        gate: gate[row],
        advantage: advantage[row],
        coefficient: coefficient[row],
        top: top(row),
    };
    Ok((0..rows).map(token).collect())
}

/// Everything after the first prompt as one text: replies, and between them what the environment said, quoted.
fn completion(episode: &Episode) -> String {
    let mut parts = Vec::new();
    for (index, turn) in episode.turns.iter().enumerate() {
        if index > 0 {
            parts.push(quoted(&turn.observation));
        }
        parts.push(turn.reply.clone());
    }
    if !episode.last_observation.is_empty() {
        parts.push(quoted(&episode.last_observation));
    }
    parts.join("\n\n")
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

/// The values of a text column, one after the other.
pub(super) struct Strings(std::vec::IntoIter<String>);

impl Strings {
    pub(super) fn new(values: Vec<String>) -> Strings {
        Strings(values.into_iter())
    }

    /// The next value. Fails if there is none.
    pub(super) fn next(&mut self) -> Result<String> {
        self.0.next().ok_or_else(|| ParquetError::General("a text column is too short".to_string()))
    }
}

pub(super) fn ending(name: &str) -> Result<Ending> {
    let unknown = |error: ValueError| ParquetError::General(error.to_string());
    Ending::deserialize(StrDeserializer::new(name)).map_err(unknown)
}

/// A name as [`word`] wrote it; `None` if it is none (also of a newer version).
fn named<'a, T: Deserialize<'a>>(name: &'a str) -> Option<T> {
    T::deserialize(StrDeserializer::<ValueError>::new(name)).ok()
}

/// The name of a variant.
fn word<T: serde::Serialize>(variant: &T) -> Result<String> {
    Ok(json(variant)?.trim_matches('"').to_string())
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| ParquetError::General(error.to_string()))
}

pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| ParquetError::General(error.to_string()))
}
