//! The recipe: everything that decides a run. The structs below are the manual: each key with its meaning, its unit
//! or range and the effect of 0; `sdlab --print-config` prints the same text with the same defaults.

use serde::{Deserialize, Serialize};

use super::fields::tables;
use crate::core::Split;
use crate::core::event::Level;
use crate::env::prompt::Layout;
use crate::method::MethodConfig;
use crate::skill::{self, Placement};

/// A complete recipe. Every table and every key may be left out; the defaults are a working run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    pub run: RunSettings,
    pub model: ModelSettings,
    pub env: EnvConfig,
    pub skills: SkillSettings,
    pub method: MethodConfig,
    pub rollout: RolloutSettings,
    pub optim: OptimSettings,
    pub eval: EvalSettings,
    pub checkpoint: CheckpointSettings,
    pub record: RecordSettings,
    pub alerts: AlertSettings,
}

/// Which environment is played: `[env.household]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvConfig {
    /// Put, clean, heat, cool and examine things in the rooms of a house.
    Household(HouseholdSettings),
}

impl EnvConfig {
    /// Name as in `[env.<name>]`.
    pub fn name(&self) -> &'static str {
        match self {
            EnvConfig::Household(_) => "household",
        }
    }
}

impl EnvConfig {
    /// The settings as a table, as [`crate::env::open_world`] takes them.
    pub fn table(&self) -> toml::Table {
        let table = match self {
            EnvConfig::Household(settings) => toml::Table::try_from(settings),
        };
        // settings are plain numbers and names, all of them are TOML
        table.unwrap_or_default()
    }
}

impl Default for EnvConfig {
    fn default() -> Self {
        EnvConfig::Household(HouseholdSettings::default())
    }
}

/// How large the houses are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rooms {
    /// Few receptacles and objects; a small model learns it in minutes.
    #[default]
    Small,
    /// As many receptacles and objects as the published household benchmark.
    Full,
}

/// Where the model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The best device of this machine.
    #[default]
    Auto,
    Cpu,
}

/// How skills are chosen for an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retrieval {
    /// Skills without a condition, and the first group with a keyword in the goal.
    #[default]
    Keyword,
    /// Skills without a condition, and every group with a keyword in the goal.
    KeywordAny,
    /// The whole bank.
    Full,
    /// A seeded random choice (control).
    Random,
    /// No skills: teacher and student read the same prompt (control).
    None,
}

impl SkillSettings {
    /// The way to choose, as the skill book takes it.
    pub fn choice(&self) -> skill::Retrieval {
        match self.retrieval {
            Retrieval::Keyword => skill::Retrieval::Keyword,
            Retrieval::KeywordAny => skill::Retrieval::KeywordAny,
            Retrieval::Full => skill::Retrieval::Full,
            Retrieval::Random => skill::Retrieval::Random { n: self.random_count as usize },
            Retrieval::None => skill::Retrieval::None,
        }
    }
}

/// Which tokens are written to `tokens/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedTokens {
    /// Every token of every row.
    #[default]
    All,
    /// None: the token screen and the lens stay empty.
    None,
}

/// Fires when a metric stays past a limit. With neither `above` nor `below`: when it is not a finite number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRule {
    /// Metric name, e.g. `groups/no_signal`. A step that does not record it is passed over.
    pub metric: String,
    /// Breached while the metric is greater than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// Breached while the metric is less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// Breached steps in a row until it fires, >= 1. It fires again only after a step without breach.
    #[serde(rename = "for", default = "one_step")]
    pub steps: u32,
    /// `info`, `warn` or `error`; a run in which an `error` rule fired ends with exit code 3.
    #[serde(default = "warn")]
    pub level: Level,
    /// What it means when it fires, shown with the alert.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

fn one_step() -> u32 {
    1
}

fn warn() -> Level {
    Level::Warn
}

fn default_rules() -> Vec<AlertRule> {
    let rule = |metric: &str, steps, level, note: &str| AlertRule {
        metric: metric.into(),
        above: None,
        below: None,
        steps,
        level,
        note: note.into(),
    };
    vec![
        AlertRule {
            above: Some(0.8),
            ..rule("groups/no_signal", 5, Level::Warn, "most groups have equal rewards and teach nothing")
        },
        AlertRule {
            below: Some(1e-3),
            ..rule("gap/rms", 3, Level::Warn, "the teacher's prompt seems to equal the student's")
        },
        rule("grad/norm", 3, Level::Error, "the gradient is not finite and updates are skipped"),
    ]
}

