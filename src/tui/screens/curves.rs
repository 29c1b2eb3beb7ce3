//! Charts of metrics, with their read-out at the selected step, and what keys do to them. Used by every screen that
//! shows curves.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use std::rc::Rc;

use super::laid::compared;
use crate::run::view::RunView;
use crate::tui::app::{App, Mode};
use crate::tui::chart::{self, Chart, Kind, Layer, Series, Sign};
use crate::tui::keys::Action;
use crate::tui::lens::{Window, XAxis};
use crate::tui::mouse::Target;
use crate::tui::scene::Scene;
use crate::tui::select;
use crate::tui::series;
use crate::tui::text;
use crate::tui::theme::Role;

/// One chart: its curves are metrics by name, with the word its read-out uses.
#[derive(Clone, Debug, PartialEq)]
pub struct ChartSpec<'a> {
    pub title: &'a str,
    pub metrics: &'a [(&'a str, &'a str)],
    /// Metric of the evaluations drawn as points over it.
    pub eval: Option<&'a str>,
}

const fn spec<'a>(title: &'a str, metrics: &'a [(&'a str, &'a str)]) -> ChartSpec<'a> {
    ChartSpec { title, metrics, eval: None }
}

/// The charts of the dash in the order of its grid.
pub const CHARTS: [ChartSpec; 7] = [
    spec("reward", &[("reward/mean", "")]),
    ChartSpec { title: "success", metrics: &[("success/mean", "train")], eval: Some("success") },
    spec("no-signal", &[("groups/no_signal", "")]),
    spec("gate", &[("gate/mean", "mean"), ("gate/active", "active")]),
    spec("gap", &[("gap/mean", "mean"), ("gap/rms", "rms")]),
    spec("entropy", &[("entropy/mean", "")]),
    spec("kl", &[("kl/reference", "kl"), ("clip/fraction", "clip")]),
];

const CURVES: [Role; 3] = [Role::Series1, Role::Series2, Role::Series3];

/// Draws a chart with its read-out at the selected step; `pane` is its number for the mouse.
pub fn chart(frame: &mut Frame, area: Rect, scene: &Scene, spec: &ChartSpec, (pane, focused): (usize, bool)) {
    let app = scene.app;
    let lens = &app.lens;
    scene.hit(area, Target::Pane(pane));
    let full = full(app);
    let window = lens.window(spec.title, full);
    let mut right = Line::default();
    let mut layers = layers(scene, spec, &mut right);
    let overlay = compared(scene, spec.metrics.first().map_or("", |m| m.0));
    layers.extend(overlay.layers);
    let left = Line::from(vec![
        scene.title(spec.title, focused),
        scene.span(Role::Dim, note(app, spec.title, focused, (window, full))),
    ]);
    let inner = scene.pane_with(frame, area, left, right, focused);
    let sign =
        |m: &crate::run::view::Mark| Some(Sign { x: app.series.place_of(scene.view, m.step, lens.x)?, kind: m.kind });
    let chart = Chart {
        layers,
        band: overlay.band,
        signs: scene.view.marks.iter().rev().take(SIGNS).filter_map(sign).collect(),
        cross: app.pick.step.and_then(|step| app.series.place_of(scene.view, step, lens.x)),
        log_x: lens.log_x,
        log_y: lens.log.contains(spec.title),
        clip: lens.clip,
        window,
        ascii: app.ascii,
    };
    if let Some(panel) = chart::draw(frame, inner, &chart, scene.theme) {
        scene.hit(panel, Target::Chart(pane, window));
    }
}

/// What is not as usual about how a chart is looked at. What all charts share is said once, on the focused one.
fn note(app: &App, title: &str, focused: bool, (window, full): (Window, Window)) -> String {
    let lens = &app.lens;
    let parts = [
        (lens.log.contains(title), "log ".to_owned()),
        (focused && lens.log_x, "log-x ".into()),
        (focused && lens.x != XAxis::Step, format!("by {} ", lens.x.name())),
        (focused && lens.clip.tail() > 0.0, format!("{:.0}% ", 100.0 - 200.0 * lens.clip.tail())),
        (
            window != full && (focused || !lens.linked),
            format!("{}–{} ", text::number(window.0), text::number(window.1)),
        ),
    ];
    parts.into_iter().filter(|(on, _)| *on).map(|(_, text)| text).collect()
}

