//! Every world can be trained on.

use sdlab::config::{Overrides, parse};
use sdlab::core::RunEvent;
use sdlab::core::exit::Exit;
use sdlab::env::KINDS;
use sdlab::run::Source;
use sdlab::session::Asserts;
use sdlab::wiring::{create_run, train_here};

const SMALL: &str = "
[run]
steps = 2
[rollout]
groups = 1
members = 2
max_new_tokens = 8
layout = 'history'
[eval]
games = 0
[optim]
minibatches = 1
[checkpoint]
final = false
";

#[test]
fn every_world_trains_for_two_steps() {
    for kind in KINDS.iter().map(|kind| kind.name).filter(|kind| *kind != "bridge") {
        let root = tempfile::tempdir().unwrap();
        let turns = if kind == "household" { 16 } else { 4 };
        let set = vec![format!("env.{kind}={{}}"), format!("env.{kind}.max_turns={turns}")];
        let mut recipe = parse("small.toml", SMALL, &Overrides { set, ..Overrides::default() }).unwrap();
        recipe.run.root = root.path().display().to_string();
        for path in [&mut recipe.model.path, &mut recipe.skills.bank] {
            *path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        }
        let folder = create_run(&recipe, "small.toml").unwrap();
        let exit = train_here(&folder, None, Asserts::default()).unwrap();
        let events: Vec<_> = Source::open(&folder).unwrap().all().unwrap().into_iter().map(|r| r.event).collect();
        assert_eq!(exit, Exit::Done, "{kind}: {:?}", events.last());
        let steps = events.iter().filter_map(|event| match event {
            RunEvent::Stepped { metrics, .. } => Some(metrics),
            _ => None,
        });
        let steps: Vec<_> = steps.collect();
        assert_eq!(steps.len(), 2, "{kind}");
        for metrics in steps {
            assert!(metrics["turns/mean"].unwrap() >= 1.0, "{kind}: no turn fits the starter's context");
            assert_eq!(metrics["env/errors"], Some(0.0), "{kind}");
        }
    }
}
