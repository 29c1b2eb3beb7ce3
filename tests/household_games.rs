//! Real ALFWorld games from files: the compact file, the PDDL problems, and the folder layout of `$ALFWORLD_DATA`.

mod recorded;

use std::fs;

use sdlab::core::Split;
use sdlab::env::household::game::Game;
use sdlab::env::household::games::Games;
use sdlab::env::household::pddl;
use sdlab::env::household::spec::Spec;
use sdlab::env::{SPLITS, World, open_world};
use serde_json::{Value, json};

#[test]
fn the_official_games_are_played_from_the_compact_file() {
    let Some(path) = recorded::file("alfworld/games_compact.jsonl.gz") else { return };
    let world = open(&path.display().to_string()).unwrap();
    assert_eq!(SPLITS.map(|split| world.size(split)), [200, 140, 134]);
    let task = world.task(Split::ValidUnseen, 133).unwrap();
    let mut game = world.open(&task).unwrap();
    let plan = game.expert();
    assert!(game.observation().ends_with(&format!("Your task is to: {}", task.goal)));
    assert!(plan.iter().map(|action| game.step(action)).last().unwrap().won, "{plan:?}");
    assert!(world.task(Split::ValidUnseen, 134).is_err());
}

#[test]
fn a_pddl_problem_is_the_same_game_as_its_compact_form() {
    let (Some(compact), Some(problems)) =
        (recorded::lines("alfworld/games_compact.jsonl.gz"), recorded::lines("alfworld/games_pddl_problems.jsonl.gz"))
    else {
        return;
    };
    for (compact, problem) in compact.into_iter().zip(&problems) {
        assert_eq!(compact["id"], problem["id"]);
        let ours: Spec = serde_json::from_value(compact).unwrap();
        let theirs = pddl::spec(problem["pddl_problem"].as_str().unwrap(), Some(ours.desc.clone())).unwrap();
        let (game, state) = Game::load(&ours).unwrap();
        let (other, other_state) = Game::load(&theirs).unwrap();
        let place = &problem["id"];
        assert_eq!(ours.task_type, theirs.task_type, "{place}");
        assert_eq!(game.names, other.names, "{place}");
        let looks = |g: &Game| g.objects.iter().map(|o| (o.caps, o.inside.clone())).collect::<Vec<_>>();
        assert_eq!(looks(&game), looks(&other), "{place}");
        assert_eq!((&state.contents, &state.marks), (&other_state.contents, &other_state.marks), "{place}");
        assert_eq!((state.near.len(), game.can.len()), (other_state.near.len(), other.can.len()), "{place}");
        assert_eq!((&game.targets, &game.wanted), (&other.targets, &other.wanted), "{place}");
    }
}

#[test]
fn the_folder_layout_of_alfworld_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("json_2.1.1");
    for (place, solvable, goal) in [
        ("valid_seen/pick_and_place_simple-Pen-None-Desk-1/trial_B", true, "put some pen on desk"),
        ("valid_seen/pick_and_place_simple-Pen-None-Desk-1/trial_A", true, "UNKNOWN GOAL"),
        ("valid_seen/pick_and_place_simple-Pen-None-Desk-1/trial_C", false, "x"),
        ("valid_seen/pick_and_place_simple-AppleSliced-None-Desk-1/trial_D", true, "x"),
        ("train/pick_and_place_simple-Pen-None-Desk-2/trial_E", true, "put a pen in desk"),
        ("valid_train/pick_and_place_simple-Pen-None-Desk-2/trial_F", true, "x"),
    ] {
        let game = json!({
            "pddl_problem": PROBLEM, "solvable": solvable,
            "grammar": format!("\"task\": [{{ \"rhs\": \"Your task is to: {goal}.\" }}]"),
        });
        fs::create_dir_all(root.join(place)).unwrap();
        fs::write(root.join(place).join("game.tw-pddl"), game.to_string()).unwrap();
    }
    let world = open(&folder.path().display().to_string()).unwrap();
    assert_eq!(SPLITS.map(|split| world.size(split)), [1, 2, 0]);
    let goal = |split, index| world.task(split, index).unwrap().goal;
    assert_eq!(goal(Split::ValidSeen, 0), "put a pen in desk.", "worded from the goal where the file does not say");
    assert_eq!(goal(Split::ValidSeen, 1), "put some pen on desk.");
    let mut game = world.open(&world.task(Split::Train, 0).unwrap()).unwrap();
    assert!(game.observation().contains("you see a desk 1, and a shelf 1."), "{}", game.observation());
    assert_eq!(game.expert(), ["go to shelf 1", "take pen 1 from shelf 1", "go to desk 1", "move pen 1 to desk 1"]);
    assert!(game.expert().iter().map(|action| game.step(action)).last().unwrap().won);
    let one = root.join("train/pick_and_place_simple-Pen-None-Desk-2/trial_E/game.tw-pddl");
    assert_eq!(open(&one.display().to_string()).unwrap().size(Split::ValidUnseen), 1);
}

