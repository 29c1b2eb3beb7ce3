//! Texts as Python's `json.dumps` writes them: ASCII only, everything else as `\uXXXX`.

/// A JSON string, quotes included.
pub fn quote(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for c in text.chars() {
        match c {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\u{8}' => written.push_str("\\b"),
            '\u{c}' => written.push_str("\\f"),
            ' '..='~' => written.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| written.push_str(&escape(*unit))),
        }
    }
    written.push('"');
    written
}

/// The same, safe inside a web page, as templates of Flask write it.
pub fn quote_for_page(text: &str) -> String {
    let special = |c: char| "<>&'".contains(c);
    quote(text).chars().map(|c| if special(c) { escape(c as u16) } else { c.to_string() }).collect()
}

fn escape(unit: u16) -> String {
    format!("\\u{unit:04x}")
}

#[cfg(test)]
mod tests {
    use super::{quote, quote_for_page};

    #[test]
    fn as_python_writes_it() {
        assert_eq!(quote("a \"b\"\\\n\t\u{1}\u{7f}"), "\"a \\\"b\\\"\\\\\\n\\t\\u0001\\u007f\"");
        assert_eq!(quote("\u{e9} \u{1f455}"), "\"\\u00e9 \\ud83d\\udc55\"");
        assert_eq!(quote_for_page("5' <&>"), "\"5\\u0027 \\u003c\\u0026\\u003e\"");
    }
}
