//! What every action does to the state. Nothing here touches the terminal, the run or a clock.

use super::app::{App, Effect, Exit, Folds, Mode, SMOOTHING};
use super::data::is_hot;
use super::keys::{Action, ScreenId};
use super::overlay::Overlay;
use super::screens::dash::Pane;
use super::tokens;
use crate::core::event::Command;

/// Applies one action.
pub fn update(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Up => vertical(app, Go::By(-1)),
        Action::Down => vertical(app, Go::By(1)),
        Action::HalfUp => vertical(app, Go::By(-PAGE)),
        Action::HalfDown => vertical(app, Go::By(PAGE)),
        Action::Top => vertical(app, Go::First),
        Action::Bottom => vertical(app, Go::Last),
        Action::Left => horizontal(app, -1),
        Action::Right => horizontal(app, 1),
        Action::Step(by) => step(app, by),
        Action::Rollout(by) => rollout(app, by),
        Action::Turn(by) => {
            let turn = app.chosen().2;
            set_turn(app, offset(turn, by.into()));
        }
        Action::Hot(by) => hot(app, by),
        Action::Screen(screen) => go(app, screen),
        Action::PaneNext => pane(app, 1),
        Action::PanePrevious => pane(app, -1),
        Action::Enter => enter(app),
        Action::Escape => escape(app),
        Action::Pause | Action::Save | Action::Stop => return control(app, action),
        Action::Quit | Action::QuitMenu => return quit(app),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Copy => return copy(app),
        other => switch(app, other),
    }
    vec![]
}

/// Actions that flip one thing.
fn switch(app: &mut App, action: Action) {
    let focus = app.focus[ScreenId::Dash as usize];
    match action {
        Action::Help => app.overlay = Overlay::Help { query: String::new(), scroll: 0 },
        Action::Jump => app.overlay = Overlay::Jump { text: String::new() },
        Action::Zoom => app.zoomed ^= true,
        Action::Follow => app.pick.step = None,
        Action::Unfold => app.folds = Folds::Open,
        Action::Fold => app.folds = if app.folds == Folds::Closed { Folds::Chosen } else { Folds::Closed },
        Action::Channel => app.channel = app.channel.next(),
        Action::Raw => app.raw ^= true,
        Action::Prompts => (app.prompts, app.scroll) = (!app.prompts, 0),
        Action::Log => app.log ^= 1 << focus,
        Action::Smooth => app.smooth = (app.smooth + 1) % SMOOTHING.len(),
        Action::Theme => app.themes.next(),
        Action::Faster => app.transport.speed = (app.transport.speed * 2).min(64),
        Action::Slower => app.transport.speed = (app.transport.speed / 2).max(1),
        Action::Play => play(app),
        _ => {}
    }
}

/// Play from the start again if it stands at the end.
fn play(app: &mut App) {
    let (position, last) = app.history.position();
    app.transport.playing ^= true;
    app.transport.due_ms = app.clock_ms;
    if app.transport.playing && position == last {
        app.seek(0);
    }
}

#[derive(Clone, Copy)]
enum Go {
    By(i64),
    First,
    Last,
}

impl Go {
    fn from(self, at: usize, len: usize) -> usize {
        let last = len.saturating_sub(1);
        match self {
            Go::By(by) => offset(at, by).min(last),
            Go::First => 0,
            Go::Last => last,
        }
    }
}

fn vertical(app: &mut App, to: Go) {
    let (group, member, turn) = app.chosen();
    if app.prompts {
        return app.scroll = to.from(app.scroll, MOST_LINES);
    }
    match (app.screen, app.focus[app.screen as usize]) {
        (ScreenId::Dash, focus) => vertical_dash(app, Pane::ALL[focus], to),
        (ScreenId::Rollouts, 0) => {
            let group = to.from(group, app.data.groups.len());
            set_episode(app, group, 0);
        }
        (ScreenId::Rollouts, 1) => {
            let member = to.from(member, app.data.members(group).len());
            set_episode(app, group, member);
        }
        (ScreenId::Rollouts, _) => match to {
            Go::By(by) if by.abs() == PAGE => app.scroll = offset(app.scroll, by),
            to => {
                let turns = app.episode().map_or(0, |e| e.turns.len());
                set_turn(app, to.from(turn, turns));
            }
        },
        (ScreenId::Tokens, _) => match to {
            Go::By(by) => set_token(app, tokens::line_move(app, by)),
            Go::First => app.pick.token = 0,
            Go::Last => app.pick.token = app.turn_tokens().0.len().saturating_sub(1),
        },
    }
}

fn vertical_dash(app: &mut App, pane: Pane, to: Go) {
    match pane {
        Pane::Live => {
            let flat: Vec<(usize, usize)> = episodes(app);
            let (group, member, _) = app.chosen();
            let at = flat.iter().position(|e| *e == (group, member)).unwrap_or(0);
            if let Some((group, member)) = flat.get(to.from(at, flat.len())).copied() {
                set_episode(app, group, member);
            }
        }
        Pane::Alerts | Pane::Numbers | Pane::Skills => app.scroll = to.from(app.scroll, MOST_LINES),
        Pane::Chart(_) => {
            if let Go::By(by) = to {
                self::pane(app, if by > 0 { 1 } else { -1 });
            }
        }
    }
}

