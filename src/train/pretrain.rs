//! Makes the starter: a tokenizer and a small model that has read scripted play of middling quality, part of it
//! guided by skills in its prompt. Nothing of the later reinforcement learning is in here.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::RngExt;
use rayon::prelude::*;

use super::row::{Prompt, Row};
use crate::core::rng;
use crate::core::{Split, Task};
use crate::engine::candle::{self, Architecture, CandleEngine, Family};
use crate::engine::{AdamW, Coefficients, Engine, Sample, Scores};
use crate::env::World;
use crate::env::household::HouseholdWorld;
use crate::env::household::advice::{Advice, random_advice};
use crate::env::household::conduct::Conduct;
use crate::env::household::player;
use crate::env::prompt::Prompts;
use crate::text::{self, Message, Text};

/// What `sdlab pretrain` is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Folder of the model to be made.
    pub out: std::path::PathBuf,
    /// Wall time for the training itself.
    pub time: Duration,
    pub seed: u64,
    /// Width of the model; feed-forward is three times as wide, heads are 32 wide.
    pub width: usize,
    pub layers: usize,
    pub vocab: usize,
    /// Share of demonstrations with skills in the prompt.
    pub skilled: f64,
    /// Peak learning rate.
    pub lr: f64,
}

/// Longest row the model is built for.
const CONTEXT: usize = 1536;
/// Demonstrations the tokenizer is trained on.
const TOKENIZER_DEMOS: u64 = 1500;
/// Tokens of one update, about.
const BATCH_TOKENS: usize = 12_000;
/// Every so many tokens that the environment wrote are predicted too: reading helps acting.
const OBSERVATION_EVERY: usize = 4;
/// Weight of such a token, against 1 for replies.
const OBSERVATION_WEIGHT: f32 = 0.25;
/// Rows whose gradient is made at once.
const ROWS_AT_ONCE: usize = 6;
/// Training tasks used here lie above this index, those of later runs below it.
const FIRST_TASK: u64 = 1 << 40;

/// Trains tokenizer and model and writes the model folder. `tell` hears of the progress.
pub fn run(world: &HouseholdWorld, prompts: &Prompts, plan: &Plan, tell: &mut dyn FnMut(String)) -> Result<()> {
    let demo = |i: u64| demonstrate(world, prompts, plan, i);
    let demos: Vec<Demo> = (0..TOKENIZER_DEMOS).into_par_iter().map(demo).collect::<Result<_>>()?;
    text::train::write(&plan.out, demos.iter().map(Demo::text), plan.vocab)?;
    let text = Text::load(&plan.out)?;
    let mut engine = CandleEngine::init(config(plan, &text), plan.seed)?;
    tell(format!("{} parameters, {} tokens in the vocabulary", engine.info().parameters, text.vocab()));
    let start = Instant::now();
    let (mut next, mut tokens) = (0u64, 0usize);
    for update in 0u64.. {
        let done = start.elapsed().as_secs_f64() / plan.time.as_secs_f64();
        if done >= 1.0 {
            break;
        }
        let rows = batch(world, prompts, plan, &text, &mut next)?;
        let size: usize = rows.iter().map(|r| r.ids.len()).sum();
        tokens += size;
        let nll = learn(&mut engine, &rows, plan.lr * schedule(update, done))?;
        if update.is_multiple_of(50) {
            let seconds = start.elapsed().as_secs_f64();
            tell(format!("update {update}  {seconds:.0} s  {next} episodes  {tokens} tokens  reply nll {nll:.4}"));
        }
    }
    candle::export(&engine, &plan.out)
}

/// Rises over the first 100 updates, falls by a cosine to a tenth.
fn schedule(update: u64, done: f64) -> f64 {
    let warm = ((update + 1) as f64 / 100.0).min(1.0);
    warm * (0.55 + 0.45 * (std::f64::consts::PI * done).cos())
}

fn config(plan: &Plan, text: &Text) -> Architecture {
    let small = Architecture::small(Family::Qwen3, text.vocab(), plan.width, plan.layers);
    Architecture { max_position_embeddings: CONTEXT, ..small }
}

/// One scripted episode.
struct Demo {
    prompt: Prompt,
    first: String,
    turns: Vec<player::DemoTurn>,
}

impl Demo {
    /// The chat with its roles, so that these become tokens too.
    fn text(&self) -> String {
        let turns = self.turns.iter().map(|t| format!("user\n{}\nassistant\n{}", t.observation, t.reply));
        std::iter::once(self.first.clone()).chain(turns).collect::<Vec<_>>().join("\n")
    }
}

