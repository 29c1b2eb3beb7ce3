//! Checkpoints: a folder that is both a model folder others can load and all that an exact resume needs.
//!
//! ```text
//! checkpoints/step_000100/   config.json model.safetensors tokenizer.json ...   (a model folder)
//!                            optimizer.safetensors reference.safetensors state.json sums.json
//! ```
//! 1. [`prepare`] copies the state; [`Pending::write`] writes it, on any thread, beside its final name, seals it with
//!    checksums and renames it: a checkpoint is there wholly or not at all.
//! 2. [`newest`] takes the newest one whose checksums hold, and puts damaged ones aside.
//! 3. There is no generator state in it: every random stream is derived from seed and counters.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::Trainer;
use super::dropout::Habits;
use super::generate::Generator;
use crate::core::RunEvent;
use crate::engine::Snapshot;
use crate::run::{RunFolder, sums};
use crate::skill::draft::JobKey;
use crate::skill::{Bank, Statistics, Tally};

const STATE: &str = "state.json";
/// Numbers of a hypernetwork, 32-bit floats in little-endian order.
const GENERATOR: &str = "hypernetwork.f32";

/// What is not weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    format: u32,
    /// Completed steps.
    done: u64,
    /// Statistics per skill.
    skills: Statistics,
    /// Retrievals per task type.
    #[serde(default)]
    asked: BTreeMap<String, u64>,
    /// Retired skills, and what they said.
    #[serde(default)]
    retired: BTreeMap<String, String>,
    /// Skills learned so far.
    #[serde(default)]
    born: u64,
    /// Episodes that wait for their author.
    #[serde(default)]
    waiting: Vec<JobKey>,
    /// What was learned, as skill files: name to text.
    #[serde(default)]
    learned: BTreeMap<String, String>,
    /// What the method has accumulated over steps.
    #[serde(default)]
    method: Vec<f64>,
    /// Which tools the policy takes to.
    #[serde(default)]
    habits: Habits,
    #[serde(default)]
    notes: Notes,
}

/// What the session knows of the state and the trainer does not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    /// Whether the panel that is due after this step was played.
    pub evaluated: bool,
    /// Success on the panel (without skills) after this step, if it was played.
    pub success: Option<f64>,
    /// The recipe in force, as TOML.
    pub recipe: Option<String>,
}

/// Which checkpoints stay on disk. The one just written always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest; 0 = all.
    pub newest: u32,
    /// Those of every so many steps; 0 = none.
    pub permanent_every: u64,
    /// The one with the highest success on the panel.
    pub best: bool,
}

/// A checkpoint of a step that is over, still to be written.
pub struct Pending {
    fresh: PathBuf,
    snapshot: Snapshot,
    state: State,
    /// Numbers of the hypernetwork, if one is trained.
    generator: Option<Vec<f32>>,
    folder: RunFolder,
    text: PathBuf,
    keep: Keep,
}

/// Copies what a checkpoint of the present state needs; all files of the folder `text` (tokenizer and template) become
/// part of it.
pub fn prepare(trainer: &Trainer, folder: &RunFolder, text: &Path, notes: Notes, keep: Keep) -> Result<Pending> {
    let Tally { skills, asked, retired, born } = trainer.skills.tally().clone();
    let waiting = trainer.learning.waiting();
    let (learned, method) = (trainer.skills.learned().files(), trainer.method.state());
    let (done, habits) = (trainer.done, trainer.habits.clone());
    let state = State { format: 1, done, skills, asked, retired, born, waiting, learned, method, habits, notes };
    let fresh = folder.checkpoint(trainer.done).with_extension(PARTIAL);
    clear(&fresh)?;
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    let snapshot = or_clear(trainer.engine.snapshot(&fresh, true), &fresh)?;
    let generator = trainer.generator.as_ref().map(Generator::state);
    Ok(Pending { fresh, snapshot, state, generator, folder: folder.clone(), text: text.to_path_buf(), keep })
}

