//! One errand in a shop, from the front page to the receipt.

use std::sync::Arc;

use super::goal::Goal;
use super::page::{Page, SEP, Session};
use super::product::Catalogue;
use super::reward::{Reward, reward};
use super::{Rewarded, expert};
use crate::env::pyjson::quote_for_page;
use crate::env::{Env, Step};

/// What all games in a shop share.
#[derive(Debug)]
pub struct Floor {
    pub catalogue: Catalogue,
    pub page_size: usize,
    pub win_reward: f32,
    pub reward: Rewarded,
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
    /// On the front page.
    pub(super) fn new(shop: Arc<Floor>, goal: Goal) -> Shop {
        let (session, observation) = (Session::new(), String::new());
        let mut shop = Shop { shop, goal: Arc::new(goal), session, observation, bought: None };
        shop.observation = shop.seen();
        shop
    }

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
