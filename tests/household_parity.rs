//! The household against recordings of the original ALFWorld engine: every observation, every list of admissible
//! actions, every verdict. Skipped where the recordings are not at hand.

mod recorded;

use std::collections::{BTreeSet, HashMap};

use sdlab::env::Env;
use sdlab::env::household::{Household, spec::Spec};
use serde_json::Value;

#[test]
fn recorded_episodes_agree() {
    let (Some(games), Some(traces)) = (games(), recorded::lines("alfworld/parity_traces.jsonl.gz")) else { return };
    let (mut states, mut wrong) = (0, Vec::new());
    for trace in &traces {
        let game = trace["game"].as_str().unwrap();
        let mut env = Household::new(&games[game], 10.0).unwrap();
        let mut admissible: BTreeSet<String> = strings(&trace["init_adm"]).collect();
        let mut check = |env: &Household, observation: &Value, admissible: &BTreeSet<String>, ok: bool| {
            states += 1;
            let same = env.observation() == observation && admissible.iter().eq(env.admissible().iter());
            if !same || !ok {
                wrong.push(format!("{game}: {observation} but {}\n{:?}", env.observation(), env.admissible()));
            }
        };
        check(&env, &trace["init_obs"], &admissible, true);
        for step in trace["steps"].as_array().unwrap() {
            let done = env.step(step[0].as_str().unwrap());
            strings(&step[3]).for_each(|gone| assert!(admissible.remove(&gone)));
            admissible.extend(strings(&step[2]));
            check(&env, &step[1], &admissible, done.won == (step[4] == 1));
        }
    }
    assert!(wrong.is_empty(), "{} of {states} states differ, first:\n{}", wrong.len(), wrong[0]);
    assert!(states > 3000, "only {states} states were compared");
}

#[test]
fn expert_wins_every_real_game() {
    let Some(games) = games() else { return };
    for (id, spec) in &games {
        let mut env = Household::new(spec, 10.0).unwrap();
        let plan = env.expert();
        let rewards: f32 = plan.iter().map(|action| env.step(action).reward).sum();
        assert!(env.won() && rewards == 10.0, "{id}: {plan:?}");
    }
    assert!(games.len() > 400);
}

fn games() -> Option<HashMap<String, Spec>> {
    let games = recorded::lines("alfworld/games_compact.jsonl.gz")?;
    let spec = |game: Value| (game["id"].as_str().unwrap().to_owned(), serde_json::from_value(game).unwrap());
    Some(games.into_iter().map(spec).collect())
}

fn strings(list: &Value) -> impl Iterator<Item = String> + '_ {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned())
}
