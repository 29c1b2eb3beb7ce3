//! Screen 2: rollouts, group first. A group whose rewards are all equal teaches nothing, and its row says so.
//!
//! ```text
//! three columns                         two columns          one
//! tasks    | turns | teacher prompt     tasks    | turns     tabs
//! rollouts |       |                    rollouts |           the focused pane
//! ```

use ratatui::Frame;
use ratatui::layout::Direction::{Horizontal, Vertical};
use ratatui::layout::{Constraint, Layout, Rect};

use super::groups::{members, tasks};
use super::tabs::tabs;
use super::{Room, Screen, prompts, rows, turns, versus};
use crate::core::Turn;
use crate::tui::app::{App, Effect};
use crate::tui::browse;
use crate::tui::find::Find;
use crate::tui::keys::{Action, Action as A, Binding, ScreenId, ch, row};
use crate::tui::mouse::Target;
use crate::tui::overlay::Overlay;
use crate::tui::scene::Scene;
use crate::tui::select::{self, Go, PAGE};
use crate::tui::update;

/// The row of this screen.
pub const SCREEN: Screen = Screen {
    act,
    copied,
    bindings: OWN,
    find,
    commands: &[
        ("filter", "keep rollouts that pass, e.g. `filter reward>0 & task~clean`"),
        ("grep", "keep rollouts with a text or pattern in any turn"),
        ("filter-help", "the words of the filter language"),
    ],
    submit,
    load: browse::load,
    ..Screen::new(ScreenId::Rollouts, ("Rollouts", "Roll"), &["tasks", "rollouts", "turns"], draw)
};

/// What this screen remembers.
pub type State = browse::Browse;

const DATA: &str = "data";
const HERE: &[ScreenId] = &[ScreenId::Rollouts];

const OWN: &[Binding] = &[
    row(&[ch('F')], "filter", A::Own("filter"), "filter: reward>0 & task~clean, ? lists the words", DATA)
        .on(HERE)
        .foot(9),
    row(&[ch('\\')], "grep", A::Own("grep"), "grep: a text or pattern in all rollouts", DATA).on(HERE),
    row(&[ch('W')], "whole", A::Own("whole"), "whole: rollouts of the run, or tasks of the step", DATA)
        .on(HERE)
        .foot(10),
    row(&[ch('v')], "panel", A::Own("panel"), "panel: the evaluation played last, as rollouts", DATA).on(HERE).foot(10),
    row(&[ch('r')], "order", A::Own("order"), "order: newest, |A|, reward, |gap|, tokens, turns", DATA).on(HERE),
    row(&[ch(' ')], "mark", A::Own("mark"), "mark: this rollout, to compare with", DATA).on(HERE),
    row(&[ch('d')], "diff", A::Own("diff"), "diff: with the marked rollout, or one of its group", DATA)
        .on(HERE)
        .foot(11),
    row(&[ch('*')], "pin", A::Own("pin"), "pin: this task, a probe to follow over steps", DATA).on(HERE),
    row(&[ch('.')], "fold-turn", A::Own("fold-turn"), "fold: this turn, or unfold it", "more or less").on(HERE),
    row(&[ch(',')], "fold-roles", A::Own("fold-roles"), "roles: without thoughts, observations, both", "more or less")
        .on(HERE),
];

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    match action {
        Action::Own(name) => own(app, name),
        Action::Raw => show_next(app),
        Action::Unfold | Action::Fold => {
            app.states.rollouts.folds.clear();
            return None;
        }
        Action::Escape if app.states.rollouts.other.is_some() => drop(app.states.rollouts.back()),
        _ if app.states.rollouts.other.is_some() && update::vertical(action).is_some() => {
            update::scroll(app, action);
        }
        Action::Left => app.focus[1] = left_of(app),
        Action::Right => app.focus[1] = right_of(app),
        Action::Enter if app.focus[1] < 2 => app.focus[1] = right_of(app),
        Action::Enter => update::go(app, ScreenId::Tokens),
        Action::Escape if app.zoomed || app.prompts => return None,
        Action::Escape if app.focus[1] > 0 => app.focus[1] = left_of(app),
        Action::Escape if app.find.is_none() && std::mem::take(&mut app.states.rollouts.panel) => {}
        Action::Escape if app.find.is_none() && app.states.rollouts.back() => {}
        Action::Row(at) => list(app, Go::By(0), Some(at)),
        _ if app.prompts && update::vertical(action).is_some() => drop(update::scroll(app, action)),
        _ => list(app, update::vertical(action)?, None),
    }
    Some(vec![])
}

