//! The shop against recordings of the original WebShop: goals, pages, what can be clicked, rewards, and the order of
//! search results. Skipped where the recordings are not at hand.

mod recorded;

use sdlab::core::Split;
use sdlab::env::shop::fuzz::token_set_ratio;
use sdlab::env::shop::goal::Goal;
use sdlab::env::shop::reward::reward;
use sdlab::env::shop::{Settings, ShopWorld};
use sdlab::env::{Env, World, prompt::Prompts};
use serde_json::Value;

/// The thousand products with the goals of seed 0, in their order.
fn original() -> Option<(ShopWorld, Vec<Goal>)> {
    let products = recorded::file("webshop/products_1000.jsonl.gz")?.display().to_string();
    let settings = Settings { products, held_out: 0.0, win_reward: 10.0, ..Settings::default() };
    let world = ShopWorld::new(settings).unwrap();
    let of = |split| (0..world.size(split)).map(move |i| (split, i));
    let goals = of(Split::ValidSeen).chain(of(Split::Train)).map(|(split, i)| world.goal(split, i).unwrap()).collect();
    Some((world, goals))
}

#[test]
fn goals_of_a_seed_agree() {
    let (Some((world, goals)), Some(recorded)) =
        (original(), recorded::lines("webshop/goals_synthetic_seed0.jsonl.gz"))
    else {
        return;
    };
    assert_eq!((world.size(Split::ValidSeen), goals.len()), (500, recorded.len()));
    for (goal, expected) in goals.iter().zip(&recorded) {
        let product = &world.catalogue().products()[goal.item];
        assert_eq!(product.asin, expected["asin"]);
        assert_eq!((&goal.text, &goal.query), (&text(&expected["instruction_text"]), &text(&expected["query"])));
        assert_eq!(goal.attributes, strings(&expected["attributes"]));
        assert_eq!(goal.price_upper, expected["price_upper"].as_f64().unwrap());
        let options: Vec<(String, String)> = pairs(&expected["goal_options"]);
        assert_eq!(goal.options, options);
    }
    let prices: Value = serde_json::from_str(&recorded::text("webshop/prices_seed0.json").unwrap()).unwrap();
    for product in world.catalogue().products() {
        assert_eq!(product.price, prices[&product.asin].as_f64().unwrap(), "{}", product.asin);
    }
}

