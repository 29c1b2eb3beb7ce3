//! Speed of the shop and of search on one core, over generated worlds of the published sizes: 1,000 products and 10,000
//! passages.
//!
//! `cargo bench --bench env_text`; best and median of five rounds. The work is the same in every build.

use std::hint::black_box;
use std::time::Instant;

use sdlab::core::Split;
use sdlab::env::search::{self, SearchWorld};
use sdlab::env::shop::{self, ShopWorld};
use sdlab::env::{Env, World};

const ROUNDS: usize = 5;
const GAMES: u64 = 200;

fn main() -> anyhow::Result<()> {
    shop()?;
    search()
}

/// Pages that are not searches: the expert's clicks, and every tab on the way.
fn shop() -> anyhow::Result<()> {
    let start = Instant::now();
    let world = ShopWorld::new(shop::Settings::default())?;
    println!("shop, {} products, made in {:.0} ms", world.catalogue().products().len(), millis(start));
    let mut plays = Vec::new();
    let mut queries = Vec::new();
    for index in 0..GAMES {
        let mut game = world.start(world.goal(Split::Train, index)?);
        let plan = game.expert();
        let (searches, clicks): (Vec<_>, Vec<_>) = plan.into_iter().partition(|action| action.starts_with("search["));
        searches.iter().for_each(|action| drop(game.step(action)));
        let tabs = [
            "click[next >]",
            "click[< prev]",
            "click[features]",
            "click[< prev]",
            "click[description]",
            "click[< prev]",
        ];
        let tabs = tabs.map(str::to_owned);
        let (turn, read) = tabs.split_at(2);
        let mut actions = turn.to_vec();
        let item = clicks.iter().position(|action| !action.contains(" >]")).map_or(0, |at| at + 1);
        actions.extend(clicks[..item].iter().chain(read).chain(&clicks[item..]).cloned());
        queries.push(world.goal(Split::Train, index)?.text);
        plays.push((game, actions));
    }
    let actions: usize = plays.iter().map(|(_, actions)| actions.len()).sum();
    let play = |list: bool| {
        for (game, actions) in &plays {
            let mut game = game.clone();
            for action in actions {
                black_box(game.step(action));
                if list {
                    black_box(game.admissible());
                }
            }
        }
    };
    rate("page steps", actions, || play(false));
    rate("steps with list", actions, || play(true));
    rate("searches", queries.len(), || {
        queries.iter().for_each(|query| drop(black_box(world.catalogue().search(query))))
    });
    let tasks = (0..GAMES).map(|index| world.task(Split::Train, index)).collect::<anyhow::Result<Vec<_>>>()?;
    rate("resets", tasks.len(), || tasks.iter().for_each(|task| drop(black_box(world.open(task)))));
    Ok(())
}

fn search() -> anyhow::Result<()> {
    let start = Instant::now();
    let world = SearchWorld::new(search::Settings { passages: 10_000, ..search::Settings::default() })?;
    println!("search, 10,000 passages, made in {:.0} ms", millis(start));
    let questions = (0..GAMES).map(|index| world.question(Split::Train, index)).collect::<anyhow::Result<Vec<_>>>()?;
    let games: Vec<_> = questions.iter().map(|question| world.start(question.clone())).collect();
    let asked: Vec<String> = questions.iter().map(|question| format!("<search>{}</search>", question.text)).collect();
    let look_up = || games.iter().zip(&asked).for_each(|(game, action)| drop(black_box(game.clone().step(action))));
    rate("queries", asked.len(), look_up);
    let titles: Vec<String> =
        questions.iter().map(|question| format!("<search>{}</search>", question.titles[0])).collect();
    let look_up = || games.iter().zip(&titles).for_each(|(game, action)| drop(black_box(game.clone().step(action))));
    rate("titles", titles.len(), look_up);
    let tasks = (0..GAMES).map(|index| world.task(Split::Train, index)).collect::<anyhow::Result<Vec<_>>>()?;
    rate("resets", tasks.len(), || tasks.iter().for_each(|task| drop(black_box(world.open(task)))));
    Ok(())
}

/// Does the work a few times a round, and prints how much of it a second holds.
fn rate(name: &str, work: usize, run: impl Fn()) {
    run();
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..REPEATS).for_each(|_| run());
            (work * REPEATS) as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let (best, median) = (rates[ROUNDS - 1], rates[ROUNDS / 2]);
    println!("  {name:16} best {best:10.0}/s, median {median:10.0}/s, {:.2} us", 1e6 / median);
}

const REPEATS: usize = 5;

fn millis(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
