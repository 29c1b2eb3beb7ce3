use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use super::super::advice::{random_advice, true_advice};
use super::super::{HouseholdWorld, Settings};
use super::*;
use crate::core::Split;
use crate::core::rng::stream;
use crate::env::World;
use crate::env::projection::{Form, Projection};

type Make = fn(&Household, &mut ChaCha8Rng) -> Conduct;

/// Plays `games` games; returns the share won and prints it by task type.
fn win_rate(name: &str, games: u64, make: Make) -> f64 {
    let world = HouseholdWorld::new(Settings::default()).unwrap();
    let mut tally: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let (mut won, mut turns) = (0, 0);
    for index in 0..games {
        let task = world.task(Split::Train, index).unwrap();
        let env = world.start(&task).unwrap();
        let mut rng = stream(1, name, &[index]);
        let conduct = make(&env, &mut rng);
        let demo = play(&env, &conduct, &mut rng, world.max_turns());
        won += u32::from(demo.won);
        turns += demo.turns.len();
        let entry = tally.entry(task.kind).or_default();
        *entry = (entry.0 + u32::from(demo.won), entry.1 + 1);
    }
    let share = |(won, all): (u32, u32)| f64::from(won) / f64::from(all);
    let types: Vec<_> = tally.iter().map(|(k, v)| format!("{k} {:.2}", share(*v))).collect();
    println!(
        "{name:8} {:.3}  turns {:.1}  {}",
        share((won, games as u32)),
        turns as f64 / games as f64,
        types.join(", ")
    );
    share((won, games as u32))
}

fn plain(_: &Household, rng: &mut ChaCha8Rng) -> Conduct {
    Conduct::plain(rng)
}

fn advised(env: &Household, rng: &mut ChaCha8Rng) -> Conduct {
    let mut conduct = Conduct::plain(rng);
    true_advice(env).iter().for_each(|advice| advice.apply(&mut conduct));
    conduct
}

fn mixed(env: &Household, rng: &mut ChaCha8Rng) -> Conduct {
    let mut conduct = Conduct::plain(rng);
    random_advice(env, rng).iter().for_each(|advice| advice.apply(&mut conduct));
    conduct
}

#[test]
fn success_bands_hold() {
    let games = 300;
    let (plain, mixed) = (win_rate("plain", games, plain), win_rate("mixed", games, mixed));
    let advised = win_rate("advised", games, advised);
    let expert = win_rate("expert", games, |_, _| Conduct::expert());
    assert!((0.18..=0.32).contains(&plain), "plain play wins {plain}");
    assert!(plain < mixed && mixed < advised, "random advice helps less than true advice: {mixed}");
    assert!(advised >= 0.75, "with true advice {advised}");
    assert!(expert >= 0.85, "the best player wins {expert}");
}

#[test]
fn replies_have_the_required_form() {
    let world = HouseholdWorld::new(Settings::default()).unwrap();
    for index in 0..100 {
        let env = world.start(&world.task(Split::Train, index).unwrap()).unwrap();
        let mut rng = stream(2, "form", &[index]);
        let demo = play(&env, &Conduct::plain(&mut rng), &mut rng, 20);
        assert!(!demo.turns.is_empty() && demo.turns.len() <= 20);
        for turn in &demo.turns {
            assert!(Projection::new(Form::Action).project(&turn.reply).valid);
            let thought = turn.reply.split("</think>").next().unwrap();
            assert!(thought.split_whitespace().count() <= 8, "{thought}");
        }
        let again = play(&env, &Conduct::expert(), &mut stream(3, "same", &[]), 20);
        assert_eq!(again, play(&env, &Conduct::expert(), &mut stream(3, "same", &[]), 20));
    }
}

#[test]
#[ignore = "prints games to read"]
fn show() {
    let world = HouseholdWorld::new(Settings::default()).unwrap();
    for index in 0..6 {
        let env = world.start(&world.task(Split::Train, index).unwrap()).unwrap();
        let mut rng = stream(4, "show", &[index]);
        let demo = play(&env, &advised(&env, &mut rng), &mut rng, 20);
        true_advice(&env).iter().for_each(|a| println!("  {}", a.text()));
        for turn in demo.turns {
            println!("{}\n    {}", turn.observation, turn.reply);
        }
        println!("won: {}\n", demo.won);
    }
}
