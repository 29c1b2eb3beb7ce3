//! Text from models, tasks and files on a page: shown as it is, and never markup.

/// Text for HTML and SVG, inside elements and attribute values. Control and direction characters are shown as pictures,
/// so that nothing hides and nothing turns the line around.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\u{7f}' => out.push('\u{2421}'),
            // U+2400 and on are pictures of the control characters
            c if c < ' ' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => out.push_str(&format!("\u{27e8}{:x}\u{27e9}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;
    use proptest::prelude::*;

    #[test]
    fn markup_escape_codes_and_direction_marks_are_only_shown() {
        assert_eq!(escape("<script>\"x\"</script>"), "&lt;script&gt;&quot;x&quot;&lt;/script&gt;");
        assert_eq!(escape("\u{1b}[2J\u{202e}abc\u{0}"), "\u{241b}[2J\u{27e8}202e\u{27e9}abc\u{2400}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
        #[test]
        fn nothing_gets_through(text in any::<String>()) {
            let safe = escape(&text);
            let bad = ['<', '>', '"', '\'', '\u{1b}', '\u{202e}'];
            prop_assert!(!safe.contains(bad), "{safe}");
            prop_assert!(safe.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
        }
    }
}
