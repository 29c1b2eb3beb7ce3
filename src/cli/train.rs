//! `sdlab [RECIPE]`, `sdlab train`: a new run or the continuation of one, with a screen or as JSON Lines.

use std::path::Path;

use anyhow::Result;

use super::{Options, Start, Usage, need_terminal};
use crate::config::{self, Overrides};
use crate::core::exit::Exit;
use crate::run::{RunFolder, list_runs};
use crate::session::{self, Asserts};
use crate::wiring::{self, View};

/// Trains a recipe, or continues the run whose folder is named instead of one.
pub(super) fn train(recipe: Option<&Path>, from: &Start, options: &Options) -> Result<Exit> {
    if !options.batch {
        need_terminal()?;
    }
    let asserts = options.asserts()?;
    let folder = match (recipe.filter(|path| path.is_dir()), &from.resume, &from.fork) {
        (Some(folder), ..) => resume(folder, options)?,
        (None, Some(run), _) => resume(options.open(run)?.path(), options)?,
        (None, None, Some(from)) => {
            let (run, step) = checkpoint_of(from)?;
            wiring::fork(&options.open(run)?, step, &options.overrides())?
        }
        (None, None, None) => {
            let source = recipe.map_or_else(|| "default".into(), |path| path.display().to_string());
            wiring::create_run(&config::load_to_train(recipe, &options.overrides())?, &source)?
        }
    };
    if !options.quiet {
        eprintln!("run `{}`", folder.path().display());
    }
    if options.batch {
        return wiring::train_here(&folder, Some(wiring::batch_tap(&folder, options.verbose)), asserts);
    }
    if session::is_served(folder.path()) {
        if !asserts.is_empty() {
            let message = "this run is being trained already, `--assert` can only be given when its trainer is started";
            return Err(Usage(message.into()).into());
        }
    } else {
        session::spawn(folder.path(), &options.assert)?;
    }
    wiring::screen(&folder, View::Live)
}

/// `RUN` or `RUN@STEP`.
fn checkpoint_of(text: &str) -> Result<(&str, Option<u64>)> {
    let Some((run, step)) = text.rsplit_once('@') else { return Ok((text, None)) };
    let step = step.parse().map_err(|_| Usage(format!("`--fork {text}`: `{step}` is not a step")))?;
    Ok((run, Some(step)))
}

/// The body of the trainer process. It becomes the leader of a session of its own, out of reach of the terminal.
pub(super) fn process(folder: &Path, asserts: Asserts) -> Result<Exit> {
    // fails only if it leads one already, which is as good
    let _ = rustix::process::setsid();
    let folder = RunFolder::open(&folder.to_string_lossy(), Path::new("."))?;
    wiring::train_here(&folder, None, asserts)
}

/// Opens a run to be continued and writes the overrides into its configuration.
fn resume(folder: &Path, options: &Options) -> Result<RunFolder> {
    let not_a_run = || {
        let known = list_runs(folder).first().map(|name| format!(", did you mean `{}`?", folder.join(name).display()));
        Usage(format!("`{}` is a folder but not a run{}", folder.display(), known.unwrap_or_default()))
    };
    if !folder.join("config.toml").is_file() {
        return Err(not_a_run().into());
    }
    let run = RunFolder::open(&folder.to_string_lossy(), Path::new("."))?;
    let (overrides, served) = (options.overrides(), session::is_served(run.path()));
    // what a trainer makes of its file is its own affair, as long as nothing is to be written into it
    if !served || overrides != (Overrides { root: overrides.root.clone(), ..Overrides::default() }) {
        config::adjust(&run.config(), &overrides, served || !run.checkpoints().is_empty())?;
    }
    Ok(run)
}
