//! The panes of the dash: charts, alerts, skills in use, all other numbers; and the tabs of small terminals.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::dash::{LEVELS, headline};
use crate::run::view::MarkKind;
use crate::tui::app::Mode;
use crate::tui::chart::{self, Chart, Layer};
use crate::tui::keys::ScreenId;
use crate::tui::scene::Scene;
use crate::tui::theme::Role;
use crate::tui::{glyph, text};

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
    let log = app.log & (1 << index) != 0;
    let note = scene.span(Role::Dim, if log { "log " } else { "" });
    let inner = scene.pane_with(frame, area, vec![scene.title(spec.title, focused), note].into(), right, focused);
    let first = layers.iter().filter_map(|l| l.points.first()).map(|(step, _)| *step).min().unwrap_or(0);
    let last = if app.mode == Mode::Replay { app.history.last_recorded_step() } else { scene.view.last_step() };
    let chart = Chart {
        layers,
        marks: &scene.view.marks,
        cross: app.pick.step,
        log,
        smooth: scene.smooth(),
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

/// Alerts, changes and checkpoints, newest first.
pub fn alerts(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let view = scene.view;
    let warned = view.alerts.iter().filter(|a| a.level > crate::core::event::Level::Info).count();
    let count = scene.span(if warned > 0 { Role::Warn } else { Role::Dim }, format!(" {warned} "));
    let inner = scene.pane_with(frame, area, scene.title("alerts", focused).into(), count.into(), focused);
    let alert = |a: &crate::run::view::AlertView| {
        let (sign, role) = LEVELS[a.level as usize];
        (a.step, sign, role, format!("{} {}", a.rule, a.message))
    };
    let mark = |m: &crate::run::view::Mark| match m.kind {
        MarkKind::Config => Some((m.step, "✎", Role::MarkConfig, m.text.clone())),
        MarkKind::Checkpoint => Some((m.step, "◇", Role::MarkCheckpoint, "checkpoint saved".into())),
        MarkKind::Resume => Some((m.step, "↻", Role::MarkConfig, m.text.clone())),
        MarkKind::Alert => None,
    };
    let mut rows: Vec<_> = view.alerts.iter().map(alert).chain(view.marks.iter().filter_map(mark)).collect();
    rows.sort_by_key(|(step, ..)| std::cmp::Reverse(*step));
    let cells = usize::from(inner.width).saturating_sub(8);
    let height = usize::from(inner.height);
    let first = if focused { scene.app.scroll.min(rows.len().saturating_sub(height)) } else { 0 };
    let line = |(step, sign, role, what): &(u64, &'static str, Role, String)| {
        Line::from(vec![
            scene.span(*role, format!("{sign} ")),
            scene.span(Role::Dim, format!("{step:>5} ")),
            scene.span(Role::Text, text::fit(what, cells)),
        ])
    };
    let lines: Vec<_> = rows[first..].iter().take(height).map(line).collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "all quiet") } else { lines });
}

/// Skills the teacher was shown in the selected step, most used first, with the share of won episodes.
pub fn skills(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let step = scene.app.step();
    let upto = scene.view.steps.partition_point(|s| s.step <= step);
    let mut used = scene.view.steps[..upto].last().map_or(vec![], |s| s.skills.clone());
    used.sort_by(|a, b| b.uses.cmp(&a.uses).then_with(|| a.id.cmp(&b.id)));
    let count = scene.span(Role::Dim, format!(" {} ", used.len()));
    let inner = scene.pane_with(frame, area, scene.title("skills in use", focused).into(), count.into(), focused);
    let cells = usize::from(inner.width);
    let name = cells.saturating_sub(22).max(6);
    let line = |skill: &crate::core::event::SkillUse| {
        let won = f64::from(skill.won) / f64::from(skill.uses.max(1));
        let gap = skill.gap.map_or("—".into(), |g| format!("{g:+.2}"));
        Line::from(vec![
            scene.span(Role::Text, text::pad(&skill.title, name)),
            scene.span(Role::Bar, format!(" {:<6}", glyph::gauge(won, 6))),
            scene.span(Role::Dim, format!("{:>3}/{:<3} {gap:>6}", skill.won, skill.uses)),
        ])
    };
    let height = usize::from(inner.height);
    let first = if focused { scene.app.scroll.min(used.len().saturating_sub(height)) } else { 0 };
    let lines: Vec<_> = used[first..].iter().take(height).map(line).collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "no skill was used") } else { lines });
}

/// Every metric by name with its last value and recent course; new metrics appear by themselves.
pub fn numbers(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let names: Vec<&str> = scene.view.metric_names().into_keys().filter(|n| !n.starts_with("time/")).collect();
    let count = scene.span(Role::Dim, format!(" {} ", names.len()));
    let inner = scene.pane_with(frame, area, scene.title("numbers", focused).into(), count.into(), focused);
    let height = usize::from(inner.height);
    let first = if focused { scene.app.scroll.min(names.len().saturating_sub(height)) } else { 0 };
    let cells = usize::from(inner.width);
    let spark = cells.saturating_sub(28).min(24);
    let step = scene.app.step();
    let line = |name: &&str| {
        let upto: Vec<f64> =
            scene.view.series(name).iter().filter(|(s, _)| *s <= step).filter_map(|(_, v)| *v).collect();
        Line::from(vec![
            scene.span(Role::Dim, text::pad(name, 18)),
            scene.span(Role::Text, format!("{:>8} ", scene.figure(name))),
            scene.span(Role::Series1, glyph::sparkline(&upto, spark)),
        ])
    };
    let lines: Vec<_> = names[first..].iter().take(height).map(line).collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "no data yet") } else { lines });
}

/// The line on top of a single pane: `1 Dash` and so on, the panes around the focused one, the headline.
pub fn tabs(frame: &mut Frame, area: Rect, scene: &Scene, names: &[&str]) {
    let app = scene.app;
    let chosen = |on: bool| if on { Role::Select } else { Role::Dim };
    let mut line = Line::default();
    for screen in ScreenId::ALL {
        let label = format!(" {} {} ", screen as usize + 1, screen.name());
        line.push_span(scene.span(chosen(screen == app.screen), label));
    }
    line.push_span(scene.span(Role::Faint, "│"));
    let headline = headline(scene);
    let room = usize::from(area.width).saturating_sub(line.width() + text::width(&headline) + 1);
    let focus = app.focus[app.screen as usize];
    let end = line.width() + room;
    for (at, name) in names.iter().enumerate().skip(focus.saturating_sub(1)) {
        if line.width() + name.len() + 1 > end {
            break;
        }
        line.push_span(scene.span(if at == focus { Role::Focus } else { Role::Dim }, format!(" {name}")));
    }
    let used = line.width() + text::width(&headline);
    line.push_span(Span::raw(" ".repeat(usize::from(area.width).saturating_sub(used))));
    line.push_span(scene.span(Role::Text, headline));
    scene.lines(frame, area, vec![line]);
}

/// A pane that has nothing to show says so.
pub fn nothing<'a>(scene: &Scene<'a>, what: &'static str) -> Vec<Line<'a>> {
    vec![Line::styled(format!(" {what}"), scene.style(Role::Faint))]
}