tables! {
    /// The run itself.
    pub struct RunSettings in "run" {
        /// Name of the run folder; empty = made from environment, method and time.
        pub name: String = String::new(), NextRun;
        /// Seed of everything random: tasks, sampling, retrieval. Same seed, same recipe, same events (on CPU).
        pub seed: u64 = 0, NextRun;
        /// Training steps in all, >= 1. May be raised while the run is going.
        pub steps: u64 = 60, NextStep;
        /// Folder in which run folders are made.
        pub root: String = "runs".into(), NextRun;
    }

    /// The model that is trained, and scored as its own teacher.
    pub struct ModelSettings in "model" {
        /// Model folder (`config.json`, `*.safetensors`, `tokenizer.json`, chat template) or cached hub id.
        pub path: String = "runs/starter/model".into(), NextRun;
        /// `auto` (the best device of this machine) or `cpu`.
        pub device: Device = Device::Auto, NextRun;
    }

    /// The household environment: put, clean, heat, cool and examine things in the rooms of a house.
    pub struct HouseholdSettings in "env.household" {
        /// `small` (few things, learnt in minutes) or `full` (as many as the published benchmark).
        pub rooms: Rooms = Rooms::Small, NextRun;
        /// Turns after which an episode ends as lost, >= 4. Only games whose shortest solution takes half of it are dealt.
        pub max_turns: u32 = 20, NextRun;
        /// Taken from the return of a row for every reply without the required form, >= 0; 0 = such replies cost nothing.
        pub invalid_penalty: f64 = 0.1, NextRun;
        /// Reward of reaching the goal, > 0. Every other action gives 0.
        pub win_reward: f64 = 10.0, NextRun;
    }

    /// The skills that the teacher reads and the student does not.
    pub struct SkillSettings in "skills" {
        /// Folder of skill files.
        pub bank: String = "skills/household".into(), NextRun;
        /// `keyword`, `keyword-any`, `full`, `random` or `none` (a control: the teacher reads the student's prompt).
        pub retrieval: Retrieval = Retrieval::Keyword, NextStep;
        /// With `random`: skills drawn for an episode; more than the bank has = all of it, 0 = none.
        pub random_count: u32 = 6, NextStep;
        /// `user-slot` (inside the user message) or `prefix-raw` (before the rendered prompt, as SDAR's code does).
        pub placement: Placement = Placement::UserSlot, NextStep;
        /// Most tokens of skill text in one prompt; 0 = no limit.
        pub budget_tokens: u32 = 256, NextStep;
    }

    /// Playing: how experience is collected.
    pub struct RolloutSettings in "rollout" {
        /// Tasks per step, >= 1.
        pub groups: u32 = 8, NextRun;
        /// Rollouts per task (G). At least 2, because an advantage compares a rollout with the others of its group.
        pub members: u32 = 8, NextRun;
        /// `transcript` (one row per episode) or `history` (one row per turn, prompt rebuilt; the papers).
        pub layout: Layout = Layout::Transcript, NextRun;
        /// With `history`: past turns shown in each prompt; 0 = only the present observation.
        pub history: u32 = 2, NextRun;
        /// Most tokens of one reply, >= 1.
        pub max_new_tokens: u32 = 40, NextStep;
        /// Softmax temperature of sampling, > 0.
        pub temperature: f64 = 1.0, NextStep;
    }

    /// The update: AdamW on the gradient of the method's loss.
    pub struct OptimSettings in "optim" {
        /// Learning rate, >= 0; 0 = the weights stay as they are.
        pub lr: f64 = 3e-4, NextStep;
        /// Decay of the first moment, in [0, 1).
        pub beta1: f64 = 0.9, NextStep;
        /// Decay of the second moment, in [0, 1).
        pub beta2: f64 = 0.999, NextStep;
        /// Added to the root of the second moment, > 0.
        pub eps: f64 = 1e-8, NextStep;
        /// Decoupled weight decay, >= 0; 0 = none.
        pub weight_decay: f64 = 0.01, NextStep;
        /// Gradients are scaled down to this global L2 norm, >= 0; 0 = no clipping.
        pub max_grad_norm: f64 = 1.0, NextStep;
        /// Updates per step, >= 1: the rows of a step are split into as many batches.
        pub minibatches: u32 = 2, NextStep;
        /// Steps over which the learning rate rises to `lr`; 0 = no warm-up.
        pub warmup_steps: u64 = 0, NextStep;
    }

    /// The frozen panel: the same held-out tasks at every evaluation.
    pub struct EvalSettings in "eval" {
        /// Steps between evaluations; 0 = only at the end.
        pub every: u64 = 10, NextStep;
        /// Tasks in the panel; 0 = no evaluation.
        pub games: u32 = 64, NextRun;
        /// `valid-seen`, `valid-unseen` or `train`.
        pub split: Split = Split::ValidSeen, NextRun;
        /// Softmax temperature, >= 0; 0 = greedy.
        pub temperature: f64 = 0.4, NextRun;
        /// Whether the panel is also played with skills in the student's own prompt.
        pub with_skills: bool = false, NextStep;
        /// Whether the panel is played before the first step.
        pub first: bool = true, NextRun;
    }

    /// Checkpoints: weights, optimiser and everything else an exact resume needs.
    pub struct CheckpointSettings in "checkpoint" {
        /// Steps between checkpoints; 0 = only on request and at the end.
        pub every: u64 = 20, Live;
        /// How many of the newest checkpoints stay on disk; 0 = all.
        pub keep: u32 = 2, Live;
        /// Every so many steps a checkpoint is written that stays for good; 0 = none stays.
        pub permanent_every: u64 = 0, Live;
        /// Whether a checkpoint is written when the panel reaches its highest success, and stays until a better one.
        pub best: bool = true, Live;
        /// Whether the last step is checkpointed.
        pub r#final: bool = true, Live;
    }

    /// What is written beside events and rollouts.
    pub struct RecordSettings in "record" {
        /// `all` (every token with its signals, for the token screen) or `none`.
        pub tokens: RecordedTokens = RecordedTokens::All, NextStep;
    }

    /// Alerts: rules over the metrics of a step.
    pub struct AlertSettings in "alerts" {
        /// Each rule has `metric`, `above` or `below` (neither: fires when the value is not finite), `for` (breached
        /// steps in a row until it fires, default 1), `level` (`info`, `warn`, `error`; an `error` rule that fired
        /// makes the exit code 3) and `note` (what it means). An empty list = no alerts.
        pub rules: Vec<AlertRule> = default_rules(), Live;
    }
}

