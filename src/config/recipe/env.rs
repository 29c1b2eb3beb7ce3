//! `[env.*]`: which environment is played, and how.

use serde::{Deserialize, Serialize};

use crate::config::fields::tables;

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

tables! {
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
