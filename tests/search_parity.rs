//! Search against recordings of the original: exact matches, episodes, and prompts. Skipped where the recordings are
//! not at hand.

mod recorded;

use std::sync::Arc;

use sdlab::core::Split;
use sdlab::env::prompt::{Prompts, Templates};
use sdlab::env::search::answer::{contains_match, exact_match, normalised};
use sdlab::env::search::corpus::{Corpus, Passage};
use sdlab::env::search::question::Question;
use sdlab::env::search::retriever::Retriever;
use sdlab::env::search::{Desk, Search, SearchWorld, Settings, TEXT};
use sdlab::env::{Env, World};
use serde_json::Value;

/// The recorded passages and the questions about them.
fn original() -> Option<SearchWorld> {
    let corpus = recorded::file("search/corpus.jsonl.gz")?.display().to_string();
    let questions = recorded::file("search/questions_with_evidence.jsonl.gz")?.display().to_string();
    Some(SearchWorld::new(Settings { corpus, questions, ..Settings::default() }).unwrap())
}

#[test]
fn exact_matches_agree() {
    let Some(text) = recorded::text("search/golden_em.json.gz") else { return };
    let rows: Vec<(String, Vec<String>, String, u8, u8)> = serde_json::from_str(&text).unwrap();
    for (answer, golden, normal, exact, contains) in &rows {
        assert_eq!(normalised(answer), *normal);
        assert_eq!(exact_match(answer, golden), *exact == 1, "{answer}");
        assert_eq!(contains_match(answer, golden), *contains == 1, "{answer}");
    }
    assert!(rows.len() > 200);
}

/// Replies, projected actions, observations (with our own index), rewards and verdicts.
#[test]
fn episodes_agree() {
    let (Some(world), Some(episodes)) = (original(), recorded::lines("search/golden_episodes.jsonl.gz")) else {
        return;
    };
    let prompts = Prompts::load(TEXT, "verl-agent").unwrap();
    let mut steps = 0;
    for episode in &episodes {
        let golden = episode["golden"].as_array().unwrap().iter().map(text).collect();
        let mut env = world.start(question(&text(&episode["question"]), golden));
        for step in episode["steps"].as_array().unwrap() {
            let found = prompts.project(&text(&step["response"]));
            assert_eq!(
                (&found.action, u64::from(found.valid)),
                (&text(&step["projected"]), step["valid"].as_u64().unwrap())
            );
            let done = env.step(&found.action);
            assert_eq!(done.observation, text(&step["obs"]), "{}", found.action);
            assert_eq!(f64::from(done.reward), step["reward"].as_f64().unwrap());
            assert_eq!((done.done, done.won), (step["done"] == true, step["won"] == true));
            steps += 1;
        }
    }
    assert!(steps > 20);
}

#[test]
fn prompts_agree() {
    let (Some(templates), Some(rows)) =
        (recorded::original("search", "verl-agent", "search"), recorded::prompts("search"))
    else {
        return;
    };
    let prompts = Prompts::new(Templates { ..templates }).unwrap().with_history(4);
    let hamlet = Passage::new("0".into(), "Hamlet", "Hamlet is a play by William Shakespeare.");
    let retriever = Retriever::Local(Corpus::new(vec![hamlet]).unwrap());
    let desk = Arc::new(Desk { retriever, top_k: 3, max_turns: 4, win_reward: 1.0 });
    let goal = "who wrote hamlet?";
    let mut env = Search::new(desk, question(goal, vec!["William Shakespeare".into()]));
    let rows: Vec<&Value> = rows.iter().collect();
    assert!(recorded::play(&prompts, goal, &mut env, &rows) >= 3);
}

#[test]
fn expert_answers_real_questions() {
    let Some(world) = original() else { return };
    assert!(world.size(Split::Train) > 100 && world.size(Split::ValidSeen) >= 100);
    let (mut complete, mut all) = (0, 0);
    for split in [Split::Train, Split::ValidSeen] {
        for index in 0..world.size(split) {
            let task = world.task(split, index).unwrap();
            let mut env = world.open(&task).unwrap();
            let plan = env.expert();
            assert!(plan.len() <= world.max_turns());
            let question = world.question(split, index).unwrap();
            let mut read = String::new();
            for action in &plan {
                let step = env.step(action);
                read.push_str(&step.observation);
                assert_eq!(step.done, action.starts_with("<answer>"));
                assert_eq!(step.won, step.done, "{action}");
            }
            let shown = |title: &String| read.contains(&sdlab::env::pyjson::quote(title)[1..title.len() - 1]);
            complete += usize::from(question.titles.iter().all(|t| !t.is_ascii() || t.contains('"') || shown(t)));
            all += 1;
        }
    }
    eprintln!("the expert has read every supporting passage in {complete} of {all} questions");
    assert!(complete * 10 >= all * 9, "{complete} of {all}");
}

fn question(text: &str, golden: Vec<String>) -> Question {
    Question {
        id: String::new(),
        text: text.to_owned(),
        golden,
        kind: "question".to_owned(),
        train: None,
        titles: Vec::new(),
        ids: Vec::new(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
