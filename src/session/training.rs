//! Training as a session's job: from a recipe and a run folder to a [`Trainer`] that is driven step by step.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};

use super::describe::describe;
use super::device;
use super::files::{Files, Kept, SharedRecorder, write_kept};
use super::job::{Job, Out};
use super::learned::LearnedFiles;
use super::saver::Saver;
use super::skills::{self, differences};
use crate::config::{self, JudgeBy, Overrides, Recipe, Summariser};
use crate::core::RunEvent;
use crate::core::event::{FORMAT, KeyChange};
use crate::engine::candle::memory;
use crate::engine::candle::{CandleEngine, Options, Place};
use crate::engine::{AdamW, Engine, Filter};
use crate::env;
use crate::env::prompt::Layout;
use crate::hub;
use crate::method::METHODS;
use crate::method::needs::Verdict;
use crate::run::{Manifest, RunFolder, Source, set_aside};
use crate::skill::{Bank, Placement, SkillBook};
use crate::text::{Message, Text};
use crate::train::checkpoint::{Found, Keep, Notes};
use crate::train::dropout::Habits;
use crate::train::learn::Learning;
use crate::train::rollout::Sampling;
use crate::train::{Aborted, Record, Settings, Trainer, budget, checkpoint, evaluate, placement, weights};

/// A training that is loaded when it starts.
pub struct Training {
    folder: RunFolder,
    recipe: Recipe,
    recorder: SharedRecorder,
    /// Where the model lies; known once the training has started.
    place: PathBuf,
    trainer: Option<Trainer>,
    /// Steps done when the trainer was given back.
    released_at: u64,
    /// The environment's file as it is in use.
    wording: String,
    /// The recipe of the state that was resumed.
    before: Option<Recipe>,
    /// Whether the panel was played after the present step, and its success.
    evaluated: bool,
    success: Option<f64>,
    /// Highest success of the panel so far, and whether the present step reached it.
    best: Option<f64>,
    is_best: bool,
    saver: Saver,
    /// Files of steps that could not be written yet.
    kept: Vec<Kept>,
    /// The run's own skill files.
    learned: LearnedFiles,
}

impl Training {
    /// Nothing heavy happens here: the model is loaded by [`Job::start`].
    pub fn new(folder: &RunFolder, recipe: &Recipe, recorder: SharedRecorder) -> Self {
        Self {
            folder: folder.clone(),
            recipe: recipe.clone(),
            recorder,
            place: PathBuf::new(),
            trainer: None,
            released_at: 0,
            wording: String::new(),
            before: None,
            evaluated: false,
            success: None,
            best: None,
            is_best: false,
            saver: Saver::default(),
            kept: Vec::new(),
            learned: LearnedFiles::default(),
        }
    }

    fn trainer(&mut self) -> Result<&mut Trainer> {
        self.trainer.as_mut().context(NOT_STARTED)
    }

    /// Plays the panel if it is due after the present step. A panel given up on request is played when resumed.
    fn evaluate(&mut self, out: Out, abort: &AtomicBool) -> Result<()> {
        let total = self.recipe.run.steps;
        let recorder = self.recorder.clone();
        let trainer = self.trainer.as_mut().context(NOT_STARTED)?;
        let step = trainer.done;
        if self.evaluated || !trainer.settings.eval.due(step, total) {
            return Ok(());
        }
        let mut files = Files::new(recorder, out, &mut self.kept);
        match evaluate::evaluate(trainer, step, &mut files, abort) {
            Err(e) if e.is::<Aborted>() => return Ok(()),
            result => result?,
        }
        (self.evaluated, self.success) = (true, files.success);
        self.is_best = step > 0 && self.success > self.best;
        self.best = self.best.into_iter().chain(self.success).reduce(f64::max);
        Ok(())
    }

    /// Continues from a checkpoint: the keys that cannot change in a run have the values they had.
    fn continue_from(&mut self, found: &Found) {
        let was = found.notes().recipe.as_ref();
        self.before = was.and_then(|text| config::parse("checkpoint", text, &Overrides::default()).ok());
        if let Some(before) = &self.before {
            self.recipe = config::resumed(before, &self.recipe);
        }
        self.evaluated = found.notes().evaluated;
        self.success = found.notes().success;
        self.best = checkpoint::successes(&self.folder).into_iter().map(|(_, success)| success).reduce(f64::max);
    }

