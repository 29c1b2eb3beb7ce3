//! Which skills a task's teacher is shown, and why. Pure: bank, statistics, task and seed decide.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::neutral::words;
use super::shelf::{Place, Shelf, asked};
use crate::core::Task;

/// A way to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retrieval {
    /// Skills without a condition, and the first group with a keyword in the goal (the paper's KM: one task type).
    #[default]
    Keyword,
    /// Skills without a condition, and every group with a keyword in the goal (what SDAR's released code does).
    KeywordAny,
    /// Skills without a condition, and the first group all of whose keywords are in the goal (what the released code's
    /// comment says it does).
    KeywordAll,
    /// As `KeywordAny`, but a keyword counts anywhere, inside words too (the released code's test: `pen` in `pencil`).
    KeywordSubstring,
    /// Skills without a condition, and the first group whose name or keyword is in the task type (the released code's
    /// routing by game file; the goal is not looked at).
    TaskType,
    /// The best `n` skills whose condition holds, by mean score + c sqrt(ln N / n(e)); what was never tried comes
    /// first, in an order drawn by the seed. SDAR and Skill-SD choose one; neither says its `c`.
    Ucb { n: usize, c: f64 },
    /// The whole bank, whatever the task.
    Full,
    /// `n` skills drawn from the whole bank, whatever the task (control). Whether the paper's random retrieval keeps
    /// the general skills is not stated; here nothing is kept.
    Random {
        /// Skills to draw; more than the bank has = all of it, 0 = none.
        n: usize,
    },
    /// The `n` skills whose words match the goal best (BM25).
    Bm25 { n: usize },
    /// The `n` skills nearest to the goal in the policy's own mean hidden states, no nearer than `least` left out.
    Embedding { n: usize, least: f64 },
    /// No skills: teacher and student read the same prompt (control).
    None,
}

/// A chosen skill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    pub id: String,
    pub category: String,
    /// Why it was chosen, e.g. ``keyword `clean` in the goal``.
    pub reason: String,
}

/// A skill as UCB sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arm {
    /// Times it was chosen: n(e).
    pub picks: f64,
    /// Mean score of the episodes it was chosen for, in [0, 1].
    pub reward: f64,
}

impl Arm {
    /// reward + c sqrt(ln N / n); infinite before the first choice. `asked` = N.
    pub fn ucb(&self, asked: u64, c: f64) -> f64 {
        if self.picks == 0.0 {
            return f64::INFINITY;
        }
        self.reward + c * ((asked.max(1) as f64).ln() / self.picks).sqrt()
    }
}

/// What is asked, and what is known beside the bank.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    pub task: &'a Task,
    /// Decides ties of UCB, and random choices.
    pub seed: u64,
    /// By place; none = nothing was tried yet.
    pub arms: &'a [Arm],
    /// Retrievals so far for this task type.
    pub asked: u64,
    /// Mean hidden states of all skills by place, and of the goal; centred and of length 1. None = not known.
    pub vectors: Option<(&'a [Vec<f32>], &'a [f32])>,
}

impl<'a> Query<'a> {
    /// A task alone.
    pub fn new(task: &'a Task, seed: u64) -> Self {
        Self { task, seed, arms: &[], asked: 0, vectors: None }
    }
}

impl Retrieval {
    /// The skills for a task, in prompt order. Only random choices and ties of UCB depend on the seed.
    ///
    /// A keyword is looked for in the goal and in the task type (`pick_two_obj` has the word `two`), as whole words;
    /// the released code looks for substrings, which finds `pen` in `pencil`.
    pub fn choose(&self, shelf: &Shelf, query: &Query) -> Vec<Chosen> {
        let mut found: Vec<(Place, String)> = match *self {
            Retrieval::Keyword => by_keyword(shelf, query.task, Reach::First),
            Retrieval::KeywordAny => by_keyword(shelf, query.task, Reach::Every),
            Retrieval::KeywordAll => by_keyword(shelf, query.task, Reach::FirstWhole),
            Retrieval::KeywordSubstring => by_keyword(shelf, query.task, Reach::Substring),
            Retrieval::TaskType => by_keyword(shelf, query.task, Reach::TaskType),
            Retrieval::Ucb { n, c } => by_ucb(shelf, query, n, c),
            Retrieval::Full => (0..shelf.len()).map(|place| (place, "the whole bank".to_owned())).collect(),
            Retrieval::Random { n } => at_random(shelf, n, query.seed),
            Retrieval::Bm25 { n } => by_words(shelf, query.task, n),
            Retrieval::Embedding { n, least } => by_meaning(shelf, query, n, least),
            Retrieval::None => Vec::new(),
        };
        found.sort_by_key(|(place, _)| *place);
        let chosen = |(place, reason): (Place, String)| {
            let (group, skill) = shelf.skill(place);
            Chosen { id: skill.id.clone(), category: group.category.clone(), reason }
        };
        found.into_iter().map(chosen).collect()
    }

    /// Whether it needs mean hidden states.
    pub fn needs_vectors(&self) -> bool {
        matches!(self, Retrieval::Embedding { .. })
    }

    /// Its constant of exploration; 1 where it has none, for the statistics.
    pub fn exploration(&self) -> f64 {
        if let Retrieval::Ucb { c, .. } = self { *c } else { 1.0 }
    }
}

/// When a group with keywords is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    First,
    FirstWhole,
    Every,
    Substring,
    TaskType,
}

