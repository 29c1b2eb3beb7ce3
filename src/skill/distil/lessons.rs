//! Single sentences: what a success shows about tools and places, and what a failure shows about conduct.
//!
//! | sentence | learned from |
//! |---|---|
//! | To heat an object, hold it and use the microwave. | `heat egg 1 with microwave 1` on the way to a success |
//! | Do not put the object down before it is heated. | the same, and a later action that puts it somewhere |
//! | An egg is often in a fridge. | `take egg 1 from fridge 1`, the goal naming eggs |
//! | To examine an object in light, hold it and use the desklamp. | `use desklamp 1` as the last action |
//! | Place the first object, then look for the second. | two of one name put into one place |
//! | Do not repeat an action that changed nothing. | such a repetition in a failure; and so on, [`CONDUCT`] |
//!
//! Actions of other environments match none of this: their successes become a workflow.

use std::collections::BTreeMap;

use super::chain::{Act, chain, name, repeats, returns, things, undone};
use super::{Known, workflow};
use crate::skill::bank::MISTAKES;
use crate::skill::draft::Draft;

/// What one episode teaches.
pub(super) fn of(known: &Known) -> Vec<Draft> {
    if !known.episode.won() {
        return conduct(known).into_iter().map(|(draft, _)| draft).collect();
    }
    let chain = chain(&known.acts);
    let mut drafts: Vec<Draft> = chain.iter().flat_map(|act| of_act(known, act, &chain)).collect();
    drafts.extend(two(known, &chain));
    if drafts.is_empty() {
        drafts.extend(workflow::of(known));
    }
    drafts
}

/// What several failures of one task type have in common: at most three sentences, the commonest first.
pub(super) fn of_failures(episodes: &[Known]) -> Vec<Draft> {
    let mut counts: BTreeMap<String, (usize, Draft)> = BTreeMap::new();
    for (draft, times) in episodes.iter().flat_map(conduct) {
        counts.entry(draft.text.clone()).or_insert((0, draft)).0 += times;
    }
    let mut found: Vec<(usize, Draft)> = counts.into_values().collect();
    found.sort_by_key(|(times, _)| std::cmp::Reverse(*times));
    found.into_iter().take(MOST_OF_A_CATEGORY).map(|(_, draft)| draft).collect()
}

fn of_act(known: &Known, act: &Act, chain: &[&Act]) -> Vec<Draft> {
    let words: Vec<&str> = act.action.split(' ').collect();
    match (words.as_slice(), act.things.as_slice()) {
        (["take", .., "from", _, _], [object, place]) if known.in_goal(object) => {
            vec![whereabouts(name(object), name(place), &act.before)]
        }
        (["use", ..], [lamp]) => vec![lesson(
            "look",
            &["light", "desklamp", "examine", "look at"],
            "Use the lamp",
            format!("To examine an object in light, hold it and use the {}.", name(lamp)),
        )],
        ([verb, .., "with", _, _], [object, tool]) => change(verb, object, name(tool), chain, act.turn),
        _ => vec![],
    }
}

fn whereabouts(object: &str, place: &str, view: &str) -> Draft {
    let preposition = if view.to_lowercase().contains(&format!("on the {place} ")) { "on" } else { "in" };
    let text = format!("{} {object} is often {preposition} {} {place}.", article(object), article(place));
    let mut letters = text.chars();
    let text = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    lesson("where", &[object], &format!("Where {object} is"), text)
}

/// A tool, and the order of things.
fn change(verb: &str, object: &str, tool: &str, chain: &[&Act], turn: usize) -> Vec<Draft> {
    let keywords = GOAL_WORDS.iter().find(|(known, _)| *known == verb).map_or(vec![verb], |(_, words)| words.to_vec());
    let text = format!("To {verb} an object, hold it and use the {tool}.");
    let mut drafts = vec![lesson(verb, &keywords, &format!("Use the {tool}"), text)];
    let placed = |act: &&&Act| act.turn > turn && ["move", "put"].contains(&act.verb.as_str());
    if chain.iter().find(placed).is_some_and(|act| act.things.iter().any(|thing| thing == object)) {
        let text = format!("Do not put the object down before it is {verb}ed.");
        drafts.push(lesson(verb, &keywords, &format!("{verb} before placing"), text));
    }
    drafts
}

fn two(known: &Known, chain: &[&Act]) -> Option<Draft> {
    let placed = chain.iter().filter(|act| ["move", "put"].contains(&act.verb.as_str()));
    let placed: Vec<&&Act> = placed.filter(|act| act.things.first().is_some_and(|t| known.in_goal(t))).collect();
    let [first, .., last] = placed.as_slice() else { return None };
    let same = name(&first.things[0]) == name(&last.things[0]) && first.things[0] != last.things[0];
    let text = "Place the first object, then look for the second.".to_owned();
    same.then(|| lesson("two", &["two"], "One object after the other", text))
}

/// What went wrong in a failure, and how often.
fn conduct(known: &Known) -> Vec<(Draft, usize)> {
    let counted = CONDUCT.iter().map(|(title, text, count)| (title, text, count(known)));
    let found = counted.filter(|(_, _, times)| *times > 0);
    found.map(|(title, text, times)| (lesson(MISTAKES, &[], title, (*text).to_owned()), times)).collect()
}

type Count = fn(&Known) -> usize;

/// Title, sentence, and how often an episode went against it.
const CONDUCT: [(&str, &str, Count); 6] = [
    ("Repeating what did nothing", "Do not repeat an action that changed nothing.", |k| repeats(&k.acts).len()),
    ("Going back", "Do not go back to a place you have searched.", |k| returns(&k.acts).len()),
    ("Undoing", "Do not take back what you have just done.", |k| undone(&k.acts).len()),
    ("Passing by", "Take the object as soon as you see it.", passed_by),
    ("Leaving closed things", "Open a closed receptacle before you leave it.", left_closed),
    ("Form", "Keep to the form in which you are asked to answer.", |k| k.acts.iter().filter(|act| !act.valid).count()),
];

/// Actions by which something the goal names was left behind that had just come into view.
fn passed_by(known: &Known) -> usize {
    let holds = |turn: usize| known.acts[..turn].iter().any(|act| act.verb == "take" && act.effective);
    let sees = |act: &&Act| {
        let view = act.before.to_lowercase();
        view.contains("you see") && !act.before.contains("-=") && things(&view).iter().any(|thing| known.in_goal(thing))
    };
    known.acts.iter().filter(|act| act.verb == "go" && act.turn > 0 && !holds(act.turn)).filter(sees).count()
}

/// Actions by which a closed thing was left unopened.
fn left_closed(known: &Known) -> usize {
    known.acts.iter().filter(|act| act.verb == "go" && act.before.trim_end().ends_with("is closed.")).count()
}

fn lesson(category: &str, keywords: &[&str], title: &str, text: String) -> Draft {
    let keywords = keywords.iter().map(|word| (*word).to_owned()).collect();
    Draft { category: category.to_owned(), keywords, title: title.to_owned(), text, ..Draft::default() }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// How goals ask for what a verb does.
const GOAL_WORDS: [(&str, &[&str]); 3] =
    [("clean", &["clean"]), ("heat", &["heat", "hot"]), ("cool", &["cool", "cold"])];

/// SkillRL adds up to three skills to a category at a time.
const MOST_OF_A_CATEGORY: usize = 3;
