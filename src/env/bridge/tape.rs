//! Recorded sessions: what went out and what came back, one episode a line, and the same played back in place of a
//! server.
//!
//! ```text
//! {"task": "bridge/train/3", "exchanges": [{"type": "reset", "send": {...}, "data": {...}}, {"type": "step", ...}, ...]}
//! ```

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::link::{Fault, Link};
use crate::env::records::{self, Record};

/// One message and the observation that answered it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// `reset` or `step`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The `data` sent.
    pub send: Value,
    /// The `data` of the observation.
    pub data: Value,
}

/// Appends episodes to a file, from any thread.
pub struct Recorder(Mutex<BufWriter<File>>);

impl Recorder {
    /// Opens a file to append to. Fails if it cannot be written.
    pub fn open(path: &Path) -> Result<Recorder> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("{}: recordings cannot be written", path.display()))?;
        Ok(Recorder(Mutex::new(BufWriter::new(file))))
    }

    /// Writes an episode.
    pub fn write(&self, task: &str, exchanges: &[Exchange]) -> std::io::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(|e| e.into_inner());
        serde_json::to_writer(&mut *file, &json!({ "task": task, "exchanges": exchanges }))?;
        file.write_all(b"\n")?;
        file.flush()
    }
}

/// Recorded episodes by what was sent.
pub struct Tapes(Vec<Vec<Exchange>>);

impl Tapes {
    /// Reads what a [`Recorder`] wrote. Fails naming line and field.
    pub fn load(path: &Path) -> Result<Tapes> {
        let mut tapes = Vec::new();
        records::read(path, |record: Record| {
            let exchanges = record.value("exchanges")?;
            tapes.push(Vec::<Exchange>::deserialize(exchanges).map_err(|e| record.error("exchanges", e))?);
            Ok(())
        })?;
        Ok(Tapes(tapes))
    }
}

/// A session that answers as recorded.
pub struct Player {
    tapes: Arc<Tapes>,
    sent: Vec<(String, Value)>,
}

impl Player {
    pub fn new(tapes: Arc<Tapes>) -> Player {
        Player { tapes, sent: Vec::new() }
    }
}

impl Link for Player {
    /// The answer of the first recording that begins with everything sent since the last reset.
    fn exchange(&mut self, message: &Value) -> Result<Value, Fault> {
        let kind = message["type"].as_str().unwrap_or_default();
        if kind == "reset" {
            self.sent.clear();
        }
        self.sent.push((kind.to_owned(), message["data"].clone()));
        let same = |(sent, tape): (&(String, Value), &Exchange)| sent.0 == tape.kind && sent.1 == tape.send;
        let begins = |tape: &&Vec<Exchange>| tape.len() >= self.sent.len() && self.sent.iter().zip(*tape).all(same);
        let Some(tape) = self.tapes.0.iter().find(begins) else {
            return Err(Fault::Broken(format!("the recording has no episode that goes on with {}", message["data"])));
        };
        Ok(json!({ "type": "observation", "data": tape[self.sent.len() - 1].data }))
    }
}
