//! How long a choice of skills takes: `cargo bench --bench skills`. One line per way to choose and size of bank.

use std::hint::black_box;
use std::time::Instant;

use sdlab::core::Task;
use sdlab::skill::retrieve::Arm;
use sdlab::skill::{Bank, Query, Retrieval, Shelf};

/// A bank of `n` skills, each for goals with a word that about one skill in twenty shares, and a few for every goal.
fn bank(n: usize) -> Bank {
    let mut text = String::from("category = \"where\"\n");
    for i in 0..n {
        let (kind, place) = (i % (n / 20).max(1), i % 97);
        let skill = format!(
            "[[skill]]\nid = \"s{i}\"\ntitle = \"Thing {kind}\"\nkeywords = [\"thing{kind}\"]\n\
             text = \"A thing{kind} is often in place{place}, or behind the door of room{}.\"\n",
            i % 13
        );
        text.push_str(&skill);
    }
    let general = "category = \"general\"\n[[skill]]\nid = \"g\"\ntitle = \"G\"\ntext = \"Look around first.\"\n";
    Bank::parse(&[("where.toml", text.as_str()), ("general.toml", general)]).expect("a valid bank")
}

fn main() {
    let task = |n: usize| Task {
        id: "t/train/0".into(),
        kind: "pick_and_place".into(),
        goal: format!("put some thing{n} on the thing{} near place{}.", n + 1, n % 97),
    };
    for n in [100, 1_000, 10_000] {
        let begun = Instant::now();
        let shelf = Shelf::new(bank(n));
        println!("{n:>6} skills   made ready in {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
        let arms: Vec<Arm> = (0..shelf.len()).map(|i| Arm { picks: 1.0 + (i % 7) as f64, reward: 0.5 }).collect();
        let vectors: Vec<Vec<f32>> =
            (0..shelf.len()).map(|i| (0..128).map(|d| ((i * 31 + d * 7) % 17) as f32 / 100.0).collect()).collect();
        // the whole bank is eligible: the worst case of UCB
        let open = Shelf::new(Bank::of(vec![sdlab::skill::SkillGroup {
            category: "general".into(),
            keywords: vec![],
            skills: shelf.bank().skills().map(|(_, s)| sdlab::skill::Skill { keywords: vec![], ..s.clone() }).collect(),
        }]));
        let ways: [(&str, Retrieval, &Shelf); 7] = [
            ("keyword", Retrieval::Keyword, &shelf),
            ("keyword-substring", Retrieval::KeywordSubstring, &shelf),
            ("ucb, by keyword", Retrieval::Ucb { n: 1, c: 1.0 }, &shelf),
            ("ucb, all eligible", Retrieval::Ucb { n: 1, c: 1.0 }, &open),
            ("random", Retrieval::Random { n: 6 }, &shelf),
            ("bm25", Retrieval::Bm25 { n: 6 }, &shelf),
            ("embedding, 128 wide", Retrieval::Embedding { n: 6, least: -1.0 }, &shelf),
        ];
        for (name, way, shelf) in ways {
            let choose = |i: usize| {
                let task = task(i % 40);
                let vectors = Some((vectors.as_slice(), vectors[i % vectors.len()].as_slice()));
                way.choose(shelf, &Query { arms: &arms, asked: 100, vectors, ..Query::new(&task, i as u64) }).len()
            };
            black_box(choose(0)); // indices that are made when first asked for
            let begun = Instant::now();
            let rounds = 50;
            let chosen: usize = (0..rounds).map(|i| black_box(choose(i))).sum();
            let each = begun.elapsed().as_secs_f64() * 1e3 / rounds as f64;
            println!("{n:>6} skills   {name:<20} {each:>8.4} ms   {:>5.1} chosen", chosen as f64 / rounds as f64);
        }
    }
}
