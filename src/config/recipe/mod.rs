//! The recipe: everything that decides a run. The structs below are the manual: each key with its meaning, its unit
//! or range and the effect of 0; `sdlab --print-config` prints the same text with the same defaults.

use serde::{Deserialize, Serialize};

use super::fields::tables;
use crate::core::Split;
use crate::core::event::Level;
use crate::engine::candle::memory::{Checkpointing, Dtype};
use crate::engine::candle::{Lora, Projection};
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
    pub judge: JudgeSettings,
    pub alerts: AlertSettings,
}

/// Declares the environments of a recipe: `/// doc` `Variant(Settings) = "name",` each.
macro_rules! environments {
    ($( $(#[doc = $doc:literal])+ $variant:ident($settings:ty) = $name:literal, )+) => {
        /// Which environment is played: one table such as `[env.household]`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum EnvConfig {
            $( $(#[doc = $doc])+ #[serde(rename = $name)] $variant($settings), )+
        }

        impl EnvConfig {
            /// Name as in `[env.<name>]`, the same as in [`crate::env::KINDS`].
            pub fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )+ }
            }

            /// The settings as a table, as [`crate::env::open_world`] takes them.
            pub fn table(&self) -> toml::Table {
                let table = match self { $( Self::$variant(settings) => toml::Table::try_from(settings), )+ };
                // settings are plain numbers and names, all of them are TOML
                table.unwrap_or_default()
            }
        }
    };
}

environments! {
    /// Put, clean, heat, cool and examine things in the rooms of a house.
    Household(HouseholdSettings) = "household",
    /// Push boxes onto targets.
    Sokoban(SokobanSettings) = "sokoban",
    /// Find what an instruction asks for in an online shop, choose its options, buy it.
    Shop(ShopSettings) = "shop",
    /// Answer a question by looking things up in a collection of passages.
    Search(SearchSettings) = "search",
    /// Do what someone asks for in their everyday apps, by writing code.
    Apps(AppsSettings) = "apps",
    /// Forecast numbers with tools.
    Series(SeriesSettings) = "series",
    /// Write a program that draws a picture as asked for.
    Scene(SceneSettings) = "scene",
    /// Whatever runs elsewhere: an OpenEnv server, or a program that speaks JSON lines.
    Bridge(BridgeSettings) = "bridge",
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

/// What a purchase in the shop earns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rewarded {
    /// `win_reward` if it is perfect, else nothing.
    #[default]
    Win,
    /// Its score times `win_reward`.
    Score,
}

/// How levels of Sokoban are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// As verl-agent makes them, from the same seeds: 65,536 for training.
    #[default]
    Exact,
    /// Our own: without end, and each can be solved in `max_moves`.
    Fast,
}

/// Where the model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The first GPU where there is one and the program was built for it, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// The GPU of that number.
    Cuda(usize),
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match (text.as_str(), number) {
            ("auto", _) => Ok(Device::Auto),
            ("cpu", _) => Ok(Device::Cpu),
            (_, Some(number)) => Ok(Device::Cuda(number)),
            _ => Err(format!("`{text}` is not a device, expected `auto`, `cpu` or `cuda:0`")),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        match device {
            Device::Auto => "auto".into(),
            Device::Cpu => "cpu".into(),
            Device::Cuda(number) => format!("cuda:{number}"),
        }
    }
}

impl LoraSettings {
    /// The adapters, as the engine takes them; `None` = all parameters are trained.
    pub fn adapters(&self) -> Option<Lora> {
        let lora = Lora { rank: self.rank as usize, alpha: self.alpha, targets: self.targets.clone() };
        (self.rank > 0).then_some(lora)
    }
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
    /// Skills without a condition, and the first group all of whose keywords are in the goal.
    KeywordAll,
    /// As `keyword-any`, inside words too.
    KeywordSubstring,
    /// Skills without a condition, and the group that is named in the task type.
    TaskType,
    /// What has served best so far, with a bonus for what was seldom tried.
    Ucb,
    /// The whole bank.
    Full,
    /// A seeded random choice (control).
    Random,
    /// The best match of words.
    Bm25,
    /// The nearest in the policy's own hidden states.
    Embedding,
    /// No skills: teacher and student read the same prompt (control).
    None,
}

