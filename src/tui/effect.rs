//! What the state asks of the main loop: everything that touches the terminal, the run or a file.

use std::path::PathBuf;

use super::errands::Errand;
use super::keys::Action;
use super::options::Exit;
use crate::core::event::Command;

/// What only the main loop can do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Send(Command),
    Exit(Exit),
    Suspend,
    Redraw,
    Copy(String),
    /// Take what the mouse does, or leave it to the terminal.
    Mouse(bool),
    /// Write a picture.
    Export(Export),
    /// Something beside the run that is shown: a new run, a skill's file.
    Errand(Errand),
    /// Open a file in `$EDITOR`; the screen comes back when it is closed.
    Edit(PathBuf),
    /// Show another run in place of this one.
    Open(String),
    /// Show the configuration.
    Config,
    /// An action, from a menu.
    Act(Action),
}

/// A picture to write: of what, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    pub of: Subject,
    pub form: Form,
}

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Screen,
    /// The focused chart.
    Chart,
    /// Every token of the selected rollout.
    Tokens,
}

/// What kind of file a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Svg,
    Html,
    Png,
    Text,
}
