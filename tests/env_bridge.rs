//! The bridge: environments of our own behind sockets and pipes behave as they do at home; what is dead, slow or odd is
//! an environment error; what was recorded can be played again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sdlab::config::{Overrides, parse};
use sdlab::core::exit::Exit;
use sdlab::core::{RunEvent, Split};
use sdlab::env::bridge::shared::Programs;
use sdlab::env::serve::{Host, http};
use sdlab::env::{Env, World, open_world};
use sdlab::run::Source;
use sdlab::session::Asserts;
use sdlab::wiring::{create_run, train_here};
use serde_json::{Value, json};
use tungstenite::{Message, accept};

/// Serves an environment from a thread, and returns its address.
fn serve(kind: &str, settings: &str, sessions: usize) -> String {
    let host = Host::new(open_world(kind, &settings.parse().unwrap()).unwrap(), "", sessions);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    thread::spawn(move || http::serve(&host, &listener));
    url
}

fn bridge(settings: &str) -> Box<dyn World> {
    open_world("bridge", &settings.parse().unwrap()).unwrap()
}

fn at(url: &str, more: &str) -> Box<dyn World> {
    bridge(&format!("url = '{url}'\nretries = 0\n{more}"))
}

/// Plays `actions` at home and over the bridge: states must agree.
fn agree(home: &mut dyn Env, away: &mut dyn Env, actions: &[String]) {
    assert_eq!((home.observation(), away.failure()), (away.observation(), None));
    assert_eq!(home.admissible(), away.admissible());
    for action in actions {
        let (here, there) = (home.step(action), away.step(action));
        assert_eq!(
            (&here.observation, here.reward, here.done, here.won, here.score, here.valid),
            (&there.observation, there.reward, there.done, there.won, there.score, there.valid),
            "{action}"
        );
        if !here.done {
            assert_eq!(home.admissible(), away.admissible());
        }
    }
}

#[test]
fn games_over_a_socket_are_the_games_at_home() {
    for (kind, odd) in [("sokoban", "\u{1b}[2J"), ("household", "go to \u{0} nowhere"), ("search", "\"}{")] {
        let home = open_world(kind, &toml::Table::new()).unwrap();
        let away = at(&serve(kind, "", 8), "");
        for (split, index) in [(Split::Train, 0), (Split::Train, 7), (Split::ValidSeen, 3)] {
            let task = away.task(split, index).unwrap();
            let mut there = away.open(&task).unwrap();
            // the server takes the bridge's number modulo the split
            let number = if split == Split::Train { index } else { (10_000 + index) % home.size(split) };
            let own = home.task(split, number).unwrap();
            assert_eq!(there.goal(), Some(own.goal.as_str()));
            let mut here = home.open(&own).unwrap();
            let mut actions = vec![odd.to_owned()];
            actions.extend(here.expert());
            agree(&mut *here, &mut *there, &actions);
        }
    }
}

#[test]
fn a_copy_goes_its_own_way() {
    let world = at(&serve("sokoban", "", 8), "");
    let mut game = world.open(&world.task(Split::Train, 3).unwrap()).unwrap();
    game.step("up");
    let mut copy = game.snapshot();
    let before = copy.observation().to_owned();
    for action in ["down", "left", "right"] {
        game.step(action);
    }
    assert_eq!(copy.observation(), before);
    copy.step("down");
    for action in ["left", "right"] {
        copy.step(action);
    }
    assert_eq!((copy.observation(), copy.failure()), (game.observation(), None));
}

#[test]
fn a_server_with_one_seat_plays_one_after_the_other() {
    let world: Arc<dyn World> = Arc::from(at(&serve("sokoban", "max_turns = 4", 1), "max_turns = 4"));
    let players: Vec<_> = (0..6)
        .map(|index| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let mut game = world.open(&world.task(Split::Train, index).unwrap()).unwrap();
                let steps = (0..4).map(|_| game.step("up")).filter(|step| step.done).count();
                (steps, game.failure().map(str::to_owned))
            })
        })
        .collect();
    for player in players {
        let (ends, failure) = player.join().unwrap();
        assert_eq!((ends > 0, failure), (true, None));
    }
}

