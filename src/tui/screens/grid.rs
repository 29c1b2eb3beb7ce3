//! A grid of curves on the dash: every metric, or those one kept; a page of it around the chosen one.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::dash::Preset;
use super::panes::nothing;
use super::{curves, dash};
use crate::tui::app::{App, Effect};
use crate::tui::keys::Action;
use crate::tui::scene::Scene;
use crate::tui::select::Go;
use crate::tui::update;

/// Every metric as a chart, a page of them around the chosen one.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let names = metrics(scene.app);
    if names.is_empty() && scene.app.states.dash.preset == Preset::Own {
        let inner = scene.pane(frame, area, scene.title("your own charts", true).into(), true);
        return scene.lines(
            frame,
            inner,
            nothing(scene, "none yet: Space on a curve keeps it, or type `:charts NAME ...`"),
        );
    }
    if names.is_empty() {
        return curves::chart(frame, area, scene, &curves::CHARTS[0], (0, true));
    }
    let one = scene.app.zoomed;
    let columns = if one { 1 } else { columns_of(area.width) };
    let rows = if one { 1 } else { usize::from(area.height / 9).max(1) };
    let chosen = scene.app.states.dash.curve.min(names.len() - 1);
    let first = chosen / (rows * columns) * rows * columns;
    let heights = Layout::vertical(vec![Constraint::Fill(1); rows]).split(area);
    for (row, area) in heights.iter().enumerate() {
        let widths = Layout::horizontal(vec![Constraint::Fill(1); columns]).split(*area);
        for (column, area) in widths.iter().enumerate() {
            let at = first + row * columns + column;
            if let Some(name) = names.get(at) {
                let metrics = [(name.as_str(), "")];
                let spec = curves::ChartSpec { title: name, metrics: &metrics, eval: None };
                curves::chart(frame, *area, scene, &spec, (at, at == chosen));
            }
        }
    }
}

/// Charts beside each other in a width.
pub fn columns_of(width: u16) -> usize {
    usize::from(width / 44).clamp(1, 5)
}

/// Every metric by name, times last; or those of one's own grid.
pub fn metrics(app: &App) -> Vec<String> {
    if app.states.dash.preset == Preset::Own {
        return app.states.dash.own.clone();
    }
    let mut names: Vec<String> = app.series.names(app.view()).iter().cloned().collect();
    names.sort_by_key(|name| (name.starts_with("time/"), name.clone()));
    names
}

/// Walks the charts of [`Preset::Curves`]; false if the action is no movement.
pub fn walk(app: &mut App, action: Action) -> bool {
    let len = metrics(app).len();
    let columns = columns_of(app.size.0) as i64;
    let to = match action {
        Action::PaneNext => Go::By(1),
        Action::PanePrevious => Go::By(-1),
        Action::Up => Go::By(-columns),
        Action::Down => Go::By(columns),
        Action::Pane(at) => {
            app.states.dash.curve = at;
            return true;
        }
        action => match update::vertical(action) {
            Some(to) => to,
            None => return false,
        },
    };
    app.states.dash.curve = to.from(app.states.dash.curve, len);
    true
}

/// Puts the metrics of the focused chart into the grid of one's own, or takes them out.
pub fn keep(app: &mut App) {
    let Some(title) = dash::chart(app) else { return app.notify("no curve is chosen here: go to one with Tab first") };
    let known = curves::CHARTS.iter().find(|spec| spec.title == title);
    let metrics: Vec<String> = known.map_or(vec![title], |spec| spec.metrics.iter().map(|m| m.0.to_owned()).collect());
    let own = &mut app.states.dash.own;
    let kept = metrics.iter().all(|metric| own.contains(metric));
    own.retain(|metric| !metrics.contains(metric));
    let said = format!("{} {}", metrics.join(", "), if kept { "left your own grid" } else { "is in your own grid: R" });
    own.extend(metrics.into_iter().filter(|_| !kept));
    app.notify(said);
}

/// `:charts`: the metrics of one's own grid, those there are.
pub fn submit(app: &mut App, _: &str, typed: &str) -> Vec<Effect> {
    let known = app.series.names(app.view());
    let (found, unknown): (Vec<&str>, Vec<&str>) = typed.split_whitespace().partition(|name| known.contains(*name));
    if let Some(name) = unknown.first() {
        let near = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
        app.notify(format!(
            "no metric is called `{name}`{}",
            near.map_or(String::new(), |n| format!(", did you mean `{n}`?"))
        ));
        return vec![];
    }
    let state = &mut app.states.dash;
    (state.own, state.preset, state.curve) = (found.into_iter().map(str::to_owned).collect(), Preset::Own, 0);
    vec![]
}
