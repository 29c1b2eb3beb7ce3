//! Skills that a run learns from its own episodes: from nothing, from an endpoint with moods, over a kill, and what
//! becomes of advice that does harm.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use sdlab::config::{Overrides, load};
use sdlab::core::exit::Exit;
use sdlab::core::skill::{Author, Happened, SkillCard, SkillUse};
use sdlab::core::{Phase, Record, RunEvent};
use sdlab::run::recorder::Tap;
use sdlab::run::view::RunView;
use sdlab::run::{RunFolder, Source};
use sdlab::session::Asserts;
use sdlab::skill::Bank;
use sdlab::wiring::{create_run, train_here};

const SMALL: [&str; 8] = [
    "rollout.groups=3",
    "rollout.members=3",
    "rollout.max_new_tokens=24",
    "env.household.max_turns=16",
    "eval.games=0",
    "optim.minibatches=1",
    "checkpoint.final=false",
    "skills.evolve.every=2",
];

/// A run of `runs/skill-sd.toml`, made small.
fn run(root: &Path, steps: u64, set: &[&str]) -> RunFolder {
    let set = SMALL.iter().chain(set).map(|s| (*s).to_owned()).collect();
    let overrides = Overrides { set, steps: Some(steps), seed: Some(5), root: Some(root.display().to_string()) };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("runs/skill-sd.toml");
    let mut recipe = load(Some(&file), &overrides).unwrap();
    recipe.model.path = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), recipe.model.path);
    create_run(&recipe, "skill-sd").unwrap()
}

fn view(folder: &RunFolder) -> RunView {
    let mut view = RunView::default();
    Source::open(folder).unwrap().for_each(|record| view.apply(record)).unwrap();
    view
}

#[test]
fn an_empty_bank_fills_from_the_runs_own_episodes() {
    let root = tempfile::tempdir().unwrap();
    let folder = run(root.path(), 3, &[]);
    assert_eq!(train_here(&folder, None, Asserts::default()).unwrap(), Exit::Done);
    let view = view(&folder);
    assert!(view.bank.at(1).is_empty(), "the first step has nothing to read");
    let bank = view.bank.at(3);
    assert!(!bank.is_empty() && bank.iter().all(|card| card.provenance.author == Author::Distiller), "{bank:?}");
    let from = &bank[0].provenance;
    assert!(from.task.is_some() && from.episode.is_some_and(|id| id.step < from.step), "{from:?}");
    assert!(!view.bank.choices(2).is_empty() && view.bank.choices(2)[0].picks[0].reason.starts_with("UCB"));
    let numbers = view.steps[1].metrics.to_metrics();
    assert!(numbers["skills/added"] > Some(0.0) && numbers["skills/waiting"].is_some(), "{numbers:?}");
    assert_eq!(numbers["skills/bank"], Some(view.bank.at(2).len() as f64));
    let used = view.skill_uses(3);
    assert!(used.values().all(|(_, used)| used.total.uses > 0 && used.total.picks > 0));
    // what a person finds in the folder is what the records say
    let mut files: Vec<String> = Bank::load(&folder.skills()).unwrap().cards().into_iter().map(|c| c.id).collect();
    let mut told: Vec<String> = bank.iter().map(|card| card.id.clone()).collect();
    files.sort();
    told.sort();
    assert_eq!(files, told);
}

#[test]
fn a_killed_run_keeps_bank_and_statistics() {
    let root = tempfile::tempdir().unwrap();
    let whole = run(root.path(), 5, &["checkpoint.every=2", "checkpoint.keep=0", "checkpoint.final=true"]);
    let (from, to) = (whole.path().to_path_buf(), root.path().join("killed"));
    let mut due = true;
    let tap: Tap = Box::new(move |record: &Record| {
        let at = matches!(record.event, RunEvent::Progress { step: 4, phase: Phase::Student, .. });
        if at && std::mem::replace(&mut due, false) {
            copy(&from, &to);
        }
    });
    train_here(&whole, Some(tap), Asserts::default()).unwrap();
    let killed = RunFolder::open("killed", root.path()).unwrap();
    train_here(&killed, None, Asserts::default()).unwrap();
    let (a, b) = (view(&whole), view(&killed));
    assert_eq!(b.resumed_steps, 2);
    for step in 0..=5 {
        let bank = |view: &RunView| {
            let mut bank: Vec<SkillCard> = view.bank.at(step).into_iter().cloned().collect();
            bank.sort_by(|a, b| a.id.cmp(&b.id));
            bank
        };
        assert_eq!(bank(&a), bank(&b), "the bank of step {step}");
        assert_eq!(a.bank.choices(step), b.bank.choices(step), "what step {step} was shown");
        assert_eq!(a.skill_uses(step), b.skill_uses(step), "what came of it until step {step}");
    }
    assert!(!a.bank.at(5).is_empty());
    let state = |folder: &RunFolder| -> serde_json::Value {
        let mut state: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.checkpoint(5).join("state.json")).unwrap()).unwrap();
        state["notes"].take();
        state
    };
    assert_eq!(state(&whole), state(&killed));
    assert_eq!(files(&whole.skills()), files(&killed.skills()));
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy(&entry.path(), &target),
            Ok(kind) if kind.is_file() => drop(fs::copy(entry.path(), &target)),
            _ => {}
        }
    }
}

