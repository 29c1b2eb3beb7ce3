//! Writing records without losing any: what cannot be written now (a full disk) is kept, in order, and tried again.

use std::collections::VecDeque;

use anyhow::Result;

use crate::core::event::Level;
use crate::core::{Record, RunEvent};

/// Name under which lost writes are alerted.
pub(super) const WRITE_RULE: &str = "write";

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is written, and so is everything before it.
    Now,
    /// It is kept; nothing new is wrong.
    Later,
    /// It is kept, and it is the first that could not be written: the run is to hold.
    Lost,
}

/// The way to the run's records.
pub(super) struct Journal<'a> {
    record: &'a mut dyn FnMut(RunEvent) -> Result<Record>,
    /// Oldest first.
    kept: VecDeque<RunEvent>,
}

impl<'a> Journal<'a> {
    pub fn new(record: &'a mut dyn FnMut(RunEvent) -> Result<Record>) -> Self {
        Self { record, kept: VecDeque::new() }
    }

    /// Writes a record after those that were kept. Progress is not worth keeping. The first failure adds an alert to
    /// what is kept, so that readers learn of it as soon as writing works again.
    pub fn write(&mut self, event: RunEvent, step: u64) -> Written {
        let failing = !self.kept.is_empty();
        let passing = matches!(event, RunEvent::Progress { .. });
        if !(failing && passing) {
            self.kept.push_back(event);
        }
        let Err(error) = self.flush() else { return Written::Now };
        if failing {
            return Written::Later;
        }
        if passing {
            self.kept.clear();
        }
        let message = format!("a record could not be written and the run pauses; make room, then resume: {error:#}");
        eprintln!("{message}");
        let rule = WRITE_RULE.to_owned();
        self.kept.push_back(RunEvent::Alerted { step, level: Level::Error, rule, message, value: None });
        Written::Lost
    }

    /// Tries to write everything that was kept.
    ///
    /// # Errors
    /// What still stands in the way.
    pub fn flush(&mut self) -> Result<()> {
        while let Some(event) = self.kept.front() {
            (self.record)(event.clone())?;
            self.kept.pop_front();
        }
        Ok(())
    }

    /// Whether everything is written.
    pub fn is_complete(&self) -> bool {
        self.kept.is_empty()
    }
}