/// Everything there is on the x-axis: of this run and those laid over it.
pub fn full(app: &App) -> Window {
    let axis = app.lens.x;
    let own = app.series.span(app.view(), axis).unwrap_or((0.0, 1.0));
    let recorded = match (app.mode, axis) {
        (Mode::Replay, XAxis::Step) => (own.0, own.1.max(app.history.last_recorded_step() as f64)),
        _ => own,
    };
    let spans = app.states.runs.others.iter().filter_map(|other| other.series.span(&other.view, axis));
    spans.fold(recorded, |(a, b), (c, d)| (a.min(c), b.max(d)))
}

/// The curves of a chart; their values at the selected step go to `right`.
fn layers<'a>(scene: &Scene<'a>, spec: &ChartSpec, right: &mut Line<'a>) -> Vec<Layer> {
    let axis = scene.app.lens.x;
    let at = scene.app.series.place_of(scene.view, scene.app.step(), axis).unwrap_or(0.0);
    let mut layers = Vec::new();
    for ((metric, word), role) in spec.metrics.iter().zip(CURVES) {
        let points = scene.app.series.get(scene.view, metric, axis);
        read_out(right, scene, role, word, chart::value_at(&points, at));
        let smooth = averaged(scene, (&scene.app.series, scene.view), metric);
        layers.push(Layer { points, smooth, role, kind: Kind::Curve });
    }
    if let Some(metric) = spec.eval {
        let points = evaluations(scene, metric);
        read_out(right, scene, Role::Eval, "◆", chart::value_at(&points, at));
        layers.push(Layer { points: Rc::new(points), smooth: None, role: Role::Eval, kind: Kind::Dots });
    }
    layers
}

/// The averaged values of a metric of a run, if curves are averaged.
pub fn averaged(scene: &Scene, (cache, view): (&series::Cache, &RunView), metric: &str) -> Option<Rc<Series>> {
    let lens = &scene.app.lens;
    (lens.weight() > 0.0).then(|| cache.smoothed(view, metric, lens.x, lens.weight()))
}

fn read_out<'a>(line: &mut Line<'a>, scene: &Scene<'a>, role: Role, word: &str, value: Option<f64>) {
    let space = if word.is_empty() { "" } else { " " };
    line.push_span(scene.span(role, format!(" {word}{space}{} ", value.map_or("—".into(), text::number))));
}

/// One metric of the evaluations without skills in the prompt, of the panel evaluated last.
fn evaluations(scene: &Scene, metric: &str) -> chart::Series {
    let plain = || scene.view.evals.iter().filter(|e| !e.with_skills);
    let panel = plain().next_back().map(|e| e.panel.as_str());
    let of_panel = plain().filter(|e| Some(e.panel.as_str()) == panel);
    let point = |e: &crate::run::view::EvalView| {
        Some((
            scene.app.series.place_of(scene.view, e.step, scene.app.lens.x)?,
            e.metrics.get(metric).copied().flatten(),
        ))
    };
    of_panel.filter_map(point).collect()
}

/// What keys do to a chart; false if the action is none of a chart's.
pub fn act(app: &mut App, action: Action, title: &str) -> bool {
    let full = full(app);
    match action {
        Action::Log => {
            if !app.lens.log.remove(title) {
                app.lens.log.insert(title.to_owned());
            }
        }
        Action::Scale(0) => app.lens.follow(),
        Action::Scale(by) => {
            let step = app.step();
            let centre = app.series.place_of(app.view(), step, app.lens.x).unwrap_or(full.1);
            let factor = if by > 0 { 1.0 / ZOOM } else { ZOOM };
            app.lens.zoom(title, factor, centre, full);
        }
        Action::Pan(by) => app.lens.pan(title, f64::from(by) * PAN, full),
        _ => return false,
    }
    true
}

/// Puts the crosshair, and with it the selected step, at a place of the x-axis.
pub fn cross_at(app: &mut App, place: f64) {
    if app.mode == Mode::Replay && app.lens.x == XAxis::Step {
        return select::set_step(app, place.round().max(0.0) as u64);
    }
    if let Some(step) = app.series.step_at(app.view(), place, app.lens.x) {
        select::set_step(app, step);
    }
}

/// How much more or less one press shows, and how far it moves.
const ZOOM: f64 = 1.6;
const PAN: f64 = 0.2;
/// Marks drawn, the latest first.
const SIGNS: usize = 200;