/// Pages, clickables and rewards along recorded episodes, with our own search.
#[test]
fn episodes_agree() {
    let (Some((world, goals)), Some(episodes)) = (original(), recorded::lines("webshop/parity_episodes.jsonl.gz"))
    else {
        return;
    };
    let (mut pages, mut searches, mut wrong, mut reordered) = (0, 0, Vec::new(), 0);
    for episode in &episodes {
        let mut shop = world.start(goals[episode["goal_idx"].as_u64().unwrap() as usize].clone());
        assert_eq!(shop.page(), text(&episode["init"]["o"]));
        assert_eq!(clickables(&shop), strings(&episode["init"]["av"]["clickables"]));
        for step in episode["steps"].as_array().unwrap() {
            let action = text(&step["a"]);
            let done = shop.step(&action);
            searches += usize::from(action.starts_with("search["));
            pages += 1;
            if shop.page() != text(&step["o"]) && action.starts_with("search[") {
                reordered += 1; // counted by the test of searches
                break;
            }
            let same = shop.page() == text(&step["o"]) && done.done == step["d"];
            let score = step["r"].as_f64().unwrap() as f32;
            if !same || done.score != score || done.reward != if score == 1.0 { 10.0 } else { 0.0 } {
                wrong.push(format!("{action}: {}\nbut\n{}", shop.page(), text(&step["o"])));
            }
            if let Some(available) = step.get("av") {
                assert_eq!(clickables(&shop), strings(&available["clickables"]), "{action}");
                let front = available["has_search_bar"] == true;
                assert_eq!(shop.admissible().contains(&"search[<your query>]".to_owned()), front);
            }
            if let Some(info) = step.get("info") {
                compare(shop.bought().unwrap(), info, shop.goal());
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {pages} pages differ, first:\n{}", wrong.len(), wrong[0]);
    assert!(pages > 400 && reordered * 33 <= searches, "{reordered} of {searches} searches differ, {pages} pages");
}

#[test]
fn rewards_agree() {
    let (Some((world, goals)), Some(rows)) = (original(), recorded::lines("webshop/parity_reward.jsonl.gz")) else {
        return;
    };
    let products = world.catalogue().products();
    for row in &rows {
        let goal = &goals[row["goal"].as_u64().unwrap() as usize];
        let bought = products.iter().find(|product| product.asin == row["asin"]).unwrap();
        let options = pairs(&row["options"]);
        let chosen: Vec<&str> = options.iter().map(|(_, value)| value.as_str()).collect();
        let found = reward(bought, &chosen, goal, &products[goal.item]);
        assert_eq!(found.total, row["r"].as_f64().unwrap(), "{row}");
        compare(&found, &row["info"], goal);
    }
    assert!(rows.len() > 500);
}

#[test]
fn likeness_agrees() {
    let Some(text) = recorded::text("webshop/parity_token_set_ratio.json.gz") else { return };
    let rows: Vec<(String, String, u32)> = serde_json::from_str(&text).unwrap();
    for (a, b, expected) in &rows {
        assert_eq!(token_set_ratio(a, b), *expected, "{a} / {b}");
    }
    assert!(rows.len() > 1000);
}

#[test]
fn searches_agree() {
    let (Some((world, _)), Some(rows)) = (original(), recorded::lines("webshop/parity_search.jsonl.gz")) else {
        return;
    };
    let catalogue = world.catalogue();
    let (mut top, mut counts) = (0, 0);
    for row in &rows {
        let found = catalogue.search(&text(&row["q"]));
        let codes: Vec<&str> = found.iter().map(|&n| catalogue.products()[n as usize].asin.as_str()).collect();
        counts += usize::from(row["n"] == codes.len());
        let expected = strings(&row["top"]);
        let same = codes.iter().take(10).eq(expected.iter().take(10));
        top += usize::from(same);
    }
    eprintln!("the first ten agree on {top} of {} queries, the number of results on {counts}", rows.len());
    assert!(top * 100 >= rows.len() * 97, "the first ten agree on {top} of {} queries", rows.len());
    assert_eq!(counts, rows.len());
}

#[test]
fn prompts_agree() {
    let (Some((world, goals)), Some(templates), Some(all)) =
        (original(), recorded::original("shop", "verl-agent", "webshop"), recorded::prompts("webshop"))
    else {
        return;
    };
    let prompts = Prompts::new(templates).unwrap();
    let mut rest = &all[..];
    while let Some(first) = rest.first() {
        let length = rest.iter().take_while(|row| row["id"] == first["id"]).count();
        let (rows, later) = rest.split_at(length);
        let goal = &goals[first["id"].as_u64().unwrap() as usize];
        let mut shop = world.start(goal.clone());
        recorded::play(&prompts, &goal.text, &mut shop, &rows.iter().collect::<Vec<_>>());
        rest = later;
    }
}

/// The expert finds every item, and wins whenever the item with its own options is rewarded in full.
#[test]
fn expert_buys_real_items() {
    let Some((world, goals)) = original() else { return };
    let (mut won, mut tried) = (0, 0);
    for goal in goals.iter().step_by(7) {
        let product = &world.catalogue().products()[goal.item];
        let own: Vec<&str> = goal.options.iter().map(|(_, value)| value.as_str()).collect();
        let best = reward(product, &own, goal, product).total;
        let mut shop = world.start(goal.clone());
        let plan = shop.expert();
        let steps: Vec<_> = plan.iter().map(|action| shop.step(action)).collect();
        assert!(steps.iter().all(|step| step.valid) && plan.len() <= 15, "{plan:?}");
        let bought = shop.bought().expect("something was bought").total;
        assert!(bought >= best, "{bought} of {best}: {plan:?}");
        won += usize::from(steps.last().is_some_and(|step| step.won));
        tried += 1;
    }
    assert!(won * 100 >= tried * 92, "{won} of {tried}");
}

fn compare(found: &sdlab::env::shop::reward::Reward, info: &Value, goal: &Goal) {
    assert_eq!(found.r_type, info["r_type"].as_f64().unwrap());
    assert_eq!(found.title_score, info["title_score"].as_f64().unwrap());
    let yes = |value: &Value| value == true || value == 1.0;
    assert_eq!(found.query_match, yes(&info["query_match"]));
    assert_eq!(found.category_match, yes(&info["category_match"]));
    assert_eq!(found.price, yes(&info["r_price"]));
    assert_eq!(found.attributes as f64 / goal.attributes.len() as f64, info["r_att"].as_f64().unwrap());
    if let Some(options) = info["r_option"].as_f64() {
        assert_eq!(found.options as f64 / goal.options.len() as f64, options);
    }
}

fn clickables(shop: &impl Env) -> Vec<String> {
    let inside = |action: String| Some(action.strip_prefix("click[")?.strip_suffix(']')?.to_owned());
    shop.admissible().into_iter().filter_map(inside).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(text).collect()
}

fn pairs(object: &Value) -> Vec<(String, String)> {
    object.as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect()
}
