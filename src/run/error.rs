//! What can go wrong with a run folder: each error names the place and what to do about it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Result of an operation on a run folder.
pub type Result<T> = std::result::Result<T, RunError>;

/// An operation on a run folder failed. Nothing that was already on disk has been damaged.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operating system refused to read or write.
    #[error("cannot {doing} `{}`: {cause}{}", path.display(), remedy(cause))]
    Io { doing: &'static str, path: PathBuf, cause: io::Error },
    /// No such run; `hint` lists what there is.
    #[error("no run `{name}` in `{}`{hint}", root.display())]
    Missing { name: String, root: PathBuf, hint: String },
    /// A run of this name exists; runs are never overwritten.
    #[error("run `{name}` already exists in `{}`; resume it, or choose another name", root.display())]
    Exists { name: String, root: PathBuf },
    /// A run was killed while its folder was made: it has neither a configuration nor records.
    #[error(
        "`{}` was left by a run that was killed while it was made, and holds nothing; remove it, or choose another name",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// The name cannot be used for a folder.
    #[error("run name `{0}` is not usable: use letters, digits, `.`, `_` and `-`, and do not start with `.` or `-`")]
    BadName(String),
    /// Another trainer holds the run.
    #[error("run `{}` is being trained by process {pid}; attach to it, or stop it first", path.display())]
    Held { path: PathBuf, pid: u32 },
    /// A file is there but its content cannot be used.
    #[error("`{}` is damaged: {reason}; delete the file to go on without it", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// A file of another tool cannot be read as what it is taken for.
    #[error("`{}` cannot be opened: {reason}", path.display())]
    Foreign { path: PathBuf, reason: String },
    /// A record could not be written as JSON and read back: a defect of the program that made it.
    #[error("record for `{}` cannot be written as JSON: {reason}; please report it", path.display())]
    Unwritable { path: PathBuf, reason: String },
}

impl RunError {
    /// Turns an I/O error at `path` into an error: `.map_err(RunError::io("write", &path))`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RunError {
        let path = path.to_path_buf();
        move |cause| RunError::Io { doing, path, cause }
    }

    /// As [`RunError::damaged`], for files that are not ours.
    pub(crate) fn foreign<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> RunError {
        let path = path.to_path_buf();
        move |reason| RunError::Foreign { path: path.clone(), reason: reason.to_string() }
    }

    /// Turns any error about the content of `path` into an error.
    pub(crate) fn damaged<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> RunError {
        let path = path.to_path_buf();
        move |reason| RunError::Damaged { path: path.clone(), reason: reason.to_string() }
    }
}

/// What a person can do about an I/O error; empty where there is nothing to say.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some disk space, then resume the run",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; make it accessible to this user, or choose another folder"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => "; check that the run folder is still there and is a folder",
        _ => "",
    }
}
