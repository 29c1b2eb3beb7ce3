//! Panes of what happened and of all numbers: alerts and changes, every metric by name.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::panes::nothing;
use crate::run::view::{AlertView, Mark, MarkKind, RunView};
use crate::tui::app::App;
use crate::tui::lens::XAxis;
use crate::tui::scene::Scene;
use crate::tui::select::Go;
use crate::tui::theme::Role;
use crate::tui::{glyph, text};

/// One line of the pane: step, sign, its role and what is said.
type Note = (u64, &'static str, Role, String);

/// Alerts, changes and checkpoints, newest first.
fn notes(view: &RunView) -> Vec<Note> {
    let alert = |a: &AlertView| {
        let (sign, role) = LEVELS[a.level as usize];
        (a.step, sign, role, format!("{} {}", a.rule, a.message))
    };
    let mark = |m: &Mark| match m.kind {
        MarkKind::Config => Some((m.step, "✎", Role::MarkConfig, m.text.clone())),
        MarkKind::Checkpoint => Some((m.step, "◇", Role::MarkCheckpoint, "checkpoint saved".into())),
        MarkKind::Resume => Some((m.step, "↻", Role::MarkConfig, m.text.clone())),
        MarkKind::Alert => None,
    };
    let mut rows: Vec<Note> = view.alerts.iter().map(alert).chain(view.marks.iter().filter_map(mark)).collect();
    rows.sort_by_key(|(step, ..)| std::cmp::Reverse(*step));
    rows
}

/// Chooses a line of the pane.
pub fn walk(app: &mut App, to: Go) {
    let len = notes(app.view()).len();
    app.scroll = to.from(app.scroll.min(len.saturating_sub(1)), len);
}

/// The chosen line in full, to be copied.
pub fn chosen(app: &App) -> Option<(&'static str, String)> {
    let rows = notes(app.view());
    let (step, .., said) = rows.get(app.scroll.min(rows.len().checked_sub(1)?))?;
    Some(("alert", format!("step {step}: {said}")))
}

/// Draws the pane: one line each, or in full where the pane is alone.
pub fn alerts(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let view = scene.view;
    let warned = view.alerts.iter().filter(|a| a.level > crate::core::event::Level::Info).count();
    let count = scene.span(if warned > 0 { Role::Warn } else { Role::Dim }, format!(" {warned} "));
    let inner = scene.pane_with(frame, area, scene.title("alerts", focused).into(), count.into(), focused);
    let rows = notes(view);
    let chosen = focused.then(|| scene.app.scroll.min(rows.len().saturating_sub(1)));
    let cells = usize::from(inner.width).saturating_sub(8);
    let line = |(at, (step, sign, role, said)): (usize, &Note)| {
        let parts = if focused && scene.app.zoomed { text::wrap(said, cells) } else { vec![text::fit(said, cells)] };
        let step_role = if chosen == Some(at) { Role::Select } else { Role::Dim };
        let head = [scene.span(*role, format!("{sign} ")), scene.span(step_role, format!("{step:>5}"))];
        let mut heads = std::iter::once(head.to_vec());
        let under = || vec![scene.span(Role::Dim, " ".repeat(7))];
        let lines = parts.into_iter().map(|part| {
            let mut spans = heads.next().unwrap_or_else(under);
            spans.push(scene.span(Role::Text, format!(" {part}")));
            (at, Line::from(spans))
        });
        lines.collect::<Vec<_>>()
    };
    let lines: Vec<(usize, Line)> = rows.iter().enumerate().flat_map(line).collect();
    let start = lines.iter().position(|(at, _)| Some(*at) == chosen).unwrap_or(0);
    let first = start.min(lines.len().saturating_sub(usize::from(inner.height)));
    let lines: Vec<Line> = lines.into_iter().skip(first).take(usize::from(inner.height)).map(|(_, l)| l).collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "all quiet") } else { lines });
}

/// Every metric by name with its last value and recent course; new metrics appear by themselves.
pub fn numbers(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let hit = |name: &str| scene.app.find.as_ref().is_some_and(|find| find.hits(name));
    let known = scene.app.series.names(scene.view);
    let names: Vec<&str> = known.iter().map(String::as_str).filter(|n| !n.starts_with("time/")).collect();
    let count = scene.span(Role::Dim, format!(" {} ", names.len()));
    let inner = scene.pane_with(frame, area, scene.title("numbers", focused).into(), count.into(), focused);
    let height = usize::from(inner.height);
    let first = if focused { scene.app.scroll.min(names.len().saturating_sub(height)) } else { 0 };
    let cells = usize::from(inner.width);
    let spark = cells.saturating_sub(28).min(24);
    let step = scene.app.step();
    let line = |name: &&str| {
        let series = scene.app.series.get(scene.view, name, XAxis::Step);
        let upto = series.partition_point(|(s, _)| *s <= step as f64);
        let mut last: Vec<f64> = series[..upto].iter().rev().filter_map(|(_, v)| *v).take(spark).collect();
        last.reverse();
        Line::from(vec![
            scene.span(if hit(name) { Role::Select } else { Role::Dim }, text::pad(name, 18)),
            scene.span(Role::Text, format!("{:>8} ", scene.figure(name))),
            scene.span(Role::Series1, glyph::sparkline(&last, spark)),
        ])
    };
    let lines: Vec<_> = names[first..].iter().take(height).map(line).collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "no data yet") } else { lines });
}

/// Role of an alert's level, with its sign.
pub const LEVELS: [(&str, Role); 3] = [("●", Role::Info), ("▲", Role::Warn), ("✖", Role::Bad)];
