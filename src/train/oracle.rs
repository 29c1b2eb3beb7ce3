//! The oracle judge: the environment's expert compares what was left to do before and after a turn. It knows the game's
//! hidden state, so it is for tests and upper bounds, and is named as a substitution wherever it judges.

use anyhow::Result;

use super::judge::TurnVerdict;
use crate::core::{Episode, Role};
use crate::env::{Env, World};
use crate::method::needs::Verdict;

/// Judges an episode by playing it again.
pub fn judge(world: &dyn World, episode: &Episode, wanted: Verdict) -> Result<Vec<TurnVerdict>> {
    let mut game = world.open(&episode.task)?;
    let mut verdicts = vec![];
    for (turn, played) in (0..).zip(&episode.turns) {
        let before = game.expert();
        let step = game.step(&played.action);
        let role = role(&before, &*game, step.won, step.effective);
        match wanted {
            Verdict::Roles => verdicts.push(TurnVerdict { turn, role: Some(role), feedback: None }),
            Verdict::Failures(most) => {
                let wrong = matches!(role, Role::Regression | Role::NoProgress);
                if let (true, Some(better)) = (wrong && verdicts.len() < most as usize, before.first()) {
                    let feedback = Some(format!("This does not lead to the goal: `{better}` does."));
                    verdicts.push(TurnVerdict { turn, role: None, feedback });
                }
            }
        }
        if step.done {
            break;
        }
    }
    Ok(verdicts)
}

/// By the length of the expert's solution before and after; none after means that it can no longer be won.
fn role(before: &[String], game: &dyn Env, won: bool, effective: bool) -> Role {
    if won {
        return Role::Decisive;
    }
    if before.is_empty() {
        return Role::NoProgress; // it could not be won any more
    }
    let after = game.expert();
    let left = if after.is_empty() { usize::MAX } else { after.len() };
    match left.cmp(&before.len()) {
        std::cmp::Ordering::Less => Role::Decisive,
        std::cmp::Ordering::Greater => Role::Regression,
        std::cmp::Ordering::Equal if effective => Role::Exploration,
        std::cmp::Ordering::Equal => Role::NoProgress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Ending, EpisodeId, Split, Stop, Turn};
    use crate::env::open_world;

    fn play(actions: impl Fn(&dyn Env) -> String) -> (Box<dyn World>, Episode) {
        let world = open_world("household", &toml::Table::new()).unwrap();
        let task = world.task(Split::Train, 0).unwrap();
        let mut game = world.open(&task).unwrap();
        let mut turns = vec![];
        for _ in 0..4 {
            let action = actions(&*game);
            let turn = Turn {
                observation: game.observation().into(),
                reply: action.clone(),
                action: action.clone(),
                valid: true,
                reward: 0.0,
                tokens: 1,
                stop: Stop::Closed,
            };
            turns.push(turn);
            if game.step(&action).done {
                break;
            }
        }
        let episode = Episode {
            id: EpisodeId { step: 1, group: 0, member: 0 },
            task,
            turns,
            last_observation: String::new(),
            ending: Ending::TurnLimit,
            reward: 0.0,
            score: 0.0,
            advantage: None,
            prompt: String::new(),
            teacher_prompt: String::new(),
            skills: vec![],
        };
        (world, episode)
    }

    #[test]
    fn what_the_expert_does_is_decisive_and_nonsense_is_not() {
        let (world, good) = play(|game| game.expert().swap_remove(0));
        let verdicts = judge(&*world, &good, Verdict::Roles).unwrap();
        assert!(verdicts.iter().all(|v| v.role == Some(Role::Decisive)), "{verdicts:?}");
        assert!(judge(&*world, &good, Verdict::Failures(3)).unwrap().is_empty());
        let (world, idle) = play(|_| "sing a song".into());
        let verdicts = judge(&*world, &idle, Verdict::Roles).unwrap();
        assert!(verdicts.iter().all(|v| v.role == Some(Role::NoProgress)), "{verdicts:?}");
        let found = judge(&*world, &idle, Verdict::Failures(3)).unwrap();
        assert_eq!(found.iter().map(|v| v.turn).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(found[0].feedback.as_ref().unwrap().contains('`'));
    }
}
