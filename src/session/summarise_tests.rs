use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::summarise::{Summariser, pause};
use crate::config::LearnSettings;
use crate::core::event::Level;
use crate::core::skill::Author;
use crate::core::{Ending, Episode, EpisodeId, Stop, Task, Turn};
use crate::skill::Form;
use crate::skill::draft::{Answer, Job, Task as Asked};
use crate::train::learn::Scribe;

const GOOD: &str = r#"{"success_analysis": "It looked first.", "mistake_analysis": "", "golden_workflow": "1. look"}"#;

fn job(member: u32) -> Job {
    let turn = Turn {
        observation: "You see a mug 1.".into(),
        reply: String::new(),
        action: "fly".into(),
        valid: false,
        reward: 0.0,
        tokens: 1,
        stop: Stop::Closed,
    };
    let episode = Episode {
        id: EpisodeId { step: 1, group: 0, member },
        task: Task { id: "household/train/1".into(), kind: "pick_two".into(), goal: "put two mugs in it".into() },
        turns: vec![turn],
        last_observation: "Nothing happens.".into(),
        ending: Ending::Lost,
        reward: 0.0,
        score: 0.0,
        advantage: None,
        prompt: String::new(),
        teacher_prompt: String::new(),
        skills: vec![],
    };
    Job { task: Asked::Episode, episodes: vec![episode] }
}

fn settings(base_url: String, retries: u32) -> LearnSettings {
    LearnSettings { base_url, model: "m".into(), retries, backoff: 0.0, timeout: 20.0, ..LearnSettings::default() }
}

/// What a server says to one request: status and body.
type Said = (u16, String);

/// A server that answers each request with what the test sends it then; requests come out at the other end.
fn server() -> (String, Sender<Said>, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (say, said) = channel::<Said>();
    let (asked, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            while let Some(request) = read(&stream) {
                if asked.send(request).is_err() {
                    return;
                }
                let Ok((status, body)) = said.recv() else { return };
                let length = body.len();
                let _ = write!(&stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
            }
        }
    });
    (url, say, requests)
}

/// Head and body of a request; `None` when the client has gone.
fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
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
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).ok()?)
}

fn chat(content: &str) -> Said {
    (200, serde_json::json!({ "choices": [{ "message": { "content": content } }] }).to_string())
}

/// Everything that was handed in, however long it takes.
fn all(summariser: &mut Summariser) -> Vec<Answer> {
    let mut answers = vec![];
    while !summariser.waiting().is_empty() {
        answers.extend(summariser.take());
        thread::yield_now();
    }
    answers
}

#[test]
fn the_distiller_is_done_when_it_is_asked() {
    let mut summariser = Summariser::start(None, Form::Lessons, 10, 3).unwrap();
    assert_eq!(summariser.queue((0..8).map(job).collect()), 0);
    assert_eq!(summariser.waiting().len(), 8);
    let answers = summariser.take();
    let members: Vec<u32> = answers.iter().map(|answer| answer.key.episodes[0].member).collect();
    assert_eq!(members, (0..8).collect::<Vec<_>>(), "all of them, in order");
    assert!(summariser.waiting().is_empty() && summariser.take().is_empty());
    assert_eq!(answers[0].drafts[0].text, "Keep to the form in which you are asked to answer.");
    assert_eq!(answers[0].provenance.author, Author::Distiller);
}

#[test]
fn a_full_queue_lets_the_oldest_go_and_nobody_waits() {
    let (url, say, requests) = server();
    let endpoint = Endpoint::new(&settings(url, 0)).unwrap();
    let mut summariser = Summariser::start(Some(endpoint), Form::Lessons, 2, 1).unwrap();
    assert_eq!(summariser.queue(vec![job(0)]), 0);
    requests.recv().unwrap(); // the only worker is busy now
    assert_eq!(summariser.queue((1..5).map(job).collect()), 2);
    assert!(summariser.take().is_empty(), "nothing is answered, and that is no reason to wait");
    let left: Vec<u32> = summariser.waiting().iter().map(|key| key.episodes[0].member).collect();
    assert_eq!(left, [0, 3, 4]);
    (0..3).for_each(|_| say.send(chat(GOOD)).unwrap());
    assert_eq!(all(&mut summariser).len(), 3);
}

#[test]
fn an_endpoint_is_asked_again_and_its_garbage_is_counted() {
    let (url, say, requests) = server();
    let endpoint = Endpoint::new(&settings(url, 1)).unwrap();
    let mut summariser = Summariser::start(Some(endpoint), Form::Lessons, 10, 1).unwrap();
    summariser.queue((0..3).map(job).collect());
    // first job: an error, then good; second: words; third: twice no JSON
    let bad = (200, "<html>".to_owned());
    for said in [(500, String::new()), chat(GOOD), chat("As a language model, I"), bad.clone(), bad] {
        say.send(said).unwrap();
    }
    let answers = all(&mut summariser);
    let request = requests.recv().unwrap();
    assert!(request.starts_with("POST /v1/chat/completions") && request.contains("put two mugs in it"), "{request}");
    assert_eq!(answers[0].drafts[0].analyses.golden_workflow, "1. look");
    let provenance = &answers[0].provenance;
    assert_eq!((provenance.author, provenance.model.as_deref()), (Author::Endpoint, Some("m")));
    assert_eq!(provenance.prompt.as_ref().map(String::len), Some(64));
    assert_eq!((answers[1].malformed, answers[1].drafts.len()), (1, 0), "dropped, and counted");
    assert_eq!(answers[2].provenance.author, Author::Distiller);
    assert!(answers[2].fallback.as_ref().unwrap().contains("in another form than JSON"), "{:?}", answers[2].fallback);
    assert!(summariser.alerts().is_empty(), "one failure is no outage");
}

#[test]
fn an_endpoint_that_is_down_is_told_of_once_and_the_distiller_works() {
    // a port that nobody listens on any more
    let url = format!("http://{}/v1", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let endpoint = Endpoint::new(&settings(url, 0)).unwrap();
    let mut summariser = Summariser::start(Some(endpoint), Form::Lessons, 50, 1).unwrap();
    summariser.queue((0..20).map(job).collect());
    let answers = all(&mut summariser);
    assert_eq!(answers.len(), 20);
    assert!(answers.iter().all(|a| a.fallback.is_some() && a.provenance.author == Author::Distiller));
    let alerts = summariser.alerts();
    let [(Level::Warn, message)] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert!(message.contains("fails") && message.contains("the distiller makes the skills"), "{message}");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refused = |settings: LearnSettings| format!("{:#}", Endpoint::new(&settings).unwrap_err());
    let here = || settings("http://127.0.0.1:1/v1".into(), 0);
    assert!(refused(LearnSettings { model: String::new(), ..here() }).contains("`skills.learn.model` is empty"));
    let missing = LearnSettings { key_env: "SDLAB_NO_SUCH_KEY".into(), ..here() };
    assert!(refused(missing).contains("no such environment variable"));
    assert!(refused(settings("ftp://x".into(), 0)).contains("is no address"));
    assert!(format!("{:?}", Endpoint::new(&here()).unwrap()).contains("127.0.0.1"));
    let doubled: Vec<u64> = (0..8).map(|n| pause(Duration::from_secs(1), n).as_secs()).collect();
    assert_eq!(doubled, [1, 2, 4, 8, 16, 32, 60, 60]);
}
