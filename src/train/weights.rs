//! The weight sets a method reads beside the live ones: made when a run starts or its method changes, moved every step.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Trainer;
use crate::engine::WeightSet;
use crate::method::Needs;
use crate::method::needs::{Privileged, TeacherNeed, TeacherWeights};

/// Refuses what no part of the trainer can provide, with what is missing and what to do.
pub fn refuse_unmet(trainer: &Trainer) -> Result<()> {
    let (needs, name) = (trainer.needs(), trainer.method.name());
    if let Some(TeacherNeed { context: Privileged::StepFeedback, .. }) = needs.teacher {
        bail!("method `{name}` asks for feedback on single turns, which needs a judge; there is none yet");
    }
    if needs.judge.is_some() {
        bail!("method `{name}` asks for a judge of turns; there is none yet");
    }
    if needs.extra.is_some() || needs.given {
        bail!("method `{name}` asks for rollouts or scores beside the student's own, which are not there yet");
    }
    if needs.off_policy && needs.teacher.as_ref().is_none_or(|teacher| teacher.context != Privileged::Skills) {
        bail!("method `{name}` plays under the teacher's prompt, which works with skills as its context alone");
    }
    Ok(())
}

/// Makes every kept set that the method reads. `model` is the model the run started from.
pub fn prepare(trainer: &mut Trainer, model: &Path) -> Result<()> {
    refuse_unmet(trainer)?;
    let needs = trainer.needs();
    if needs.reference {
        keep_first(trainer, WeightSet::Reference, model)?;
    }
    match teacher(&needs) {
        Some(TeacherWeights::Initial | TeacherWeights::TrustRegion(_)) => {
            keep_first(trainer, WeightSet::Initial, model)?
        }
        Some(TeacherWeights::Checkpoint(folder)) if !trainer.engine.keeps(WeightSet::Checkpoint) => {
            let loaded = trainer.engine.keep_folder(WeightSet::Checkpoint, Path::new(folder));
            loaded.with_context(|| format!("the teacher's weights `{folder}` cannot be used"))?;
        }
        _ => {}
    }
    let decay = match teacher(&needs) {
        Some(TeacherWeights::Ema(decay)) => Some(*decay),
        _ => None,
    };
    trainer.engine.average(decay)
}

/// The set the teacher reads in this step. The present weights are those of the step's start until its first update.
pub fn teacher_set(trainer: &mut Trainer, weights: &TeacherWeights) -> Result<WeightSet> {
    Ok(match weights {
        TeacherWeights::StepStart | TeacherWeights::Live => WeightSet::Live,
        TeacherWeights::Initial => WeightSet::Initial,
        TeacherWeights::Ema(_) => WeightSet::Ema,
        TeacherWeights::Checkpoint(_) => WeightSet::Checkpoint,
        TeacherWeights::TrustRegion(share) => {
            trainer.engine.blend(WeightSet::Blend, [WeightSet::Initial, WeightSet::Live], *share)?;
            WeightSet::Blend
        }
    })
}

fn teacher(needs: &Needs) -> Option<&TeacherWeights> {
    needs.teacher.as_ref().map(|teacher| &teacher.weights)
}

/// Keeps the weights the run began with: the present ones at its start, later those of the model it started from.
fn keep_first(trainer: &mut Trainer, set: WeightSet, model: &Path) -> Result<()> {
    match trainer.done {
        _ if trainer.engine.keeps(set) => Ok(()),
        0 => trainer.engine.keep(set),
        _ => trainer.engine.keep_folder(set, model),
    }
}
