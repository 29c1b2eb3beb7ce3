//! A session with a program of one's own: JSON lines over its standard input and output (`envs/worker.py` is a
//! template). Each message carries an `id` that its answer repeats.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::link::{Fault, Link, MOST_BYTES};

/// A running program. It ends with its session.
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    said: Arc<Mutex<VecDeque<String>>>,
    timeout: Duration,
    id: u64,
}

impl Worker {
    /// Starts a program. Fails if it cannot be started.
    pub fn start(command: &[String], timeout: Duration) -> Result<Worker, Fault> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Fault::Broken("its `command` is empty".into()));
        };
        let mut call = Command::new(program);
        call.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = call.spawn().map_err(|e| Fault::Broken(format!("`{program}` cannot be started: {e}")))?;
        let input = child.stdin.take();
        let (found, lines) = sync_channel(1);
        if let Some(output) = child.stdout.take() {
            // ends when the program closes its output, or nobody listens any more
            thread::spawn(move || lines_of(output, |line| found.send(line).is_ok()));
        }
        let said = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(errors) = child.stderr.take() {
            let said = Arc::clone(&said);
            thread::spawn(move || lines_of(errors, |line| keep(&said, line)));
        }
        Ok(Worker { child, input, lines, said, timeout, id: 0 })
    }

    fn send(&mut self, message: &Value) -> Result<(), Fault> {
        let mut line = message.clone();
        line["id"] = self.id.into();
        let text = format!("{line}\n");
        let sent = self.input.as_mut().map(|input| input.write_all(text.as_bytes()).and_then(|()| input.flush()));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.dead()),
        }
    }

    /// [`Link::exchange`] with as much time as so many messages may take.
    pub fn exchange_within(&mut self, message: &Value, times: u32) -> Result<Value, Fault> {
        self.id += 1;
        self.send(message)?;
        self.answer(self.timeout.saturating_mul(times))
    }

    /// The answer to the present message; answers to earlier ones are passed over.
    fn answer(&mut self, limit: Duration) -> Result<Value, Fault> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Fault::Broken(format!("it did not answer within {} s", limit.as_secs_f64())));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.dead()),
            };
            let answer: Value = serde_json::from_str(&line).map_err(|_| {
                let start: String = line.chars().take(80).collect();
                Fault::Broken(format!(
                    "it wrote {start:?} where an answer was due; prints belong on standard error, see `envs/worker.py`"
                ))
            })?;
            if answer["id"] == self.id {
                return Ok(answer);
            }
        }
    }

    /// What is known of a program that has gone.
    fn dead(&mut self) -> Fault {
        let ended = self.child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
        // its last words may still be on their way
        for _ in 0..20 {
            if Arc::strong_count(&self.said) == 1 {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let said = self.said.lock().unwrap_or_else(|e| e.into_inner());
        let last: Vec<&str> = said.iter().map(String::as_str).collect();
        let last = if last.is_empty() { String::new() } else { format!("; it said last: {}", last.join(" / ")) };
        Fault::Broken(format!("the program has ended ({ended}){last}"))
    }
}

impl Link for Worker {
    fn exchange(&mut self, message: &Value) -> Result<Value, Fault> {
        self.exchange_within(message, 1)
    }
}

impl Drop for Worker {
    /// A well-behaved program ends when its input does; it gets a moment, then it is ended.
    fn drop(&mut self) {
        drop(self.input.take());
        for _ in 0..10 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines of at most [`MOST_BYTES`] until the end, or `each` has enough.
fn lines_of(source: impl Read, mut each: impl FnMut(String) -> bool) {
    let mut source = BufReader::new(source);
    loop {
        let mut line = Vec::new();
        match (&mut source).take(MOST_BYTES as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                if !text.trim().is_empty() && !each(text.trim().to_owned()) {
                    return;
                }
            }
        }
    }
}

/// The last few lines of standard error, for messages.
fn keep(said: &Mutex<VecDeque<String>>, line: String) -> bool {
    let mut said = said.lock().unwrap_or_else(|e| e.into_inner());
    said.push_back(line.chars().take(300).collect());
    while said.len() > KEPT {
        said.pop_front();
    }
    true
}

const KEPT: usize = 4;
