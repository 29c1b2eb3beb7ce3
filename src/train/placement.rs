//! A row as the teacher reads it: the same replies, with skills where the placement puts them. What does not fit the
//! model's context is left out, last skills first, and counted.

use anyhow::Result;

use super::Trainer;
use super::row::{Prompt, Row};
use crate::core::Episode;
use crate::skill::Placement;
use crate::text::{Message, Role};

/// A row under the teacher's context.
pub struct TaughtRow {
    /// The opening prompt as rendered text.
    pub prompt: String,
    pub ids: Vec<u32>,   // [T']
    pub mask: Vec<bool>, // [T'] true = sampled by the policy; as many as in the row itself
    /// Tokens of skill text that the model's context had no room for.
    pub lost_tokens: usize,
}

/// Lays a row of `episode` out with `skills` (one a line) at this place, as many as there is room for.
pub fn taught_row(
    trainer: &Trainer,
    row: &Row,
    episode: &Episode,
    skills: &str,
    placement: Placement,
) -> Result<TaughtRow> {
    let longest = trainer.engine.info().context;
    let mut kept = skills;
    loop {
        let (prompt, ids, mask) = lay_out(trainer, row, episode, kept, placement)?;
        if ids.len() <= longest || kept.is_empty() {
            let lost = if kept.len() == skills.len() { 0 } else { lost(trainer, skills, kept)? };
            return Ok(TaughtRow { prompt, ids, mask, lost_tokens: lost });
        }
        kept = kept.rfind('\n').map_or("", |end| &kept[..end]);
    }
}

fn lost(trainer: &Trainer, whole: &str, kept: &str) -> Result<usize> {
    Ok(trainer.text.encode(whole)?.len().saturating_sub(trainer.text.encode(kept)?.len()))
}

/// Rendered prompt, ids and mask.
fn lay_out(
    trainer: &Trainer,
    row: &Row,
    episode: &Episode,
    skills: &str,
    placement: Placement,
) -> Result<(String, Vec<u32>, Vec<bool>)> {
    let prompt = prompt(trainer, &row.prompt, &episode.task.goal, skills, placement)?;
    let (mut ids, mut mask) = row.under(&trainer.text.encode(&prompt)?);
    if placement == Placement::AtTurn && !skills.is_empty() {
        (ids, mask) = at_turns(trainer, row, episode, skills, (ids, mask))?;
    }
    Ok((prompt, ids, mask))
}

/// The opening prompt as rendered text.
pub fn prompt(trainer: &Trainer, prompt: &Prompt, goal: &str, skills: &str, placement: Placement) -> Result<String> {
    let message = placement.turn(skills) + &prompt.message(&trainer.prompts, goal, placement.slot(skills));
    let system = placement.system(skills).map(system);
    let messages: Vec<Message> = system.into_iter().chain([Message::user(message)]).collect();
    Ok(placement.prefix(skills) + &trainer.text.render(&messages, true)?)
}

/// A system message.
pub fn system(content: String) -> Message {
    Message { role: Role::System, content }
}

/// Puts the skills into the later messages of a transcript as well. A message that is not found as it was given stays.
fn at_turns(
    trainer: &Trainer,
    row: &Row,
    episode: &Episode,
    skills: &str,
    (ids, mask): (Vec<u32>, Vec<bool>),
) -> Result<(Vec<u32>, Vec<bool>)> {
    let opening = [Message::user(row.prompt.message(&trainer.prompts, &episode.task.goal, None))];
    let start = ids.len() - (row.ids.len() - row.prompt_len);
    let (mut out, mut out_mask) = (ids[..start].to_vec(), mask[..start].to_vec());
    let turns = &row.turns[row.prompt_len..];
    for part in runs(&mask[start..], turns) {
        let own = &ids[start..][part.clone()];
        let turn = turns[part.start] as usize;
        let given = !mask[start + part.start];
        let mut tokens = own.to_vec();
        if let Some(observation) = episode.turns.get(turn).map(|t| &t.observation).filter(|_| given) {
            let plain = trainer.prompts.next(observation);
            let before = trainer.text.between(&opening, &Message::user(plain.clone()))?;
            if own.ends_with(&before) {
                let told = trainer.skills.placement().turn(skills) + &plain;
                tokens.truncate(own.len() - before.len());
                tokens.extend(trainer.text.between(&opening, &Message::user(told))?);
            }
        }
        out_mask.extend(std::iter::repeat_n(!given, tokens.len()));
        out.extend(tokens);
    }
    Ok((out, out_mask))
}

/// Runs of tokens of one turn that are all sampled or all given.
fn runs(mask: &[bool], turns: &[u32]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = vec![];
    for t in 0..mask.len() {
        match runs.last_mut() {
            Some(run) if mask[run.start] == mask[t] && turns[run.start] == turns[t] => run.end = t + 1,
            _ => runs.push(t..t + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn a_row_is_cut_into_replies_and_what_was_given() {
        let mask = [true, true, false, false, true, true, false];
        let turns = [0, 0, 1, 1, 1, 1, 2];
        assert_eq!(runs(&mask, &turns), [0..2, 2..4, 4..6, 6..7]);
        assert!(runs(&[], &[]).is_empty());
    }
}
