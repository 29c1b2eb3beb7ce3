//! The teacher: the same reply tokens under another opening prompt or other weights. It never generates.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Trainer;
use super::lesson::{Lesson, Listed};
use super::placement::taught_row;
use super::rollout::Played;
use super::row::Row;
use super::{context, learn, weights};
use crate::core::skill::Choice;
use crate::engine::{Engine, ScoreRow, WeightSet};
use crate::method::needs::{Privileged, Top, Whose};
use crate::method::view::View;
use crate::skill::Context;
use crate::text::Message;

/// What teaching a step left behind.
#[derive(Clone, Debug, Default)]
pub struct Taught {
    /// What each group was shown, where it was skills.
    pub choices: Vec<Choice>,
    /// Skill tokens cut off by the budget or the model's context, over all episodes.
    pub lost_tokens: usize,
}

/// Makes every episode's privileged context and, if the method asks for a teacher, scores all rows it has something to
/// say of under it.
pub fn teach(trainer: &mut Trainer, step: u64, played: &mut [Played], lessons: &mut [Lesson]) -> Result<Taught> {
    let mut taught = Taught::default();
    let Some(need) = trainer.needs().teacher else { return Ok(taught) };
    let contexts = context::of_step(trainer, step, need.context, need.rows, played)?;
    for (p, context) in played.iter_mut().zip(&contexts) {
        let Some(context) = context else { continue };
        taught.lost_tokens += context.lost_tokens;
        p.episode.skills = context.ids.clone();
    }
    taught.choices = learn::choices(played, &contexts);
    let texts: BTreeMap<_, _> = played
        .iter()
        .zip(&contexts)
        .enumerate()
        .filter_map(|(at, (p, context))| Some((p.episode.id, (at, &context.as_ref()?.text))))
        .collect();
    for lesson in lessons.iter_mut() {
        let hinted = played.iter().find(|p| p.episode.id == lesson.id && !p.verdicts.is_empty());
        if let (Privileged::StepFeedback, Some(p)) = (need.context, hinted) {
            lesson.teacher_row = hint(trainer, p, &lesson.row)?;
            lesson.facts.taught = lesson.teacher_row.is_some();
            continue;
        }
        let Some((at, text)) = texts.get(&lesson.id) else { continue };
        let episode = &mut played[*at].episode;
        let row = taught_row(trainer, &lesson.row, episode, text)?;
        if episode.teacher_prompt.is_empty() {
            episode.teacher_prompt = row.prompt;
        }
        taught.lost_tokens += row.lost_tokens;
        lesson.facts.taught = true;
        lesson.teacher_row = Some((row.ids, row.mask));
    }
    let set = weights::teacher_set(trainer, &need.weights)?;
    let (temperature, top) = (trainer.settings.sampling.temperature, trainer.needs().top);
    let mut all: Vec<&mut Lesson> = lessons.iter_mut().collect();
    if top.k > 0 {
        list(&mut *trainer.engine, set, &mut all, temperature, top)?;
    }
    score(&mut *trainer.engine, set, &mut all, temperature)?;
    trainer.engine.forget(WeightSet::Blend);
    Ok(taught)
}

/// Lists the most likely tokens of every position of the taught rows: the student's, or the teacher's. The sampled
/// token is always among them, in the place of the least likely one where it would be missing. The present student's
/// log-probs of them are noted.
fn list(
    engine: &mut dyn Engine,
    set: WeightSet,
    lessons: &mut [&mut Lesson],
    temperature: f32,
    top: Top,
) -> Result<()> {
    let mut taught: Vec<&mut &mut Lesson> = lessons.iter_mut().filter(|l| l.teacher_row.is_some()).collect();
    let row = |lesson: &Lesson| -> Option<(Vec<u32>, Vec<bool>)> {
        match top.of {
            Whose::Student => Some((lesson.row.ids.clone(), lesson.row.mask.clone())),
            Whose::Teacher => lesson.teacher_row.clone(),
        }
    };
    let rows: Vec<(Vec<u32>, Vec<bool>)> = taught.iter().filter_map(|lesson| row(lesson)).collect();
    let k = top.k as usize;
    let asked: Vec<ScoreRow> = rows.iter().map(|(ids, mask)| ScoreRow { top: k, ..ScoreRow::new(ids, mask) }).collect();
    let whose = if top.of == Whose::Student { WeightSet::Live } else { set };
    let scores = engine.score(whose, &asked, temperature)?;
    for (lesson, score) in taught.iter_mut().zip(scores) {
        lesson.listed = Some(listed(lesson, &score.top));
    }
    let rows: Vec<ScoreRow> = taught.iter().map(|lesson| lesson.score_row()).collect();
    let scores = engine.score(WeightSet::Live, &rows, temperature)?;
    for (lesson, score) in taught.iter_mut().zip(scores) {
        lesson.listed.iter_mut().for_each(|listed| listed.student.clone_from(&score.given));
    }
    Ok(())
}

