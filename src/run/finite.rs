//! JSON has no NaN: what is not finite becomes "not there", and is named.

use std::borrow::Cow;

use crate::core::{Episode, Metrics, RunEvent, TokenRecord};

/// Metrics from named numbers, and the names of those that were not finite (recorded as `None`).
pub fn metrics_from<N: Into<String>>(values: impl IntoIterator<Item = (N, f64)>) -> (Metrics, Vec<String>) {
    let mut metrics: Metrics = values.into_iter().map(|(name, value)| (name.into(), Some(value))).collect();
    let bad = clean_metrics(&mut metrics);
    (metrics, bad)
}

/// Removes the non-finite numbers of an event and returns their names.
pub(crate) fn clean_event(event: &mut RunEvent) -> Vec<String> {
    let mut bad = Vec::new();
    match event {
        RunEvent::Stepped { metrics, skills, .. } => {
            bad = clean_metrics(metrics);
            for skill in skills {
                clean(&mut skill.gap, || format!("gap of skill {}", skill.id), &mut bad);
                clean(&mut skill.gap_won, || format!("gap of won episodes of skill {}", skill.id), &mut bad);
                clean(&mut skill.gate, || format!("gate of skill {}", skill.id), &mut bad);
                let total = &mut skill.total;
                for number in [&mut total.gap, &mut total.gap_won, &mut total.gate, &mut total.reward] {
                    clean(number, || format!("a total of skill {}", skill.id), &mut bad);
                }
                // never tried = infinite
                total.ucb = total.ucb.filter(|ucb| ucb.is_finite());
                total.utility = total.utility.filter(|utility| utility.is_finite());
            }
        }
        RunEvent::Evaluated { metrics, .. } => bad = clean_metrics(metrics),
        RunEvent::Alerted { value, rule, .. } => clean(value, || format!("value of rule {rule}"), &mut bad),
        RunEvent::Checkpointed { seconds, .. } if !seconds.is_finite() => {
            *seconds = 0.0;
            bad.push("checkpoint seconds".into());
        }
        _ => {}
    }
    bad
}

/// Step an event belongs to; `Started` belongs to the last step done before it.
pub(crate) fn step_of(event: &RunEvent) -> Option<u64> {
    match event {
        RunEvent::Started { resumed, .. } => Some(*resumed),
        RunEvent::Progress { step, .. }
        | RunEvent::Stepped { step, .. }
        | RunEvent::Evaluated { step, .. }
        | RunEvent::BankLoaded { step, .. }
        | RunEvent::BankChanged { step, .. }
        | RunEvent::Retrieved { step, .. }
        | RunEvent::Checkpointed { step, .. }
        | RunEvent::ConfigChanged { step, .. }
        | RunEvent::ConfigRejected { step, .. }
        | RunEvent::Alerted { step, .. }
        | RunEvent::Warned { step, .. }
        | RunEvent::Paused { step }
        | RunEvent::Resumed { step }
        | RunEvent::Finished { step, .. } => Some(*step),
        RunEvent::Unknown => None,
    }
}

/// An episode without non-finite numbers: rewards and score become 0, the advantage `None`. Adds how many there were.
pub(crate) fn clean_episode<'a>(episode: &'a Episode, bad: &mut usize) -> Cow<'a, Episode> {
    let numbers =
        episode.turns.iter().map(|t| t.reward).chain([episode.reward, episode.score]).chain(episode.advantage);
    let count = numbers.filter(|x| !x.is_finite()).count();
    if count == 0 {
        return Cow::Borrowed(episode);
    }
    *bad += count;
    let mut clean = episode.clone();
    let rewards = clean.turns.iter_mut().map(|t| &mut t.reward);
    for number in rewards.chain([&mut clean.reward, &mut clean.score]) {
        if !number.is_finite() {
            *number = 0.0;
        }
    }
    clean.advantage = clean.advantage.filter(|x| x.is_finite());
    Cow::Owned(clean)
}

/// How many signals of a token are not finite; the store writes them as `None`.
pub(crate) fn non_finite_signals(token: &TokenRecord) -> usize {
    [
        token.sampled,
        token.old,
        token.student,
        token.teacher,
        token.reference,
        token.entropy,
        token.gate,
        token.advantage,
        token.coefficient,
    ]
    .iter()
    .flatten()
    .filter(|x| !x.is_finite())
    .count()
}

fn clean_metrics(metrics: &mut Metrics) -> Vec<String> {
    let mut bad = Vec::new();
    for (name, value) in metrics {
        clean(value, || name.clone(), &mut bad);
    }
    bad
}

fn clean(value: &mut Option<f64>, name: impl FnOnce() -> String, bad: &mut Vec<String>) {
    if value.is_some_and(|x| !x.is_finite()) {
        *value = None;
        bad.push(name());
    }
}

#[cfg(test)]
mod tests {
    use super::metrics_from;

    #[test]
    fn non_finite_metrics_are_named_and_emptied() {
        let (metrics, bad) = metrics_from([("a", 1.0), ("b", f64::NAN), ("c", f64::NEG_INFINITY)]);
        assert_eq!(metrics["a"], Some(1.0));
        assert_eq!((metrics["b"], metrics["c"]), (None, None));
        assert_eq!(bad, ["b", "c"]);
    }
}
