//! Checks of the machine: device, memory, disk, screen.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Answer, Subject, skipped};
use crate::config::Device;
use crate::engine::candle::memory::{self, Dims, When, human};
use crate::session::device::{self, Gpus};
use crate::train::budget;
use crate::tui;
use crate::tui::theme::Depth;

pub(super) fn device(subject: &mut Subject) -> Result<Answer> {
    let gpus = Gpus::here();
    let chosen = device::choose(subject.recipe.model.device, gpus)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let others = match gpus {
        Gpus::NotBuilt => "this build has no CUDA".to_owned(),
        Gpus::Found(0) => "no GPU can be opened".to_owned(),
        Gpus::Found(n) => format!("{n} GPUs can be opened"),
    };
    let threads = if chosen == Device::Cpu { format!(", {threads} threads") } else { String::new() };
    Ok(Answer::ok(format!("{}{threads}; {others}", String::from(chosen))))
}

pub(super) fn memory(subject: &mut Subject) -> Result<Answer> {
    let Some(place) = &subject.place else { return skipped("model") };
    if subject.architecture.is_none() {
        return skipped("architecture");
    }
    let computes = device::place(subject.recipe.model.device)?;
    let available = memory::available(computes);
    // where it does not fit, the error names the nearest settings that do
    let (_, plan) = budget::options(&subject.recipe, place, computes, available)?;
    let line = |item: &memory::Item| {
        let when = match item.when {
            When::Always => "",
            When::Rollout => "while playing: ",
            When::Update => "while learning: ",
        };
        format!("{:>9}  {} ({when}{})", human(item.bytes), item.name, item.note)
    };
    let details = plan.items.iter().map(line).collect();
    let peak = plan.peak();
    let message = format!("{} at most", human(peak));
    Ok(match available {
        None => Answer::ok(format!("{message}; what is free is not known here")),
        Some(free) if peak as f64 > 0.9 * free as f64 => Answer::warn(
            format!("{message}, {} are free", human(free)),
            "close other programs, or train adapters (`model.lora`)",
        ),
        Some(free) => Answer::ok(format!("{message}, {} are free", human(free))),
    }
    .details(details))
}

pub(super) fn disk(subject: &mut Subject) -> Result<Answer> {
    let root = existing(Path::new(&subject.recipe.run.root));
    let facts = rustix::fs::statvfs(&root).with_context(|| format!("cannot look at `{}`", root.display()))?;
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    let free_text = format!("{} are free where runs go (`{}`)", human(free), root.display());
    let Some(architecture) = &subject.architecture else { return Ok(Answer::ok(free_text)) };
    // weights, two moments and the reference, in f32
    let one = Dims::from(architecture).parameters * 4 * 4;
    // one more while the newest is being written
    let kept = u64::from(subject.recipe.checkpoint.keep);
    let (needed, words) = match kept {
        0 => (one * 2, "each checkpoint will take up to"),
        kept => (one * (kept + 1), "checkpoints will take up to"),
    };
    let message = format!("{free_text}, {words} {}", human(if kept == 0 { one } else { needed }));
    Ok(match free > needed {
        true => Answer::ok(message),
        false => Answer::fail(message, "lower `checkpoint.keep`, or set `run.root` to a larger disk"),
    })
}

pub(super) fn root(subject: &mut Subject) -> Result<Answer> {
    let root = &subject.recipe.run.root;
    let folder = existing(Path::new(root));
    let probe = folder.join(format!(".sdlab-check-{}", std::process::id()));
    let made = std::fs::write(&probe, "x");
    let _ = std::fs::remove_file(&probe);
    Ok(match made {
        Ok(()) if Path::new(root).is_dir() => Answer::ok(format!("`{root}` can be written")),
        Ok(()) => Answer::ok(format!("`{root}` will be made in `{}`, which can be written", folder.display())),
        Err(error) => Answer::fail(
            format!("`{}` cannot be written: {error}", folder.display()),
            "set `run.root` to a folder of yours, or use `--root`",
        ),
    })
}

/// The folder itself, or the nearest one above it that exists.
fn existing(folder: &Path) -> PathBuf {
    let above = folder.ancestors().find(|path| path.is_dir());
    above.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

pub(super) fn terminal(_: &mut Subject) -> Result<Answer> {
    let options = tui::Options::from_env(tui::Mode::Live);
    let colours = match options.depth {
        Depth::Mono => "no colours",
        Depth::Sixteen => "16 colours",
        Depth::Cube => "256 colours",
        Depth::True => "24-bit colours",
    };
    let signs = if options.ascii { "ASCII only" } else { "Unicode" };
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Ok(Answer::ok("there is none: `--batch` prints JSON Lines instead of a screen"));
    }
    let size = crossterm::terminal::size().context("the size of the terminal cannot be read")?;
    let message = format!("{} x {}, {colours}, {signs}", size.0, size.1);
    Ok(match size.0 >= LEAST.0 && size.1 >= LEAST.1 {
        true => Answer::ok(message),
        false => Answer::warn(message, format!("enlarge it to at least {} x {}", LEAST.0, LEAST.1)),
    })
}

/// Columns and rows from which the whole screen is shown.
const LEAST: (u16, u16) = (80, 24);
