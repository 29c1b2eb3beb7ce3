//! Tool dropout: every execution of a task sees another subset of the environment's tools, so that no tool becomes a
//! habit. A tool is withheld the more often, the more of its task type's executions used it before.

use std::collections::BTreeMap;

use anyhow::Result;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::Trainer;
use super::metrics::StepMetrics;
use super::rollout::{Played, Seat};
use crate::core::{Episode, rng};

/// Which tools the policy takes to, by task type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Habits(BTreeMap<String, Habit>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Habit {
    episodes: u64,
    /// Episodes that used a tool.
    used: BTreeMap<String, u64>,
}

impl Habits {
    /// Chance that a tool is withheld from a task of that type: `rate (1/2 + share of its executions that used the
    /// tool)`, `rate` where nothing is known yet; below 1. Ours: TimeClaw's own probabilities are not published.
    pub fn chance(&self, kind: &str, tool: &str, rate: f64) -> f64 {
        let share = self
            .0
            .get(kind)
            .filter(|habit| habit.episodes > 0)
            .map_or(0.5, |habit| habit.used.get(tool).copied().unwrap_or(0) as f64 / habit.episodes as f64);
        (rate * (0.5 + share)).clamp(0.0, 0.95)
    }

    fn add(&mut self, kind: &str, used: &[String]) {
        let habit = self.0.entry(kind.to_owned()).or_default();
        habit.episodes += 1;
        used.iter().for_each(|tool| *habit.used.entry(tool.clone()).or_default() += 1);
    }
}

/// Decides what each seat plays without. The first member of a group plays with everything. Games that run elsewhere
/// keep their tools.
pub(super) fn withhold(trainer: &Trainer, rate: f64, seats: &mut [Seat]) -> Result<()> {
    if rate == 0.0 || trainer.world.is_remote() {
        return Ok(());
    }
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for seat in seats.iter_mut().filter(|seat| seat.id.member > 0) {
        let tools = match known.get(&seat.task.id) {
            Some(tools) => tools,
            None => known.entry(seat.task.id.clone()).or_insert(trainer.world.open(&seat.task)?.tools()),
        };
        let counters = [seat.id.step, u64::from(seat.id.group), u64::from(seat.id.member)];
        let mut rng = rng::stream(trainer.settings.seed, "tools", &counters);
        // one draw per tool, so that a change of one chance moves no other
        let draws: Vec<(f64, &String)> = tools.iter().map(|tool| (rng.random::<f64>(), tool)).collect();
        let chance = |tool: &String| trainer.habits.chance(&seat.task.kind, tool, rate);
        let out = draws.into_iter().filter(|(draw, tool)| *draw < chance(tool));
        let mut gone: Vec<String> = out.map(|(_, tool)| tool.clone()).collect();
        if gone.len() == tools.len() {
            gone.pop();
        }
        seat.withheld = gone;
    }
    Ok(())
}

/// After a step: notes which tools were used. `tools/top_share` is the share of executions that used the commonest tool
/// of the step: near 1 with several tools at hand, one has become a habit.
pub(super) fn count(trainer: &mut Trainer, played: &[Played], clock: &mut StepMetrics) -> Result<()> {
    if trainer.needs().tool_dropout == 0.0 || trainer.world.is_remote() {
        return Ok(());
    }
    let mut commonest: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = 0;
    for p in played.iter().filter(|p| !p.extra) {
        let tools = trainer.world.open(&p.episode.task)?.tools();
        if tools.is_empty() {
            continue;
        }
        let used = used(&p.episode, &tools);
        all += 1;
        used.iter().for_each(|tool| *commonest.entry(tool.clone()).or_default() += 1);
        trainer.habits.add(&p.episode.task.kind, &used);
    }
    if let Some(most) = commonest.into_values().max() {
        clock.sums([("tools/top_share", (most as f64, all as f64))].into());
    }
    Ok(())
}

/// Tools whose name is a word of one of the episode's actions.
fn used(episode: &Episode, tools: &[String]) -> Vec<String> {
    let said: Vec<&str> = episode.turns.iter().flat_map(|turn| words(&turn.action)).collect();
    tools.iter().filter(|tool| said.contains(&tool.as_str())).cloned().collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_a_habit_is_withheld_more_often() {
        let mut habits = Habits::default();
        assert_eq!(habits.chance("season", "naive", 0.3), 0.3, "nothing is known yet");
        for _ in 0..4 {
            habits.add("season", &["naive".into()]);
        }
        assert!((habits.chance("season", "naive", 0.3) - 0.45).abs() < 1e-12);
        assert!((habits.chance("season", "holt", 0.3) - 0.15).abs() < 1e-12);
        assert_eq!(habits.chance("trend", "naive", 0.3), 0.3, "habits are those of a task type");
        assert_eq!(habits.chance("season", "naive", 0.99), 0.95);
        let read: Habits = serde_json::from_str(&serde_json::to_string(&habits).unwrap()).unwrap();
        assert_eq!(read, habits);
        assert_eq!(words("try holt 0.3; `naive`").collect::<Vec<_>>(), ["try", "holt", "0", "3", "naive"]);
    }
}
