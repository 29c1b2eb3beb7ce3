//! The papers' templates, filled in from replayed games, give the papers' prompts to the byte.

mod recorded;

use sdlab::env::household::{Household, spec::Spec};
use sdlab::env::prompt::Prompts;

#[test]
fn recorded_prompts_agree() {
    let Some(templates) = recorded::original("household", "verl-agent", "alfworld") else { return };
    let (Some(games), Some(all)) = (recorded::lines("alfworld/games_compact.jsonl.gz"), recorded::prompts("alfworld"))
    else {
        return;
    };
    let prompts = Prompts::new(templates).unwrap();
    let mut compared = 0;
    for game in games {
        let rows: Vec<_> = all.iter().filter(|row| row["id"] == game["id"]).collect();
        if rows.is_empty() {
            continue;
        }
        let spec: Spec = serde_json::from_value(game).unwrap();
        let mut env = Household::new(&spec, 10.0).unwrap();
        compared += recorded::play(&prompts, &spec.desc, &mut env, &rows);
    }
    assert_eq!(compared, all.len());
}
