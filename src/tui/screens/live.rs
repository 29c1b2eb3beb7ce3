//! Live rollouts: every episode of the step being played, in braces by group; in replay those of the step shown.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::panes::nothing;
use crate::core::{Ending, Episode};
use crate::tui::app::App;
use crate::tui::data::{GroupSignal, StepData, split_thought};
use crate::tui::mouse::Target;
use crate::tui::scene::{Scene, window};
use crate::tui::select;
use crate::tui::text;
use crate::tui::theme::Role;

/// Number of this pane on the dash.
const LIVE: usize = 8;

/// A group's goal, or one of its members.
enum Row {
    Goal(usize),
    Member(usize, usize),
}

/// Chooses the rollout that a row of the pane shows.
pub fn choose(app: &mut App, row: usize) {
    let flat: Vec<(usize, usize)> = (0..app.data.groups.len())
        .flat_map(|g| std::iter::once((g, 0)).chain((0..app.data.members(g).len()).map(move |m| (g, m))))
        .collect();
    if let Some((group, member)) = flat.get(row) {
        select::set_episode(app, *group, *member);
    }
}

/// Draws the pane.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let app = scene.app;
    let live = !app.playing.episodes.is_empty() && app.pick.step.is_none();
    let data = if live { &app.playing } else { &app.data };
    let over = data.episodes.iter().filter(|e| e.ending != Ending::Playing).count();
    let counts = format!(" step {} · {over}/{} ended ", data.step, data.episodes.len());
    let title = if live { "live rollouts" } else { "rollouts" };
    let right = scene.span(Role::Dim, counts).into();
    let inner = scene.pane_with(frame, area, scene.title(title, focused).into(), right, focused);
    let rows: Vec<Row> = (0..data.groups.len())
        .flat_map(|g| std::iter::once(Row::Goal(g)).chain((0..data.members(g).len()).map(move |m| Row::Member(g, m))))
        .collect();
    let (group, member, _) = app.chosen();
    let chosen = rows.iter().position(|r| matches!(r, Row::Member(g, m) if (*g, *m) == (group, member))).unwrap_or(0);
    let first = window(rows.len(), chosen, usize::from(inner.height));
    let cells = usize::from(inner.width);
    for (at, place) in inner.rows().enumerate().take(rows.len() - first) {
        scene.hit(place, Target::Row(LIVE, first + at));
    }
    let lines: Vec<Line> = rows[first..]
        .iter()
        .enumerate()
        .take(usize::from(inner.height))
        .map(|(at, row)| match row {
            Row::Goal(group) => goal(scene, data, *group, cells),
            Row::Member(group, member) => {
                let members = data.members(*group);
                let last = member + 1 == members.len();
                row_of(scene, &members[*member], last, focused && first + at == chosen, cells)
            }
        })
        .collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "no rollouts of this step") } else { lines });
}

fn goal<'a>(scene: &Scene<'a>, data: &StepData, group: usize, cells: usize) -> Line<'a> {
    let members = data.members(group);
    let ended = members.iter().all(|e| e.ending != Ending::Playing);
    let signal = GroupSignal::of(members).filter(|s| s.none && ended);
    let sign = if signal.is_some() { "  ∅ no signal" } else { "" };
    let text = members.first().map_or(String::new(), |e| text::fit(&e.task.goal, cells.saturating_sub(2 + 13)));
    Line::from(vec![scene.span(Role::Faint, "╭ "), scene.span(Role::Dim, text), scene.span(Role::Warn, sign)])
}

fn row_of<'a>(scene: &Scene<'a>, episode: &Episode, last: bool, chosen: bool, cells: usize) -> Line<'a> {
    let tokens: u32 = episode.turns.iter().map(|t| t.tokens).sum();
    let (sign, role) = outcome(episode);
    let playing = episode.ending == Ending::Playing;
    let reward = if playing { "   ·  ".into() } else { format!("{:>+6.2}", episode.reward) };
    let advantage = episode.advantage.map_or("     ·".into(), |a| format!("{a:>+6.2}"));
    let action = episode.turns.last().map_or("", |t| if t.action.is_empty() { &t.reply } else { &t.action });
    let head = format!("#{:<2} turn{:>3} {tokens:>5} tok ", episode.id.member + 1, episode.turns.len());
    let used = 2 + text::width(&head) + 8 + 9;
    Line::from(vec![
        scene.span(Role::Faint, if last { "╰ " } else { "│ " }),
        scene.span(if chosen { Role::Select } else { Role::Text }, head),
        scene.span(role, format!("{sign} {reward}")),
        scene.span(Role::Dim, format!(" A{advantage}  ")),
        scene.span(Role::Action, text::fit(split_thought(action).1, cells.saturating_sub(used))),
    ])
}

/// The sign of how an episode ended.
pub fn outcome(episode: &Episode) -> (&'static str, Role) {
    match episode.ending {
        Ending::Won => ("✔", Role::Good),
        Ending::Playing => ("…", Role::Dim),
        Ending::EnvError => ("✖", Role::Bad),
        _ => ("✘", Role::Warn),
    }
}