/// In the list of the whole run there is no pane of members.
fn left_of(app: &App) -> usize {
    if app.states.rollouts.whole { 0 } else { app.focus[1].saturating_sub(1) }
}

fn right_of(app: &App) -> usize {
    if app.states.rollouts.whole { 2 } else { (app.focus[1] + 1).min(2) }
}

/// What only this screen can do.
fn own(app: &mut App, name: &str) {
    let chosen = app.episode().map(|e| (e.id, e.task.id.clone()));
    let turn = app.chosen().2;
    let state = &mut app.states.rollouts;
    match (name, chosen) {
        ("filter", _) => app.overlay = Overlay::ask("filter", " filter: ", state.typed.clone()),
        ("grep", _) => app.overlay = Overlay::ask("grep", " find in all rollouts: ", ""),
        ("whole", _) => {
            state.whole ^= true;
            state.panel &= !state.whole;
            app.focus[1] = 0;
        }
        ("panel", _) => {
            (state.panel, state.whole) = (!state.panel, false);
            let said =
                if state.panel { "the evaluation played last; v: back to the step" } else { "the step's rollouts" };
            (app.pick.group, app.pick.member, app.pick.turn) = (0, 0, 0);
            app.notify(said);
        }
        ("order", _) => {
            state.next_order();
            let said = format!("largest first: {}", state.order.name());
            app.notify(said);
        }
        ("mark", Some((id, _))) => state.mark(id),
        ("pin", Some((_, task))) => state.pin(task),
        ("fold-turn", Some((id, _))) => state.folds.turn(id, turn),
        ("fold-roles", _) => {
            let (next, said) = state.folds.left_out.next();
            state.folds.left_out = next;
            app.notify(said);
        }
        ("diff", _) => {
            app.scroll = 0;
            if let Err(why) = browse::compare(app) {
                app.notify(why);
            }
        }
        _ => {}
    }
}

/// Rendered, raw, exact tokens, round.
fn show_next(app: &mut App) {
    let folds = &mut app.states.rollouts.folds;
    (app.raw, folds.exact) = match (app.raw, folds.exact) {
        (false, _) => (true, false),
        (true, false) => (true, true),
        (true, true) => (false, false),
    };
    let said = match (app.raw, folds.exact) {
        (_, true) => "exact tokens, as the model saw them",
        (true, _) => "raw replies",
        _ => "rendered replies",
    };
    app.notify(said);
}

/// A typed line: the filter, or what to look for.
fn submit(app: &mut App, name: &str, text: &str) -> Vec<Effect> {
    match (name, text) {
        ("filter-help", _) | ("filter", "?") => app.overlay = Overlay::page("filter", &browse::help()),
        ("filter", _) => match app.states.rollouts.set_filter(text) {
            Ok(()) => app.focus[1] = 0,
            Err(error) => {
                app.overlay = Overlay::ask("filter", " filter: ", text);
                (app.states.rollouts.whole, app.states.rollouts.error) = (true, Some(error));
            }
        },
        ("grep", _) => {
            app.states.rollouts.set_grep(text);
            app.focus[1] = 0;
        }
        _ => {}
    }
    vec![]
}

