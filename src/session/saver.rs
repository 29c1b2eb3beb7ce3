//! Checkpoints written by a thread of their own, one at a time: training does not wait for the disk.

use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};

use super::job::Out;
use crate::core::RunEvent;
use crate::train::checkpoint::Pending;

/// The checkpoint that is being written, if one is.
#[derive(Default)]
pub(super) struct Saver {
    writing: Option<JoinHandle<Result<RunEvent>>>,
}

impl Saver {
    /// Starts writing, after the one that is still being written.
    ///
    /// # Errors
    /// The one before could not be written, or no thread can be started; `pending` is dropped then.
    pub fn start(&mut self, pending: Pending, out: Out) -> Result<()> {
        self.land(out, true)?;
        let thread = thread::Builder::new().name("checkpoint".into()).spawn(move || pending.write());
        self.writing = Some(thread.context("cannot start the thread that writes checkpoints")?);
        Ok(())
    }

    /// Says that a checkpoint is on disk, once it is; with `wait`, waits for it.
    ///
    /// # Errors
    /// It could not be written.
    pub fn land(&mut self, out: Out, wait: bool) -> Result<()> {
        let Some(thread) = self.writing.take_if(|thread| wait || thread.is_finished()) else { return Ok(()) };
        let written = thread.join().map_err(|_| anyhow!("internal error: the thread that writes checkpoints panicked"));
        out(written??);
        Ok(())
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        // a process that ends would cut the write off; the next one would have to fall back
        if let Some(thread) = self.writing.take() {
            let _ = thread.join();
        }
    }
}
