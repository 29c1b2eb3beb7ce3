use std::collections::HashMap;
use std::time::Instant;

use super::super::{Household, HouseholdWorld, Settings};
use super::*;
use crate::env::{Env, World};

fn world(rooms: Rooms, max_turns: usize) -> HouseholdWorld {
    HouseholdWorld::new(Settings { rooms, max_turns, ..Settings::default() }).unwrap()
}

#[test]
fn small_games_are_small_balanced_and_winnable() {
    let world = world(Rooms::Small, 20);
    let mut types: HashMap<String, u32> = HashMap::new();
    for index in 0..600 {
        let spec = world.spec(Split::Train, index).unwrap();
        assert!((6..=9).contains(&spec.receptacles.len()), "{} receptacles", spec.receptacles.len());
        assert!((7..=11).contains(&spec.objects.len()), "{} objects", spec.objects.len());
        let mut env = Household::new(&spec, 10.0).unwrap();
        let plan = env.expert();
        assert!(!env.won() && plan.len() <= 10);
        assert!(plan.iter().all(|action| env.admissible().contains(action) && env.step(action).effective));
        assert!(env.won(), "{}", spec.desc);
        *types.entry(spec.task_type.name().to_owned()).or_default() += 1;
    }
    assert!(types.len() == 6 && types.values().all(|&n| n > 70), "{types:?}");
}

#[test]
fn full_games_are_large() {
    let world = world(Rooms::Full, 50);
    let specs: Vec<_> = (0..60).map(|i| world.spec(Split::ValidSeen, i).unwrap()).collect();
    assert!(specs.iter().all(|s| s.receptacles.len() >= 10 && s.objects.len() >= 25));
    assert!(specs.iter().any(|s| s.receptacles.len() > 25));
}

#[test]
fn a_task_is_a_function_of_its_id() {
    let world = world(Rooms::Small, 20);
    for split in [Split::Train, Split::ValidSeen, Split::ValidUnseen] {
        let task = world.task(split, 7).unwrap();
        assert_eq!(world.task_by_id(&task.id).unwrap(), task);
        let (one, two) = (world.open(&task).unwrap(), world.open(&task).unwrap());
        assert_eq!(one.observation(), two.observation());
        assert!(one.observation().ends_with(&task.goal));
    }
    let error = world.task(Split::ValidSeen, 1024).unwrap_err().to_string();
    assert_eq!(error, "`household/valid-seen/1024` does not exist");
}

#[test]
fn held_out_rooms_are_other_rooms() {
    let scenes = Scenes::new(Priors::standard(), Rooms::Small);
    assert_eq!((scenes.train.len(), scenes.unseen.len()), (40, 10));
    let shape = |l: &Layout| l.receptacles.iter().map(|p| (p.kind, p.openable)).collect::<Vec<_>>();
    let train: BTreeSet<_> = scenes.train.iter().map(shape).collect();
    let shared = scenes.unseen.iter().filter(|l| train.contains(&shape(l))).count();
    assert_eq!(shared, 0, "held-out layouts that also occur in training");
}

#[test]
fn a_snapshot_is_independent() {
    let world = world(Rooms::Small, 20);
    let mut env = world.start(&world.task(Split::Train, 3).unwrap()).unwrap();
    let mut copy = env.snapshot();
    let before = env.admissible();
    copy.step(&copy.expert()[0]);
    assert_eq!(env.admissible(), before);
    assert_ne!(copy.admissible(), before);
    assert!(!env.step("fly to the moon").effective);
    assert_eq!(env.observation(), "Nothing happens.");
}

#[test]
#[ignore = "measures speed"]
fn speed() {
    let world = world(Rooms::Small, 20);
    let start = Instant::now();
    (0..2000).for_each(|i| drop(world.spec(Split::Train, i).unwrap()));
    println!("{:.3} ms a game", start.elapsed().as_secs_f64() * 1000.0 / 2000.0);
    let mut env = world.start(&world.task(Split::Train, 1).unwrap()).unwrap();
    let actions = env.admissible();
    let start = Instant::now();
    for i in 0..1_000_000 {
        env.step(&actions[i % actions.len()]);
    }
    println!("{:.0} steps/s", 1e6 / start.elapsed().as_secs_f64());
}
