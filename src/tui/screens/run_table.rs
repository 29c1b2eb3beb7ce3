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

/// Cells of the columns that are not always as wide.
struct Widths {
    cells: usize,
    name: usize,
    method: usize,
    step: usize,
}

/// Cells of all the others, with what stands between them.
const FIXED: usize = 44;

impl Widths {
    /// As usual while all names have room; else method and step are as narrow as what stands in them.
    fn of(rows: &[&RunRow], cells: usize) -> Self {
        let longest = |of: fn(&RunRow) -> usize, least: usize| rows.iter().map(|row| of(row)).fold(least, usize::max);
        let names = longest(|row| text::width(&row.name), 12).min(44);
        let usual = Self { cells, name: cells.saturating_sub(72).clamp(12, 44), method: 12, step: 11 };
        if names <= usual.name {
            return usual;
        }
        let method = longest(|row| text::width(&row.method), 6).min(12);
        let step = longest(|row| text::width(&steps(row)), 4).min(11);
        let room = |method: usize| cells.saturating_sub(FIXED + method + step).max(12);
        let method = if names > room(method) { method.min(8) } else { method };
        let room = room(method);
        Self { cells, name: names.min(room), method, step }
    }
}

fn steps(row: &RunRow) -> String {
    format!("{}/{}", row.step, row.steps)
}

/// The table of the runs.
pub fn table(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let state = &scene.app.states.runs;
    let shown = state.shown();
    scene.hit(area, Target::Pane(0));
    let query = if state.typed.is_empty() { "F filter".into() } else { format!("F {}", text::fit(&state.typed, 60)) };
    let note = scene.span(Role::Key, format!("{query} "));
    let count = scene.span(Role::Dim, format!(" {} of {} ", shown.len(), state.rows.len())).into();
    let left = Line::from(vec![scene.title("runs", focused), note]);
    let inner = scene.pane_with(frame, area, left, count, focused);
    let widths = Widths::of(&shown, usize::from(inner.width));
    let cells = widths.cells;
    let head = format!(
        "    {} {:<8} {} {:>step$} {:>8} {:>8} {:>8}  course",
        text::pad("name", widths.name),
        "state",
        text::pad("method", widths.method),
        "step",
        "reward",
        "success",
        "eval",
        step = widths.step
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
            .map(|(index, row)| run_line(scene, (row, &seeds), index == at, &widths)),
    );
    if shown.is_empty() {
        lines.extend(nothing(scene, if state.rows.is_empty() { "reading the runs" } else { "no run is like that" }));
    }
    scene.lines(frame, inner, lines);
}

fn run_line<'a>(scene: &Scene<'a>, (row, seeds): (&RunRow, &[&str]), chosen: bool, widths: &Widths) -> Line<'a> {
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
        " {} {:>step$} {:>8} {:>8} {:>8}  ",
        text::pad(&row.method, widths.method),
        steps(row),
        value("reward"),
        value("success"),
        value("eval"),
        step = widths.step
    );
    let used = widths.name + widths.method + widths.step + FIXED;
    let course = glyph::sparkline(&row.reward, widths.cells.saturating_sub(used).min(32));
    Line::from(vec![
        scene.span(if chosen { Role::Select } else { Role::Dim }, if chosen { "▸" } else { " " }),
        scene.span(role, format!(" {sign} ")),
        scene.span(if chosen { Role::Select } else { Role::Text }, text::pad(&row.name, widths.name)),
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
