//! Speed of the environments on one core.
//!
//! `cargo bench --bench env`: steps per second with and without the list of what can be done, and the time of a reset,
//! best and median of five. Games of our own, played by the expert with detours (household), and by random moves
//! (sokoban); what is played is the same in every build.

use std::hint::black_box;
use std::time::Instant;

use sdlab::core::Split;
use sdlab::core::rng::seed;
use sdlab::env::{Env, World, open_world};

const ROUNDS: usize = 5;
const GAMES: u64 = 32;

fn main() {
    for (kind, settings) in [
        ("household", "rooms = 'small'"),
        ("household", "rooms = 'full'\nmax_turns = 50"),
        ("sokoban", "max_moves = 1000000"),
        ("sokoban", "max_moves = 1000000\nheight = 10\nwidth = 10\nboxes = 4\ngenerator = 'fast'"),
    ] {
        println!("{kind} ({})", settings.replace('\n', ", "));
        let world = open_world(kind, &settings.parse().expect("valid settings")).expect("a world");
        reset(&*world);
        let plays: Vec<_> = (0..GAMES).map(|i| script(&*world, i)).collect();
        let steps: usize = plays.iter().map(|(_, actions)| actions.len()).sum();
        report("steps", steps, || plays.iter().for_each(|(game, actions)| play(&**game, actions, false)));
        report("steps with list", steps, || plays.iter().for_each(|(game, actions)| play(&**game, actions, true)));
    }
}

/// A game, and what is done in it.
fn script(world: &dyn World, index: u64) -> (Box<dyn Env>, Vec<String>) {
    let game = world.open(&world.task(Split::Train, index).expect("a task")).expect("a game");
    let mut now = game.snapshot();
    let mut actions = Vec::new();
    for n in 0..400 {
        let choices = now.admissible();
        if choices.is_empty() {
            break;
        }
        let action = choices[(seed(1, "bench", &[index, n]) % choices.len() as u64) as usize].clone();
        now.step(&action);
        actions.push(action);
    }
    (game, actions)
}

fn play(game: &dyn Env, actions: &[String], list: bool) {
    let mut game = game.snapshot();
    for action in actions {
        black_box(game.step(action));
        if list {
            black_box(game.admissible());
        }
    }
}

fn reset(world: &dyn World) {
    let tasks: Vec<_> = (0..GAMES).map(|i| world.task(Split::Train, i).expect("a task")).collect();
    report("resets", tasks.len(), || tasks.iter().for_each(|task| drop(black_box(world.open(task)))));
}

fn report(name: &str, count: usize, mut work: impl FnMut()) {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let micros = |s: f64| s / count as f64 * 1e6;
    let (best, median) = (seconds[0], seconds[ROUNDS / 2]);
    println!(
        "  {name:16} best {:10.0}/s ({:.2} us), median {:10.0}/s",
        count as f64 / best,
        micros(best),
        count as f64 / median
    );
}
