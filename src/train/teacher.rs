//! The teacher: the same reply tokens under another opening prompt or other weights. It never generates.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Result;

use super::Trainer;
use super::lesson::{Lesson, Listed};
use super::placement::{prompt, taught_row};
use super::rollout::Played;
use super::row::{Row, TeacherRow};
use super::{context, learn, weights};
use crate::core::skill::Choice;
use crate::engine::{Engine, ScoreRow, WeightSet};
use crate::method::needs::{Privileged, Top, Whose};
use crate::method::view::View;
use crate::skill::{Context, Placement};
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
            let (rows, lost) = hints(trainer, p, lesson)?;
            taught.lost_tokens += lost;
            lesson.facts.taught = !rows.is_empty();
            lesson.teacher_rows = rows;
            continue;
        }
        let Some((at, text)) = texts.get(&lesson.id) else { continue };
        // what it was played with is read where it stood then
        let placement = played[*at].context.as_ref().map_or(trainer.skills.placement(), |_| Placement::UserSlot);
        let episode = &mut played[*at].episode;
        let row = taught_row(trainer, &lesson.row, episode, text, placement)?;
        if episode.teacher_prompt.is_empty() {
            episode.teacher_prompt = row.prompt;
        }
        taught.lost_tokens += row.lost_tokens;
        lesson.facts.taught = true;
        let of = 0..lesson.row.sampled.len();
        lesson.teacher_rows = vec![TeacherRow { ids: row.ids, mask: row.mask, of }];
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
    let mut taught: Vec<&mut &mut Lesson> = lessons.iter_mut().filter(|l| asked_row(l, top.of).is_some()).collect();
    let (k, whose) = (top.k as usize, if top.of == Whose::Student { WeightSet::Live } else { set });
    let asked: Vec<ScoreRow> = taught.iter().filter_map(|lesson| asked_row(lesson, top.of)).collect();
    let asked: Vec<ScoreRow> = asked.into_iter().map(|row| ScoreRow { top: k, ..row }).collect();
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

/// The row whose likeliest tokens are listed: the student's, or the teacher's where that is one row. Nothing is listed for
/// a row that nobody teaches.
fn asked_row(lesson: &Lesson, of: Whose) -> Option<ScoreRow<'_>> {
    match (of, lesson.teacher_rows.as_slice()) {
        (_, []) => None,
        (Whose::Student, _) => Some(lesson.row.score_row()),
        (Whose::Teacher, [row]) => Some(ScoreRow::new(&row.ids, &row.mask)),
        (Whose::Teacher, _) => None,
    }
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

/// Scores the teacher rows of those lessons that have one. Tokens that none of them scores are NaN.
pub fn score(engine: &mut dyn Engine, set: WeightSet, lessons: &mut [&mut Lesson], temperature: f32) -> Result<()> {
    let part = |lesson: &Lesson, of: &Range<usize>| {
        let k = lesson.listed.as_ref().map_or(0, |listed| listed.k);
        of.start * k..of.end * k
    };
    let row = |(lesson, row)| {
        let (lesson, row): (&Lesson, &TeacherRow) = (lesson, row);
        let given = lesson.listed.as_ref().map_or(&[][..], |listed| &listed.ids[part(lesson, &row.of)]);
        ScoreRow { given, ..ScoreRow::new(&row.ids, &row.mask) }
    };
    let all = lessons.iter().flat_map(|lesson| lesson.teacher_rows.iter().map(|row| (&**lesson, row)));
    let rows: Vec<ScoreRow> = all.map(row).collect();
    let mut scores = engine.score(set, &rows, temperature)?.into_iter();
    for lesson in lessons.iter_mut().filter(|lesson| !lesson.teacher_rows.is_empty()) {
        let n = lesson.row.sampled.len();
        let (mut logp, mut entropy) = (vec![f32::NAN; n], vec![f32::NAN; n]);
        let mut given = vec![f32::NEG_INFINITY; part(lesson, &(0..n)).len()];
        for (row, score) in lesson.teacher_rows.iter().zip(&mut scores) {
            logp[row.of.clone()].copy_from_slice(&score.logp);
            entropy[row.of.clone()].copy_from_slice(&score.entropy);
            given[part(lesson, &row.of)].copy_from_slice(&score.given);
        }
        (lesson.teacher, lesson.teacher_entropy) = (Some(logp), Some(entropy));
        if let Some(listed) = &mut lesson.listed {
            listed.teacher = given;
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

/// A row for every turn the judge speaks of: what the student read until then, the feedback, the student's reply. So no
/// turn is taught by feedback on another one. Also the tokens of feedback that the model's context has no room for.
fn hints(trainer: &Trainer, played: &Played, lesson: &Lesson) -> Result<(Vec<TeacherRow>, usize)> {
    let (row, longest) = (&lesson.row, trainer.engine.info().context);
    let places: Vec<usize> = row.positions().collect();
    let (mut rows, mut lost) = (vec![], 0);
    for turn in lesson.facts.turns.iter().filter(|turn| !turn.tokens.is_empty()) {
        let said = played.verdicts.iter().find(|verdict| verdict.turn == turn.index);
        let Some(feedback) = said.and_then(|verdict| verdict.feedback.as_ref()) else { continue };
        let text = format!("Feedback on this turn: {feedback}");
        // a turn's sampled tokens stand side by side
        let reply = places[turn.tokens.start]..places[turn.tokens.end - 1] + 1;
        let mut ids = before(trainer, played, row, turn.index, &text)?;
        let mut mask = vec![false; ids.len()];
        ids.extend(&row.ids[reply.clone()]);
        mask.extend(&row.mask[reply]);
        if ids.len() <= longest {
            rows.push(TeacherRow { ids, mask, of: turn.tokens.clone() });
        } else {
            lost += trainer.text.encode(&text)?.len();
        }
    }
    Ok((rows, lost))
}

/// What stands before the reply of a turn, with `text` at the end of what the environment said there.
fn before(trainer: &Trainer, played: &Played, row: &Row, turn: u32, text: &str) -> Result<Vec<u32>> {
    let goal = &played.episode.task.goal;
    if row.turns.first() == Some(&turn) {
        return trainer.text.encode(&prompt(trainer, &row.prompt, goal, text, trainer.skills.placement())?);
    }
    let begin = row.turns.iter().position(|&of| of == turn).unwrap_or(row.prompt_len);
    // a reply that was cut off is closed first, as it was when it was played
    let closed = usize::from(row.ids.get(begin) == Some(&trainer.text.end()));
    let observation = played.episode.turns.get(turn as usize).map_or("", |turn| turn.observation.as_str());
    let plain = [Message::user(row.prompt.message(&trainer.prompts, goal, None))];
    let next = trainer.prompts.next(&format!("{observation}\n{text}"));
    let told = trainer.text.between(&plain, &Message::user(next))?;
    Ok([&row.ids[..begin + closed], &told].concat())
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
