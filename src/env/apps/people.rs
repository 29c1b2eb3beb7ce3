//! The world a task begins in: people, and what is in their apps.

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::json;

use super::db::Db;
use super::office::{Office, apps};

/// The table `[words]` of `envs/apps.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub first_names: Vec<String>,
    pub last_names: Vec<String>,
    pub relations: Vec<String>,
    pub subjects: Vec<String>,
    pub sentences: Vec<String>,
    pub events: Vec<String>,
    pub places: Vec<String>,
    pub lists: Vec<String>,
    pub chores: Vec<String>,
    pub categories: Vec<String>,
    pub kinds: Vec<String>,
    pub notes: Vec<String>,
}

impl Words {
    /// Reads the table. Fails if it is missing, misspelt or too short.
    pub fn load(toml: &str) -> Result<Words> {
        #[derive(Deserialize)]
        struct File {
            words: Words,
        }
        let words = toml::from_str::<File>(toml).context("reading the table `[words]`")?.words;
        let w = &words;
        for (name, list) in [
            ("first_names", &w.first_names),
            ("last_names", &w.last_names),
            ("relations", &w.relations),
            ("subjects", &w.subjects),
            ("sentences", &w.sentences),
            ("events", &w.events),
            ("places", &w.places),
            ("lists", &w.lists),
            ("chores", &w.chores),
            ("categories", &w.categories),
            ("kinds", &w.kinds),
            ("notes", &w.notes),
        ] {
            ensure!(list.len() >= 4, "`words.{name}` has {} entries; give at least 4", list.len());
            let twice = list.iter().enumerate().find(|(n, word)| list[..*n].contains(word));
            ensure!(twice.is_none(), "`words.{name}` has `{}` twice", twice.map_or("", |(_, word)| word));
        }
        ensure!(w.first_names.len() >= 10 && w.last_names.len() >= 10, "give at least 10 first and last names");
        Ok(words)
    }
}

/// A world in the making.
pub struct Desk<'a> {
    pub words: &'a Words,
    pub rng: ChaCha8Rng,
    pub office: Office,
    /// Email addresses of everyone, the supervisor's first.
    pub people: Vec<String>,
}

