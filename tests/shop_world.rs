//! Our own shop: the generated catalogue and its errands, WebShop's raw files, bad input.

use std::collections::BTreeSet;
use std::fs;

use sdlab::core::Split;
use sdlab::env::shop::{Settings, ShopWorld};
use sdlab::env::{SPLITS, World};

fn world() -> ShopWorld {
    ShopWorld::new(Settings { size: 200, ..Settings::default() }).unwrap()
}

#[test]
fn the_expert_buys_everything_perfectly() {
    let world = world();
    for split in SPLITS {
        for index in 0..40 {
            let task = world.task(split, index).unwrap();
            let mut env = world.open(&task).unwrap();
            let plan = env.expert();
            assert!((3..=world.max_turns()).contains(&plan.len()), "{plan:?}");
            for (at, action) in plan.iter().enumerate() {
                let offered = action.starts_with("search[") || env.admissible().contains(action);
                let step = env.step(action);
                assert!(offered && step.valid && step.effective, "{action} of {plan:?}");
                let last = at + 1 == plan.len();
                assert_eq!((step.done, step.won, step.reward), (last, last, if last { 10.0 } else { 0.0 }));
                assert_eq!(env.expert().len(), plan.len() - at - 1, "the plan goes on from wherever one is");
            }
        }
    }
}

#[test]
fn splits_share_no_errand_and_unseen_items_are_not_wanted_in_training() {
    let world = world();
    let goals = |split| (0..150).map(|i| world.goal(split, i).unwrap()).collect::<Vec<_>>();
    let [train, seen, unseen] = SPLITS.map(goals);
    let key = |goal: &sdlab::env::shop::goal::Goal| {
        let mut attributes = goal.attributes.clone();
        attributes.sort();
        (goal.item, attributes, goal.options.clone())
    };
    let trained: BTreeSet<_> = train.iter().map(key).collect();
    assert!(seen.iter().chain(&unseen).all(|goal| !trained.contains(&key(goal))));
    let items: BTreeSet<_> = train.iter().chain(&seen).map(|goal| goal.item).collect();
    assert!(unseen.iter().all(|goal| !items.contains(&goal.item)));
    assert!(items.len() > 60);
}

/// A near miss looks like the wanted thing and is worth less.
#[test]
fn near_misses_cost() {
    let world = world();
    let (mut worse, mut compared) = (0, 0);
    for index in 0..60 {
        let goal = world.goal(Split::Train, index).unwrap();
        let products = world.catalogue().products();
        let wanted = &products[goal.item];
        for other in products.iter().filter(|p| p.query == wanted.query && p.asin != wanted.asin) {
            let own: Vec<&str> = goal.options.iter().map(|(_, v)| v.as_str()).collect();
            let offered = |v: &&str| other.options.iter().any(|(_, values)| values.iter().any(|o| o == v));
            let chosen: Vec<&str> = own.into_iter().filter(offered).collect();
            compared += 1;
            worse += usize::from(sdlab::env::shop::reward::reward(other, &chosen, &goal, wanted).total < 1.0);
        }
    }
    assert!(compared > 200 && worse * 10 > compared * 8, "{worse} of {compared} others earn less");
}

#[test]
fn games_repeat_and_copies_are_apart() {
    let (world, again) = (world(), self::world());
    let task = world.task(Split::ValidSeen, 3).unwrap();
    assert_eq!(task, again.task_by_id("shop/valid-seen/3").unwrap());
    let mut env = world.open(&task).unwrap();
    let copy = env.snapshot();
    let step = env.step("search[kettle]");
    assert_eq!((copy.observation(), copy.anchor()), ("'Search'", "'Search'".to_owned()));
    assert_eq!(again.open(&task).unwrap().step("search[kettle]"), step);
    assert!(world.task(Split::ValidSeen, 5000).is_err());
}

#[test]
fn odd_actions_do_nothing() {
    let world = world();
    let mut env = world.open(&world.task(Split::Train, 0).unwrap()).unwrap();
    let long = format!("click[{}]", "x".repeat(1_000_000));
    let odd =
        ["", "search", "search[]", "click[buy now]", "buy[x]", "\u{1b}[31m\0", "click[\u{4e2d}]", "]click[", &long];
    for action in odd {
        let step = env.step(action);
        let kept = (step.observation.as_str(), step.valid, step.effective, step.done);
        assert_eq!(kept, ("'Search'", false, false, false), "{action:.20}");
    }
    assert!(env.step("click[search]").valid && env.observation() == "'Search'");
    let step = env.step(&format!("search[{}]", "kettle ".repeat(100_000)));
    assert!(step.effective && step.observation.starts_with("'Back to Search' [SEP] 'Page 1 (Total results: "));
    assert!(env.step("search[zzzz]").observation.contains("'Page 1 (Total results: 0)' [SEP] 'Next >'"));
    assert!(
        env.step("click[next >]").observation.contains("'Page 2 (Total results: 0)' [SEP] '< Prev' [SEP] 'Next >'")
    );
}

