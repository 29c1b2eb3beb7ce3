//! Scene: write a program that draws a picture as asked for (GenEvolve's kind of task, without its image generator and
//! judge: pictures are symbolic, drawn as SVG, and judged by constraints).
//!
//! A task names a palette, whose colours are only found by looking them up, and conditions on numbers, colours and
//! places. Score = part of the conditions that hold; won = all, when the picture is submitted.

pub mod goal;
pub mod program;

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use self::goal::{Palette, Rule, draft, is_color};
use self::program::Scene;
use super::{Env, Step, Terms, World, file, parse_id, task_id};
use crate::core::rng::stream;
use crate::core::{Split, Task};

/// Name of this kind of environment.
pub const KIND: &str = "scene";

/// The built-in text of `envs/scene.toml`.
pub const TEXT: &str = include_str!("../../../envs/scene.toml");

/// Settings of scene, `[env.scene]`. A task id names the same task only under the same settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seed of the tasks.
    pub seed: u64,
    /// Conditions on places and sizes, 0 to 6, beside those on numbers and colours.
    pub relations: usize,
    /// Whether the answer to a program says which conditions hold; if not, only how many.
    pub feedback: bool,
    /// Most turns of an episode, at least 1.
    pub max_turns: usize,
    /// Taken from the reward of a turn whose reply has not the required form; 0 = no penalty.
    pub invalid_penalty: f32,
    /// Reward of a picture that meets all; others give this times their score.
    pub win_reward: f32,
    /// Style of prompts and replies: a table `[prompt.<style>]` of `envs/scene.toml`.
    pub style: String,
}

impl Default for Settings {
    fn default() -> Self {
        let style = "verl-agent".to_owned();
        Settings { seed: 0, relations: 2, feedback: true, max_turns: 8, invalid_penalty: 0.1, win_reward: 10.0, style }
    }
}

/// Scene as a supply of tasks.
pub struct SceneWorld {
    settings: Settings,
    palettes: Arc<[Palette]>,
}

impl SceneWorld {
    /// Builds the world. Fails if a setting is out of range or a palette is malformed.
    pub fn new(settings: Settings) -> Result<SceneWorld> {
        let Settings { relations, max_turns, invalid_penalty, .. } = settings;
        ensure!(relations <= 6, "`relations` is {relations}; use 0 to 6");
        Terms { max_turns, invalid_penalty, style: &settings.style }.check()?;
        let file = file(KIND)?;
        let palettes = palettes(&file.text).with_context(|| file.place.clone())?;
        Ok(SceneWorld { settings, palettes: palettes.into() })
    }

    /// Builds the world from its settings table. Fails on an unknown or ill-typed setting.
    pub fn from_table(settings: &toml::Table) -> Result<SceneWorld> {
        SceneWorld::new(settings.clone().try_into()?)
    }

    /// Every fourth palette is only in `valid-unseen`.
    fn make(&self, split: Split, index: u64) -> Result<(Scene, Vec<Rule>)> {
        let id = task_id(KIND, split, index);
        self.check(split, index)?;
        let held = |n: usize| n % HELD_OUT == HELD_OUT - 1;
        let own = self.palettes.iter().enumerate().filter(|(n, _)| held(*n) == (split == Split::ValidUnseen));
        let own: Vec<Palette> = own.map(|(_, palette)| palette.clone()).collect();
        for attempt in 0..ATTEMPTS {
            let mut rng = stream(self.settings.seed, "scene", &[split as u64, index, attempt]);
            if let Some(found) = draft(&mut rng, &own, self.settings.relations) {
                return Ok(found);
            }
        }
        bail!("`{id}`: no picture could be made")
    }
}

/// The tables `[[palettes]]`.
fn palettes(toml: &str) -> Result<Vec<Palette>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        name: String,
        background: String,
        main: String,
        accent: String,
    }
    #[derive(Deserialize)]
    struct File {
        palettes: Vec<Row>,
    }
    let rows = toml::from_str::<File>(toml).context("reading the tables `[[palettes]]`")?.palettes;
    ensure!(rows.len() >= HELD_OUT, "there are {} palettes; give at least {HELD_OUT}", rows.len());
    rows.into_iter()
        .map(|Row { name, background, main, accent }| {
            let colors = [background, main, accent];
            let odd = colors.iter().find(|color| !is_color(color));
            ensure!(odd.is_none(), "palette `{name}`: there is no colour `{}`", odd.map_or("", String::as_str));
            // prompts are read in lower case
            ensure!(name == name.to_lowercase(), "palette `{name}`: write its name in lower case");
            Ok(Palette { name, colors })
        })
        .collect()
}

impl World for SceneWorld {
    fn kind(&self) -> &str {
        KIND
    }

    fn size(&self, split: Split) -> u64 {
        if split == Split::Train { u64::MAX } else { VALID_TASKS }
    }

    fn task(&self, split: Split, index: u64) -> Result<Task> {
        let (scene, rules) = self.make(split, index)?;
        let words: Vec<String> = rules.iter().map(Rule::words).collect();
        let goal = format!("Draw a picture in which {}.", words.join("; "));
        Ok(Task { id: task_id(KIND, split, index), kind: format!("{}_shapes", scene.items.len()), goal })
    }

