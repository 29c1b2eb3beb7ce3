//! Checkpoints and other files: what cannot be written must not cost the run.

use anyhow::Result;

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
