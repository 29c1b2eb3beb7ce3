//! The one selection, shared by all screens: step, task, rollout, turn, token. Whoever moves it goes through here, so
//! that what depends on it follows.

use super::app::{App, Mode};
use super::data::is_hot;

/// The one selection. Indices count what is there, not what records call it; they are clamped when used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// The chosen step; `None` follows the newest.
    pub step: Option<u64>,
    /// The task: a group of rollouts.
    pub group: usize,
    /// The rollout of the task.
    pub member: usize,
    pub turn: usize,
    /// Token of the turn.
    pub token: usize,
}

/// Where a movement goes.
#[derive(Clone, Copy, Debug)]
pub enum Go {
    By(i64),
    First,
    Last,
}

impl Go {
    /// The place in a list of `len` that this reaches from `at`.
    pub fn from(self, at: usize, len: usize) -> usize {
        let last = len.saturating_sub(1);
        match self {
            Go::By(by) => offset(at, by).min(last),
            Go::First => 0,
            Go::Last => last,
        }
    }
}

/// Lines of half a page.
pub const PAGE: i64 = 10;

/// `at + by`, not below 0.
pub fn offset(at: usize, by: i64) -> usize {
    at.saturating_add_signed(by.try_into().unwrap_or(0))
}

/// Chooses a step; the newest one means "follow". In replay the position goes there.
pub fn set_step(app: &mut App, step: u64) {
    if app.mode == Mode::Replay {
        app.history.seek_step(step);
        app.pick.step = None;
    } else {
        let known = app.view().steps.iter().map(|s| s.step).filter(|s| *s <= step).max();
        app.pick.step = known.filter(|s| *s < app.view().last_step());
    }
}

/// Moves by recorded steps; in replay by positions.
pub fn step(app: &mut App, by: i32) {
    if app.mode == Mode::Replay {
        app.transport.playing = false;
        let position = offset(app.history.position().0, by.into());
        app.seek(position);
    } else {
        crosshair(app, by);
    }
}

/// Chooses a neighbouring recorded step; the last one means "follow".
pub fn crosshair(app: &mut App, by: i32) {
    let steps: Vec<u64> = app.view().steps.iter().map(|s| s.step).collect();
    let now = app.step();
    let at = steps.partition_point(|s| *s < now);
    let next = offset(at, by.into()).min(steps.len().saturating_sub(1));
    app.pick.step = steps.get(next).copied().filter(|_| next + 1 < steps.len());
}

/// Next or previous rollout of the step, across tasks.
pub fn rollout(app: &mut App, to: Go) {
    let flat = episodes(app);
    let (group, member, _) = app.chosen();
    let at = flat.iter().position(|e| *e == (group, member)).unwrap_or(0);
    if let Some((group, member)) = flat.get(to.from(at, flat.len())).copied() {
        set_episode(app, group, member);
    }
}

/// Every rollout of the step as task and member.
pub fn episodes(app: &App) -> Vec<(usize, usize)> {
    let groups = app.data.groups.iter().enumerate();
    groups.flat_map(|(group, range)| (0..range.len()).map(move |member| (group, member))).collect()
}

/// Next or previous hot token of the rollout, across turns.
pub fn hot(app: &mut App, by: i32) {
    let (all, here) = (app.rollout_tokens(), app.token_at());
    let found = match by {
        1.. => (here + 1..all.len()).find(|at| is_hot(&all[*at])),
        _ => (0..here.min(all.len())).rev().find(|at| is_hot(&all[*at])),
    };
    set_token(app, found);
    if found.is_none() {
        app.notify("no more hot tokens in this rollout");
    }
}

/// Puts the cursor on a token, counted from the start of the rollout, and on its turn.
pub fn set_token(app: &mut App, token: Option<usize>) {
    if let Some((at, turn)) = token.and_then(|at| Some((at, app.rollout_tokens().get(at)?.turn as usize))) {
        app.pick.turn = turn;
        app.pick.token = at - app.turn_tokens().1;
    }
}

/// Chooses a rollout; its first turn.
pub fn set_episode(app: &mut App, group: usize, member: usize) {
    app.pick.group = group;
    app.pick.member = member;
    set_turn(app, 0);
}

/// The cursor goes to the first sampled token: that is what was learned from.
pub fn set_turn(app: &mut App, turn: usize) {
    app.pick.turn = turn;
    app.pick.turn = app.chosen().2;
    app.scroll = 0;
    app.pick.token = app.turn_tokens().0.iter().position(|t| t.mask).unwrap_or(0);
}