    fn open(&self, task: &Task) -> Result<Box<dyn Env>> {
        let (split, index) = parse_id(KIND, &task.id)?;
        let (hidden, rules) = self.make(split, index)?;
        let order = Order { hidden, rules, palettes: Arc::clone(&self.palettes), settings: self.settings.clone() };
        Ok(Box::new(Drawing::new(Arc::new(order))))
    }

    fn terms(&self) -> Terms<'_> {
        let Settings { max_turns, invalid_penalty, ref style, .. } = self.settings;
        Terms { max_turns, invalid_penalty, style }
    }
}

/// What is asked for.
struct Order {
    hidden: Scene,
    rules: Vec<Rule>,
    palettes: Arc<[Palette]>,
    settings: Settings,
}

/// A picture being drawn.
#[derive(Clone)]
pub struct Drawing {
    order: Arc<Order>,
    scene: Scene,
    observation: String,
    over: bool,
}

impl Drawing {
    fn new(order: Arc<Order>) -> Drawing {
        let scene = Scene { background: "white".to_owned(), items: Vec::new() };
        let names: Vec<&str> = order.palettes.iter().map(|palette| palette.name.as_str()).collect();
        let observation = format!("The canvas is 100 by 100 and white. Palettes: {}.", names.join(", "));
        Drawing { order, scene, observation, over: false }
    }

    fn met(&self) -> usize {
        self.order.rules.iter().filter(|rule| rule.holds(&self.scene)).count()
    }

    fn score(&self) -> f32 {
        self.met() as f32 / self.order.rules.len() as f32
    }

    fn answer(&mut self, action: &str) -> Result<String, String> {
        let action = action.trim();
        if let Some(name) = action.strip_prefix("palette ") {
            let name = name.trim().trim_matches('"');
            let palette = self.order.palettes.iter().find(|palette| palette.name == name);
            let [back, main, accent] = &palette.ok_or("There is no palette of that name.")?.colors;
            return Ok(format!("Palette \"{name}\": background {back}, main colour {main}, accent {accent}."));
        }
        match action {
            "submit" => {
                self.over = true;
                Ok(format!("Submitted: {} of {} conditions hold.", self.met(), self.order.rules.len()))
            }
            "show" => Ok(self.scene.svg()),
            program => {
                let done = self.scene.run(program);
                match done {
                    Ok(0) => Err("Commands are palette NAME, show, submit, or lines of a program.".into()),
                    Ok(_) => Ok(self.report()),
                    Err(why) => Err(format!("{why}. {}", self.report())),
                }
            }
        }
    }

    fn report(&self) -> String {
        let (met, all) = (self.met(), self.order.rules.len());
        if !self.order.settings.feedback || met == all {
            return format!("{met} of {all} conditions hold.");
        }
        let missed = self.order.rules.iter().filter(|rule| !rule.holds(&self.scene));
        format!("{met} of {all} conditions hold. Not yet: {}.", missed.map(Rule::words).collect::<Vec<_>>().join("; "))
    }
}

impl Env for Drawing {
    fn observation(&self) -> &str {
        &self.observation
    }

    fn step(&mut self, action: &str) -> Step {
        let playing = !self.over;
        let before = self.scene.clone();
        let answer = if playing { self.answer(action) } else { Err(String::new()) };
        let valid = answer.is_ok();
        self.observation = answer.unwrap_or_else(|why| why);
        let (score, ended) = (self.score(), playing && self.over);
        let reward = if ended { self.order.settings.win_reward * score } else { 0.0 };
        let won = self.over && self.met() == self.order.rules.len();
        let effective = ended || before != self.scene;
        Step { observation: self.observation.clone(), reward, done: self.over, won, score, effective, valid }
    }

    /// Programs are free; these are the other commands, and ways to begin.
    fn admissible(&self) -> Vec<String> {
        if self.over {
            return Vec::new();
        }
        let mut all: Vec<String> = self.order.palettes.iter().map(|p| format!("palette {}", p.name)).collect();
        all.extend(["add a circle red 50 50 10", "clear", "show", "submit"].map(str::to_owned));
        all.sort();
        all
    }

    /// Looks the palette up, draws the hidden picture, and submits it.
    fn expert(&self) -> Vec<String> {
        if self.over {
            return Vec::new();
        }
        let palette = self.order.rules.iter().find_map(|rule| match rule {
            Rule::Background(palette, _) => Some(format!("palette {palette}")),
            _ => None,
        });
        let clear = if self.scene.items.is_empty() { "" } else { "clear\n" };
        let program = format!("{clear}{}", self.order.hidden.program());
        palette.into_iter().chain([program, "submit".to_owned()]).collect()
    }

    fn snapshot(&self) -> Box<dyn Env> {
        Box::new(self.clone())
    }
}

const VALID_TASKS: u64 = 512;
const HELD_OUT: usize = 4;
const ATTEMPTS: u64 = 20;
