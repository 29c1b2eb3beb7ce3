//! Commands of readers, and holding.

use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::Duration;

use super::control::Order;
use super::halt::Urgency;
use super::reply::Reply;
use super::serve::Session;
use crate::core::{Command, RunEvent};
use crate::run::status::State;

impl Session<'_> {
    /// Answers the commands that are there, without waiting.
    pub(super) fn listen(&mut self) {
        loop {
            match self.links.orders.try_recv() {
                Ok(order) => self.obey(order),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    /// While holding: waits a moment for a command.
    pub(super) fn wait(&mut self) {
        match self.links.orders.recv_timeout(TICK) {
            Ok(order) => self.obey(order),
            Err(RecvTimeoutError::Timeout) => {}
            // nobody listens: signals and edits still may come
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
        }
        self.beat();
    }

    fn obey(&mut self, order: Order) {
        let outcome = self.act(order.command);
        let ok = outcome.is_ok();
        let message = outcome.unwrap_or_else(|reason| reason);
        (order.reply)(Reply { ok, message, standing: Some(self.standing.clone()) });
    }

    fn act(&mut self, command: Command) -> Result<String, String> {
        let halt = &self.links.halt;
        let held = self.standing.state == State::Paused;
        match command {
            Command::Pause => self.hold = true,
            Command::Hold => (self.hold, self.frozen) = (true, !held),
            Command::Release if self.released => {}
            Command::Release => {
                (self.hold, self.release, self.frozen) = (true, true, false);
                halt.give_up_step();
            }
            Command::Resume => {
                self.journal.flush().map_err(|error| format!("records still cannot be written: {error:#}"))?;
                (self.hold, self.frozen, self.release) = (false, false, false);
                // what could not be written is tried once more
                self.save |= std::mem::take(&mut self.stuck);
            }
            Command::Step if !self.hold => return Err("the run is not paused, `pause` it first".into()),
            // in the middle of a step, the one step is the rest of it
            Command::Step if self.frozen => self.frozen = false,
            Command::Step => self.one_step = true,
            Command::Save => self.save = true,
            Command::Stop => halt.ask(Urgency::AfterStep),
            Command::Abort => halt.ask(Urgency::Abort),
            Command::Status => {}
            Command::Set { ref key, ref value } => {
                let recipe = (self.links.persist)(key, value).map_err(|error| error.to_string())?;
                // the file was read and written just now: what was seen of it earlier is out of date
                self.drop_edits();
                return Ok(self.tuning.note(recipe));
            }
        }
        Ok(answer(&command, held).into())
    }

    /// Lets go of edits that wait to be taken over; of those that were refused it is still told after the step.
    fn drop_edits(&mut self) {
        while let Ok(edit) = self.links.edits.try_recv() {
            self.refused.extend(edit.err());
        }
    }

    /// Holds in the middle of a step: the job speaks between two calls of the engine, and waits for this to return.
    pub(super) fn freeze(&mut self) {
        if !self.frozen {
            return;
        }
        let step = self.standing.step;
        if !self.announced {
            self.write(RunEvent::Paused { step });
            self.announced = true;
        }
        self.standing.state = State::Paused;
        while self.frozen && self.links.halt.asked().is_none() {
            self.wait();
        }
        self.frozen = false;
        self.standing.state = State::Running;
        if !self.hold {
            self.write(RunEvent::Resumed { step });
            self.announced = false;
        }
    }
}

fn answer(command: &Command, held: bool) -> &'static str {
    match command {
        Command::Pause if held => "paused",
        Command::Pause => "pausing after this step",
        Command::Hold if held => "paused",
        Command::Hold => "pausing before the engine is called next",
        Command::Release if held => "giving the model's memory back, after a checkpoint",
        Command::Release => "giving up this step, then a checkpoint; the model's memory is given back",
        Command::Resume => "running",
        Command::Step => "doing one step",
        Command::Save if held => "saving",
        Command::Save => "saving after this step",
        Command::Stop => "stopping after this step, with a checkpoint",
        Command::Abort => "aborting",
        Command::Status | Command::Set { .. } => "ok",
    }
}

/// How long a paused trainer waits before it looks for signals and edits.
const TICK: Duration = Duration::from_millis(200);
