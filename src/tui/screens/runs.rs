//! Screen 5: the runs of the folder. A query chooses among them; marked ones lie over every chart.
//!
//! ```text
//! query
//! table: name, state, method, step, reward with its course, success, what was marked
//! chart of the marked runs, or median and band over seeds      differences from the baseline
//! ```

use std::rc::Rc;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::panes::nothing;
use super::tabs::tabs;
use super::{Room, Screen, curves};
use crate::compare::{Query, RunRow, diff, over_seeds};
use crate::run::view::RunView;
use crate::tui::app::{App, Effect};
use crate::tui::chart::{Band, Kind, Layer};
use crate::tui::feed::Feed;
use crate::tui::find::Find;
use crate::tui::keys::{Action, Binding, ScreenId, ch, key, row};
use crate::tui::mouse::Target;
use crate::tui::overlay::Overlay;
use crate::tui::scene::{Scene, window};
use crate::tui::theme::Role;
use crate::tui::{glyph, select, series, text, update};

/// The row of this screen.
pub const SCREEN: Screen = Screen {
    bindings: BINDINGS,
    act,
    chart: Some(|app| (app.focus[4] == 1).then(|| curves::CHARTS[app.states.runs.chart].title.to_owned())),
    find,
    copied,
    commands: &[
        ("filter", "choose runs: env=household lr>=1e-5 has:eval NOT old"),
        ("sort", "by a key: reward, step, lr"),
    ],
    submit,
    load,
    ..Screen::new(ScreenId::Runs, ("Runs", "Runs"), &["runs", "curves", "differences"], draw)
};

const BINDINGS: &[Binding] = &[
    row(&[ch(' ')], "mark-run", Action::Own("mark"), "mark: lay this run over the charts", "data").on(HERE).foot(7),
    row(&[ch('*')], "baseline", Action::Own("baseline"), "baseline: compare with this run", "data").on(HERE).foot(8),
    row(&[ch('a')], "aggregate", Action::Own("aggregate"), "seeds: median and band of equal recipes", "data")
        .on(HERE)
        .foot(9),
    row(&[ch('d')], "diff-runs", Action::Own("diff"), "diff: changed keys, results, build", "data").on(HERE).foot(10),
    row(&[ch('F')], "filter-runs", Action::Own("filter"), "filter: a query over facts, keys, metrics", "data").on(HERE),
    row(&[ch('r')], "chart-next", Action::Own("chart"), "curve: next of the headline charts", "data").on(HERE),
    row(&[key(crossterm::event::KeyCode::Delete)], "unmark", Action::Own("unmark"), "unmark: all runs", "data")
        .on(HERE),
];
const HERE: &[ScreenId] = &[ScreenId::Runs];

/// A run laid over the charts.
#[derive(Debug)]
pub struct Other {
    pub name: String,
    pub view: RunView,
    pub series: series::Cache,
}

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {
    pub rows: Vec<RunRow>,
    pub typed: String,
    query: Query,
    sort: String,
    /// Line of the table.
    pub at: usize,
    pub marked: Vec<String>,
    pub baseline: Option<String>,
    pub aggregate: bool,
    pub chart: usize,
    /// The runs that are loaded because they are marked, the baseline or seeds of the chosen one.
    pub others: Vec<Other>,
    failed: Vec<String>,
}

impl State {
    /// The rows the query takes, in their order.
    pub fn shown(&self) -> Vec<&RunRow> {
        let mut rows: Vec<&RunRow> = self.rows.iter().filter(|row| self.query.takes(row)).collect();
        let number =
            |row: &RunRow| row.value(&self.sort).and_then(|v| v.parse::<f64>().ok()).unwrap_or(f64::NEG_INFINITY);
        if self.sort.is_empty() {
            rows.sort_by_key(|row| std::cmp::Reverse(row.last_ms));
        } else {
            rows.sort_by(|a, b| number(b).total_cmp(&number(a)).then_with(|| a.name.cmp(&b.name)));
        }
        rows
    }

    /// The chosen row.
    pub fn chosen(&self) -> Option<&RunRow> {
        let shown = self.shown();
        shown.get(self.at.min(shown.len().checked_sub(1)?)).copied()
    }

    /// Runs of the chosen one's recipe, itself included.
    fn seeds(&self) -> Vec<&RunRow> {
        let Some(chosen) = self.chosen() else { return vec![] };
        let recipe = chosen.recipe();
        self.rows.iter().filter(|row| row.method == chosen.method && row.recipe() == recipe).collect()
    }

