use sdlab::core::Split;
use sdlab::env::scene::SceneWorld;
use sdlab::env::scene::goal::Rule;
use sdlab::env::scene::program::Scene;
use sdlab::env::{SPLITS, Step, World};

fn world(settings: &str) -> SceneWorld {
    SceneWorld::from_table(&settings.parse().unwrap()).unwrap()
}

#[test]
fn the_expert_meets_every_condition_and_an_empty_canvas_does_not() {
    for settings in ["", "relations = 6\nfeedback = false", "relations = 0"] {
        let world = world(settings);
        for split in SPLITS {
            for index in 0..40 {
                let task = world.task(split, index).unwrap();
                let mut game = world.open(&task).unwrap();
                let mut lazy = game.snapshot();
                game.step("add x circle red 1 1 1");
                let steps: Vec<Step> = game.expert().iter().map(|action| game.step(action)).collect();
                let last = steps.last().unwrap();
                assert!(
                    steps.iter().all(|s| s.valid) && last.won && last.reward == 10.0,
                    "{}\n{}",
                    task.goal,
                    last.observation
                );
                let step = lazy.step("submit");
                assert!(step.done && !step.won && step.score < 1.0 && lazy.expert().is_empty());
            }
        }
    }
}

#[test]
fn conditions_say_what_they_judge() {
    let scene = |program: &str| {
        let mut scene = Scene { background: "white".into(), items: vec![] };
        scene.run(program).unwrap();
        scene
    };
    let two = scene("add a circle red 20 50 10; add b square blue 60 50 8");
    let (c, s) = ("circle".to_owned(), "square".to_owned());
    for (rule, holds) in [
        (Rule::Left(c.clone(), s.clone()), true),
        (Rule::Left(s.clone(), c.clone()), false),
        (Rule::Above(c.clone(), s.clone()), false),
        (Rule::Level(c.clone(), s.clone()), true),
        (Rule::Larger(c.clone(), s.clone()), true),
        (Rule::Larger(c.clone(), "diamond".into()), false),
        (Rule::Count(c.clone(), 1), true),
        (Rule::Total(3), false),
        (Rule::Inside, true),
        (Rule::Apart, true),
    ] {
        assert_eq!(rule.holds(&two), holds, "{}", rule.words());
    }
    let touching = scene("add a circle red 5 50 10; add b square blue 24 50 10");
    assert!(!Rule::Inside.holds(&touching) && !Rule::Apart.holds(&touching));
}

#[test]
fn odd_programs_are_answered() {
    let world = world("");
    let mut game = world.open(&world.task(Split::Train, 1).unwrap()).unwrap();
    let long = "add ".repeat(100_000);
    for action in ["", " ; \n", "palette nowhere", "add a", "\u{1b}[2J\0", "submit now", &long] {
        let step = game.step(action);
        assert!(!step.valid && !step.done && step.observation.len() < 900, "{action:.40}: {}", step.observation);
    }
    let show = game.step("show");
    assert!(show.valid && show.observation.starts_with("<svg"));
    let palettes = |split| -> std::collections::BTreeSet<String> {
        (0..40).map(|i| world.task(split, i).unwrap().goal.split('"').nth(1).unwrap().to_owned()).collect()
    };
    assert!(palettes(Split::Train).is_disjoint(&palettes(Split::ValidUnseen)));
}
