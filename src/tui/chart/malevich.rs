//! The plotting crate behind [`Plotter`].

use malevich::{Area, Charset, Color as Ink, Line as Curve, Plot, PlotState, Points};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::StatefulWidget;

use super::{Ground, Plan, Plotter};

/// Plots with `malevich`.
pub(super) struct Malevich;

impl Plotter for Malevich {
    fn plot(&self, buffer: &mut Buffer, area: Rect, plan: &Plan, axes: Style) -> Option<Box<dyn Ground>> {
        let plot = plotted(plan);
        let mut state = PlotState::default();
        let charset = if plan.ascii { Charset::Ascii } else { Charset::Braille };
        let widget = plot.widget().charset(charset).crosshair(false).readout(false).snap(false);
        StatefulWidget::render(&widget, area, buffer, &mut state);
        let panel = state.plot_area()?;
        // axes and labels are the chart's frame, not its data
        for position in area.positions().filter(|p| !panel.contains(*p)) {
            if let Some(cell) = buffer.cell_mut(position) {
                cell.set_style(Style::reset().patch(axes));
            }
        }
        Some(Box::new(Drawn { area, panel, state }))
    }
}

struct Drawn {
    area: Rect,
    panel: Rect,
    state: PlotState,
}

impl Ground for Drawn {
    fn panel(&self) -> Rect {
        self.panel
    }

    fn column(&self, x: f64) -> Option<u16> {
        Some(self.area.x + self.state.mapping()?.column_at(x)? as u16)
    }

    fn cell(&self, x: f64, y: f64) -> Option<(u16, u16)> {
        let (x, y) = self.state.mapping()?.cell_at(x, y)?;
        Some((self.area.x + x as u16, self.area.y + y as u16))
    }
}

fn plotted(plan: &Plan) -> Plot<'static> {
    let mut plot = Plot::new();
    // a logarithmic axis first: its domain is checked against it
    plot = if plan.log_x { plot.log_x() } else { plot };
    plot = if plan.log_y { plot.log_y() } else { plot };
    plot = plot.x_domain(plan.x.0, plan.x.1).y_domain(plan.y.0, plan.y.1);
    if let Some((band, style)) = &plan.band {
        let area = Area::between(band.x.clone(), band.low.clone(), band.high.clone());
        plot = plot.layer(area.color(ink(style.fg)));
    }
    for curve in &plan.curves {
        let (x, y) = (curve.x.clone(), curve.y.clone());
        plot = match curve.dots {
            true => plot.layer(Points::xy(x, y).color(ink(curve.style.fg))),
            false => plot.layer(Curve::xy(x, y).color(ink(curve.style.fg))),
        };
    }
    plot
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
