//! A run in the formats of other tools. Reads the run folder only, like every reader.

pub mod cells;
mod model;
mod page;
mod plot;
mod png;
mod raster;
mod report;
mod table;
mod tfevents;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run::view::RunView;
use crate::run::{RunFolder, Source};

/// What to export to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Event files for TensorBoard and whatever imports them.
    Tensorboard,
    /// Tables of metrics, evaluations and rollouts.
    Csv,
    /// The same as JSON, and rollouts as JSON Lines.
    Json,
    /// One page with curves, evaluations and telling rollouts; needs nothing else to be shown.
    Html,
    /// The curves as a picture.
    Svg,
    /// A Hugging Face model folder.
    Model,
    /// A PEFT adapter folder.
    Adapter,
}

impl Format {
    /// All formats by name.
    pub const ALL: [(&'static str, Format); 7] = [
        ("tensorboard", Format::Tensorboard),
        ("csv", Format::Csv),
        ("json", Format::Json),
        ("html", Format::Html),
        ("svg", Format::Svg),
        ("model", Format::Model),
        ("adapter", Format::Adapter),
    ];
}

/// Which checkpoint a model is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    #[default]
    Newest,
    /// The one with the highest success on the panel.
    Best,
    Step(u64),
}

/// Writes the run of `folder` into the folder `out`, which is made if absent (and goes again if nothing was written to
/// it). Returns the files written.
///
/// # Errors
/// The run cannot be read, it has nothing of that kind, or `out` cannot be written.
pub fn export(folder: &RunFolder, format: Format, pick: Pick, out: &Path) -> Result<Vec<PathBuf>> {
    let fresh = !out.exists();
    fs::create_dir_all(out).with_context(|| format!("cannot create `{}`", out.display()))?;
    let written = write(folder, format, pick, out);
    if fresh && written.is_err() {
        // one with files in it is not removed
        let _ = fs::remove_dir(out);
    }
    written
}

fn write(folder: &RunFolder, format: Format, pick: Pick, out: &Path) -> Result<Vec<PathBuf>> {
    match format {
        Format::Model => model::model(folder, pick, out),
        Format::Adapter => model::adapter(folder, pick, out),
        Format::Tensorboard => Ok(vec![tfevents::write(&view(folder)?, out)?]),
        Format::Csv => table::csv(folder, &view(folder)?, out),
        Format::Json => table::json(folder, &view(folder)?, out),
        Format::Svg => file(out, "curves.svg", plot::panels(&view(folder)?).as_bytes()).map(|path| vec![path]),
        Format::Html => {
            file(out, "report.html", report::page(folder, &view(folder)?).as_bytes()).map(|path| vec![path])
        }
    }
}

/// One chart of a run as SVG, with its exact values: a curve for each of the metrics.
pub fn chart(view: &RunView, metrics: &[&str]) -> String {
    plot::chart(view, metrics)
}

/// The same as a page that needs nothing else to be shown, with a table of the values.
pub fn chart_page(view: &RunView, metrics: &[&str]) -> String {
    report::chart_page(view, metrics)
}

/// Writes the report of a run to a file and returns its path; see [`Format::Html`].
///
/// # Errors
/// The run cannot be read or the file cannot be written.
pub fn report(folder: &RunFolder, path: &Path) -> Result<()> {
    let page = report::page(folder, &view(folder)?);
    fs::write(path, page).with_context(|| format!("cannot write `{}`", path.display()))
}

/// The whole run, folded.
fn view(folder: &RunFolder) -> Result<RunView> {
    let mut view = RunView::default();
    Source::open(folder)?.for_each(|record| view.apply(record))?;
    Ok(view)
}

fn file(out: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = out.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}
