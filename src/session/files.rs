//! Where a trainer's doings go: records through the session, files through the recorder. Files that cannot be written
//! (a full disk) are kept in memory and written when there is room; the run holds until then.

use std::cell::RefCell;
use std::rc::Rc;

use super::job::Out;
use crate::core::{Episode, RunEvent, TokenRecord};
use crate::run::{Recorder, Result};
use crate::train::Sink;

/// The writer of a run, shared by the session (records) and the job (rollouts and tokens).
pub type SharedRecorder = Rc<RefCell<Recorder>>;

/// The files of a step, in memory.
pub(super) enum Kept {
    Step { step: u64, episodes: Vec<Episode>, tokens: Vec<TokenRecord> },
    Panel { step: u64, episodes: Vec<Episode> },
}

impl Kept {
    fn write(&self, recorder: &mut Recorder) -> Result<()> {
        match self {
            Kept::Step { step, episodes, tokens } => recorder.close_step(*step, episodes, tokens),
            Kept::Panel { step, episodes } => recorder.close_eval(*step, episodes),
        }
    }
}

/// Writes what was kept, oldest first.
///
/// # Errors
/// What still stands in the way; nothing is lost.
pub(super) fn write_kept(recorder: &SharedRecorder, kept: &mut Vec<Kept>) -> Result<()> {
    while let Some(files) = kept.first() {
        files.write(&mut recorder.borrow_mut())?;
        kept.remove(0);
    }
    Ok(())
}

/// The sink of one step.
pub(super) struct Files<'a> {
    recorder: SharedRecorder,
    out: Out<'a>,
    kept: &'a mut Vec<Kept>,
    /// Whether live rollouts were already found not to be writable: once is enough.
    told: bool,
    /// Success of the panel that the student played without skills.
    pub success: Option<f64>,
}

impl<'a> Files<'a> {
    pub fn new(recorder: SharedRecorder, out: Out<'a>, kept: &'a mut Vec<Kept>) -> Self {
        Self { recorder, out, kept, told: false, success: None }
    }

    fn warn(&mut self, step: u64, message: String) {
        (self.out)(RunEvent::Warned { step, message });
    }

    /// The session finds what is kept when the step is over, and holds.
    fn keep(&mut self, kept: Kept) {
        if let Err(error) = kept.write(&mut self.recorder.borrow_mut()) {
            eprintln!("{error}");
            self.kept.push(kept);
        }
    }
}

impl Sink for Files<'_> {
    fn event(&mut self, event: RunEvent) {
        if let RunEvent::Evaluated { with_skills: false, metrics, .. } = &event {
            self.success = metrics.get("success").copied().flatten();
        }
        (self.out)(event);
    }

    fn live(&mut self, episode: &Episode) {
        let written = self.recorder.borrow_mut().turn(episode);
        if let Err(error) = written
            && !std::mem::replace(&mut self.told, true)
        {
            self.warn(episode.id.step, format!("rollouts are not shown while they are played: {error}"));
        }
    }

    fn close_step(&mut self, step: u64, episodes: &[Episode], tokens: &[TokenRecord]) {
        self.keep(Kept::Step { step, episodes: episodes.to_vec(), tokens: tokens.to_vec() });
    }

    fn close_eval(&mut self, step: u64, episodes: &[Episode]) {
        self.keep(Kept::Panel { step, episodes: episodes.to_vec() });
    }
}