    /// Says which steps the state that is resumed has behind it and the records have not.
    fn tell_gap(&self, done: u64, out: Out) -> Result<()> {
        let mut recorded = BTreeSet::new();
        Source::open(&self.folder)?.for_each(|record| {
            if let RunEvent::Stepped { step, .. } = record.event {
                recorded.insert(step);
            }
        })?;
        let began = Manifest::read(&self.folder).map_or(0, |manifest| manifest.begins_after());
        let missing = (began + 1..=done).filter(|step| !recorded.contains(step)).count();
        if missing > 0 {
            let message = format!(
                "`events.jsonl` has no record of {missing} of the steps {} to {done}: curves and reports lack them, the \
                 training itself goes on exactly",
                began + 1
            );
            out(RunEvent::Warned { step: done, message });
        }
        Ok(())
    }

    /// Sets aside what was recorded beyond the state that is resumed.
    fn set_aside(&self, done: u64, out: Out) -> Result<()> {
        let files = set_aside(&self.folder, done, self.evaluated)?;
        if files > 0 {
            let message = format!("{files} files of steps after {done} were moved to `superseded/`");
            out(RunEvent::Warned { step: done, message: format!("{message}: these steps are done again") });
        }
        Ok(())
    }
}

impl Job for Training {
    fn start(&mut self, out: Out) -> Result<()> {
        let mut warn = |message| out(RunEvent::Warned { step: 0, message });
        let found = checkpoint::newest(&self.folder, &mut warn)?;
        if let Some(found) = &found {
            self.continue_from(found);
        }
        self.place = model_place(&self.recipe, found.as_ref())?;
        let place = device::place(self.recipe.model.device)?;
        let (options, plan) = budget::options(&self.recipe, &self.place, place, memory::available(place))?;
        eprintln!("{}", memory_line(place, &plan));
        let mut trainer = open(&self.recipe, &self.place, options)?;
        self.wording = env::file(trainer.world.kind())?.text.into_owned();
        if trainer.settings.sampling.layout == Layout::Transcript {
            trainer.text.transcript()?.into_iter().for_each(&mut warn);
        }
        weights::prepare(&mut trainer, &self.place)?;
        if let Some(found) = &found {
            let misfit = || format!("the checkpoint of step {} does not fit this recipe", found.step);
            found.restore(&mut trainer).with_context(misfit)?;
            weights::prepare(&mut trainer, &self.place)?;
        }
        if let Some(found) = &found {
            skills::go_on(&self.folder, found, &mut trainer)?;
        }
        self.learned = LearnedFiles::begin(self.folder.skills(), &trainer.skills)?;
        self.set_aside(trainer.done, out)?;
        if found.is_some() {
            self.tell_gap(trainer.done, out)?;
        }
        describe(&self.folder, &self.recipe, &self.place, &trainer, &plan)?;
        trainer.text.keep(&self.place, &text_folder(&self.folder))?;
        if let Some(message) = without_reward(&trainer) {
            out(RunEvent::Warned { step: trainer.done, message });
        }
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
            substitutions: substitutions(&self.recipe),
            pid: std::process::id(),
            memory: plan.items.iter().map(|item| (item.name.to_owned(), item.bytes)).collect(),
        });
        out(RunEvent::BankLoaded { step: trainer.done, skills: trainer.skills.tell() });
        self.trainer = Some(trainer);
        Ok(())
    }

    fn step(&mut self, out: Out, abort: &AtomicBool) -> Result<()> {
        self.evaluate(out, abort)?;
        let trainer = self.trainer.as_mut().context(NOT_STARTED)?;
        if let Some(refusal) = self.learned.pick_up(&mut trainer.skills, trainer.done) {
            out(refusal);
        }
        let mut files = Files::new(self.recorder.clone(), out, &mut self.kept);
        match trainer.step(&mut files, abort) {
            Err(e) if e.is::<Aborted>() => return Ok(()),
            result => result?,
        }
        if let Err(error) = self.learned.write(&trainer.skills) {
            // the records hold them too, and the next step tries again
            let message = format!("the run's skill files could not be written: {error:#}");
            out(RunEvent::Warned { step: trainer.done, message });
        }
        (self.evaluated, self.success, self.is_best) = (false, None, false);
        self.evaluate(out, abort)
    }

    fn before(&self) -> Option<Recipe> {
        self.before.clone()
    }

    fn wants_save(&mut self) -> bool {
        std::mem::take(&mut self.is_best) && self.recipe.checkpoint.best
    }

    fn done(&self) -> u64 {
        self.trainer.as_ref().map_or(self.released_at, |t| t.done)
    }

    fn total(&self) -> u64 {
        self.recipe.run.steps
    }

    fn save(&mut self, out: Out) -> Result<()> {
        // a state must not be saved before what led to it is
        write_kept(&self.recorder, &mut self.kept)?;
        let settings = &self.recipe.checkpoint;
        let keep = Keep { newest: settings.keep, permanent_every: settings.permanent_every, best: settings.best };
        let recipe = Some(config::render(&self.recipe));
        let notes = Notes { evaluated: self.evaluated, success: self.success, recipe };
        let text = text_folder(&self.folder);
        let folder = self.folder.clone();
        let pending = checkpoint::prepare(self.trainer()?, &folder, &text, notes, keep)?;
        self.saver.start(pending, out)
    }

    fn is_whole(&self) -> bool {
        self.trainer.as_ref().is_some_and(|trainer| !trainer.updating)
    }

    fn land(&mut self, out: Out, wait: bool) -> Result<()> {
        write_kept(&self.recorder, &mut self.kept)?;
        self.saver.land(out, wait)
    }

    fn release(&mut self) {
        self.released_at = self.done();
        self.trainer = None;
    }

    fn reskill(&mut self, bank: Bank) -> Vec<KeyChange> {
        let Some(trainer) = &mut self.trainer else { return Vec::new() };
        let changes = differences(trainer.skills.files(), &bank);
        trainer.skills.replace_bank(bank);
        changes
    }

    fn reword(&mut self, text: &str) -> Result<Vec<KeyChange>, String> {
        let Some(trainer) = &mut self.trainer else { return Ok(Vec::new()) };
        let (kind, style) = (trainer.world.kind(), trainer.world.style());
        let name = env::path(kind).display().to_string();
        let prompts = env::edit::read(&name, text, style)?;
        let changes = env::edit::differences(&name, &self.wording, text, style);
        trainer.prompts = prompts.with_history(trainer.settings.sampling.history);
        self.wording = text.to_owned();
        Ok(changes)
    }

    fn retune(&mut self, recipe: &Recipe) {
        if let Some(trainer) = &mut self.trainer {
            trainer.settings = settings(recipe);
            trainer.skills.choose_by(recipe.skills.way());
            trainer.learning.course = skills::course(recipe);
            if recipe.method != self.recipe.method {
                let (name, state) = (trainer.method.name(), trainer.method.state());
                trainer.method = recipe.method.build();
                if trainer.method.name() == name {
                    trainer.method.resume(&state);
                }
                // without it the step that needs it fails, and says so
                let _ = weights::prepare(trainer, &self.place);
            }
        }
        self.recipe = recipe.clone();
    }
}

