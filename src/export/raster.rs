//! A finished frame as pixels. Needs no font of the machine:
//!
//! 1. Latin letters come from the bitmaps of Noto Sans Mono that are compiled in (SIL Open Font License 1.1);
//! 2. braille, blocks and box lines are drawn from what their code points mean, so that they meet at the edges;
//! 3. the other signs of the screens are a table of strokes ([`STROKES`]);
//! 4. any other character is an empty frame: SVG and HTML keep it as text.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};
use ratatui::buffer::Buffer;
use ratatui::style::Modifier;
use unicode_width::UnicodeWidthStr;

use super::cells::{Paper, colours};
use super::png::Pixels;

/// The frame, [`CELL`] pixels for each cell.
pub fn pixels(buffer: &Buffer, paper: Paper) -> Pixels {
    let area = buffer.area;
    let size = |cells: u16, pixels: usize| usize::from(cells) * pixels;
    let mut out = Pixels::filled(size(area.width, CELL.0), size(area.height, CELL.1), bytes(paper.ground));
    for y in 0..area.height {
        let mut x = 0;
        while x < area.width {
            let Some(cell) = buffer.cell((area.x + x, area.y + y)) else { break };
            let cells = (cell.symbol().width() as u16).clamp(1, area.width - x);
            let (ink, ground) = colours(cell, paper);
            let place = Place { x: size(x, CELL.0), y: size(y, CELL.1), width: size(cells, CELL.0) };
            if let Some(ground) = ground {
                place.fill(&mut out, (0.0, 0.0, 1.0, 1.0), bytes(&ground), 1.0);
            }
            let share = if cell.modifier.contains(Modifier::DIM) { 0.6 } else { 1.0 };
            let pen = Pen { ink: bytes(&ink), share, bold: cell.modifier.contains(Modifier::BOLD) };
            if let Some(c) = cell.symbol().chars().next().filter(|c| !c.is_whitespace()) {
                glyph(&mut out, &place, c, &pen);
            }
            if cell.modifier.contains(Modifier::UNDERLINED) {
                place.fill(&mut out, (0.0, 0.9, 1.0, 0.95), pen.ink, share);
            }
            x += cells;
        }
    }
    out
}

/// Width and height of a cell in pixels.
pub const CELL: (usize, usize) = (9, 20);

/// Where a cell is in the picture.
struct Place {
    x: usize,
    y: usize,
    width: usize,
}

/// How a glyph is drawn.
struct Pen {
    ink: [u8; 3],
    share: f32,
    bold: bool,
}

impl Place {
    /// Fills a part of the cell, its corners given as shares of it.
    fn fill(&self, out: &mut Pixels, (left, top, right, bottom): (f32, f32, f32, f32), ink: [u8; 3], share: f32) {
        let at = |part: f32, whole: usize| (part * whole as f32).round() as usize;
        for y in at(top, CELL.1)..at(bottom, CELL.1) {
            for x in at(left, self.width)..at(right, self.width) {
                out.mix(self.x + x, self.y + y, ink, share);
            }
        }
    }

    /// Draws a line between two places of the cell in pixels, with smooth edges.
    fn line(&self, out: &mut Pixels, from: (f32, f32), to: (f32, f32), thick: f32, pen: &Pen) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = (dx * dx + dy * dy).max(1e-6);
        for y in 0..CELL.1 {
            for x in 0..self.width {
                let (px, py) = (x as f32 + 0.5 - from.0, y as f32 + 0.5 - from.1);
                let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
                let far = ((px - along * dx).powi(2) + (py - along * dy).powi(2)).sqrt();
                let share = (thick / 2.0 + 0.5 - far).clamp(0.0, 1.0);
                if share > 0.0 {
                    out.mix(self.x + x, self.y + y, pen.ink, share * pen.share);
                }
            }
        }
    }
}

