//! Curves as SVG: one panel a metric, the raw curve faint, the smoothed one on it, marks where something happened.

use std::fmt::Write;

use super::page::escape;
use crate::run::view::{MarkKind, RunView};

/// What is drawn, in this order: the headline first, never the loss. Metrics a run does not have are left out.
const CURVES: [&str; 12] = [
    "reward/mean",
    "success/mean",
    "groups/no_signal",
    "gate/mean",
    "gap/mean",
    "gap/rms",
    "entropy/mean",
    "turns/mean",
    "valid/share",
    "grad/norm",
    "mismatch/max",
    "time/step",
];

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 170.0;
const COLUMNS: usize = 2;
/// Space around the axes: left, right, top, bottom.
const MARGIN: [f64; 4] = [52.0, 10.0, 26.0, 22.0];
/// Weight of the past in the smoothed curve.
const SMOOTH: f64 = 0.6;

/// One curve: step and value, not-finite values as gaps.
type Points = Vec<(f64, Option<f64>)>;

/// All panels as one picture.
pub(super) fn panels(view: &RunView) -> String {
    let mut curves: Vec<(String, Points)> = Vec::new();
    let panel = view
        .evals
        .iter()
        .filter(|e| !e.with_skills)
        .map(|e| (e.step as f64, e.metrics.get("success").copied().flatten()));
    let panel: Points = panel.collect();
    if !panel.is_empty() {
        curves.push(("eval/success".into(), panel));
    }
    curves.extend(named(view, &CURVES));
    drawn(view, &curves)
}

/// Charts of these metrics as one picture.
pub(super) fn chart(view: &RunView, metrics: &[&str]) -> String {
    drawn(view, &named(view, metrics))
}

/// The metrics a run has, with their values.
fn named(view: &RunView, names: &[&str]) -> Vec<(String, Points)> {
    let mut curves = Vec::new();
    for name in names {
        let points: Points = view.series(name).into_iter().map(|(step, value)| (step as f64, value)).collect();
        if points.iter().any(|(_, value)| value.is_some()) {
            curves.push(((*name).to_owned(), points));
        }
    }
    curves
}

fn drawn(view: &RunView, curves: &[(String, Points)]) -> String {
    let rows = curves.len().div_ceil(COLUMNS).max(1);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (index, (name, points)) in curves.iter().enumerate() {
        let (x, y) = ((index % COLUMNS) as f64 * WIDTH, (index / COLUMNS) as f64 * HEIGHT);
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">{}</g>", panel_of(name, points, view));
    }
    if curves.is_empty() {
        svg.push_str("<text x=\"10\" y=\"20\">no step has been recorded</text>");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Maps values to the inside of a panel.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn of(points: &Points, last: f64) -> Axes {
        let finite: Vec<f64> = points.iter().filter_map(|(_, value)| *value).filter(|v| v.is_finite()).collect();
        let low = finite.iter().copied().fold(f64::INFINITY, f64::min);
        let high = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 1.0) };
        let room = if high > low { (high - low) * 0.05 } else { low.abs().max(1.0) * 0.05 };
        Axes { x: (0.0, last.max(1.0)), y: (low - room, high + room) }
    }

    fn x(&self, value: f64) -> f64 {
        let inside = WIDTH - MARGIN[0] - MARGIN[1];
        MARGIN[0] + inside * (value - self.x.0) / (self.x.1 - self.x.0)
    }

    fn y(&self, value: f64) -> f64 {
        let inside = HEIGHT - MARGIN[2] - MARGIN[3];
        MARGIN[2] + inside * (1.0 - (value - self.y.0) / (self.y.1 - self.y.0))
    }
}

