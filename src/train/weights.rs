//! The weight sets a method reads beside the live ones: made when a run starts or its method changes, moved every step.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Trainer;
use super::generate;
use crate::config::{JudgeBy, same_tokens};
use crate::core::Split;
use crate::engine::WeightSet;
use crate::hub;
use crate::method::needs::{Extra, TeacherWeights};
use crate::method::{HandOff, Needs};

/// Refuses what only the loaded parts can tell to be missing; the rest is refused when the recipe is read.
pub fn refuse_unmet(trainer: &Trainer) -> Result<()> {
    let (name, own) = (trainer.method.name(), trainer.settings.judge.by);
    let asks = |needs: &Needs| {
        let oracle = needs.judge.is_some() && own == JudgeBy::Oracle;
        oracle || matches!(needs.extra, Some(Extra::Offline(_)))
    };
    if trainer.method.stages().iter().any(asks) {
        let task = trainer.world.task(Split::Train, 0)?;
        if trainer.world.open(&task)?.expert().is_empty() {
            bail!("method `{name}` asks the environment's expert, and `{}` has none", trainer.world.kind());
        }
    }
    Ok(())
}

/// Makes every kept set that some stage of the method reads. `model` is the model the run started from.
pub fn prepare(trainer: &mut Trainer, model: &Path) -> Result<()> {
    refuse_unmet(trainer)?;
    let record = trainer.settings.record;
    let stages: Vec<Needs> = trainer.method.stages().into_iter().map(|needs| record.with(needs)).collect();
    if stages.iter().any(|needs| needs.reference) {
        keep_first(trainer, WeightSet::Reference, model)?;
    }
    let first = |needs: &Needs| {
        let teacher = matches!(teacher(needs), Some(TeacherWeights::Initial | TeacherWeights::TrustRegion(_)));
        teacher || needs.initial
    };
    if stages.iter().any(first) {
        keep_first(trainer, WeightSet::Initial, model)?;
    }
    for needs in &stages {
        if let Some(TeacherWeights::Checkpoint(folder)) = teacher(needs)
            && !trainer.engine.keeps(WeightSet::Checkpoint)
        {
            let unusable = || format!("the teacher's weights `{folder}` cannot be used");
            let place = hub::resolve(folder).with_context(unusable)?;
            same_tokens(&trainer.text, &place, folder)?;
            trainer.engine.keep_folder(WeightSet::Checkpoint, &place).with_context(unusable)?;
        }
    }
    let decay = stages.iter().find_map(|needs| match teacher(needs) {
        Some(TeacherWeights::Ema(decay)) => Some(*decay),
        _ => None,
    });
    trainer.engine.average(decay)?;
    match stages.iter().find_map(|needs| needs.generate) {
        Some(generate) => generate::prepare(trainer, generate),
        None => Ok(()),
    }
}

/// Does what a stage of the method begins with.
pub fn hand_off(trainer: &mut Trainer, step: u64) -> Result<()> {
    match trainer.method.begin(step) {
        HandOff::None => Ok(()),
        HandOff::Teacher => trainer.engine.keep(WeightSet::Checkpoint),
        HandOff::Restart => {
            trainer.engine.keep(WeightSet::Checkpoint)?;
            trainer.engine.restart(WeightSet::Initial)
        }
    }
}

/// The set the teacher reads in this step. The present weights are those of the step's start until its first update.
pub fn teacher_set(trainer: &mut Trainer, weights: &TeacherWeights) -> Result<WeightSet> {
    Ok(match weights {
        TeacherWeights::StepStart | TeacherWeights::Live => WeightSet::Live,
        TeacherWeights::Initial => WeightSet::Initial,
        TeacherWeights::Ema(_) => WeightSet::Ema,
        TeacherWeights::Checkpoint(_) | TeacherWeights::Staged => WeightSet::Checkpoint,
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
