//! Our own search world: generated lands and questions, files in the usual formats, a retrieval server, bad input.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use sdlab::core::Split;
use sdlab::env::search::{SearchWorld, Settings};
use sdlab::env::{Env, SPLITS, World};

fn world() -> SearchWorld {
    SearchWorld::new(Settings { passages: 400, ..Settings::default() }).unwrap()
}

#[test]
fn the_expert_answers_after_reading_every_support() {
    let world = world();
    for split in SPLITS {
        for index in 0..40 {
            let task = world.task(split, index).unwrap();
            let question = world.question(split, index).unwrap();
            let mut env = world.open(&task).unwrap();
            assert_eq!(env.observation(), question.text);
            let mut read = String::new();
            let plan = env.expert();
            for action in &plan {
                let step = env.step(action);
                assert!(step.valid, "{action}");
                read.push_str(&step.observation);
                assert_eq!((step.done, step.won), (action == plan.last().unwrap(), action == plan.last().unwrap()));
            }
            for title in &question.titles {
                assert!(read.contains(&format!("\\\"{title}\\\"")), "{}: {title} was not read", question.text);
            }
        }
    }
}

#[test]
fn splits_share_no_question_and_unseen_lands_no_name() {
    let world = world();
    let asked = |split| (0..200).map(|i| world.question(split, i).unwrap()).collect::<Vec<_>>();
    let [train, seen, unseen] = SPLITS.map(asked);
    let texts: BTreeSet<_> = train.iter().map(|q| &q.text).collect();
    assert!(seen.iter().chain(&unseen).all(|q| !texts.contains(&q.text)));
    let names: BTreeSet<_> = train.iter().chain(&seen).flat_map(|q| &q.titles).collect();
    assert!(unseen.iter().flat_map(|q| &q.titles).all(|title| !names.contains(title)));
    let kinds: BTreeSet<_> = train.iter().map(|q| q.kind.as_str()).collect();
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

#[test]
fn games_repeat_and_copies_are_apart() {
    let (world, again) = (world(), self::world());
    let task = world.task(Split::Train, 7).unwrap();
    assert_eq!(task, again.task(Split::Train, 7).unwrap());
    assert_eq!(task, again.task_by_id("search/train/7").unwrap());
    let mut env = world.open(&task).unwrap();
    let copy = env.snapshot();
    let first = env.step("<search>the town</search>");
    assert!(first.observation.starts_with("<information>{\"result\": \"Doc 1: \\\""), "{}", first.observation);
    assert_eq!(copy.observation(), task.goal);
    assert_eq!(again.open(&task).unwrap().step("<search>the town</search>"), first);
}

#[test]
fn turns_run_out_and_odd_replies_are_met_with_silence() {
    let world = world();
    let task = world.task(Split::Train, 0).unwrap();
    let mut env = world.open(&task).unwrap();
    for action in ["", "<search>  </search>", "\u{1b}[2J\0 no tags"] {
        let step = env.step(action);
        assert_eq!((step.observation.as_str(), step.valid, step.done), ("", false, false), "{action:?}");
    }
    let long = format!("<search>{}</search>", "Marbane ".repeat(100_000));
    let last = env.step(&long);
    assert!(last.done && !last.won && last.observation.is_empty(), "the last turn shows nothing more");
    let after = env.step("<answer>x</answer>");
    assert!(after.done && !after.won && after.reward == 0.0 && env.admissible().is_empty());
    let mut env = world.open(&task).unwrap();
    assert!(env.step("<search>zzzz qqqq</search>").observation.contains("No search results found."));
    let wrong = env.step("<answer>quite wrong</answer>");
    assert!(wrong.done && !wrong.won && wrong.reward == 0.0 && env.expert().is_empty());
}

const HOTPOT: &str = r#"[
{"_id": "h1", "question": "Who owns the mill?", "answer": "Ida", "type": "bridge",
 "supporting_facts": [["Mill", 0], ["Ida Borg", 1]],
 "context": [["Mill", ["The mill is old. ", "Ida owns it."]], ["Ida Borg", ["Ida Borg is a miller."]], ["Barn", ["A barn."]]]},
{"_id": "h2", "question": "Is the barn red?", "answer": "no", "type": "comparison",
 "supporting_facts": [["Barn", 0]], "context": [["Barn", ["A barn."]]]}
]"#;
const MUSIQUE: &str = r#"{"id": "2hop__1", "question": "Where does Ida live?", "answer": "Oslo", "answer_aliases": ["Kristiania"], "answerable": true, "paragraphs": [{"idx": 0, "title": "Ida", "paragraph_text": "Ida lives in Oslo.", "is_supporting": true}, {"idx": 1, "title": "Bergen", "paragraph_text": "A town.", "is_supporting": false}]}"#;
const NQ: &str = "{\"question\": \"who has the mill\", \"answer\": [\"Ida\", \"Ida Borg\"]}\n";

