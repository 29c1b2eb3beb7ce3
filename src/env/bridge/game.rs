//! One episode of an environment elsewhere.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::link::{Fault, observe};
use super::pool::{Lease, Pool};
use super::server::{Seen, Server};
use super::tape::{Exchange, Recorder};
use crate::env::{Env, Step};

/// What all games share.
pub struct Desk {
    pub server: Server,
    pub pool: Arc<Pool>,
    pub recorder: Option<Recorder>,
    /// How often a session that is lost before the game begins is opened again.
    pub retries: usize,
    /// How long to ask a full server again.
    pub wait: Duration,
}

/// A game. Its session is given back when it is over.
pub struct Bridged {
    desk: Arc<Desk>,
    task: String,
    reset: Value,
    /// `None` when the game is over or has failed, and in a copy that was not played yet.
    lease: Option<Lease>,
    past: Vec<String>,
    tape: Vec<Exchange>,
    is_copy: bool,
    seen: Seen,
    goal: Option<String>,
    /// Sum of rewards.
    gained: f32,
    over: bool,
    failure: Option<String>,
}

impl Bridged {
    /// Begins the game of a task. A server that cannot be reached makes a game that has failed.
    pub fn begin(desk: Arc<Desk>, task: &str, reset: Value) -> Bridged {
        let mut game = Bridged {
            desk,
            task: task.to_owned(),
            reset,
            lease: None,
            past: Vec::new(),
            tape: Vec::new(),
            is_copy: false,
            seen: Seen::default(),
            goal: None,
            gained: 0.0,
            over: false,
            failure: None,
        };
        if let Err(fault) = game.open() {
            game.fail(&fault.to_string());
        }
        game
    }

    /// Takes a session and resets it, again and again where that may help.
    fn open(&mut self) -> Result<(), Fault> {
        let (start, mut lost, mut pause) = (Instant::now(), 0, FIRST_PAUSE);
        loop {
            let fault = match self.desk.pool.lease() {
                Ok(mut lease) => match self.ask(&mut lease, "reset", self.reset.clone()) {
                    Ok(()) => {
                        self.lease = Some(lease);
                        return Ok(());
                    }
                    Err(fault) if fault.is_full() => {
                        lease.refused();
                        if start.elapsed() > self.desk.wait || self.desk.pool.is_stopped() {
                            return Err(fault);
                        }
                        None
                    }
                    // an idle session may have been closed, a server may be starting again
                    Err(fault @ Fault::Broken(_)) => {
                        lease.discard();
                        Some(fault)
                    }
                    Err(fault) => return Err(fault),
                },
                Err(fault) => Some(fault),
            };
            if let Some(fault) = fault {
                if lost == self.desk.retries || self.desk.pool.is_stopped() {
                    return Err(fault);
                }
                lost += 1;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// One exchange; what it brings becomes the present state.
    fn ask(&mut self, lease: &mut Lease, kind: &str, data: Value) -> Result<(), Fault> {
        let Some(link) = lease.link() else { return Err(Fault::Broken("the session is gone".into())) };
        let found = observe(link, kind, data.clone())?;
        self.seen = self.desk.server.read(&found).map_err(Fault::Broken)?;
        if kind == "reset" {
            self.tape.clear();
            self.goal = self.seen.goal.clone();
        }
        if self.desk.recorder.is_some() && !self.is_copy {
            self.tape.push(Exchange { kind: kind.to_owned(), send: data, data: found });
        }
        Ok(())
    }

    /// A copy has no session of its own until it is played: then it begins anew and does the past again.
    fn catch_up(&mut self) -> Result<(), Fault> {
        if self.lease.is_some() {
            return Ok(());
        }
        let before = self.seen.text.clone();
        self.open()?;
        for action in self.past.clone() {
            let data = self.desk.server.action_data(&action);
            let Some(mut lease) = self.lease.take() else { break };
            self.ask(&mut lease, "step", data)?;
            self.lease = Some(lease);
        }
        if self.seen.text != before {
            return Err(Fault::Broken("it does not repeat itself, so a game cannot be taken up again".into()));
        }
        Ok(())
    }

    fn act(&mut self, action: &str) -> Result<(), Fault> {
        self.catch_up()?;
        let data = self.desk.server.action_data(action);
        let Some(mut lease) = self.lease.take() else { return Err(Fault::Broken("the session is gone".into())) };
        match self.ask(&mut lease, "step", data) {
            Ok(()) => self.lease = Some(lease),
            Err(Fault::Refused { code, message }) if self.desk.server.answers_invalid && code == "VALIDATION_ERROR" => {
                self.seen = Seen { text: message, reward: 0.0, valid: false, ..self.seen.clone() };
                self.lease = Some(lease);
            }
            Err(fault @ Fault::Refused { .. }) => return Err(fault),
            Err(fault) => {
                lease.discard();
                return Err(fault);
            }
        }
        self.past.push(action.to_owned());
        self.gained += self.seen.reward;
        if self.seen.done {
            self.end();
        }
        Ok(())
    }

    fn fail(&mut self, reason: &str) {
        self.failure = Some(format!("environment `{}`: {reason}", self.task));
        self.end();
    }

    /// Gives the session back and writes the recording.
    fn end(&mut self) {
        self.over = true;
        self.lease = None;
        let tape = std::mem::take(&mut self.tape);
        if let Some(recorder) = &self.desk.recorder
            && !tape.is_empty()
            && let Err(error) = recorder.write(&self.task, &tape)
        {
            tracing::warn!("the recording of `{}` is lost: {error}", self.task);
        }
    }

    fn won(&self) -> bool {
        let enough = || f64::from(self.gained) >= self.desk.server.won_at;
        self.seen.done && self.failure.is_none() && self.seen.won.unwrap_or_else(enough)
    }
}

impl Drop for Bridged {
    fn drop(&mut self) {
        self.end();
    }
}

impl Env for Bridged {
    fn observation(&self) -> &str {
        &self.seen.text
    }

    /// An error that the environment answers ends the episode as an environment error, as do silence and a lost session.
    fn step(&mut self, action: &str) -> Step {
        let acted = !self.over;
        let before = self.seen.text.clone();
        if acted && let Err(fault) = self.act(action) {
            self.fail(&fault.to_string());
        }
        let (won, failed) = (self.won(), self.failure.is_some());
        Step {
            observation: self.seen.text.clone(),
            reward: if acted && !failed { self.seen.reward } else { 0.0 },
            done: self.over,
            won,
            score: if won { 1.0 } else { self.seen.score.unwrap_or(0.0) },
            effective: acted && !failed && self.seen.text != before,
            valid: acted && !failed && self.seen.valid,
        }
    }

    fn admissible(&self) -> Vec<String> {
        if self.over {
            return Vec::new();
        }
        let mut actions = self.seen.admissible.clone();
        actions.sort();
        actions
    }

    /// Nobody here knows the game.
    fn expert(&self) -> Vec<String> {
        Vec::new()
    }

    fn snapshot(&self) -> Box<dyn Env> {
        Box::new(Bridged {
            desk: Arc::clone(&self.desk),
            task: self.task.clone(),
            reset: self.reset.clone(),
            lease: None,
            past: self.past.clone(),
            tape: Vec::new(),
            is_copy: true,
            seen: self.seen.clone(),
            goal: self.goal.clone(),
            gained: self.gained,
            over: self.over,
            failure: self.failure.clone(),
        })
    }

    fn leave(&mut self) {
        self.end();
    }

    fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn goal(&self) -> Option<&str> {
        self.goal.as_deref()
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(2);
