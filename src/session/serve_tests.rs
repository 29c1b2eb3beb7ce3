//! The life of a trainer, with a job that only counts.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use anyhow::{Result, bail};

use super::{Asserts, Desk, Halt, Job, Order, Out, Reply, Standing, Urgency, serve};
use crate::config::{ConfigError, Recipe};
use crate::core::event::{KeyChange, Scope};
use crate::core::exit::Exit;
use crate::core::{Command, Metrics, Phase, Record, RunEvent};
use crate::run::status::State;

/// Something a test does when the job is in the middle of a step.
type Hook = Box<dyn FnMut(u64, &World)>;

/// What a test can reach from inside a step.
struct World {
    orders: Sender<Order>,
    edits: Sender<Result<Recipe, ConfigError>>,
    wordings: Sender<String>,
    halt: Arc<Halt>,
    replies: Rc<RefCell<Vec<Reply>>>,
    answers: std::sync::mpsc::Receiver<Reply>,
    disk_full: Rc<Cell<bool>>,
    answer_to: Sender<Reply>,
}

impl World {
    fn order(&self, command: Command) {
        let to = self.answer_to.clone();
        let reply = Box::new(move |reply| to.send(reply).unwrap());
        self.orders.send(Order { command, reply }).unwrap();
    }
}

struct Counter {
    done: u64,
    total: u64,
    world: World,
    hook: Hook,
    lr: Rc<RefCell<Vec<f64>>>,
    no_signal: f64,
    released: bool,
}

impl Job for Counter {
    fn start(&mut self, out: Out) -> Result<()> {
        if std::mem::take(&mut self.released) {
            out(RunEvent::Warned { step: self.done, message: "loaded again".into() });
        }
        Ok(())
    }

    fn step(&mut self, out: Out, abort: &AtomicBool) -> Result<()> {
        let step = self.done + 1;
        (self.hook)(step, &self.world);
        out(RunEvent::Progress { step, phase: Phase::Rollout, done: 1, total: 1 });
        if abort.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.done = step;
        let metrics = Metrics::from([("groups/no_signal".into(), Some(self.no_signal)), ("grad/norm".into(), None)]);
        out(RunEvent::Stepped { step, metrics, skills: vec![] });
        self.world.replies.borrow_mut().extend(self.world.answers.try_iter());
        Ok(())
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn total(&self) -> u64 {
        self.total
    }

    fn save(&mut self, out: Out) -> Result<()> {
        if self.world.disk_full.get() {
            bail!("no space left");
        }
        out(RunEvent::Checkpointed { step: self.done, path: "c".into(), bytes: 1, seconds: 0.0 });
        Ok(())
    }

    fn release(&mut self) {
        self.released = true;
    }

    fn reword(&mut self, text: &str) -> Result<Vec<KeyChange>, String> {
        let change = |after: &str| KeyChange {
            key: "envs/k.toml/prompt.a.first".into(),
            before: "x".into(),
            after: after.into(),
            scope: Scope::NextStep,
        };
        if text.is_empty() { Err("envs/k.toml:1:1: nothing".into()) } else { Ok(vec![change(text)]) }
    }

    fn retune(&mut self, recipe: &Recipe) {
        self.lr.borrow_mut().push(recipe.optim.lr);
        self.total = recipe.run.steps;
    }
}

/// What a run left behind.
struct Story {
    exit: Exit,
    events: Vec<String>,
    replies: Vec<Reply>,
    lr: Vec<f64>,
    last: Standing,
}

fn recipe(steps: u64) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.run.steps = steps;
    recipe.checkpoint.every = 2;
    recipe.alerts.rules.clear();
    recipe
}

/// Runs a counting job.
fn play(recipe: Recipe, hook: impl FnMut(u64, &World) + 'static) -> Story {
    play_paused(recipe, hook, vec![])
}

fn play_asserting(recipe: Recipe, asserts: &[&str], hook: impl FnMut(u64, &World) + 'static) -> Story {
    play_all(recipe, asserts, hook, vec![])
}

