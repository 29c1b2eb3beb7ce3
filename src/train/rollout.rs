//! Playing: groups of rollouts, all games of a step side by side, batched through the engine turn by turn.

use anyhow::{Context, Result};

use super::row::{Layout, Prompt, Row};
use crate::core::{Ending, Episode, EpisodeId, Stop, Task, Turn};
use crate::engine::{Engine, Sample, SampleRequest};
use crate::env::prompt::Prompts;
use crate::env::{Env, World};
use crate::text::{Message, Text};

/// What a rollout is played with.
pub struct Table<'a> {
    pub engine: &'a mut dyn Engine,
    pub text: &'a Text,
    pub world: &'a dyn World,
    pub prompts: &'a Prompts,
}

/// How to sample and how to lay out rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    pub layout: Layout,
    /// Observation-action pairs shown in the `history` layout.
    pub history: usize,
    pub max_new_tokens: usize,
    pub temperature: f32,
    /// Tokens of the context kept free, so that the row also fits behind the teacher's longer prompt.
    pub reserve: usize,
    /// Base of every reply's seed.
    pub seed: u64,
}

/// One seat: a task to be played once, perhaps with skills in the student's own prompt.
#[derive(Clone, Debug)]
pub struct Seat {
    pub id: EpisodeId,
    pub task: Task,
    /// Skills the *student* sees; only baselines and evaluations with skills set this.
    pub skills: Option<String>,
}

/// A finished episode and its training rows.
#[derive(Clone, Debug)]
pub struct Played {
    pub episode: Episode,
    pub rows: Vec<Row>,
    /// Sum over turns of the penalty for replies without the required form; >= 0.
    pub penalty: f32,
}

/// Told after every round of turns: episodes as they stand, and how many are over. An error stops the rollout.
pub type Watch<'a> = dyn FnMut(&[&Episode], usize) -> Result<()> + 'a;

/// Plays all seats to the end.
pub fn play(table: &mut Table, seats: &[Seat], sampling: &Sampling, watch: &mut Watch) -> Result<Vec<Played>> {
    let mut games = Vec::with_capacity(seats.len());
    for (slot, seat) in seats.iter().enumerate() {
        games.push(Game::open(table, seat, slot, sampling)?);
    }
    table.engine.release();
    loop {
        for game in games.iter_mut().filter(|g| g.playing()) {
            game.close_if_full(table, sampling);
        }
        let live: Vec<&mut Game> = games.iter_mut().filter(|g| g.playing()).collect();
        if live.is_empty() {
            break;
        }
        let requests: Vec<SampleRequest> = live.iter().map(|g| g.request(sampling)).collect();
        let samples = table.engine.sample(&requests)?;
        drop(requests);
        for (game, sample) in live.into_iter().zip(samples) {
            game.turn(table, sampling, sample)?;
        }
        let over = games.iter().filter(|g| !g.playing()).count();
        watch(&games.iter().map(|g| &g.episode).collect::<Vec<_>>(), over)?;
    }
    table.engine.release();
    Ok(games.into_iter().map(Game::finish).collect())
}

/// An episode in progress.
struct Game {
    slot: usize,
    env: Box<dyn Env>,
    episode: Episode,
    skills: Option<String>,
    /// Everything before the next reply.
    context: Vec<u32>,
    /// First user message, for the transcript layout.
    opening: Vec<Message>,
    rows: Vec<Row>,
    penalty: f32,
    stop: [u32; 1],
}

impl Game {
    fn open(table: &Table, seat: &Seat, slot: usize, sampling: &Sampling) -> Result<Self> {
        let env = table.world.open(&seat.task).with_context(|| format!("cannot open task `{}`", seat.task.id))?;
        let episode = Episode {
            id: seat.id,
            task: seat.task.clone(),
            turns: vec![],
            last_observation: String::new(),
            ending: Ending::Playing,
            reward: 0.0,
            score: 0.0,
            advantage: None,
            prompt: String::new(),
            teacher_prompt: String::new(),
            skills: vec![],
        };
        let mut game = Self {
            slot,
            env,
            episode,
            skills: seat.skills.clone(),
            context: vec![],
            opening: vec![],
            rows: vec![],
            penalty: 0.0,
            stop: [table.text.end()],
        };
        game.prompt(table, sampling)?;
        game.episode.prompt = table.text.render(&game.opening, true)?;
        Ok(game)
    }

