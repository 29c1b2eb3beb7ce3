//! Rollouts of the whole run that pass the filter, one line each; only those in sight are laid out.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::groups::rows_hit;
use super::panes::nothing;
use crate::core::Ending;
use crate::run::index::RolloutRow;
use crate::tui::mouse::Target;
use crate::tui::scene::{Scene, window};
use crate::tui::text;
use crate::tui::theme::Role;

/// Draws the list.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let state = &scene.app.states.rollouts;
    let (passing, all) = (state.shown.len(), state.list.rows().len());
    let title = scene.title(&format!("{passing} of {all} rollouts"), focused);
    let inner = scene.pane_with(frame, area, title.into(), what(scene), focused);
    let notes = notes(scene, usize::from(inner.width));
    let (top, list) = (notes.len() as u16, inner);
    let list = Rect { y: list.y + top.min(list.height), height: list.height.saturating_sub(top), ..list };
    let height = usize::from(list.height);
    let first = window(passing, state.at, height);
    scene.hit(area, Target::Pane(0));
    rows_hit(scene, list, 0, first, passing);
    let mut lines = notes;
    let selected = scene.app.episode().map(|e| e.id);
    let marked = |at: usize, r: &RolloutRow| at == state.at && (state.wanted.is_some() || Some(r.id) == selected);
    let row = |at: usize| state.row(at).map(|r| line(scene, r, marked(at, r), usize::from(list.width)));
    lines.extend((first..passing).take(height).filter_map(row));
    if passing == 0 {
        lines.extend(nothing(scene, if all == 0 { "no step is closed yet" } else { "none passes" }));
    }
    scene.lines(frame, inner, lines);
}

/// Order at the right of the title.
fn what<'a>(scene: &Scene<'a>) -> Line<'a> {
    scene.span(Role::Dim, format!(" {} ↓ ", scene.app.states.rollouts.order.name())).into()
}

/// What is kept: filter, search and how far it is, steps that cannot be read.
fn notes<'a>(scene: &Scene<'a>, cells: usize) -> Vec<Line<'a>> {
    let state = &scene.app.states.rollouts;
    let mut lines = Vec::new();
    let mut add = |role, word: &'static str, said: String| {
        let said = text::fit(&said, cells.saturating_sub(word.len() + 2));
        lines.push(Line::from(vec![scene.span(Role::Dim, format!(" {word} ")), scene.span(role, said)]));
    };
    if let Some(error) = &state.error {
        add(Role::Bad, "filter", error.clone());
    }
    if !state.typed.is_empty() {
        add(Role::Accent, "filter", state.typed.clone());
    }
    if let Some(grep) = &state.grep {
        let far = if grep.done < grep.total { format!("  {}/{} steps", grep.done, grep.total) } else { String::new() };
        add(Role::Accent, "grep", format!("{}{far}", grep.find.typed));
    }
    if let Some(error) = state.list.errors.last() {
        add(Role::Bad, "cannot read", format!("{} steps: {error}", state.list.errors.len()));
    }
    lines
}

/// `▸ 409 ✔ +1.00 A +0.87 gap -0.12  7t put two soapbars… ☆●∅`
fn line<'a>(scene: &Scene<'a>, row: &RolloutRow, chosen: bool, cells: usize) -> Line<'a> {
    let state = &scene.app.states.rollouts;
    let (sign, role) = match row.ending {
        Ending::Won => ("✔", Role::Good),
        Ending::EnvError => ("✖", Role::Bad),
        _ => ("✘", Role::Warn),
    };
    let advantage = row.advantage.map_or("     ·".into(), |a| format!("{a:>+6.2}"));
    let gap = row.gap.map_or("     ·".into(), |g| format!("{g:>+6.2}"));
    let numbers = format!(" A{advantage} gap{gap} {:>3}t ", row.turns);
    let signs = [(state.pins.contains(&row.task.id), "☆"), (state.marks.contains(&row.id), "●"), (row.silent, "∅")];
    let signs: String = signs.into_iter().map(|(on, sign)| if on { sign } else { " " }).collect();
    let said = match state.grep.as_ref().and_then(|g| g.hits.get(&row.id)) {
        Some(hit) => hit.line.as_str(),
        None => row.task.goal.as_str(),
    };
    let head = format!("{:>5} #{:<2}", row.id.step, row.id.member + 1);
    let room = cells.saturating_sub(1 + text::width(&head) + 9 + text::width(&numbers) + 4);
    // a narrow list keeps the task rather than the numbers
    let (numbers, room) = if room < 12 { (" ".to_owned(), room + text::width(&numbers) - 1) } else { (numbers, room) };
    Line::from(vec![
        scene.span(Role::Accent, if chosen { "▸" } else { " " }),
        scene.span(if chosen { Role::Select } else { Role::Text }, head),
        scene.span(role, format!(" {sign}{:>+7.2}", row.reward)),
        scene.span(Role::Dim, numbers),
        scene.span(if chosen { Role::Select } else { Role::Text }, text::pad(said, room)),
        scene.span(Role::Accent, format!(" {signs}")),
    ])
}