fn play_paused(recipe: Recipe, hook: impl FnMut(u64, &World) + 'static, when_paused: Vec<Command>) -> Story {
    play_all(recipe, &[], hook, when_paused)
}

/// Runs a counting job; the n-th time the run says that it is paused, the n-th command is given.
fn play_all(
    recipe: Recipe,
    asserts: &[&str],
    hook: impl FnMut(u64, &World) + 'static,
    when_paused: Vec<Command>,
) -> Story {
    let asserts: Vec<String> = asserts.iter().map(|text| (*text).to_owned()).collect();
    let (orders, order_queue) = channel();
    let (orders_when_paused, mut when_paused) = (orders.clone(), when_paused.into_iter());
    let (edits, edit_queue) = channel();
    let (wordings, wording_queue) = channel();
    let (answer_to, answers) = channel();
    let (halt, replies, disk_full, lr) =
        <(Arc<Halt>, Rc<RefCell<Vec<Reply>>>, Rc<Cell<bool>>, Rc<RefCell<Vec<f64>>>)>::default();
    let world = World {
        orders,
        edits,
        wordings,
        halt: halt.clone(),
        replies: replies.clone(),
        answers,
        disk_full: disk_full.clone(),
        answer_to,
    };
    let mut job = Counter {
        done: 0,
        total: recipe.run.steps,
        world,
        hook: Box::new(hook),
        lr: lr.clone(),
        no_signal: 0.9,
        released: false,
    };
    let mut events = Vec::new();
    let mut last = None;
    let exit = serve(
        &mut job,
        Desk {
            recipe: recipe.clone(),
            orders: order_queue,
            edits: edit_queue,
            banks: channel().1,
            wordings: wording_queue,
            past: Default::default(),
            halt,
            asserts: Asserts::parse(&asserts).unwrap(),
            record: &mut |event| {
                if disk_full.get() {
                    // room is made once the loss was noticed
                    disk_full.set(false);
                    bail!("no space left");
                }
                events.push(name(&event));
                let paused = matches!(event, RunEvent::Paused { .. });
                if let Some(command) = paused.then(|| when_paused.next()).flatten() {
                    orders_when_paused.send(Order { command, reply: Box::new(|_| {}) }).unwrap();
                }
                Ok(Record { at_ms: 0, event })
            },
            beat: &mut |standing| last = Some(standing.clone()),
            persist: &mut |key, value| crate::config::set(&crate::config::render(&recipe), key, value).map(|(_, r)| r),
        },
    );
    replies.borrow_mut().extend(job.world.answers.try_iter());
    let (replies, lr) = (replies.borrow().clone(), lr.borrow().clone());
    Story { exit, events, replies, lr, last: last.unwrap() }
}

/// A short form of an event; progress is left out by the caller.
fn name(event: &RunEvent) -> String {
    match event {
        RunEvent::Progress { .. } => "·".into(),
        RunEvent::Stepped { step, .. } => format!("step {step}"),
        RunEvent::Checkpointed { step, .. } => format!("saved {step}"),
        RunEvent::ConfigChanged { step, revision, .. } => format!("config {revision} at {step}"),
        RunEvent::ConfigRejected { step, .. } => format!("rejected at {step}"),
        RunEvent::Alerted { step, rule, .. } => format!("alert {rule} at {step}"),
        RunEvent::Warned { message, .. } => message.clone(),
        RunEvent::Paused { step } => format!("paused {step}"),
        RunEvent::Resumed { step } => format!("resumed {step}"),
        RunEvent::Finished { status, exit, assert: None, .. } => format!("{status:?} {exit}"),
        RunEvent::Finished { status, exit, assert: Some(verdict), message, .. } => {
            format!("{status:?} {exit} {verdict:?}: {message}")
        }
        other => format!("{other:?}"),
    }
}

fn without_progress(story: &Story) -> Vec<&str> {
    story.events.iter().map(String::as_str).filter(|event| *event != "·").collect()
}

