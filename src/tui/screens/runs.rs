//! Screen 5: the runs of the folder. A query chooses among them; marked ones lie over every chart.
//!
//! ```text
//! query
//! table: name, state, method, step, reward with its course, success, what was marked
//! chart of the marked runs, or median and band over seeds      differences from the baseline
//! ```

use std::path::PathBuf;

use ratatui::Frame;
use ratatui::layout::Direction::{Horizontal, Vertical};
use ratatui::layout::{Constraint, Layout, Rect};

use super::run_table::{changes, over, table};
use super::tabs::tabs;
use super::{Room, Screen, curves};
use crate::compare::{Query, RunRow, diff, known};
use crate::run::view::RunView;
use crate::tui::app::{App, Effect};
use crate::tui::errands::Errand;
use crate::tui::feed::Feed;
use crate::tui::find::Find;
use crate::tui::keys::{Action, Binding, ScreenId, ch, ctrl, key, row};
use crate::tui::overlay::Overlay;
use crate::tui::scene::Scene;
use crate::tui::{select, series, update};

/// The row of this screen.
pub const SCREEN: Screen = Screen {
    bindings: BINDINGS,
    act,
    chart: Some(|app| (app.focus[4] == 1).then(|| curves::CHARTS[app.states.runs.chart].title.to_owned())),
    find,
    copied,
    commands: &[
        ("filter", "choose runs: success>0.5 & lr>=1e-5 & !old, `filter ?` lists the words"),
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
    row(&[ch('F')], "filter-runs", Action::Own("filter"), "filter: success>0.5 & lr<1e-5, ? lists the words", "data")
        .on(HERE),
    row(&[ch('r')], "chart-next", Action::Own("chart"), "curve: next of the headline charts", "data").on(HERE),
    row(&[ch('e')], "edit-run", Action::Own("edit"), "edit: this run's configuration in $EDITOR", "data").on(HERE),
    row(&[ctrl('n')], "new-run", Action::Own("new"), "new run: of this configuration, or of a recipe", "data")
        .on(HERE)
        .foot(11),
    row(&[key(crossterm::event::KeyCode::Delete)], "unmark", Action::Own("unmark"), "unmark: all runs", "data")
        .on(HERE),
];
/// What is asked where a query is typed.
const FILTER: &str = " runs: ";
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
    /// What is wrong with the query typed last, and at which column.
    pub error: Option<String>,
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
    /// What a new run is being made of.
    pub recipe: Option<PathBuf>,
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

    /// Runs of the chosen one's recipe, itself included. A run without a recipe to read is alone.
    pub fn seeds(&self) -> Vec<&RunRow> {
        let Some(chosen) = self.chosen() else { return vec![] };
        let recipe = chosen.recipe();
        let equal = |row: &&RunRow| row.method == chosen.method && row.recipe() == recipe && !recipe.is_empty();
        self.rows.iter().filter(|row| row.name == chosen.name || equal(row)).collect()
    }

    fn wanted(&self, own: &str) -> Vec<String> {
        let seeds = if self.aggregate { self.seeds() } else { vec![] };
        let mut names: Vec<String> = seeds.iter().map(|row| row.name.clone()).collect();
        names.extend(self.marked.iter().chain(&self.baseline).cloned());
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
        (Action::Escape, _) if state.error.take().is_some() => {}
        (Action::Row(at), _) => state.at = at,
        (Action::Left, _) => select::crosshair(app, -1),
        (Action::Right, _) => select::crosshair(app, 1),
        (Action::Own("edit"), name) => return Some(vec![Effect::Errand(Errand::EditConfig(name))]),
        (Action::Own("new"), name) => return Some(vec![Effect::Errand(Errand::Choose(name))]),
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
        (Action::Own("filter"), _) => app.overlay = Overlay::ask("filter", FILTER, state.typed.clone()),
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
    if name == "new" {
        let recipe = state.recipe.take();
        return recipe.map_or(vec![], |path| vec![Effect::Errand(Errand::Start(path, typed.to_owned()))]);
    }
    match name {
        "sort" => match known(typed, &state.rows) {
            Err(error) if !typed.is_empty() => app.notify(error),
            _ => state.sort = typed.to_owned(),
        },
        _ if typed == "?" => app.overlay = Overlay::page("filter", &Query::help()),
        _ => match Query::parse(typed).and_then(|query| query.check(&state.rows).map(|()| query)) {
            Ok(query) => (state.query, state.typed, state.at, state.error) = (query, typed.to_owned(), 0, None),
            Err(error) => {
                state.error = Some(error);
                app.overlay = Overlay::ask("filter", FILTER, typed);
            }
        },
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
pub fn differences(app: &App) -> Option<String> {
    let state = &app.states.runs;
    let chosen = state.chosen()?;
    let by_name = |name: &String| state.rows.iter().find(|row| row.name == *name);
    let own = &app.view().facts.run;
    let base = state.baseline.as_ref().or(state.marked.first()).or(Some(own)).and_then(by_name)?;
    (base.name != chosen.name).then(|| diff(base, chosen))
}

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
    let [top, bottom] = scene.split("runs", area, Vertical, area.height.div_ceil(2));
    let [left, right] = scene.split("runs-curves", bottom, Horizontal, bottom.width * 3 / 5);
    for (at, area) in [top, left, right].into_iter().enumerate() {
        panes[at](frame, area, scene, at == focus);
    }
}
