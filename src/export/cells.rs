//! A screen as a picture: the cells of a finished frame as SVG, HTML, PNG or plain text.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

use super::page::escape;

/// What stands for the terminal's own colours: text and ground as `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paper {
    pub ink: &'static str,
    pub ground: &'static str,
}

impl Paper {
    /// For themes made for dark and for light backgrounds.
    pub const DARK: Paper = Paper { ink: "#d7dce2", ground: "#0c1116" };
    pub const LIGHT: Paper = Paper { ink: "#1b1f24", ground: "#ffffff" };
}

/// A stretch of a row that looks the same.
struct Run {
    x: u16,
    cells: u16,
    text: String,
    ink: String,
    ground: Option<String>,
    modifier: Modifier,
}

/// The frame as SVG. Every stretch is pinned to its cells, so that it lines up in any font.
pub fn svg(buffer: &Buffer, paper: Paper) -> String {
    let (width, height) = (f64::from(buffer.area.width) * CELL.0, f64::from(buffer.area.height) * CELL.1);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"{FONT}\" font-size=\"14\"><rect width=\"100%\" height=\"100%\" fill=\"{}\"/>\n",
        paper.ground
    );
    for y in 0..buffer.area.height {
        let top = f64::from(y) * CELL.1;
        for run in runs(buffer, y, paper) {
            let (x, wide) = (f64::from(run.x) * CELL.0, f64::from(run.cells) * CELL.0);
            if let Some(ground) = &run.ground {
                let _ = write!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{}\" fill=\"{ground}\"/>",
                    CELL.1
                );
            }
            if !run.text.trim().is_empty() {
                let _ = writeln!(
                    out,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
                     xml:space=\"preserve\" fill=\"{}\"{}>{}</text>",
                    top + CELL.1 * 0.76,
                    run.ink,
                    attributes(run.modifier),
                    escape(&run.text)
                );
            }
        }
    }
    out.push_str("</svg>\n");
    out
}

/// The frame as an HTML page: text one can search and copy.
pub fn html(buffer: &Buffer, paper: Paper, title: &str) -> String {
    let mut body = String::new();
    for y in 0..buffer.area.height {
        for run in runs(buffer, y, paper) {
            let ground = run.ground.as_ref().map_or(String::new(), |g| format!(";background:{g}"));
            let weight = if run.modifier.contains(Modifier::BOLD) { ";font-weight:bold" } else { "" };
            let slant = if run.modifier.contains(Modifier::ITALIC) { ";font-style:italic" } else { "" };
            let _ =
                write!(body, "<span style=\"color:{}{ground}{weight}{slant}\">{}</span>", run.ink, escape(&run.text));
        }
        body.push('\n');
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>{}</title></head>\n<body style=\"background:{}\">\
         <pre style=\"font-family:{FONT};line-height:1.2\">{body}</pre></body></html>\n",
        escape(title),
        paper.ground
    )
}

/// The frame as PNG; see [`super::raster`].
pub fn png(buffer: &Buffer, paper: Paper) -> Vec<u8> {
    super::png::encode(&super::raster::pixels(buffer, paper))
}

/// The frame as text, blanks at the ends of lines cut.
pub fn text(buffer: &Buffer) -> String {
    let row = |y| runs(buffer, y, Paper::DARK).into_iter().map(|run| run.text).collect::<String>();
    (0..buffer.area.height).map(|y| format!("{}\n", row(y).trim_end())).collect()
}

fn runs(buffer: &Buffer, y: u16, paper: Paper) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    let mut x = 0;
    while x < buffer.area.width {
        let Some(cell) = buffer.cell((buffer.area.x + x, buffer.area.y + y)) else { break };
        let cells = (cell.symbol().width() as u16).clamp(1, buffer.area.width - x);
        let (ink, ground) = colours(cell, paper);
        match out.last_mut() {
            // what is wider than one cell stands alone, so that no font can push the rest aside
            Some(last)
                if cells == 1
                    && (&last.ink, &last.ground, last.modifier) == (&ink, &ground, cell.modifier)
                    && last.cells as usize == last.text.chars().count() =>
            {
                last.text.push_str(cell.symbol());
                last.cells += 1;
            }
            _ => out.push(Run { x, cells, text: cell.symbol().to_owned(), ink, ground, modifier: cell.modifier }),
        }
        x += cells;
    }
    out
}

