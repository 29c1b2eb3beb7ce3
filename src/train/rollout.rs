//! Playing: groups of rollouts, all games of a step side by side in one running batch.

mod remote;

use anyhow::{Context, Result};

use super::facts::action_tokens;
use super::judge::TurnVerdict;
use super::row::{Layout, Prompt, Row};
use crate::core::{Ending, Episode, EpisodeId, Stop, Task, Turn, rng};
use crate::engine::{Engine, Filter, Finish, Sample, SampleRequest, Sampler, WeightSet};
use crate::env::prompt::Prompts;
use crate::env::{Env, World};
use crate::method::view::View;
use crate::skill::Context as Skills;
use crate::text::{Message, Stops, Text};

/// What a rollout is played with.
pub struct Table<'a> {
    pub engine: &'a mut dyn Engine,
    /// Whose weights play.
    pub weights: WeightSet,
    pub text: &'a Text,
    pub world: &'a dyn World,
    pub prompts: &'a Prompts,
}

/// How to sample and how to lay out rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    pub layout: Layout,
    /// Observation-action pairs shown in the `history` layout.
    pub history: usize,
    pub max_new_tokens: usize,
    pub temperature: f32,
    pub filter: Filter,
    /// Strings that close a reply, beside the end-of-turn token.
    pub stop: Vec<String>,
    /// Most replies sampled side by side; 0 = all.
    pub concurrent: usize,
    /// Most memory of the KV cache in bytes; 0 = no limit.
    pub cache_bytes: usize,
    /// Tokens of the context kept free, so that the row also fits behind the teacher's longer prompt.
    pub reserve: usize,
    /// Base of every reply's seed.
    pub seed: u64,
}

impl Sampling {
    fn sampler<'a>(&self, stops: &'a Stops<'a>) -> Sampler<'a> {
        Sampler {
            filter: self.filter,
            concurrent: self.concurrent,
            cache_bytes: self.cache_bytes,
            ..Sampler::new(self.temperature, stops)
        }
    }
}

/// One seat: a task to be played once, perhaps with skills in the student's own prompt.
#[derive(Clone, Debug)]
pub struct Seat {
    pub id: EpisodeId,
    pub task: Task,
    /// Skills the *student* sees; only baselines and evaluations with skills set this.
    pub skills: Option<Skills>,
    /// Tools of the environment that are withheld.
    pub withheld: Vec<String>,
}

/// A finished episode and its training rows.
#[derive(Clone, Debug)]
pub struct Played {
    pub episode: Episode,
    pub rows: Vec<Row>,
    /// Under which prompt the replies were sampled.
    pub view: View,
    /// Not one of the group's own rollouts.
    pub extra: bool,
    /// What its teacher reads, where that is settled already.
    pub context: Option<String>,
    /// Skills its sampler read.
    pub read: Option<String>,
    /// What the judge said of its turns.
    pub verdicts: Vec<TurnVerdict>,
    /// Sum over turns of the penalty for replies without the required form; >= 0.
    pub penalty: f32,
}

/// Told when an episode begins and after every turn: the episode, and how many are over; without an episode now and then
/// while games elsewhere are waited for. An error stops the rollout.
pub type Watch<'a> = dyn FnMut(Option<&Episode>, usize) -> Result<()> + 'a;

/// Plays all seats to the end. Every episode goes at its own pace: its environment steps as soon as its reply ends,
/// and its next reply joins those that are being sampled.
pub fn play(table: &mut Table, seats: &[Seat], sampling: &Sampling, watch: &mut Watch) -> Result<Vec<Played>> {
    let stops = table.text.closing(&sampling.stop);
    let sampler = sampling.sampler(&stops);
    let longest = table.engine.info().context.saturating_sub(sampling.reserve + 1);
    let scene = Scene { text: table.text, world: table.world, prompts: table.prompts, sampling, longest };
    let sampler = Sampler { longest, ..sampler };
    if scene.world.is_remote() {
        let live = table.weights == WeightSet::Live;
        anyhow::ensure!(live, "a teacher of other weights cannot play games that run elsewhere");
        return remote::play(table.engine, &scene, &sampler, seats, watch);
    }
    let mut games = Vec::with_capacity(seats.len());
    for (slot, seat) in seats.iter().enumerate() {
        games.push(Game::open(&scene, seat, slot)?);
    }
    let first = games.iter().filter_map(|game| game.request(&scene)).collect();
    let mut over = games.iter().filter(|game| !game.playing()).count();
    for game in &games {
        watch(Some(&game.episode), over)?;
    }
    table.engine.sample_as(table.weights, &sampler, first, &mut |finished| {
        let game = &mut games[finished.slot];
        game.turn(&scene, finished.sample)?;
        over += usize::from(!game.playing());
        watch(Some(&game.episode), over)?;
        Ok(game.request(&scene).into_iter().collect())
    })?;
    Ok(games.into_iter().map(Game::finish).collect())
}

/// What all games of a rollout share.
struct Scene<'a> {
    text: &'a Text,
    world: &'a dyn World,
    prompts: &'a Prompts,
    sampling: &'a Sampling,
    /// Most tokens of a row.
    longest: usize,
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
}

