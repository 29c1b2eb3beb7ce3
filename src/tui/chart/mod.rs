//! Charts. Panes fill a [`Chart`]; how it looks is decided here; only [`Plotter`] knows who plots.
//!
//! 1. Curves are cut to the window and thinned to what a cell can show; the raw values stay faint behind averaged ones.
//! 2. The y-axis holds what is in the window, or its middle 99 or 95 %; what lies outside is marked at the edge.
//! 3. A value that is not a finite number is a gap with a `×` below; a value that was not recorded only a gap.
//! 4. Marks, single points and the crosshair are drawn over the finished plot.

mod malevich;
mod shape;

use std::rc::Rc;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::lens::{Clip, Window};
use super::theme::{Role, Theme};
use crate::run::view::MarkKind;
pub use shape::{Average, smoothed, thinned, value_at};

/// Values over x; `None` was not recorded, `NaN` and infinities were not finite.
pub type Series = Vec<(f64, Option<f64>)>;

/// How a layer is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Smoothed, with the raw values behind.
    #[default]
    Curve,
    /// A curve as it is, nothing behind: other runs, medians.
    Plain,
    /// Single points (`◆`).
    Dots,
}

/// One curve.
#[derive(Clone, Debug)]
pub struct Layer {
    pub points: Rc<Series>,
    /// The same, averaged; it is drawn in place of the points, which stay faint behind a [`Kind::Curve`].
    pub smooth: Option<Rc<Series>>,
    pub role: Role,
    pub kind: Kind,
}

/// The space between two curves, as wide as several runs are apart.
#[derive(Clone, Debug, Default)]
pub struct Band {
    pub x: Vec<f64>,
    pub low: Vec<f64>,
    pub high: Vec<f64>,
}

/// Something that happened at a place of the x-axis.
#[derive(Clone, Copy, Debug)]
pub struct Sign {
    pub x: f64,
    pub kind: MarkKind,
}

/// All that is on one chart, without its frame and title.
#[derive(Clone, Debug)]
pub struct Chart {
    pub layers: Vec<Layer>,
    pub band: Option<Band>,
    pub signs: Vec<Sign>,
    /// Place of the crosshair.
    pub cross: Option<f64>,
    pub log_x: bool,
    pub log_y: bool,
    pub clip: Clip,
    /// First and last x shown.
    pub window: Window,
    pub ascii: bool,
}

/// A curve ready to be plotted.
#[derive(Clone, Debug)]
pub struct Ready {
    pub x: Vec<f64>,
    /// `NaN` is a gap.
    pub y: Vec<f64>,
    pub style: Style,
    pub dots: bool,
}

/// A chart ready to be plotted: everything is decided.
#[derive(Clone, Debug)]
pub struct Plan {
    pub curves: Vec<Ready>,
    pub band: Option<(Band, Style)>,
    pub x: Window,
    pub y: Window,
    pub log_x: bool,
    pub log_y: bool,
    pub ascii: bool,
}

/// Where a finished plot has its ground, and which cell a value is in.
pub trait Ground {
    /// The cells inside the axes.
    fn panel(&self) -> Rect;
    /// The column of an x, if it is shown.
    fn column(&self, x: f64) -> Option<u16>;
    /// The cell of a point, if it is shown.
    fn cell(&self, x: f64, y: f64) -> Option<(u16, u16)>;
}

/// Whoever draws curves and axes into cells.
pub trait Plotter {
    /// Draws a plan; `None` if there is no room.
    fn plot(&self, buffer: &mut Buffer, area: Rect, plan: &Plan, axes: Style) -> Option<Box<dyn Ground>>;
}

/// Draws a chart with axes and returns its inside. Draws a note where there is no room for it or nothing to show.
pub fn draw(frame: &mut Frame, area: Rect, chart: &Chart, theme: &Theme) -> Option<Rect> {
    let area = area.intersection(frame.area());
    let range = shape::range(chart);
    let (Some(y), true) = (range, area.width >= 8 && area.height >= 3) else {
        empty(frame, area, theme);
        return None;
    };
    let plan = plan(chart, y, theme, usize::from(area.width));
    let ground = malevich::Malevich.plot(frame.buffer_mut(), area, &plan, theme.style(Role::Dim))?;
    let mut over = Over { frame, area, ground: &*ground, theme };
    chart.signs.iter().for_each(|sign| over.sign(sign));
    chart.layers.iter().filter(|l| l.kind == Kind::Dots).for_each(|layer| over.dots(layer));
    chart.layers.iter().filter(|l| l.kind != Kind::Dots).for_each(|layer| over.outside(layer, chart, y));
    over.cross(chart.cross);
    Some(ground.panel())
}

fn plan(chart: &Chart, y: Window, theme: &Theme, cells: usize) -> Plan {
    let mut curves = Vec::new();
    for layer in chart.layers.iter().filter(|l| l.kind != Kind::Dots) {
        let mut add = |points: &[(f64, Option<f64>)], role: Role, dots: bool| {
            let seen = shape::within(points, chart.window);
            let (x, y) = shape::columns(&thinned(points, seen, cells * 4), chart);
            curves.push(Ready { x, y, style: theme.style(role), dots });
        };
        if layer.smooth.is_some() && layer.kind == Kind::Curve {
            add(&layer.points, Role::Raw, true);
        }
        add(layer.smooth.as_ref().unwrap_or(&layer.points), layer.role, false);
    }
    Plan {
        curves,
        band: chart.band.clone().map(|band| (band, theme.style(Role::Band))),
        x: shape::domain(chart.window, chart.log_x),
        y,
        log_x: chart.log_x,
        log_y: chart.log_y,
        ascii: chart.ascii,
    }
}

/// What is drawn over the finished plot, cell by cell.
struct Over<'a, 'f> {
    frame: &'a mut Frame<'f>,
    area: Rect,
    ground: &'a dyn Ground,
    theme: &'a Theme,
}

impl Over<'_, '_> {
    /// Changes and resumptions cut the whole chart; checkpoints and alerts only mark an edge.
    fn sign(&mut self, sign: &Sign) {
        let panel = self.ground.panel();
        let Some(x) = self.ground.column(sign.x) else { return };
        let (top, bottom) = (panel.y, panel.bottom().saturating_sub(1));
        let (head, role, line) = match sign.kind {
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
        for (x, value) in layer.points.iter() {
            if let Some((x, y)) = value.and_then(|y| self.ground.cell(*x, y)) {
                self.set(x, y, "◆", self.theme.style(layer.role));
            }
        }
    }

    /// Marks at the edge for values outside the axis, and below for those that are no numbers.
    fn outside(&mut self, layer: &Layer, chart: &Chart, (low, high): Window) {
        let panel = self.ground.panel();
        for (x, value) in shape::inside(&layer.points, chart.window) {
            let bottom = panel.bottom().saturating_sub(1);
            let (y, symbol, role) = match value {
                Some(v) if !v.is_finite() => (bottom, "×", Role::Bad),
                Some(v) if *v > high => (panel.y, "▴", layer.role),
                Some(v) if *v < low => (bottom, "▾", layer.role),
                _ => continue,
            };
            if let Some(x) = self.ground.column(*x) {
                self.put(x, y, symbol, role);
            }
        }
    }

    fn cross(&mut self, at: Option<f64>) {
        let panel = self.ground.panel();
        let Some(x) = at.and_then(|x| self.ground.column(x)) else { return };
        for y in panel.y..panel.bottom() {
            self.put(x, y, "│", Role::Cross);
        }
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
