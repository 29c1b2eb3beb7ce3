//! The plotting crate behind [`Plotter`].

use malevich::{Area, Charset, Color as Ink, Line as Curve, Plot, PlotState, Points};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::StatefulWidget;

use super::{Ground, Plan, Plotter};
use crate::tui::text;

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
        let drawn = Drawn { area, panel, state };
        if plan.log_y && plan.y.1 < plan.y.0 * 100.0 {
            relabel(buffer, &drawn, plan);
        }
        Some(Box::new(drawn))
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

/// Writes labels of our own beside a logarithmic axis of less than two decades: the crate's are those of a linear one,
/// which leave most of it bare.
fn relabel(buffer: &mut Buffer, drawn: &Drawn, plan: &Plan) {
    let (panel, left) = (drawn.panel, drawn.area.x);
    let Some(axis) = panel.x.checked_sub(1).filter(|axis| *axis >= left) else { return };
    let (line, tick) = if plan.ascii { ("|", "+") } else { ("│", "┤") };
    let cells = usize::from(axis - left);
    for y in panel.y..panel.bottom() {
        (left..axis).for_each(|x| put(buffer, (x, y), " "));
        put(buffer, (axis, y), line);
    }
    let mut free = panel.bottom();
    for value in ticks(plan.y) {
        let Some((_, y)) = drawn.cell(plan.x.0, value).filter(|(_, y)| *y < free) else { continue };
        let label = text::number(value);
        let full = if label.contains('.') { label.trim_end_matches('0').trim_end_matches('.') } else { &label };
        let Some(said) = [full, full.trim_start_matches('0')].into_iter().find(|l| l.len() < cells.max(1) + 1) else {
            continue;
        };
        let style = buffer.cell((axis, y)).map(|cell| cell.style()).unwrap_or_default();
        // as the crate does: a blank before the axis, where there is room
        let said = if said.len() < cells { format!("{said} ") } else { said.to_owned() };
        buffer.set_stringn(left, y, format!("{said:>cells$}"), cells, style);
        put(buffer, (axis, y), tick);
        free = y;
    }
}

fn put(buffer: &mut Buffer, place: (u16, u16), symbol: &str) {
    if let Some(cell) = buffer.cell_mut(place) {
        cell.set_symbol(symbol);
    }
}

/// 1, 2 and 5 times the powers of ten inside a range, from below; of a range inside a decade, every digit.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let steps: &[f64] =
        if high < low * 10.0 { &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0] } else { &[1.0, 2.0, 5.0] };
    let all = (first..=last).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
    all.filter(|value| (low..=high).contains(value)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_logarithmic_axis_has_labels_where_its_values_are() {
        let plan =
            Plan { curves: vec![], band: None, x: (0.0, 10.0), y: (0.15, 2.5), log_x: false, log_y: true, ascii: true };
        let area = Rect::new(0, 0, 40, 14);
        let mut buffer = Buffer::empty(area);
        let ground = Malevich.plot(&mut buffer, area, &plan, Style::default()).expect("room");
        let column = |y: u16| (0..ground.panel().x - 1).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        let labels: Vec<String> = (0..14).map(|y| column(y).trim().to_owned()).filter(|l| !l.is_empty()).collect();
        assert!(labels.len() >= 4, "{labels:?}");
        for value in [0.2, 0.5, 1.0, 2.0] {
            let (_, y) = ground.cell(0.0, value).expect("inside");
            let said = column(y).trim().parse::<f64>().expect("a number");
            assert!((said - value).abs() < 1e-9, "{said} stands at {value}");
        }
        assert_eq!(ticks((0.03, 3.0)), [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
    }
}