fn glyph(out: &mut Pixels, place: &Place, c: char, pen: &Pen) {
    let code = c as u32;
    match code {
        0x2800..=0x28FF => return braille(out, place, code - 0x2800, pen),
        0x2580..=0x259F => return block(out, place, code, pen),
        _ => {}
    }
    if let Some((_, arms)) = LINES.iter().find(|(glyphs, _)| glyphs.contains(c)) {
        return arms_of(out, place, *arms, pen);
    }
    if let Some(raster) = get_raster(c, FontWeight::Regular, RasterHeight::Size20) {
        for (y, row) in raster.rows().enumerate() {
            for (x, value) in row.iter().enumerate().filter(|(_, value)| **value > 0) {
                let share = f32::from(*value) / 255.0 * pen.share;
                out.mix(place.x + x, place.y + y, pen.ink, share);
                if pen.bold {
                    out.mix(place.x + x + 1, place.y + y, pen.ink, share * 0.6);
                }
            }
        }
        return;
    }
    match STROKES.iter().find(|(glyphs, _)| glyphs.contains(c)) {
        Some((_, strokes)) => strokes_of(out, place, strokes, pen),
        None => strokes_of(out, place, "10 70 78 18 10", pen),
    }
}

/// Two columns of four dots; bits in the order of Unicode.
fn braille(out: &mut Pixels, place: &Place, bits: u32, pen: &Pen) {
    const DOTS: [(f32, f32); 8] = [
        (0.25, 0.125),
        (0.25, 0.375),
        (0.25, 0.625),
        (0.75, 0.125),
        (0.75, 0.375),
        (0.75, 0.625),
        (0.25, 0.875),
        (0.75, 0.875),
    ];
    for (x, y) in DOTS.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, dot)| *dot) {
        let centre = (x * place.width as f32, y * CELL.1 as f32);
        place.line(out, centre, centre, 3.0, pen);
    }
}

/// Blocks: eighths from below and from the left, halves, shades, quadrants.
fn block(out: &mut Pixels, place: &Place, code: u32, pen: &Pen) {
    let mut fill = |part, share: f32| place.fill(out, part, pen.ink, share * pen.share);
    match code {
        0x2580 => fill((0.0, 0.0, 1.0, 0.5), 1.0),
        0x2581..=0x2588 => fill((0.0, 1.0 - (code - 0x2580) as f32 / 8.0, 1.0, 1.0), 1.0),
        0x2589..=0x258F => fill((0.0, 0.0, (0x2590 - code) as f32 / 8.0, 1.0), 1.0),
        0x2590 => fill((0.5, 0.0, 1.0, 1.0), 1.0),
        0x2591..=0x2593 => fill((0.0, 0.0, 1.0, 1.0), (code - 0x2590) as f32 / 4.0),
        0x2594 => fill((0.0, 0.0, 1.0, 0.125), 1.0),
        0x2595 => fill((0.875, 0.0, 1.0, 1.0), 1.0),
        _ => {
            // upper left, upper right, lower left, lower right of U+2596 to U+259F
            const QUARTERS: [u8; 10] = [0b0010, 0b0001, 0b1000, 0b1011, 0b1001, 0b1110, 0b1101, 0b0100, 0b0110, 0b0111];
            let bits = QUARTERS[(code - 0x2596) as usize];
            let parts = [(0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5), (0.0, 0.5, 0.5, 1.0), (0.5, 0.5, 1.0, 1.0)];
            parts
                .into_iter()
                .enumerate()
                .filter(|(at, _)| bits >> (3 - at) & 1 == 1)
                .for_each(|(_, part)| fill(part, 1.0));
        }
    }
}

