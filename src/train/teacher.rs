//! The teacher: the same weights, the same reply tokens, another opening prompt. It never generates.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::Result;

use super::Trainer;
use super::lesson::Lesson;
use super::rollout::Played;
use crate::core::rng;
use crate::engine::{ScoreRow, WeightSet};
use crate::skill::Context;
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
    let mut contexts: BTreeMap<u32, Context> = BTreeMap::new();
    for p in played.iter_mut() {
        let group = p.episode.id.group;
        if let Entry::Vacant(vacant) = contexts.entry(group) {
            let seed = rng::seed(trainer.settings.seed, "skills", &[step, group as u64]);
            let mut context = trainer.skills.choose(&p.episode.task, seed);
            fit(trainer, &mut context);
            taught.lost_tokens += context.lost_tokens * trainer.settings.members as usize;
            vacant.insert(context);
        }
        let context = &contexts[&group];
        p.episode.skills = context.ids.clone();
        taught.titles.extend(context.ids.iter().cloned().zip(context.titles.iter().cloned()));
        if let Some(row) = p.rows.first() {
            p.episode.teacher_prompt = prompt(trainer, &row.prompt, &p.episode.task.goal, &context.text)?;
        }
    }
    let mut rows = Vec::with_capacity(lessons.len());
    let goals: BTreeMap<_, _> = played.iter().map(|p| (p.episode.id, p.episode.task.goal.as_str())).collect();
    for lesson in lessons.iter() {
        let prompt = prompt(trainer, &lesson.row.prompt, goals[&lesson.id], &contexts[&lesson.id.group].text)?;
        rows.push(lesson.row.under(&trainer.text.encode(&prompt)?));
    }
    let score_rows: Vec<ScoreRow> = rows.iter().map(|(ids, mask)| ScoreRow::new(ids, mask)).collect();
    let temperature = trainer.settings.sampling.temperature;
    let scores = trainer.engine.score(WeightSet::Live, &score_rows, temperature)?;
    for (lesson, score) in lessons.iter_mut().zip(scores) {
        lesson.teacher = Some(score.logp);
    }
    Ok(taught)
}

/// Drops skills that exceed the budget, last ones first, and counts their tokens.
pub(super) fn fit(trainer: &Trainer, context: &mut Context) {
    if trainer.settings.skill_budget > 0 {
        let count = |line: &str| trainer.text.encode(line).map_or(usize::MAX, |ids| ids.len());
        context.fit(trainer.settings.skill_budget, count);
    }
}

/// The teacher's opening prompt as rendered text.
fn prompt(trainer: &Trainer, prompt: &super::row::Prompt, goal: &str, skills: &str) -> Result<String> {
    let placement = trainer.skills.placement();
    let message = prompt.message(&trainer.prompts, goal, placement.slot(skills));
    Ok(placement.prefix(skills) + &trainer.text.render(&[Message::user(message)], true)?)
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
