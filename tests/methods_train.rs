//! Every method trains from its table alone, with every teacher, or is refused with a sentence.

use std::collections::BTreeSet;
use std::path::Path;

use sdlab::config::{self, Overrides, Recipe, parse};
use sdlab::core::exit::Exit;
use sdlab::core::{Metrics, RunEvent};
use sdlab::engine::Engine;
use sdlab::engine::candle::{self, CandleEngine};
use sdlab::method::METHODS;
use sdlab::run::{RunFolder, Source};
use sdlab::session::Asserts;
use sdlab::wiring::{create_run, train_here};

const SMALL: &str = "
[run]
steps = 2
[rollout]
groups = 2
members = 2
max_new_tokens = 12
[env.household]
max_turns = 16
[eval]
games = 0
[optim]
minibatches = 2
[checkpoint]
final = false
";

fn recipe(root: &Path, set: &[&str]) -> Recipe {
    let set = set.iter().map(|s| (*s).to_owned()).collect();
    let mut recipe = parse("small.toml", SMALL, &Overrides { set, ..Overrides::default() }).unwrap();
    recipe.run.root = root.display().to_string();
    recipe.model.path = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), recipe.model.path);
    recipe.skills.bank = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), recipe.skills.bank);
    recipe
}

/// How the run ended, and the numbers of its steps.
fn train(set: &[&str]) -> (Exit, Vec<Metrics>, String) {
    let root = tempfile::tempdir().unwrap();
    let folder = create_run(&recipe(root.path(), set), "small.toml").unwrap();
    let exit = train_here(&folder, None, Asserts::default()).unwrap();
    let (mut steps, mut said) = (vec![], String::new());
    for event in events(&folder) {
        match event {
            RunEvent::Stepped { metrics, .. } => steps.push(metrics),
            RunEvent::Finished { message, .. } => said = message,
            _ => {}
        }
    }
    (exit, steps, said)
}

fn events(folder: &RunFolder) -> Vec<RunEvent> {
    Source::open(folder).unwrap().all().unwrap().into_iter().map(|record| record.event).collect()
}

#[test]
fn every_method_trains_from_its_table_alone() {
    for method in METHODS {
        let table = format!("method.{}={{}}", method.name);
        let starter = format!("{{ checkpoint = '{}/runs/starter/model' }}", env!("CARGO_MANIFEST_DIR"));
        let other = format!("method.{}.teacher={starter}", method.name);
        // what a method cannot know by itself: another model, a judge
        let given = match method.name {
            "sod" | "atod" | "tip" => vec![other.as_str()],
            "triage" | "hint-sd" => vec!["judge.by='oracle'"],
            _ => vec![],
        };
        let (exit, steps, said) = train(&[&[table.as_str()], &given[..]].concat());
        assert_eq!((exit, steps.len()), (Exit::Done, 2), "{}: {said}", method.name);
        let frozen = method.name == "timeclaw";
        let skipped = steps[1].get("optim/skipped").copied().flatten();
        assert_eq!(skipped, (!frozen).then_some(0.0), "{}", method.name);
    }
}

#[test]
fn every_teacher_can_be_asked() {
    let checkpoint = format!("{{ checkpoint = '{}/runs/starter/model' }}", env!("CARGO_MANIFEST_DIR"));
    let others = ["'step-start'", "'live'", "'initial'", "{ ema = 0.5 }", "{ trust-region = 0.5 }", &checkpoint];
    for teacher in others {
        let (exit, steps, said) = train(&[&format!("method.opd.teacher={teacher}"), "optim.lr=0.01"]);
        assert_eq!((exit, steps.len()), (Exit::Done, 2), "{teacher}: {said}");
        assert!(steps.iter().all(|s| s["gap/rms"].unwrap() > 0.0), "{teacher}");
    }
}

#[test]
fn a_teacher_without_privilege_and_without_other_weights_has_no_gap() {
    let (_, steps, _) = train(&["method.opd.context='none'", "optim.minibatches=1"]);
    assert!(steps.iter().all(|s| s["gap/rms"].unwrap() < 1e-4), "{steps:?}");
}