/// Lines from the middle to the edges that a box glyph reaches: up, right, down, left; 0 none, 1 thin, 2 thick.
fn arms_of(out: &mut Pixels, place: &Place, arms: [u8; 4], pen: &Pen) {
    let (width, height) = (place.width as f32, CELL.1 as f32);
    let middle = ((width / 2.0).floor() + 0.5, (height / 2.0).floor() + 0.5);
    let ends = [(middle.0, -1.0), (width + 1.0, middle.1), (middle.0, height + 1.0), (-1.0, middle.1)];
    for (end, arm) in ends.into_iter().zip(arms).filter(|(_, arm)| *arm > 0) {
        place.line(out, middle, end, if arm > 1 { 2.0 } else { 1.0 }, pen);
    }
}

/// Poly-lines divided by `|`, each a row of points `xy` on a grid of 9 by 9 in the middle of the cell.
fn strokes_of(out: &mut Pixels, place: &Place, strokes: &str, pen: &Pen) {
    let unit = (place.width as f32 - 1.0) / 8.0;
    let top = (CELL.1 as f32 - 8.0 * unit * 1.25) / 2.0;
    let point = |word: &str| {
        let mut digits = word.chars().filter_map(|c| c.to_digit(10)).map(|d| d as f32);
        Some((digits.next()? * unit + 0.5, digits.next()? * unit * 1.25 + top))
    };
    for line in strokes.split('|') {
        let points: Vec<(f32, f32)> = line.split_whitespace().filter_map(point).collect();
        if let [one] = points[..] {
            place.line(out, one, one, 2.0, pen);
        }
        points.windows(2).for_each(|ends| place.line(out, ends[0], ends[1], 1.2, pen));
    }
}

/// `#rrggbb`.
fn bytes(colour: &str) -> [u8; 3] {
    let part = |at: usize| colour.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
    [part(1), part(3), part(5)]
}

/// Box glyphs and their arms.
const LINES: [(&str, [u8; 4]); 20] = [
    ("─╌┄┈", [0, 1, 0, 1]),
    ("━╍", [0, 2, 0, 2]),
    ("│┊┆╎", [1, 0, 1, 0]),
    ("┃", [2, 0, 2, 0]),
    ("┌╭", [0, 1, 1, 0]),
    ("┐╮", [0, 0, 1, 1]),
    ("└╰", [1, 1, 0, 0]),
    ("┘╯", [1, 0, 0, 1]),
    ("┏", [0, 2, 2, 0]),
    ("┓", [0, 0, 2, 2]),
    ("┗", [2, 2, 0, 0]),
    ("┛", [2, 0, 0, 2]),
    ("├", [1, 1, 1, 0]),
    ("┤", [1, 0, 1, 1]),
    ("┬", [0, 1, 1, 1]),
    ("┴", [1, 1, 0, 1]),
    ("┼", [1, 1, 1, 1]),
    ("╵", [1, 0, 0, 0]),
    ("╷", [0, 0, 1, 0]),
    ("╴", [0, 0, 0, 1]),
];

