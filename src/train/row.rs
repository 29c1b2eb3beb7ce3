//! Rows: what is trained on. One row per episode (`transcript`) or per turn (`history`).

use std::ops::Range;

use crate::engine::{Sample, ScoreRow};
pub use crate::env::prompt::Layout;
use crate::env::prompt::Prompts;

/// What a row's prompt was built from, so that it can be built again with skills for the teacher.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    Transcript { observation: String },
    History { past: Vec<(String, String)>, observation: String, admissible: Vec<String> },
}

impl Prompt {
    /// The user message that opens the row.
    pub fn message(&self, prompts: &Prompts, goal: &str, skills: Option<&str>) -> String {
        match self {
            Prompt::Transcript { observation } => prompts.first(goal, observation, skills),
            Prompt::History { past, observation, admissible } => {
                prompts.history(goal, past, observation, admissible, skills)
            }
        }
    }
}

/// One training row. T = tokens, n = sampled tokens (mask true), both in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub prompt: Prompt,
    /// Tokens of the opening prompt; the rest is the same under any other context.
    pub prompt_len: usize,
    pub ids: Vec<u32>,     // [T]
    pub mask: Vec<bool>,   // [T] true = sampled by the policy
    pub turns: Vec<u32>,   // [T] turn each token belongs to
    pub sampled: Vec<f32>, // [n] log-probs recorded while sampling
    /// Entropy while sampling. [n]; empty for demonstrations
    pub entropy: Vec<f32>,
    /// Probability of what the sampling filter let through. [n]; empty without a filter
    pub kept: Vec<f32>,
    /// Turn of each action whose tokens are known, and which of the sampled ones they are.
    pub actions: Vec<(u32, Range<usize>)>,
    /// Penalty on this row for replies without the required form; >= 0.
    pub penalty: f32,
}

/// A row as the teacher reads it, or a part of it. T' = its tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherRow {
    pub ids: Vec<u32>,   // [T']
    pub mask: Vec<bool>, // [T'] true = scored
    /// Which of the sampled tokens of the student's row these are, in order.
    pub of: Range<usize>,
}

impl Row {
    /// A row that so far holds only its prompt.
    pub fn begin(prompt: Prompt, ids: &[u32], turn: u32) -> Self {
        Self {
            prompt,
            prompt_len: ids.len(),
            ids: ids.to_vec(),
            mask: vec![false; ids.len()],
            turns: vec![turn; ids.len()],
            sampled: vec![],
            entropy: vec![],
            kept: vec![],
            actions: vec![],
            penalty: 0.0,
        }
    }

    /// Says which tokens of the reply just added are its action, numbered in the reply.
    pub fn acted(&mut self, reply: usize, action: Range<usize>) {
        let start = self.sampled.len() - reply.min(self.sampled.len());
        let turn = self.turns.last().copied().unwrap_or(0);
        if !action.is_empty() {
            self.actions.push((turn, start + action.start..start + action.end));
        }
    }

    /// Adds a sampled reply to the current turn.
    pub fn reply(&mut self, sample: &Sample, penalty: f32) {
        let turn = self.turns.last().copied().unwrap_or(0);
        self.push(&sample.ids, true, turn);
        self.sampled.extend(&sample.logp);
        self.entropy.extend(&sample.entropy);
        self.kept.extend(&sample.kept);
        self.penalty += penalty;
    }

    /// Adds tokens the policy did not choose, which open `turn`.
    pub fn given(&mut self, ids: &[u32], turn: u32) {
        self.push(ids, false, turn);
    }

    /// Drops what stands behind the last sampled token; false if none was sampled.
    pub fn end_with_reply(&mut self) -> bool {
        let end = self.mask.iter().rposition(|sampled| *sampled).map_or(0, |last| last + 1);
        self.ids.truncate(end);
        self.mask.truncate(end);
        self.turns.truncate(end);
        end > 0
    }

    fn push(&mut self, ids: &[u32], mask: bool, turn: u32) {
        self.ids.extend(ids);
        self.mask.extend(std::iter::repeat_n(mask, ids.len()));
        self.turns.extend(std::iter::repeat_n(turn, ids.len()));
    }

    /// The row as the engine scores it.
    pub fn score_row(&self) -> ScoreRow<'_> {
        ScoreRow::new(&self.ids, &self.mask)
    }

    /// The same replies after another opening prompt: ids and mask.
    pub fn under(&self, prompt: &[u32]) -> (Vec<u32>, Vec<bool>) {
        let ids = [prompt, &self.ids[self.prompt_len..]].concat();
        let mask = [&vec![false; prompt.len()][..], &self.mask[self.prompt_len..]].concat();
        (ids, mask)
    }

    /// The row as it stands after another opening prompt.
    pub fn moved(&self, prompt: &[u32]) -> Self {
        let (ids, mask) = self.under(prompt);
        let first = self.turns.first().copied().unwrap_or(0);
        let turns = [&vec![first; prompt.len()][..], &self.turns[self.prompt_len..]].concat();
        Self { prompt_len: prompt.len(), ids, mask, turns, ..self.clone() }
    }

    /// Positions of sampled tokens. [n]
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.ids.len()).filter(|&t| self.mask[t])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_prompt_keeps_the_replies() {
        let mut row = Row::begin(Prompt::Transcript { observation: String::new() }, &[1, 2, 3], 0);
        let sample = |ids: &[u32], logp: &[f32]| Sample { ids: ids.into(), logp: logp.into(), ..Sample::default() };
        row.reply(&sample(&[7, 8], &[-0.5, -0.25]), 0.1);
        row.given(&[4], 1);
        row.reply(&sample(&[9], &[-1.0]), 0.0);
        let (ids, mask) = row.under(&[5, 5, 5, 5, 5]);
        assert_eq!(ids, [5, 5, 5, 5, 5, 7, 8, 4, 9]);
        let sampled = |ids: &[u32], mask: &[bool]| {
            ids.iter().zip(mask).filter(|(_, m)| **m).map(|(id, _)| *id).collect::<Vec<_>>()
        };
        assert_eq!(sampled(&ids, &mask), sampled(&row.ids, &row.mask));
        assert_eq!(row.positions().collect::<Vec<_>>(), [3, 4, 6]);
        assert_eq!(row.turns, [0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((row.sampled.len(), row.penalty), (3, 0.1));
        let whole = row.clone();
        row.given(&[4, 4], 2);
        assert!(row.end_with_reply());
        assert_eq!(row, whole);
        assert!(!Row::begin(row.prompt, &[1, 2], 0).end_with_reply());
    }
}