/// The updates of a step move the student away from its own start, so the gap alone does not tell that no skill was shown.
#[test]
fn a_teacher_that_reads_no_skill_is_noticed_over_several_updates() {
    let (_, steps, said) = train(&["skills.retrieval='none'", "optim.lr=0.003", "rollout.members=4"]);
    assert!(steps[1]["gap/rms"].unwrap() > 1e-3, "{said} {:?}", steps[1]);
    assert!(steps.iter().all(|s| s["gap/start_rms"].unwrap() < 1e-4), "{steps:?}");
    let (_, steps, said) = train(&["rollout.members=4"]);
    assert!(steps[0]["gap/start_rms"].unwrap() > 1e-2, "{said}");
    // every default rule is about something that is recorded
    for rule in Recipe::default().alerts.rules.iter().filter(|rule| rule.metric != "judge/unread") {
        assert!(steps[0].contains_key(&rule.metric), "{}", rule.metric);
    }
    assert!(steps[0]["reply/tokens"].unwrap() > 1.0 && steps[0].contains_key("groups/any_won"));
}

#[test]
fn the_other_objectives_of_sdar_train() {
    for objective in ["fkl", "jsd"] {
        let (exit, steps, said) = train(&[&format!("method.sdar={{ objective = '{objective}', top = 8 }}")]);
        assert_eq!((exit, steps.len()), (Exit::Done, 2), "{objective}: {said}");
        assert!(steps.iter().all(|s| s["distill/loss"].unwrap() > 0.0 && s["gate/mean"].is_some()), "{objective}");
    }
}

#[test]
fn an_expert_or_a_sibling_can_be_the_context() {
    let (exit, steps, said) = train(&["method.opd.context='gold'"]);
    assert_eq!(exit, Exit::Done, "{said}");
    assert!(steps[0]["gap/rms"].unwrap() > 1e-3);
    // groups without a success have no peer to show: nothing is taught, and nothing breaks
    for context in ["peer-success", "sibling-contrast", "best-worst", "peer-and-feedback"] {
        let (exit, steps, said) = train(&[&format!("method.opd.context='{context}'")]);
        assert_eq!((exit, steps.len()), (Exit::Done, 2), "{context}: {said}");
    }
}

