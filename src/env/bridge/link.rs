//! One session with an environment elsewhere: a message goes out, its answer comes back.
//!
//! The messages are OpenEnv's, on a socket and on a worker's pipes alike:
//!
//! ```text
//! > {"type": "reset", "data": {...}}    < {"type": "observation", "data": {"observation": {...}, "reward": null, "done": false}}
//! > {"type": "step", "data": {...}}     < the same
//! > {"type": "state"}                   < {"type": "state", "data": {...}}
//! > {"type": "close"}                   < {"type": "error", "data": {"message": "...", "code": "..."}} at any time
//! ```

use serde_json::{Value, json};

/// A session. Every call ends within the session's time limit.
pub trait Link: Send {
    /// Sends a message and returns the answer to it, an object with `type` and `data`.
    fn exchange(&mut self, message: &Value) -> Result<Value, Fault>;
}

/// Why there is no observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The environment answered with an error; the session goes on.
    Refused { code: String, message: String },
    /// The session is gone: closed, timed out, or not in the protocol.
    Broken(String),
}

impl Fault {
    /// Whether the server has no room for another session.
    pub fn is_full(&self) -> bool {
        matches!(self, Fault::Refused { code, .. } if code == "CAPACITY_REACHED")
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Fault::Refused { code, message } => write!(f, "it answered {code}: {message}"),
            Fault::Broken(reason) => f.write_str(reason),
        }
    }
}

/// Sends `reset` or `step` and returns the `data` of the observation.
pub fn observe(link: &mut dyn Link, kind: &str, data: Value) -> Result<Value, Fault> {
    let mut answer = link.exchange(&json!({ "type": kind, "data": data }))?;
    let data = answer.get_mut("data").map(Value::take).unwrap_or_default();
    match answer.get("type").and_then(Value::as_str) {
        Some("observation") if data.is_object() => Ok(data),
        Some("error") => {
            let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or("no reason given").to_owned();
            Err(Fault::Refused { code: text("code"), message: text("message") })
        }
        Some(other) => Err(Fault::Broken(format!("to `{kind}` it answered `{other}`, expected an observation"))),
        None => Err(Fault::Broken(format!("to `{kind}` it answered without a `type`"))),
    }
}

/// Most bytes of one message, either way.
pub const MOST_BYTES: usize = 16 << 20;
