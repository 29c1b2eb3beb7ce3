//! How the screen is started, and how it ends.

use super::theme::Depth;

/// Whether the screen follows a run or walks through a recorded one. Everything else is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Live,
    Replay,
}

/// How the screen is started.
#[derive(Clone, Debug)]
pub struct Options {
    pub mode: Mode,
    /// Name of the first theme; `dark` if `None`.
    pub theme: Option<String>,
    /// Texts of theme files that add to or replace the built-in ones.
    pub theme_files: Vec<String>,
    pub depth: Depth,
    /// Draw with ASCII only.
    pub ascii: bool,
    /// Frames per second at most.
    pub fps: u32,
}

impl Options {
    /// What the environment asks for: `NO_COLOR`, `TERM`, `COLORTERM`; `SDLAB_ASCII=1` for ASCII only,
    /// `SDLAB_THEME` for a theme; 10 frames per second over SSH instead of 30.
    pub fn from_env(mode: Mode) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let remote = set("SSH_TTY").or(set("SSH_CONNECTION")).is_some();
        Self {
            mode,
            theme: set("SDLAB_THEME"),
            theme_files: Vec::new(),
            depth: Depth::detect(|name| std::env::var(name).ok()),
            ascii: set("SDLAB_ASCII").is_some_and(|v| v != "0") || set("TERM").is_some_and(|t| t == "dumb"),
            fps: if remote { 10 } else { 30 },
        }
    }
}

/// Why the screen closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The person left; the training goes on.
    Detached,
    /// The person left a run that was over, or a replay.
    Left,
    /// The terminal or the system asked (SIGTERM, SIGHUP).
    Terminated,
}