    fn playing(&self) -> bool {
        self.episode.ending == Ending::Playing
    }

    /// Begins a new row from the present state of the game.
    fn prompt(&mut self, table: &Table, sampling: &Sampling) -> Result<()> {
        let observation = self.env.observation().to_string();
        let prompt = match sampling.layout {
            Layout::Transcript => Prompt::Transcript { observation },
            Layout::History => Prompt::History {
                past: self.episode.turns.iter().map(|t| (t.observation.clone(), t.action.clone())).collect(),
                observation,
                admissible: self.env.admissible(),
            },
        };
        let message = prompt.message(table.prompts, &self.episode.task.goal, self.skills.as_deref());
        self.opening = vec![Message::user(message)];
        self.context = table.text.open(&self.opening)?;
        let turn = self.episode.turns.len() as u32;
        self.rows.push(Row::begin(prompt, &self.context, turn));
        Ok(())
    }

    /// Ends the episode if the next reply would not fit the model's context.
    fn close_if_full(&mut self, table: &Table, sampling: &Sampling) {
        if self.context.len() + sampling.max_new_tokens + 1 + sampling.reserve > table.engine.info().context {
            self.episode.ending = Ending::ContextLimit;
            self.episode.last_observation = self.env.observation().to_string();
        }
    }

    fn request(&self, sampling: &Sampling) -> SampleRequest<'_> {
        let id = self.episode.id;
        let counters = [id.step, id.group as u64, id.member as u64, self.episode.turns.len() as u64];
        SampleRequest {
            slot: self.slot,
            context: &self.context,
            limit: sampling.max_new_tokens,
            temperature: sampling.temperature,
            stop: &self.stop,
            seed: crate::core::rng::seed(sampling.seed, "reply", &counters),
        }
    }

    /// Takes one reply: project it, step the environment, lay out the tokens.
    fn turn(&mut self, table: &Table, sampling: &Sampling, sample: Sample) -> Result<()> {
        let shown = if sample.closed { &sample.ids[..sample.ids.len() - 1] } else { &sample.ids[..] };
        let reply = table.text.decode(shown)?;
        let projected = table.prompts.project(&reply);
        let observation = self.env.observation().to_string();
        let step = self.env.step(&projected.action);
        self.episode.turns.push(Turn {
            observation,
            reply,
            action: projected.action,
            valid: projected.valid,
            reward: step.reward,
            tokens: sample.ids.len() as u32,
            stop: if sample.closed { Stop::Closed } else { Stop::TokenLimit },
        });
        self.episode.reward += step.reward;
        self.episode.score = step.score;
        let penalty = if projected.valid { 0.0 } else { table.world.invalid_penalty() };
        self.penalty += penalty;
        self.episode.ending = match (step.won, step.done) {
            _ if self.env.failure().is_some() => Ending::EnvError,
            (true, _) => Ending::Won,
            (false, true) => Ending::Lost,
            _ if self.episode.turns.len() >= table.world.max_turns() => Ending::TurnLimit,
            _ => Ending::Playing,
        };
        if let Some(row) = self.rows.last_mut() {
            row.reply(&sample, penalty);
        }
        if self.playing() {
            self.continue_with(table, sampling, sample, &step.observation)
        } else {
            let failure = self.env.failure().map(str::to_owned);
            self.episode.last_observation = failure.unwrap_or(step.observation);
            Ok(())
        }
    }

    /// Prepares the context of the next reply.
    fn continue_with(&mut self, table: &Table, sampling: &Sampling, sample: Sample, observation: &str) -> Result<()> {
        if sampling.layout == Layout::History {
            return self.prompt(table, sampling);
        }
        let mut given = if sample.closed { vec![] } else { vec![table.text.end()] };
        let next = Message::user(table.prompts.next(observation));
        given.extend(table.text.between(&self.opening, &next)?);
        self.context.extend(&sample.ids);
        self.context.extend(&given);
        let turn = self.episode.turns.len() as u32;
        if let Some(row) = self.rows.last_mut() {
            row.given(&given, turn);
        }
        Ok(())
    }

    fn finish(self) -> Played {
        Played { episode: self.episode, rows: self.rows, penalty: self.penalty }
    }
}
