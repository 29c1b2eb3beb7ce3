//! Checkpoints: a folder that is both a model folder others can load and all that an exact resume needs.
//!
//! ```text
//! checkpoints/step_000100/   config.json model.safetensors tokenizer.json ...   (a model folder)
//!                            optimizer.safetensors reference.safetensors state.json
//! ```
//! Written beside its final name and renamed when complete: a checkpoint is there wholly or not at all. There is
//! no generator state in it: every random stream is derived from seed and counters.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Trainer;
use crate::core::RunEvent;
use crate::run::RunFolder;
use crate::skill::Statistics;

const STATE: &str = "state.json";

/// What is not weights.
#[derive(Serialize, Deserialize)]
struct State {
    format: u32,
    /// Completed steps.
    done: u64,
    skills: Statistics,
    /// What the method has accumulated over steps.
    #[serde(default)]
    method: Vec<f64>,
}

/// Writes the checkpoint of the present step; `model` is where the text files come from. Afterwards only the
/// newest `keep` checkpoints stay (0 = all).
pub fn save(trainer: &Trainer, folder: &RunFolder, model: &Path, keep: u32) -> Result<RunEvent> {
    let start = Instant::now();
    let target = folder.checkpoint(trainer.done);
    let temporary = target.with_extension("partial");
    if temporary.exists() {
        std::fs::remove_dir_all(&temporary).with_context(|| format!("cannot clear {}", temporary.display()))?;
    }
    std::fs::create_dir_all(&temporary).with_context(|| format!("cannot create {}", temporary.display()))?;
    trainer.engine.save(&temporary, true)?;
    trainer.text.keep(model, &temporary)?;
    let state = State {
        format: 1,
        done: trainer.done,
        skills: trainer.skills.statistics().clone(),
        method: trainer.method.state(),
    };
    std::fs::write(temporary.join(STATE), serde_json::to_vec_pretty(&state)?)
        .with_context(|| format!("cannot write {}", temporary.join(STATE).display()))?;
    let bytes = sync(&temporary)?;
    if target.exists() {
        std::fs::remove_dir_all(&target).with_context(|| format!("cannot replace {}", target.display()))?;
    }
    std::fs::rename(&temporary, &target).with_context(|| format!("cannot name {}", target.display()))?;
    forget(folder, keep);
    Ok(RunEvent::Checkpointed {
        step: trainer.done,
        path: target.strip_prefix(folder.path()).unwrap_or(&target).display().to_string(),
        bytes,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Continues from a checkpoint folder: weights, optimiser, reference, skill statistics, step count.
pub fn restore(trainer: &mut Trainer, checkpoint: &Path) -> Result<()> {
    let path = checkpoint.join(STATE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let state: State = serde_json::from_str(&text).with_context(|| format!("{}: damaged", path.display()))?;
    trainer.engine.restore(checkpoint)?;
    trainer.skills.restore(state.skills);
    trainer.method.resume(&state.method);
    trainer.done = state.done;
    Ok(())
}

/// Restores the newest checkpoint that can be read, telling of those that cannot. `None` = there is none.
pub fn restore_newest(trainer: &mut Trainer, folder: &RunFolder, tell: &mut dyn FnMut(String)) -> Option<u64> {
    for step in folder.checkpoints().into_iter().rev() {
        match restore(trainer, &folder.checkpoint(step)) {
            Ok(()) => return Some(step),
            Err(e) => tell(format!("the checkpoint of step {step} cannot be used, trying the one before: {e:#}")),
        }
    }
    None
}

/// Waits until every file is on the disk. Returns their size in bytes.
fn sync(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let file = std::fs::File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        file.sync_all().with_context(|| format!("cannot sync {}", path.display()))?;
        bytes += file.metadata()?.len();
    }
    Ok(bytes)
}

/// Removes all but the newest `keep` checkpoints. One that cannot be removed stays: that is no loss.
fn forget(folder: &RunFolder, keep: u32) {
    let steps = folder.checkpoints();
    if keep > 0 {
        for step in &steps[..steps.len().saturating_sub(keep as usize)] {
            let _ = std::fs::remove_dir_all(folder.checkpoint(*step));
        }
    }
}
