//! The shop as pages: what is on a page, what can be clicked, and where a click leads. The pages, their texts and
//! their habits are WebShop's (its text mode).
//!
//! ```text
//! front --search--> results --code--> item --tab--> description, features, reviews
//!   ^                  ^ |              |  <--< prev--'
//!   '--back to search--'-'-< prev-------'--buy now--> receipt
//! ```
//!
//! 1. `search[...]` works from every page, not only the front.
//! 2. `next >` is always there, also past the last result.
//! 3. Chosen options are not shown. They stay while tabs are read, and are lost on the way back to the results.
//! 4. If two groups of options have the same value, a click on it sets the last group.
//! 5. What is not an action, or not on the page, does nothing.

use std::sync::Arc;

use super::product::{Catalogue, Product};

/// Where a shopper is.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    page: Page,
    results: Arc<[u32]>,
    /// Page of the results, from 1.
    number: usize,
    item: usize,
    /// (group, value) in the order of the first click on each group.
    chosen: Vec<(usize, usize)>,
}

/// A page of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Front,
    Results,
    Item,
    /// Position in [`TABS`].
    Tab(usize),
    /// Something was bought.
    Receipt,
}

/// What can be read about an item.
pub const TABS: [&str; 3] = ["description", "features", "reviews"];
/// The button that ends the errand.
pub const BUY: &str = "buy now";
/// The button to the front page.
pub const BACK: &str = "back to search";
/// The button to the page before.
pub const PREV: &str = "< prev";
/// The button to the next page of results.
pub const NEXT: &str = "next >";
/// The button of the front page, which does nothing.
const SEARCH: &str = "search";
/// Between the texts of a page.
pub const SEP: &str = " [SEP] ";

impl Session {
    /// On the front page.
    pub fn new() -> Session {
        Session { page: Page::Front, results: Arc::new([]), number: 1, item: 0, chosen: Vec::new() }
    }

    /// The page.
    pub fn page(&self) -> Page {
        self.page
    }

    /// What the last search found, as numbers of products.
    pub fn results(&self) -> &[u32] {
        &self.results
    }

    /// Page of the results, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Number of the product looked at, on its page, its tabs and the receipt.
    pub fn item(&self) -> Option<usize> {
        matches!(self.page, Page::Item | Page::Tab(_) | Page::Receipt).then_some(self.item)
    }

