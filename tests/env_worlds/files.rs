//! Files of games, goods, questions, levels and series that are nearly right: they are read or refused with their name,
//! and what is read can be played.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use sdlab::env::{SPLITS, open_world};

/// Places, lengths and texts of a few changes.
type Edits = Vec<(Index, usize, Vec<u8>)>;

fn edits() -> impl Strategy<Value = Edits> {
    let odd = prop::sample::select(ODD).prop_map(|text| text.as_bytes().to_vec());
    let piece = prop_oneof![3 => odd, 1 => prop::collection::vec(any::<u8>(), 0..4)];
    prop::collection::vec((any::<Index>(), 0usize..24, piece), 1..4)
}

fn changed(good: &str, edits: &Edits) -> Vec<u8> {
    edits.iter().fold(good.as_bytes().to_vec(), |mut text, (at, length, piece)| {
        let at = at.index(text.len() + 1);
        let end = (at + length).min(text.len());
        text.splice(at..end, piece.iter().copied());
        text
    })
}

/// Writes all files of a row of [`FILES`], one of them changed, and opens the world that reads them. Says what is wrong
/// with the outcome.
fn outcome((kind, settings, files): &Row, which: Index, edits: &Edits) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let which = which.index(files.len());
    for (n, (name, good)) in files.iter().enumerate() {
        let text = if n == which { changed(good, edits) } else { good.as_bytes().to_vec() };
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let settings = settings.replace("FOLDER", &folder.path().display().to_string());
    match open_world(kind, &settings.parse().unwrap()) {
        Ok(world) => {
            for split in SPLITS.into_iter().filter(|split| world.size(*split) > 0) {
                let Ok(task) = world.task(split, 0) else { continue };
                let Ok(mut game) = world.open(&task) else { continue };
                let mut actions = game.expert();
                actions.extend(game.admissible().into_iter().take(5));
                actions.iter().take(40).for_each(|action| drop(game.step(action)));
            }
            Ok(())
        }
        Err(error) => {
            let error = format!("{error:#}");
            let named = error.contains(&folder.path().join(files[which].0).display().to_string());
            // without the one file another may have nothing to go with; then that is the one to be named
            let other =
                files.iter().any(|(name, _)| error.contains(Path::new(name).file_name().unwrap().to_str().unwrap()));
            let whole = error.contains(&format!("{}: ", folder.path().display()));
            if named || other || whole { Ok(()) } else { Err(error) }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn nearly_right_files_are_read_or_refused_by_name(which in any::<Index>(), edits in edits()) {
        for row in FILES {
            outcome(row, which, &edits).map_err(|error| TestCaseError::fail(format!("{}: {error}", row.1)))?;
        }
    }
}

#[test]
fn the_files_are_right_before_they_are_changed() {
    for (kind, settings, files) in FILES {
        let folder = tempfile::tempdir().unwrap();
        for (name, good) in *files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, good).unwrap();
        }
        let settings = settings.replace("FOLDER", &folder.path().display().to_string());
        let world = open_world(kind, &settings.parse().unwrap()).unwrap_or_else(|e| panic!("{settings}: {e:#}"));
        assert!(SPLITS.iter().any(|split| world.size(*split) > 0), "{settings}");
    }
}

/// What may stand anywhere in a file that people and programs edit.
const ODD: &[&str] = &[
    "",
    "null",
    "[]",
    "{}",
    "\"",
    "\\",
    "-1",
    "1e999",
    "99999999999999999999",
    "0",
    ",",
    "\n",
    "\r\n",
    "\t",
    "\u{0}",
    "\u{1b}[2J",
    "\u{feff}",
    "é",
    "[[[[[[[[",
    "true",
    "\"a\"",
    "(",
    ")",
    "NaN",
    "inf",
    "$",
    "@",
    "Desk_bar_1",
];

/// A kind, the settings that read its files, and the files.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const FILES: &[Row] = &[
    ("household", "games = 'FOLDER/games.jsonl'", &[("games.jsonl", GAMES)]),
    ("household", "games = 'FOLDER/game.tw-pddl'", &[("game.tw-pddl", PDDL)]),
    ("household", "games = 'FOLDER'", &[("train/a/game.tw-pddl", PDDL), ("valid_seen/b/game.tw-pddl", PDDL)]),
    (
        "shop",
        "products = 'FOLDER/goods.json'\nattributes = 'FOLDER/attributes.json'\nnouns = 'FOLDER/nouns.json'",
        &[("goods.json", GOODS), ("attributes.json", ATTRIBUTES), ("nouns.json", NOUNS)],
    ),
    (
        "shop",
        "products = 'FOLDER/goods.json'\nattributes = 'FOLDER/attributes.json'\nhuman = 'FOLDER/human.json'",
        &[("goods.json", GOODS), ("attributes.json", ATTRIBUTES), ("human.json", HUMAN)],
    ),
    (
        "search",
        "questions = 'FOLDER/q.jsonl'\ncorpus = 'FOLDER/c.jsonl'",
        &[("q.jsonl", QUESTIONS), ("c.jsonl", PASSAGES)],
    ),
    ("search", "questions = 'FOLDER/hotpot.json'", &[("hotpot.json", HOTPOT)]),
    ("search", "questions = 'FOLDER/m.jsonl'\ncorpus = 'FOLDER/c.tsv'", &[("m.jsonl", MUSIQUE), ("c.tsv", TSV)]),
    ("sokoban", "levels = 'FOLDER/levels.txt'", &[("levels.txt", LEVELS)]),
    ("series", "data = 'FOLDER/s.csv'\nhistory = 8\nhorizon = 2", &[("s.csv", CSV)]),
    ("bridge", "replay = 'FOLDER/tape.jsonl'", &[("tape.jsonl", TAPE)]),
];

