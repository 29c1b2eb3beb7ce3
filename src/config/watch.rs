//! Watching a file that is edited. What is watched is its *directory*: editors save by writing a new file and renaming
//! it over the old one, which a watch on the file itself would lose. For a link, the directory of its target as well.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};

use super::error::ConfigError;
use super::of_run::parse_run;
use super::recipe::Recipe;

/// Tells of every change of what it watches, until dropped.
pub struct Watch<T> {
    /// One message per change of the content.
    pub edits: Receiver<T>,
    _watcher: Debouncer<RecommendedWatcher, RecommendedCache>,
}

/// Accepted and refused edits of a run's configuration; an unchanged or missing file gives no message, an emptied one is
/// refused.
pub type RecipeWatch = Watch<Result<Recipe, ConfigError>>;

impl RecipeWatch {
    /// Starts watching the configuration at `path`, as [`Watch::file`] does.
    ///
    /// # Errors
    /// As [`Watch::file`].
    pub fn new(path: &Path, settle: Duration) -> Result<Self> {
        let (mut file, place) = (Watched::new(path), path.to_owned());
        Watch::of(path, &file.directories(), settle, move || file.edit().map(|text| parse_run(&place, text)))
    }
}

impl<T: Send + 'static> Watch<T> {
    /// Starts watching the file at `path`; its present content counts as known. `settle` is how long it must be left
    /// alone before it is read. A missing or empty file gives no message: it is one that is just being written.
    ///
    /// # Errors
    /// The operating system refuses the watch (usually its limit on watches), or there is no such folder.
    pub fn file(path: &Path, settle: Duration, mut parse: impl FnMut(&str) -> T + Send + 'static) -> Result<Self> {
        let mut file = Watched::new(path);
        Watch::of(path, &file.directories(), settle, move || file.filled().map(&mut parse))
    }

    /// Watches `directories` and asks `read` for news whenever something in them was written. `path` is what an error
    /// names.
    ///
    /// # Errors
    /// As [`Watch::file`].
    pub fn of(
        path: &Path,
        directories: &[PathBuf],
        settle: Duration,
        mut read: impl FnMut() -> Option<T> + Send + 'static,
    ) -> Result<Self> {
        let (sender, edits) = channel();
        let on_events = move |events: DebounceEventResult| {
            let touched = events.map_or(true, |events| events.iter().any(|event| is_write(&event.kind)));
            if let Some(edit) = touched.then(&mut read).flatten() {
                // the receiver is gone only while the watch itself is being dropped
                let _ = sender.send(edit);
            }
        };
        let refused = || format!("cannot watch `{}`, its edits will not be noticed", path.display());
        let mut watcher = new_debouncer(settle, None, on_events).with_context(refused)?;
        for directory in directories {
            watcher.watch(directory, RecursiveMode::NonRecursive).with_context(refused)?;
        }
        Ok(Self { edits, _watcher: watcher })
    }
}

/// The file and what was last read from it.
struct Watched {
    path: PathBuf,
    content: Option<String>,
}

impl Watched {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), content: std::fs::read_to_string(path).ok() }
    }

    /// The directory of the file, and of what it links to.
    fn directories(&self) -> Vec<PathBuf> {
        let parent = |path: &Path| match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut found = vec![parent(&self.path)];
        if let Ok(target) = self.path.canonicalize() {
            let directory = parent(&target);
            if found[0].canonicalize().ok().as_ref() != Some(&directory) {
                found.push(directory);
            }
        }
        found
    }

    /// What the file says now, if its content changed.
    fn edit(&mut self) -> Option<&str> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        if self.content.as_ref() == Some(&text) { None } else { Some(self.content.insert(text)) }
    }

    /// The same, passing over an empty file.
    fn filled(&mut self) -> Option<&str> {
        let empty = std::fs::read_to_string(&self.path).is_ok_and(|text| text.trim().is_empty());
        if empty { None } else { self.edit() }
    }
}

/// Reading the file makes events too; only writes count.
fn is_write(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(mode)) => *mode == AccessMode::Write,
        EventKind::Access(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::RecipeWatch;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn watch(path: &Path) -> RecipeWatch {
        RecipeWatch::new(path, Duration::from_millis(20)).unwrap()
    }

    fn next_lr(watch: &RecipeWatch) -> Result<f64, String> {
        watch.edits.recv_timeout(PATIENCE).expect("no edit noticed").map(|r| r.optim.lr).map_err(|e| e.to_string())
    }

    #[test]
    fn saves_by_rename_deletion_and_refusals_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "[optim]\nlr = 1\n").unwrap();
        let watch = watch(&path);

        fs::write(folder.path().join("other"), "noise").unwrap();
        fs::write(&path, "[optim]\nlr = 2\n").unwrap();
        assert_eq!(next_lr(&watch), Ok(2.0));

        fs::write(folder.path().join("swap"), "[optim]\nlr = 3\n").unwrap();
        fs::rename(folder.path().join("swap"), &path).unwrap();
        assert_eq!(next_lr(&watch), Ok(3.0));

        fs::remove_file(&path).unwrap();
        fs::write(&path, "[optim]\nlr = 4\n").unwrap();
        assert_eq!(next_lr(&watch), Ok(4.0));

        fs::write(&path, "[optim]\nlr = -4\n").unwrap();
        assert!(next_lr(&watch).unwrap_err().contains("config.toml:2:6: `optim.lr` must be at least 0"));

        fs::write(&path, "").unwrap();
        assert!(next_lr(&watch).unwrap_err().contains("config.toml: no key is left"));
        fs::write(&path, "[optim]\nlr = 4\n").unwrap();
        assert_eq!(next_lr(&watch), Ok(4.0));
    }

    #[test]
    fn a_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("real.toml");
        fs::write(&target, "[optim]\nlr = 1\n").unwrap();
        let link = folder.path().join("config.toml");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let watch = watch(&link);
        fs::write(&target, "[optim]\nlr = 2\n").unwrap();
        assert_eq!(next_lr(&watch), Ok(2.0));
    }
}
