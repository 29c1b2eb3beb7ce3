//! The debug dump of SDAR's released code: one JSON object a line and turn, `{global_step, sample_idx, turn_step,
//! traj_uid, episode_reward, episode_length, tokens[], token_ids[], gaps[], teacher_log_probs[], student_log_probs[]}`.
//! It does not say which trajectories share a task.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Recorded;
use crate::core::{Ending, Episode, EpisodeId, Stop, Task, TokenRecord, Turn};

/// A line of the dump.
#[derive(Deserialize)]
struct Line {
    global_step: u64,
    turn_step: u32,
    /// A name or a number.
    traj_uid: serde_json::Value,
    episode_reward: f32,
    #[serde(default)]
    tokens: Vec<String>,
    token_ids: Vec<u32>,
    teacher_log_probs: Vec<Option<f32>>,
    student_log_probs: Vec<Option<f32>>,
}

/// A step of the dump: its tokens as they are recorded here, their texts, and the flattened form.
#[derive(Clone, Debug, Default)]
pub struct DebugStep {
    pub tokens: Vec<TokenRecord>,
    /// Text of every token; empty where the dump has none. As long as `tokens`.
    pub texts: Vec<String>,
    pub recorded: Recorded,
}

/// Reads a dump: its steps, ascending.
///
/// # Errors
/// An I/O error, or a line that is not one of a dump, by its number.
pub fn read(path: &Path) -> Result<BTreeMap<u64, DebugStep>> {
    let place = path.display();
    let file = File::open(path).with_context(|| format!("`{place}` cannot be read"))?;
    let mut lines: BTreeMap<u64, Vec<Line>> = BTreeMap::new();
    for (number, text) in (1..).zip(BufReader::new(file).lines()) {
        let text = text.with_context(|| format!("{place}:{number}: cannot be read"))?;
        if text.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&text)
            .with_context(|| format!("{place}:{number}: not a line of SDAR's debug dump (`SAVE_SDAR_DEBUG=1`)"))?;
        let n = line.token_ids.len();
        let even = line.teacher_log_probs.len() == n && line.student_log_probs.len() == n;
        ensure!(even, "{place}:{number}: {n} tokens, but another number of log-probs");
        lines.entry(line.global_step).or_default().push(line);
    }
    Ok(lines.into_iter().map(|(step, lines)| (step, debug_step(step, lines))).collect())
}

fn debug_step(step: u64, mut lines: Vec<Line>) -> DebugStep {
    let mut names: Vec<String> = lines.iter().map(|line| line.traj_uid.to_string()).collect();
    names.sort();
    names.dedup();
    // every name is in the list made of them
    let number = |line: &Line| names.binary_search(&line.traj_uid.to_string()).unwrap_or(0) as u32;
    lines.sort_by_key(|line| (number(line), line.turn_step));
    let mut found = DebugStep::default();
    let mut episodes: BTreeMap<u32, Episode> = BTreeMap::new();
    for line in &lines {
        let group = number(line);
        let played = episodes.entry(group).or_insert_with(|| episode(step, group, line));
        while played.turns.len() <= line.turn_step as usize {
            played.turns.push(unknown_turn());
        }
        for (i, &id) in line.token_ids.iter().enumerate() {
            let student = line.student_log_probs[i];
            found.texts.push(line.tokens.get(i).cloned().unwrap_or_default());
            found.tokens.push(TokenRecord {
                group,
                position: i as u32,
                turn: line.turn_step,
                id,
                mask: student.is_some(),
                sampled: student,
                old: student,
                teacher: line.teacher_log_probs[i],
                ..TokenRecord::default()
            });
        }
    }
    let episodes: Vec<Episode> = episodes.into_values().collect();
    found.recorded = Recorded::new(step, &found.tokens, &episodes, 0.0);
    found.recorded.grouped = false;
    found
}

fn episode(step: u64, group: u32, line: &Line) -> Episode {
    Episode {
        id: EpisodeId { step, group, member: 0 },
        task: Task { id: line.traj_uid.to_string(), kind: String::new(), goal: String::new() },
        turns: vec![],
        last_observation: String::new(),
        ending: if line.episode_reward > 0.0 { Ending::Won } else { Ending::Lost },
        reward: line.episode_reward,
        score: f32::from(u8::from(line.episode_reward > 0.0)),
        advantage: None,
        prompt: String::new(),
        teacher_prompt: String::new(),
        skills: vec![],
    }
}

/// The dump has no texts and no rewards of turns.
fn unknown_turn() -> Turn {
    Turn {
        observation: String::new(),
        reply: String::new(),
        action: String::new(),
        valid: true,
        reward: 0.0,
        tokens: 0,
        stop: Stop::Closed,
    }
}