#[test]
fn what_cannot_be_provided_is_refused_in_words() {
    for (set, part) in [
        ("method.triage={}", "method `triage` asks for a judge of turns: set `judge.by` to \"self\""),
        ("method.hint-sd={}", "method `hint-sd` asks for a judge of turns"),
        (
            "method.sod={}",
            "--set: method `sod` learns from another model, and no one is named: set `method.sod.teacher",
        ),
        ("method.opd.context='step-feedback'", "`context = \"step-feedback\"` needs a judge"),
    ] {
        let overrides = Overrides { set: vec![set.into()], ..Overrides::default() };
        let error = parse("small.toml", SMALL, &overrides).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let (exit, _, said) = train(&["method.opd.teacher={ checkpoint = '/nowhere' }"]);
    assert_eq!(exit, Exit::Failed);
    assert!(said.contains("the teacher's weights `/nowhere` cannot be used"), "{said}");
    let other = tempfile::tempdir().unwrap();
    sdlab::text::train::write(other.path(), ["go to desk 1".to_owned()].into_iter(), 270).unwrap();
    let (exit, _, said) = train(&[&format!("method.opd.teacher={{ checkpoint = '{}' }}", other.path().display())]);
    assert_eq!(exit, Exit::Failed);
    assert!(said.contains("has another tokenizer than the student"), "{said}");
}

/// A model of another size that reads what the starter reads.
fn larger(folder: &Path) {
    let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("runs/starter/model");
    let own = candle::architecture(&starter).unwrap();
    let (layers, vocab) = (own.num_hidden_layers + 1, own.vocab_size + 64);
    let larger = candle::Architecture { num_hidden_layers: layers, vocab_size: vocab, ..own };
    CandleEngine::init(larger, 1).unwrap().save(folder, false).unwrap();
    for entry in std::fs::read_dir(&starter).unwrap().flatten() {
        let name = entry.file_name();
        if name != "config.json" && name != "model.safetensors" {
            std::fs::copy(entry.path(), folder.join(name)).unwrap();
        }
    }
}

#[test]
fn a_teacher_may_be_of_another_size() {
    let teacher = tempfile::tempdir().unwrap();
    larger(teacher.path());
    for method in ["opd", "sod", "tip", "atod"] {
        let checkpoint = format!("method.{method}.teacher={{ checkpoint = '{}' }}", teacher.path().display());
        let (exit, steps, said) = train(&[&format!("method.{method}={{}}"), &checkpoint]);
        assert_eq!((exit, steps.len()), (Exit::Done, 2), "{method}: {said}");
        assert!(steps.iter().all(|s| s["gap/p50"].unwrap() < -0.5), "{method}: a model that knows nothing disagrees");
    }
}

#[test]
fn a_teacher_is_looked_at_before_a_run_is_made() {
    let root = tempfile::tempdir().unwrap();
    let (file, foreign, fitting) =
        (root.path().join("r.toml"), root.path().join("foreign"), root.path().join("fitting"));
    for folder in [&foreign, &fitting] {
        std::fs::create_dir(folder).unwrap();
    }
    larger(&foreign);
    larger(&fitting);
    sdlab::text::train::write(&foreign, ["go to desk 1".to_owned()].into_iter(), 270).unwrap();
    let starter = format!("{}/runs/starter/model", env!("CARGO_MANIFEST_DIR"));
    let made = |teacher: &Path| {
        let teacher = teacher.display();
        let text = format!("[model]\npath = '{starter}'\n[method.opd]\nteacher = {{ checkpoint = '{teacher}' }}");
        std::fs::write(&file, text).unwrap();
        config::load_to_train(Some(&file), &Overrides::default()).map_err(|e| (e.place().to_owned(), e.to_string()))
    };
    assert!(made(&fitting).is_ok());
    for (teacher, part) in [
        (Path::new("/nowhere"), "the teacher `/nowhere` cannot be used: `/nowhere` does not exist"),
        (root.path(), "cannot be used"),
        (&foreign, "has another tokenizer than the student"),
    ] {
        let (place, said) = made(teacher).unwrap_err();
        assert!(place.ends_with("r.toml:4:11") && said.contains(part), "{place}: {said}");
    }
}

#[test]
fn skills_become_weights_and_the_panel_is_played_three_ways() {
    let table = "method.parametric-skills={ recite = 4, texts = 64, width = 16 }";
    let set = [table, "run.steps=5", "optim.lr=0.001", "optim.minibatches=1", "eval.games=4", "eval.first=false"];
    let root = tempfile::tempdir().unwrap();
    let folder = create_run(&recipe(root.path(), &set), "small.toml").unwrap();
    assert_eq!(train_here(&folder, None, Asserts::default()).unwrap(), Exit::Done);
    let (mut nll, mut panels) = (vec![], vec![]);
    for event in events(&folder) {
        match event {
            RunEvent::Stepped { metrics, .. } => {
                nll.extend(metrics.get("recite/nll").copied().flatten());
                assert_eq!(metrics.contains_key("exploit/nll"), nll.len() == 4 && !metrics.contains_key("recite/nll"));
                assert!(metrics["grad/norm"].unwrap() > 0.0);
            }
            RunEvent::Evaluated { with_skills, metrics, .. } => panels.push((with_skills, metrics)),
            _ => {}
        }
    }
    assert!(nll.len() == 4 && nll[3] < nll[0], "{nll:?}");
    assert_eq!(panels.iter().map(|(with, _)| *with).collect::<Vec<_>>(), [false, true]);
    for name in ["weights/success", "weights/uplift", "weights/over_prompt"] {
        assert!(panels[1].1.contains_key(name), "{name}");
    }
}

#[test]
fn off_policy_rollouts_are_played_with_skills_and_trained_without() {
    let (exit, steps, said) = train(&["method.skill-sd.off_policy=true"]);
    assert_eq!(exit, Exit::Done, "{said}");
    // the sampler read skills and the trained prompt has none: the ratio is not 1
    assert!((steps[0]["ratio/mean"].unwrap() - 1.0).abs() > 1e-4, "{:?}", steps[0]["ratio/mean"]);
}

#[test]
fn a_judge_that_cannot_be_read_teaches_nothing_and_breaks_nothing() {
    let (exit, steps, said) = train(&["method.triage={}", "judge.by='self'", "judge.max_tokens=4"]);
    assert_eq!((exit, steps.len()), (Exit::Done, 2), "{said}");
    assert_eq!(steps[0]["judge/unread"], Some(1.0));
    assert_eq!(steps[0]["judge/judged"], Some(0.0));
}

#[test]
fn a_hint_teaches_its_own_turn_alone() {
    let root = tempfile::tempdir().unwrap();
    let set = ["method.hint-sd={}", "judge.by='oracle'", "run.steps=1"];
    let folder = create_run(&recipe(root.path(), &set), "small.toml").unwrap();
    assert_eq!(train_here(&folder, None, Asserts::default()).unwrap(), Exit::Done);
    let tokens = sdlab::run::Store::new(&folder).tokens(1).unwrap();
    let own: Vec<_> = tokens.iter().filter(|token| token.mask).collect();
    assert!(own.iter().all(|token| token.teacher.is_some() == token.chosen), "only chosen turns have a teacher");
    let turns: BTreeSet<_> = own.iter().filter(|t| t.chosen).map(|t| (t.group, t.member, t.turn)).collect();
    let episodes: BTreeSet<_> = turns.iter().map(|(group, member, _)| (group, member)).collect();
    assert!(turns.len() > episodes.len(), "several turns of an episode: {turns:?}");
}

#[test]
fn extra_rollouts_are_played_and_kept_out_of_the_statistics() {
    let (exit, steps, said) = train(&["method.pbsd={}", "rollout.members=3"]);
    assert_eq!(exit, Exit::Done, "{said}");
    assert!(steps[0]["teacher/success"].is_some() && steps[0]["pbsd/right"].is_some(), "{:?}", steps[0]);
    // a slow teacher plays the hinted episodes by itself
    let (exit, _, said) = train(&["method.pbsd.teacher={ ema = 0.5 }"]);
    assert_eq!(exit, Exit::Done, "{said}");
    let (_, steps, said) = train(&["method.ucob={}"]);
    assert!(steps[0]["ucob/wins"].is_some(), "{said}");
    let (_, steps, said) = train(&["method.paw={}"]);
    assert!(steps[0]["paw/taught"].unwrap() > 0.0, "{said}");
}

#[test]
fn who_played_with_skills_teaches_under_the_very_prompt() {
    for placement in ["user-slot", "prefix-raw"] {
        let root = tempfile::tempdir().unwrap();
        let placed = format!("skills.placement='{placement}'");
        let set = ["method.pbsd={ context = 'skills' }", "run.steps=1", "eval.games=0", &placed];
        let folder = create_run(&recipe(root.path(), &set), "small.toml").unwrap();
        assert_eq!(train_here(&folder, None, Asserts::default()).unwrap(), Exit::Done);
        let tokens = sdlab::run::Store::new(&folder).tokens(1).unwrap();
        let hinted: Vec<_> = tokens.iter().filter(|token| token.mask && token.member >= 2).collect();
        assert!(!hinted.is_empty());
        // the weights that played, and the prompt: the same log-probs
        let off = |t: &&sdlab::core::TokenRecord| (t.teacher.unwrap() - t.sampled.unwrap()).abs();
        assert!(hinted.iter().map(off).fold(0.0, f32::max) < 1e-3, "{placement}");
    }
}

#[test]
fn what_lenses_need_is_recorded_on_request() {
    let root = tempfile::tempdir().unwrap();
    let set = ["method.grpo={}", "record.teacher=true", "record.reference=true", "record.top_k=4", "run.steps=1"];
    let folder = create_run(&recipe(root.path(), &set), "small.toml").unwrap();
    train_here(&folder, None, Asserts::default()).unwrap();
    let opened = sdlab::lens::open(folder.path(), None).unwrap();
    assert_eq!((opened.recorded.step, opened.recorded.listed()), (1, 4));
    for name in ["grpo", "sdar", "skill-sd", "rlsd", "craft", "gigpo"] {
        let method = sdlab::lens::method_of(name, opened.method.as_ref(), &[]).unwrap();
        let lens = sdlab::lens::over(&opened.recorded, &*method.build());
        assert!(lens.missing.is_empty(), "{name}: {:?}", lens.missing);
    }
    // through its own eyes the run is what it was: one batch would give these very coefficients
    let own = sdlab::lens::over(&opened.recorded, &*opened.method.as_ref().unwrap().build());
    let recorded = |i: usize| opened.tokens[opened.recorded.places[i]].advantage.unwrap();
    assert!((0..opened.recorded.len()).all(|i| (recorded(i) - own.tokens[i].advantage).abs() < 1e-5));
}

#[test]
fn stages_hand_over_to_each_other() {
    let stages = "method.sparse-to-dense.stages=[
        { name = 'teacher', steps = 1, then = 'restart', method.grpo = {} },
        { name = 'its texts', steps = 1, method.opd = { teacher = 'staged', context = 'none', rollouts = 2, estimator = 'nll' } },
        { name = 'own texts', steps = 1, method.opd = { teacher = 'staged', context = 'none' } },
        { name = 'reward', method.grpo = {} },
    ]";
    let (exit, steps, said) = train(&[stages, "run.steps=4", "optim.lr=0.01"]);
    assert_eq!((exit, steps.len()), (Exit::Done, 4), "{said}");
    assert!(steps[0].contains_key("pg/loss") && steps[3].contains_key("pg/loss"));
    assert_eq!((steps[1]["stage"], steps[2]["stage"]), (Some(2.0), Some(3.0)));
    assert!(steps[1]["teacher/success"].is_some(), "the teacher plays");
    assert!(steps[2]["gap/rms"].unwrap() > 0.0, "the student began again");
}
