//! Whatever a model may write is answered by every world at home, in bounded length, without a panic.

use sdlab::core::Split;
use sdlab::env::open_world;

/// What only Sokoban takes for actions.
const MOVES: &str = "up || ";
const HOME: &[&str] = &["household", "shop", "search", "sokoban", "apps", "series", "scene"];

/// Texts that no environment expects.
fn hostile() -> Vec<String> {
    let words = [
        "go to ",
        "search[",
        "click[",
        "<search>",
        "</search>",
        "<answer>",
        "still || ",
        MOVES,
        "print(",
        "add a circle ",
        "submit ",
    ];
    let mut all: Vec<String> = [
        "",
        " ",
        "\n\n",
        "\0",
        "\u{1b}[2J\u{1b}]0;x\u{7}",
        "\u{202e}abc",
        "\u{feff}",
        "\u{fffd}\u{fffd}",
        "\u{1f9e6}\u{200d}\u{1f3fd}",
        "\u{c4}\u{308}\u{130}\u{df}",
        "{{ goal }}",
        "{% for %}",
        "%s%n",
        "'; drop table",
        "../../etc/passwd",
        "\\u0000",
        "NaN",
        "-0",
        "1e999",
    ]
    .map(str::to_owned)
    .to_vec();
    for word in words {
        all.push(word.to_owned());
        all.push(word.repeat(2_000));
        all.push(format!("{word}{}", "\u{e9}".repeat(100_000)));
        all.push(format!("{word}\u{0}\u{1b}[31m]"));
    }
    all
}

/// Where something went wrong, with the beginning of the action.
fn place(kind: &str, action: &str) -> String {
    format!("{kind} {:?}", action.chars().take(30).collect::<String>())
}

#[test]
fn every_world_answers_hostile_actions() {
    for kind in HOME {
        let world = open_world(kind, &toml::Table::new()).unwrap();
        let task = world.task(Split::Train, 1).unwrap();
        let fresh = world.open(&task).unwrap();
        let mut game = fresh.snapshot();
        for action in hostile() {
            let (at, before) = (place(kind, &action), game.observation().len());
            let step = game.step(&action);
            assert!(step.reward.abs() <= 20.0 && (0.0..=1.0).contains(&step.score), "{at}: {}", step.reward);
            // moves are no nonsense: enough of them may push a box home
            assert!(!step.won || (*kind, action.starts_with(MOVES)) == ("sokoban", true), "{at} wins");
            assert!(step.observation.len() < 20_000 + before, "{at}: {}", step.observation.len());
            assert!(game.failure().is_none(), "{at}");
            let shown = game.observation();
            assert!(!shown.contains('\u{1b}') && !shown.contains('\0'), "{at} comes back as it is");
            if step.done {
                game = fresh.snapshot();
            }
        }
        // the game is none the worse for it
        let mut game = fresh.snapshot();
        let won = game.expert().iter().map(|action| game.step(action)).last().is_some_and(|step| step.won);
        assert!(won, "{kind}");
    }
}

#[test]
fn what_is_over_stays_over() {
    for kind in HOME {
        let world = open_world(kind, &toml::Table::new()).unwrap();
        let mut game = world.open(&world.task(Split::Train, 2).unwrap()).unwrap();
        let plan = game.expert();
        plan.iter().for_each(|action| drop(game.step(action)));
        for action in plan.iter().chain(&hostile()[..10].to_vec()) {
            let (at, step) = (place(kind, action), game.step(action));
            assert!(step.done && step.reward <= 0.0, "{at}: {step:?}");
        }
        assert!(game.expert().is_empty(), "{kind}");
    }
}