/// Signs of the screens as strokes; see [`strokes_of`].
const STROKES: [(&str, &str); 42] = [
    ("✔", "05 28 81"),
    ("✘✖", "11 77|71 17"),
    ("●", "33 53 55 35 33|24 64|42 46|26 66|22 62 66 26 22|34 54"),
    ("◉", "22 62 66 26 22|44"),
    ("○", "31 51 73 75 57 37 15 13 31"),
    ("◆", "41 74 47 14 41|42 64 46 24 42|43 54 45 34 43"),
    ("◇", "41 74 47 14 41"),
    ("■", "11 71 77 17 11|22 62 66 26 22|33 53 55 35 33|44"),
    ("▲▴", "41 77 17 41|43 66 26 43|45"),
    ("▼▾", "47 71 11 47|45 62 22 45|43"),
    ("▸▶", "21 74 27 21|33 54 35 33"),
    ("◀◂", "61 14 67 61|53 34 55 53"),
    ("∅", "31 51 73 75 57 37 15 13 31|70 18"),
    ("σ", "83 33 14 16 38 58 76 74 53"),
    ("Σ", "71 11 54 17 77"),
    ("Δ", "41 77 17 41"),
    ("→", "04 84|62 84 66"),
    ("←", "84 04|22 04 26"),
    ("↑", "48 40|22 40 62"),
    ("↓", "40 48|26 48 66"),
    ("↵⏎", "81 85 05|23 05 27"),
    ("↻", "73 51 31 13 15 37 57 75|73 71|73 53"),
    ("✎", "08 17 80|17 26|08 26"),
    ("≥", "11 74 17|18 78"),
    ("≤", "71 14 77|18 78"),
    ("≠", "13 73|15 75|61 27"),
    ("…⋯", "16|46|76"),
    ("—–−―", "04 84"),
    ("‖", "31 37|51 57"),
    ("⟨‹", "61 34 67"),
    ("⟩›", "21 54 27"),
    ("☆★", "40 55 83 53 40 33 03 35 17 46 77 55"),
    ("␣", "06 08 88 86"),
    ("β", "28 22 41 62 44 66 57 26"),
    ("τ", "12 72|42 47 58"),
    ("λ", "11 31 67|44 17"),
    ("•", "44|34 54|43 45"),
    ("╱", "80 08"),
    ("╲", "00 88"),
    ("‘’", "51 42"),
    ("“”", "31 22|61 52"),
    ("⇄", "02 82 60|86 06 28"),
];

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::{Color, Style};

    use super::*;

    fn drawn(text: &str, style: Style) -> Pixels {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 1));
        buffer.set_string(0, 0, text, style);
        pixels(&buffer, Paper::DARK)
    }

    fn inked(pixels: &Pixels) -> usize {
        let ground = bytes(Paper::DARK.ground);
        pixels.rgb.chunks_exact(3).filter(|p| **p != ground).count()
    }

    #[test]
    fn a_frame_has_the_size_of_its_cells_and_a_blank_one_no_ink() {
        let blank = drawn("", Style::default());
        assert_eq!((blank.width, blank.height, inked(&blank)), (36, 20, 0));
        let full = drawn("████", Style::default().fg(Color::Rgb(1, 2, 3)));
        assert!(full.rgb.chunks_exact(3).all(|p| p == [1, 2, 3]));
        assert_eq!(inked(&drawn("▄", Style::default())), 9 * 10);
        let reversed = drawn(" ", Style::default().fg(Color::Rgb(9, 9, 9)).add_modifier(Modifier::REVERSED));
        assert_eq!(inked(&reversed), 9 * 20);
    }

    #[test]
    fn every_sign_of_the_screens_has_a_form_of_its_own() {
        let signs = "aÄ⣿⠁─│┌┐└┘├┤╭╮╰╯━┃┏┓┗┛┊▁▂▃▄▅▆▇█▏▎▍▌▋▊▉▐▓▒░▚●◉◆◇■▲▼▸▶◀∅✔✘σΣ→←↑↓⏎↻✎≥≤≠…—‖⟨⟩☆·×±«»°";
        let unknown = drawn("杯", Style::default());
        for sign in signs.chars() {
            let picture = drawn(&sign.to_string(), Style::default());
            assert!(inked(&picture) > 0, "`{sign}` is drawn");
            assert_ne!(picture, drawn("ж", Style::default()), "`{sign}` is not the frame of an unknown one");
        }
        let right = |p: &Pixels| p.rgb.chunks_exact(3).skip(14).step_by(36).any(|p| p != bytes(Paper::DARK.ground));
        assert!(right(&unknown), "a wide character takes two cells");
    }

    #[test]
    fn lines_of_neighbours_meet() {
        let row = drawn("╭──╮", Style::default());
        let middle = &row.rgb[10 * 36 * 3..11 * 36 * 3];
        let ground = bytes(Paper::DARK.ground);
        assert!(middle.chunks_exact(3).skip(5).take(26).all(|p| p != ground));
    }
}
