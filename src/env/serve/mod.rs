//! Serving: any environment of this program as an OpenEnv server ([`http`]), or over standard input and output
//! ([`lines`]).
//!
//! Messages are those of [`super::bridge::link`]. An observation holds `text`, `goal`, `task`, `admissible`, `won`,
//! `score` and `valid`; a step's `data` is `{"action": "..."}`; a reset's may hold `task` (an id), or `split` with `index`
//! or `seed` (taken modulo the split's size). An episode is done when the game is, or after the world's `max_turns`.

pub mod http;
mod pipes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};

pub use self::pipes::lines;
use super::{Env, SPLITS, World, split_name};
use crate::core::{Split, Task};

/// What is served, and to how many at a time.
pub struct Host {
    world: Box<dyn World>,
    about: &'static str,
    most: usize,
    live: AtomicUsize,
}

/// One client's game.
pub struct Session {
    host: Arc<Host>,
    episode: Option<Episode>,
    count: u64,
}

struct Episode {
    id: String,
    task: Task,
    game: Box<dyn Env>,
    steps: usize,
    done: bool,
}

/// What a client did wrong, or the environment.
struct Refusal(&'static str, String);

impl Host {
    /// A host of a world for at most `most` sessions.
    pub fn new(world: Box<dyn World>, about: &'static str, most: usize) -> Arc<Host> {
        Arc::new(Host { world, about, most, live: AtomicUsize::new(0) })
    }

    /// The name of what is served.
    pub fn name(&self) -> &str {
        self.world.kind()
    }

    /// A new session; `None` if there are too many.
    pub fn session(self: &Arc<Self>) -> Option<Session> {
        let more = |live: usize| (live < self.most).then_some(live + 1);
        self.live.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Session { host: Arc::clone(self), episode: None, count: 0 })
    }

    fn metadata(&self) -> Value {
        json!({ "name": self.name(), "description": self.about, "version": env!("CARGO_PKG_VERSION") })
    }

    /// JSON schemas of what is sent and answered.
    fn schema(&self) -> Value {
        let object = |fields: Value, required: Value| json!({ "type": "object", "properties": fields, "required": required, "additionalProperties": false });
        let (text, number, truth) = (json!({"type": "string"}), json!({"type": "number"}), json!({"type": "boolean"}));
        let texts = json!({ "type": "array", "items": text });
        json!({
            "action": object(json!({ "action": text }), json!(["action"])),
            "observation": object(
                json!({ "text": text, "goal": text, "task": text, "admissible": texts, "won": truth, "score": number, "valid": truth }),
                json!(["text", "goal", "task", "admissible", "won", "score", "valid"]),
            ),
            "state": object(json!({ "episode_id": text, "step_count": { "type": "integer" }, "task": text }), json!([])),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.host.live.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Session {
    /// The answer to a message; `None` if the client says goodbye.
    pub fn answer(&mut self, text: &str) -> Option<Value> {
        match serde_json::from_str(text) {
            Ok(message) => self.reply(&message),
            Err(_) => Some(refuse(&no_message())),
        }
    }

    fn reply(&mut self, message: &Map<String, Value>) -> Option<Value> {
        let data = message.get("data").cloned().unwrap_or_else(|| json!({}));
        let answer = match message.get("type").and_then(Value::as_str) {
            Some("reset") => self.reset(&data),
            Some("step") => self.step(&data),
            Some("state") => Ok(json!({ "type": "state", "data": self.state() })),
            Some("spec") => Ok(json!({ "type": "spec", "data": self.host.schema() })),
            Some("close") => return None,
            other => {
                let known = "`reset`, `step`, `state`, `spec`, `close`";
                Err(Refusal(
                    "UNKNOWN_TYPE",
                    format!("`{}` is no type of message; there is {known}", other.unwrap_or("")),
                ))
            }
        };
        let mut answer = answer.unwrap_or_else(|refusal| refuse(&refusal));
        if let Some(id) = message.get("id") {
            answer["id"] = id.clone();
        }
        Some(answer)
    }

    fn reset(&mut self, data: &Value) -> Result<Value, Refusal> {
        let fields = object(data, &["task", "split", "index", "seed", "episode_id"])?;
        let task = self.task(fields)?;
        let game = self.host.world.open(&task).map_err(|e| Refusal("EXECUTION_ERROR", format!("{e:#}")))?;
        failed(&*game)?;
        self.count += 1;
        let id = match fields.get("episode_id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => format!("{}#{}", task.id, self.count),
        };
        let episode = self.episode.insert(Episode { id, task, game, steps: 0, done: false });
        Ok(episode.observation(None))
    }

    fn task(&self, fields: &Map<String, Value>) -> Result<Task, Refusal> {
        let wrong = |field: &str, what: &str| Refusal("VALIDATION_ERROR", format!("field `{field}`: expected {what}"));
        let world = &self.host.world;
        let found = if let Some(id) = given(fields, "task") {
            let id = id.as_str().ok_or_else(|| wrong("task", "the id of a task"))?;
            let own = format!("{}/", world.kind());
            world.task_by_id(&if id.starts_with(&own) { id.to_owned() } else { own + id })
        } else {
            let split = match given(fields, "split") {
                Some(name) => SPLITS.into_iter().find(|split| name == split_name(*split)),
                None => Some(SPLITS.into_iter().find(|split| world.size(*split) > 0).unwrap_or(Split::Train)),
            };
            let split = split.ok_or_else(|| wrong("split", "`train`, `valid-seen` or `valid-unseen`"))?;
            let size = world.size(split).max(1);
            let number = |field: &str| match given(fields, field) {
                Some(n) => n.as_u64().map(Some).ok_or_else(|| wrong(field, "a number, 0 or more")),
                None => Ok(None),
            };
            let (index, seed) = (number("index")?, number("seed")?);
            world.task(split, index.or(seed.map(|seed| seed % size)).unwrap_or(0))
        };
        found.map_err(|e| Refusal("VALIDATION_ERROR", format!("{e:#}")))
    }

    fn step(&mut self, data: &Value) -> Result<Value, Refusal> {
        let fields = object(data, &["action", "metadata"])?;
        let action = fields.get("action").and_then(Value::as_str);
        let action = action.ok_or_else(|| Refusal("VALIDATION_ERROR", "field `action`: expected a text".to_owned()))?;
        let most = self.host.world.max_turns();
        let Some(episode) = &mut self.episode else {
            return Err(Refusal("EXECUTION_ERROR", "there is no episode yet; send `reset` first".to_owned()));
        };
        if episode.done {
            return Err(Refusal("EXECUTION_ERROR", "the episode is over; send `reset` for another".to_owned()));
        }
        let step = episode.game.step(action);
        failed(&*episode.game)?;
        episode.steps += 1;
        episode.done = step.done || episode.steps >= most;
        Ok(episode.observation(Some(&step)))
    }

    fn state(&self) -> Value {
        match &self.episode {
            Some(e) => json!({ "episode_id": e.id, "step_count": e.steps, "task": e.task.id }),
            None => json!({ "episode_id": null, "step_count": 0, "task": null }),
        }
    }
}

impl Episode {
    fn observation(&self, step: Option<&super::Step>) -> Value {
        let observation = json!({
            "text": self.game.observation(),
            "goal": self.game.goal().unwrap_or(&self.task.goal),
            "task": self.task.id,
            "admissible": if self.done { vec![] } else { self.game.admissible() },
            "won": step.is_some_and(|s| s.won),
            "score": step.map_or(0.0, |s| s.score),
            "valid": step.is_none_or(|s| s.valid),
        });
        let reward = step.map(|s| s.reward);
        json!({ "type": "observation", "data": { "observation": observation, "reward": reward, "done": self.done } })
    }
}

fn no_message() -> Refusal {
    Refusal("INVALID_JSON", "a message is one JSON object".to_owned())
}

fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn object<'a>(data: &'a Value, known: &[&str]) -> Result<&'a Map<String, Value>, Refusal> {
    let Some(fields) = data.as_object() else {
        return Err(Refusal("VALIDATION_ERROR", "`data`: expected an object".to_owned()));
    };
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(other) => {
            let message = format!("field `{other}` is not known; there is `{}`", known.join("`, `"));
            Err(Refusal("VALIDATION_ERROR", message))
        }
        None => Ok(fields),
    }
}

fn failed(game: &dyn Env) -> Result<(), Refusal> {
    game.failure().map_or(Ok(()), |reason| Err(Refusal("EXECUTION_ERROR", reason.to_owned())))
}

fn refuse(refusal: &Refusal) -> Value {
    json!({ "type": "error", "data": { "message": refusal.1, "code": refusal.0 } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let world = crate::env::open_world("sokoban", &toml::Table::new()).unwrap();
        Host::new(world, "", 1).session().unwrap()
    }

    #[test]
    fn messages_make_an_episode() {
        let mut session = session();
        let seen = session.answer(r#"{"type": "reset", "data": {"seed": 65539}, "id": 4}"#).unwrap();
        assert_eq!((&seen["type"], &seen["id"]), (&json!("observation"), &json!(4)));
        assert_eq!(seen["data"]["observation"]["task"], "sokoban/train/3", "modulo the size of the split");
        assert_eq!((&seen["data"]["reward"], &seen["data"]["done"]), (&Value::Null, &json!(false)));
        for turn in 1..=15 {
            let seen = session.answer(r#"{"type": "step", "data": {"action": "still"}}"#).unwrap();
            assert_eq!(seen["data"]["done"], turn == 15, "the world's turn limit ends the episode");
        }
        assert_eq!(session.answer(r#"{"type": "state"}"#).unwrap()["data"]["step_count"], 15);
        assert!(session.answer(r#"{"type": "close"}"#).is_none());
    }

    #[test]
    fn what_is_not_a_message_is_refused_by_code() {
        let mut session = session();
        for (message, code, part) in [
            ("{", "INVALID_JSON", "one JSON object"),
            ("[1]", "INVALID_JSON", "one JSON object"),
            (r#"{"type": "jump"}"#, "UNKNOWN_TYPE", "`jump`"),
            (r#"{"type": "step", "data": {"action": "up"}}"#, "EXECUTION_ERROR", "send `reset` first"),
            (r#"{"type": "step", "data": {"action": 3}}"#, "VALIDATION_ERROR", "field `action`: expected a text"),
            (r#"{"type": "step", "data": {"move": "up"}}"#, "VALIDATION_ERROR", "field `move` is not known"),
            (r#"{"type": "reset", "data": {"split": "test"}}"#, "VALIDATION_ERROR", "expected `train`"),
            (r#"{"type": "reset", "data": {"seed": -1}}"#, "VALIDATION_ERROR", "expected a number"),
            (r#"{"type": "reset", "data": {"task": "train/x"}}"#, "VALIDATION_ERROR", "is not a task"),
            (r#"{"type": "reset", "data": {"index": 99999999}}"#, "VALIDATION_ERROR", "does not exist"),
        ] {
            let answer = session.answer(message).unwrap();
            assert_eq!((&answer["type"], &answer["data"]["code"]), (&json!("error"), &json!(code)), "{message}");
            assert!(answer["data"]["message"].as_str().unwrap().contains(part), "{answer}");
        }
    }

    #[test]
    fn sessions_are_counted() {
        let session = session();
        let host = Arc::clone(&session.host);
        assert!(host.session().is_none());
        drop(session);
        assert!(host.session().is_some());
    }
}
