//! What of an episode mattered: its actions with the things they are about, which of them changed anything, and, going
//! back from the last one, those that the success needed.
//!
//! Backward causal chaining: start at the last action; an earlier one is kept if it acted on something a kept one acts
//! on, or if it brought such a thing into view. What it acts on is needed from then on. Going to a place is kept once a
//! place, the last time; what changed nothing is never kept. Without things in the actions (a board, a web page) the
//! whole way is kept, without the parts that led back to where it had been.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::{Episode, Turn};

/// One turn as the distiller sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    pub turn: usize,
    /// The action as it was given.
    pub action: String,
    /// Its first word.
    pub verb: String,
    /// Things in it: a name and a number, e.g. `mug 1`, in order.
    pub things: Vec<String>,
    /// What the environment said before and after it.
    pub before: String,
    pub after: String,
    /// Whether it changed anything.
    pub effective: bool,
    pub valid: bool,
}

/// All turns of an episode.
pub fn acts(episode: &Episode) -> Vec<Act> {
    let after = |turn: usize| match episode.turns.get(turn + 1) {
        Some(next) => next.observation.clone(),
        None => episode.last_observation.clone(),
    };
    let act = |(turn, t): (usize, &Turn)| {
        let action = t.action.split_whitespace().collect::<Vec<_>>().join(" ");
        let after = after(turn);
        let nothing = NOTHING.iter().any(|words| after.to_lowercase().contains(words));
        Act {
            turn,
            verb: action.split([' ', '[']).next().unwrap_or_default().to_owned(),
            things: things(&action),
            effective: t.valid && !nothing && after.trim() != t.observation.trim(),
            before: t.observation.clone(),
            after,
            action,
            valid: t.valid,
        }
    };
    episode.turns.iter().enumerate().map(act).collect()
}

/// Names followed by a number, e.g. `mug 1`, in order; each once.
pub fn things(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut found: Vec<String> = Vec::new();
    for pair in words.windows(2) {
        let name = pair[0].chars().all(char::is_alphabetic);
        let number = pair[1].len() <= 3 && pair[1].bytes().all(|b| b.is_ascii_digit());
        let thing = format!("{} {}", pair[0].to_lowercase(), pair[1]);
        if name && number && !found.contains(&thing) {
            found.push(thing);
        }
    }
    found
}

/// The name of a thing without its number.
pub fn name(thing: &str) -> &str {
    thing.split(' ').next().unwrap_or(thing)
}

/// The actions that led to the last effective one, in order.
pub fn chain(acts: &[Act]) -> Vec<&Act> {
    let Some(last) = acts.iter().rposition(|act| act.effective) else { return vec![] };
    match acts.iter().any(|act| !act.things.is_empty()) {
        true => by_things(acts, last),
        false => without_loops(&acts[..=last]),
    }
}

fn by_things(acts: &[Act], last: usize) -> Vec<&Act> {
    let seen_at = first_seen(acts);
    let mut needed: BTreeSet<&str> = acts[last].things.iter().map(String::as_str).collect();
    let mut kept = vec![&acts[last]];
    let mut taken: BTreeSet<&str> = BTreeSet::from([acts[last].action.as_str()]);
    for (i, act) in acts[..last].iter().enumerate().rev() {
        if !act.effective || PASSIVE.contains(&act.verb.as_str()) || taken.contains(act.action.as_str()) {
            continue;
        }
        let acts_on = act.things.iter().any(|thing| needed.contains(thing.as_str()));
        let brings = needed.iter().any(|thing| seen_at.get(*thing) == Some(&i));
        if acts_on || brings {
            needed.extend(act.things.iter().map(String::as_str));
            taken.insert(&act.action);
            kept.push(act);
        }
    }
    kept.reverse();
    kept
}

/// The turn after which a thing was mentioned first; things known from the start are not in it.
fn first_seen(acts: &[Act]) -> BTreeMap<String, usize> {
    let known: BTreeSet<String> = acts.first().map(|act| things(&act.before)).unwrap_or_default().into_iter().collect();
    let mut seen = BTreeMap::new();
    for (i, act) in acts.iter().enumerate() {
        for thing in things(&act.after).into_iter().filter(|thing| !known.contains(thing)) {
            seen.entry(thing).or_insert(i);
        }
    }
    seen
}

/// Cuts what led back to a state that had been there before.
fn without_loops(acts: &[Act]) -> Vec<&Act> {
    let mut kept: Vec<&Act> = Vec::new();
    for act in acts.iter().filter(|act| act.effective) {
        if let Some(at) = kept.iter().position(|earlier| earlier.before == act.after) {
            kept.truncate(at);
        } else {
            kept.push(act);
        }
    }
    kept
}

/// Actions that brought a later action to nothing or were brought to nothing: what returned to a place that had shown
/// the same before.
pub fn returns(acts: &[Act]) -> Vec<&Act> {
    let again = |(i, act): &(usize, &Act)| {
        act.effective && acts[..*i].iter().any(|old| old.action == act.action && old.after == act.after)
    };
    acts.iter().enumerate().filter(again).map(|(_, act)| act).collect()
}

/// Actions that changed nothing and were done before.
pub fn repeats(acts: &[Act]) -> Vec<&Act> {
    let again = |(i, act): &(usize, &Act)| {
        !act.effective && act.valid && acts[..*i].iter().any(|old| old.action == act.action && !old.effective)
    };
    acts.iter().enumerate().filter(again).map(|(_, act)| act).collect()
}

/// Actions that took back what the one before had done.
pub fn undone(acts: &[Act]) -> Vec<&Act> {
    let back = |pair: &&[Act]| {
        let [first, second] = pair else { return false };
        first.effective && second.effective && first.action != second.action && !first.before.is_empty() && {
            let inverse = INVERSE.contains(&(first.verb.as_str(), second.verb.as_str()));
            (inverse && first.things == second.things) || first.before == second.after
        }
    };
    acts.windows(2).filter(back).map(|pair| &pair[1]).collect()
}

/// What environments say to an action that did nothing; in lower case.
const NOTHING: [&str; 3] = ["nothing happens", "nothing changed", "invalid action"];
/// Verbs that only look.
const PASSIVE: [&str; 5] = ["look", "inventory", "help", "examine", "check"];
/// Verbs that undo each other on the same things.
const INVERSE: [(&str, &str); 6] =
    [("open", "close"), ("close", "open"), ("take", "move"), ("move", "take"), ("take", "put"), ("put", "take")];
