//! Training as a session's job: from a recipe and a run folder to a [`Trainer`] that is driven step by step.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};

use super::describe::describe;
use super::device::{self, Gpus};
use super::job::{Job, Out};
use crate::config::{Device, Recipe, RecordedTokens};
use crate::core::event::FORMAT;
use crate::core::{Episode, RunEvent, TokenRecord};
use crate::engine::candle::memory;
use crate::engine::candle::{CandleEngine, Options};
use crate::engine::{AdamW, Engine, Filter};
use crate::env;
use crate::env::prompt::Layout;
use crate::hub;
use crate::run::{Manifest, Recorder, RunFolder};
use crate::skill::{Bank, SkillBook};
use crate::text::Text;
use crate::train::rollout::Sampling;
use crate::train::{Aborted, Settings, Sink, Trainer, budget, checkpoint, evaluate, weights};

/// The writer of a run, shared by the session (records) and the job (rollouts and tokens).
pub type SharedRecorder = Rc<RefCell<Recorder>>;

/// A training that is loaded when it starts.
pub struct Training {
    folder: RunFolder,
    recipe: Recipe,
    recorder: SharedRecorder,
    /// Where the model lies; known once the training has started.
    place: PathBuf,
    trainer: Option<Trainer>,
    /// Whether the panel was played after the present step.
    evaluated: bool,
}

impl Training {
    /// Nothing heavy happens here: the model is loaded by [`Job::start`].
    pub fn new(folder: &RunFolder, recipe: &Recipe, recorder: SharedRecorder) -> Self {
        let (folder, recipe, place) = (folder.clone(), recipe.clone(), PathBuf::new());
        Self { folder, recipe, recorder, place, trainer: None, evaluated: false }
    }

    fn model(&self) -> PathBuf {
        self.place.clone()
    }

    fn trainer(&mut self) -> Result<&mut Trainer> {
        self.trainer.as_mut().context("the training was not started")
    }

    /// Plays the panel if it is due after the present step. A panel given up on request is played when resumed.
    fn evaluate(&mut self, out: Out, abort: &AtomicBool) -> Result<()> {
        let total = self.recipe.run.steps;
        let recorder = self.recorder.clone();
        let trainer = self.trainer.as_mut().context("the training was not started")?;
        let step = trainer.done;
        if self.evaluated || !trainer.settings.eval.due(step, total) {
            return Ok(());
        }
        let mut files = Files { recorder, out };
        match evaluate::evaluate(trainer, step, &mut files, abort) {
            Err(e) if e.is::<Aborted>() => return Ok(()),
            result => result?,
        }
        self.evaluated = true;
        Ok(())
    }
}

impl Job for Training {
    fn start(&mut self, out: Out) -> Result<()> {
        self.place = hub::resolve(&self.recipe.model.path)?;
        let (options, plan) = budget::options(&self.recipe, &self.model(), memory::available())?;
        let mut trainer = open(&self.recipe, &self.model(), options)?;
        weights::prepare(&mut trainer, &self.model())?;
        let mut warn = |message| out(RunEvent::Warned { step: 0, message });
        if trainer.settings.sampling.layout == Layout::Transcript {
            trainer.text.transcript()?.into_iter().for_each(&mut warn);
        }
        checkpoint::restore_newest(&mut trainer, &self.folder, &mut warn);
        weights::prepare(&mut trainer, &self.model())?;
        describe(&self.folder, &self.recipe, &self.model(), &trainer, &plan)?;
        trainer.text.keep(&self.model(), &self.folder.path().join("tokenizer"))?;
        let info = trainer.engine.info();
        out(RunEvent::Started {
            format: FORMAT,
            run: self.folder.name(),
            recipe: recipe_name(&self.folder),
            method: trainer.method.name().into(),
            env: trainer.world.kind().into(),
            model: info.name,
            parameters: info.parameters,
            device: info.device,
            steps: self.recipe.run.steps,
            groups: trainer.settings.groups,
            members: trainer.settings.members,
            resumed: trainer.done,
            substitutions: vec![],
            pid: std::process::id(),
        });
        // A resumed run has played the panel of its last step already, unless it died in between.
        self.evaluated = trainer.done > 0;
        self.trainer = Some(trainer);
        Ok(())
    }

    fn step(&mut self, out: Out, abort: &AtomicBool) -> Result<()> {
        self.evaluate(out, abort)?;
        let mut files = Files { recorder: self.recorder.clone(), out };
        match self.trainer()?.step(&mut files, abort) {
            Err(e) if e.is::<Aborted>() => return Ok(()),
            result => result?,
        }
        self.evaluated = false;
        self.evaluate(out, abort)
    }

    fn done(&self) -> u64 {
        self.trainer.as_ref().map_or(0, |t| t.done)
    }

    fn total(&self) -> u64 {
        self.recipe.run.steps
    }

    fn save(&mut self, out: Out) -> Result<()> {
        let (folder, model, keep) = (self.folder.clone(), self.model(), self.recipe.checkpoint.keep);
        out(checkpoint::save(self.trainer()?, &folder, &model, keep)?);
        Ok(())
    }

    fn retune(&mut self, recipe: &Recipe) {
        self.recipe = recipe.clone();
        if let Some(trainer) = &mut self.trainer {
            trainer.settings = settings(recipe);
            let (name, state) = (trainer.method.name(), trainer.method.state());
            trainer.method = recipe.method.build();
            if trainer.method.name() == name {
                trainer.method.resume(&state);
            }
            // without it the step that needs it fails, and says so
            let _ = weights::prepare(trainer, &self.place);
        }
    }
}

