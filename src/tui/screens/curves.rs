//! Charts of metrics, with their read-out at the selected step.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::app::Mode;
use crate::tui::chart::{self, Chart, Layer};
use crate::tui::scene::Scene;
use crate::tui::text;
use crate::tui::theme::Role;

/// One chart: its curves are metrics by name, with the word its read-out uses.
#[derive(Debug)]
pub struct ChartSpec {
    pub title: &'static str,
    pub metrics: &'static [(&'static str, &'static str)],
    /// Metric of the evaluations drawn as points over it.
    pub eval: Option<&'static str>,
}

const fn spec(title: &'static str, metrics: &'static [(&'static str, &'static str)]) -> ChartSpec {
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

/// Draws chart `index` with its read-out at the selected step.
pub fn chart(frame: &mut Frame, area: Rect, scene: &Scene, index: usize) {
    let (app, spec) = (scene.app, &CHARTS[index]);
    let mut right = Line::default();
    let layers = layers(scene, spec, &mut right);
    let focused = app.focus[0] == index;
    let log = app.lens.log.contains(spec.title);
    let note = scene.span(Role::Dim, if log { "log " } else { "" });
    let inner = scene.pane_with(frame, area, vec![scene.title(spec.title, focused), note].into(), right, focused);
    let first = layers.iter().filter_map(|l| l.points.first()).map(|(step, _)| *step).min().unwrap_or(0);
    let last = if app.mode == Mode::Replay { app.history.last_recorded_step() } else { scene.view.last_step() };
    let chart = Chart {
        layers,
        marks: &scene.view.marks,
        cross: app.pick.step,
        log,
        smooth: app.lens.weight(),
        steps: (first, last),
        ascii: app.ascii,
    };
    chart::draw(frame, inner, &chart, scene.theme);
}

/// The curves of a chart; their values at the selected step go to `right`.
fn layers<'a>(scene: &Scene<'a>, spec: &ChartSpec, right: &mut Line<'a>) -> Vec<Layer> {
    let step = scene.app.step();
    let mut layers = Vec::new();
    for ((metric, word), role) in spec.metrics.iter().zip(CURVES) {
        let points = scene.view.series(metric);
        read_out(right, scene, role, word, chart::value_at(&points, step));
        layers.push(Layer { points, role, dots: false });
    }
    if let Some(metric) = spec.eval {
        let points = evaluations(scene, metric);
        read_out(right, scene, Role::Eval, "◆", chart::value_at(&points, step));
        layers.push(Layer { points, role: Role::Eval, dots: true });
    }
    layers
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
    of_panel.map(|e| (e.step, e.metrics.get(metric).copied().flatten())).collect()
}