    /// Names and values of the chosen options, in the order of the first click on each.
    pub fn chosen<'a>(&self, product: &'a Product) -> Vec<(&'a str, &'a str)> {
        let named = |&(group, value): &(usize, usize)| {
            let (name, values) = product.options.get(group)?;
            Some((name.as_str(), values.get(value)?.as_str()))
        };
        self.chosen.iter().filter_map(named).collect()
    }

    /// Does an action. Says whether it could be done, and whether it changed anything.
    pub fn act(&mut self, shop: &Catalogue, page_size: usize, action: &str) -> (bool, bool) {
        match parse(action) {
            Some(("search", words)) if self.page != Page::Receipt => {
                let results = shop.search(&words).into();
                *self = Session { page: Page::Results, results, ..Session::new() };
                (true, true)
            }
            Some(("click", target)) if self.clickables(shop, page_size).contains(&&*target) => {
                let before = (self.page, self.number, self.chosen.clone());
                self.click(shop, page_size, &target);
                (true, before != (self.page, self.number, self.chosen.clone()))
            }
            _ => (false, false),
        }
    }

    /// Follows something that is on the page.
    fn click(&mut self, shop: &Catalogue, page_size: usize, target: &str) {
        match (self.page, target) {
            (Page::Front | Page::Receipt, _) => {}
            (_, BACK) => *self = Session::new(),
            (Page::Results, NEXT) => self.number += 1,
            (Page::Results, PREV) => self.number -= 1, // it is only there from page 2 on
            (Page::Results, code) => {
                let shown = self.shown(page_size).iter().find(|&&n| shop.code(n) == code);
                if let Some(&number) = shown {
                    (self.page, self.item) = (Page::Item, number as usize);
                }
            }
            (Page::Item, PREV) => {
                self.page = Page::Results;
                self.chosen.clear();
            }
            (Page::Item, BUY) => self.page = Page::Receipt,
            (Page::Item, other) => match TABS.iter().position(|tab| *tab == other) {
                Some(tab) => self.page = Page::Tab(tab),
                None => self.choose(&shop.products()[self.item], other),
            },
            (Page::Tab(_), _) => self.page = Page::Item,
        }
    }

    fn choose(&mut self, product: &Product, value: &str) {
        let within = |values: &Vec<String>| values.iter().position(|v| v == value);
        let groups = product.options.iter().enumerate();
        let Some((group, at)) = groups.filter_map(|(group, (_, values))| Some((group, within(values)?))).next_back()
        else {
            return;
        };
        match self.chosen.iter_mut().find(|(other, _)| *other == group) {
            Some(chosen) => chosen.1 = at,
            None => self.chosen.push((group, at)),
        }
    }

    /// The products on this page of the results.
    fn shown(&self, page_size: usize) -> &[u32] {
        let start = (self.number - 1).saturating_mul(page_size).min(self.results.len());
        &self.results[start..self.results.len().min(start + page_size)]
    }

    /// Calls `each` with the texts of the page in order, less the instruction on top; may be empty ones.
    pub fn texts(&self, shop: &Catalogue, page_size: usize, mut each: impl FnMut(&str)) {
        match self.page {
            Page::Front => each("Search"),
            Page::Results => {
                each("Back to Search");
                each(&format!("Page {} (Total results: {})", self.number, self.results.len()));
                if self.number > 1 {
                    each("< Prev");
                }
                each("Next >");
                for &number in self.shown(page_size) {
                    let product = &shop.products()[number as usize];
                    [&product.asin, &product.title, &product.price_tag].into_iter().for_each(|text| each(text));
                }
            }
            Page::Item => item(&shop.products()[self.item], each),
            Page::Tab(tab) => {
                let product = &shop.products()[self.item];
                ["Back to Search", "< Prev"].into_iter().for_each(&mut each);
                match TABS[tab] {
                    "description" => each(&product.description),
                    "features" => product.bullets.iter().for_each(|bullet| each(bullet)),
                    _ => {} // there are no reviews
                }
            }
            Page::Receipt => {}
        }
    }

    /// What can be clicked, in page order, each once.
    pub fn clickables<'a>(&self, shop: &'a Catalogue, page_size: usize) -> Vec<&'a str> {
        match self.page {
            // the original lists the button of the front page after a purchase, where nothing does anything
            Page::Front | Page::Receipt => vec![SEARCH],
            Page::Results => {
                let prev = if self.number > 1 { &[PREV][..] } else { &[] };
                let products = self.shown(page_size).iter().map(|&n| shop.code(n));
                [BACK].into_iter().chain(prev.iter().copied()).chain([NEXT]).chain(products).collect()
            }
            Page::Item => {
                let mut found: Vec<&str> = [BACK, PREV].into_iter().chain(TABS).chain([BUY]).collect();
                for value in shop.products()[self.item].options.iter().flat_map(|(_, values)| values) {
                    if !found.contains(&value.as_str()) {
                        found.push(value);
                    }
                }
                found
            }
            Page::Tab(_) => vec![BACK, PREV],
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        Session::new()
    }
}

fn item(product: &Product, mut each: impl FnMut(&str)) {
    ["Back to Search", "< Prev"].into_iter().for_each(&mut each);
    for (name, values) in &product.options {
        each(name);
        values.iter().for_each(|value| each(value));
    }
    each(&product.title);
    each(&format!("Price: {}", product.price_tag));
    ["Rating: N.A.", "Description", "Features", "Reviews", "Buy Now"].into_iter().for_each(each);
}

/// Reads `name[argument]` as the regular expression `(.+)\[(.+)\]` at the start of the text does: the name ends at the
/// last bracket that leaves something to close. The argument comes in lower case.
fn parse(action: &str) -> Option<(&str, String)> {
    let line = action.split('\n').next()?;
    let close = line.rfind(']')?;
    let last = close.checked_sub(2)?; // something must stand between the brackets
    let open = line.as_bytes()[..=last].iter().rposition(|byte| *byte == b'[').filter(|&open| open > 0)?;
    Some((&line[..open], line[open + 1..close].to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn actions_parse_like_the_expression() {
        let same = |action: &str, name: &str, argument: &str| {
            assert_eq!(parse(action), Some((name, argument.to_owned())), "{action}");
        };
        same("search[Red Shoes]", "search", "red shoes");
        same("click[a]b]", "click", "a]b");
        same("search[a[b]", "search[a", "b");
        same("search[a[]", "search", "a[");
        same("click[x] and more", "click", "x");
        same("click[\u{e9}\u{e9}]", "click", "\u{e9}\u{e9}");
        for bad in ["", "search", "search[]", "[x]", "]x[", "sea\nrch[x]", "search[a\nb]", "[", "]", "[]]", "\u{e9}]"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
