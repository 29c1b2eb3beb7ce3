//! Rollouts without play: candidate replies at every step of an expert's trajectory, spliced by number. The states are
//! the expert's; a candidate's reward is how well its action fits the expert's.

use anyhow::{Context, Result};

use super::Trainer;
use super::facts::action_tokens;
use super::rollout::Played;
use super::row::{Prompt, Row};
use crate::core::{Ending, Episode, EpisodeId, Stop, Task, Turn, View, rng};
use crate::engine::{Finish, Sample, SampleRequest, Sampler, sample_all};
use crate::text::Message;

/// A state of an expert's trajectory, and what the expert does there.
struct Station {
    group: u32,
    turn: u32,
    prompt: Prompt,
    observation: String,
    action: String,
    /// Opening prompt, rendered and as tokens.
    rendered: String,
    ids: Vec<u32>,
}

/// `n` trajectories per task.
pub fn reconstruct(trainer: &mut Trainer, step: u64, tasks: &[Task], n: u32) -> Result<Vec<Played>> {
    let mut stations = vec![];
    for (group, task) in (0..).zip(tasks) {
        stations.extend(walk(trainer, group, task)?);
    }
    let sampling = trainer.settings.sampling.clone();
    let request = |(slot, (at, i)): (usize, (usize, u32))| {
        let station: &Station = &stations[at];
        let counters = [step, u64::from(station.group), u64::from(i), u64::from(station.turn)];
        let seed = rng::seed(sampling.seed, "candidate", &counters);
        SampleRequest { slot, context: station.ids.clone(), limit: sampling.max_new_tokens, seed }
    };
    let places = (0..stations.len()).flat_map(|at| (0..n).map(move |i| (at, i)));
    let requests: Vec<SampleRequest> = places.enumerate().map(request).collect();
    let stops = trainer.text.closing(&sampling.stop);
    let sampler = Sampler {
        filter: sampling.filter,
        concurrent: sampling.concurrent,
        cache_bytes: sampling.cache_bytes,
        longest: trainer.engine.info().context,
        ..Sampler::new(sampling.temperature, &stops)
    };
    let samples = sample_all(&mut *trainer.engine, &sampler, requests)?;
    let mut played = vec![];
    for (group, task) in (0..).zip(tasks) {
        for member in 0..n {
            let id = EpisodeId { step, group, member };
            let own = stations.iter().enumerate().filter(|(_, station)| station.group == group);
            let spliced = own.map(|(at, station)| (station, &samples[at * n as usize + member as usize]));
            played.push(splice(trainer, id, task, spliced)?);
        }
    }
    Ok(played)
}

/// The states an expert passes.
fn walk(trainer: &Trainer, group: u32, task: &Task) -> Result<Vec<Station>> {
    let mut game = trainer.world.open(task)?;
    let actions = game.expert();
    anyhow::ensure!(!actions.is_empty(), "task `{}` has no expert to take a trajectory from", task.id);
    let mut past: Vec<(String, String)> = vec![];
    let mut stations = vec![];
    let room = trainer.engine.info().context.saturating_sub(trainer.settings.sampling.max_new_tokens);
    for (turn, action) in (0..).zip(actions) {
        let observation = game.observation().to_owned();
        let prompt =
            Prompt::History { past: past.clone(), observation: observation.clone(), admissible: game.admissible() };
        let message = [Message::user(prompt.message(&trainer.prompts, &task.goal, None))];
        let (rendered, ids) = (trainer.text.render(&message, true)?, trainer.text.open(&message)?);
        if ids.len() >= room {
            break;
        }
        game.step(&action);
        past.push((observation.clone(), action.clone()));
        stations.push(Station { group, turn, prompt, observation, action, rendered, ids });
    }
    Ok(stations)
}

fn splice<'a>(
    trainer: &Trainer,
    id: EpisodeId,
    task: &Task,
    steps: impl Iterator<Item = (&'a Station, &'a Sample)>,
) -> Result<Played> {
    let (mut rows, mut turns, mut prompt) = (vec![], vec![], String::new());
    let penalty = trainer.world.invalid_penalty();
    let mut fined = 0.0;
    for (station, sample) in steps {
        let shown = match sample.ids.split_last() {
            Some((last, rest)) if trainer.text.stops().contains(last) => rest,
            _ => &sample.ids,
        };
        let reply = trainer.text.decode(shown).context("a candidate cannot be read")?;
        let projected = trainer.prompts.project(&reply);
        let fine = if projected.valid { 0.0 } else { penalty };
        let mut row = Row::begin(station.prompt.clone(), &station.ids, station.turn);
        row.reply(sample, fine);
        fined += fine;
        if prompt.is_empty() {
            prompt.clone_from(&station.rendered);
        }
        turns.push(Turn {
            observation: station.observation.clone(),
            reward: fit(&projected.action, &station.action),
            reply,
            action: projected.action,
            valid: projected.valid,
            tokens: sample.ids.len() as u32,
            stop: match sample.finish {
                Finish::Stop => Stop::Closed,
                Finish::Length => Stop::TokenLimit,
                Finish::Context => Stop::ContextLimit,
            },
        });
        row.acted(sample.ids.len(), action_tokens(&trainer.text, &sample.ids, &turns));
        rows.push(row);
    }
    let score = turns.iter().map(|turn| turn.reward).sum::<f32>() / turns.len().max(1) as f32;
    let episode = Episode {
        id,
        task: task.clone(),
        ending: if score == 1.0 { Ending::Won } else { Ending::Lost },
        reward: turns.iter().map(|turn| turn.reward).sum(),
        turns,
        last_observation: String::new(),
        score,
        advantage: None,
        prompt,
        teacher_prompt: String::new(),
        skills: vec![],
    };
    Ok(Played {
        episode,
        rows,
        view: View::Plain,
        extra: false,
        context: None,
        read: None,
        verdicts: vec![],
        penalty: fined,
    })
}

/// 1 for the expert's action, else the F1 of their words.
fn fit(action: &str, expert: &str) -> f32 {
    let words = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    let (a, mut b) = (words(action), words(expert));
    if a == b {
        return 1.0;
    }
    let (said, right) = (a.len(), b.len());
    let mut shared = 0;
    for word in a {
        if let Some(at) = b.iter().position(|other| *other == word) {
            b.swap_remove(at);
            shared += 1;
        }
    }
    // the same words in another order are not the same action
    let f1 = 2.0 * shared as f32 / (said + right).max(1) as f32;
    f1.min(0.99)
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn actions_fit_by_their_words() {
        assert_eq!(fit("Go to desk 1", "go to desk 1"), 1.0);
        assert_eq!(fit("go to desk 2", "go to desk 1"), 0.75);
        assert_eq!(fit("", "look"), 0.0);
        assert!(fit("desk 1 go to", "go to desk 1") < 1.0);
    }
}
