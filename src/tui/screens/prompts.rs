//! What the student saw and what the teacher saw, line by line beside each other; what only the teacher saw is marked.
//!
//! ```text
//! student prompt               teacher prompt              ▌3 only here
//! You are a household agent.     You are a household agent.
//!                              ▌ Skill: open what is closed.
//! Your task: ...                 Your task: ...
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::panes::nothing;
use crate::tui::diff::{self, Pair};
use crate::tui::scene::Scene;
use crate::tui::text;
use crate::tui::theme::Role;

/// Draws both prompts of the selected episode, scrolled together.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let (student, teacher) = prompts(scene);
    let pairs = pairs(student, teacher);
    let (own, other) = (student.lines().collect::<Vec<_>>(), teacher.lines().collect::<Vec<_>>());
    let cells = usize::from(left.width.min(right.width)).saturating_sub(4);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for pair in &pairs {
        a.extend(block(scene, pair.left.map(|at| own[at]), pair.same || other.is_empty(), cells));
        b.extend(block(scene, pair.right.map(|at| other[at]), pair.same, cells));
        let most = a.len().max(b.len());
        a.resize(most, Line::default());
        b.resize(most, Line::default());
    }
    let none = other.is_empty();
    let only = |of: fn(&Pair) -> bool| pairs.iter().filter(|p| of(p)).count();
    let missing = if none { 0 } else { only(|p| !p.same && p.left.is_some()) };
    show(frame, left, scene, ("student prompt", missing, own.is_empty()), a);
    show(frame, right, scene, ("teacher prompt", only(|p| !p.same && p.right.is_some()), none), b);
}

/// Draws the teacher's prompt alone.
pub fn teacher(frame: &mut Frame, area: Rect, scene: &Scene) {
    let (student, teacher) = prompts(scene);
    let pairs = pairs(student, teacher);
    let cells = usize::from(area.width).saturating_sub(4);
    let lines: Vec<&str> = teacher.lines().collect();
    let own = pairs.iter().filter_map(|p| Some((p.right?, p.same)));
    let shown = own.flat_map(|(at, same)| block(scene, Some(lines[at]), same, cells)).collect();
    let only = pairs.iter().filter(|p| !p.same && p.right.is_some()).count();
    show(frame, area, scene, ("teacher prompt", only, lines.is_empty()), shown);
}

fn prompts<'a>(scene: &Scene<'a>) -> (&'a str, &'a str) {
    scene.app.episode().map_or(("", ""), |e| (e.prompt.as_str(), e.teacher_prompt.as_str()))
}

/// The lines of both, aligned; without a student's prompt nothing is private.
fn pairs(student: &str, teacher: &str) -> Vec<Pair> {
    let trimmed = |text: &'_ str| text.lines().map(|l| l.trim().to_owned()).collect::<Vec<_>>();
    let mut pairs = diff::align(&trimmed(student), &trimmed(teacher));
    let blank: Vec<bool> = teacher.lines().map(|l| l.trim().is_empty()).collect();
    for pair in &mut pairs {
        pair.same |= student.is_empty() || (pair.left.is_none() && pair.right.is_some_and(|at| blank[at]));
    }
    pairs
}

/// A line of a prompt, wrapped; one that the other prompt does not have is marked.
fn block<'a>(scene: &Scene<'a>, line: Option<&str>, same: bool, cells: usize) -> Vec<Line<'a>> {
    let Some(line) = line else { return vec![] };
    let (bar, role) = if same { (" ", Role::Masked) } else { ("▌", Role::Endorse2) };
    let wrapped = text::wrap(line, cells.max(2)).into_iter();
    wrapped.map(|line| Line::from(vec![scene.span(Role::Accent, bar), scene.span(role, line)])).collect()
}

fn show<'a>(
    frame: &mut Frame,
    area: Rect,
    scene: &Scene<'a>,
    (title, only, empty): (&str, usize, bool),
    lines: Vec<Line<'a>>,
) {
    let note = if only > 0 { format!(" ▌{only} only here ") } else { String::new() };
    let note = scene.span(Role::Good, note).into();
    let inner = scene.pane_with(frame, area, scene.title(title, false).into(), note, false);
    if empty {
        return scene.lines(frame, inner, nothing(scene, "none was recorded"));
    }
    let scroll = if scene.app.prompts { scene.app.scroll } else { 0 };
    let height = usize::from(inner.height);
    let first = scroll.min(lines.len().saturating_sub(height));
    scene.lines(frame, inner, lines.into_iter().skip(first).take(height).collect());
}
