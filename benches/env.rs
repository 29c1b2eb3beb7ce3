//! Speed of the environments on one core: games of our own, played by the same random possible actions in every build.
//!
//! `cargo bench --bench env`; best and median of five rounds. `sdlab env bench NAME` measures other settings.

use sdlab::env::bench::{Rate, measure};
use sdlab::env::open_world;

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
    Ok(())
}

fn line(name: &str, rate: Rate) {
    println!("  {name:16} best {:10.0}/s, median {:10.0}/s, {:.2} us", rate.best, rate.median, 1e6 / rate.median);
}
