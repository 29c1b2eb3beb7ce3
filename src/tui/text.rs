//! Text that came from a model or an environment, made safe and measured for a grid of cells.
//!
//! Rollout text is never interpreted: control characters, escape sequences and direction overrides are shown
//! as visible codes, so that nothing a model writes can move the cursor or hide a character.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Cells a string takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Shows one line of untrusted text: every control or invisible character as a code such as `⟨1B⟩`.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("  "),
            '\n' => out.push('⏎'),
            c if is_hidden(c) => out.push_str(&code(c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// The last line of defence before text meets cells: cleans and cuts to `cells`, with `…` where it was cut.
pub fn fit(text: &str, cells: usize) -> String {
    let text = clean(text);
    if width(&text) <= cells {
        return text;
    }
    let mut out = take(&text, cells.saturating_sub(1)).to_owned();
    if cells > 0 {
        out.push('…');
    }
    out
}

/// Like [`fit`], filled with blanks to exactly `cells`.
pub fn pad(text: &str, cells: usize) -> String {
    let mut out = fit(text, cells);
    out.extend(std::iter::repeat_n(' ', cells.saturating_sub(width(&out))));
    out
}

/// Breaks untrusted text into cleaned lines of at most `cells`, at blanks where possible.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(2);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        wrap_line(&clean(paragraph.trim_end_matches('\r')), cells, &mut lines);
    }
    lines
}

/// One label per token. Whole characters are shown as themselves; the bytes of a character that is spread over
/// several tokens as `⟨E4⟩`, followed, in the token that completes it, by the character.
pub fn token_labels(tokens: &[Vec<u8>]) -> Vec<String> {
    let mut pending: Vec<u8> = Vec::new();
    tokens
        .iter()
        .map(|bytes| {
            let mut label = String::new();
            for &byte in bytes {
                push_byte(&mut pending, byte, &mut label);
            }
            label
        })
        .collect()
}

/// A number in at most six cells for read-outs: `.62`-style is avoided, digits adapt to the size.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match value {
        v if !v.is_finite() => "—".into(),
        0.0 => "0".into(),
        v if !(0.001..1e6).contains(&size) => format!("{v:.1e}"),
        v if size >= 1000.0 => format!("{:.1}k", v / 1000.0),
        v if size >= 100.0 => format!("{v:.0}"),
        v if size >= 10.0 => format!("{v:.1}"),
        v if size < 0.0995 => format!("{v:.4}"),
        v => format!("{v:.2}"),
    }
}

/// A duration a person can read: `38 s`, `4m10s`, `1h52m`, `3d04h`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "—".into();
    }
    let s = seconds.round() as u64;
    match s {
        0..60 if seconds < 10.0 => format!("{seconds:.1} s"),
        0..60 => format!("{s} s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86400 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86400, s % 86400 / 3600),
    }
}

fn push_byte(pending: &mut Vec<u8>, byte: u8, label: &mut String) {
    let continues = byte & 0xC0 == 0x80;
    if !continues {
        pending.clear();
    }
    pending.push(byte);
    match std::str::from_utf8(pending) {
        Ok(text) if pending.len() == 1 => {
            label.push_str(&clean(text));
            pending.clear();
        }
        Ok(text) => {
            let text = clean(text);
            forget_codes(label, pending);
            label.push_str(&text);
            pending.clear();
        }
        Err(error) => {
            label.push_str(&code(u32::from(byte)));
            if error.error_len().is_some() {
                pending.clear();
            }
        }
    }
}

/// Codes of bytes that turned out to be a whole character inside this one token are not shown.
fn forget_codes(label: &mut String, pending: &[u8]) {
    let (last, before) = pending.split_last().unwrap_or((&0, &[]));
    let codes: String = before.iter().map(|b| code(u32::from(*b))).collect();
    match label.strip_suffix(codes.as_str()) {
        Some(rest) => label.truncate(rest.len()),
        None => label.push_str(&code(u32::from(*last))),
    }
}

fn wrap_line(text: &str, cells: usize, lines: &mut Vec<String>) {
    let mut rest = text;
    while width(rest) > cells {
        let head = take(rest, cells);
        let cut = head.rfind(' ').map_or(head.len(), |at| at + 1);
        let cut = if cut * 3 < head.len() { head.len() } else { cut };
        lines.push(rest[..cut].trim_end().to_owned());
        rest = &rest[cut..];
    }
    lines.push(rest.to_owned());
}

/// The longest start of `text` that takes at most `cells`; at least one character if there is one and `cells > 1`.
fn take(text: &str, cells: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > cells {
            return &text[..at];
        }
    }
    text
}

fn is_hidden(c: char) -> bool {
    c.is_control() || HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&(c as u32)))
}

fn code(value: u32) -> String {
    format!("⟨{value:02X}⟩")
}

/// Characters without a glyph of their own that change how others are shown: zero-width blanks, direction marks
/// and overrides, line separators, interlinear marks, tags. The zero-width joiner stays: emoji need it.
const HIDDEN: [(u32, u32); 10] = [
    (0x00AD, 0x00AD),
    (0x061C, 0x061C),
    (0x180E, 0x180E),
    (0x200B, 0x200C),
    (0x200E, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
    (0xE0000, 0xE007F),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_become_visible() {
        assert_eq!(clean("a\x1b[2Jb"), "a⟨1B⟩[2Jb");
        assert_eq!(clean("\u{202E}abc\u{9b}"), "⟨202E⟩abc⟨9B⟩");
        assert_eq!(clean("x\r\ny"), "x⟨0D⟩⏎y");
    }

    #[test]
    fn fitting_counts_cells_not_characters() {
        assert_eq!(fit("桌子上的杯子", 7), "桌子上…");
        assert_eq!(width(&fit("桌子上的杯子", 6)), 5);
        assert_eq!(pad("ab", 4), "ab  ");
        assert_eq!(fit("abc", 0), "");
    }

    #[test]
    fn wrapping_keeps_every_word_and_never_overflows() {
        let text = "go to the cabinet 3 and take 桌子上的杯子 with averyveryverylongword";
        for cells in 2..40 {
            let lines = wrap(text, cells);
            assert!(lines.iter().all(|l| width(l) <= cells), "{cells}: {lines:?}");
            let joined: String = lines.concat().split_whitespace().collect();
            assert_eq!(joined, text.split_whitespace().collect::<String>());
        }
    }

    #[test]
    fn split_characters_show_bytes_then_the_character() {
        let tokens = [vec![b'a'], vec![0xE4], vec![0xBD], vec![0xA0, b'!'], "é".into(), vec![0xFF]];
        assert_eq!(token_labels(&tokens), ["a", "⟨E4⟩", "⟨BD⟩", "⟨A0⟩你!", "é", "⟨FF⟩"]);
    }

    #[test]
    fn numbers_and_durations_stay_short() {
        assert_eq!(
            ["0.62", "0", "1.0e-5", "12.5k", "0.0130"].map(str::to_owned),
            [number(0.62), number(0.0), number(1e-5), number(12_500.0), number(0.013)]
        );
        assert_eq!(duration(6720.0), "1h52m");
        assert_eq!(duration(f64::NAN), "—");
    }
}