fn by_keyword(shelf: &Shelf, task: &Task, reach: Reach) -> Vec<(Place, String)> {
    let texts = Texts::of(task, reach);
    // the indices only say where to look; the conditions themselves are tested below
    let (groups, skills) = match reach {
        Reach::Substring | Reach::TaskType => shelf.guarded(),
        _ => shelf.opened_by(&texts.words),
    };
    let one = matches!(reach, Reach::First | Reach::FirstWhole | Reach::TaskType);
    let mut found = false;
    let mut result = Vec::new();
    for (g, group) in shelf.bank().groups().iter().enumerate() {
        let free = group.keywords.is_empty();
        let named = reach == Reach::TaskType && texts.holds(&group.category.to_lowercase());
        if !(free || named || groups.contains(&g)) {
            continue;
        }
        let opened = match texts.condition(&group.keywords) {
            _ if named => Some(Some(format!("the task type `{}`", task.kind))),
            other => other,
        };
        let Some(reason) = opened else { continue };
        if reason.is_some() && one && found {
            continue;
        }
        found |= reason.is_some();
        let why = reason.unwrap_or_else(|| "for every goal".to_owned());
        result.extend(shelf.free(g).iter().map(|place| (*place, why.clone())));
        let own: &BTreeSet<Place> = &skills;
        let (Some(first), Some(last)) = (shelf.of_group(g).first(), shelf.of_group(g).last()) else { continue };
        for place in own.range(first..=last) {
            if let Some(Some(reason)) = texts.condition(&shelf.skill(*place).1.keywords) {
                result.push((*place, reason));
            }
        }
    }
    result
}

fn by_ucb(shelf: &Shelf, query: &Query, n: usize, c: f64) -> Vec<(Place, String)> {
    let score = |place: Place| {
        let arm = query.arms.get(place).copied().unwrap_or_default();
        (arm.ucb(query.asked, c), mix(query.seed, place as u64), place)
    };
    let mut arms: Vec<(f64, u64, Place)> =
        by_keyword(shelf, query.task, Reach::Every).into_iter().map(|(place, _)| score(place)).collect();
    let better =
        |a: &(f64, u64, Place), b: &(f64, u64, Place)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2));
    if n < arms.len() && n > 0 {
        arms.select_nth_unstable_by(n - 1, better);
    }
    arms.truncate(n);
    let reason = |(ucb, _, place): (f64, u64, Place)| {
        let arm = query.arms.get(place).copied().unwrap_or_default();
        let words = match ucb.is_finite() {
            true => format!("UCB {ucb:.3}: mean score {:.3} over {} choices", arm.reward, arm.picks),
            false => "UCB: not tried yet".to_owned(),
        };
        (place, words)
    };
    arms.into_iter().map(reason).collect()
}

fn at_random(shelf: &Shelf, n: usize, seed: u64) -> Vec<(Place, String)> {
    let mut drawn: Vec<(u64, Place)> = (0..shelf.len()).map(|place| (mix(seed, place as u64), place)).collect();
    drawn.sort_unstable();
    drawn.into_iter().take(n).map(|(_, place)| (place, "drawn at random".to_owned())).collect()
}

fn by_words(shelf: &Shelf, task: &Task, n: usize) -> Vec<(Place, String)> {
    let hits = shelf.lexical().search(&asked(task), n);
    hits.into_iter().map(|hit| (hit.text, format!("BM25 {:.2}", hit.score))).collect()
}

fn by_meaning(shelf: &Shelf, query: &Query, n: usize, least: f64) -> Vec<(Place, String)> {
    let Some((skills, goal)) = query.vectors else { return Vec::new() };
    let dot = |v: &Vec<f32>| v.iter().zip(goal).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let mut near: Vec<(f64, Place)> =
        skills.iter().take(shelf.len()).enumerate().map(|(place, v)| (dot(v), place)).collect();
    near.retain(|(similarity, _)| *similarity >= least);
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    near.into_iter().take(n).map(|(s, place)| (place, format!("similarity {s:.2}"))).collect()
}

/// A number that looks random (splitmix64): an order for ties that costs nothing.
fn mix(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A task as keywords see it: words between single spaces, with a space at either end.
struct Texts {
    places: Vec<(&'static str, String)>,
    /// Words of goal and task type, a bar between them that no keyword has.
    words: Vec<String>,
    reach: Reach,
}

impl Texts {
    fn of(task: &Task, reach: Reach) -> Self {
        let (goal, kind) = (words(&task.goal), words(&task.kind));
        let spaced = |words: &[String]| format!(" {} ", words.join(" "));
        let mut places = vec![("the task type", spaced(&kind))];
        if reach != Reach::TaskType {
            places.insert(0, ("the goal", spaced(&goal)));
        }
        Self { places, words: [goal, vec!["|".to_owned()], kind].concat(), reach }
    }

    /// Whether a phrase is in one of the places.
    fn holds(&self, phrase: &str) -> bool {
        let phrase = format!(" {} ", words(phrase).join(" "));
        self.places.iter().any(|(_, text)| text.contains(&phrase))
    }

    fn finds(&self, text: &str, keyword: &str) -> bool {
        match self.reach {
            Reach::Substring => text.contains(keyword),
            _ => text.contains(&format!(" {keyword} ")),
        }
    }

    /// `None` = the condition fails; `Some(None)` = there is none; `Some(Some(reason))` = it holds.
    fn condition(&self, keywords: &[String]) -> Option<Option<String>> {
        if keywords.is_empty() {
            return Some(None);
        }
        let whole = self.reach == Reach::FirstWhole;
        if whole && !keywords.iter().all(|k| self.places.iter().any(|(_, text)| self.finds(text, k))) {
            return None;
        }
        let found = self.places.iter().find_map(|(place, text)| {
            let keyword = keywords.iter().find(|keyword| self.finds(text, keyword))?;
            Some(format!("keyword `{keyword}` in {place}"))
        });
        found.map(Some)
    }
}
