use sdlab::core::Split;
use sdlab::env::series::SeriesWorld;
use sdlab::env::series::source::Series;
use sdlab::env::{SPLITS, Step, World};

fn world(settings: &str) -> SeriesWorld {
    SeriesWorld::from_table(&settings.parse().unwrap()).unwrap()
}

#[test]
fn the_expert_wins_and_guessing_zero_does_not() {
    for settings in ["", "dropout = 0.8", "history = 8\nhorizon = 3"] {
        let world = world(settings);
        for split in SPLITS {
            for index in 0..40 {
                let task = world.task(split, index).unwrap();
                let mut game = world.open(&task).unwrap();
                let mut poor = game.snapshot();
                let plan = game.expert();
                let steps: Vec<Step> = plan.iter().map(|action| game.step(action)).collect();
                let last = steps.last().unwrap();
                assert!(steps.iter().all(|s| s.valid) && last.won && last.reward == 10.0, "{} {plan:?}", task.id);
                let zeros = vec!["-99999"; world.series(split, index).unwrap().future.len()].join(", ");
                let step = poor.step(&format!("submit {zeros}"));
                assert!(step.done && !step.won && step.score < 0.01, "{}", step.observation);
            }
        }
    }
}

#[test]
fn odd_commands_are_answered() {
    let world = world("dropout = 0.9");
    let mut game = world.open(&world.task(Split::Train, 3).unwrap()).unwrap();
    let long = "submit ".to_owned() + &"1, ".repeat(50_000);
    for action in [
        "",
        "submit",
        "submit 1",
        "submit inf inf inf inf inf inf",
        "try magic",
        "correlate 0",
        "correlate 48",
        "\u{1b}[2J",
        &long,
    ] {
        let step = game.step(action);
        assert!(
            !step.valid && !step.done && step.reward == 0.0 && step.observation.len() < 300,
            "{action:.40}: {}",
            step.observation
        );
    }
    let kinds = |split| (0..20).map(|i| world.task(split, i).unwrap().kind).collect::<std::collections::BTreeSet<_>>();
    assert!(kinds(Split::Train).is_disjoint(&kinds(Split::ValidUnseen)));
}

#[test]
fn columns_of_a_file_are_series() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let open = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        SeriesWorld::from_table(
            &format!("data = '{}'\nhistory = 8\nhorizon = 2", file.path().display()).parse().unwrap(),
        )
    };
    let rows = |columns: usize, count: usize| {
        let head: Vec<String> = (0..columns).map(|c| format!("c{c}")).collect();
        let line = |n: usize| (0..columns).map(|c| (n * 10 + c).to_string()).collect::<Vec<_>>().join(",");
        format!("day,{}\n{}", head.join(","), (0..count).map(|n| format!("d{n},{}\n", line(n))).collect::<String>())
    };
    let world = open(&rows(5, 60)).unwrap();
    for split in SPLITS {
        for index in 0..30 {
            let Series { name, past, future, .. } = world.series(split, index).unwrap();
            assert_eq!((past.len(), future.len(), name == "c4"), (8, 2, split == Split::ValidUnseen));
            let late = future[1] >= 480.0;
            assert!(split == Split::ValidUnseen || late == (split == Split::ValidSeen), "{split:?} {future:?}");
        }
    }
    assert_eq!(open(&rows(1, 12)).unwrap().size(Split::ValidUnseen), 0);
    for (text, expected) in [
        ("", "the file is empty"),
        ("a,b\n1,2\n3\n", "line 3: 1 values for 2 columns"),
        ("a\n1\nx\n", "line 3, column `a`: expected a number, found \"x\""),
        ("a\n1\ninf\n", "line 3, column `a`: expected a number, found \"inf\""),
        ("a\n1\n2\n", "no column holds 10 numbers"),
    ] {
        let error = format!("{:#}", open(text).err().unwrap());
        assert!(error.contains(expected), "{error}");
    }
}