const GAMES: &str = r#"{"id": "valid_seen/a/b", "task_type": "pick_and_place_simple", "desc": "put a pen in desk.", "agent_loc": "l", "params": {"object_target": "Pen", "parent_target": "Desk"}, "can_contain": [["DeskType", "PenType"]], "receptacles": [{"id": "Desk_bar_1", "type": "DeskType", "loc": "l", "openable": false, "opened": false}, {"id": "Safe_bar_1", "type": "SafeType", "loc": "m", "openable": true, "opened": false}], "objects": [{"id": "Pen_bar_1", "type": "PenType", "flags": ["pickupable"], "in": ["Safe_bar_1"], "loc": ["m"]}]}
{"id": "train/c", "desc": "put a pen in desk.", "pddl_problem": "(define (:init (receptacleType Desk_bar_1 DeskType) (receptacleAtLocation Desk_bar_1 l1) (canContain DeskType PenType) (objectType Pen_bar_1 PenType) (pickupable Pen_bar_1) (inReceptacle Pen_bar_1 Desk_bar_1) (atLocation agent1 l9)) (:goal (and (inReceptacle ?o ?r) (objectType ?o PenType) (receptacleType ?r DeskType))))"}
"#;
const PDDL: &str = r#"{"solvable": true, "grammar": "\"task\": [{ \"rhs\": \"Your task is to: put some pen on desk.\" }]", "pddl_problem": "(define (problem p) (:init (receptacleType Desk_bar_1 DeskType) (receptacleAtLocation Desk_bar_1 l1) (receptacleType Safe_bar_1 SafeType) (receptacleAtLocation Safe_bar_1 l2) (openable Safe_bar_1) (canContain DeskType PenType) (objectType Pen_bar_1 PenType) (pickupable Pen_bar_1) (inReceptacle Pen_bar_1 Safe_bar_1) (objectAtLocation Pen_bar_1 l2) (atLocation agent1 l9) (= (totalCost) 0)) (:goal (and (exists (?o - object) (and (inReceptacle ?o ?r) (objectType ?o PenType) (receptacleType ?r DeskType))))))"}"#;
const GOODS: &str = r#"[
{"asin": "B1", "name": "Oak Stool", "category": "garden", "query": "stools", "product_category": "Home › Seats › Stools", "pricing": "$20.00 - $30.50", "small_description": ["Solid oak.", "Low."], "full_description": "A stool of oak.", "customization_options": {"Color": [{"value": "dark/brown"}, {"value": "red"}], "Size": null}},
{"asin": "B2", "name": "Tin Cup", "category": "garden", "query": "cups", "product_category": "Home › Cups", "pricing": null, "small_description": "One sentence.", "full_description": null, "customization_options": ""}
]"#;
const ATTRIBUTES: &str = r#"{"B1": {"attributes": ["solid oak"], "instruction": "Find me oak stools", "instruction_attributes": ["solid oak"]}, "B2": {"attributes": [], "instruction": "Find a cup", "instruction_attributes": []}}"#;
const NOUNS: &str = r#"{"B1": ["oak", "stool"], "B2": ["cup"]}"#;
const HUMAN: &str =
    r#"{"B2": [{"instruction": "I want a cup.", "instruction_attributes": ["tin"], "instruction_options": ["red"]}]}"#;
const QUESTIONS: &str = r#"{"id": "q1", "question": "who has the mill", "golden_answers": ["Ida", "Ida Borg"], "data_source": "nq", "split": "train", "support": ["1"]}
{"question": "where is the barn", "answer": ["Bergen"]}
"#;
const PASSAGES: &str = "{\"id\": \"1\", \"contents\": \"\\\"Mill\\\"\\nIda owns the mill.\"}\n{\"id\": 2, \"title\": \"Barn\", \"text\": \"In Bergen.\"}\n";
const HOTPOT: &str = r#"[{"_id": "h1", "question": "Who owns the mill?", "answer": "Ida", "type": "bridge", "supporting_facts": [["Mill", 0]], "context": [["Mill", ["It is old. ", "Ida owns it."]], ["Barn", ["A barn."]]]}]"#;
const MUSIQUE: &str = r#"{"id": "2hop__1", "question": "Where does Ida live?", "answer": "Oslo", "answer_aliases": ["Kristiania"], "paragraphs": [{"idx": 0, "title": "Ida", "paragraph_text": "Ida lives in Oslo.", "is_supporting": true}]}"#;
const TSV: &str = "id\ttext\ttitle\n1\t\"The \"\"old\"\" mill\"\tMill\n2\tA town.\tBergen\n";
const LEVELS: &str = "; 0\n######\n#@ $.#\n#    #\n######\n\n; 1\n#####\n#+$ #\n#  ##\n#####\n";
const CSV: &str = "day,a,b\nd1,1,2\nd2,3,4\nd3,5,6\nd4,7,8\nd5,9,1\nd6,2,3\nd7,4,5\nd8,6,7\nd9,8,9\nd10,1,2\nd11,3,4\n";
const TAPE: &str = r#"{"task": "bridge/train/0", "exchanges": [{"type": "reset", "send": {"split": "train", "seed": 0}, "data": {"observation": {"text": "x"}, "reward": null, "done": false}}]}
"#;
