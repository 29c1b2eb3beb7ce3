//! Recordings of our own generated games: a change of a generator, a text or a rule shows here. They are made by
//! `SDLAB_REWRITE_GOLDENS=1 cargo test --test env_worlds goldens`, and read before they are committed.

use std::fmt::Write as _;
use std::path::Path;

use sdlab::core::Split;
use sdlab::env::{open_world, split_name};

const GAMES: &[(&str, &str)] = &[
    ("household", ""),
    ("household", "rooms = 'full'"),
    ("shop", ""),
    ("search", ""),
    ("sokoban", ""),
    ("sokoban", "generator = 'fast'"),
    ("apps", ""),
    ("series", ""),
    ("scene", ""),
];

/// The expert's game, and one odd action before it, as text.
fn recording(kind: &str, settings: &str) -> String {
    let world = open_world(kind, &settings.parse().unwrap()).unwrap();
    let mut out = String::new();
    for split in [Split::Train, Split::ValidSeen, Split::ValidUnseen] {
        if world.size(split) == 0 {
            continue;
        }
        let task = world.task(split, 0).unwrap();
        let mut game = world.open(&task).unwrap();
        writeln!(out, "=== {} ({})\n{}\n{}", task.id, task.kind, task.goal, game.observation()).unwrap();
        assert_eq!(split_name(split), task.id.split('/').nth(1).unwrap());
        let plan = game.expert();
        for action in std::iter::once("dance".to_owned()).chain(plan) {
            writeln!(out, "--- can: {}", short(&game.admissible().join(" | "))).unwrap();
            let step = game.step(&action);
            let marks = [("done", step.done), ("won", step.won), ("valid", step.valid)];
            let marks: Vec<_> = marks.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
            writeln!(
                out,
                "> {action}\n[{} {:.3} {}]\n{}",
                step.reward,
                step.score,
                marks.join(" "),
                short(&step.observation)
            )
            .unwrap();
        }
    }
    out
}

/// Long texts by their length and beginning.
fn short(text: &str) -> String {
    let start: String = text.chars().take(300).collect();
    if start.len() == text.len() { start } else { format!("{start}... ({} characters)", text.chars().count()) }
}

#[test]
fn generated_games_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/worlds");
    let rewrite = std::env::var_os("SDLAB_REWRITE_GOLDENS").is_some();
    for (kind, settings) in GAMES {
        let name = settings.split('\'').nth(1).map_or((*kind).to_owned(), |setting| format!("{kind}-{setting}"));
        let (path, now) = (folder.join(name).with_extension("txt"), recording(kind, settings));
        if rewrite {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &now).unwrap();
        }
        let before = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (n, (old, new)) in before.lines().zip(now.lines()).enumerate() {
            assert_eq!(old, new, "{}, line {}", path.display(), n + 1);
        }
        assert_eq!(before.lines().count(), now.lines().count(), "{}", path.display());
    }
}
