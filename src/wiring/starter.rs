//! `sdlab pretrain`: makes the starter run: a small model from scripted play, what it can do with and without
//! skills, and a few recorded training steps to look at.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::config::{self, ConfigError, Overrides, Recipe};
use crate::core::Exit;
use crate::env::World;
use crate::env::household::HouseholdWorld;
use crate::run::recorder::now_ms;
use crate::run::{Manifest, Recorder, RunFolder, atomic_write};
use crate::session::{Halt, Job, Training};
use crate::text::train::LEAST_VOCAB;
use crate::train::pretrain::{self, Plan};

/// Arguments of `sdlab pretrain`.
#[derive(Clone, Debug, clap::Args)]
pub struct PretrainArgs {
    /// Run folder to be made; the model is written to its `model/`
    #[arg(long, value_name = "DIR", default_value = "runs/starter")]
    pub out: PathBuf,
    /// Model folder to use instead of training one: only what it can do is recorded anew
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Minutes of training
    #[arg(long, default_value_t = 20.0)]
    pub minutes: f64,
    /// Width of the model, a multiple of 64
    #[arg(long, default_value_t = 128)]
    pub width: usize,
    /// Layers of the model
    #[arg(long, default_value_t = 4)]
    pub layers: usize,
    /// Most tokens in the vocabulary
    #[arg(long, default_value_t = 1024)]
    pub vocab: usize,
    /// Share of demonstrations with skills in the prompt
    #[arg(long, default_value_t = 0.5)]
    pub skilled: f64,
    /// Peak learning rate
    #[arg(long, default_value_t = 2e-3)]
    pub lr: f64,
    /// Recorded training steps to look at
    #[arg(long, default_value_t = 4)]
    pub show: u64,
    /// Games of the evaluation
    #[arg(long, default_value_t = 128)]
    pub games: u32,
}

/// Makes the starter. An existing folder is only replaced whole, and only if it is a starter.
pub fn pretrain(args: &PretrainArgs, seed: u64) -> Result<Exit> {
    refuse_useless(args)?;
    let model = args.out.join("model");
    ensure!(
        !args.out.exists() || model.is_dir(),
        "`{}` exists and is not a starter, name another folder with `--out`",
        args.out.display()
    );
    let made = args.out.with_extension("partial");
    if made.exists() {
        std::fs::remove_dir_all(&made).with_context(|| format!("cannot clear {}", made.display()))?;
    }
    let recipe = Recipe::default();
    match &args.from {
        Some(model) => copy(model, &made.join("model"))?,
        None => learn(args, seed, &recipe, &made.join("model"))?,
    }
    show(args, &recipe, &made)?;
    if args.out.exists() {
        std::fs::remove_dir_all(&args.out).with_context(|| format!("cannot replace {}", args.out.display()))?;
    }
    std::fs::rename(&made, &args.out).with_context(|| format!("cannot name {}", args.out.display()))?;
    eprintln!("wrote {}", args.out.display());
    Ok(Exit::Done)
}

/// # Errors
/// An option is out of its range: said now, and not after the minutes of training.
fn refuse_useless(args: &PretrainArgs) -> Result<(), ConfigError> {
    let PretrainArgs { width, layers, vocab, minutes, skilled, lr, show, games, .. } = args;
    let count = "a whole number, at least 1".to_owned();
    let ranges = [
        ("--minutes", *minutes, *minutes > 0.0 && *minutes <= LONGEST, format!("more than 0 and at most {LONGEST}")),
        ("--width", *width as f64, *width > 0 && width.is_multiple_of(64), "a multiple of 64, at least 64".into()),
        ("--layers", *layers as f64, *layers > 0, count.clone()),
        ("--vocab", *vocab as f64, *vocab >= LEAST_VOCAB, format!("a whole number, at least {LEAST_VOCAB}")),
        ("--skilled", *skilled, (0.0..=1.0).contains(skilled), "a share from 0 to 1".into()),
        ("--lr", *lr, *lr > 0.0 && lr.is_finite(), "a finite number greater than 0".into()),
        ("--show", *show as f64, *show > 0, count.clone()),
        ("--games", f64::from(*games), *games > 0, count),
    ];
    match ranges.into_iter().find(|(_, _, fits, _)| !fits) {
        Some((name, value, _, range)) => Err(ConfigError::new(format!("{name} {value}"), format!("expected {range}"))),
        None => Ok(()),
    }
}

