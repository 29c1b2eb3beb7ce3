//! How well a purchase meets a goal: WebShop's reward (Yao et al., 2022), with what its code does and its paper does
//! not say:
//!
//! ```text
//! r = r_type (matched attributes + matched options + [price <= limit]) / (attributes + options + 1)
//! ```
//!
//! 1. An attribute of the goal is matched if it is like one of the product's (`token_set_ratio` above 85), or occurs
//!    in the lower-cased title, features or description.
//! 2. An option of the goal is matched if it is like any chosen value. Of a chosen value only the first colour word
//!    of the list below counts, so `light blue` meets `navy blue`. An option of the goal is compared as the Python
//!    text of its (name, value) pair, or as its colour word alone if the whole value is one.
//! 3. `r_type` is 1 for the same query, two common levels of departments, or more than a fifth of the title's nouns;
//!    else 0.5. With less than a tenth of the nouns it is 0.1, with none 0.

use std::collections::BTreeSet;

use super::fuzz::token_set_ratio;
use super::goal::Goal;
use super::product::Product;

/// A reward and its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Reward {
    /// The reward, in [0, 1].
    pub total: f64,
    /// Factor for the kind of product: 0, 0.1, 0.5 or 1.
    pub r_type: f64,
    /// Whether the product is of the query the goal is of.
    pub query_match: bool,
    /// Whether two levels of departments agree.
    pub category_match: bool,
    /// Share of the goal's title nouns that the product's title has.
    pub title_score: f64,
    /// Matched attributes of the goal.
    pub attributes: usize,
    /// Matched options of the goal.
    pub options: usize,
    /// Whether the price limit is kept.
    pub price: bool,
}

/// Rewards buying `bought` with `chosen` option values when `wanted` is the product the goal was made from.
pub fn reward(bought: &Product, chosen: &[&str], goal: &Goal, wanted: &Product) -> Reward {
    let (r_type, query_match, category_match, title_score) = kind(bought, goal, wanted);
    let attributes = goal.attributes.iter().filter(|a| has_attribute(bought, a)).count();
    let chosen: Vec<&str> = chosen.iter().map(|value| colour(value)).collect();
    let met = |wanted: &String| chosen.iter().any(|value| token_set_ratio(value, wanted) > LIKE);
    let options = goal.options.iter().map(|(name, value)| pair(name, value)).filter(met).count();
    let price = bought.price <= goal.price_upper;
    let met = (attributes + options + usize::from(price)) as f64;
    let total = met / (goal.attributes.len() + goal.options.len() + 1) as f64 * r_type;
    Reward { total, r_type, query_match, category_match, title_score, attributes, options, price }
}

/// Likeness above which two phrases say the same.
const LIKE: u32 = 85;

fn kind(bought: &Product, goal: &Goal, wanted: &Product) -> (f64, bool, bool, f64) {
    let query = bought.query == goal.query;
    let levels: BTreeSet<&String> = bought.categories.iter().collect();
    let category = wanted.categories.iter().collect::<BTreeSet<_>>().intersection(&levels).count() >= 2;
    let bought: BTreeSet<&String> = bought.nouns.iter().collect();
    let common = wanted.nouns.iter().collect::<BTreeSet<_>>().intersection(&bought).count();
    let title = match wanted.nouns.len() {
        0 => 0.2,
        all => common as f64 / all as f64,
    };
    let r_type = match title {
        0.0 => 0.0,
        t if t < 0.1 => 0.1,
        t if query || category || t > 0.2 => 1.0,
        _ => 0.5,
    };
    (r_type, query, category, title)
}

fn has_attribute(product: &Product, wanted: &str) -> bool {
    product.attributes.iter().any(|own| token_set_ratio(own, wanted) > LIKE)
        || product.title.to_lowercase().contains(wanted)
        || product.bullets.join(" ").to_lowercase().contains(wanted)
        || product.description.to_lowercase().contains(wanted)
}

/// The first colour word in a value, or the value.
fn colour(value: &str) -> &str {
    COLOURS.iter().find(|word| value.contains(**word)).copied().unwrap_or(value)
}

/// What an option of the goal is compared as. The name of an option is missing in goals written by people.
fn pair(name: &str, value: &str) -> String {
    if name.is_empty() {
        return colour(value).to_owned();
    }
    match COLOURS.iter().find(|word| value == **word || name == **word) {
        Some(word) => (*word).to_owned(),
        None => format!("({} {})", python(name), python(value)),
    }
}

/// The letters and digits of Python's `repr` of a text: unprintable characters become escapes such as `\xa0`.
fn python(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            c if !unprintable(c) => written.push(c),
            c if (c as u32) < 0x100 => written.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x10000 => written.push_str(&format!("\\u{:04x}", c as u32)),
            c => written.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    written
}