impl SkillSettings {
    /// The way to choose and to show, as the skill book takes it.
    pub fn way(&self) -> skill::Way {
        let n = self.top_k as usize;
        let retrieval = match self.retrieval {
            Retrieval::Keyword => skill::Retrieval::Keyword,
            Retrieval::KeywordAny => skill::Retrieval::KeywordAny,
            Retrieval::KeywordAll => skill::Retrieval::KeywordAll,
            Retrieval::KeywordSubstring => skill::Retrieval::KeywordSubstring,
            Retrieval::TaskType => skill::Retrieval::TaskType,
            Retrieval::Ucb => skill::Retrieval::Ucb { n: self.ucb_count as usize, c: self.ucb_c },
            Retrieval::Full => skill::Retrieval::Full,
            Retrieval::Random => skill::Retrieval::Random { n: self.random_count as usize },
            Retrieval::Bm25 => skill::Retrieval::Bm25 { n },
            Retrieval::Embedding => skill::Retrieval::Embedding { n, least: self.min_similarity },
            Retrieval::None => skill::Retrieval::None,
        };
        let (placement, layout, decay) = (self.placement, self.layout, self.evolve.decay);
        skill::Way { retrieval, placement, layout, decay }
    }
}

/// Who makes skills of finished episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Summariser {
    /// Nobody: the bank is what its files say.
    #[default]
    None,
    /// The deterministic episode distiller; no language model.
    Distiller,
    /// A language model behind an OpenAI-compatible endpoint; the distiller where it fails.
    Endpoint,
    /// The policy that is trained; the distiller where it answers in another form.
    Policy,
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

/// Who judges turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgeBy {
    /// Nobody: methods that ask for a judge are refused.
    #[default]
    None,
    /// The policy that is trained.
    #[serde(rename = "self")]
    Own,
    /// A model behind an OpenAI-compatible server.
    Endpoint,
    /// The environment's expert, who knows the hidden state: for tests and upper bounds.
    Oracle,
}