#[cfg(test)]
mod tests {
    use super::{Recipe, TABLES};
    use crate::config::diff::leaves;
    use crate::config::fields::method_doc;
    use crate::config::{Overrides, parse};
    use crate::method::METHODS;

    #[test]
    fn the_manual_and_the_serialised_default_have_the_same_keys() {
        let mut manual: Vec<String> = TABLES.iter().flat_map(|t| t.fields).map(|f| f.key.to_owned()).collect();
        let mut written: Vec<String> =
            leaves(&Recipe::default()).into_keys().filter(|key| !key.starts_with("method")).collect();
        manual.sort();
        written.sort();
        assert_eq!(manual, written);
    }

    #[test]
    fn the_environment_takes_its_settings() {
        let recipe = Recipe::default();
        let world = crate::env::open_world(recipe.env.name(), &recipe.env.table()).unwrap();
        assert_eq!((world.max_turns(), world.invalid_penalty()), (20, 0.1));
    }

    #[test]
    fn every_constant_of_every_method_is_explained() {
        for method in METHODS {
            let overrides = Overrides { set: vec![format!("method.{}={{}}", method.name)], ..Overrides::default() };
            let recipe = parse("r", "", &overrides).unwrap();
            for key in leaves(&recipe).into_keys().filter(|key| key.starts_with("method.")) {
                assert!(method_doc(&key).is_some_and(|doc| doc.trim().len() > 10), "`{key}` is not explained");
            }
        }
    }

    #[test]
    fn every_key_is_explained() {
        for field in TABLES.iter().flat_map(|t| t.fields) {
            assert!(field.doc.trim().len() > 10, "`{}` is not explained", field.key);
        }
    }
}
