//! The panes of the runs: the table, the chart of those laid over each other, what differs.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::curves;
use super::laid::{RUNS, joined};
use super::panes::nothing;
use super::runs::differences;
use crate::compare::RunRow;
use crate::tui::mouse::Target;
use crate::tui::scene::{Scene, window};
use crate::tui::theme::Role;
use crate::tui::{glyph, text};

pub fn table(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let state = &scene.app.states.runs;
    let shown = state.shown();
    scene.hit(area, Target::Pane(0));
    let query = if state.typed.is_empty() { "F filter".into() } else { format!("F {}", text::fit(&state.typed, 60)) };
    let note = scene.span(Role::Key, format!("{query} "));
    let count = scene.span(Role::Dim, format!(" {} of {} ", shown.len(), state.rows.len())).into();
    let left = Line::from(vec![scene.title("runs", focused), note]);
    let inner = scene.pane_with(frame, area, left, count, focused);
    let cells = usize::from(inner.width);
    let name = cells.saturating_sub(72).clamp(12, 44);
    let head = format!(
        "    {} {:<8} {:<12} {:>11} {:>8} {:>8} {:>8}  course",
        text::pad("name", name),
        "state",
        "method",
        "step",
        "reward",
        "success",
        "eval"
    );
    let mut lines = vec![Line::styled(text::fit(&head, cells), scene.style(Role::Dim))];
    if let Some(error) = &state.error {
        lines.push(Line::styled(text::fit(&format!(" filter {error}"), cells), scene.style(Role::Bad)));
    }
    let top = lines.len();
    let height = usize::from(inner.height).saturating_sub(top);
    let at = state.at.min(shown.len().saturating_sub(1));
    let first = window(shown.len(), at, height);
    let seeds: Vec<&str> =
        if state.aggregate { state.seeds().iter().map(|row| row.name.as_str()).collect() } else { vec![] };
    for (row, place) in inner.rows().skip(top).enumerate().take(shown.len() - first) {
        scene.hit(place, Target::Row(0, first + row));
    }
    lines.extend(
        shown
            .iter()
            .enumerate()
            .skip(first)
            .take(height)
            .map(|(index, row)| run_line(scene, (row, &seeds), index == at, (name, cells))),
    );
    if shown.is_empty() {
        lines.extend(nothing(scene, if state.rows.is_empty() { "reading the runs" } else { "no run is like that" }));
    }
    scene.lines(frame, inner, lines);
}

fn run_line<'a>(
    scene: &Scene<'a>,
    (row, seeds): (&RunRow, &[&str]),
    chosen: bool,
    (name, cells): (usize, usize),
) -> Line<'a> {
    let state = &scene.app.states.runs;
    let laid = if state.aggregate {
        seeds.contains(&row.name.as_str()).then_some(0)
    } else {
        state.others.iter().position(|other| other.name == row.name)
    };
    let (sign, role) = match () {
        () if state.baseline.as_ref() == Some(&row.name) => ("*", Role::Accent),
        () if row.name == scene.view.facts.run => ("●", Role::Series1),
        () => laid.map_or((" ", Role::Dim), |at| ("━", RUNS[at % RUNS.len()])),
    };
    let value = |name: &str| row.column(name).map_or("—".into(), text::number);
    let state_role = match row.state {
        "running" | "done" => Role::Good,
        "failed" | "dead" => Role::Bad,
        _ => Role::Dim,
    };
    let figures = format!(
        " {:<12} {:>11} {:>8} {:>8} {:>8}  ",
        text::fit(&row.method, 12),
        format!("{}/{}", row.step, row.steps),
        value("reward"),
        value("success"),
        value("eval")
    );
    let course = glyph::sparkline(&row.reward, cells.saturating_sub(name + 67).min(32));
    Line::from(vec![
        scene.span(if chosen { Role::Select } else { Role::Dim }, if chosen { "▸" } else { " " }),
        scene.span(role, format!(" {sign} ")),
        scene.span(if chosen { Role::Select } else { Role::Text }, text::pad(&row.name, name)),
        scene.span(state_role, format!(" {:<8}", row.state)),
        scene.span(Role::Text, figures),
        scene.span(Role::Series1, course),
    ])
}

/// A headline chart of this run and those laid over it, with their names.
pub fn over(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let state = &scene.app.states.runs;
    let [top, legend] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    curves::chart(frame, top, scene, &curves::CHARTS[state.chart], (1, focused));
    let mut line = Line::from(scene.span(Role::Series1, format!(" ━ {}", text::fit(&scene.view.facts.run, 24))));
    if state.aggregate {
        let said = match joined(scene).len() {
            0 | 1 => "  no other run has the recipe of the chosen one".to_owned(),
            runs => format!("  ━ median and middle half of {runs} runs of one recipe"),
        };
        line.push_span(scene.span(Role::Run1, said));
    }
    for (at, other) in state.others.iter().enumerate().filter(|_| !state.aggregate) {
        line.push_span(scene.span(RUNS[at % RUNS.len()], format!("  ━ {}", text::fit(&other.name, 24))));
    }
    scene.lines(frame, legend, vec![line]);
}

pub fn changes(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    scene.hit(area, Target::Pane(2));
    let inner = scene.pane(frame, area, scene.title("differences", focused).into(), focused);
    let Some(found) = differences(scene.app) else {
        return scene.lines(frame, inner, nothing(scene, "pin a baseline with *, choose another run"));
    };
    let cells = usize::from(inner.width);
    let line = |line: &str| Line::styled(text::fit(line, cells), scene.style(Role::Text));
    scene.lines(frame, inner, found.lines().take(usize::from(inner.height)).map(line).collect());
}
