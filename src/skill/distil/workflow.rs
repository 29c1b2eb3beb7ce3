//! One skill per episode in Skill-SD's form: success analysis, mistake analysis, golden workflow; and contrasts.

use std::collections::BTreeMap;

use super::Known;
use super::chain::{Act, chain, name, repeats, returns, things, undone};
use crate::core::skill::Analyses;
use crate::skill::draft::Draft;

/// The skill of one episode; `None` where nothing was done.
pub(super) fn of(known: &Known) -> Option<Draft> {
    let chain = if known.episode.won() { chain(&known.acts) } else { vec![] };
    let names = Names::of(known, &chain);
    let analyses = Analyses {
        success_analysis: success(known, &chain),
        mistake_analysis: mistakes(known),
        golden_workflow: numbered(chain.iter().map(|act| names.in_action(&act.action))),
    };
    let kind = known.kind();
    let title = if known.episode.won() { format!("How to: {kind}") } else { format!("What fails: {kind}") };
    (!analyses.is_empty()).then(|| Draft {
        category: known.episode.task.kind.clone(),
        keywords: vec![kind],
        title,
        analyses,
        ..Draft::default()
    })
}

/// What a better and a worse episode of one task differ in; `None` where they part nowhere.
pub(super) fn contrast(better: &Known, worse: &Known) -> Option<Draft> {
    let same = better.acts.iter().zip(&worse.acts).take_while(|(a, b)| a.action == b.action).count();
    let (good, bad) = (better.acts.get(same)?, worse.acts.get(same)?);
    let names = Names::of(better, &[good, bad]);
    let before = match same.checked_sub(1).and_then(|last| better.acts.get(last)) {
        Some(act) => format!("After `{}`", names.in_action(&act.action)),
        None => "At first".to_owned(),
    };
    let (good, bad) = (names.in_action(&good.action), names.in_action(&bad.action));
    let kind = better.kind();
    // two instances of one name are the same in words: nothing to be learned from
    (good != bad).then(|| Draft {
        category: better.episode.task.kind.clone(),
        keywords: vec![kind.clone()],
        title: format!("Where attempts part: {kind}"),
        text: format!("{before}, `{good}` went well and `{bad}` did not."),
        ..Draft::default()
    })
}

fn success(known: &Known, chain: &[&Act]) -> String {
    if chain.is_empty() {
        return String::new();
    }
    let verbs: Vec<&str> = chain.iter().map(|act| act.verb.as_str()).collect();
    let mut order: Vec<&str> = Vec::new();
    verbs.into_iter().for_each(|verb| {
        if order.last() != Some(&verb) {
            order.push(verb);
        }
    });
    let (needed, all) = (chain.len(), known.acts.len());
    format!("The goal was reached; of {all} actions {needed} were needed, in this order: {}.", order.join(", "))
}

fn mistakes(known: &Known) -> String {
    let nothing = known.acts.iter().filter(|act| act.valid && !act.effective).count();
    let counts = [
        (nothing, "changed nothing"),
        (repeats(&known.acts).len(), "repeated what had changed nothing"),
        (returns(&known.acts).len(), "went back to what had been seen"),
        (undone(&known.acts).len(), "took back the one before"),
        (known.acts.iter().filter(|act| !act.valid).count(), "had not the required form"),
    ];
    let found: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if found.is_empty() { String::new() } else { format!("Of the actions, {}.", found.join(", ")) }
}

fn numbered(steps: impl Iterator<Item = String>) -> String {
    let steps = (1..).zip(steps).take(MOST_STEPS);
    steps.map(|(n, step): (usize, String)| format!("{n}. {step}")).collect::<Vec<_>>().join(" ")
}

/// Placeholders by thing.
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    fn of(known: &Known, acts: &[&Act]) -> Self {
        Self::among(known, acts.iter().flat_map(|act| things(&act.action)).collect())
    }

    /// Placeholders for these things.
    pub(super) fn among(known: &Known, all: Vec<String>) -> Self {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        // in the order in which the goal names them: what is asked for comes first
        let mut roles = ["object", "target", "other"].iter();
        for word in &known.goal {
            let named: Vec<&String> = all.iter().filter(|thing| name(thing) == word.trim_end_matches('s')).collect();
            let named = if named.is_empty() { all.iter().filter(|t| name(t) == word).collect() } else { named };
            if named.iter().any(|thing| !names.contains_key(*thing))
                && let Some(role) = roles.next()
            {
                named.into_iter().for_each(|thing| number(&mut names, thing, role));
            }
        }
        all.iter().for_each(|thing| number(&mut names, thing, name(thing)));
        Self(names)
    }

    /// An action with placeholders.
    pub(super) fn in_action(&self, action: &str) -> String {
        let mut text = action.to_owned();
        // `shelf 12` before `shelf 1`
        for (thing, placeholder) in self.0.iter().rev() {
            text = text.replace(thing, placeholder);
        }
        text
    }
}

/// `<object>` for the first of a role, `<object b>` for the next.
fn number(names: &mut BTreeMap<String, String>, thing: &str, role: &str) {
    if names.contains_key(thing) {
        return;
    }
    let start = format!("<{role}");
    let before = names.values().filter(|p| **p == format!("{start}>") || p.starts_with(&format!("{start} "))).count();
    let placeholder = match u8::try_from(before) {
        Ok(n @ 1..=24) => format!("{start} {}>", char::from(b'a' + n)),
        _ => format!("{start}>"),
    };
    names.insert(thing.to_owned(), placeholder);
}

/// Longer workflows are cut: the teacher pays for every token.
const MOST_STEPS: usize = 16;
