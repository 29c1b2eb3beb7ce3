//! Every recipe that comes with the program is valid.

use std::path::Path;

use sdlab::config::{Overrides, load};
use sdlab::env::prompt::Layout;

#[test]
fn recipes_in_runs_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("runs");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let recipe = load(Some(&path), &Overrides::default()).unwrap_or_else(|error| panic!("{error}"));
            names.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), recipe));
        }
    }
    let recipe = |name: &str| &names.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no `{name}`")).1;
    assert_eq!(recipe("default").method.name(), "sdar");
    assert_eq!(recipe("grpo").method.name(), "grpo");
    let paper = recipe("paper-alfworld-sdar");
    assert_eq!((paper.rollout.groups, paper.rollout.members, paper.rollout.layout), (16, 8, Layout::History));
    assert_eq!(paper.optim.lr, 1e-6);
}

#[test]
fn the_default_recipe_stays_short() {
    assert!(sdlab::config::DEFAULT_TEXT.lines().count() <= 25);
}
