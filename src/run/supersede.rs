//! What a trainer that died recorded beyond its last checkpoint. A resume repeats those steps; the first playing of
//! them goes to `superseded/<n>/`, where no reader takes it for part of the run and nothing is lost.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Result, RunError};
use super::folder::{RunFolder, numbered};

/// Moves the files of all steps after `done` aside, and the panel played after `done` unless it is `evaluated` in the
/// state that is resumed. Returns how many files were moved.
///
/// # Errors
/// An I/O error; what was not moved stays where it was, and the call may be repeated.
pub fn set_aside(folder: &RunFolder, done: u64, evaluated: bool) -> Result<usize> {
    let last_panel = if evaluated { done + 1 } else { done };
    let late: Vec<PathBuf> = KINDS
        .iter()
        .flat_map(|&(part, prefix, suffix)| {
            let first = if prefix == "eval_" { last_panel } else { done + 1 };
            let steps = numbered(&folder.path().join(part), prefix, suffix).into_iter();
            steps.filter(move |step| *step >= first).map(move |step| format!("{part}/{prefix}{step:06}{suffix}").into())
        })
        .collect();
    if late.is_empty() {
        return Ok(0);
    }
    let root = folder.path().join("superseded");
    let number = numbered(&root, "", "").last().map_or(1, |n| n + 1);
    let target = root.join(number.to_string());
    for file in &late {
        move_to(&folder.path().join(file), &target.join(file))?;
    }
    Ok(late.len())
}

fn move_to(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    fs::rename(from, to).map_err(RunError::io("move", from))
}

/// Folder, prefix and suffix of the files that belong to a step.
const KINDS: [(&str, &str, &str); 4] = [
    ("rollouts", "step_", ".parquet"),
    ("rollouts", "step_", ".jsonl"),
    ("rollouts", "eval_", ".parquet"),
    ("tokens", "step_", ".parquet"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Store;

    #[test]
    fn later_steps_are_kept_out_of_sight() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        for step in 1..=4 {
            fs::write(folder.rollouts(step), "r").unwrap();
            fs::write(folder.tokens(step), "t").unwrap();
        }
        fs::write(folder.live_rollouts(5), "l").unwrap();
        fs::write(folder.eval_rollouts(2), "e").unwrap();
        fs::write(folder.eval_rollouts(4), "e").unwrap();
        assert_eq!(set_aside(&folder, 2, true).unwrap(), 6);
        let store = Store::new(&folder);
        assert_eq!((store.steps(), store.token_steps(), store.eval_steps()), (vec![1, 2], vec![1, 2], vec![2]));
        assert!(folder.path().join("superseded/1/rollouts/step_000005.jsonl").exists());
        assert_eq!(set_aside(&folder, 2, true).unwrap(), 0);
        assert_eq!(set_aside(&folder, 2, false).unwrap(), 1, "a panel that was given up is played again");
        assert!(folder.path().join("superseded/2/rollouts/eval_000002.parquet").exists());
    }
}