#[test]
fn usual_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let open = |questions: String, corpus: String| {
        SearchWorld::new(Settings { questions, corpus, ..Settings::default() }).unwrap()
    };
    let all = |world: &SearchWorld| {
        let of = |split| (0..world.size(split)).map(move |i| (split, i));
        let both = of(Split::Train).chain(of(Split::ValidSeen));
        both.map(|(split, i)| world.question(split, i).unwrap()).collect::<Vec<_>>()
    };
    let hotpot = open(file("h.json", HOTPOT), String::new());
    let mill = all(&hotpot).into_iter().find(|q| q.id == "h1").unwrap();
    assert_eq!((&*mill.kind, mill.titles.join("+")), ("bridge", "Mill+Ida Borg".to_owned()));
    let mut env = hotpot.start(mill);
    assert!(
        env.step("<search>mill</search>").observation.contains("Doc 1: \\\"Mill\\\"\\nThe mill is old. Ida owns it.")
    );
    assert_eq!(env.expert(), ["<search>Ida Borg</search>", "<answer>Ida</answer>"], "the mill was read");
    let musique = all(&open(file("m.jsonl", MUSIQUE), String::new()));
    assert_eq!((musique[0].golden.join("|"), musique[0].titles.join("|")), ("Oslo|Kristiania".into(), "Ida".into()));
    let passages = "id\ttext\ttitle\n1\t\"The \"\"old\"\" mill is Ida's.\"\tMill\n2\tA town.\tBergen\n";
    let nq = open(file("nq.jsonl", NQ), file("psgs.tsv", passages));
    let mut env = nq.start(all(&nq).remove(0));
    assert!(env.step("<search>old mill</search>").observation.contains("\\\"Mill\\\"\\nThe \\\"old\\\" mill"));
    assert!(env.step("<answer>the Ida Borg</answer>").won);
}

#[test]
fn faults_in_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let passages = file("c.jsonl", "{\"id\": \"1\", \"contents\": \"x\"}\n");
    let cases = [
        ("q.jsonl", "{\"question\": \"who?\"}", "", "line 1, field `golden_answers`: missing"),
        (
            "q.jsonl",
            "{\"question\": 5, \"answer\": \"x\"}",
            "",
            "line 1, field `question`: expected a text, found a number",
        ),
        ("q.jsonl", "{\"question\": \"a\", \"answer\": []}", "", "line 1, field `answer`: no answer"),
        ("q.json", "[{\"question\": \"a\", \"answer\": \"x\", \"context\": 3}]", "", "entry 1, field `context`"),
        ("q.jsonl", "", "", "has no question"),
        ("q.jsonl", NQ, "", "nothing to search"),
        ("q.jsonl", NQ, "{\"id\": \"1\", \"title\": \"x\"}", "line 1, field `text`: missing"),
        ("q.jsonl", NQ, "{\"id\": \"1\", \"contents\": \"x\"}\n{\"id\": \"1\", \"contents\": \"y\"}", "the id `1`"),
        ("q.jsonl", NQ, "[]", "no passage"),
    ];
    for (name, text, corpus, expected) in cases {
        let questions = file(name, text);
        let corpus = if corpus.is_empty() { String::new() } else { file("corpus.jsonl", corpus) };
        let error = SearchWorld::new(Settings { questions, corpus, ..Settings::default() }).err().unwrap();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
    let settings = Settings { corpus: passages, ..Settings::default() };
    assert!(format!("{:#}", SearchWorld::new(settings).err().unwrap()).contains("not `questions`"));
    let bad = file("c.tsv", "1\tonly two\n");
    let settings = Settings { corpus: bad, questions: file("q.jsonl", NQ), ..Settings::default() };
    assert!(
        format!("{:#}", SearchWorld::new(settings).err().unwrap()).contains("c.tsv`, line 1: expected the 3 columns")
    );
    for (key, value) in
        [("top_k", "0"), ("held_out", "1.0"), ("timeout", "0.0"), ("retriever", "'ftp://x'"), ("topk", "1")]
    {
        let table = format!("{key} = {value}").parse().unwrap();
        let error = SearchWorld::from_table(&table).err().unwrap();
        assert!(format!("{error:#}").contains(if key == "retriever" { "ftp" } else { key }), "{error:#}");
    }
}

/// Answers `answers.len()` requests on a free port of this machine, one connection each, and returns what it was sent.
fn serve(answers: Vec<&'static str>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/retrieve", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let mut bodies = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            bodies.push(String::from_utf8(body).unwrap());
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(answer.as_bytes())).unwrap();
        }
        bodies
    });
    (url, served)
}

#[test]
fn a_server_answers_searches_and_its_failure_is_no_lost_game() {
    let good = r#"{"result": [[{"document": {"id": "7", "contents": "\"Mill\"\nIda's."}, "score": 2.5}]]}"#;
    let (retriever, served) = serve(vec![good, r#"{"oops": 1}"#]);
    let world = SearchWorld::new(Settings { passages: 40, retriever, timeout: 5.0, ..Settings::default() }).unwrap();
    let task = world.task(Split::Train, 0).unwrap();
    let mut env = world.open(&task).unwrap();
    let step = env.step("<search>old mill</search>");
    assert_eq!(step.observation, "<information>{\"result\": \"Doc 1: \\\"Mill\\\"\\nIda's.\\n\"}</information>");
    assert_eq!(env.failure(), None);
    let step = env.step("<search>new mill</search>");
    assert!(step.done && !step.won && env.failure().unwrap().contains("field `result`"), "{:?}", env.failure());
    let sent: serde_json::Value = serde_json::from_str(&served.join().unwrap()[0]).unwrap();
    assert_eq!(
        (&sent["query"], &sent["queries"][0], &sent["topk"]),
        (&"old mill".into(), &"old mill".into(), &3.into())
    );
}

#[test]
fn a_dead_or_silent_server_fails_the_environment() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap(); // accepts into its backlog, never answers
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), closed] {
        let retriever = format!("http://{address}/retrieve");
        let timeout = Duration::from_millis(50).as_secs_f64();
        let world = SearchWorld::new(Settings { passages: 40, retriever, timeout, ..Settings::default() }).unwrap();
        let mut env = world.open(&world.task(Split::Train, 0).unwrap()).unwrap();
        let step = env.step("<search>mill</search>");
        assert!(step.done && env.failure().unwrap().contains("does not answer"), "{:?}", env.failure());
    }
}