#[test]
fn a_run_checkpoints_and_ends() {
    let story = play(recipe(3), |_, _| {});
    assert_eq!(without_progress(&story), ["step 1", "step 2", "saved 2", "step 3", "saved 3", "Ok 0"]);
    assert_eq!((story.exit, story.last.state, story.last.step), (Exit::Done, State::Finished, 3));
}

#[test]
fn assertions_decide_the_exit_of_a_run_that_is_done() {
    let last = |asserts: &[&str]| {
        let story = play_asserting(recipe(2), asserts, |_, _| {});
        (story.exit, story.events.last().unwrap().clone())
    };
    assert_eq!(last(&["groups/no_signal<1"]), (Exit::Done, "Ok 0 Pass: done".into()));
    let why = "`groups/no_signal` is 0.9, asserted < 0.5";
    let failed = last(&["groups/no_signal<1", "groups/no_signal<0.5"]);
    assert_eq!(failed, (Exit::AssertFailed, format!("Ok 3 Fail: done, but {why}")));
    let story = play_asserting(recipe(9), &["groups/no_signal<0.5"], |_, world| world.halt.ask(Urgency::AfterStep));
    assert_eq!(story.exit, Exit::Resumable, "a run that is not done is not judged");
}

#[test]
fn a_fresh_checkpoint_is_not_written_again() {
    let story = play(recipe(2), |_, _| {});
    assert_eq!(without_progress(&story), ["step 1", "step 2", "saved 2", "Ok 0"]);
}

#[test]
fn a_stop_finishes_the_step_and_saves() {
    let story = play(recipe(9), |step, world| {
        if step == 1 {
            world.order(Command::Stop);
        }
    });
    assert_eq!(without_progress(&story), ["step 1", "saved 1", "Stopped 75"]);
    assert_eq!(story.replies[0].message, "stopping after this step, with a checkpoint");
}

#[test]
fn a_termination_gives_up_the_step_and_saves() {
    let story = play(recipe(9), |step, world| {
        if step == 2 {
            world.halt.ask(Urgency::Now);
        }
    });
    assert_eq!(without_progress(&story), ["step 1", "saved 1", "Stopped 75"]);
}

#[test]
fn an_abort_saves_nothing() {
    let story = play(recipe(9), |step, world| {
        if step == 2 {
            world.halt.ask(Urgency::Abort);
        }
    });
    assert_eq!((without_progress(&story), story.exit), (vec!["step 1", "Aborted 75"], Exit::Resumable));
}

#[test]
fn a_paused_run_can_be_stepped_and_resumed() {
    let hook = |step, world: &World| match step {
        1 => {
            world.order(Command::Step);
            world.order(Command::Pause);
        }
        2 => world.order(Command::Resume),
        _ => {}
    };
    let story = play_paused(recipe(3), hook, vec![Command::Step]);
    let expected = ["step 1", "paused 1", "step 2", "saved 2", "resumed 2", "step 3", "saved 3", "Ok 0"];
    assert_eq!(without_progress(&story), expected);
    let answers: Vec<(bool, &str)> = story.replies.iter().map(|r| (r.ok, r.message.as_str())).collect();
    let refused = (false, "the run is not paused, `pause` it first");
    assert_eq!(answers, [refused, (true, "pausing after this step"), (true, "running")]);
}

#[test]
fn a_run_can_hold_in_the_middle_of_a_step() {
    let hook = |step, world: &World| {
        if step == 1 {
            world.order(Command::Hold);
        }
    };
    let resumed = play_paused(recipe(1), hook, vec![Command::Resume]);
    assert_eq!(without_progress(&resumed), ["paused 0", "resumed 0", "step 1", "saved 1", "Ok 0"]);
    assert_eq!(resumed.replies[0].message, "pausing before the engine is called next");
    let stopped = play_paused(recipe(9), hook, vec![Command::Stop]);
    assert_eq!(
        without_progress(&stopped),
        ["paused 0", "step 1", "saved 1", "Stopped 75"],
        "the step is finished first"
    );
}

