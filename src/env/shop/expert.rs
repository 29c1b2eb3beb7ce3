//! The shortest errand with full knowledge of the goal: search, find the item, choose its options, buy it.

use super::goal::Goal;
use super::page::{BACK, BUY, NEXT, PREV, Page, Session};
use super::product::{Catalogue, Product};

/// Actions that buy the goal's item with its options from here; empty if it was bought already or cannot be found.
pub fn plan(shop: &Catalogue, page_size: usize, session: &Session, goal: &Goal) -> Vec<String> {
    let wanted = &shop.products()[goal.item];
    let mut plan = match session.page() {
        Page::Receipt => return Vec::new(),
        Page::Item if session.item() == Some(goal.item) => Vec::new(),
        Page::Tab(_) if session.item() == Some(goal.item) => vec![click(PREV)],
        page => {
            let Some(way) = way_to(shop, page_size, session, page, goal) else { return Vec::new() };
            way
        }
    };
    let chosen = if session.item() == Some(goal.item) { session.chosen(wanted) } else { Vec::new() };
    plan.extend(choices(wanted, &chosen, goal).iter().map(|value| click(value)));
    plan.push(click(BUY));
    plan
}

/// A query from what the instruction says: the kind of product and its attributes.
pub fn keywords(goal: &Goal) -> String {
    plain(&format!("{} {}", goal.query, goal.attributes.join(" ")))
}

fn way_to(shop: &Catalogue, size: usize, session: &Session, page: Page, goal: &Goal) -> Option<Vec<String>> {
    if page == Page::Results
        && let Some(at) = place(session.results(), goal.item)
    {
        let (here, there) = (session.number(), at / size + 1);
        let button = if there > here { NEXT } else { PREV };
        return Some(turn(shop, goal, button, here.abs_diff(there)));
    }
    let queries = [keywords(goal), plain(&goal.text), plain(&shop.products()[goal.item].title)];
    let found = queries.into_iter().filter_map(|query| Some((place(&shop.search(&query), goal.item)? / size, query)));
    let (pages, query) = found.min_by_key(|(pages, _)| *pages)?; // the first of the best
    let mut way = if page == Page::Front { Vec::new() } else { vec![click(BACK)] };
    way.push(format!("search[{query}]"));
    way.extend(turn(shop, goal, NEXT, pages));
    Some(way)
}

fn turn(shop: &Catalogue, goal: &Goal, button: &str, times: usize) -> Vec<String> {
    let pages = std::iter::repeat_n(click(button), times);
    pages.chain([click(shop.code(goal.item as u32))]).collect()
}

fn place(results: &[u32], item: usize) -> Option<usize> {
    results.iter().position(|&n| n as usize == item)
}

/// The option values still to click. A goal written by people names values only.
fn choices<'a>(product: &Product, chosen: &[(&str, &str)], goal: &'a Goal) -> Vec<&'a str> {
    let offered = |value: &str| product.options.iter().any(|(_, values)| values.iter().any(|v| v == value));
    let done = |name: &str, value: &str| chosen.iter().any(|&(n, v)| v == value && (name.is_empty() || name == n));
    let open = goal.options.iter().filter(|(name, value)| offered(value) && !done(name, value));
    open.map(|(_, value)| value.as_str()).collect()
}

fn click(target: &str) -> String {
    format!("click[{target}]")
}

/// A query in lower case without brackets and line breaks, which would break the action.
fn plain(text: &str) -> String {
    text.to_lowercase().replace(['[', ']', '\n', '\r'], " ")
}
