//! Screen 2: rollouts, group first. A group whose rewards are all equal teaches nothing, and its row says so.
//!
//! ```text
//! three columns                         two columns          one
//! tasks    | turns | teacher prompt     tasks    | turns     tabs
//! rollouts |       |                    rollouts |           the focused pane
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::live::outcome;
use super::panes::nothing;
use super::tabs::tabs;
use super::{Room, Screen, prompts, turns};
use crate::core::Episode;
use crate::tui::app::{App, Effect};
use crate::tui::data::{GroupSignal, TokenSignal};
use crate::tui::glyph;
use crate::tui::keys::{Action, ScreenId};
use crate::tui::scene::{Scene, window};
use crate::tui::select::{self, Go, PAGE};
use crate::tui::text;
use crate::tui::theme::Role;
use crate::tui::update;

/// The row of this screen.
pub const SCREEN: Screen = Screen {
    act,
    copied,
    ..Screen::new(ScreenId::Rollouts, ("Rollouts", "Roll"), &["tasks", "rollouts", "turns"], draw)
};

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {}

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    let focus = &mut app.focus[1];
    match action {
        Action::Left => *focus = focus.saturating_sub(1),
        Action::Right => *focus = (*focus + 1).min(2),
        Action::Enter if *focus < 2 => *focus += 1,
        Action::Enter => update::go(app, ScreenId::Tokens),
        Action::Escape if *focus > 0 && !app.zoomed && !app.prompts => *focus -= 1,
        Action::Row(at) => list(app, Go::By(0), Some(at)),
        _ if app.prompts && update::vertical(action).is_some() => drop(update::scroll(app, action)),
        _ => list(app, update::vertical(action)?, None),
    }
    Some(vec![])
}

/// Moves in the focused list, or to a line of it.
fn list(app: &mut App, to: Go, row: Option<usize>) {
    let (group, member, turn) = app.chosen();
    let place = |at: usize, len: usize| row.unwrap_or(to.from(at, len));
    match (app.focus[1], to) {
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
    ];
    if app.focus[1] > 0 {
        all.swap(0, 1);
    }
    all
}

/// Draws the screen in the room there is.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let focus = scene.app.focus[1].min(2);
    let room = Room::of(frame.area());
    let mut body = area;
    if room <= Room::One {
        let [top, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        tabs(frame, top, scene);
        body = rest;
    }
    if scene.app.prompts {
        return prompts::draw(frame, body, scene);
    }
    let panes: [fn(&mut Frame, Rect, &Scene, bool); 3] = [tasks, members, turns::draw];
    if room <= Room::One || scene.app.zoomed {
        return panes[focus](frame, body, scene, true);
    }
    let third = Constraint::Fill(if room == Room::Three { 2 } else { 0 });
    let [left, middle, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(4), third]).areas(body);
    let [top, bottom] = Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(left);
    let areas = [top, bottom, middle];
    prompts::teacher(frame, right, scene);
    for (at, (draw, area)) in panes.iter().zip(areas).enumerate() {
        draw(frame, area, scene, at == focus);
    }
}

/// The tasks of the step: goal, rewards of its rollouts, mean, spread.
fn tasks(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let data = &scene.app.data;
    let group = scene.app.chosen().0;
    let signals: Vec<_> = (0..data.groups.len()).filter_map(|g| GroupSignal::of(data.members(g))).collect();
    let silent = signals.iter().filter(|s| s.none).count();
    let right = scene.span(Role::Dim, format!(" {} tasks · {silent} ∅ ", signals.len()));
    let title = scene.title(&format!("step {}", scene.app.step()), focused);
    let inner = scene.pane_with(frame, area, title.into(), right.into(), focused);
    let height = usize::from(inner.height);
    let first = window(signals.len(), group, height);
    let spark = data.groups.iter().map(|r| r.len()).max().unwrap_or(0).min(8);
    let cells = usize::from(inner.width).saturating_sub(spark + 20);
    let line = |(at, signal): (usize, &GroupSignal)| {
        let members = data.members(at);
        let rewards: String = members.iter().take(spark).map(|e| glyph::bar(f64::from(e.reward))).collect();
        let goal = members.first().map_or("", |e| e.task.goal.as_str());
        let (mark, role) = if at == group { ("▸", Role::Select) } else { (" ", Role::Text) };
        Line::from(vec![
            scene.span(Role::Accent, mark),
            scene.span(role, text::pad(goal, cells)),
            scene.span(Role::Series1, format!(" {rewards:<spark$}")),
            scene.span(Role::Text, format!(" {:>5.2}", signal.mean)),
            scene.span(Role::Dim, format!(" σ{:<5.2}", signal.sigma)),
            scene.span(Role::Warn, if signal.none { "∅" } else { " " }),
        ])
    };
    let lines: Vec<_> = signals.iter().enumerate().skip(first).take(height).map(line).collect();
    scene.lines(
        frame,
        inner,
        if lines.is_empty() { nothing(scene, "no rollouts were kept of this step") } else { lines },
    );
}

/// The rollouts of the chosen task: outcome, the course of the gate over its turns, length.
fn members(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let (group, member, _) = scene.app.chosen();
    let episodes = scene.app.data.members(group);
    let goal = episodes.first().map_or(String::new(), |e| text::fit(&e.task.kind, 24));
    let right = scene.span(Role::Dim, format!(" {goal} ")).into();
    let inner = scene.pane_with(frame, area, scene.title("rollouts", focused).into(), right, focused);
    let height = usize::from(inner.height);
    let first = window(episodes.len(), member, height);
    let cells = usize::from(inner.width);
    let line = |(at, episode): (usize, &Episode)| {
        let (sign, role) = outcome(episode);
        let advantage = episode.advantage.map_or("     ·".into(), |a| format!("{a:>+6.2}"));
        let chosen = if at == member { Role::Select } else { Role::Text };
        Line::from(vec![
            scene.span(Role::Accent, if at == member { "▸" } else { " " }),
            scene.span(chosen, format!("#{:<3}", episode.id.member + 1)),
            scene.span(role, format!(" {sign} {:>+5.2}", episode.reward)),
            scene.span(Role::Dim, format!(" A{advantage} {:>3} turns ", episode.turns.len())),
            scene.span(Role::Series1, course(scene, episode, cells.saturating_sub(33))),
        ])
    };
    let lines: Vec<_> = episodes.iter().enumerate().skip(first).take(height).map(line).collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "no rollouts") } else { lines });
}

/// The mean gate of every turn as one bar each.
fn course(scene: &Scene, episode: &Episode, cells: usize) -> String {
    let gate = |turn| TokenSignal::of(scene.app.data.turn_tokens(episode, turn)).gate;
    (0..episode.turns.len().min(cells)).map(|t| gate(t).map_or("·", |g| glyph::bar(f64::from(g)))).collect()
}
