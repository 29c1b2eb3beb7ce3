//! Where the parts of the program meet: everything the command line needs from a layer it does not know.

mod feed;
mod fork;
mod import;
mod starter;
mod verify;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Result;

use crate::batch::{self, BatchPrinter};
use crate::config::{self, Recipe, Watch};
use crate::core::RunEvent;
use crate::core::event::Status;
use crate::core::exit::Exit;
use crate::env;
use crate::run::recorder::{Tap, now_ms};
use crate::run::view::RunView;
use crate::run::{Heartbeat, Manifest, Recorder, RunFolder, RunLock, Source, atomic_write};
use crate::session::{Asserts, Control, Desk, Halt, Pulse, SharedRecorder, Standing, Training, serve, watch_signals};
use crate::skill::{Bank, BankError};
use crate::tui;

pub use feed::FolderFeed;
pub use fork::fork;
pub use import::Imported;
pub use starter::{PretrainArgs, pretrain};
pub use verify::verify;

/// What a screen is opened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// A run that is being trained; follows its records.
    Live,
    /// A saved run, with a transport bar.
    Replay,
}

/// Opens the screen and returns when it is closed. The run goes on.
pub fn screen(folder: &RunFolder, view: View) -> Result<Exit> {
    let mode = match view {
        View::Live => tui::Mode::Live,
        View::Replay => {
            feed::check_records(folder)?;
            tui::Mode::Replay
        }
    };
    let feed = FolderFeed::open(folder, view)?;
    Ok(match tui::run(feed, &tui::Options::from_env(mode))? {
        tui::Exit::Detached | tui::Exit::Left => Exit::Done,
        tui::Exit::Terminated => Exit::Terminated,
    })
}

/// Makes the folder of a new run: its resolved configuration and its manifest.
/// `source` is where the recipe was read from.
pub fn create_run(recipe: &Recipe, source: &str) -> Result<RunFolder> {
    let root = Path::new(&recipe.run.root);
    let folder = match recipe.run.name.as_str() {
        "" => RunFolder::create_next(root, recipe.env.name(), recipe.method.name())?,
        name => RunFolder::create(root, name)?,
    };
    let text = config::render(recipe);
    atomic_write(&folder.recipe(), text.as_bytes())?;
    let mut manifest = Manifest::gather(&folder, &text, Path::new("."), now_ms());
    manifest.seeds.insert("run".into(), recipe.run.seed);
    manifest.notes.insert("recipe".into(), source.into());
    manifest.write(&folder)?;
    // last: a folder with a configuration is a run, and whoever finds one must find all of it
    atomic_write(&folder.config(), text.as_bytes())?;
    Ok(folder)
}

/// Trains the run of `folder` in this process until it ends. `tap` sees every record as it is written; `asserts` must
/// hold in the end.
///
/// # Errors
/// Another process trains it, or its configuration cannot be read. A training that fails is no error here: it is the
/// run's last record, and its exit code.
pub fn train_here(folder: &RunFolder, tap: Option<Tap>, mut asserts: Asserts) -> Result<Exit> {
    let _lock = RunLock::take(folder)?;
    if !asserts.is_empty() {
        // a run that is continued may have evaluated for the last time before
        Source::open(folder)?.for_each(|record| asserts.hear(&record.event))?;
    }
    let recipe = config::load_run(&folder.config())?;
    let past = past(folder)?;
    let recorder = Recorder::open(folder)?;
    let recorder: SharedRecorder = Rc::new(RefCell::new(match tap {
        Some(tap) => recorder.with_tap(tap),
        None => recorder,
    }));
    let mut job = Training::new(folder, &recipe, recorder.clone());
    let halt = Arc::new(Halt::default());
    watch_signals(halt.clone())?;
    // last: whoever started this process takes a bound socket for a trainer that works
    let (_control, orders) = Control::bind(folder.path(), halt.clone())?;
    let (edits, _watch) = watch(&recorder, "config", Watch::new(&folder.config(), SETTLE).map(Some))?;
    let (banks, _bank_watch) = watch(&recorder, "skills", watch_bank(&recipe.skills.bank))?;
    let (wordings, _env_watch) = watch(&recorder, "environment's file", watch_env(recipe.env.name()))?;
    let (config, status) = (folder.config(), folder.clone());
    let mut missed = false;
    let pulse = Pulse::start(HEARTBEAT, move |standing: &Standing| beat(&status, standing, &mut missed));
    Ok(serve(
        &mut job,
        Desk {
            recipe,
            orders,
            edits,
            banks,
            wordings,
            past,
            halt,
            asserts,
            record: &mut |event| Ok(recorder.borrow_mut().record(event)?),
            beat: &mut |standing| pulse.iter().for_each(|pulse| pulse.set(standing)),
            persist: &mut |key, value| config::set_in_file(&config, key, value),
        },
    ))
}