fn horizontal(app: &mut App, by: i32) {
    match app.screen {
        ScreenId::Dash => crosshair(app, by),
        ScreenId::Rollouts => app.focus[1] = offset(app.focus[1], by.into()).min(2),
        ScreenId::Tokens => set_token(app, tokens::stop_move(app, by)),
    }
}

/// Chooses a neighbouring recorded step; the last one means "follow".
fn crosshair(app: &mut App, by: i32) {
    let steps: Vec<u64> = app.view().steps.iter().map(|s| s.step).collect();
    let now = app.step();
    let at = steps.partition_point(|s| *s < now);
    let next = offset(at, by.into()).min(steps.len().saturating_sub(1));
    app.pick.step = steps.get(next).copied().filter(|_| next + 1 < steps.len());
}

fn step(app: &mut App, by: i32) {
    if app.mode == Mode::Replay {
        app.transport.playing = false;
        let position = offset(app.history.position().0, by.into());
        app.seek(position);
    } else {
        crosshair(app, by);
    }
}

fn rollout(app: &mut App, by: i32) {
    let flat = episodes(app);
    let (group, member, _) = app.chosen();
    let at = flat.iter().position(|e| *e == (group, member)).unwrap_or(0);
    if let Some((group, member)) = flat.get(offset(at, by.into())).copied() {
        set_episode(app, group, member);
    }
}

fn episodes(app: &App) -> Vec<(usize, usize)> {
    let groups = app.data.groups.iter().enumerate();
    groups.flat_map(|(group, range)| (0..range.len()).map(move |member| (group, member))).collect()
}

/// Next or previous hot token of the rollout, across turns.
fn hot(app: &mut App, by: i32) {
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

/// Puts the cursor on a token of the rollout, and on its turn.
fn set_token(app: &mut App, token: Option<usize>) {
    if let Some((at, turn)) = token.and_then(|at| Some((at, app.rollout_tokens().get(at)?.turn as usize))) {
        app.pick.turn = turn;
        app.pick.token = at - app.turn_tokens().1;
    }
}

fn set_episode(app: &mut App, group: usize, member: usize) {
    app.pick.group = group;
    app.pick.member = member;
    set_turn(app, 0);
}

/// The cursor goes to the first sampled token: that is what was learned from.
fn set_turn(app: &mut App, turn: usize) {
    app.pick.turn = turn;
    app.pick.turn = app.chosen().2;
    app.scroll = 0;
    app.pick.token = app.turn_tokens().0.iter().position(|t| t.mask).unwrap_or(0);
}

fn go(app: &mut App, screen: ScreenId) {
    if app.screen != screen {
        (app.screen, app.zoomed, app.scroll) = (screen, false, 0);
    }
    if screen == ScreenId::Tokens && app.pick.token == 0 {
        let turn = app.chosen().2;
        set_turn(app, turn);
    }
}

fn pane(app: &mut App, by: i64) {
    let screen = app.screen as usize;
    let count = [Pane::ALL.len(), 3, 2][screen] as i64;
    app.focus[screen] = (app.focus[screen] as i64 + by).rem_euclid(count) as usize;
    app.scroll = 0;
}

fn enter(app: &mut App) {
    match (app.screen, app.focus[1]) {
        (ScreenId::Dash, _) => go(app, ScreenId::Rollouts),
        (ScreenId::Rollouts, 0 | 1) => app.focus[1] += 1,
        (ScreenId::Rollouts, _) => go(app, ScreenId::Tokens),
        (ScreenId::Tokens, _) => app.zoomed = true,
    }
}

fn escape(app: &mut App) {
    match (app.screen, app.focus[1]) {
        _ if app.prompts => app.prompts = false,
        _ if app.zoomed => app.zoomed = false,
        (ScreenId::Tokens, _) => go(app, ScreenId::Rollouts),
        (ScreenId::Rollouts, 1..) => app.focus[1] -= 1,
        (ScreenId::Rollouts, 0) => go(app, ScreenId::Dash),
        (ScreenId::Dash, _) => app.pick.step = None,
    }
}

fn control(app: &mut App, action: Action) -> Vec<Effect> {
    if !app.is_live() {
        app.notify("nobody is training here: the run has ended");
        return vec![];
    }
    let (command, text) = match action {
        Action::Save => (Command::Save, "a checkpoint is written after this step"),
        Action::Stop => (Command::Stop, "stopping after this step"),
        _ if app.view().paused => (Command::Resume, "resuming"),
        _ => (Command::Pause, "pausing after this step"),
    };
    app.notify(text);
    vec![Effect::Send(command)]
}

fn quit(app: &mut App) -> Vec<Effect> {
    if app.is_live() {
        app.overlay = Overlay::Quit { item: 0 };
        return vec![];
    }
    vec![Effect::Exit(Exit::Left)]
}

fn copy(app: &mut App) -> Vec<Effect> {
    let Some(text) = super::scene::copied(app) else {
        app.notify("nothing to copy here");
        return vec![];
    };
    app.notify("copied");
    vec![Effect::Copy(text)]
}

fn offset(at: usize, by: i64) -> usize {
    at.saturating_add_signed(by.try_into().unwrap_or(0))
}

const PAGE: i64 = 10;
/// Lists that only scroll stop here at the latest; drawing clamps to what there is.
const MOST_LINES: usize = 10_000;