/// A server whose first answer is words, whose second and third request fail, and which then is of use. It says
/// nothing before it is let; every request is told of.
fn moody(asked: Sender<()>, let_go: std::sync::mpsc::Receiver<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming().map_while(Result::ok) {
            while read_request(&stream).is_some() {
                number += 1;
                let _ = asked.send(());
                if number == 1 {
                    let _ = let_go.recv();
                }
                let good = format!(
                    r#"{{"success_analysis": "Attempt {number} <|im_end|> went on.", "mistake_analysis": "", "golden_workflow": ""}}"#
                );
                let content = if number == 1 { "I am not sure." } else { &good };
                let body = serde_json::json!({ "choices": [{ "message": { "content": content } }] }).to_string();
                let status = if number == 2 || number == 3 { 503 } else { 200 };
                let _ = write!(&stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        }
    });
    url
}

fn read_request(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()
}

#[test]
fn an_endpoint_with_moods_costs_no_step() {
    let root = tempfile::tempdir().unwrap();
    let (asked, requests) = channel();
    let (go, let_go) = channel();
    let url = moody(asked, let_go);
    let base = format!("skills.learn.base_url={url}");
    let set = [
        base.as_str(),
        "skills.learn.author=endpoint",
        "skills.learn.model=tiny",
        "skills.learn.retries=1",
        "skills.learn.backoff=0",
        "skills.learn.concurrent=1",
    ];
    let folder = run(root.path(), 4, &set);
    // the second step has taken in what there is before the first answer comes; while it plays, four jobs are answered:
    // a request comes after the answer before it was handed over
    let mut waiting = true;
    let tap: Tap = Box::new(move |record: &Record| {
        let plays = matches!(record.event, RunEvent::Progress { step: 2, phase: Phase::Rollout, .. });
        if plays && std::mem::take(&mut waiting) {
            go.send(()).unwrap();
            (0..6).for_each(|_| requests.recv().unwrap());
        }
    });
    assert_eq!(train_here(&folder, Some(tap), Asserts::default()).unwrap(), Exit::Done);
    let view = view(&folder);
    assert_eq!(view.last_step(), 4, "as many steps as without");
    assert!(view.bank.at(2).is_empty(), "nothing was answered in time for the second step");
    let authors: Vec<Author> = view.bank.at(3).iter().map(|card| card.provenance.author).collect();
    assert!(authors.contains(&Author::Endpoint), "{authors:?}");
    let told = view.bank.at(3).into_iter().find(|card| card.provenance.author == Author::Endpoint).unwrap();
    assert_eq!(told.analyses.success_analysis, "Attempt 4 < |im_end| > went on.");
    let numbers = view.steps[2].metrics.to_metrics();
    assert_eq!((numbers["skills/malformed"], numbers["skills/fallbacks"]), (Some(1.0), Some(1.0)), "{numbers:?}");
}

/// The household's bank of whereabouts, every one of them a lie.
fn poison(folder: &Path) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("skills/household/where.toml");
    let lie = |line: &str| match line.split_once(" is often ") {
        Some((thing, _)) => format!("{thing} is often in a garbagecan or on a towelholder.\"\n"),
        None => format!("{line}\n"),
    };
    fs::create_dir(folder).unwrap();
    let lies: String = fs::read_to_string(file).unwrap().lines().map(lie).collect();
    fs::write(folder.join("where.toml"), lies).unwrap();
    format!("skills.bank={}", folder.display())
}