#[test]
fn many_games_are_open_at_once() {
    let world = at(&serve("sokoban", "", 256), "");
    let mut games: Vec<_> =
        (0..256).map(|index| world.open(&world.task(Split::Train, index).unwrap()).unwrap()).collect();
    for game in &mut games {
        let step = game.step("up");
        assert!(game.failure().is_none() && !step.observation.is_empty());
    }
}

#[test]
fn a_game_that_waits_for_a_full_server_can_be_told_to_stop() {
    let url =
        odd_server(|_| Some(r#"{"type": "error", "data": {"code": "CAPACITY_REACHED", "message": "1 of 1"}}"#.into()));
    let world: Arc<dyn World> = Arc::from(at(&url, "wait = 600.0"));
    let task = world.task(Split::Train, 0).unwrap();
    let waiting = thread::spawn({
        let world = Arc::clone(&world);
        move || world.open(&task).unwrap().failure().map(str::to_owned)
    });
    world.stop_waiting(true);
    let failure = waiting.join().unwrap().unwrap();
    assert!(failure.contains("CAPACITY_REACHED: 1 of 1"), "{failure}");
}

/// A server that shakes hands and then does as `then` says with each message.
fn odd_server(then: fn(&str) -> Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut socket = accept(stream.unwrap()).unwrap();
                while let Ok(message) = socket.read() {
                    let Ok(text) = message.to_text() else { return };
                    match then(text) {
                        Some(answer) => drop(socket.send(Message::text(answer))),
                        None => return,
                    }
                    if text.contains("silence") {
                        let _ = socket.read();
                    }
                }
            });
        }
    });
    url
}

fn well(data: Value) -> Option<String> {
    Some(json!({ "type": "observation", "data": data }).to_string())
}