    fn wanted(&self, own: &str) -> Vec<String> {
        let mut names = self.marked.clone();
        names.extend(self.baseline.clone());
        if self.aggregate {
            names.extend(self.seeds().iter().map(|row| row.name.clone()));
        }
        let mut unique: Vec<String> = Vec::new();
        names.into_iter().filter(|name| name != own).for_each(|name| {
            if !unique.contains(&name) {
                unique.push(name);
            }
        });
        unique.truncate(MOST);
        unique
    }
}

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    let name = app.states.runs.chosen().map(|row| row.name.clone());
    let state = &mut app.states.runs;
    match (action, name) {
        (Action::Enter, Some(name)) => return Some(vec![Effect::Open(name)]),
        (Action::Row(at), _) => state.at = at,
        (Action::Left, _) => select::crosshair(app, -1),
        (Action::Right, _) => select::crosshair(app, 1),
        (Action::Own("mark"), Some(name)) => match state.marked.iter().position(|m| *m == name) {
            Some(at) => drop(state.marked.remove(at)),
            None if state.marked.len() < MOST => state.marked.push(name),
            None => app.notify(format!("at most {MOST} runs lie over the charts")),
        },
        (Action::Own("baseline"), Some(name)) => {
            state.baseline = if state.baseline.as_ref() == Some(&name) { None } else { Some(name) };
        }
        (Action::Own("unmark"), _) => (state.marked, state.baseline) = (vec![], None),
        (Action::Own("aggregate"), _) => state.aggregate ^= true,
        (Action::Own("chart"), _) => state.chart = (state.chart + 1) % curves::CHARTS.len(),
        (Action::Own("filter"), _) => app.overlay = Overlay::ask("filter", " runs: ", state.typed.clone()),
        (Action::Own("diff"), _) => match differences(app) {
            Some(found) => app.overlay = Overlay::page("differences", &found),
            None => app.notify("choose a run, and pin another as baseline with *"),
        },
        (Action::Own(_), _) => app.notify("there is no run here"),
        _ => {
            let len = state.shown().len();
            state.at = update::vertical(action)?.from(state.at, len);
        }
    }
    Some(vec![])
}

fn submit(app: &mut App, name: &str, typed: &str) -> Vec<Effect> {
    let state = &mut app.states.runs;
    match (name, Query::parse(typed)) {
        ("sort", _) => state.sort = typed.to_owned(),
        (_, Ok(query)) => (state.query, state.typed, state.at) = (query, typed.to_owned(), 0),
        (_, Err(error)) => app.notify(error),
    }
    vec![]
}

fn find(app: &mut App, find: &Find, by: i32) -> bool {
    let state = &mut app.states.runs;
    let words = |row: &&RunRow| format!("{} {} {} {} {}", row.name, row.method, row.env, row.model, row.state);
    let texts: Vec<String> = state.shown().iter().map(words).collect();
    let found = find.next(state.at, texts.len(), by, |at| texts[at].clone());
    state.at = found.unwrap_or(state.at);
    found.is_some()
}

fn copied(app: &App) -> Vec<(&'static str, String)> {
    let state = &app.states.runs;
    let Some(row) = state.chosen() else { return vec![] };
    let config: String = row.config.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    let values: String = row.summary.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect();
    let mut all = vec![("name", row.name.clone()), ("configuration", config), ("last values", values)];
    all.extend(differences(app).map(|found| ("differences", found)));
    all
}

/// Takes new rows in, and one run a call that is wanted over the charts.
fn load(app: &mut App, feed: &mut dyn Feed) -> bool {
    let own = app.view().facts.run.clone();
    let state = &mut app.states.runs;
    let rows = feed.runs();
    let mut changed = !rows.is_empty();
    for row in rows {
        match state.rows.iter_mut().find(|known| known.name == row.name) {
            Some(known) => *known = row,
            None => state.rows.push(row),
        }
    }
    let wanted = state.wanted(&own);
    let before = state.others.len();
    state.others.retain(|other| wanted.contains(&other.name));
    changed |= state.others.len() != before;
    let missing =
        wanted.into_iter().find(|name| !state.others.iter().any(|o| o.name == *name) && !state.failed.contains(name));
    if let Some(name) = missing {
        changed = true;
        match feed.run(&name) {
            Ok(view) => state.others.push(Other { name, view, series: series::Cache::default() }),
            Err(error) => {
                state.failed.push(name);
                app.notify(format!("{error:#}"));
            }
        }
    }
    changed
}

/// Between the baseline (or the first marked run, or the one that is open) and the chosen run.
fn differences(app: &App) -> Option<String> {
    let state = &app.states.runs;
    let chosen = state.chosen()?;
    let by_name = |name: &String| state.rows.iter().find(|row| row.name == *name);
    let own = &app.view().facts.run;
    let base = state.baseline.as_ref().or(state.marked.first()).or(Some(own)).and_then(by_name)?;
    (base.name != chosen.name).then(|| diff(base, chosen))
}

/// What lies over a chart.
#[derive(Debug, Default)]
pub struct Compared {
    pub layers: Vec<Layer>,
    pub band: Option<Band>,
}

