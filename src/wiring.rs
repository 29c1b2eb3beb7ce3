//! Where the parts of the program meet: everything the command line needs from a layer it does not know.
//!
//! The functions under "seams" join parts that are built apart; the rest is the assembly of a trainer process.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::batch::{self, BatchPrinter};
use crate::cli::Topic;
use crate::config::{self, Overrides, Recipe, Watch};
use crate::core::RunEvent;
use crate::core::event::Status;
use crate::core::exit::Exit;
use crate::run::recorder::{Tap, now_ms};
use crate::run::{Heartbeat, Manifest, Recorder, RunFolder, RunLock, atomic_write};
use crate::session::{Control, Desk, Halt, Job, Standing, serve, watch_signals};

/// The writer of a run, shared by the session (records) and the job (rollouts and tokens).
pub type SharedRecorder = Rc<RefCell<Recorder>>;

/// What a screen is opened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// A run that is being trained; follows its records.
    Live,
    /// A saved run, with a transport bar.
    Replay,
}

/// Arguments of `sdlab pretrain`.
#[derive(Clone, Debug, clap::Args)]
pub struct PretrainArgs {
    /// Folder the model is written to
    #[arg(long, value_name = "DIR", default_value = "runs/starter/model")]
    pub out: PathBuf,
}

// ---- seams ----------------------------------------------------------------------------------------------------------

/// The training of `recipe` in `folder`. Nothing heavy happens here: the model is loaded by [`Job::start`].
pub fn open_job(folder: &RunFolder, _recipe: &Recipe, _recorder: SharedRecorder) -> Result<Box<dyn Job>> {
    bail!("`{}` cannot be trained: this build has no trainer", folder.path().display())
}

/// Opens the screen and returns when it is closed. The run goes on.
pub fn screen(folder: &RunFolder, _view: View) -> Result<Exit> {
    bail!("`{}` cannot be shown: this build has no screen", folder.path().display())
}

/// `sdlab pretrain`.
pub fn pretrain(args: &PretrainArgs) -> Result<Exit> {
    bail!("`{}` cannot be made: this build has no pretraining", args.out.display())
}

/// `sdlab skills list|show NAME`, of the bank of the recipe.
pub fn skills(_topic: &Topic, _overrides: &Overrides) -> Result<Exit> {
    bail!("this build has no skills")
}

// ---- assembly -------------------------------------------------------------------------------------------------------

/// Makes the folder of a new run: its resolved configuration and its manifest.
pub fn create_run(recipe: &Recipe) -> Result<RunFolder> {
    let root = Path::new(&recipe.run.root);
    let folder = match recipe.run.name.as_str() {
        "" => RunFolder::create_next(root, recipe.env.name(), recipe.method.name())?,
        name => RunFolder::create(root, name)?,
    };
    let text = config::render(recipe);
    atomic_write(&folder.config(), text.as_bytes())?;
    let mut manifest = Manifest::gather(&folder, &text, Path::new("."), now_ms());
    manifest.seeds.insert("run".into(), recipe.run.seed);
    manifest.write(&folder)?;
    Ok(folder)
}

/// Trains the run of `folder` in this process until it ends. `tap` sees every record as it is written.
///
/// # Errors
/// Another process trains it, or its configuration cannot be read. A training that fails is no error here: it is the
/// run's last record, and its exit code.
pub fn train_here(folder: &RunFolder, tap: Option<Tap>) -> Result<Exit> {
    let _lock = RunLock::take(folder)?;
    let recipe = config::load(Some(&folder.config()), &Overrides::default())?;
    let recorder = Recorder::open(folder)?;
    let recorder: SharedRecorder = Rc::new(RefCell::new(match tap {
        Some(tap) => recorder.with_tap(tap),
        None => recorder,
    }));
    let mut job = match open_job(folder, &recipe, recorder.clone()) {
        Ok(job) => job,
        Err(error) => return fail(&recorder, &error),
    };
    let halt = Arc::new(Halt::default());
    watch_signals(halt.clone())?;
    // last: whoever started this process takes a bound socket for a trainer that works
    let (_control, orders) = Control::bind(folder.path(), halt.clone())?;
    let (edits, _watch) = watch(folder, &recorder)?;
    let config = folder.config();
    Ok(serve(
        &mut *job,
        Desk {
            recipe,
            orders,
            edits,
            halt,
            record: &mut |event| Ok(recorder.borrow_mut().record(event)?),
            beat: &mut |standing| beat(folder, standing),
            persist: &mut |key, value| config::set_in_file(&config, key, value),
        },
    ))
}

/// Prints the records of a run to stdout while it is trained.
pub fn batch_tap(folder: &RunFolder) -> Tap {
    let mut printer = BatchPrinter::new(std::io::stdout(), folder);
    Box::new(move |record| {
        if let Err(error) = printer.print(record) {
            eprintln!("a line could not be printed: {error}");
        }
    })
}

/// Prints the records of a saved run to stdout.
pub fn replay_batch(folder: &RunFolder) -> Result<Exit> {
    batch::replay(folder, std::io::stdout())?;
    Ok(Exit::Done)
}

type Edits = std::sync::mpsc::Receiver<Result<Recipe, config::ConfigError>>;

/// Watches the run's configuration. Where that is impossible the run goes on without, and says so.
fn watch(folder: &RunFolder, recorder: &SharedRecorder) -> Result<(Edits, Option<Watch>)> {
    match Watch::new(&folder.config(), SETTLE) {
        Ok(mut watch) => Ok((std::mem::replace(&mut watch.edits, channel().1), Some(watch))),
        Err(error) => {
            recorder.borrow_mut().record(RunEvent::Warned { step: 0, message: format!("{error:#}") })?;
            Ok((channel().1, None))
        }
    }
}

/// A training that could not even be opened leaves the same last record as one that failed later.
fn fail(recorder: &SharedRecorder, error: &anyhow::Error) -> Result<Exit> {
    let message = format!("{error:#}");
    eprintln!("error: {message}");
    let exit = Exit::Failed;
    let finished = RunEvent::Finished { step: 0, status: Status::Failed, exit: exit.code(), message };
    recorder.borrow_mut().record(finished).context("the failure could not be recorded")?;
    Ok(exit)
}

/// Writes the heartbeat. One that is lost is made good by the next.
fn beat(folder: &RunFolder, standing: &Standing) {
    let beat = Heartbeat::here(standing.state, standing.step, standing.phase, now_ms());
    if let Err(error) = beat.write(folder) {
        eprintln!("the heartbeat could not be written: {error}");
    }
}

/// How long `config.toml` must be left alone before it is read.
const SETTLE: Duration = Duration::from_millis(200);