/// Minutes of training at most: two years.
const LONGEST: f64 = 1e6;

fn learn(args: &PretrainArgs, seed: u64, recipe: &Recipe, model: &Path) -> Result<()> {
    let world = HouseholdWorld::from_table(&recipe.env.table())?;
    let prompts = world.prompts()?;
    let plan = Plan {
        out: model.to_path_buf(),
        time: Duration::from_secs_f64(args.minutes * 60.0),
        seed,
        width: args.width,
        layers: args.layers,
        vocab: args.vocab,
        skilled: args.skilled,
        lr: args.lr,
    };
    pretrain::run(&world, &prompts, &plan, &mut |line| eprintln!("{line}"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))
            .with_context(|| format!("cannot copy {}", entry.path().display()))?;
    }
    Ok(())
}

/// Records the panel without and with skills, then a few SDAR steps, as an ordinary run in `made`.
fn show(args: &PretrainArgs, recipe: &Recipe, made: &Path) -> Result<()> {
    let name = args.out.file_name().unwrap_or_default().to_string_lossy();
    let scratch = RunFolder::create(&made.join("recording"), &name)?;
    let mut overrides = Overrides::default();
    overrides.set.extend([
        format!("run.steps={}", args.show),
        format!("model.path={}", made.join("model").display()),
        format!("eval.games={}", args.games),
        "eval.with_skills=true".into(),
        "eval.every=1000000".into(),
        "optim.warmup_steps=5".into(),
        "checkpoint.final=false".into(),
        "checkpoint.every=0".into(),
    ]);
    let recipe = config::parse("starter", &config::render(recipe), &overrides)?;
    atomic_write(&scratch.config(), config::render(&recipe).as_bytes())?;
    // what anyone finds who begins it again: the model where it will lie
    let mut began = recipe.clone();
    began.model.path = args.out.join("model").display().to_string();
    let began = config::render(&began);
    atomic_write(&scratch.recipe(), began.as_bytes())?;
    let mut manifest = Manifest::gather(&scratch, &began, Path::new("."), now_ms());
    manifest.notes.insert("recipe".into(), "starter".into());
    manifest.write(&scratch)?;
    let recorder = Rc::new(RefCell::new(Recorder::create(&scratch)?));
    let mut training = Training::new(&scratch, &recipe, recorder.clone());
    let failure = RefCell::new(None);
    let mut out = |event| {
        if let Err(error) = recorder.borrow_mut().record(event) {
            *failure.borrow_mut() = Some(error);
        }
    };
    training.start(&mut out)?;
    let halt = Halt::default();
    for step in 1..=args.show {
        training.step(&mut out, no_abort(&halt))?;
        eprintln!("recorded step {step} of {}", args.show);
    }
    crate::wiring::finish(&mut out, args.show);
    if let Some(error) = failure.into_inner() {
        return Err(error.into());
    }
    note(&scratch)?;
    config::set_in_file(&scratch.config(), "model.path", &args.out.join("model").display().to_string())?;
    for entry in std::fs::read_dir(scratch.path())? {
        let entry = entry?;
        std::fs::rename(entry.path(), made.join(entry.file_name()))?;
    }
    Ok(std::fs::remove_dir_all(made.join("recording"))?)
}

fn no_abort(halt: &Halt) -> &AtomicBool {
    halt.interrupt()
}

/// Puts the starter's two numbers, with and without skills, into the manifest.
fn note(folder: &RunFolder) -> Result<()> {
    let mut manifest = Manifest::read(folder)?;
    for record in crate::run::Source::open(folder)?.all()? {
        if let crate::core::RunEvent::Evaluated { step: 0, panel, with_skills, metrics, .. } = record.event {
            let key = if with_skills { "success_with_skills" } else { "success_plain" };
            let value = metrics.get("success").copied().flatten();
            manifest.notes.insert(format!("{key} ({panel})"), serde_json::json!(value));
        }
    }
    Ok(manifest.write(folder)?)
}