/// The `index`-th demonstration: a pure function of the plan's seed.
fn demonstrate(world: &HouseholdWorld, prompts: &Prompts, plan: &Plan, index: u64) -> Result<Demo> {
    let mut rng = rng::stream(plan.seed, "demo", &[index]);
    let task: Task = world.task(Split::Train, FIRST_TASK + rng.random_range(0..FIRST_TASK))?;
    let game = world.start(&task)?;
    let mut conduct = Conduct::plain(&mut rng);
    let mut skills = None;
    if rng.random_bool(plan.skilled) {
        let advice = random_advice(&game, &mut rng);
        advice.iter().for_each(|a| a.apply(&mut conduct));
        skills = Some(advice.iter().map(Advice::text).collect::<Vec<_>>().join("\n"));
    }
    let observation = crate::env::Env::observation(&game).to_string();
    let turns = player::play(&game, &conduct, &mut rng, world.max_turns()).turns;
    let prompt = Prompt::Transcript { observation };
    let first = prompt.message(prompts, &task.goal, skills.as_deref());
    Ok(Demo { prompt, first, turns })
}

/// The next demonstrations, enough for one update.
fn batch(world: &HouseholdWorld, prompts: &Prompts, plan: &Plan, text: &Text, next: &mut u64) -> Result<Vec<Row>> {
    const AT_ONCE: u64 = 8;
    let mut rows: Vec<Row> = vec![];
    while rows.iter().map(|r| r.ids.len()).sum::<usize>() < BATCH_TOKENS {
        let made: Result<Vec<Row>> = (*next..*next + AT_ONCE)
            .into_par_iter()
            .map(|i| row(demonstrate(world, prompts, plan, i)?, prompts, text))
            .collect();
        rows.extend(made?.into_iter().filter(|r| r.ids.len() <= CONTEXT));
        *next += AT_ONCE;
    }
    Ok(rows)
}

/// A demonstration in the transcript layout, replies as if they had been sampled.
fn row(demo: Demo, prompts: &Prompts, text: &Text) -> Result<Row> {
    let opening = vec![Message::user(demo.first)];
    let mut row = Row::begin(demo.prompt, &text.open(&opening)?, 0);
    for (i, turn) in demo.turns.iter().enumerate() {
        if i > 0 {
            let next = Message::user(prompts.next(&turn.observation));
            row.given(&text.between(&opening, &next)?, i as u32);
        }
        let mut ids = text.encode(&turn.reply)?;
        ids.push(text.end());
        row.reply(&Sample { logp: vec![0.0; ids.len()], ids, ..Sample::default() }, 0.0);
    }
    Ok(row)
}

/// One update by weighted negative log-likelihood. Returns the mean over reply tokens.
fn learn(engine: &mut CandleEngine, rows: &[Row], lr: f64) -> Result<f64> {
    let targets: Vec<Vec<bool>> = rows
        .iter()
        .map(|r| (0..r.ids.len()).map(|t| t > 0 && (r.mask[t] || t.is_multiple_of(OBSERVATION_EVERY))).collect())
        .collect();
    let weights: Vec<Vec<f32>> = rows
        .iter()
        .zip(&targets)
        .map(|(r, targets)| {
            let weight = |t: usize| if r.mask[t] { 1.0 } else { OBSERVATION_WEIGHT };
            (0..r.ids.len()).filter(|&t| targets[t]).map(weight).collect()
        })
        .collect();
    let total: f32 = weights.iter().flatten().sum();
    let mut nll = (0f64, 0f64);
    // The scale is known beforehand, so every few rows can go their way back at once: less memory is in use.
    for at in (0..rows.len()).step_by(ROWS_AT_ONCE) {
        let part = at..(at + ROWS_AT_ONCE).min(rows.len());
        let score_rows: Vec<_> =
            part.clone().map(|i| crate::engine::ScoreRow::new(&rows[i].ids, &targets[i])).collect();
        engine.forward_backward(&score_rows, 1.0, &mut |scores: &[Scores]| {
            for (s, i) in scores.iter().zip(part.clone()) {
                for (logp, _) in s.logp.iter().zip(&weights[i]).filter(|(_, weight)| **weight == 1.0) {
                    nll = (nll.0 - *logp as f64, nll.1 + 1.0);
                }
            }
            let scaled =
                |w: &Vec<f32>| Coefficients { logp: w.iter().map(|w| -w / total).collect(), ..Default::default() };
            Ok(weights[part.clone()].iter().map(scaled).collect())
        })?;
    }
    engine.optim_step(&AdamW { lr, beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.05, max_grad_norm: 1.0 })?;
    Ok(nll.0 / nll.1.max(1.0))
}

/// Reads a model folder made by [`run`], to say what it can do before anything is trained.
pub fn load(folder: &Path) -> Result<(CandleEngine, Text)> {
    let engine = CandleEngine::load(folder).with_context(|| format!("cannot load {}", folder.display()))?;
    Ok((engine, Text::load(folder)?))
}