fn panel_of(name: &str, points: &Points, view: &RunView) -> String {
    let last = view.last_step().max(points.last().map_or(0, |p| p.0 as u64)) as f64;
    let axes = Axes::of(points, last);
    let (bottom, right) = (HEIGHT - MARGIN[3], WIDTH - MARGIN[1]);
    let mut out = format!("<text x=\"{}\" y=\"15\" font-weight=\"bold\">{}</text>", MARGIN[0], escape(name));
    for value in [axes.y.0, (axes.y.0 + axes.y.1) / 2.0, axes.y.1] {
        let y = axes.y(value);
        let _ = write!(
            out,
            "<line x1=\"{}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\" fill=\"#555\">{}</text>",
            MARGIN[0],
            MARGIN[0] - 4.0,
            y + 4.0,
            short(value)
        );
    }
    for (step, anchor) in [(0.0, "start"), (last, "end")] {
        let (x, y) = (axes.x(step), HEIGHT - 6.0);
        let _ = write!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"#555\">{step}</text>");
    }
    for mark in view.marks.iter().filter(|mark| mark.kind != MarkKind::Checkpoint) {
        let x = axes.x(mark.step as f64);
        let _ = write!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\" stroke=\"{}\" stroke-dasharray=\"3 3\"><title>\
             {}</title></line>",
            MARGIN[2],
            colour(mark.kind),
            escape(&format!("step {}: {}", mark.step, mark.text))
        );
    }
    let smooth = smoothed(points);
    let (faint, strong) = if points.len() > 2 { ("#9ecae1", "#08519c") } else { ("#08519c", "#08519c") };
    out.push_str(&path(points, &axes, faint, 1.0));
    out.push_str(&path(&smooth, &axes, strong, 1.6));
    for (step, value) in points.iter().filter(|_| points.len() <= 40) {
        if let Some(value) = value {
            let _ = write!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"1.8\" fill=\"{strong}\"/>",
                axes.x(*step),
                axes.y(*value)
            );
        }
    }
    out
}

fn colour(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Config => "#756bb1",
        MarkKind::Resume => "#31a354",
        MarkKind::Alert => "#d95f0e",
        MarkKind::Checkpoint => "#bbb",
    }
}

/// A line with gaps where there is no value.
fn path(points: &Points, axes: &Axes, stroke: &str, width: f64) -> String {
    let mut d = String::new();
    let mut open = false;
    for (step, value) in thinned(points) {
        match value {
            Some(value) => {
                let _ = write!(d, "{}{:.1} {:.1}", if open { "L" } else { "M" }, axes.x(step), axes.y(value));
                open = true;
            }
            None => open = false,
        }
    }
    format!("<path d=\"{d}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>")
}

/// At most a few points for each pixel: the smallest and the largest value of every stretch stay.
fn thinned(points: &Points) -> Points {
    let size = points.len().div_ceil(WIDTH as usize);
    if size <= 2 {
        return points.clone();
    }
    let ends = |part: &[(f64, Option<f64>)]| {
        let value = |p: &(f64, Option<f64>), gap: f64| p.1.unwrap_or(gap);
        let low = part.iter().min_by(|a, b| value(a, f64::MAX).total_cmp(&value(b, f64::MAX))).copied();
        let high = part.iter().max_by(|a, b| value(a, f64::MIN).total_cmp(&value(b, f64::MIN))).copied();
        let mut both: Points = low.into_iter().chain(high).collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        both
    };
    points.chunks(size).flat_map(ends).collect()
}

/// Debiased exponential mean: `acc = s acc + (1 - s) y`, shown as `acc / (1 - s^t)`.
fn smoothed(points: &Points) -> Points {
    let (mut acc, mut weight) = (0.0, 1.0);
    let mut next = |value: f64| {
        acc = SMOOTH * acc + (1.0 - SMOOTH) * value;
        weight *= SMOOTH;
        acc / (1.0 - weight)
    };
    points.iter().map(|&(step, value)| (step, value.map(&mut next))).collect()
}

fn short(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e5) {
        format!("{value:.1e}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_has_no_bias_and_long_curves_keep_their_extremes() {
        let level = smoothed(&vec![(1.0, Some(3.0)), (2.0, None), (3.0, Some(3.0))])[2].1.unwrap();
        assert!((level - 3.0).abs() < 1e-12, "{level}");
        let mut points: Points = (0..100_000).map(|n| (f64::from(n), Some(0.0))).collect();
        points[77_777].1 = Some(9.0);
        let thin = thinned(&points);
        assert!(thin.len() < 1000 && thin.iter().any(|p| p.1 == Some(9.0)));
    }
}
