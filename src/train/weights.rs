//! The weight sets a method reads beside the live ones: made when a run starts or its method changes, moved every step.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Trainer;
use super::row::Layout;
use crate::config::JudgeBy;
use crate::core::Split;
use crate::engine::WeightSet;
use crate::method::needs::{Extra, Privileged, TeacherWeights};
use crate::method::{HandOff, Needs};

/// Refuses what the recipe does not provide, with what is missing and how to provide it.
pub fn refuse_unmet(trainer: &Trainer) -> Result<()> {
    let (needs, name) = (trainer.needs(), trainer.method.name());
    if let Some(TeacherWeights::Checkpoint(folder)) = teacher(&needs)
        && folder.is_empty()
    {
        bail!(
            "method `{name}` learns from another model, and no one is named: set `method.{name}.teacher = \
             {{ checkpoint = \"FOLDER\" }}` to one with the same tokenizer, or to \"step-start\" with `context = \
             \"skills\"` for the self-distilled variant"
        );
    }
    if needs.judge.is_none() && needs.teacher.as_ref().is_some_and(|t| t.context == Privileged::StepFeedback) {
        bail!(
            "`context = \"step-feedback\"` needs a judge, which `{name}` does not ask: take another context, or `hint-sd`"
        );
    }
    if needs.judge.is_some() {
        judge(trainer, name)?;
    }
    if needs.off_policy && needs.teacher.as_ref().is_none_or(|teacher| teacher.context != Privileged::Skills) {
        bail!("method `{name}` plays under the teacher's prompt, which works with skills as its context alone");
    }
    if needs.given && trainer.settings.sampling.layout == Layout::History {
        bail!(
            "method `{name}` learns to predict answers, which stand in no row of the `history` layout: set \
               `rollout.layout = \"transcript\"`"
        );
    }
    if needs.initial && trainer.engine.info().trained < trainer.engine.info().parameters {
        bail!("method `{name}` starts a second student, which adapters do not allow: set `model.lora.rank = 0`");
    }
    if let Some(Extra::Offline(_)) = needs.extra {
        expert(trainer, name)?;
    }
    Ok(())
}

fn judge(trainer: &Trainer, name: &str) -> Result<()> {
    match trainer.settings.judge.by {
        JudgeBy::None => bail!(
            "method `{name}` asks for a judge of turns: set `judge.by` to \"self\" (the policy), \"endpoint\" (with \
             `judge.url` of an OpenAI-compatible server) or \"oracle\" (the environment's expert, for tests)"
        ),
        JudgeBy::Endpoint if trainer.settings.judge.url.is_empty() => {
            bail!("`judge.by` is \"endpoint\": set `judge.url`, e.g. \"http://127.0.0.1:8000/v1\"")
        }
        JudgeBy::Oracle => expert(trainer, name),
        _ => Ok(()),
    }
}

fn expert(trainer: &Trainer, name: &str) -> Result<()> {
    let task = trainer.world.task(Split::Train, 0)?;
    if trainer.world.open(&task)?.expert().is_empty() {
        bail!("method `{name}` asks the environment's expert, and `{}` has none", trainer.world.kind());
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
        _ if needs.initial => keep_first(trainer, WeightSet::Initial, model)?,
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

/// Does what a stage of the method begins with.
pub fn hand_off(trainer: &mut Trainer, step: u64) -> Result<()> {
    match trainer.method.begin(step) {
        HandOff::None => Ok(()),
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