/// Control and format characters, spaces but the plain one, and private ones.
fn unprintable(c: char) -> bool {
    c.is_control()
        || c.is_whitespace() && c != ' '
        || matches!(c as u32, 0xad | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff)
}

/// The colour words of WebShop's reward, in its order.
#[rustfmt::skip]
pub const COLOURS: [&str; 102] = [
    "alabaster", "apricot", "aqua", "ash", "asphalt", "azure", "banana", "beige", "black", "blue", "blush",
    "bordeaux", "bronze", "brown", "burgundy", "camel", "camo", "caramel", "champagne", "charcoal", "cheetah",
    "chestnut", "chocolate", "christmas", "coffee", "cognac", "copper", "coral", "cranberry", "cream", "crystal",
    "dark", "denim", "eggplant", "elephant", "espresso", "fuchsia", "gold", "granite", "grape", "graphite", "grass",
    "gray", "green", "grey", "heather", "indigo", "ivory", "ivy", "khaki", "lavender", "lemon", "leopard", "light",
    "lilac", "lime", "magenta", "maroon", "mauve", "merlot", "midnight", "mint", "mocha", "multicolor", "mushroom",
    "mustard", "natural", "navy", "nude", "olive", "orange", "peach", "pewter", "pink", "plum", "purple", "rainbow",
    "red", "rose", "royal", "rust", "sand", "sapphire", "seashell", "silver", "skull", "slate", "steel", "stone",
    "stonewash", "sunflower", "tan", "taupe", "teal", "tiger", "turquoise", "violet", "walnut", "wheat", "white",
    "wine", "yellow",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn lamp(options: &[(&str, &str)]) -> (Product, Goal) {
        let owned = |text: &str| text.to_owned();
        let product = Product {
            asin: owned("A1"),
            title: owned("Orla Desk Lamp"),
            query: owned("desk lamps"),
            categories: vec![owned("Home"), owned("Lighting")],
            price_tag: owned("$20.0"),
            price: 20.0,
            options: Vec::new(),
            bullets: vec![owned("Folds flat.")],
            description: owned("With a clip base."),
            attributes: vec![owned("dimmable light")],
            nouns: vec![owned("orla"), owned("desk"), owned("lamp")],
        };
        let goal = Goal {
            item: 0,
            query: owned("desk lamps"),
            text: String::new(),
            attributes: vec![owned("dimmable light"), owned("clip base")],
            options: options.iter().map(|(k, v)| (owned(k), owned(v))).collect(),
            price_upper: 30.0,
        };
        (product, goal)
    }

    #[test]
    fn parts_add_up() {
        let (lamp, goal) = lamp(&[("color", "navy blue")]);
        assert_eq!(reward(&lamp, &["navy blue"], &goal, &lamp).total, 1.0);
        assert_eq!(reward(&lamp, &["light blue"], &goal, &lamp).total, 1.0, "only the colour word counts");
        assert_eq!(reward(&lamp, &["red"], &goal, &lamp).total, 0.75);
        let dear = Product { price: 31.0, attributes: Vec::new(), ..lamp.clone() };
        assert_eq!(reward(&dear, &[], &goal, &lamp).total, 0.25);
    }

    #[test]
    fn another_kind_counts_less() {
        let (lamp, goal) = lamp(&[]);
        let other = |nouns: &[&str]| Product {
            query: "sofas".into(),
            categories: vec!["Home".into(), "Seats".into()],
            nouns: nouns.iter().map(|&n| n.into()).collect(),
            ..lamp.clone()
        };
        for (nouns, r_type) in [(&["sofa"][..], 0.0), (&["lamp"], 1.0)] {
            assert_eq!(reward(&other(nouns), &[], &goal, &lamp).r_type, r_type);
        }
        let long = Product { nouns: (0..9).map(|n| format!("n{n}")).collect(), ..lamp.clone() };
        assert_eq!(reward(&other(&["n1"]), &[], &goal, &long).r_type, 0.5);
        let longer = Product { nouns: (0..11).map(|n| format!("n{n}")).collect(), ..lamp.clone() };
        assert_eq!(reward(&other(&["n1"]), &[], &goal, &longer).r_type, 0.1);
    }

    #[test]
    fn goal_options_read_as_python_pairs() {
        assert_eq!(pair("color", "blue"), "blue");
        assert_eq!(pair("color", "navy blue"), "(color navy blue)");
        assert_eq!(pair("size", "5\u{a0}cm"), "(size 5\\xa0cm)");
        assert_eq!(pair("", "navy blue"), "blue", "the first colour word in the order of the list");
    }
}
