//! Speed of the environments on one core: games of our own, played by the same random possible actions in every build.
//!
//! `cargo bench --bench env`; best and median of five rounds. `sdlab env bench NAME` measures other settings. The last
//! lines are what a step over the bridge costs more than the same step at home.

use std::net::TcpListener;
use std::thread;
use std::time::Instant;

use sdlab::core::Split;
use sdlab::env::bench::{Rate, measure};
use sdlab::env::serve::{Host, http};
use sdlab::env::{Env, World, open_world};

fn main() -> anyhow::Result<()> {
    for (kind, settings) in [
        ("household", "rooms = 'small'"),
        ("household", "rooms = 'full'\nmax_turns = 50"),
        ("sokoban", "max_moves = 400"),
        ("sokoban", "max_moves = 400\nheight = 10\nwidth = 10\nboxes = 4\ngenerator = 'fast'"),
    ] {
        println!("{kind} ({})", settings.replace('\n', ", "));
        let world = open_world(kind, &settings.parse()?)?;
        let speed = measure(&*world, 64, 5)?;
        line("resets", speed.resets);
        line("steps", speed.steps);
        line("steps with list", speed.listed);
    }
    bridge()
}

/// The same moves at home and over a socket on this machine, and the moves of many games at a time.
fn bridge() -> anyhow::Result<()> {
    let settings = "max_moves = 100000\nmax_turns = 100000".parse()?;
    let home = open_world("sokoban", &settings)?;
    let host = Host::new(open_world("sokoban", &settings)?, "", 256);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("url = 'ws://{}/ws'", listener.local_addr()?);
    thread::spawn(move || http::serve(&host, &listener));
    let away = open_world("bridge", &url.parse()?)?;
    let time = |game: &mut dyn Env| {
        let start = Instant::now();
        (0..STEPS).for_each(|n| drop(game.step(["up", "down"][n % 2])));
        start.elapsed().as_secs_f64() / STEPS as f64
    };
    let open = |world: &dyn World| world.open(&world.task(Split::Train, 3)?);
    let (mut here, mut there) = (open(&*home)?, open(&*away)?);
    let mut more: Vec<f64> = (0..5).map(|_| time(&mut *there) - time(&mut *here)).collect();
    more.sort_by(f64::total_cmp);
    println!("bridge: best {:.4} ms, median {:.4} ms more for a step", 1e3 * more[0], 1e3 * more[2]);
    // its session goes back: there are 256 in all
    drop(there);
    let mut games =
        (0..256).map(|index| away.open(&away.task(Split::Train, index)?)).collect::<anyhow::Result<Vec<_>>>()?;
    let start = Instant::now();
    thread::scope(|scope| {
        games.iter_mut().for_each(|game| drop(scope.spawn(|| (0..20).for_each(|_| drop(game.step("up"))))));
    });
    let rate = (256 * 20) as f64 / start.elapsed().as_secs_f64();
    println!("bridge, 256 games at a time: {rate:.0} steps/s in all");
    Ok(())
}

/// Steps of a round.
const STEPS: usize = 5000;

fn line(name: &str, rate: Rate) {
    println!("  {name:16} best {:10.0}/s, median {:10.0}/s, {:.2} us", rate.best, rate.median, 1e6 / rate.median);
}
