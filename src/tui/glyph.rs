//! Glyphs, and what stands for them on a terminal that has none of them.
//!
//! Screens are drawn with one rich set. On an ASCII terminal ([`to_ascii`]) the finished buffer is translated
//! cell by cell, so that no pane needs to know.

use ratatui::buffer::Buffer;

/// Eighths, from nearly nothing to full.
pub const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The bar for a share in [0, 1]; a blank for a number that is none.
pub fn bar(share: f64) -> &'static str {
    if !share.is_finite() {
        return " ";
    }
    BARS[((share.clamp(0.0, 1.0) * 8.0) as usize).min(7)]
}

/// A row of bars for `values`, scaled to their own range; the last `cells` of them.
pub fn sparkline(values: &[f64], cells: usize) -> String {
    let tail = &values[values.len().saturating_sub(cells)..];
    let finite = tail.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    tail.iter().map(|v| if high > low { bar((v - low) / (high - low)) } else { bar(*v * 0.0 + 0.4) }).collect()
}

/// A horizontal bar of `cells` filled to `share`, with eighths at its end.
pub fn gauge(share: f64, cells: usize) -> String {
    const LEFT: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * cells as f64 * 8.0).round() as usize;
    let mut out = "█".repeat(eighths / 8);
    out.push_str(LEFT[eighths % 8]);
    out
}

/// The sign of a teacher-student gap in nats: rejected strongly, rejected, indifferent, endorsed, strongly.
pub fn gap_sign(gap: f32) -> &'static str {
    match gap {
        g if g.is_nan() => " ",
        g if g <= -0.5 => "«",
        g if g < -0.05 => "−",
        g if g <= 0.05 => "·",
        g if g < 0.5 => "+",
        _ => "»",
    }
}

/// Replaces every glyph outside ASCII by its stand-in, `?` where there is none.
pub fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let Some(first) = cell.symbol().chars().next().filter(|c| !c.is_ascii()) else { continue };
        let stand_in = STAND_INS.iter().find(|(glyphs, _)| glyphs.contains(first)).map_or('?', |(_, ascii)| *ascii);
        cell.set_char(stand_in);
    }
}

const STAND_INS: [(&str, char); 34] = [
    ("▚", '%'),
    ("─━╌╶╴═┄┈−—–", '-'),
    ("│┃┊▏▕┆║‖", '|'),
    ("╭╮╰╯┌┐└┘├┤┴┼╞╡┏┓┗┛", '+'),
    ("▁▂", '.'),
    ("▃▄", ':'),
    ("▅▆▌▋▍▎▐", '='),
    ("▇█▊▉▓▒", '#'),
    ("░", ' '),
    ("●◉", '*'),
    ("◆", '@'),
    ("◇°", 'o'),
    ("▲▴", '^'),
    ("▼▾┬", 'v'),
    ("▸▶→", '>'),
    ("◀←≤", '<'),
    ("∅", '0'),
    ("✔", 'Y'),
    ("✘✖", 'x'),
    ("·⋯…", '.'),
    ("±", '~'),
    ("σΣ", 's'),
    ("↻", 'R'),
    ("✎", 'E'),
    ("⏎↵", '/'),
    ("␣", '_'),
    ("×", 'x'),
    ("≥", '>'),
    ("↑", '^'),
    ("↓", 'v'),
    ("⟨‹«", '<'),
    ("⟩›»", '>'),
    ("☆", '*'),
    ("≠", '!'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_cover_the_scale() {
        assert_eq!([bar(-1.0), bar(0.5), bar(2.0), bar(f64::NAN)], ["▁", "▅", "█", " "]);
        assert_eq!(sparkline(&[0.0, 1.0, 0.5], 3), "▁█▅");
        assert_eq!(sparkline(&[1.0, 1.0], 2), "▄▄");
        assert_eq!(gauge(0.5, 4), "██");
        assert_eq!(gauge(f64::NAN, 4), "");
    }

    #[test]
    fn gap_signs_split_at_half_a_nat() {
        assert_eq!([-3.0, -0.2, 0.0, 0.2, 0.5].map(gap_sign), ["«", "−", "·", "+", "»"]);
    }
}