/// Prints the records of a run to stdout while it is trained; `verbose` says on stderr what the trainer is doing.
pub fn batch_tap(folder: &RunFolder, verbose: bool) -> Tap {
    let mut printer = BatchPrinter::new(std::io::stdout(), folder);
    Box::new(move |record| {
        if let (true, RunEvent::Progress { step, phase, done, total }) = (verbose, &record.event) {
            eprintln!("step {step}: {} {done} of {total}", phase.name());
        }
        if let Some(words) = last_words(&record.event) {
            eprintln!("{words}");
        }
        if let Err(error) = printer.print(record) {
            eprintln!("a line could not be printed: {error}");
        }
    })
}

/// What is said on stderr about an end that is not simply good: why it failed, or what was asserted and does not hold.
fn last_words(event: &RunEvent) -> Option<String> {
    match event {
        RunEvent::Finished { status: Status::Failed, message, .. } => Some(format!("error: {message}")),
        RunEvent::Finished { exit, message, .. } if *exit == Exit::AssertFailed.code() => Some(message.clone()),
        _ => None,
    }
}

/// Prints the records of a saved run to stdout.
pub fn replay_batch(folder: &RunFolder) -> Result<Exit> {
    batch::replay(folder, std::io::stdout())?;
    Ok(Exit::Done)
}

/// Messages of a watch, and the watch. Where watching is impossible the run goes on without, and says so; where there is
/// nothing to watch it says nothing.
fn watch<T>(
    recorder: &SharedRecorder,
    what: &str,
    watch: Result<Option<Watch<T>>>,
) -> Result<(Receiver<T>, Option<Watch<T>>)> {
    match watch {
        Ok(Some(mut watch)) => Ok((std::mem::replace(&mut watch.edits, channel().1), Some(watch))),
        Ok(None) => Ok((channel().1, None)),
        Err(error) => {
            let message = format!("edits of the {what} will not be noticed: {error:#}");
            recorder.borrow_mut().record(RunEvent::Warned { step: 0, message })?;
            Ok((channel().1, None))
        }
    }
}

/// Watches a folder of skills, where there is one.
fn watch_bank(folder: &str) -> Result<Option<Watch<Result<Bank, BankError>>>> {
    if folder.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(folder);
    let (folders, mut known) = ([path.clone()], Bank::load(&path));
    let read = move || {
        let found = Bank::load(&path);
        let changed = found != known;
        known = found.clone();
        changed.then_some(found)
    };
    Watch::of(Path::new(folder), &folders, SETTLE, read).map(Some)
}

/// Watches the file of an environment; without a folder for it the built-in text is in use, which nobody edits.
fn watch_env(kind: &str) -> Result<Option<Watch<String>>> {
    let path = env::path(kind);
    let watched = path.parent().is_some_and(Path::is_dir);
    watched.then(|| Watch::file(&path, SETTLE, str::to_owned)).transpose()
}

/// The last record of a run that went through all its steps.
fn finish(out: &mut dyn FnMut(RunEvent), step: u64) {
    let (status, exit) = (Status::Ok, Exit::Done.code());
    out(RunEvent::Finished { step, status, exit, message: "done".into(), assert: None });
}

/// What earlier processes of the run recorded.
fn past(folder: &RunFolder) -> Result<RunView> {
    let mut view = RunView::default();
    Source::open(folder)?.for_each(|record| view.apply(record))?;
    Ok(view)
}

/// Writes the heartbeat. One that is lost is made good by the next; of several lost in a row, the first is told.
fn beat(folder: &RunFolder, standing: &Standing, missed: &mut bool) {
    let written = Heartbeat::here(standing.state, standing.step, standing.phase, now_ms()).write(folder);
    if let (Err(error), false) = (&written, *missed) {
        eprintln!("the heartbeat could not be written: {error}");
    }
    *missed = written.is_err();
}

/// Time between heartbeats while the trainer has nothing new to say.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long `config.toml` must be left alone before it is read.
const SETTLE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::last_words;
    use crate::core::RunEvent;
    use crate::core::event::Status;
    use crate::core::exit::Exit;

    #[test]
    fn a_failure_and_a_broken_assertion_are_said_and_a_good_end_is_not() {
        let end = |status, exit: Exit, message: &str| {
            let event =
                RunEvent::Finished { step: 3, status, exit: exit.code(), message: message.into(), assert: None };
            last_words(&event)
        };
        assert_eq!(end(Status::Ok, Exit::Done, "done"), None);
        assert_eq!(end(Status::Stopped, Exit::Terminated, "stopped"), None);
        assert_eq!(end(Status::Failed, Exit::Failed, "no model").as_deref(), Some("error: no model"));
        let said = "done, but no metric is called `eval/sucess`";
        assert_eq!(end(Status::Ok, Exit::AssertFailed, said).as_deref(), Some(said));
    }
}