/// The curves of the other runs for a metric: each of them, or median and quartiles of the seeds.
pub fn compared(scene: &Scene, metric: &str) -> Compared {
    let (state, axis) = (&scene.app.states.runs, scene.app.lens.x);
    if state.aggregate {
        let mut all: Vec<_> = state.others.iter().map(|other| other.series.get(&other.view, metric, axis)).collect();
        all.push(scene.app.series.get(scene.view, metric, axis));
        let course = over_seeds(&all.iter().map(|s| s.as_slice()).collect::<Vec<_>>());
        let median = course.x.iter().copied().zip(course.median.iter().map(|y| Some(*y))).collect();
        let band = Band { x: course.x, low: course.low, high: course.high };
        let layer = Layer { points: Rc::new(median), role: Role::Run1, kind: Kind::Plain };
        return Compared { layers: vec![layer], band: (!band.x.is_empty()).then_some(band) };
    }
    let layer = |(at, other): (usize, &Other)| Layer {
        points: other.series.get(&other.view, metric, axis),
        role: RUNS[at % RUNS.len()],
        kind: Kind::Plain,
    };
    Compared { layers: state.others.iter().enumerate().map(layer).collect(), band: None }
}

const RUNS: [Role; 4] = [Role::Run1, Role::Run2, Role::Run3, Role::Run4];
/// Runs that can lie over the charts at once.
const MOST: usize = 8;

fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let focus = scene.app.focus[4].min(2);
    let panes: [fn(&mut Frame, Rect, &Scene, bool); 3] = [table, over, changes];
    let room = Room::of(frame.area());
    if room <= Room::One {
        let [top, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        tabs(frame, top, scene);
        return panes[focus](frame, body, scene, true);
    }
    if scene.app.zoomed {
        return panes[focus](frame, area, scene, true);
    }
    let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(bottom);
    for (at, area) in [top, left, right].into_iter().enumerate() {
        panes[at](frame, area, scene, at == focus);
    }
}

fn table(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
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
    let height = usize::from(inner.height).saturating_sub(1);
    let at = state.at.min(shown.len().saturating_sub(1));
    let first = window(shown.len(), at, height);
    for (row, place) in inner.rows().skip(1).enumerate().take(shown.len() - first) {
        scene.hit(place, Target::Row(0, first + row));
    }
    lines.extend(
        shown
            .iter()
            .enumerate()
            .skip(first)
            .take(height)
            .map(|(index, row)| run_line(scene, row, index == at, (name, cells))),
    );
    if shown.is_empty() {
        lines.extend(nothing(scene, if state.rows.is_empty() { "reading the runs" } else { "no run is like that" }));
    }
    scene.lines(frame, inner, lines);
}

fn run_line<'a>(scene: &Scene<'a>, row: &RunRow, chosen: bool, (name, cells): (usize, usize)) -> Line<'a> {
    let state = &scene.app.states.runs;
    let laid = state.others.iter().position(|other| other.name == row.name);
    let (sign, role) = match () {
        () if state.baseline.as_ref() == Some(&row.name) => ("*", Role::Accent),
        () if row.name == scene.view.facts.run => ("●", Role::Series1),
        () => laid.map_or((" ", Role::Dim), |at| ("━", RUNS[at % RUNS.len()])),
    };
    let value = |key: &str| row.summary.get(key).map_or("—".into(), |v| text::number(*v));
    let state_role = match row.state {
        "running" | "done" => Role::Good,
        "failed" | "dead" => Role::Bad,
        _ => Role::Dim,
    };
    let figures = format!(
        " {:<12} {:>11} {:>8} {:>8} {:>8}  ",
        text::fit(&row.method, 12),
        format!("{}/{}", row.step, row.steps),
        value("reward/mean"),
        value("success/mean"),
        value("eval/success")
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
fn over(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let state = &scene.app.states.runs;
    let [top, legend] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    curves::chart(frame, top, scene, &curves::CHARTS[state.chart], (1, focused));
    let mut line = Line::from(scene.span(Role::Series1, format!(" ━ {}", text::fit(&scene.view.facts.run, 24))));
    if state.aggregate {
        let seeds = state.others.len() + 1;
        line.push_span(scene.span(Role::Run1, format!("  ━ median and middle half of {seeds} runs")));
    }
    for (at, other) in state.others.iter().enumerate().filter(|_| !state.aggregate) {
        line.push_span(scene.span(RUNS[at % RUNS.len()], format!("  ━ {}", text::fit(&other.name, 24))));
    }
    scene.lines(frame, legend, vec![line]);
}

fn changes(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    scene.hit(area, Target::Pane(2));
    let inner = scene.pane(frame, area, scene.title("differences", focused).into(), focused);
    let Some(found) = differences(scene.app) else {
        return scene.lines(frame, inner, nothing(scene, "pin a baseline with *, choose another run"));
    };
    let cells = usize::from(inner.width);
    let line = |line: &str| Line::styled(text::fit(line, cells), scene.style(Role::Text));
    scene.lines(frame, inner, found.lines().take(usize::from(inner.height)).map(line).collect());
}