#[test]
fn advice_that_does_harm_is_seen_and_retired() {
    let root = tempfile::tempdir().unwrap();
    let bank = poison(&root.path().join("poison"));
    let set = [
        bank.as_str(),
        "skills.retrieval=keyword",
        "skills.learn.author=none",
        "method.sdar={}",
        "rollout.groups=2",
        "rollout.members=2",
        "eval.games=20",
        "skills.evolve.retire_below=-0.05",
        "skills.evolve.min_trials=1",
    ];
    let folder = run(root.path(), 1, &set);
    train_here(&folder, None, Asserts::default()).unwrap();
    let view = view(&folder);
    let skilled = view.evals.iter().find(|eval| eval.with_skills).unwrap();
    let uplift = skilled.metrics["skills/uplift"].unwrap();
    assert!(uplift < 0.0, "students that read the lies do worse: {uplift}");
    let used = &view.steps[0].skills;
    let against = |used: &SkillUse| used.gap.is_some_and(|gap| gap < 0.0) && used.gate.is_some_and(|gate| gate < 0.5);
    assert!(!used.is_empty() && used.iter().all(against), "the gap turns negative, the gate closes: {used:?}");
    let gone: Vec<_> = view.bank.changes(1).filter(|(_, c)| c.happened == Happened::Retired).collect();
    assert!(!gone.is_empty(), "nothing was retired");
    for (step, change) in gone {
        assert!(step == 1 && change.reason.starts_with("utility -"), "{change:?}");
        let known = |at: u64| view.bank.at(at).iter().any(|card| card.id == change.skill.id);
        assert!(known(0) && !known(1), "the replay shows when it went");
    }
}

#[test]
fn every_placement_and_every_retrieval_reaches_the_teacher() {
    let bank = format!("skills.bank={}/skills/household", env!("CARGO_MANIFEST_DIR"));
    let ways = [
        ("placement", "user-slot"),
        ("placement", "prefix-raw"),
        ("placement", "system"),
        ("placement", "at-turn"),
        ("layout", "full"),
        ("retrieval", "bm25"),
        ("retrieval", "embedding"),
        ("retrieval", "ucb"),
        ("retrieval", "task-type"),
        ("retrieval", "keyword-substring"),
    ];
    let root = tempfile::tempdir().unwrap();
    for (key, value) in ways {
        let way = format!("skills.{key}={value}");
        let plain = ["skills.learn.author=none", "skills.retrieval=keyword", "rollout.groups=1", "rollout.members=2"];
        let folder = run(root.path(), 1, &[&plain[..], &[&bank, &way]].concat());
        let exit = train_here(&folder, None, Asserts::default()).unwrap();
        let view = view(&folder);
        assert_eq!(exit, Exit::Done, "{way}: {:?}", view.finished);
        let numbers = view.steps[0].metrics.to_metrics();
        assert!(numbers["gap/rms"] > Some(1e-3), "{way}: the teacher reads what the student reads");
        // repeated at every turn they outgrow the starter's context, and the loss is counted
        assert_eq!(numbers["skills/lost_tokens"] == Some(0.0), value != "at-turn", "{way}");
        assert!(!view.bank.choices(1)[0].picks.is_empty(), "{way}");
        let prompt = &sdlab::run::Store::new(&folder).episodes(1).unwrap()[0].teacher_prompt;
        let first = view.bank.at(1).into_iter().find(|card| card.id == view.bank.choices(1)[0].picks[0].id).unwrap();
        assert!(prompt.contains(&first.text), "{way}: {prompt}");
    }
}

#[test]
fn skill_text_that_does_not_fit_is_counted_and_told() {
    let bank = format!("skills.bank={}/skills/household", env!("CARGO_MANIFEST_DIR"));
    let root = tempfile::tempdir().unwrap();
    let few = ["skills.learn.author=none", "rollout.groups=1", "rollout.members=2", "skills.retrieval=full"];
    // a budget, and no budget but the model's context
    let cases = [
        ("skills.budget_tokens=20", "skills.placement=user-slot"),
        ("skills.budget_tokens=0", "skills.placement=at-turn"),
    ];
    for (budget, placement) in cases {
        let folder = run(root.path(), 1, &[&few[..], &[&bank, placement, budget]].concat());
        assert_eq!(train_here(&folder, None, Asserts::default()).unwrap(), Exit::Done);
        let view = view(&folder);
        assert!(view.steps[0].metrics.value("skills/lost_tokens") > Some(0.0), "{budget}");
        assert!(view.alerts.iter().any(|alert| alert.rule == "skills/lost_tokens > 0"), "{budget}: {:?}", view.alerts);
    }
}
