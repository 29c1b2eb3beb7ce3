//! One program that plays several games: every game has a number, and messages that wait at the same time go out in one
//! line, so that a program whose environment steps many games at once can do so.
//!
//! ```text
//! > {"id": 7, "type": "batch", "data": [{"game": 0, "type": "step", "data": {...}}, {"game": 3, "type": "reset", ...}]}
//! < {"id": 7, "type": "batch", "data": [{"type": "observation", "data": {...}}, ...]}    as many answers, in order
//! ```
//!
//! A message that waits alone goes out as it is, with its `game`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::link::{Fault, Link};
use super::worker::Worker;

/// Programs with seats for games; as many are started as the games need.
pub struct Programs {
    command: Vec<String>,
    timeout: Duration,
    /// Seats in each, at least 1.
    seats: u64,
    running: Mutex<Vec<Program>>,
}

struct Program {
    asks: Sender<Ask>,
    /// Seats that were given away and not come back.
    taken: Arc<AtomicU64>,
    /// Seats that were ever given away: the next one's number.
    next: u64,
    alive: Arc<AtomicBool>,
}

/// A message, and where its answer goes.
struct Ask {
    message: Value,
    answer: SyncSender<Result<Value, Fault>>,
}

/// A game's place in a program; it comes back when dropped.
struct Seat {
    asks: Sender<Ask>,
    game: u64,
    taken: Arc<AtomicU64>,
}

impl Programs {
    /// Nothing is started yet.
    pub fn new(command: Vec<String>, timeout: Duration, seats: usize) -> Programs {
        Programs { command, timeout, seats: seats.max(1) as u64, running: Mutex::new(Vec::new()) }
    }

    /// A seat in a program that has one free, else in a new one. Fails if that cannot be started.
    pub fn seat(&self) -> Result<Box<dyn Link>, Fault> {
        let mut running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        running.retain(|program| program.alive.load(Ordering::SeqCst));
        if let Some(program) = running.iter_mut().find(|p| p.taken.load(Ordering::SeqCst) < self.seats) {
            return Ok(Box::new(program.seat()));
        }
        let worker = Worker::start(&self.command, self.timeout)?;
        let (asks, asked) = channel();
        let alive = Arc::new(AtomicBool::new(true));
        let mut program = Program { asks, taken: Arc::new(AtomicU64::new(0)), next: 0, alive: Arc::clone(&alive) };
        // ends when the program fails, or all its seats and this list are gone
        thread::spawn(move || drive(worker, &asked, &alive));
        let seat = program.seat();
        running.push(program);
        Ok(Box::new(seat))
    }
}

impl Program {
    fn seat(&mut self) -> Seat {
        self.taken.fetch_add(1, Ordering::SeqCst);
        self.next += 1;
        Seat { asks: self.asks.clone(), game: self.next - 1, taken: Arc::clone(&self.taken) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Link for Seat {
    fn exchange(&mut self, message: &Value) -> Result<Value, Fault> {
        let gone = |_| Fault::Broken("the program that several games share has ended".into());
        let (answer, answered) = sync_channel(1);
        let mut message = message.clone();
        message["game"] = self.game.into();
        self.asks.send(Ask { message, answer }).map_err(|_| gone(()))?;
        // the driver answers within its time limits, or is gone
        answered.recv().map_err(|_| gone(()))?
    }
}

/// Passes messages on until the program fails or nobody can ask any more.
fn drive(mut worker: Worker, asked: &Receiver<Ask>, alive: &AtomicBool) {
    while let Ok(first) = asked.recv() {
        let mut asks = vec![first];
        asks.extend(asked.try_iter());
        let answers = match &asks[..] {
            [one] => worker.exchange(&one.message).map(|answer| vec![answer]),
            several => exchange_all(&mut worker, several),
        };
        // before anyone hears of it, so that nobody takes a seat here any more
        alive.store(answers.is_ok(), Ordering::SeqCst);
        let answers: Vec<Result<Value, Fault>> = match answers {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(fault) => vec![Err(fault); asks.len()],
        };
        for (ask, answer) in asks.into_iter().zip(answers) {
            // whoever asked may have gone
            let _ = ask.answer.send(answer);
        }
        if !alive.load(Ordering::SeqCst) {
            return;
        }
    }
}

fn exchange_all(worker: &mut Worker, asks: &[Ask]) -> Result<Vec<Value>, Fault> {
    let messages: Vec<&Value> = asks.iter().map(|ask| &ask.message).collect();
    let line = json!({ "type": "batch", "data": messages });
    let mut answer = worker.exchange_within(&line, asks.len() as u32)?;
    match answer["data"].take() {
        Value::Array(answers) if answers.len() == asks.len() => Ok(answers),
        _ => Err(Fault::Broken(format!("to a batch of {} it did not answer with as many", asks.len()))),
    }
}
