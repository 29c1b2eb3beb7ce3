//! What the teacher reads and the student does not, as text: made from the bank, the environment's expert, or what the
//! other members of the group did. Wording is ours.

use anyhow::Result;

use super::Trainer;
use super::generate::is_held_out;
use super::rollout::Played;
use super::teacher::fit;
use crate::core::{Episode, Task, rng};
use crate::method::needs::{Privileged, Taught};
use crate::skill::Context;
use crate::skill::draft::CONTRAST;

/// The context of every episode of a step, in their order; `None` = the teacher has nothing to say of it.
pub fn of_step(
    trainer: &Trainer,
    step: u64,
    kind: Privileged,
    rows: Taught,
    played: &[Played],
) -> Result<Vec<Option<Context>>> {
    let mut contexts = Vec::with_capacity(played.len());
    for (at, p) in played.iter().enumerate() {
        let group: Vec<&Episode> = own(played).filter(|e| e.id.group == p.episode.id.group).collect();
        let wanted = match rows {
            Taught::All => true,
            Taught::Failed => !p.episode.won(),
            Taught::Extra => p.extra,
            Taught::Mixed => group.iter().any(|e| e.won()) && group.iter().any(|e| !e.won()),
        };
        let same = |q: &&Played| q.episode.id.group == p.episode.id.group;
        let context = match kind {
            _ if !wanted => None,
            _ if p.context.is_some() => p.context.clone().map(|text| Context { text, ..Context::default() }),
            // said at single turns, not in the opening prompt
            Privileged::StepFeedback => None,
            // members of a group are taught alike
            Privileged::Skills => match played[..at].iter().position(|q| same(&q)) {
                Some(first) if contexts.get(first).is_some_and(Option::is_some) => contexts[first].clone(),
                _ => Some(skills(trainer, step, p.episode.id.group, &p.episode.task)),
            },
            _ => privileged(trainer, kind, &p.episode, &group)?,
        };
        contexts.push(context);
    }
    Ok(contexts)
}

/// The student's own episodes.
fn own(played: &[Played]) -> impl Iterator<Item = &Episode> {
    played.iter().filter(|p| !p.extra).map(|p| &p.episode)
}

/// The skills chosen for a task. One choice per group and step.
pub fn skills(trainer: &Trainer, step: u64, group: u32, task: &Task) -> Context {
    let seed = rng::seed(trainer.settings.seed, "skills", &[step, u64::from(group)]);
    let mut context = trainer.skills.choose(task, seed);
    if let Some(generate) = trainer.needs().generate {
        context.retain(|id| !is_held_out(id, generate.held_out));
    }
    fit(trainer, &mut context);
    context
}

fn privileged(trainer: &Trainer, kind: Privileged, own: &Episode, group: &[&Episode]) -> Result<Option<Context>> {
    let lines = match kind {
        Privileged::None => Some(vec![]),
        Privileged::Gold => gold(trainer, own)?,
        Privileged::PeerSuccess => peer_success(own, group),
        Privileged::PeerAndFeedback => {
            let mut lines = peer_success(own, group).unwrap_or_default();
            lines.push(format!("The attempt at hand ended with: {}", one_line(&own.last_observation)));
            Some(lines)
        }
        Privileged::SiblingContrast => sibling_contrast(group),
        Privileged::BestWorst => best_worst(group),
        // handled by the caller
        Privileged::Skills | Privileged::StepFeedback => None,
    };
    Ok(lines.map(|lines| {
        let mut context = Context { text: lines.join("\n"), ..Context::default() };
        fit(trainer, &mut context);
        context
    }))
}

/// A solution by the environment's expert; `None` where it has none.
fn gold(trainer: &Trainer, own: &Episode) -> Result<Option<Vec<String>>> {
    let actions = trainer.world.open(&own.task)?.expert();
    Ok((!actions.is_empty()).then(|| vec![format!("These actions solve the task: {}", actions.join("; "))]))
}

/// What another member of the group did that reached the goal.
fn peer_success(own: &Episode, group: &[&Episode]) -> Option<Vec<String>> {
    let peer = group.iter().find(|e| e.won() && e.id.member != own.id.member)?;
    Some(vec![format!("Another attempt reached the goal with: {}", actions(peer))])
}

/// A success and a failure of the group, and where they part.
fn sibling_contrast(group: &[&Episode]) -> Option<Vec<String>> {
    let (won, lost) = (group.iter().find(|e| e.won())?, group.iter().find(|e| !e.won())?);
    Some(contrast(won, lost, "One attempt succeeded", "Another failed"))
}

/// The best and the worst episode of the group, where they differ enough.
fn best_worst(group: &[&Episode]) -> Option<Vec<String>> {
    let by = |e: &&&Episode| e.score;
    let best = group.iter().max_by(|a, b| by(a).total_cmp(&by(b)))?;
    let worst = group.iter().min_by(|a, b| by(a).total_cmp(&by(b)))?;
    (best.score - worst.score >= CONTRAST).then(|| contrast(best, worst, "The best attempt", "The worst attempt"))
}

fn contrast(good: &Episode, bad: &Episode, of_good: &str, of_bad: &str) -> Vec<String> {
    let same = good.turns.iter().zip(&bad.turns).take_while(|(a, b)| a.action == b.action).count();
    let mut lines = vec![format!("{of_good}: {}", actions(good)), format!("{of_bad}: {}", actions(bad))];
    if let (Some(a), Some(b)) = (good.turns.get(same), bad.turns.get(same)) {
        let (a, b) = (one_line(&a.action), one_line(&b.action));
        lines.push(format!("They part at turn {}: do `{a}`, not `{b}`.", same + 1));
    }
    lines
}

fn actions(episode: &Episode) -> String {
    episode.turns.iter().map(|turn| one_line(&turn.action)).collect::<Vec<_>>().join("; ")
}

/// A context is one line per statement.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Ending, EpisodeId, Stop, Task, Turn};

    fn episode(member: u32, score: f32, actions: &[&str]) -> Episode {
        let turn = |action: &&str| Turn {
            observation: String::new(),
            reply: String::new(),
            action: (*action).into(),
            valid: true,
            reward: 0.0,
            tokens: 1,
            stop: Stop::Closed,
        };
        Episode {
            id: EpisodeId { step: 1, group: 0, member },
            task: Task { id: "t/train/0".into(), kind: "k".into(), goal: "g".into() },
            turns: actions.iter().map(turn).collect(),
            last_observation: "Nothing\nhappens.".into(),
            ending: if score == 1.0 { Ending::Won } else { Ending::Lost },
            reward: 0.0,
            score,
            advantage: None,
            prompt: String::new(),
            teacher_prompt: String::new(),
            skills: vec![],
        }
    }

    #[test]
    fn contexts_come_from_the_group() {
        let (won, lost) = (episode(0, 1.0, &["look", "go\nup", "take"]), episode(1, 0.5, &["look", "go down"]));
        let group = [&won, &lost];
        assert_eq!(peer_success(&lost, &group).unwrap(), ["Another attempt reached the goal with: look; go up; take"]);
        assert_eq!(peer_success(&won, &group), None, "nobody else won");
        let lines = sibling_contrast(&group).unwrap();
        assert_eq!(lines[2], "They part at turn 2: do `go up`, not `go down`.");
        assert_eq!(best_worst(&group).unwrap()[0], "The best attempt: look; go up; take");
        let near = episode(2, 0.9, &["look"]);
        assert_eq!(best_worst(&[&won, &near]), None, "no difference worth telling");
        assert_eq!(sibling_contrast(&[&lost, &near]), None, "no success");
    }
}
