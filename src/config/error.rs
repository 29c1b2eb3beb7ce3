//! Errors with a place: `file:line:column: reason`, then the line itself with a caret under what is wrong.

use std::fmt;
use std::ops::Range;

use unicode_width::UnicodeWidthStr;

/// Why a recipe was refused. Displays as one sentence with its place, followed by the offending line where known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    reason: String,
    excerpt: Option<Excerpt>,
}

impl ConfigError {
    /// An error about a whole file, argument or key.
    pub fn new(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into(), excerpt: None }
    }

    /// An error at the bytes `span` of `text`, the content of the file called `name`.
    pub(super) fn in_text(name: &str, text: &str, span: Range<usize>, reason: impl Into<String>) -> Self {
        let start = floor_boundary(text, span.start);
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[begin..].find('\n').map_or(text.len(), |length| begin + length);
        let line = text[begin..line_end].trim_end_matches('\r');
        let number = text[..begin].matches('\n').count() + 1;
        let before = &line[..(start - begin).min(line.len())];
        let end = floor_boundary(text, span.end).clamp(begin + before.len(), begin + line.len());
        Self {
            place: format!("{name}:{number}:{}", before.chars().count() + 1),
            reason: reason.into(),
            excerpt: Some(Excerpt::new(number.to_string(), line, before, &text[begin + before.len()..end])),
        }
    }

    /// An error at the bytes `span` of a command-line argument.
    pub(crate) fn in_argument(label: &str, text: &str, span: Range<usize>, reason: impl Into<String>) -> Self {
        let excerpt = Excerpt::new(String::new(), text, &text[..span.start], &text[span]);
        Self { place: label.to_owned(), reason: reason.into(), excerpt: Some(excerpt) }
    }

    /// `file:line:column`, the file alone, or the argument's name.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The sentence without its place.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)?;
        let Some(Excerpt { number, line, indent, width }) = &self.excerpt else { return Ok(()) };
        let gutter = " ".repeat(number.len());
        write!(f, "\n{gutter} |\n{number} | {line}\n{gutter} | {}{}", " ".repeat(*indent), "^".repeat(*width))
    }
}

/// The offending line; tabs are shown as one blank so that the caret stands right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    number: String,
    line: String,
    indent: usize,
    width: usize,
}

impl Excerpt {
    fn new(number: String, line: &str, before: &str, marked: &str) -> Self {
        let columns = |text: &str| text.replace('\t', " ").width();
        Self { number, line: line.replace('\t', " "), indent: columns(before), width: columns(marked).max(1) }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::ConfigError;

    #[test]
    fn carets_stand_under_wide_characters_and_tabs() {
        let error = ConfigError::in_text("a.toml", "x = 1\n\tname = \"猫\", y\n", 19..20, "odd");
        assert_eq!(error.to_string(), "a.toml:2:12: odd\n  |\n2 |  name = \"猫\", y\n  |             ^");
    }

    #[test]
    fn places_past_the_end_are_harmless() {
        let error = ConfigError::in_text("a.toml", "x = [", 90..99, "unclosed");
        assert_eq!(error.to_string(), "a.toml:1:6: unclosed\n  |\n1 | x = [\n  |      ^");
    }
}
