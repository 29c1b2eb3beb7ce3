//! Line charts. One type of ours in front of `malevich`, so that panes never see the plotting crate.

use malevich::{Charset, Color as Ink, Line as Curve, Plot, PlotState, Points};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::StatefulWidget;

use super::theme::{Role, Theme};
use crate::run::view::{Mark, MarkKind};

/// Values over steps; `None` is a gap.
pub type Series = Vec<(u64, Option<f64>)>;

/// One curve.
#[derive(Clone, Debug)]
pub struct Layer {
    pub points: Series,
    pub role: Role,
    /// Single points (`◆`) instead of a line.
    pub dots: bool,
}

/// All that is on one chart, without its frame and title.
#[derive(Clone, Debug, Default)]
pub struct Chart<'a> {
    pub layers: Vec<Layer>,
    pub marks: &'a [Mark],
    /// Step under the crosshair.
    pub cross: Option<u64>,
    pub log: bool,
    /// Weight of the moving average; 0 draws the raw values only.
    pub smooth: f64,
    /// First and last step of the axis.
    pub steps: (u64, u64),
    pub ascii: bool,
}

/// Debiased exponential moving average: `acc = s acc + (1-s) y`, shown as `acc / (1 - s^t)`. A gap stays a gap
/// and does not count as a step.
pub fn ema(values: &[Option<f64>], s: f64) -> Vec<Option<f64>> {
    let (mut acc, mut weight) = (0.0, 1.0);
    values
        .iter()
        .map(|value| {
            let y = value.filter(|y| y.is_finite())?;
            acc = s * acc + (1.0 - s) * y;
            weight *= s;
            Some(acc / (1.0 - weight))
        })
        .collect()
}

/// A series with its values averaged.
pub fn smoothed(series: &[(u64, Option<f64>)], s: f64) -> Series {
    let values: Vec<_> = series.iter().map(|(_, y)| *y).collect();
    series.iter().zip(ema(&values, s)).map(|((x, _), y)| (*x, y)).collect()
}

/// The value of a series at a step, or the nearest one before it.
pub fn value_at(series: &[(u64, Option<f64>)], step: u64) -> Option<f64> {
    let upto = series.partition_point(|(x, _)| *x <= step);
    series[..upto].iter().rev().find_map(|(_, y)| *y)
}

/// Draws a chart with axes. Draws a note where there is no room for it or nothing to show.
pub fn draw(frame: &mut Frame, area: Rect, chart: &Chart, theme: &Theme) {
    let area = area.intersection(frame.area());
    let mut values = chart.layers.iter().flat_map(|l| &l.points).filter_map(|(_, y)| *y);
    if area.width < 8 || area.height < 3 || !values.any(|y| shown(y, chart.log)) {
        return empty(frame, area, theme);
    }
    let plot = plotted(chart, theme);
    let mut state = PlotState::default();
    let charset = if chart.ascii { Charset::Ascii } else { Charset::Braille };
    let widget = plot.widget().charset(charset).crosshair(false).readout(false).snap(false);
    StatefulWidget::render(&widget, area, frame.buffer_mut(), &mut state);
    paint_axes(frame, area, &state, theme);
    let mut over = Over { frame, area, state: &state, theme };
    chart.marks.iter().for_each(|mark| over.mark(mark));
    chart.layers.iter().filter(|l| l.dots).for_each(|layer| over.dots(layer));
    over.cross(chart.cross);
}

/// The curves and axes. Single points only take part in the range here; they are drawn over it later.
fn plotted(chart: &Chart, theme: &Theme) -> Plot<'static> {
    let values = chart.layers.iter().flat_map(|l| &l.points).filter_map(|(_, y)| *y);
    let mut plot =
        Plot::new().x_domain(chart.steps.0 as f64, chart.steps.1.max(chart.steps.0.saturating_add(1)) as f64);
    if chart.log {
        plot = plot.log_y();
    } else if let Some((low, high)) = flat_range(values) {
        plot = plot.y_domain(low, high);
    }
    for layer in &chart.layers {
        let curves =
            if layer.dots { vec![(layer.points.clone(), layer.role, true)] } else { curves(layer, chart.smooth) };
        for (points, role, faint) in curves {
            let (x, y) = columns(&points, chart.log);
            let ink = ink(theme.style(role).fg);
            plot = match faint {
                true => plot.layer(Points::xy(x, y).color(ink)),
                false => plot.layer(Curve::xy(x, y).color(ink)),
            };
        }
    }
    plot
}

/// What is drawn over the finished plot, cell by cell.
struct Over<'a, 'f> {
    frame: &'a mut Frame<'f>,
    area: Rect,
    state: &'a PlotState,
    theme: &'a Theme,
}

impl Over<'_, '_> {
    /// Changes and resumptions cut the whole chart; checkpoints and alerts only mark an edge.
    fn mark(&mut self, mark: &Mark) {
        let Some(panel) = self.state.plot_area() else { return };
        let Some(x) = self.column(mark.step) else { return };
        let (top, bottom) = (panel.y, panel.bottom().saturating_sub(1));
        let (head, role, line) = match mark.kind {
            MarkKind::Config => ("✎", Role::MarkConfig, true),
            MarkKind::Resume => ("↻", Role::MarkConfig, true),
            MarkKind::Alert => ("▲", Role::MarkAlert, false),
            MarkKind::Checkpoint => return self.put(x, bottom, "◇", Role::MarkCheckpoint),
        };
        for y in top + 1..=bottom {
            if line {
                self.put(x, y, "┊", role);
            }
        }
        self.put(x, top, head, role);
    }

