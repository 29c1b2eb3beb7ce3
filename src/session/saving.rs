//! Checkpoints and other files: what cannot be written must not cost the run.

use anyhow::{Result, anyhow};

use super::job::Job;
use super::journal::WRITE_RULE;
use super::serve::{Session, guarded};
use crate::core::event::Level;
use crate::core::{Phase, RunEvent};

impl Session<'_> {
    pub(super) fn save(&mut self, job: &mut dyn Job) -> Result<()> {
        self.standing.phase = Some(Phase::Record);
        if self.saved_at != Some(job.done()) {
            guarded(|| job.save(&mut |event| self.hear(event)))?;
            self.saved_at = Some(job.done());
        }
        Ok(())
    }

    /// A checkpoint that cannot be written (a full disk) must not cost the run.
    pub(super) fn save_or_hold(&mut self, job: &mut dyn Job) {
        if let Err(error) = self.save(job) {
            self.hold_for(job, &error);
        }
    }

    /// Tells of checkpoints that reached the disk since.
    pub(super) fn land(&mut self, job: &mut dyn Job) {
        if let Err(error) = guarded(|| job.land(&mut |event| self.hear(event), false)) {
            self.hold_for(job, &error);
        }
    }

    /// Saves what was done before a step failed, if that can be done, and says so with the error.
    pub(super) fn rescue(&mut self, job: &mut dyn Job, error: anyhow::Error) -> anyhow::Error {
        if !job.is_whole() || job.done() == 0 {
            return error;
        }
        let saved = self.save(job).and_then(|()| guarded(|| job.land(&mut |event| self.hear(event), true)));
        match saved {
            Ok(()) => anyhow!("{error:#}; the state after step {} is saved, the run can be resumed", job.done()),
            Err(second) => anyhow!("{error:#}; and the state after step {} cannot be saved: {second:#}", job.done()),
        }
    }

    fn hold_for(&mut self, job: &dyn Job, error: &anyhow::Error) {
        let known = std::mem::replace(&mut self.stuck, true);
        (self.hold, self.saved_at) = (true, None);
        if known {
            return;
        }
        let message = format!(
            "files could not be written and are kept in memory; the run pauses, make room, then resume: {error:#}"
        );
        let step = job.done();
        self.write(RunEvent::Alerted { step, level: Level::Error, rule: WRITE_RULE.into(), message, value: None });
    }

    /// The last checkpoint. False if it could not be written: the run then holds with its state in memory.
    pub(super) fn complete(&mut self, job: &mut dyn Job) -> bool {
        let saved = if self.tuning.live.checkpoint.r#final { self.save(job) } else { Ok(()) };
        let landed = saved.and_then(|()| guarded(|| job.land(&mut |event| self.hear(event), true)));
        if let Err(error) = &landed {
            self.hold_for(job, error);
        }
        landed.is_ok()
    }
}