#[test]
fn malformed_files_name_file_entry_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let good = json!({
        "id": "valid_seen/a/b", "task_type": "pick_and_place_simple", "desc": "put a pen in desk.", "agent_loc": "l",
        "params": {"object_target": "Pen", "parent_target": "Desk"}, "can_contain": [["DeskType", "PenType"]],
        "receptacles": [{"id": "Desk_bar_1", "type": "DeskType", "loc": "l", "openable": false, "opened": false}],
        "objects": [{"id": "Pen_bar_1", "type": "PenType", "flags": ["pickupable"], "in": ["Desk_bar_1"]}],
    });
    let load = |name: &str, lines: &[String]| {
        let path = folder.path().join(name);
        fs::write(&path, lines.join("\n")).unwrap();
        Games::load(&path)
    };
    assert_eq!(load("good.jsonl", &[good.to_string(), String::new()]).unwrap().size(Split::ValidSeen), 1);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut bad = good.clone();
        change(&mut bad);
        vec![good.to_string(), bad.to_string()]
    };
    let cases: [(Vec<String>, &[&str]); 8] = [
        (
            with(&|g| drop(g.as_object_mut().unwrap().remove("agent_loc"))),
            &["bad.jsonl:2:", "missing field `agent_loc`"],
        ),
        (with(&|g| g["receptacles"][0]["openable"] = json!(3)), &["bad.jsonl:2:", "integer `3`", "field `openable`"]),
        (with(&|g| g["task_type"] = json!("dance")), &["bad.jsonl:2:", "`dance`", "field `task_type`"]),
        (with(&|g| g["objects"][0]["in"] = json!(["Bed_bar_1"])), &["2: game `valid_seen/a/b`", "`in`", "bed_bar_1"]),
        (with(&|g| g["receptacles"] = json!([])), &["bad.jsonl:2: game", "`receptacles`: there is none"]),
        (with(&|g| g["objects"] = json!([g["objects"][0], g["objects"][0]])), &["`objects`: two are called"]),
        (with(&|g| *g = json!({"id": "x", "pddl_problem": "(define"})), &["game `x`", "`pddl_problem`", "`(:init`"]),
        (vec!["{".into()], &["bad.jsonl:1:", "EOF"]),
    ];
    for (lines, expected) in cases {
        let error = format!("{:#}", load("bad.jsonl", &lines).unwrap_err());
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    }
    let error = format!("{:#}", open("/nowhere/at/all").err().unwrap());
    assert!(error.contains("`games`") && error.contains("no such file"), "{error}");
    let error = format!("{:#}", open("$SDLAB_NO_SUCH_VARIABLE/x").err().unwrap());
    assert!(error.contains("`SDLAB_NO_SUCH_VARIABLE` is not set"), "{error}");
    assert!(open(&folder.path().display().to_string()).err().unwrap().to_string().contains("household"));
}

fn open(games: &str) -> anyhow::Result<Box<dyn World>> {
    let mut settings = toml::Table::new();
    settings.insert("games".into(), games.into());
    open_world("household", &settings)
}

const PROBLEM: &str = "(define (problem p) (:domain alfred) (:objects agent1 - agent Pen - object)
    (:init
        (receptacleType Desk_bar_1 DeskType) (receptacleAtLocation Desk_bar_1 loc_bar_1)
        (receptacleType Shelf_bar_1 ShelfType) (receptacleAtLocation Shelf_bar_1 loc_bar_2)
        (canContain DeskType PenType) (objectType Pen_bar_1 PenType) (pickupable Pen_bar_1)
        (inReceptacle Pen_bar_1 Shelf_bar_1) (objectAtLocation Pen_bar_1 loc_bar_2)
        (atLocation agent1 loc_bar_9) (= (totalCost) 0)
    )
    (:goal (and (exists (?r - receptacle) (exists (?o - object)
        (and (inReceptacle ?o ?r) (objectType ?o PenType) (receptacleType ?r DeskType)))))))";