#[test]
fn a_server_that_fails_is_an_environment_error() {
    let fresh = || well(json!({ "observation": { "text": "hi" }, "reward": null, "done": false }));
    let nowhere = format!("ws://{}/ws", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    assert!(fresh().is_some());
    let cases: [(String, &str); 6] = [
        (nowhere, "cannot be reached"),
        (odd_server(|_| Some("no json".into())), "not JSON"),
        (
            odd_server(|_| Some(r#"{"type": "error", "data": {"code": "FACTORY_ERROR", "message": "no"}}"#.into())),
            "FACTORY_ERROR: no",
        ),
        (odd_server(|_| Some(r#"{"type": "pong"}"#.into())), "answered `pong`"),
        (odd_server(|_| well(json!({ "reward": 1.0 }))), "no `/observation/text`"),
        (odd_server(|_| None), "connection is lost"),
    ];
    for (url, expected) in cases {
        let world = at(&url, "timeout = 5.0");
        let mut game = world.open(&world.task(Split::Train, 0).unwrap()).unwrap();
        assert!(game.failure().is_some_and(|f| f.contains(expected)), "{:?}", game.failure());
        let step = game.step("look");
        assert!(step.done && !step.won && step.reward == 0.0 && game.admissible().is_empty());
    }
}

#[test]
fn failures_in_the_middle_end_the_episode_and_not_the_bridge() {
    let url = odd_server(|text| match text {
        t if t.contains("reset") => well(json!({ "observation": { "text": "hi" }, "done": false })),
        t if t.contains("crash") => None,
        t if t.contains("throw") => {
            Some(r#"{"type": "error", "data": {"code": "EXECUTION_ERROR", "message": "boom"}}"#.into())
        }
        t if t.contains("silence") => Some("{\"type\": \"obser".into()),
        t if t.contains("infinite") => {
            Some(r#"{"type": "observation", "data": {"observation": {"text": ""}, "reward": 1e300}}"#.into())
        }
        _ => well(json!({ "observation": { "text": "ok" }, "reward": true, "done": true })),
    });
    let world = at(&url, "timeout = 5.0\nsessions = 1");
    for (action, expected) in [
        ("crash", Some("connection is lost")),
        ("throw", Some("EXECUTION_ERROR: boom")),
        ("silence", Some("not JSON")),
        ("infinite", Some("expected a number")),
        ("win", None),
    ] {
        let mut game = world.open(&world.task(Split::Train, 0).unwrap()).unwrap();
        let step = game.step(action);
        match expected {
            Some(part) => assert!(game.failure().is_some_and(|f| f.contains(part)), "{:?}", game.failure()),
            None => assert_eq!((game.failure(), step.won, step.reward), (None, true, 1.0)),
        }
        assert!(step.done);
    }
}

#[test]
fn a_server_that_is_slow_is_given_up() {
    // it listens but never answers
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let world = at(&url, "timeout = 0.05");
    let game = world.open(&world.task(Split::Train, 0).unwrap()).unwrap();
    assert!(game.failure().is_some(), "{:?}", game.failure());
    let silent = odd_server(|text| {
        if text.contains("reset") { well(json!({ "observation": { "text": "" } })) } else { Some(String::new()) }
    });
    let world = at(&silent, "timeout = 0.2");
    let mut game = world.open(&world.task(Split::Train, 0).unwrap()).unwrap();
    assert!(game.failure().is_none());
    game.step("x");
    assert!(game.failure().is_some());
}

#[test]
fn recordings_are_played_again_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let tape = folder.path().join("tape.jsonl").display().to_string();
    let play = |world: &dyn World, last: &str| {
        let mut game = world.open(&world.task(Split::Train, 2).unwrap()).unwrap();
        let states: Vec<_> = ["up", "down", last].into_iter().map(|action| game.step(action)).collect();
        (states, game.failure().map(str::to_owned))
    };
    let live = at(&serve("sokoban", "", 4), &format!("record = '{tape}'"));
    let (first, second) = (play(&*live, "left"), play(&*live, "right"));
    let again = bridge(&format!("replay = '{tape}'\nretries = 0"));
    assert_eq!((play(&*again, "left"), play(&*again, "right")), (first, second));
    let (_, failure) = play(&*again, "still");
    assert!(failure.unwrap().contains("the recording has no episode that goes on with {\"action\":\"still\"}"));
    std::fs::write(&tape, "{\"task\": \"x\", \"exchanges\": [{}]}\n").unwrap();
    let error = open_world("bridge", &format!("replay = '{tape}'").parse().unwrap()).err().unwrap();
    assert!(format!("{error:#}").contains("line 1, field `exchanges`: missing field `type`"), "{error:#}");
}

/// A folder with an `envs/bridge.toml` whose server is a command.
fn with_worker(command: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("envs/bridge.toml")).unwrap();
    let command = toml::Value::try_from(command).unwrap();
    let fields = "fields = { text = \"/observation/text\", goal = \"/observation/goal\", won = \"/observation/won\" }";
    let text = format!("{text}\n[server.mine]\ncommand = {command}\n{fields}\n");
    std::fs::create_dir(folder.path().join("envs")).unwrap();
    std::fs::write(folder.path().join("envs/bridge.toml"), text).unwrap();
    folder
}

/// Runs `sdlab env play bridge` there.
fn play(folder: &Path, actions: &str) -> (bool, String, String) {
    std::fs::write(folder.join("actions"), actions).unwrap();
    let set = ["--set", "env.bridge.server=mine", "--set", "env.bridge.retries=0", "--set", "env.bridge.timeout=60"];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sdlab"));
    command.current_dir(folder).args(["env", "play", "bridge", "--actions", "actions", "--json"]).args(set);
    let out = command.output().unwrap();
    (out.status.success(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn programs_are_played_over_their_pipes() {
    let folder = with_worker(&[env!("CARGO_BIN_EXE_sdlab"), "env", "serve", "sokoban", "--stdio"]);
    let (well, out, error) = play(folder.path(), "up\ndown\n");
    assert!(well, "{error}");
    let last: Value = serde_json::from_str(out.lines().nth(2).unwrap()).unwrap();
    let home = open_world("sokoban", &toml::Table::new()).unwrap();
    let mut game = home.open(&home.task(Split::Train, 0).unwrap()).unwrap();
    game.step("up");
    assert_eq!(last["observation"], game.step("down").observation);
    // a program that dies says why
    let folder = with_worker(&["sh", "-c", "echo no such game >&2; exit 3"]);
    let (well, _, error) = play(folder.path(), "up\n");
    assert!(!well && error.contains("the program has ended (exit status: 3); it said last: no such game"), "{error}");
    let folder = with_worker(&["sh", "-c", "echo hello; cat"]);
    let (well, _, error) = play(folder.path(), "up\n");
    assert!(!well && error.contains("it wrote \"hello\" where an answer was due"), "{error}");
    let folder = with_worker(&["/nowhere/at/all"]);
    let (well, _, error) = play(folder.path(), "up\n");
    assert!(!well && error.contains("`/nowhere/at/all` cannot be started"), "{error}");
}

#[test]
fn the_template_in_python_works() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: no python3");
        return;
    }
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("envs/worker.py").display().to_string();
    let folder = with_worker(&["python3", &template]);
    let guesses: String = (1..=20).map(|n| format!("{n}\n")).collect();
    let (well, out, error) = play(folder.path(), &format!("what\n{guesses}"));
    assert!(well, "{error}");
    assert!(out.contains("That is no number.") && out.contains("\"Right!\"") && out.contains("\"won\":true"), "{out}");
}

#[test]
fn several_games_share_a_program() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("envs/worker.py").display().to_string();
    let ours = [env!("CARGO_BIN_EXE_sdlab"), "env", "serve", "sokoban", "--stdio"].map(str::to_owned).to_vec();
    let mut commands = vec![(ours, "still", "sokoban/train/")];
    match std::process::Command::new("python3").arg("--version").output() {
        Ok(_) => commands.push((vec!["python3".into(), template], "50", "Lower.")),
        Err(_) => eprintln!("skipped: no python3"),
    }
    for (command, action, answer) in commands {
        let programs = Programs::new(command, Duration::from_secs(60), 4);
        // six games: two programs, and their messages go out together as they come
        thread::scope(|scope| {
            for index in 0..6 {
                let programs = &programs;
                scope.spawn(move || {
                    let mut seat = programs.seat().unwrap();
                    let mut ask = |kind: &str, data: Value| {
                        seat.exchange(&json!({ "type": kind, "data": data })).unwrap()["data"]["observation"]
                            .to_string()
                    };
                    let first = ask("reset", json!({ "seed": index }));
                    assert!(
                        !first.contains("sokoban") || first.contains(&format!("sokoban/train/{index}\"")),
                        "{first}"
                    );
                    for _ in 0..10 {
                        let seen = ask("step", json!({ "action": action }));
                        assert!(seen.contains(answer), "{seen}");
                    }
                });
            }
        });
    }
    // a program that fails takes its games with it, and the next seat starts another
    let programs =
        Programs::new(["sh", "-c", "read x; echo no >&2"].map(str::to_owned).to_vec(), Duration::from_secs(60), 4);
    for _ in 0..2 {
        let mut seat = programs.seat().unwrap();
        let fault = seat.exchange(&json!({ "type": "reset" })).unwrap_err();
        assert!(fault.to_string().contains("it said last: no"), "{fault}");
        assert!(seat.exchange(&json!({ "type": "reset" })).unwrap_err().to_string().contains("has ended"));
    }
}

#[test]
fn the_server_answers_plain_requests() {
    let url = serve("sokoban", "", 1);
    let place = url.trim_start_matches("ws://").trim_end_matches("/ws");
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(place).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // a connection that is cut off is an answer, too
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let get = |path: &str| ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    assert!(get("/health").ends_with("{\"status\":\"healthy\"}"));
    assert!(get("/metadata").contains("\"name\":\"sokoban\""));
    assert!(get("/schema").contains("\"admissible\":{\"type\":\"array\""));
    assert!(get("/ws").starts_with("HTTP/1.1 426"));
    assert!(get("/reset").starts_with("HTTP/1.1 404"));
    assert_eq!(ask(&"x".repeat(40_000)), "", "what is no request is not answered");
}

const TRAIN: &str = "
[run]
steps = 2
[rollout]
groups = 2
members = 2
max_new_tokens = 12
[skills]
retrieval = 'none'
[eval]
games = 0
[optim]
minibatches = 1
[checkpoint]
final = false
";

fn train(set: &[String]) -> Vec<RunEvent> {
    let root = tempfile::tempdir().unwrap();
    let mut recipe = parse("small.toml", TRAIN, &Overrides { set: set.to_vec(), ..Overrides::default() }).unwrap();
    recipe.run.root = root.path().display().to_string();
    recipe.model.path = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), recipe.model.path);
    recipe.skills.bank = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), recipe.skills.bank);
    let folder = create_run(&recipe, "small.toml").unwrap();
    let exit = train_here(&folder, None, Asserts::default()).unwrap();
    let events: Vec<_> = Source::open(&folder).unwrap().all().unwrap().into_iter().map(|r| r.event).collect();
    assert_eq!(exit, Exit::Done, "{:?}", events.last());
    events
}

fn numbers(events: &[RunEvent], name: &str) -> Vec<Option<f64>> {
    let of = |event: &RunEvent| match event {
        RunEvent::Stepped { metrics, .. } => Some(metrics.get(name).copied().flatten()),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

#[test]
fn bridged_games_are_trained_on_and_failed_ones_are_left_out() {
    let url = serve("sokoban", "max_turns = 3", 3);
    let set = ["env.bridge={}".to_owned(), format!("env.bridge.url='{url}'"), "method.grpo={}".into()];
    let events = train(&set);
    assert_eq!(numbers(&events, "env/errors"), [Some(0.0); 2]);
    assert!(numbers(&events, "turns/mean").iter().all(|turns| turns.unwrap() >= 1.0));
    // nobody there: every episode is an environment error, nothing is learnt, an alert says so
    let set =
        ["env.bridge={}".to_owned(), "env.bridge.url='ws://127.0.0.1:1/ws'".into(), "env.bridge.retries=0".into()];
    let events = train(&set);
    assert_eq!(numbers(&events, "env/errors"), [Some(1.0); 2]);
    let alarm = |e: &RunEvent| matches!(e, RunEvent::Alerted { rule, .. } if rule == "env/errors > 0");
    assert!(events.iter().any(alarm), "{events:?}");
    let told = |e: &&RunEvent| {
        let text = "4 of 4 environments failed, the first: ";
        matches!(e, RunEvent::Warned { message, .. } if message.starts_with(text) && message.contains("cannot be reached"))
    };
    assert_eq!(events.iter().filter(told).count(), 1, "the same once: {events:?}");
}

#[test]
fn games_that_end_by_the_turn_limit_give_their_seat_back() {
    // one seat, and a server that would go on
    let url = serve("sokoban", "max_turns = 9", 1);
    let own = "env.bridge={max_turns=1,wait=5.0}".to_owned();
    let events = train(&[own, format!("env.bridge.url='{url}'"), "method.grpo={}".into()]);
    assert_eq!(numbers(&events, "env/errors"), [Some(0.0); 2]);
    assert_eq!(numbers(&events, "turns/mean"), [Some(1.0); 2]);
}

#[test]
fn lines_end_with_the_input() {
    let host = Host::new(open_world("sokoban", &toml::Table::new()).unwrap(), "", 1);
    let mut out = Vec::new();
    let input = b"\n{\"type\": \"reset\", \"id\": 1}\nnonsense\n{\"type\": \"close\"}\n{\"type\": \"reset\"}\n";
    sdlab::env::serve::lines(&host, &mut BufReader::new(&input[..]), &mut out).unwrap();
    let lines: Vec<_> = out.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["id"], &lines[1]["data"]["code"]), (2, &json!(1), &json!("INVALID_JSON")));
}