/// Loads all parts a recipe names; `model` is where the model lies.
fn open(recipe: &Recipe, model: &Path, options: Options) -> Result<Trainer> {
    let world = env::open_world(recipe.env.name(), &recipe.env.table())?;
    let prompts = world.prompts()?.with_history(recipe.rollout.history as usize);
    let text = Text::load(model)?;
    if recipe.rollout.layout == Layout::Transcript {
        text.transcript()?;
    }
    let device = device::choose(recipe.model.device, Gpus::here())?;
    anyhow::ensure!(
        device == Device::Cpu,
        "`model.device` is `{}`, but this engine computes on the CPU only",
        String::from(device)
    );
    let engine = CandleEngine::open(model, options)?;
    let (tokens, vocab) = (text.vocab(), engine.info().vocab);
    anyhow::ensure!(
        tokens <= vocab,
        "{}: the tokenizer needs {tokens} rows of the embedding but the model's `vocab_size` is {vocab}; take \
         tokenizer and weights from the same model",
        model.display()
    );
    let bank = Bank::load(Path::new(&recipe.skills.bank))?;
    let skills = SkillBook::new(bank, recipe.skills.choice(), recipe.skills.placement, Default::default());
    Ok(Trainer {
        settings: settings(recipe),
        engine: Box::new(engine),
        text,
        world,
        prompts,
        skills,
        method: recipe.method.build(),
        done: 0,
    })
}

/// The recipe in the trainer's own terms.
pub fn settings(recipe: &Recipe) -> Settings {
    let (rollout, optim, eval) = (&recipe.rollout, &recipe.optim, &recipe.eval);
    let budget = recipe.skills.budget_tokens as usize;
    Settings {
        seed: recipe.run.seed,
        groups: rollout.groups,
        members: rollout.members,
        sampling: Sampling {
            layout: rollout.layout,
            history: rollout.history as usize,
            max_new_tokens: rollout.max_new_tokens as usize,
            temperature: rollout.temperature as f32,
            filter: filter(rollout.top_k, rollout.top_p, rollout.min_p),
            stop: rollout.stop.clone(),
            concurrent: rollout.concurrent as usize,
            cache_bytes: (rollout.cache_mb as usize) << 20,
            reserve: if budget == 0 { UNLIMITED_RESERVE } else { budget },
            seed: recipe.run.seed,
        },
        optim: AdamW {
            lr: optim.lr,
            beta1: optim.beta1,
            beta2: optim.beta2,
            eps: optim.eps,
            weight_decay: optim.weight_decay,
            max_grad_norm: optim.max_grad_norm,
        },
        minibatches: optim.minibatches as usize,
        warmup_steps: optim.warmup_steps,
        skill_budget: budget,
        eval: evaluate::Panel {
            every: eval.every,
            games: eval.games,
            split: eval.split,
            temperature: eval.temperature as f32,
            filter: filter(eval.top_k, eval.top_p, eval.min_p),
            with_skills: eval.with_skills,
            first: eval.first,
        },
        record_tokens: recipe.record.tokens == RecordedTokens::All,
    }
}

fn filter(top_k: u32, top_p: f64, min_p: f64) -> Filter {
    Filter { top_k: top_k as usize, top_p: top_p as f32, min_p: min_p as f32 }
}

/// Context kept free for the teacher's skills where their budget is unlimited.
const UNLIMITED_RESERVE: usize = 512;

/// Where the recipe of the run was read from.
fn recipe_name(folder: &RunFolder) -> String {
    let notes = Manifest::read(folder).map(|m| m.notes).unwrap_or_default();
    notes.get("recipe").and_then(|r| r.as_str()).unwrap_or("unknown").to_string()
}

/// Records through the session, files through the recorder. A file that cannot be written is warned of; the records
/// themselves are the session's to keep.
struct Files<'a> {
    recorder: SharedRecorder,
    out: Out<'a>,
}

impl Files<'_> {
    fn warn(&mut self, step: u64, what: &str, result: crate::run::Result<()>) {
        if let Err(error) = result {
            (self.out)(RunEvent::Warned { step, message: format!("{what} of step {step} are lost: {error}") });
        }
    }
}

impl Sink for Files<'_> {
    fn event(&mut self, event: RunEvent) {
        (self.out)(event);
    }

    fn live(&mut self, episode: &Episode) {
        let result = self.recorder.borrow_mut().turn(episode);
        self.warn(episode.id.step, "live rollouts", result);
    }

    fn close_step(&mut self, step: u64, episodes: &[Episode], tokens: &[TokenRecord]) {
        let result = self.recorder.borrow_mut().close_step(step, episodes, tokens);
        self.warn(step, "rollouts and tokens", result);
    }

    fn close_eval(&mut self, step: u64, episodes: &[Episode]) {
        let result = self.recorder.borrow_mut().close_eval(step, episodes);
        self.warn(step, "evaluation rollouts", result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokenizer_of_another_model_is_refused() {
        let model = tempfile::tempdir().unwrap();
        let corpus = ["go to cabinet 2".to_string()];
        crate::text::train::write(model.path(), corpus.into_iter(), 300).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/qwen3_tied");
        for name in ["config.json", "model.safetensors"] {
            std::fs::copy(fixture.join(name), model.path().join(name)).unwrap();
        }
        let error = open(&Recipe::default(), model.path(), Options::default()).err().unwrap().to_string();
        let place = model.path().display().to_string();
        assert!(error.starts_with(&place) && error.contains("`vocab_size` is 31; take"), "{error}");
    }
}