impl<'a> Desk<'a> {
    /// Fills the apps.
    pub fn new(words: &'a Words, mut rng: ChaCha8Rng) -> Desk<'a> {
        let mut db = Db::default();
        let people = people(words, &mut rng, &mut db);
        fill(words, &mut rng, &mut db, &people);
        Desk { words, rng, office: Office::new(db, 1), people }
    }

    /// One of some texts.
    pub fn pick(&mut self, from: &[String]) -> String {
        // the lists were found long enough when they were read
        from.choose(&mut self.rng).cloned().unwrap_or_default()
    }

    pub fn number(&mut self, from: i64, to: i64) -> i64 {
        self.rng.random_range(from..=to)
    }

    /// A date and a time.
    pub fn moment(&mut self) -> (String, String) {
        moment(&mut self.rng)
    }

    pub fn me(&self) -> String {
        self.people[0].clone()
    }

    /// Another person's number, from 1.
    pub fn other(&mut self) -> usize {
        self.rng.random_range(1..self.people.len())
    }

    /// First and last name.
    pub fn name(&self, person: usize) -> String {
        let row = self.office.db.row("people", person as u64 + 1);
        let part = |field: &str| row.and_then(|row| row[field].as_str()).unwrap_or_default();
        format!("{} {}", part("first_name"), part("last_name"))
    }
}

fn people(words: &Words, rng: &mut ChaCha8Rng, db: &mut Db) -> Vec<String> {
    let (mut firsts, mut lasts) = (words.first_names.clone(), words.last_names.clone());
    firsts.shuffle(rng);
    lasts.shuffle(rng);
    let names = firsts.iter().zip(&lasts).take(PEOPLE);
    names
        .map(|(first, last)| {
            let email = format!("{}.{}@harbourmail.example", first.to_lowercase(), last.to_lowercase());
            let phone = format!("555-{:04}", rng.random_range(0..10_000));
            db.add("people", json!({ "first_name": first, "last_name": last, "email": email, "phone": phone }));
            for app in apps().filter(|app| app.apis.iter().any(|api| api.name == "login")) {
                let password = format!("{:08x}", rng.random::<u32>());
                db.add("accounts", json!({ "app": app.name, "email": email, "password": password }));
            }
            db.add("ledger.balances", json!({ "email": email, "balance": rng.random_range(600..3000) }));
            email
        })
        .collect()
}

fn moment(rng: &mut ChaCha8Rng) -> (String, String) {
    let date = format!("2031-{:02}-{:02}", rng.random_range(1..=12), rng.random_range(1..=28));
    (date, format!("{:02}:{}0", rng.random_range(8..20), rng.random_range(0..6)))
}

fn fill(words: &Words, rng: &mut ChaCha8Rng, db: &mut Db, people: &[String]) {
    let pick = |rng: &mut ChaCha8Rng, list: &[String]| list.choose(rng).cloned().unwrap_or_default();
    let mut subjects = words.subjects.clone();
    subjects.shuffle(rng);
    for n in 0..rng.random_range(16..28) {
        // most mail is the supervisor's
        let to = if rng.random_bool(0.7) { 0 } else { rng.random_range(0..people.len()) };
        let from = (to + rng.random_range(1..people.len())) % people.len();
        let subject = format!("{} {}", subjects[n % subjects.len()], n + 1);
        let (body, read) = (pick(rng, &words.sentences), rng.random_bool(0.5));
        db.add(
            "postbox.messages",
            json!({ "from": people[from], "to": people[to], "subject": subject, "body": body, "read": read }),
        );
    }
    for (n, person) in people.iter().enumerate().skip(1) {
        if n % 4 == 3 {
            continue; // not everyone is known
        }
        let row = db.row("people", n as u64 + 1).cloned().unwrap_or_default();
        let text = |field: &str| row[field].as_str().unwrap_or_default();
        let name = format!("{} {}", text("first_name"), text("last_name"));
        let relation = pick(rng, &words.relations);
        let contact =
            json!({ "owner": people[0], "name": name, "email": person, "phone": text("phone"), "relation": relation });
        db.add("rolodex.contacts", contact);
    }
    for _ in 0..rng.random_range(10..18) {
        let from = rng.random_range(0..people.len());
        let to = (from + rng.random_range(1..people.len())) % people.len();
        let (amount, note) = (rng.random_range(5..90), pick(rng, &words.notes));
        db.add("ledger.payments", json!({ "from": people[from], "to": people[to], "amount": amount, "note": note }));
    }
    for n in 0..rng.random_range(5..9) {
        let from = rng.random_range(1..people.len());
        let (amount, note) = (rng.random_range(5..60), pick(rng, &words.notes));
        let status = if n % 3 == 2 { "declined" } else { "open" };
        let row = json!({ "from": people[from], "to": people[0], "amount": amount, "note": note, "status": status });
        db.add("ledger.requests", row);
    }
    fill_plans(words, rng, db, people);
    for category in &words.categories {
        for kind in &words.kinds {
            let name = format!("{kind} {category}");
            // no two products of a category cost the same
            let price = 3 + 7 * db.of("basket.products", "category", category).count() as i64;
            db.add("basket.products", json!({ "name": name, "category": category, "price": price }));
        }
    }
    reprice(rng, db);
}

/// Events and chores, the supervisor's and others'.
fn fill_plans(words: &Words, rng: &mut ChaCha8Rng, db: &mut Db, people: &[String]) {
    let pick = |rng: &mut ChaCha8Rng, list: &[String]| list.choose(rng).cloned().unwrap_or_default();
    let days: Vec<String> = (0..4).map(|_| moment(rng).0).collect();
    let mut events = words.events.clone();
    events.shuffle(rng);
    for (n, title) in events.iter().take(rng.random_range(8..13)).enumerate() {
        let owner = if n % 5 == 4 { &people[1 + n % (people.len() - 1)] } else { &people[0] };
        let (date, start) = (pick(rng, &days), moment(rng).1);
        db.add(
            "agenda.events",
            json!({ "owner": owner, "title": title, "date": date, "start": start, "place": pick(rng, &words.places) }),
        );
    }
    let mut chores = words.chores.clone();
    chores.shuffle(rng);
    for (n, title) in chores.iter().take(rng.random_range(9..14)).enumerate() {
        let owner = if n % 5 == 4 { &people[1 + n % (people.len() - 1)] } else { &people[0] };
        let (list, due, done) = (pick(rng, &words.lists), moment(rng).0, rng.random_bool(0.3));
        db.add("chores.items", json!({ "owner": owner, "title": title, "list": list, "due": due, "done": done }));
    }
}

/// Shuffles prices within each category.
fn reprice(rng: &mut ChaCha8Rng, db: &mut Db) {
    let rows: Vec<(u64, String, i64)> = db
        .rows("basket.products")
        .map(|(id, row)| {
            (id, row["category"].as_str().unwrap_or_default().to_owned(), row["price"].as_i64().unwrap_or(1))
        })
        .collect();
    for category in rows.iter().map(|(_, category, _)| category).collect::<std::collections::BTreeSet<_>>() {
        let own = || rows.iter().filter(|(_, other, _)| other == category);
        let mut prices: Vec<i64> = own().map(|(.., price)| *price).collect();
        prices.shuffle(rng);
        own().zip(prices).for_each(|((id, ..), price)| db.set("basket.products", *id, "price", json!(price)));
    }
}

const PEOPLE: usize = 9;