/// Text colour and ground of a cell, reversed where it is.
pub(super) fn colours(cell: &Cell, paper: Paper) -> (String, Option<String>) {
    let ink = rgb(cell.fg).unwrap_or_else(|| paper.ink.to_owned());
    let ground = rgb(cell.bg);
    if cell.modifier.contains(Modifier::REVERSED) {
        return (ground.unwrap_or_else(|| paper.ground.to_owned()), Some(ink));
    }
    (ink, ground)
}

fn attributes(modifier: Modifier) -> String {
    let known = [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::ITALIC, " font-style=\"italic\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
        (Modifier::DIM, " opacity=\"0.6\""),
    ];
    known.iter().filter(|(one, _)| modifier.contains(*one)).map(|(_, text)| *text).collect()
}

/// A colour as `#rrggbb`; `None` is the terminal's own.
fn rgb(colour: Color) -> Option<String> {
    let hex = |r: u8, g: u8, b: u8| Some(format!("#{r:02x}{g:02x}{b:02x}"));
    match colour {
        Color::Reset => None,
        Color::Rgb(r, g, b) => hex(r, g, b),
        Color::Indexed(index @ 0..=15) => NAMED.get(usize::from(index)).map(|(_, hex)| (*hex).to_owned()),
        Color::Indexed(index @ 16..=231) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let cube = index - 16;
            hex(level(cube / 36), level(cube / 6 % 6), level(cube % 6))
        }
        Color::Indexed(index) => {
            let grey = 8 + 10 * (index - 232);
            hex(grey, grey, grey)
        }
        named => NAMED.iter().find(|(known, _)| *known == named).map(|(_, hex)| (*hex).to_owned()),
    }
}

/// The sixteen colours in the order of their numbers.
const NAMED: [(Color, &str); 16] = [
    (Color::Black, "#000000"),
    (Color::Red, "#aa3333"),
    (Color::Green, "#338833"),
    (Color::Yellow, "#cd8214"),
    (Color::Blue, "#2850aa"),
    (Color::Magenta, "#be6ebe"),
    (Color::Cyan, "#3cbec8"),
    (Color::Gray, "#bebebe"),
    (Color::DarkGray, "#6e6e6e"),
    (Color::LightRed, "#e06060"),
    (Color::LightGreen, "#60c060"),
    (Color::LightYellow, "#f0be50"),
    (Color::LightBlue, "#569ce6"),
    (Color::LightMagenta, "#d79bd7"),
    (Color::LightCyan, "#82dce1"),
    (Color::White, "#ffffff"),
];

/// Width and height of a cell in pixels.
const CELL: (f64, f64) = (8.4, 17.0);
const FONT: &str = "DejaVu Sans Mono, Menlo, Consolas, monospace";

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    fn buffer() -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
        buffer.set_string(0, 0, "a<b 杯子 z", Style::default());
        buffer.set_string(0, 1, "hot", Style::default().fg(Color::Rgb(255, 0, 0)).add_modifier(Modifier::REVERSED));
        buffer
    }

    #[test]
    fn text_is_what_stands_there() {
        assert_eq!(text(&buffer()), "a<b 杯子 z\nhot\n");
    }

    #[test]
    fn pictures_escape_markup_and_keep_colours_and_places() {
        let svg = svg(&buffer(), Paper::DARK);
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
        assert!(svg.contains("fill=\"#ff0000\"/>") && svg.contains("fill=\"#0c1116\">hot<"), "{svg}");
        let wide = svg.split("textLength=\"16.8\"").count() - 1;
        assert_eq!(wide, 2, "each wide character is pinned to two cells: {svg}");
        let html = html(&buffer(), Paper::LIGHT, "<t>");
        assert!(html.contains("<title>&lt;t&gt;</title>") && html.contains("background:#ff0000"));
        assert!(!html.contains("<script"));
    }
}
