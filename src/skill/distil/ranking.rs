//! Ranked executions of one task: what did better than what, as one note for the task type (TimeClaw's comparison).

use super::Known;
use super::chain::things;
use super::workflow::Names;
use crate::skill::draft::Draft;

/// The note; `None` where all did the same.
pub(super) fn of(best: &Known, behind: &[Known]) -> Option<Draft> {
    let won = path(best);
    let mut lost: Vec<String> = vec![];
    for path in behind.iter().map(path).filter(|path| *path != won && !path.is_empty()) {
        if !lost.contains(&path) {
            lost.push(path);
        }
    }
    lost.truncate(MOST);
    let kind = best.kind();
    (!won.is_empty() && !lost.is_empty()).then(|| Draft {
        category: best.episode.task.kind.clone(),
        keywords: vec![kind.clone()],
        title: format!("What did best: {kind}"),
        text: format!("{won} did better than {}.", lost.join(", ")),
        ..Draft::default()
    })
}

/// What an execution came down to: its last actions, instances as placeholders. The scores stay out, so that the same
/// comparison made again is known for the same.
fn path(known: &Known) -> String {
    let acts: Vec<_> = known.acts.iter().filter(|act| act.valid).collect();
    let last = &acts[acts.len().saturating_sub(LAST)..];
    let mut all: Vec<String> = last.iter().flat_map(|act| things(&act.action)).collect();
    all.retain(|thing| is_instance(known, thing));
    let names = Names::among(known, all);
    let steps: Vec<String> = last.iter().map(|act| format!("`{}`", names.in_action(&act.action))).collect();
    steps.join(" then ")
}

/// Whether the environment spoke of the thing before the agent did: `mug 1` is an instance, the 4 of `window 4` was chosen.
fn is_instance(known: &Known, thing: &str) -> bool {
    let first = known.acts.iter().find(|act| things(&act.action).iter().any(|named| named == thing));
    let until = first.map_or(0, |act| act.turn + 1);
    known.acts[..until].iter().any(|act| things(&act.before).iter().any(|named| named == thing))
}

/// Actions that are told of an execution.
const LAST: usize = 2;
/// Executions that are told of beside the best.
const MOST: usize = 3;
