//! The teacher: the same weights, the same reply tokens, another opening prompt. It never generates.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Trainer;
use super::lesson::Lesson;
use super::rollout::Played;
use crate::core::rng;
use crate::engine::{ScoreRow, WeightSet};
use crate::skill::{Context, Placement, fit};
use crate::text::Message;

/// What teaching a step left behind.
#[derive(Clone, Debug, Default)]
pub struct Taught {
    /// Titles of the skills used, by id.
    pub titles: BTreeMap<String, String>,
    /// Skill tokens cut off by the budget or the model's context, over all episodes.
    pub lost_tokens: usize,
}

/// Chooses skills for every episode, and, if the method asks for it, scores all rows under the teacher's prompt.
/// One choice per group, so that its members are taught alike.
pub fn teach(trainer: &mut Trainer, step: u64, played: &mut [Played], lessons: &mut [Lesson]) -> Result<Taught> {
    let mut taught = Taught::default();
    if !trainer.method.needs().teacher {
        return Ok(taught);
    }
    let mut contexts: BTreeMap<u32, (Context, String)> = BTreeMap::new();
    for p in played.iter_mut() {
        let group = p.episode.id.group;
        if !contexts.contains_key(&group) {
            let seed = rng::seed(trainer.settings.seed, "skills", &[step, group as u64]);
            let context = trainer.skills.choose(&p.episode.task, seed);
            let (text, lost) = within_budget(trainer, &context)?;
            taught.lost_tokens += lost * trainer.settings.members as usize;
            contexts.insert(group, (context, text));
        }
        let (context, text) = &contexts[&group];
        p.episode.skills = context.ids.clone();
        taught.titles.extend(context.ids.iter().cloned().zip(context.titles.iter().cloned()));
        if let Some(row) = p.rows.first() {
            p.episode.teacher_prompt = prompt(trainer, &row.prompt, &p.episode.task.goal, text)?;
        }
    }
    let mut rows = Vec::with_capacity(lessons.len());
    let goals: BTreeMap<_, _> = played.iter().map(|p| (p.episode.id, p.episode.task.goal.as_str())).collect();
    for lesson in lessons.iter() {
        let (_, text) = &contexts[&lesson.id.group];
        let prompt = prompt(trainer, &lesson.row.prompt, goals[&lesson.id], text)?;
        rows.push(lesson.row.under(&trainer.text.encode(&prompt)?));
    }
    // A teacher row longer than the context loses its end: those tokens are taught nothing (gap 0).
    let limit = trainer.engine.info().context;
    let cut = |(ids, mask): &(Vec<u32>, Vec<bool>)| ids.len().min(mask.len()).min(limit);
    let score_rows: Vec<ScoreRow> =
        rows.iter().map(|r| ScoreRow { ids: &r.0[..cut(r)], mask: &r.1[..cut(r)] }).collect();
    let temperature = trainer.settings.sampling.temperature;
    let scores = trainer.engine.score(WeightSet::Live, &score_rows, temperature)?;
    for (lesson, mut score) in lessons.iter_mut().zip(scores) {
        score.logp.extend_from_slice(&lesson.row.sampled[score.logp.len()..]);
        lesson.teacher = Some(score.logp);
    }
    Ok(taught)
}

/// Skill text cut to the budget, whole lines from the end, and the tokens lost.
fn within_budget(trainer: &Trainer, context: &Context) -> Result<(String, usize)> {
    match trainer.settings.skill_budget {
        0 => Ok((context.text.clone(), 0)),
        budget => {
            let count = |line: &str| trainer.text.encode(line).map_or(usize::MAX, |ids| ids.len());
            Ok(fit(&context.text, budget, count))
        }
    }
}

/// The teacher's opening prompt as rendered text.
fn prompt(trainer: &Trainer, prompt: &super::row::Prompt, goal: &str, skills: &str) -> Result<String> {
    let slot = trainer.skills.placement() == Placement::UserSlot && !skills.is_empty();
    let message = prompt.message(&trainer.prompts, goal, slot.then_some(skills));
    let rendered = trainer.text.render(&[Message::user(message)], true)?;
    match trainer.skills.placement() {
        Placement::UserSlot => Ok(rendered),
        Placement::PrefixRaw => Ok(crate::skill::prefix_raw(skills) + &rendered),
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
