//! Asking a trainer something.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::control::LONGEST_LINE;
use super::reply::Reply;
use super::socket::to_connect;
use crate::core::Command;

/// Sends one command to the trainer of the run in `folder` and waits for its answer.
///
/// # Errors
/// No trainer answers, or the answer cannot be read.
pub fn send(folder: &Path, command: &Command) -> Result<Reply> {
    let nobody = || format!("no trainer answers for `{}`: the run has ended, or died", folder.display());
    let mut stream = UnixStream::connect(to_connect(folder)).with_context(nobody)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut message = serde_json::to_vec(command)?;
    message.push(b'\n');
    stream.write_all(&message).with_context(nobody)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut answer).with_context(nobody)?;
    serde_json::from_str(&answer).context("the trainer's answer makes no sense, is it of another version?")
}

/// Whether a trainer listens for the run in `folder`.
pub fn is_served(folder: &Path) -> bool {
    UnixStream::connect(to_connect(folder)).is_ok()
}

/// A little longer than a command may wait to be taken up.
const PATIENCE: Duration = Duration::from_secs(15);