/// Looks in the focused pane: goals of tasks, or the turns of the rollout.
fn find(app: &mut App, find: &Find, by: i32) -> bool {
    let (group, member, turn) = app.chosen();
    let whole = app.states.rollouts.whole;
    let found = match app.focus[1] {
        0 if whole => {
            let state = &app.states.rollouts;
            let text = |at: usize| state.row(at).map_or(String::new(), |r| format!("{} {}", r.task.goal, r.task.id));
            find.next(state.at, state.shown.len(), by, text)
        }
        0 => {
            let text = |at: usize| app.data.members(at).first().map_or(String::new(), |e| e.task.goal.clone());
            find.next(group, app.data.groups.len(), by, text)
        }
        _ => {
            let turns = app.episode().map_or(&[][..], |e| &e.turns[..]);
            let text = |at: usize| {
                let turn: &Turn = &turns[at];
                format!("{}\n{}\n{}", turn.observation, turn.reply, turn.action)
            };
            find.next(turn, turns.len(), by, text)
        }
    };
    let Some(at) = found else { return false };
    match app.focus[1] {
        0 if whole => browse::choose(app, at),
        0 => select::set_episode(app, at, 0),
        _ => {
            select::set_episode(app, group, member);
            select::set_turn(app, at);
        }
    }
    true
}

/// Moves in the focused list, or to a line of it.
fn list(app: &mut App, to: Go, row: Option<usize>) {
    let (group, member, turn) = app.chosen();
    let place = |at: usize, len: usize| row.unwrap_or(to.from(at, len));
    match (app.focus[1], to) {
        (0, _) if app.states.rollouts.whole => {
            let line = place(app.states.rollouts.at, app.states.rollouts.shown.len());
            browse::choose(app, line);
        }
        (0, _) => {
            let group = place(group, app.data.groups.len());
            select::set_episode(app, group, 0);
        }
        (1, _) => {
            let member = place(member, app.data.members(group).len());
            select::set_episode(app, group, member);
        }
        (_, Go::By(by)) if by.abs() == PAGE => app.scroll = select::offset(app.scroll, by),
        _ => {
            let turns = app.episode().map_or(0, |e| e.turns.len());
            select::set_turn(app, place(turn, turns));
        }
    }
}

fn copied(app: &App) -> Vec<(&'static str, String)> {
    let Some(episode) = app.episode() else { return vec![] };
    let mut all = vec![
        ("task", format!("{}\t{}", episode.task.id, episode.task.goal)),
        ("rollout", serde_json::to_string_pretty(episode).unwrap_or_default()),
        ("student prompt", episode.prompt.clone()),
        ("teacher prompt", episode.teacher_prompt.clone()),
    ];
    if app.focus[1] > 0 {
        all.swap(0, 1);
    }
    all
}

/// Draws the screen in the room there is.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let state = &scene.app.states.rollouts;
    let focus = scene.app.focus[1].min(2);
    let room = Room::of(frame.area());
    let mut body = area;
    if room <= Room::One {
        let [top, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        tabs(frame, top, scene);
        body = rest;
    }
    if state.other.is_some() {
        return versus::draw(frame, body, scene);
    }
    if scene.app.prompts {
        return prompts::draw(frame, body, scene);
    }
    let first: fn(&mut Frame, Rect, &Scene, bool) = if state.whole { rows::draw } else { tasks };
    let panes = [first, if state.whole { rows::draw } else { members }, turns::draw];
    if room <= Room::One || scene.app.zoomed {
        return panes[focus](frame, body, scene, true);
    }
    let ninths = if room == Room::Three { 9 } else { 7 };
    let [left, rest] = scene.split("rollouts", body, Horizontal, body.width * 3 / ninths);
    let turns = if room == Room::Three { rest.width * 4 / 6 } else { rest.width };
    let [middle, right] = match room {
        Room::Three => scene.split("rollouts-teacher", rest, Horizontal, turns),
        _ => [rest, Rect { width: 0, ..rest }],
    };
    turns::draw(frame, middle, scene, focus == 2);
    prompts::teacher(frame, right, scene);
    scene.hit(middle, Target::Pane(2));
    if state.whole {
        return rows::draw(frame, left, scene, focus < 2);
    }
    let [top, bottom] = scene.split("rollouts-tasks", left, Vertical, left.height * 3 / 5);
    tasks(frame, top, scene, focus == 0);
    members(frame, bottom, scene, focus == 1);
}
