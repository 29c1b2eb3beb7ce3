//! How fast an environment is on one core.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::{Env, SPLITS, World};
use crate::core::Split;
use crate::core::rng::seed;

/// Per second, over rounds of the same work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub best: f64,
    pub median: f64,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Games started from a task.
    pub resets: Rate,
    /// Actions done, one after the other.
    pub steps: Rate,
    /// Actions done, with the list of what can be done after each.
    pub listed: Rate,
    /// Actions of a round.
    pub actions: usize,
}

/// Plays `games` training games `rounds` times with the same random possible actions, at most [`ACTIONS`] in each.
///
/// # Errors
/// A game cannot be opened, or there is none.
pub fn measure(world: &dyn World, games: u64, rounds: usize) -> Result<Speed> {
    let split = *SPLITS.iter().find(|split| world.size(**split) > 0).unwrap_or(&Split::Train);
    let games = games.min(world.size(split));
    ensure!(games > 0 && rounds > 0, "there is no game to play");
    let tasks = (0..games).map(|i| world.task(split, i)).collect::<Result<Vec<_>>>()?;
    let opened = tasks.iter().map(|task| world.open(task)).collect::<Result<Vec<_>>>()?;
    if let Some(failure) = opened.iter().find_map(|game| game.failure()) {
        bail!("{failure}");
    }
    let plays: Vec<_> = opened.iter().zip(0..).map(|(game, n)| (game.snapshot(), script(&**game, n))).collect();
    let actions: usize = plays.iter().map(|(_, actions)| actions.len()).sum();
    let play = |list: bool| {
        let run = || plays.iter().for_each(|(game, actions)| replay(&**game, actions, list));
        rate(rounds, actions, run)
    };
    Ok(Speed {
        resets: rate(rounds, tasks.len(), || tasks.iter().for_each(|task| drop(black_box(world.open(task))))),
        steps: play(false),
        listed: play(true),
        actions,
    })
}

/// Random possible actions from where a game is.
fn script(game: &dyn Env, number: u64) -> Vec<String> {
    let mut game = game.snapshot();
    let mut actions = Vec::new();
    for n in 0..ACTIONS {
        let mut choices = game.admissible();
        if choices.is_empty() {
            break;
        }
        let action = choices.swap_remove((seed(1, "bench", &[number, n]) % choices.len() as u64) as usize);
        let over = game.step(&action).done;
        actions.push(action);
        if over {
            break;
        }
    }
    actions
}

fn replay(game: &dyn Env, actions: &[String], list: bool) {
    let mut game = game.snapshot();
    for action in actions {
        black_box(game.step(action));
        if list {
            black_box(game.admissible());
        }
    }
}

fn rate(rounds: usize, count: usize, mut work: impl FnMut()) -> Rate {
    let mut seconds: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    Rate { best: count as f64 / seconds[0], median: count as f64 / seconds[rounds / 2] }
}

/// Most actions of a game.
pub const ACTIONS: u64 = 400;
