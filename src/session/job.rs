//! What a trainer process drives.

use std::sync::atomic::AtomicBool;

use anyhow::Result;

use crate::config::Recipe;
use crate::core::RunEvent;
use crate::core::event::KeyChange;
use crate::skill::Bank;

/// Takes what a job has to say, in order.
pub type Out<'a> = &'a mut dyn FnMut(RunEvent);

/// A training as the session sees it: steps to be done one by one, with a consistent state between them.
pub trait Job {
    /// Loads what is needed, restores a checkpoint if there is one, and says [`RunEvent::Started`]. A first evaluation
    /// belongs to the first step, where it can be given up.
    fn start(&mut self, out: Out) -> Result<()>;

    /// Does the next step and says [`RunEvent::Stepped`] when it is complete.
    ///
    /// `abort` may become true at any time. A job that sees it before its first update of the weights returns `Ok`
    /// at once, as if the step had not begun ([`Job::done`] unchanged); after that it finishes the step. So the
    /// state between steps is always one that can be saved.
    fn step(&mut self, out: Out, abort: &AtomicBool) -> Result<()>;

    /// Steps completed, those of earlier processes included.
    fn done(&self) -> u64;

    /// Steps planned in all.
    fn total(&self) -> u64;

    /// The recipe of the state that [`Job::start`] continued from; `None` if it began anew.
    fn before(&self) -> Option<Recipe> {
        None
    }

    /// Whether the step just done is worth a checkpoint of its own; asked once after each step.
    fn wants_save(&mut self) -> bool {
        false
    }

    /// Writes a checkpoint from which another process continues exactly, and says [`RunEvent::Checkpointed`] when it
    /// is on disk: now, or in a later call of [`Job::land`].
    fn save(&mut self, out: Out) -> Result<()>;

    /// Whether the state is that after [`Job::done`] steps, also where a step has failed: then it can be saved.
    fn is_whole(&self) -> bool {
        true
    }

    /// Finishes what goes on in the background, as far as it is ready; with `wait`, all of it.
    fn land(&mut self, _out: Out, _wait: bool) -> Result<()> {
        Ok(())
    }

    /// Gives the memory of the model back, after [`Job::save`] and [`Job::land`]; [`Job::start`] takes up the same state.
    fn release(&mut self) {}

    /// Takes an edited bank of skills into use, between steps, and says what changed.
    fn reskill(&mut self, _bank: Bank) -> Vec<KeyChange> {
        Vec::new()
    }

    /// Takes an edited file of the environment into use, between steps, and says what changed; the error is a sentence
    /// with its place, and nothing changed.
    fn reword(&mut self, _text: &str) -> Result<Vec<KeyChange>, String> {
        Ok(Vec::new())
    }

    /// Takes over what may change while running; called between steps only.
    fn retune(&mut self, recipe: &Recipe);
}