fn listed(lesson: &Lesson, top: &[(u32, f32)]) -> Listed {
    let mut ids: Vec<u32> = top.iter().map(|(id, _)| *id).collect();
    let sampled: Vec<u32> = lesson.row.positions().map(|t| lesson.row.ids[t]).collect();
    let k = ids.len() / sampled.len().max(1); // fewer than asked for in a small vocabulary
    for (listed, id) in ids.chunks_exact_mut(k.max(1)).zip(sampled) {
        if !listed.contains(&id)
            && let Some(last) = listed.last_mut()
        {
            *last = id;
        }
    }
    Listed { k, ids, ..Listed::default() }
}

/// Scores the teacher rows of those lessons that have one.
pub fn score(engine: &mut dyn Engine, set: WeightSet, lessons: &mut [&mut Lesson], temperature: f32) -> Result<()> {
    let rows: Vec<ScoreRow> = lessons
        .iter()
        .filter_map(|lesson| {
            let (ids, mask) = lesson.teacher_row.as_ref()?;
            let given = lesson.listed.as_ref().map_or(&[][..], |listed| &listed.ids);
            Some(ScoreRow { given, ..ScoreRow::new(ids, mask) })
        })
        .collect();
    let scores = engine.score(set, &rows, temperature)?;
    for (lesson, score) in lessons.iter_mut().filter(|lesson| lesson.teacher_row.is_some()).zip(scores) {
        lesson.teacher = Some(score.logp);
        lesson.teacher_entropy = Some(score.entropy);
        if let Some(listed) = &mut lesson.listed {
            listed.teacher = score.given;
        }
    }
    Ok(())
}

/// Drops skills that exceed the budget, last ones first, and counts their tokens.
pub(super) fn fit(trainer: &Trainer, context: &mut Context) {
    if trainer.settings.skill_budget > 0 {
        let count = |line: &str| trainer.text.encode(line).map_or(usize::MAX, |ids| ids.len());
        context.fit(trainer.settings.skill_budget, count);
    }
}

/// Scores all rows under the frozen reference weights.
pub fn score_reference(trainer: &mut Trainer, lessons: &mut [Lesson]) -> Result<()> {
    let rows: Vec<ScoreRow> = lessons.iter().map(|l| l.row.score_row()).collect();
    let scores = trainer.engine.score(WeightSet::Reference, &rows, trainer.settings.sampling.temperature)?;
    for (lesson, score) in lessons.iter_mut().zip(scores) {
        lesson.reference = Some(score.logp);
    }
    Ok(())
}

/// The row with the judge's feedback at the end of the observation of every turn it speaks of; `None` if it speaks of
/// none of the row's turns.
fn hint(trainer: &Trainer, played: &Played, row: &Row) -> Result<Option<(Vec<u32>, Vec<bool>)>> {
    let said = |turn: u32| {
        let verdict = played.verdicts.iter().find(|verdict| verdict.turn == turn)?;
        verdict.feedback.as_ref().map(|feedback| format!("Feedback on this turn: {feedback}"))
    };
    let goal = &played.episode.task.goal;
    let first = row.turns.first().copied().unwrap_or(0);
    let opening = match said(first) {
        Some(text) => trainer.text.encode(&super::placement::prompt(trainer, &row.prompt, goal, &text)?)?,
        None => row.ids[..row.prompt_len].to_vec(),
    };
    let plain = [Message::user(row.prompt.message(&trainer.prompts, goal, None))];
    let mut mask = vec![false; opening.len()];
    let (mut ids, mut any) = (opening, said(first).is_some());
    let mut at = row.prompt_len;
    while at < row.ids.len() {
        let sampled = row.mask[at];
        let end = (at..row.ids.len()).find(|&t| row.mask[t] != sampled).unwrap_or(row.ids.len());
        let turn = row.turns[at];
        let mut part = row.ids[at..end].to_vec();
        if let (false, Some(text)) = (sampled, said(turn)) {
            // a reply that was cut off is closed first, as it was when it was played
            let closed = usize::from(part.first() == Some(&trainer.text.end()));
            let observation = played.episode.turns.get(turn as usize).map_or("", |turn| turn.observation.as_str());
            let next = trainer.prompts.next(&format!("{observation}\n{text}"));
            part.truncate(closed);
            part.extend(trainer.text.between(&plain, &Message::user(next))?);
            any = true;
        }
        mask.extend(std::iter::repeat_n(sampled, part.len()));
        ids.extend(part);
        at = end;
    }
    Ok(any.then_some((ids, mask)))
}

/// Lays rows that were played with skills out under the plain prompt, as if the student had written them by itself.
pub fn as_plain(trainer: &Trainer, played: &mut [Played]) -> Result<()> {
    for p in played {
        p.view = View::Teacher;
        lay_out(trainer, p, None)?;
    }
    Ok(())
}

/// Lays an episode's rows out under the prompt with these skills, or with none.
pub fn lay_out(trainer: &Trainer, played: &mut Played, skills: Option<&str>) -> Result<()> {
    for row in &mut played.rows {
        let message = row.prompt.message(&trainer.prompts, &played.episode.task.goal, skills);
        *row = row.moved(&trainer.text.open(&[Message::user(message)])?);
    }
    Ok(())
}
