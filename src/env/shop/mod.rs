//! Shop: find what an instruction asks for, choose its options, buy it.
//!
//! The pages, the search and the reward are WebShop's (Yao et al., 2022), in the text form of verl-agent,
//! re-implemented and checked against recordings of the original. The goods are our own: a seeded generator
//! ([`generate`]) over the words in `envs/shop.toml`. WebShop's product and goal files load too ([`webshop`]).

pub mod expert;
pub mod fuzz;
pub mod generate;
pub mod goal;
pub mod lexicon;
pub mod page;
pub mod product;
pub mod reward;
pub mod webshop;

mod pool;

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde::Deserialize;

use self::goal::Goal;
use self::page::{Page, SEP, Session};
use self::pool::Pool;
use self::product::Catalogue;
use self::reward::{Reward, reward};
use super::pyjson::quote_for_page;
use super::{Env, Step, Terms, World, parse_id, task_id};
use crate::core::{Split, Task};

/// Name of this kind of environment.
pub const KIND: &str = "shop";

/// The text of `envs/shop.toml`.
pub const TEXT: &str = lexicon::TEXT;

/// Settings of the shop, `[env.shop]`. A task id names the same task only under the same settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Products of the generated catalogue, at least 1.
    pub size: usize,
    /// Seed of the generated catalogue, or of prices, goals and their order with WebShop's files.
    pub seed: u64,
    /// WebShop's product file; empty = the generated catalogue.
    pub products: String,
    /// WebShop's file of attributes and instructions; empty = the one beside `products`.
    pub attributes: String,
    /// WebShop's file of instructions written by people; empty = the synthetic ones.
    pub human: String,
    /// File of the nouns of titles; empty = the one beside `products`, or none.
    pub nouns: String,
    /// Share of the items that only `valid-unseen` wants, in [0, 1); 0 = WebShop's own splits, and no such tasks.
    pub held_out: f64,
    /// Results on a page, at least 1.
    pub page_size: usize,
    /// Most turns of an episode, at least 4.
    pub max_turns: usize,
    /// Taken from the reward of a turn whose reply has not the required form; 0 = no penalty.
    pub invalid_penalty: f32,
    /// Reward of a perfect purchase.
    pub win_reward: f32,
    /// What else is rewarded.
    pub reward: Rewarded,
    /// Style of prompts and replies: a table `[prompt.<style>]` of `envs/shop.toml`.
    pub style: String,
}

/// What a purchase earns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rewarded {
    /// `win_reward` if it is perfect, else nothing (verl-agent).
    Win,
    /// Its score times `win_reward` (WebShop).
    Score,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            size: 1000,
            seed: 0,
            products: String::new(),
            attributes: String::new(),
            human: String::new(),
            nouns: String::new(),
            held_out: 0.1,
            page_size: 10,
            max_turns: 15,
            invalid_penalty: 0.1,
            win_reward: 10.0,
            reward: Rewarded::Win,
            style: "verl-agent".to_owned(),
        }
    }
}

/// The shop as a supply of tasks.
pub struct ShopWorld {
    settings: Settings,
    shop: Arc<Floor>,
    pool: Pool,
}

/// What all games in a shop share.
#[derive(Debug)]
struct Floor {
    catalogue: Catalogue,
    page_size: usize,
    win_reward: f32,
    reward: Rewarded,
}

impl ShopWorld {
    /// Builds the world. Fails if a setting is out of range or a file is malformed.
    pub fn new(settings: Settings) -> Result<ShopWorld> {
        let Settings { size, held_out, page_size, max_turns, invalid_penalty, .. } = settings;
        ensure!(size >= 1, "`size` is 0; a shop needs a product");
        ensure!((0.0..1.0).contains(&held_out), "`held_out` is {held_out}; use at least 0 and less than 1");
        ensure!(page_size >= 1, "`page_size` is 0; a page needs a result");
        ensure!(max_turns >= 4, "`max_turns` is {max_turns}; nothing can be bought with options in less than 4");
        Terms { max_turns, invalid_penalty, style: &settings.style }.check()?;
        let (pool, catalogue) = Pool::open(&settings)?;
        let shop = Floor { catalogue, page_size, win_reward: settings.win_reward, reward: settings.reward };
        Ok(ShopWorld { settings, shop: Arc::new(shop), pool })
    }

    /// Builds the world from its settings table. Fails on an unknown or ill-typed setting.
    pub fn from_table(settings: &toml::Table) -> Result<ShopWorld> {
        ShopWorld::new(settings.clone().try_into()?)
    }

    /// The shelf.
    pub fn catalogue(&self) -> &Catalogue {
        &self.shop.catalogue
    }

    /// The errand of a task. Fails if there is no such task.
    pub fn goal(&self, split: Split, index: u64) -> Result<Goal> {
        self.check(split, index)?;
        self.pool.goal(split, index)
    }

    /// Starts an errand as the concrete type.
    pub fn start(&self, goal: Goal) -> Shop {
        let mut shop = Shop {
            shop: Arc::clone(&self.shop),
            goal: Arc::new(goal),
            session: Session::new(),
            observation: String::new(),
            bought: None,
        };
        shop.observation = shop.seen();
        shop
    }
}

impl World for ShopWorld {
    fn kind(&self) -> &str {
        KIND
    }