impl Pending {
    /// Writes the checkpoint, then removes those that need not stay.
    ///
    /// # Errors
    /// It cannot be written; then no checkpoint was removed or replaced.
    pub fn write(self) -> Result<RunEvent> {
        let start = Instant::now();
        let target = self.folder.checkpoint(self.state.done);
        if let Some(numbers) = &self.generator {
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            let path = self.fresh.join(GENERATOR);
            let written = fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()));
            or_clear(written, &self.fresh)?;
        }
        let bytes = or_clear(fill(&self.fresh, self.snapshot, &self.text, &self.state), &self.fresh)?;
        put_in_place(&self.fresh, &target)?;
        forget(&self.folder, self.state.done, &self.keep);
        Ok(RunEvent::Checkpointed {
            step: self.state.done,
            path: target.strip_prefix(self.folder.path()).unwrap_or(&target).display().to_string(),
            bytes,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// Writes all files of a checkpoint and waits for the disk. Returns their size in bytes.
fn fill(fresh: &Path, snapshot: Snapshot, text: &Path, state: &State) -> Result<u64> {
    snapshot()?;
    copy_files(text, fresh)?;
    write_state(fresh, state)
}

/// Half a checkpoint would only fill the disk further.
fn or_clear<T>(written: Result<T>, fresh: &Path) -> Result<T> {
    if written.is_err() {
        let _ = fs::remove_dir_all(fresh);
    }
    written
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let copied = fs::copy(&path, to.join(path.file_name().unwrap_or_default()));
        copied.with_context(|| format!("cannot copy {}", path.display()))?;
    }
    Ok(())
}

fn write_state(folder: &Path, state: &State) -> Result<u64> {
    let path = folder.join(STATE);
    fs::write(&path, serde_json::to_vec_pretty(state)?).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(sums::seal(folder)?)
}

/// Gives a whole folder its final name; what had that name before is replaced.
fn put_in_place(fresh: &Path, target: &Path) -> Result<()> {
    let old = target.with_extension(OLD);
    clear(&old)?;
    if target.exists() {
        fs::rename(target, &old).with_context(|| format!("cannot replace {}", target.display()))?;
    }
    fs::rename(fresh, target).with_context(|| format!("cannot name {}", target.display()))?;
    if let Some(parent) = target.parent().and_then(|parent| fs::File::open(parent).ok()) {
        // a file system that cannot sync a folder still has the new name
        let _ = parent.sync_all();
    }
    clear(&old)
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    Ok(())
}

/// A checkpoint whose checksums hold.
pub struct Found {
    pub step: u64,
    pub path: PathBuf,
    state: State,
}

impl Found {
    /// Reads the checkpoint of `step`.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read(folder: &RunFolder, step: u64) -> Result<Found> {
        let path = folder.checkpoint(step);
        sums::check(&path)?;
        let state = read_state(&path)?;
        Ok(Found { step, path, state })
    }

    /// Jobs whose author had not answered yet.
    pub fn waiting(&self) -> &[JobKey] {
        &self.state.waiting
    }

    pub fn notes(&self) -> &Notes {
        &self.state.notes
    }

    /// Continues from it: weights, optimiser, reference, skill statistics, step count.
    pub fn restore(&self, trainer: &mut Trainer) -> Result<()> {
        trainer.engine.restore(&self.path)?;
        let State { skills, asked, retired, born, .. } = self.state.clone();
        let tally = Tally { skills, asked, retired, born };
        let files: Vec<(&String, &String)> = self.state.learned.iter().collect();
        trainer.skills.restore(tally, Bank::parse(&files)?);
        trainer.method.resume(&self.state.method);
        trainer.habits = self.state.habits.clone();
        if let Some(generator) = &mut trainer.generator {
            let path = self.path.join(GENERATOR);
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let number = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            let numbers: Vec<f32> = bytes.chunks_exact(4).map(number).collect();
            generator.restore(&numbers).with_context(|| path.display().to_string())?;
        }
        trainer.done = self.state.done;
        Ok(())
    }
}