const PRODUCTS: &str = r#"[
{"asin": "B1", "name": "Oak Stool", "category": "garden", "query": "Stools ", "product_category": "Home › Seats › Stools",
 "pricing": "$20.00 - $30.50", "small_description": ["Solid oak.", "Low."], "full_description": "A stool of oak.",
 "customization_options": {"Color": [{"value": "Dark/Brown ", "image": null}, {"value": "red"}], "Size": null}, "images": ["x"]},
{"asin": "B1", "name": "again", "query": "x", "product_category": "x", "pricing": "", "small_description": "", "full_description": ""},
{"asin": "B2", "name": "Tin Cup", "category": "garden", "query": "cups", "product_category": "Home › Cups",
 "pricing": null, "small_description": "One sentence.", "full_description": null, "customization_options": ""}
]"#;
const ATTRIBUTES: &str = r#"{
"B1": {"attributes": ["solid oak"], "instruction": "Find me solid oak stools", "instruction_attributes": ["solid oak"]},
"B2": {"attributes": []}}"#;

#[test]
fn raw_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    file("items_ins_v2.json", ATTRIBUTES);
    let products = file("items_shuffle.json", PRODUCTS);
    let human = r#"{"B2": [{"instruction": "I want a cup.", "instruction_attributes": ["tin"], "instruction_options": []},
        {"instruction": "no attributes", "instruction_attributes": [], "instruction_options": []}]}"#;
    let settings = Settings { products, held_out: 0.0, ..Settings::default() };
    let world = ShopWorld::new(settings.clone()).unwrap();
    let stool = &world.catalogue().products()[0];
    assert_eq!((&*stool.price_tag, &*stool.query), ("$20.0 to $30.5", "stools"));
    assert!((20.0..30.5).contains(&stool.price));
    assert_eq!(stool.options, [("color".to_owned(), vec!["dark | brown".to_owned(), "red".to_owned()])]);
    let cup = &world.catalogue().products()[1];
    assert_eq!((cup.price, &*cup.price_tag, cup.bullets.len()), (100.0, "$100.0", 1));
    assert_eq!((world.size(Split::Train), world.size(Split::ValidUnseen)), (2, 0), "one goal a colour");
    let goal = world.goal(Split::Train, 0).unwrap();
    assert!(goal.text.starts_with("Find me solid oak stools with color: "), "{}", goal.text);
    assert!(goal.text.ends_with(&format!(", and price lower than {:.2} dollars", goal.price_upper)));
    let world = ShopWorld::new(Settings { human: file("h.json", human), ..settings }).unwrap();
    assert_eq!(world.size(Split::Train), 1);
    assert!(world.goal(Split::Train, 0).unwrap().text.starts_with("I want a cup, and price lower than 1"));
}

#[test]
fn faults_in_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let failure = |products: &str, attributes: &str| {
        file("items_ins_v2.json", attributes);
        let products = file("items.json", products);
        format!("{:#}", ShopWorld::new(Settings { products, ..Settings::default() }).err().expect("a failure"))
    };
    for (old, new, expected) in [
        ("\"name\": \"Oak Stool\",", "", "items.json`, entry 1, field `name`: missing"),
        ("\"$20.00 - $30.50\"", "\"dear\"", "entry 1, field `pricing`: no price in `dear`"),
        ("\"$20.00 - $30.50\"", "12", "entry 1, field `pricing`: expected a text, found a number"),
        ("[\"Solid oak.\", \"Low.\"]", "[1]", "entry 1, field `small_description`: expected a list of texts"),
        (
            "[{\"value\": \"Dark/Brown \", \"image\": null}, {\"value\": \"red\"}]",
            "[3]",
            "field `customization_options`: `Color`",
        ),
        (
            "\"customization_options\": \"\"",
            "\"customization_options\": 4",
            "entry 3, field `customization_options`: expected an object",
        ),
        ("\"query\": \"cups\",", "\"query\": null,", "entry 3, field `query`: expected a text, found null"),
        ("}\n]", "}", "entry 4: EOF"),
    ] {
        assert!(PRODUCTS.contains(old), "{old}");
        let error = failure(&PRODUCTS.replace(old, new), ATTRIBUTES);
        assert!(error.contains(expected), "{error}");
    }
    let error = failure(PRODUCTS, &ATTRIBUTES.replace("[\"solid oak\"]}", "5}"));
    assert!(
        error.contains("items_ins_v2.json`, entry `B1`, field `instruction_attributes`: expected a list of texts"),
        "{error}"
    );
    assert!(failure(PRODUCTS, "[").contains("items_ins_v2.json`: not a JSON object"));
    assert!(failure(PRODUCTS, "{}").contains("has no instruction for any of the products"));
    fs::remove_file(folder.path().join("items_ins_v2.json")).unwrap();
    let products = folder.path().join("items.json").display().to_string();
    let error = ShopWorld::new(Settings { products, ..Settings::default() }).err().unwrap().to_string();
    assert!(error.contains("name the file with `attributes`"), "{error}");
    for (key, value) in [("size", "0"), ("held_out", "1.0"), ("page_size", "0"), ("max_turns", "3"), ("sise", "3")] {
        let error = ShopWorld::from_table(&format!("{key} = {value}").parse().unwrap()).err().unwrap();
        assert!(format!("{error:#}").contains(key), "{error:#}");
    }
}
