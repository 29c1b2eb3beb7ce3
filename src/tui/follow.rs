//! How the cursor of the list of all rollouts and the shared selection follow each other.

use super::app::App;
use super::select;
use crate::core::EpisodeId;

/// Moves the cursor of the list; the selection follows.
pub fn choose(app: &mut App, line: usize) {
    let browse = &mut app.states.rollouts;
    browse.at = line.min(browse.shown.len().saturating_sub(1));
    let Some(id) = browse.row(browse.at).map(|r| r.id) else { return };
    let turn = browse.grep.as_ref().and_then(|g| g.hits.get(&id)).map_or(0, |hit| hit.turn);
    show(app, id, turn);
}

/// Selects a rollout of any step: at once, or when its step has been read.
pub fn show(app: &mut App, id: EpisodeId, turn: usize) {
    app.states.rollouts.wanted = Some((id, turn));
    if app.data.step != id.step {
        select::set_step(app, id.step);
    }
    arrive(app);
}

/// Selects the rollout that was asked for, if its step is the one that is shown.
pub(super) fn arrive(app: &mut App) -> bool {
    // who went elsewhere meanwhile does not want it any more
    let here = app.step();
    app.states.rollouts.wanted = app.states.rollouts.wanted.filter(|(id, _)| id.step == here);
    let Some((id, turn)) = app.states.rollouts.wanted.filter(|(id, _)| id.step == app.data.step) else { return false };
    app.states.rollouts.wanted = None;
    let group = app.data.groups.iter().position(|range| app.data.episodes[range.start].id.group == id.group);
    let Some(group) = group else { return false };
    let member = app.data.members(group).iter().position(|e| e.id == id).unwrap_or(0);
    select::set_episode(app, group, member);
    select::set_turn(app, turn);
    true
}

/// The marked row and the selected rollout are one. After a new question the selection goes to the first row; else the
/// mark follows the selection, and where that is not in the list any more (a step has ended) it comes back.
pub(super) fn agree(app: &mut App, made: bool) -> bool {
    let browse = &app.states.rollouts;
    let moving = browse.wanted.is_some() || app.data.step != app.step();
    let Some(marked) = browse.row(browse.at).map(|r| r.id).filter(|_| browse.fresh || !moving) else { return false };
    let selected = app.episode().map(|e| e.id);
    let same = |at: &u32| browse.list.rows().get(*at as usize).map(|r| r.id) == selected;
    let place = if browse.fresh || selected == Some(marked) { None } else { browse.shown.iter().position(same) };
    let fresh = std::mem::take(&mut app.states.rollouts.fresh);
    match place {
        Some(at) => app.states.rollouts.at = at,
        None if fresh || (made && selected != Some(marked)) => choose(app, app.states.rollouts.at),
        None => return false,
    }
    true
}