fn read_state(checkpoint: &Path) -> Result<State> {
    let path = checkpoint.join(STATE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: damaged", path.display()))
}

/// The newest checkpoint that can be used. Those that cannot are told of and renamed to `step_N.damaged`. `None` =
/// the run has no checkpoint.
///
/// # Errors
/// There are checkpoints, and none of them can be used: starting over would lose the run.
pub fn newest(folder: &RunFolder, tell: &mut dyn FnMut(String)) -> Result<Option<Found>> {
    tidy(folder);
    let steps = folder.checkpoints();
    for &step in steps.iter().rev() {
        match Found::read(folder, step) {
            Ok(found) => return Ok(Some(found)),
            Err(e) => {
                tell(format!("the checkpoint of step {step} cannot be used, trying the one before: {e:#}"));
                let path = folder.checkpoint(step);
                // one that cannot be renamed is found damaged again next time
                let _ = clear(&path.with_extension(DAMAGED)).map(|()| fs::rename(&path, path.with_extension(DAMAGED)));
            }
        }
    }
    if !steps.is_empty() {
        bail!(
            "none of the {} checkpoints of `{}` can be used; they were renamed to `*.damaged`, and training \
             again starts over from the first step",
            steps.len(),
            folder.path().display()
        );
    }
    Ok(None)
}

/// What a kill in the middle of [`Pending::write`] left: a whole folder without its name gets it, the rest goes.
fn tidy(folder: &RunFolder) {
    let entries = fs::read_dir(folder.path().join("checkpoints")).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let ending = path.extension().unwrap_or_default();
        let target = path.with_extension("");
        // best effort: what stays is in nobody's way
        if ending == PARTIAL && !target.exists() && sums::check(&path).is_ok_and(|sealed| sealed) {
            let _ = fs::rename(&path, &target);
        } else if ending == PARTIAL || ending == OLD {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Steps and panel successes of the checkpoints on disk, by step.
pub fn successes(folder: &RunFolder) -> Vec<(u64, f64)> {
    let success = |step: u64| Some((step, read_state(&folder.checkpoint(step)).ok()?.notes.success?));
    folder.checkpoints().into_iter().filter_map(success).collect()
}

/// The step of the checkpoint with the highest success on the panel; of equals the latest.
pub fn best(folder: &RunFolder) -> Option<u64> {
    successes(folder).into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(step, _)| step)
}

/// Copies a checkpoint into another run, as its own: without the recipe it was made under.
pub fn transplant(found: &Found, to: &RunFolder) -> Result<()> {
    let target = to.checkpoint(found.step);
    let fresh = target.with_extension(PARTIAL);
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    copy_files(&found.path, &fresh)?;
    let notes = Notes { recipe: None, ..found.state.notes.clone() };
    write_state(&fresh, &State { notes, ..found.state.clone() })?;
    put_in_place(&fresh, &target)
}

/// Removes the checkpoints that need not stay. One that cannot be removed stays: that is no loss.
fn forget(folder: &RunFolder, written: u64, keep: &Keep) {
    let steps = folder.checkpoints();
    let best = if keep.best { best(folder) } else { None };
    for step in removable(&steps, written, keep, best) {
        let _ = fs::remove_dir_all(folder.checkpoint(step));
    }
}

fn removable(steps: &[u64], written: u64, keep: &Keep, best: Option<u64>) -> Vec<u64> {
    let newest = if keep.newest == 0 { steps.len() } else { keep.newest as usize };
    let old = &steps[..steps.len().saturating_sub(newest)];
    let permanent = |step: u64| keep.permanent_every > 0 && step.is_multiple_of(keep.permanent_every);
    old.iter().copied().filter(|&step| step != written && Some(step) != best && !permanent(step)).collect()
}

const PARTIAL: &str = "partial";
const OLD: &str = "old";
const DAMAGED: &str = "damaged";

#[cfg(test)]
mod tests {
    use super::{Keep, removable};

    #[test]
    fn newest_best_and_permanent_checkpoints_stay() {
        let steps = [10, 20, 30, 40, 50, 60];
        let keep = Keep { newest: 2, permanent_every: 0, best: false };
        assert_eq!(removable(&steps, 60, &keep, None), [10, 20, 30, 40]);
        assert_eq!(removable(&steps, 60, &keep, Some(20)), [10, 30, 40]);
        assert_eq!(removable(&steps, 60, &Keep { permanent_every: 30, ..keep }, None), [10, 20, 40]);
        assert_eq!(removable(&steps, 60, &Keep { newest: 0, ..keep }, None), [0u64; 0]);
        assert_eq!(removable(&[4, 6], 4, &Keep { newest: 1, ..keep }, None), [0u64; 0], "the one just written");
    }
}
