//! What the student saw and what the teacher saw, side by side; lines only the teacher saw are marked.

use std::collections::HashSet;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::panes::nothing;
use crate::tui::scene::Scene;
use crate::tui::text;
use crate::tui::theme::Role;

/// Draws both prompts of the selected episode.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let student = scene.app.episode().map_or("", |e| e.prompt.as_str());
    one(frame, left, scene, ("student prompt", student), |_| false);
    teacher(frame, right, scene);
}

/// Draws the teacher's prompt alone.
pub fn teacher(frame: &mut Frame, area: Rect, scene: &Scene) {
    let (student, teacher) = scene.app.episode().map_or(("", ""), |e| (e.prompt.as_str(), e.teacher_prompt.as_str()));
    let known: HashSet<&str> = student.lines().map(str::trim).collect();
    let private = |line: &str| !student.is_empty() && !line.trim().is_empty() && !known.contains(line.trim());
    one(frame, area, scene, ("teacher prompt", teacher), private);
}

fn one(frame: &mut Frame, area: Rect, scene: &Scene, (title, prompt): (&str, &str), private: impl Fn(&str) -> bool) {
    let marked = prompt.lines().filter(|line| private(line)).count();
    let note = if marked > 0 { format!(" ▌{marked} only here ") } else { String::new() };
    let note = scene.span(Role::Good, note).into();
    let inner = scene.pane_with(frame, area, scene.title(title, false).into(), note, false);
    let cells = usize::from(inner.width).saturating_sub(2);
    let mut lines: Vec<Line> = Vec::new();
    for source in prompt.lines() {
        let (bar, role) = if private(source) { ("▌", Role::Endorse2) } else { (" ", Role::Masked) };
        let wrapped = text::wrap(source, cells).into_iter();
        lines.extend(wrapped.map(|line| Line::from(vec![scene.span(Role::Accent, bar), scene.span(role, line)])));
    }
    let scroll = if scene.app.prompts { scene.app.scroll } else { 0 };
    let first = scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    let shown: Vec<_> = lines.into_iter().skip(first).take(usize::from(inner.height)).collect();
    scene.lines(frame, inner, if shown.is_empty() { nothing(scene, "none was recorded") } else { shown });
}