/// Fires when a metric stays past a limit. With none of `above`, `below` and `falls`: when it is not a finite number.
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
    /// Breached while the mean of its last ten values is lower by more than this, > 0, than the highest such mean before:
    /// a trend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub falls: Option<f64>,
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
        falls: None,
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
            ..rule("gap/start_rms", 3, Level::Warn, "the teacher's prompt seems to equal the student's")
        },
        AlertRule {
            above: Some(0.0),
            ..rule(
                "skills/lost_tokens",
                1,
                Level::Warn,
                "skill text did not fit the teacher's prompt and was left out, see `skills.budget_tokens`",
            )
        },
        AlertRule {
            above: Some(0.0),
            ..rule("optim/skipped", 1, Level::Warn, "a gradient was not finite, its update was skipped")
        },
        AlertRule {
            below: Some(-1.0),
            ..rule(
                "gap/mean",
                5,
                Level::Warn,
                "the teacher disagrees with most of what the student says: its context may not fit",
            )
        },
        AlertRule {
            falls: Some(0.1),
            ..rule(
                "gap/mean",
                3,
                Level::Warn,
                "the teacher disagrees more and more: its skills do not serve, or the student overfits",
            )
        },
        AlertRule {
            above: Some(1.0),
            ..rule(
                "grad/aux_to_rl",
                3,
                Level::Warn,
                "the gradient of distillation outweighs that of the reward, lower its `coef`",
            )
        },
        AlertRule {
            above: Some(0.3),
            ..rule(
                "clip/fraction",
                5,
                Level::Warn,
                "updates leave the old policy far behind, lower `optim.lr` or `minibatches`",
            )
        },
        AlertRule {
            above: Some(0.5),
            ..rule(
                "rollout/cut_share",
                5,
                Level::Warn,
                "most replies reach a limit: they grow, or `max_new_tokens` is small",
            )
        },
        AlertRule {
            below: Some(0.005),
            ..rule("entropy/mean", 10, Level::Warn, "the policy hardly varies any more, groups will stop differing")
        },
        AlertRule {
            above: Some(0.05),
            ..rule("leak/share", 3, Level::Warn, "replies quote what only the teacher has read")
        },
        AlertRule {
            above: Some(0.5),
            ..rule(
                "judge/unread",
                2,
                Level::Warn,
                "most answers of the judge cannot be read, their episodes are not judged",
            )
        },
        AlertRule {
            above: Some(0.0),
            ..rule("env/errors", 1, Level::Warn, "environments failed, their episodes are left out")
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
        /// Model folder (`config.json`, `*.safetensors`, `tokenizer.json`, chat template), `.gguf` file, folder of
        /// adapters as PEFT writes them (which are trained on then), or hub id such as `Qwen/Qwen3-0.6B` (perhaps
        /// `@revision`), taken from the local Hugging Face cache.
        pub path: String = "runs/starter/model".into(), NextRun;
        /// `auto` (the first GPU if there is one and the program was built for it, else the CPU), `cpu` or `cuda:0`.
        pub device: Device = Device::Auto, NextRun;
        /// Precision of the weights that compute: `f32`, or `bf16` (the nearest bf16 numbers to f32 master weights).
        /// Gradients and optimiser are f32 in both.
        pub dtype: Dtype = Dtype::F32, NextRun;
        with lora: LoraSettings;
    }

    /// Low-rank adapters: the model is frozen and only they are trained.
    pub struct LoraSettings in "model.lora" {
        /// Rank of the adapters; 0 = no adapters, all parameters are trained.
        pub rank: u32 = 0, NextRun;
        /// The adapters are scaled by alpha / rank, > 0.
        pub alpha: f64 = 32.0, NextRun;
        /// Matrices that get an adapter: `q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`, `up_proj`, `down_proj`.
        pub targets: Vec<Projection> = Projection::ALL.to_vec(), NextRun;
    }

    /// The household environment: put, clean, heat, cool and examine things in the rooms of a house.
    pub struct HouseholdSettings in "env.household" {
        /// Real ALFWorld games to play: a folder in the layout of `$ALFWORLD_DATA` (which may be written so), one
        /// `game.tw-pddl`, or a file of games, one JSON object a line, `.gz` or not. Empty = games made here.
        pub games: String = String::new(), NextRun;
        /// `small` (few things, learnt in minutes) or `full` (as many as the published benchmark).
        pub rooms: Rooms = Rooms::Small, NextRun;
        /// Turns after which an episode ends as lost, >= 1; >= 16 for games made here, of which only those are dealt whose
        /// shortest solution takes half of it.
        pub max_turns: u32 = 20, NextRun;
        /// Taken from the return of a row for every reply without the required form, >= 0; 0 = such replies cost nothing.
        pub invalid_penalty: f64 = 0.1, NextRun;
        /// Reward of reaching the goal, > 0. Every other action gives 0.
        pub win_reward: f64 = 10.0, NextRun;
        /// Style of prompts and replies: a table `[prompt.NAME]` of `envs/household.toml`.
        pub style: String = "verl-agent".into(), NextRun;
    }

    /// The Sokoban environment: push every box onto a target. Rewards are verl-agent's: -0.1 a move, 1 for a box put on
    /// a target and -1 for one taken off, 10 for the last.
    pub struct SokobanSettings in "env.sokoban" {
        /// `exact` (verl-agent's levels, from the same seeds) or `fast` (our own, each solvable in `max_moves`).
        pub generator: Generator = Generator::Exact, NextRun;
        /// Levels to play instead: a file in Boxoban's form, `.gz` or not, or a folder of files with `train`, `valid`
        /// and `test` in their paths. Empty = levels made here.
        pub levels: String = String::new(), NextRun;
        /// Rows, walls included, 4 to 16.
        pub height: u32 = 6, NextRun;
        /// Columns, walls included, 4 to 16.
        pub width: u32 = 6, NextRun;
        /// Boxes, 1 to 4.
        pub boxes: u32 = 1, NextRun;
        /// Depth of the exact generator's search, 2 to 200: how far a box may be from its target.
        pub search_depth: u32 = 30, NextRun;
        /// Turns after which an episode ends as lost, >= 1.
        pub max_turns: u32 = 15, NextRun;
        /// Moves after which it ends as lost, >= 1; a turn in the style `ragen` has several.
        pub max_moves: u32 = 15, NextRun;
        /// Taken from the return of a row for every reply without the required form, >= 0; 0 = such replies cost nothing.
        pub invalid_penalty: f64 = 0.1, NextRun;
        /// Style of prompts and replies: `verl-agent`, `ragen`, or another table `[prompt.NAME]` of `envs/sokoban.toml`.
        pub style: String = "verl-agent".into(), NextRun;
    }

    /// The shop environment: find what an instruction asks for, choose its options, buy it (the pages of WebShop).
    pub struct ShopSettings in "env.shop" {
        /// Products of the generated catalogue, >= 1. Not used with `products`.
        pub size: u64 = 1000, NextRun;
        /// Seed of the generated catalogue; with `products`, of WebShop's prices, goals and their order.
        pub seed: u64 = 0, NextRun;
        /// WebShop's file of products, e.g. `data/items_shuffle_1000.json`; empty = the generated catalogue.
        pub products: String = String::new(), NextRun;
        /// WebShop's file of attributes and instructions; empty = `items_ins_v2*.json` beside `products`.
        pub attributes: String = String::new(), NextRun;
        /// WebShop's file of instructions written by people (`items_human_ins.json`); empty = the synthetic ones.
        pub human: String = String::new(), NextRun;
        /// JSON object, product code to the nouns of its title; empty = `title_nouns*.json` beside `products`, or words.
        pub nouns: String = String::new(), NextRun;
        /// Share of the items that only `valid-unseen` asks for, in [0, 1); 0 = WebShop's own splits, no `valid-unseen`.
        pub held_out: f64 = 0.1, NextRun;
        /// Results on a page, >= 1; WebShop has 10.
        pub page_size: u64 = 10, NextRun;
        /// Turns after which an episode ends as lost, >= 4.
        pub max_turns: u32 = 15, NextRun;
        /// Taken from the return of a row for every reply without the required form, >= 0; 0 = such replies cost nothing.
        pub invalid_penalty: f64 = 0.1, NextRun;
        /// Reward of a perfect purchase, > 0.
        pub win_reward: f64 = 10.0, NextRun;
        /// `win` (only a perfect purchase is rewarded, verl-agent) or `score` (every purchase, by WebShop's score).
        pub reward: Rewarded = Rewarded::Win, NextRun;
        /// Style of prompts and replies: a table `[prompt.NAME]` of `envs/shop.toml`.
        pub style: String = "verl-agent".into(), NextRun;
    }

    /// The search environment: answer a question by looking things up (the interface of Search-R1).
    pub struct SearchSettings in "env.search" {
        /// Generated passages, about, >= 1. Not used with `questions`.
        pub passages: u64 = 2000, NextRun;
        /// Seed of the generated passages and questions.
        pub seed: u64 = 0, NextRun;
        /// File of questions (Search-R1, NQ-open, HotpotQA or MuSiQue form); empty = generated ones.
        pub questions: String = String::new(), NextRun;
        /// File of passages (JSON lines or TSV); empty = those that come with the questions, or the generated ones.
        pub corpus: String = String::new(), NextRun;
        /// Address of a retrieval server in Search-R1's form, e.g. `http://127.0.0.1:8000/retrieve`; empty = own index.
        pub retriever: String = String::new(), NextRun;
        /// Seconds to wait for the server, > 0. A slower answer is an environment error, not a lost game.
        pub timeout: f64 = 30.0, NextRun;
        /// Passages that a search shows, >= 1.
        pub top_k: u64 = 3, NextRun;
        /// Share of the generated lands that only `valid-unseen` asks about, in [0, 1); 0 = no `valid-unseen`.
        pub held_out: f64 = 0.2, NextRun;
        /// Turns after which an episode ends as lost, >= 1.
        pub max_turns: u32 = 4, NextRun;
        /// Taken from the return of a row for every reply without the required form, >= 0; 0 = such replies cost nothing.
        pub invalid_penalty: f64 = 0.01, NextRun;
        /// Reward of the right answer, > 0. Every other action gives 0.
        pub win_reward: f64 = 1.0, NextRun;
        /// Style of prompts and replies: `verl-agent`, `search-r1`, or another `[prompt.NAME]` of `envs/search.toml`.
        pub style: String = "verl-agent".into(), NextRun;
    }

    /// The apps environment: do what someone asks for in their everyday apps, by writing code (of AppWorld's kind).
    pub struct AppsSettings in "env.apps" {
        /// 1 (one app), 2 (looking things up first), 3 (several apps, conditions); 0 = all three.
        pub difficulty: u32 = 0, NextRun;
        /// Seed of the people and their data.
        pub seed: u64 = 0, NextRun;
        /// Turns after which an episode ends as lost, >= 1.
        pub max_turns: u32 = 16, NextRun;
        /// Taken from the return of a row for every reply without the required form, >= 0; 0 = such replies cost nothing.
        pub invalid_penalty: f64 = 0.1, NextRun;
        /// Reward of a solved task, > 0. Every other action gives 0.
        pub win_reward: f64 = 10.0, NextRun;
        /// Style of prompts and replies: a table `[prompt.NAME]` of `envs/apps.toml`.
        pub style: String = "verl-agent".into(), NextRun;
    }

    /// The series environment: forecast numbers with tools, measured by error (of TimeClaw's kind).
    pub struct SeriesSettings in "env.series" {
        /// CSV file whose columns of numbers are series; empty = generated ones.
        pub data: String = String::new(), NextRun;
        /// Seed of the series, or of the stretches of the file's columns.
        pub seed: u64 = 0, NextRun;
        /// Values that are shown, 8 to 500, more than `horizon`.
        pub history: u32 = 48, NextRun;
        /// Values to be forecast, 1 to 50.
        pub horizon: u32 = 6, NextRun;
        /// Chance that a method is withheld in a task, in [0, 1); 0 = all are there.
        pub dropout: f64 = 0.0, NextRun;
        /// Turns after which an episode ends as lost, >= 1.
        pub max_turns: u32 = 8, NextRun;
        /// Taken from the return of a row for every reply without the required form, >= 0; 0 = such replies cost nothing.
        pub invalid_penalty: f64 = 0.1, NextRun;
        /// Reward of a perfect submission, > 0; others give this times their score.
        pub win_reward: f64 = 10.0, NextRun;
        /// Style of prompts and replies: a table `[prompt.NAME]` of `envs/series.toml`.
        pub style: String = "verl-agent".into(), NextRun;
    }

    /// The scene environment: write a program that draws a picture as asked for (of GenEvolve's kind).
    pub struct SceneSettings in "env.scene" {
        /// Seed of the tasks.
        pub seed: u64 = 0, NextRun;
        /// Conditions on places and sizes, 0 to 6, beside those on numbers and colours.
        pub relations: u32 = 2, NextRun;
        /// Whether the answer to a program says which conditions do not hold yet; if not, only how many do.
        pub feedback: bool = true, NextRun;
        /// Turns after which an episode ends as lost, >= 1.
        pub max_turns: u32 = 8, NextRun;
        /// Taken from the return of a row for every reply without the required form, >= 0; 0 = such replies cost nothing.
        pub invalid_penalty: f64 = 0.1, NextRun;
        /// Reward of a picture that meets all conditions, > 0; others give this times their score.
        pub win_reward: f64 = 10.0, NextRun;
        /// Style of prompts and replies: a table `[prompt.NAME]` of `envs/scene.toml`.
        pub style: String = "verl-agent".into(), NextRun;
    }

    /// The bridge: an environment on an OpenEnv server, or a program of one's own.
    pub struct BridgeSettings in "env.bridge" {
        /// Which table `[server.NAME]` of `envs/bridge.toml` describes the environment.
        pub server: String = "sdlab".into(), NextRun;
        /// Address in place of the table's, e.g. `ws://127.0.0.1:8000/ws`; empty = the table's.
        pub url: String = String::new(), NextRun;
        /// Most sessions at a time, >= 1. More games than that wait for one another.
        pub sessions: u32 = 256, NextRun;
        /// Seconds to wait for an answer, > 0. A slower one is an environment error, not a lost game.
        pub timeout: f64 = 30.0, NextRun;
        /// Seconds to wait for a session while all are in use and nothing happens, > 0.
        pub wait: f64 = 600.0, NextRun;
        /// How often a session that is lost before its game begins is opened again; 0 = never.
        pub retries: u32 = 3, NextRun;
        /// File to which every episode is appended, one a line; empty = none.
        pub record: String = String::new(), NextRun;
        /// File of recorded episodes to play back in place of the server; empty = the server.
        pub replay: String = String::new(), NextRun;
        /// Turns after which an episode ends as lost, >= 1.
        pub max_turns: u32 = 50, NextRun;
        /// Taken from the return of a row for every reply without the required form, >= 0; 0 = such replies cost nothing.
        pub invalid_penalty: f64 = 0.1, NextRun;
        /// Style of prompts and replies: a table `[prompt.NAME]` of `envs/bridge.toml`.
        pub style: String = "plain".into(), NextRun;
    }

    /// The skills that the teacher reads and the student does not.
    pub struct SkillSettings in "skills" {
        /// Folder of skill files; empty = the run starts with an empty bank.
        pub bank: String = "skills/household".into(), NextRun;
        /// `keyword` (and its variants `keyword-any`, `keyword-all`, `keyword-substring`, `task-type`), `ucb`, `bm25`,
        /// `embedding` (the policy's own hidden states), `full`, `random` or `none` (a control: the teacher reads the
        /// student's prompt).
        pub retrieval: Retrieval = Retrieval::Keyword, NextStep;
        /// With `random`: skills drawn for an episode; more than the bank has = all of it, 0 = none.
        pub random_count: u32 = 6, NextStep;
        /// With `bm25` and `embedding`: skills chosen for an episode; 0 = none.
        pub top_k: u32 = 6, NextStep;
        /// With `embedding`: least cosine similarity to the goal, in [-1, 1], of vectors centred on the bank.
        pub min_similarity: f64 = 0.0, NextStep;
        /// With `ucb`: skills chosen for an episode (the papers choose one); 0 = none.
        pub ucb_count: u32 = 1, NextStep;
        /// With `ucb`: weight of the bonus for what was seldom tried, >= 0 (not printed in any paper); 0 = none.
        pub ucb_c: f64 = 1.0, NextStep;
        /// `user-slot` (inside the user message), `prefix-raw` (before the rendered prompt, as SDAR's code does), `system`
        /// (a system message) or `at-turn` (before what the user says, in every turn).
        pub placement: Placement = Placement::UserSlot, NextStep;
        /// `compact` (the text), `titled` (with its title) or `full` (with the analyses of its author).
        pub layout: skill::Layout = skill::Layout::Compact, NextStep;
        /// Most tokens of skill text in one prompt; 0 = no limit but the model's context.
        pub budget_tokens: u32 = 256, NextStep;
        with learn: LearnSettings;
        with evolve: EvolveSettings;
    }

    /// Skills made of the run's own finished episodes, successful or failed, while training goes on.
    pub struct LearnSettings in "skills.learn" {
        /// `none`, `distiller` (deterministic, no language model), `endpoint` (OpenAI-compatible) or `policy` (the model
        /// that is trained).
        pub author: Summariser = Summariser::None, NextRun;
        /// What the distiller writes: `lessons` (single sentences, conditioned on a word of the goal) or `workflow` (one
        /// skill a task type with success analysis, mistake analysis and golden workflow, as language models do).
        pub form: skill::Form = skill::Form::Lessons, NextRun;
        /// What of a group becomes skills: `none`, `siblings` (a success and a failure), `best-worst` (scores at least 0.2
        /// apart) or `ranked` (the best against all that are 0.2 behind).
        pub contrast: skill::Contrast = skill::Contrast::None, NextRun;
        /// Most episodes that wait for their author; when there are more, the oldest are passed over and counted. >= 1.
        pub backlog: u32 = 256, NextRun;
        /// With `endpoint`: address up to `/v1`.
        pub base_url: String = "http://127.0.0.1:8000/v1".into(), NextRun;
        /// With `endpoint`: name of the model it is asked for.
        pub model: String = String::new(), NextRun;
        /// With `endpoint`: environment variable that holds the key; empty = no key is sent.
        pub key_env: String = String::new(), NextRun;
        /// With `endpoint`: seconds to wait for one answer, > 0.
        pub timeout: f64 = 60.0, NextRun;
        /// With `endpoint`: further attempts after a failed one; 0 = none. Then the distiller does it.
        pub retries: u32 = 2, NextRun;
        /// With `endpoint`: seconds before the first further attempt, twice as long before each next one; 0 = at once.
        pub backoff: f64 = 1.0, NextRun;
        /// With `endpoint`: requests at a time, >= 1.
        pub concurrent: u32 = 4, NextRun;
        /// With `policy`: episodes of a step that are summarised (the policy cannot play meanwhile); 0 = none.
        pub per_step: u32 = 4, NextRun;
        /// Most tokens of one answer, >= 1.
        pub max_tokens: u32 = 400, NextRun;
    }

    /// How the learned part of the bank changes: what it takes in, and what it lets go of.
    pub struct EvolveSettings in "skills.evolve" {
        /// Most learned skills; of more, those of least use go first. 0 = no limit.
        pub max_skills: u32 = 200, NextStep;
        /// Task types whose success stays below this get new skills from their failures (SkillRL: 0.4); 0 = none do.
        pub below: f64 = 0.4, NextStep;
        /// Steps between those updates; 0 = none.
        pub every: u64 = 5, NextStep;
        /// Weight of the newest comparison in a skill's utility, in (0, 1] (UCOB: 0.2).
        pub decay: f64 = 0.2, NextStep;
        /// A skill whose utility falls below this is retired, whoever wrote it, in [-1, 1]. -1 = none is.
        pub retire_below: f64 = -0.1, NextStep;
        /// Comparisons before a skill can be retired.
        pub min_trials: u32 = 3, NextStep;
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
        /// Only the most likely tokens are drawn, so many; 0 = all. With this or one of the next two, replies come from
        /// a narrower distribution than the one that is trained; `rollout/kept_mass` says how much narrower.
        pub top_k: u32 = 0, NextStep;
        /// Only the most likely tokens that together have this probability are drawn, in (0, 1]; 1 = all.
        pub top_p: f64 = 1.0, NextStep;
        /// Only tokens at least this many times as likely as the most likely one are drawn, in [0, 1]; 0 = all.
        pub min_p: f64 = 0.0, NextStep;
        /// Strings that close a reply, e.g. `["</action>"]`, beside the model's end-of-turn token.
        pub stop: Vec<String> = vec![], NextStep;
        /// Most replies sampled side by side; 0 = all of a step. It changes memory and speed, never a result.
        pub concurrent: u32 = 0, NextStep;
        /// Most memory of the KV cache in MiB; replies that do not fit wait. 0 = no limit.
        pub cache_mb: u32 = 4096, NextStep;
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
        /// Whether only layer inputs are kept for the backward pass and the rest is computed again: `on` (less memory, more
        /// time, the same gradient), `off`, or `auto` (as memory allows).
        pub checkpoint_layers: Checkpointing = Checkpointing::Auto, NextRun;
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
        /// Only the most likely tokens are drawn, so many; 0 = all.
        pub top_k: u32 = 0, NextRun;
        /// Only the most likely tokens that together have this probability are drawn, in (0, 1]; 1 = all.
        pub top_p: f64 = 1.0, NextRun;
        /// Only tokens at least this many times as likely as the most likely one are drawn, in [0, 1]; 0 = all.
        pub min_p: f64 = 0.0, NextRun;
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
        /// Whether a skill-reading teacher scores the tokens although the method has none, so that lenses can show methods
        /// that have one; costs a forward pass.
        pub teacher: bool = false, NextRun;
        /// Whether the initial weights score the tokens although the method has no reference; costs a forward pass.
        pub reference: bool = false, NextRun;
        /// Likely tokens recorded per position under both views, where there is a teacher; 0 = those of the method, if any.
        pub top_k: u32 = 0, NextRun;
        /// Steps between comparisons of the gradient that the reward asks for with the one that distillation asks for
        /// (`grad/aux_to_rl`, `grad/cosine`), in a step's first update; each costs one more forward and backward pass of
        /// it. 0 = never.
        pub gradients: u64 = 10, NextRun;
    }

    /// The judge of turns, for methods that ask one.
    pub struct JudgeSettings in "judge" {
        /// `none`, `self` (the policy), `endpoint` (an OpenAI-compatible server) or `oracle` (the environment's expert, for
        /// tests; named as a substitution).
        pub by: JudgeBy = JudgeBy::None, NextRun;
        /// Address of the server up to its version, e.g. `http://127.0.0.1:8000/v1`. Plain HTTP.
        pub url: String = String::new(), NextRun;
        /// Name of its model.
        pub model: String = String::new(), NextRun;
        /// Seconds to wait for an answer, > 0; a slower one fails the step.
        pub timeout: f64 = 120.0, NextRun;
        /// Most tokens of an answer, >= 1.
        pub max_tokens: u32 = 512, NextRun;
    }

    /// Alerts: rules over the metrics of a step.
    pub struct AlertSettings in "alerts" {
        /// Each rule has `metric`, one of `above`, `below` and `falls` (by how much the mean of ten steps is lower than the
        /// highest before; none of them: fires when the value is not finite), `for` (breached steps in a row until it
        /// fires, default 1), `level` (`info`, `warn`, `error`; an `error` rule that fired
        /// makes the exit code 3) and `note` (what it means). An empty list = no alerts.
        pub rules: Vec<AlertRule> = default_rules(), Live;
    }
}