#[test]
fn a_held_run_can_give_its_memory_back() {
    let hook = |step, world: &World| {
        if step == 3 && !world.disk_full.get() {
            world.order(Command::Release);
        }
    };
    let mut times = 0;
    let once = move |step, world: &World| {
        times += u32::from(step == 3);
        if times == 1 {
            hook(step, world);
        }
    };
    let resumed = play_paused(recipe(3), once, vec![Command::Resume]);
    let expected =
        ["step 1", "step 2", "saved 2", "paused 2", "resumed 2", "loaded again", "step 3", "saved 3", "Ok 0"];
    assert_eq!(without_progress(&resumed), expected, "the step is given up, and done after all");
    let stopped = play_paused(recipe(3), hook, vec![Command::Stop]);
    let expected = ["step 1", "step 2", "saved 2", "paused 2", "Stopped 75"];
    assert_eq!(without_progress(&stopped), expected, "what is saved is not saved again");
}

#[test]
fn edited_prompts_are_told_and_bad_ones_refused() {
    let story = play(recipe(3), |step, world| match step {
        1 => world.wordings.send("y".into()).unwrap(),
        2 => world.wordings.send(String::new()).unwrap(),
        _ => {}
    });
    let expected = ["step 1", "config 1 at 1", "step 2", "saved 2", "rejected at 2", "step 3", "saved 3", "Ok 0"];
    assert_eq!(without_progress(&story), expected);
}

#[test]
fn changes_are_put_in_force_between_steps_and_merged() {
    let story = play(recipe(3), |step, world| {
        if step == 1 {
            world.order(Command::Set { key: "optim.lr".into(), value: "0.5".into() });
            world.order(Command::Set { key: "optim.lr".into(), value: "-1".into() });
            world.edits.send(Err(ConfigError::new("config.toml:1:2", "odd"))).unwrap();
        }
    });
    let expected = ["step 1", "rejected at 1", "config 1 at 1", "step 2", "saved 2", "step 3", "saved 3", "Ok 0"];
    assert_eq!(without_progress(&story), expected);
    assert_eq!(story.lr, [0.5]);
    assert_eq!(story.replies[0].message, "`optim.lr` 0.0003 -> 0.5 from the next step");
    assert!(!story.replies[1].ok && story.replies[1].message.contains("must be at least 0"), "{:?}", story.replies[1]);
}

#[test]
fn an_edit_can_lengthen_the_run() {
    let story = play(recipe(1), |step, world| {
        if step == 1 {
            world.edits.send(Ok(recipe(2))).unwrap();
        }
    });
    assert_eq!(without_progress(&story), ["step 1", "config 1 at 1", "step 2", "saved 2", "Ok 0"]);
}

#[test]
fn an_error_alert_is_said_by_the_exit_code() {
    let mut recipe = recipe(4);
    recipe.alerts = Default::default();
    let story = play(recipe, |_, _| {});
    let alert = "alert grad/norm not finite at 3";
    assert_eq!(without_progress(&story), ["step 1", "step 2", "saved 2", "step 3", alert, "step 4", "saved 4", "Ok 3"]);
}

#[test]
fn a_lost_record_is_written_later_and_pauses_the_run() {
    let hook = |step, world: &World| world.disk_full.set(step == 1);
    let story = play_paused(recipe(2), hook, vec![Command::Resume]);
    let expected = ["alert write at 0", "step 1", "paused 1", "resumed 1", "step 2", "saved 2", "Ok 0"];
    assert_eq!(without_progress(&story), expected);
}

#[test]
fn a_panic_in_the_job_ends_the_run_in_order() {
    let story = play(recipe(2), |step, _| assert_eq!(step, 1, "boom"));
    assert_eq!((without_progress(&story), story.exit), (vec!["step 1", "saved 1", "Failed 1"], Exit::Failed));
    assert_eq!(story.last.state, State::Finished);
}
