//! `--batch`: the records of a run as JSON Lines on stdout, and nothing else there.
//!
//! | line | fields |
//! |---|---|
//! | `launch` | `v` (version of this contract), `run_id`, `pid`, `run_dir`, `control.socket_path` |
//! | `step` | `step`, and every metric of the step under its own name |
//! | `eval` | `step`, `panel`, `with_skills`, `outcomes`, and every metric |
//! | `skill` | `step`, `happened` (`added`, `retired`, ...), `id`, `author`, `text`, `reason`: a change of the bank |
//! | `checkpoint` | `step`, `path`, `bytes`, `seconds` |
//! | `config` | `step`, `changed` (key: [before, after]), `scope`, `rev`; one line for each scope |
//! | `alert` | `step`, `level`, `rule`, `message`, `value` where there is one |
//! | `done` | `status`, `steps`, `exit`, `message` and `assert` (`pass`, `fail`) where there are; always the last line |
//!
//! A line comes with its record, `launch` after the control socket is bound. No `done` line means that the process
//! died. A number that is not finite is `null`. Readers ignore fields and lines they do not know.

use std::io::{self, ErrorKind, Write};

use serde_json::{Map, Value, json};

use crate::core::event::{KeyChange, Level, Scope};
use crate::core::skill::BankChange;
use crate::core::{Metrics, Record, RunEvent};
use crate::run::{RunFolder, Source};
use crate::session::socket_elsewhere;

/// Version of the contract.
pub const VERSION: u32 = 1;

/// Prints the lines of the contract from records.
pub struct BatchPrinter<W: Write> {
    out: W,
    folder: RunFolder,
    closed: bool,
}

impl<W: Write> BatchPrinter<W> {
    /// Prints to `out` what happens in the run of `folder`.
    pub fn new(out: W, folder: &RunFolder) -> BatchPrinter<W> {
        BatchPrinter { out, folder: folder.clone(), closed: false }
    }

    /// Prints the lines of one record (often none) and flushes. A reader that has gone away is not an error: nothing
    /// is printed from then on, and the run goes on.
    ///
    /// # Errors
    /// Any other I/O error, e.g. a full disk behind a redirection.
    pub fn print(&mut self, record: &Record) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let text: String = self.lines(&record.event).into_iter().map(|line| format!("{line}\n")).collect();
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result,
        }
    }

    /// Whether the reader has gone away.
    pub fn closed(&self) -> bool {
        self.closed
    }

    fn lines(&self, event: &RunEvent) -> Vec<Value> {
        match event {
            RunEvent::Started { run, pid, .. } => {
                // a path too long for a socket: it lies elsewhere while the run goes on
                let socket = socket_elsewhere(self.folder.path()).unwrap_or_else(|| self.folder.socket());
                vec![json!({
                    "event": "launch", "v": VERSION, "run_id": run, "pid": pid,
                    "run_dir": self.folder.path().to_string_lossy(),
                    "control": { "socket_path": socket.to_string_lossy() },
                })]
            }
            RunEvent::Stepped { step, metrics, .. } => vec![with(json!({ "event": "step", "step": step }), metrics)],
            RunEvent::Evaluated { step, panel, with_skills, metrics, outcomes } => vec![with(
                json!({
                    "event": "eval", "step": step, "panel": panel, "with_skills": with_skills, "outcomes": outcomes,
                }),
                metrics,
            )],
            RunEvent::Checkpointed { step, path, bytes, seconds } => vec![json!({
                "event": "checkpoint", "step": step, "path": path, "bytes": bytes, "seconds": seconds,
            })],
            RunEvent::ConfigChanged { step, revision, changes } => config_lines(*step, *revision, changes),
            RunEvent::ConfigRejected { step, message } => vec![alert(*step, Level::Warn, "config", message, None)],
            RunEvent::Alerted { step, level, rule, message, value } => {
                vec![alert(*step, *level, rule, message, *value)]
            }
            RunEvent::Warned { step, message } => vec![alert(*step, Level::Warn, "warning", message, None)],
            RunEvent::Finished { step, status, exit, message, assert } => {
                let mut line = json!({ "event": "done", "status": status, "steps": step, "exit": exit });
                if !message.is_empty() {
                    line["message"] = message.as_str().into();
                }
                if let Some(verdict) = assert {
                    line["assert"] = json!(verdict);
                }
                vec![line]
            }
            RunEvent::BankChanged { step, changes } => {
                let line = |change: &BankChange| {
                    json!({
                        "event": "skill", "step": step, "happened": change.happened, "id": change.skill.id,
                        "author": change.skill.provenance.author, "text": change.skill.text, "reason": change.reason,
                    })
                };
                changes.iter().map(line).collect()
            }
            RunEvent::Progress { .. }
            | RunEvent::Paused { .. }
            | RunEvent::Resumed { .. }
            | RunEvent::BankLoaded { .. }
            | RunEvent::Retrieved { .. }
            | RunEvent::Unknown => Vec::new(),
        }
    }
}

/// Prints a saved run as `--batch` printed it while it ran. A run that was resumed has a `launch` for each process.
///
/// # Errors
/// If the records cannot be read, or `out` cannot be written.
pub fn replay<W: Write>(folder: &RunFolder, out: W) -> anyhow::Result<()> {
    let mut printer = BatchPrinter::new(out, folder);
    let mut printed = Ok(());
    Source::open(folder)?.for_each(|record| {
        if printed.is_ok() {
            printed = printer.print(record);
        }
    })?;
    Ok(printed?)
}

/// Metrics stand beside the fixed fields; one that bears the name of a fixed field gives way.
fn with(mut line: Value, metrics: &Metrics) -> Value {
    if let Value::Object(fields) = &mut line {
        for (name, value) in metrics {
            if !fields.contains_key(name) {
                fields.insert(name.clone(), (*value).into());
            }
        }
    }
    line
}

fn config_lines(step: u64, revision: u32, changes: &[KeyChange]) -> Vec<Value> {
    let line = |scope: Scope| {
        let of_scope = changes.iter().filter(|change| change.scope == scope);
        let changed: Map<String, Value> =
            of_scope.map(|c| (c.key.clone(), json!([typed(&c.before), typed(&c.after)]))).collect();
        let any = !changed.is_empty();
        let line = json!({ "event": "config", "step": step, "changed": changed, "scope": scope, "rev": revision });
        any.then_some(line)
    };
    [Scope::Live, Scope::NextStep, Scope::NextRun].into_iter().filter_map(line).collect()
}

/// A configuration value as written in TOML: numbers, booleans, strings and lists are the same in JSON.
fn typed(value: &str) -> Value {
    serde_json::from_str(value).unwrap_or_else(|_| value.into())
}

fn alert(step: u64, level: Level, rule: &str, message: &str, value: Option<f64>) -> Value {
    let mut line = json!({ "event": "alert", "step": step, "level": level, "rule": rule, "message": message });
    if let Some(value) = value {
        line["value"] = value.into();
    }
    line
}