#[cfg(test)]
mod tests {
    use super::{Recipe, TABLES};
    use crate::config::diff::leaves;
    use crate::config::fields::method_doc;
    use crate::config::{Overrides, parse, parse_alone};
    use crate::env::{KINDS, open_world};
    use crate::method::METHODS;

    #[test]
    fn the_manual_and_the_serialised_default_have_the_same_keys() {
        for kind in KINDS {
            let recipe = of_kind(kind.name);
            let own = format!("env.{}", kind.name);
            let tables = TABLES.iter().filter(|t| !t.name.starts_with("env.") || t.name == own);
            let mut manual: Vec<String> = tables.flat_map(|t| t.fields).map(|f| f.key.to_owned()).collect();
            let mut written: Vec<String> =
                leaves(&recipe).into_keys().filter(|key| !key.starts_with("method")).collect();
            manual.sort();
            written.sort();
            assert_eq!(manual, written);
        }
    }

    /// The defaults of the recipe's table are those of the environment itself.
    #[test]
    fn every_environment_takes_its_settings() {
        for kind in KINDS {
            let recipe = of_kind(kind.name);
            let world = open_world(kind.name, &recipe.env.table()).unwrap_or_else(|e| panic!("{e:#}"));
            let plain = open_world(kind.name, &toml::Table::new()).unwrap();
            assert_eq!((world.max_turns(), world.invalid_penalty()), (plain.max_turns(), plain.invalid_penalty()));
            assert_eq!(world.style(), plain.style());
        }
    }

    fn of_kind(name: &str) -> Recipe {
        let overrides = Overrides { set: vec![format!("env.{name}={{}}")], ..Overrides::default() };
        let recipe = parse("r", "", &overrides).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(recipe.env.name(), name);
        recipe
    }

    #[test]
    fn every_constant_of_every_method_is_explained() {
        for method in METHODS {
            let overrides = Overrides { set: vec![format!("method.{}={{}}", method.name)], ..Overrides::default() };
            let recipe = parse_alone("r", "", &overrides).unwrap();
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