impl Game {
    fn open(scene: &Scene, seat: &Seat, slot: usize) -> Result<Self> {
        let mut env = scene.world.open(&seat.task).with_context(|| format!("cannot open task `{}`", seat.task.id))?;
        env.withhold(&seat.withheld);
        let mut task = seat.task.clone();
        if let Some(goal) = env.goal() {
            task.goal = goal.to_owned();
        }
        let episode = Episode {
            id: seat.id,
            task,
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
            skills: seat.skills.as_ref().map(|context| context.text.clone()),
            context: vec![],
            opening: vec![],
            rows: vec![],
            penalty: 0.0,
        };
        if let Some(failure) = game.env.failure() {
            (game.episode.ending, game.episode.last_observation) = (Ending::EnvError, failure.to_owned());
            return Ok(game);
        }
        game.prompt(scene)?;
        game.episode.prompt = scene.text.render(&game.opening, true)?;
        game.close_if_full(scene);
        game.leave_if_over();
        Ok(game)
    }

    fn playing(&self) -> bool {
        self.episode.ending == Ending::Playing
    }

    /// Begins a new row from the present state of the game.
    fn prompt(&mut self, scene: &Scene) -> Result<()> {
        let observation = self.env.observation().to_string();
        let prompt = match scene.sampling.layout {
            Layout::Transcript => Prompt::Transcript { observation },
            Layout::History => Prompt::History {
                past: self.episode.turns.iter().map(|t| (t.observation.clone(), t.action.clone())).collect(),
                observation,
                admissible: self.env.admissible(),
            },
        };
        let message = prompt.message(scene.prompts, &self.episode.task.goal, self.skills.as_deref());
        self.opening = vec![Message::user(message)];
        self.context = scene.text.open(&self.opening)?;
        let turn = self.episode.turns.len() as u32;
        self.rows.push(Row::begin(prompt, &self.context, turn));
        Ok(())
    }

    /// Ends the episode if not even one token more would fit. Its last row ends with its last reply.
    fn close_if_full(&mut self, scene: &Scene) {
        if self.playing() && self.context.len() >= scene.longest {
            if self.rows.last_mut().is_some_and(|row| !row.end_with_reply()) {
                self.rows.pop();
            }
            self.episode.ending = Ending::ContextLimit;
            self.episode.last_observation = self.env.observation().to_string();
        }
    }

    /// Asks for the next reply, if the episode goes on.
    fn request(&self, scene: &Scene) -> Option<SampleRequest> {
        let id = self.episode.id;
        let counters = [id.step, id.group as u64, id.member as u64, self.episode.turns.len() as u64];
        self.playing().then(|| SampleRequest {
            slot: self.slot,
            context: self.context.clone(),
            limit: scene.sampling.max_new_tokens,
            seed: rng::seed(scene.sampling.seed, "reply", &counters),
        })
    }

    /// Takes one reply: project it, step the environment, lay out the tokens.
    fn turn(&mut self, scene: &Scene, sample: Sample) -> Result<()> {
        let shown = match sample.ids.split_last() {
            Some((last, rest)) if scene.text.stops().contains(last) => rest,
            _ => &sample.ids,
        };
        let reply = scene.text.decode(shown)?;
        let projected = scene.prompts.project(&reply);
        let observation = self.env.observation().to_string();
        let step = self.env.step(&projected.action);
        self.episode.turns.push(Turn {
            observation,
            reply,
            action: projected.action,
            valid: projected.valid,
            reward: step.reward,
            tokens: sample.ids.len() as u32,
            stop: match sample.finish {
                Finish::Stop => Stop::Closed,
                Finish::Length => Stop::TokenLimit,
                Finish::Context => Stop::ContextLimit,
            },
        });
        self.episode.reward += step.reward;
        self.episode.score = step.score;
        let penalty = if projected.valid { 0.0 } else { scene.world.invalid_penalty() };
        self.penalty += penalty;
        self.episode.ending = match (step.won, step.done) {
            _ if self.env.failure().is_some() => Ending::EnvError,
            (true, _) => Ending::Won,
            (false, true) => Ending::Lost,
            _ if self.episode.turns.len() >= scene.world.max_turns() => Ending::TurnLimit,
            _ => Ending::Playing,
        };
        if let Some(row) = self.rows.last_mut() {
            row.reply(&sample, penalty);
            row.acted(sample.ids.len(), action_tokens(scene.text, &sample.ids, &self.episode.turns));
        }
        if self.playing() {
            self.continue_with(scene, sample, &step.observation)?;
            self.close_if_full(scene);
        } else {
            let failure = self.env.failure().map(str::to_owned);
            self.episode.last_observation = failure.unwrap_or(step.observation);
        }
        self.leave_if_over();
        Ok(())
    }

    /// Others may be waiting for what the environment keeps for this game.
    fn leave_if_over(&mut self) {
        if !self.playing() {
            self.env.leave();
        }
    }

    /// Prepares the context of the next reply.
    fn continue_with(&mut self, scene: &Scene, sample: Sample, observation: &str) -> Result<()> {
        if scene.sampling.layout == Layout::History {
            return self.prompt(scene);
        }
        // cut off, or closed by something else than the template's own token: that one keeps the chat in form
        let end = scene.text.end();
        let mut given = if sample.ids.last() == Some(&end) { vec![] } else { vec![end] };
        let next = Message::user(scene.prompts.next(observation));
        given.extend(scene.text.between(&self.opening, &next)?);
        self.context.extend(&sample.ids);
        self.context.extend(&given);
        let turn = self.episode.turns.len() as u32;
        if let Some(row) = self.rows.last_mut() {
            row.given(&given, turn);
        }
        Ok(())
    }

    fn finish(self) -> Played {
        let view = if self.skills.is_some() { View::Skilled } else { View::Plain };
        let Game { episode, rows, penalty, .. } = self;
        Played { episode, rows, view, extra: false, context: None, read: None, verdicts: vec![], penalty }
    }
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