    fn size(&self, split: Split) -> u64 {
        self.pool.size(split)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task> {
        let goal = self.goal(split, index)?;
        Ok(Task { id: task_id(KIND, split, index), kind: goal.query, goal: goal.text })
    }

    fn open(&self, task: &Task) -> Result<Box<dyn Env>> {
        let (split, index) = parse_id(KIND, &task.id)?;
        Ok(Box::new(self.start(self.goal(split, index)?)))
    }

    fn terms(&self) -> Terms<'_> {
        let Settings { max_turns, invalid_penalty, ref style, .. } = self.settings;
        Terms { max_turns, invalid_penalty, style }
    }
}

/// One errand in progress. A copy is cheap: the shop is shared.
#[derive(Clone, Debug)]
pub struct Shop {
    shop: Arc<Floor>,
    goal: Arc<Goal>,
    session: Session,
    observation: String,
    bought: Option<Reward>,
}

impl Shop {
    /// What is to be bought.
    pub fn goal(&self) -> &Goal {
        &self.goal
    }

    /// The reward of the purchase with its parts, once something is bought.
    pub fn bought(&self) -> Option<&Reward> {
        self.bought.as_ref()
    }

    /// The whole page as WebShop's text mode shows it, instruction included.
    pub fn page(&self) -> String {
        let mut page = match self.session.page() {
            Page::Receipt => return self.receipt(),
            Page::Front => format!("WebShop{SEP}"),
            _ => String::new(),
        };
        page.push_str(&format!("Instruction:{SEP}{}", self.goal.text));
        self.texts(|text| {
            page.push_str(SEP);
            page.push_str(text);
        });
        page
    }

    /// The page as verl-agent shows it: less the instruction, each text in quotes.
    fn seen(&self) -> String {
        if self.session.page() == Page::Receipt {
            return self.receipt();
        }
        let mut page = String::new();
        self.texts(|text| {
            page.push_str(if page.is_empty() { "'" } else { " [SEP] '" });
            page.push_str(text);
            page.push('\'');
        });
        page
    }

    fn texts(&self, mut each: impl FnMut(&str)) {
        self.session.texts(&self.shop.catalogue, self.shop.page_size, |text| match text.trim() {
            "" => {}
            text => each(text),
        });
    }

    /// WebShop's page after a purchase: a questionnaire with most of its fields unset.
    fn receipt(&self) -> String {
        let product = self.session.item().map(|item| &self.shop.catalogue.products()[item]);
        let mut chosen = product.map(|product| self.session.chosen(product)).unwrap_or_default();
        chosen.sort_unstable();
        let pair = |(name, value): (&str, &str)| format!("{}: {}", quote_for_page(name), quote_for_page(value));
        let options = chosen.into_iter().map(pair).collect::<Vec<_>>().join(", ");
        let asin = product.map_or("", |product| &product.asin);
        let score = self.bought.as_ref().map_or(0.0, |reward| reward.total);
        let texts = [
            "Thank you for shopping with us!",
            "Your code:",
            "None",
            "(Paste it in your MTurk interface.)",
            "Purchased",
            "asin",
            asin,
            "options",
            &format!("{{{options}}}"),
            "attrs",
            "None",
            "category",
            "None",
            "query",
            "None",
            "product category",
            "None",
            "Target",
            "asin",
            "options",
            "attrs",
            "price upper",
            "instuction text",
            "category",
            "product category",
            "query",
            "Goal",
            "None",
            "Reward",
            "Your score (min 0.0, max 1.0)",
            &format!("{score:?}"),
            "Reward Details",
            "None",
        ];
        texts.join(SEP)
    }

    /// Rewards the purchase that was just made.
    fn settle(&mut self) -> f64 {
        let products = self.shop.catalogue.products();
        let Some(item) = self.session.item() else { return 0.0 };
        let chosen: Vec<&str> = self.session.chosen(&products[item]).into_iter().map(|(_, value)| value).collect();
        let earned = reward(&products[item], &chosen, &self.goal, &products[self.goal.item]);
        self.bought.insert(earned).total
    }
}

impl Env for Shop {
    fn observation(&self) -> &str {
        &self.observation
    }

    fn step(&mut self, action: &str) -> Step {
        let before = self.bought.is_some();
        let (valid, effective) = self.session.act(&self.shop.catalogue, self.shop.page_size, action);
        let mut gained = 0.0;
        if self.session.page() == Page::Receipt && !before {
            gained = self.settle();
        }
        if effective {
            self.observation = self.seen();
        }
        let score = self.bought.as_ref().map_or(0.0, |reward| reward.total);
        let won = score == 1.0;
        let reward = match self.shop.reward {
            Rewarded::Win if won && !before => self.shop.win_reward,
            Rewarded::Win => 0.0,
            Rewarded::Score => gained as f32 * self.shop.win_reward,
        };
        let done = self.bought.is_some();
        Step { observation: self.observation.clone(), reward, done, won, score: score as f32, effective, valid }
    }

    /// In page order, as the original lists them.
    fn admissible(&self) -> Vec<String> {
        let front = matches!(self.session.page(), Page::Front | Page::Receipt);
        let search = front.then(|| "search[<your query>]".to_owned());
        let clickables = self.session.clickables(&self.shop.catalogue, self.shop.page_size);
        search.into_iter().chain(clickables.into_iter().map(|target| format!("click[{target}]"))).collect()
    }

    /// Buys the item the goal was made from. With WebShop's files this is not always a win: the reward never matches an
    /// option such as `r.brown2060`, of which it keeps only `brown` when it is chosen (7 % of the goals).
    fn expert(&self) -> Vec<String> {
        expert::plan(&self.shop.catalogue, self.shop.page_size, &self.session, &self.goal)
    }

    fn snapshot(&self) -> Box<dyn Env> {
        Box::new(self.clone())
    }
}
