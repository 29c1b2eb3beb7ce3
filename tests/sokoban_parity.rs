//! Sokoban against recordings of verl-agent's: every level from its seed, every step, and the prompts to the byte.
//! Skipped where the recordings are not at hand.

mod recorded;

use std::sync::Arc;

use sdlab::core::Split;
use sdlab::env::Env;
use sdlab::env::prompt::Prompts;
use sdlab::env::sokoban::board::Board;
use sdlab::env::sokoban::exact::{Shape, generate};
use sdlab::env::sokoban::levels::Levels;
use sdlab::env::sokoban::{Settings, Sokoban, solver};
use serde_json::Value;

#[test]
fn recorded_levels_and_steps_agree() {
    let Some(rows) = recorded::lines("sokoban/verl_agent_golden.jsonl.gz") else { return };
    let mut steps = 0;
    for row in &rows {
        let number = |v: &Value| v.as_u64().unwrap() as usize;
        let (seed, used) = (number(&row["seed"]) as u32, number(&row["used_seed"]) as u32);
        let cfg = &row["cfg"];
        let shape = Shape {
            height: number(&cfg["dim_room"][0]),
            width: number(&cfg["dim_room"][1]),
            boxes: number(&cfg["num_boxes"]),
            depth: number(&cfg["search_depth"]),
        };
        let level = generate(used, shape).unwrap_or_else(|| panic!("no level of seed {used} in {cfg}"));
        assert_eq!((&level.fixed, &level.cells), (&codes(&row["fixed"]), &codes(&row["state"])), "seed {seed} {cfg}");
        assert!(seed == used || generate(seed, shape).is_none(), "the original found seed {seed} barren");
        level.check().unwrap();
        let level = Arc::new(level);
        if let Some(shortest) = row["shortest"].as_array() {
            assert_eq!(solver::solve(&Board::new(level.clone())).len(), shortest.len(), "seed {seed} {cfg}");
        }
        let mut env = Sokoban::new(level, number(&cfg["max_steps"]));
        assert_eq!(env.observation(), row["obs"]);
        for step in row["trace"].as_array().unwrap() {
            let done = env.step(["Still", "Up", "Down", "Left", "Right"][number(&step[0])]);
            assert_eq!(done.observation, step[1].as_str().unwrap());
            assert!((f64::from(done.reward) - step[2].as_f64().unwrap()).abs() < 1e-5, "{} {step}", done.reward);
            assert_eq!([&step[3], &step[4], &step[5]], [done.done, done.won, done.effective], "seed {seed} {step}");
            steps += 1;
        }
    }
    assert!(rows.len() > 80 && steps > 2000, "only {} levels and {steps} steps", rows.len());
}

#[test]
fn recorded_prompts_agree() {
    let (Some(templates), Some(all)) =
        (recorded::original("sokoban", "verl-agent", "sokoban"), recorded::prompts("sokoban"))
    else {
        return;
    };
    let prompts = Prompts::new(templates).unwrap();
    let mut compared = 0;
    let mut seeds: Vec<u64> = all.iter().map(|row| row["id"].as_u64().unwrap()).collect();
    seeds.dedup();
    for seed in seeds {
        let rows: Vec<_> = all.iter().filter(|row| row["id"] == seed).collect();
        let level = Levels::new(&Settings::default()).unwrap().level(Split::Train, seed).unwrap();
        compared += recorded::play(&prompts, "", &mut Sokoban::new(Arc::new(level), 15), &rows);
    }
    assert_eq!(compared, all.len());
}

#[test]
fn boxoban_levels_load_and_the_first_ones_are_solved() {
    let Some(folder) = recorded::file("sokoban/boxoban") else { return };
    let settings = Settings { levels: folder.display().to_string(), ..Settings::default() };
    let levels = Levels::new(&settings).unwrap();
    let sizes = [Split::Train, Split::ValidSeen, Split::ValidUnseen].map(|split| levels.size(split));
    assert_eq!(sizes, [3000, 2000, 1000]);
    for split in [Split::Train, Split::ValidUnseen] {
        let mut env = Sokoban::new(Arc::new(levels.level(split, 0).unwrap()), 1000);
        let plan = env.expert();
        assert!(plan.iter().map(|a| env.step(a)).last().is_some_and(|step| step.won), "{split:?} {plan:?}");
    }
}

fn codes(rows: &Value) -> Vec<u8> {
    rows.as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap()).map(|c| c.as_u64().unwrap() as u8).collect()
}