/// What the run will need of the memory where it computes.
fn memory_line(place: Place, plan: &memory::Plan) -> String {
    let of = if place == Place::Cpu { "" } else { " of the GPU" };
    let free = memory::available(place).map_or(String::new(), |free| format!(", {} are free", memory::human(free)));
    format!("memory{of}: {} at most{free} ({})", memory::human(plan.peak()), plan.words())
}

/// Where the model lies: a run whose model is gone (it came from another machine) has it in its checkpoint.
fn model_place(recipe: &Recipe, found: Option<&Found>) -> Result<PathBuf> {
    let place = hub::resolve(&recipe.model.path);
    match (place, found) {
        (Ok(place), Some(found)) if !place.exists() => Ok(found.path.clone()),
        (Err(_), Some(found)) => Ok(found.path.clone()),
        (place, _) => place,
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
    let engine = CandleEngine::open(model, options)?;
    let (tokens, vocab) = (text.vocab(), engine.info().vocab);
    anyhow::ensure!(
        tokens <= vocab,
        "{}: the tokenizer needs {tokens} rows of the embedding but the model's `vocab_size` is {vocab}; take \
         tokenizer and weights from the same model",
        model.display()
    );
    let book = SkillBook::new(Bank::open(&recipe.skills.bank)?, recipe.skills.way());
    if book.placement() == Placement::System {
        let messages = [placement::system("Know this.".into()), Message::user("Go.")];
        text.render(&messages, true).context(NO_SYSTEM_ROLE)?;
    }
    Ok(Trainer {
        settings: settings(recipe),
        engine: Box::new(engine),
        text,
        world,
        prompts,
        skills: book,
        method: recipe.method.build(),
        learning: Learning::new(skills::course(recipe), skills::writer(recipe)?),
        habits: Habits::default(),
        generator: None,
        done: 0,
        updating: false,
        trouble: String::new(),
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
            with_skills: eval.with_skills || reads_skills(recipe),
            first: eval.first,
        },
        record: Record::of(&recipe.record),
        judge: recipe.judge.clone(),
    }
}

/// Whether a panel without skills alone would say too little of the method: it remembers, or its student reads skills.
fn reads_skills(recipe: &Recipe) -> bool {
    let needs = recipe.method.build().needs();
    needs.memory.is_some() || needs.generate.is_some() || needs.skilled_share > 0.0
}

fn filter(top_k: u32, top_p: f64, min_p: f64) -> Filter {
    Filter { top_k: top_k as usize, top_p: top_p as f32, min_p: min_p as f32 }
}

const NO_SYSTEM_ROLE: &str = "the model's chat template has no system message, choose another `skills.placement`";

const NOT_STARTED: &str = "the training was not started";

/// Context kept free for the teacher's skills where their budget is unlimited.
const UNLIMITED_RESERVE: usize = 512;

/// Where the recipe of the run was read from.
fn recipe_name(folder: &RunFolder) -> String {
    let notes = Manifest::read(folder).map(|m| m.notes).unwrap_or_default();
    notes.get("recipe").and_then(|r| r.as_str()).unwrap_or("unknown").to_string()
}

/// A word of warning about methods that learn without a reward.
fn without_reward(trainer: &Trainer) -> Option<String> {
    let name = trainer.method.name();
    let info = METHODS.iter().find(|info| info.name == name)?;
    let several = trainer.world.max_turns() > 1;
    let distils = info.axes.starts_with("credit none") && !trainer.needs().frozen;
    (distils && several).then(|| {
        format!(
            "`{name}` distils without a reward, which is known to stall or collapse over several turns: watch success"
        )
    })
}

/// Stand-ins that are named wherever the run is shown.
fn substitutions(recipe: &Recipe) -> Vec<String> {
    let method = recipe.method.build();
    let stages = method.stages();
    let asks = |verdict: fn(&Verdict) -> bool| stages.iter().filter_map(|needs| needs.judge.as_ref()).any(verdict);
    let judge = match recipe.judge.by {
        JudgeBy::Oracle if asks(|_| true) => Some("judge: the environment's expert (oracle)"),
        // who names the turns that failed is the policy itself where that was published
        JudgeBy::Own if asks(|verdict| *verdict == Verdict::Roles) => Some("judge: the policy itself"),
        _ => None,
    };
    let ruled = matches!(recipe.skills.learn.author, Summariser::None | Summariser::Distiller);
    let remembers = ruled && stages.iter().any(|needs| needs.memory.is_some());
    let memory = remembers.then_some("memory: written by rule (distiller)");
    method.stand_ins().into_iter().chain(judge).chain(memory).map(str::to_owned).collect()
}

/// The run's own copy of tokenizer and template.
fn text_folder(folder: &RunFolder) -> PathBuf {
    folder.path().join("tokenizer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_for_something_is_named() {
        let named = |text: &str| substitutions(&config::parse("r.toml", text, &Overrides::default()).unwrap());
        for (text, wanted) in [
            ("[method.grpo]", vec![]),
            ("[method.triage]\n[judge]\nby = 'self'", vec!["judge: the policy itself"]),
            ("[method.hint-sd]\n[judge]\nby = 'self'", vec![]),
            ("[method.hint-sd]\n[judge]\nby = 'oracle'", vec!["judge: the environment's expert (oracle)"]),
            (
                "[method.sod]\nteacher = 'step-start'\ncontext = 'skills'",
                vec!["teacher: the model itself, not a stronger one"],
            ),
            ("[method.sod]\nteacher = { checkpoint = 'x' }", vec![]),
            ("[method.timeclaw]", vec!["memory: written by rule (distiller)"]),
            ("[method.sgcd]", vec!["contrast: by rule, not by a model"]),
            (
                "[[method.sparse-to-dense.stages]]\nname = 'a'\nmethod.triage = {}\n[judge]\nby = 'self'",
                vec!["judge: the policy itself"],
            ),
        ] {
            assert_eq!(named(text), wanted, "{text}");
        }
    }

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
