//! Rollouts beside the student's own: played under the teacher's prompt, or the own ones laid out under the other one.
//! They are trained under a prompt that did not sample them, and stand in no statistic of their group.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use super::rollout::{self, Played, Seat, Table};
use super::{Aborted, Sink, Trainer, context, lesson::Sums, teacher, weights};
use crate::core::{EpisodeId, View};
use crate::method::needs::{Extra, TeacherNeed};

/// Adds what the method asks for to `played`. Where more is played, `teacher/success` says how the view that reads the
/// context does.
pub fn add(
    trainer: &mut Trainer,
    step: u64,
    played: &mut Vec<Played>,
    sums: &mut Sums,
    sink: &mut dyn Sink,
    abort: &AtomicBool,
) -> Result<()> {
    let needs = trainer.needs();
    let (Some(kind), Some(teacher)) = (needs.extra, needs.teacher) else { return Ok(()) };
    let more = match kind {
        Extra::Mirrored => mirrored(trainer, step, played)?,
        Extra::Taught(n) => taught(trainer, step, played, &teacher, (n, false), (sink, abort))?,
        Extra::Cliff(n) => taught(trainer, step, played, &teacher, (n, true), (sink, abort))?,
        // these are the rollouts themselves
        Extra::Offline(_) | Extra::Recite(_) => vec![],
    };
    if kind != Extra::Mirrored {
        let won = more.iter().filter(|p| p.episode.won()).count();
        sums.insert("teacher/success", (won as f64, more.len() as f64));
    }
    let keep = |p: &Played| !matches!(kind, Extra::Cliff(_)) || p.episode.won();
    played.extend(more.into_iter().filter(keep));
    Ok(())
}

/// Plays `n` episodes more for every group (or for those that lost all) with what the teacher reads in the prompt, and
/// lays them out as if they had been played without.
fn taught(
    trainer: &mut Trainer,
    step: u64,
    played: &[Played],
    need: &TeacherNeed,
    (n, lost_only): (u32, bool),
    (sink, abort): (&mut dyn Sink, &AtomicBool),
) -> Result<Vec<Played>> {
    let contexts = context::of_step(trainer, step, need.context, crate::method::needs::Taught::All, played)?;
    let mut seats: Vec<Seat> = vec![];
    for (first, context) in played.iter().zip(contexts).filter(|(p, _)| p.episode.id.member == 0) {
        let group = first.episode.id.group;
        let won = played.iter().any(|p| p.episode.id.group == group && p.episode.won());
        let (Some(context), false) = (context, lost_only && won) else { continue };
        seats.extend((0..n).map(|i| Seat {
            id: EpisodeId { step, group, member: trainer.settings.members + i },
            task: first.episode.task.clone(),
            skills: (!context.text.is_empty()).then(|| context.clone()),
            withheld: vec![],
        }));
    }
    let sampling = trainer.settings.sampling.clone();
    // who teaches plays; a teacher of the student's own weights is the student with more to read
    let weights = weights::teacher_set(trainer, &need.weights)?;
    let mut table = Table { weights, ..trainer.table() };
    let mut more = rollout::play(&mut table, &seats, &sampling, &mut |episode, _| {
        if abort.load(Ordering::Relaxed) {
            bail!(Aborted)
        }
        episode.into_iter().for_each(|episode| sink.live(episode));
        Ok(())
    })?;
    for (p, seat) in more.iter_mut().zip(&seats) {
        let read = seat.skills.as_ref().map_or(String::new(), |context| context.text.clone());
        (p.extra, p.context) = (true, Some(read));
        teacher::lay_out(trainer, p, None)?;
        p.view = View::Teacher;
    }
    Ok(more)
}

/// Every episode once more under the other prompt; its teacher reads what it was played with.
fn mirrored(trainer: &mut Trainer, step: u64, played: &[Played]) -> Result<Vec<Played>> {
    let mut more = Vec::with_capacity(played.len());
    for p in played {
        let skills = context::skills(trainer, step, p.episode.id.group, &p.episode.task).text;
        let mut other = p.clone();
        other.extra = true;
        other.episode.id.member += trainer.settings.members;
        let skilled = p.view == View::Skilled;
        other.context = Some(if skilled { skills.clone() } else { String::new() });
        teacher::lay_out(trainer, &mut other, (!skilled).then_some(&skills))?;
        more.push(other);
    }
    Ok(more)
}