    fn dots(&mut self, layer: &Layer) {
        for (step, value) in &layer.points {
            let cell = self.state.mapping().zip(*value).and_then(|(m, y)| m.cell_at(*step as f64, y));
            if let Some((x, y)) = cell {
                let style = self.theme.style(layer.role);
                self.set(self.area.x + x as u16, self.area.y + y as u16, "◆", style);
            }
        }
    }

    fn cross(&mut self, step: Option<u64>) {
        let Some(panel) = self.state.plot_area() else { return };
        let Some(x) = step.and_then(|s| self.column(s)) else { return };
        for y in panel.y..panel.bottom() {
            self.put(x, y, "│", Role::Cross);
        }
    }

    fn column(&self, step: u64) -> Option<u16> {
        let column = self.state.mapping()?.column_at(step as f64)?;
        Some(self.area.x + column as u16)
    }

    /// Writes into a blank cell only: nothing may hide data.
    fn put(&mut self, x: u16, y: u16, symbol: &str, role: Role) {
        let blank = self.frame.buffer_mut().cell((x, y)).is_some_and(|c| matches!(c.symbol(), " " | "\u{2800}"));
        if blank {
            self.set(x, y, symbol, self.theme.style(role));
        }
    }

    fn set(&mut self, x: u16, y: u16, symbol: &str, style: Style) {
        if self.area.contains((x, y).into())
            && let Some(cell) = self.frame.buffer_mut().cell_mut((x, y))
        {
            cell.set_symbol(symbol).set_style(style);
        }
    }
}

fn empty(frame: &mut Frame, area: Rect, theme: &Theme) {
    if area.height > 0 && area.width > 0 {
        let middle = Rect { y: area.y + area.height / 2, height: 1, ..area };
        let text = ratatui::text::Line::styled("no data yet", theme.style(Role::Faint)).centered();
        frame.render_widget(text, middle);
    }
}

/// Axes and labels are the chart's frame, not its data.
fn paint_axes(frame: &mut Frame, area: Rect, state: &PlotState, theme: &Theme) {
    let panel = state.plot_area().unwrap_or_default();
    for position in area.positions().filter(|p| !panel.contains(*p)) {
        if let Some(cell) = frame.buffer_mut().cell_mut(position) {
            cell.set_style(Style::reset().patch(theme.style(Role::Dim)));
        }
    }
}

/// The curves of a layer: the average in front of faint raw points, or the raw line alone.
fn curves(layer: &Layer, smooth: f64) -> Vec<(Series, Role, bool)> {
    if smooth <= 0.0 {
        return vec![(layer.points.clone(), layer.role, false)];
    }
    vec![(layer.points.clone(), Role::Raw, true), (smoothed(&layer.points, smooth), layer.role, false)]
}

fn columns(points: &[(u64, Option<f64>)], log: bool) -> (Vec<f64>, Vec<f64>) {
    let y = |y: &Option<f64>| y.filter(|y| shown(*y, log)).unwrap_or(f64::NAN);
    points.iter().map(|(x, value)| (*x as f64, y(value))).unzip()
}

fn shown(y: f64, log: bool) -> bool {
    y.is_finite() && y.abs() < 1e300 && (!log || y > 1e-300)
}

/// A range for values that do not vary, which would leave an axis without one.
fn flat_range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|y| shown(*y, false));
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), y| (a.min(y), b.max(y)));
    let pad = if low.abs() > 0.0 { low.abs() * 0.5 } else { 1.0 };
    (high - low <= low.abs().max(high.abs()) * 1e-9).then_some((low - pad, high + pad))
}

fn ink(colour: Option<Color>) -> Ink {
    match colour {
        Some(Color::Rgb(r, g, b)) => Ink::Rgb(r, g, b),
        Some(Color::Indexed(index)) => Ink::Ansi256(index),
        Some(named) => INKS.iter().find(|(c, _)| *c == named).map_or(Ink::Default, |(_, ink)| *ink),
        None => Ink::Default,
    }
}

const INKS: [(Color, Ink); 10] = [
    (Color::Black, Ink::Black),
    (Color::DarkGray, Ink::BrightBlack),
    (Color::Gray, Ink::White),
    (Color::White, Ink::BrightWhite),
    (Color::Blue, Ink::Blue),
    (Color::LightBlue, Ink::BrightBlue),
    (Color::Cyan, Ink::Cyan),
    (Color::Yellow, Ink::Yellow),
    (Color::LightYellow, Ink::BrightYellow),
    (Color::Magenta, Ink::Magenta),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values by hand for s = 0.6: 1; (0.6*0.4*1 + 0.4*2)/(1-0.36); gap; then t = 3.
    #[test]
    fn ema_is_debiased_and_skips_gaps() {
        let out = ema(&[Some(1.0), Some(2.0), None, Some(f64::NAN), Some(4.0)], 0.6);
        assert!((out[0].unwrap() - 1.0).abs() < 1e-12);
        assert!((out[1].unwrap() - 1.625).abs() < 1e-12);
        assert_eq!((out[2], out[3]), (None, None));
        assert!((out[4].unwrap() - (0.6 * 1.04 + 1.6) / (1.0 - 0.216)).abs() < 1e-12);
        assert!(ema(&[Some(3.0); 50], 0.97).iter().all(|y| (y.unwrap() - 3.0).abs() < 1e-9));
    }

    #[test]
    fn the_read_out_is_the_last_value_at_or_before() {
        let series = [(1, Some(1.0)), (2, None), (4, Some(4.0))];
        assert_eq!([0, 1, 3, 9].map(|s| value_at(&series, s)), [None, Some(1.0), Some(1.0), Some(4.0)]);
    }
}
