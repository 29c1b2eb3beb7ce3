//! What `/` looks for: a regular expression, or the text itself where it is none; `!` in front inverts.

use regex::{Regex, RegexBuilder};

/// A thing to look for. Case matters only if the pattern has a capital.
#[derive(Clone, Debug)]
pub struct Find {
    /// As it was typed.
    pub typed: String,
    pattern: Option<Regex>,
    inverse: bool,
}

impl Find {
    /// Reads what was typed; nothing typed hits nothing.
    pub fn parse(typed: &str) -> Self {
        let (inverse, pattern) = typed.strip_prefix('!').map_or((false, typed), |rest| (true, rest));
        let build = |text: &str| {
            let mut builder = RegexBuilder::new(text);
            builder.case_insensitive(!text.chars().any(char::is_uppercase)).size_limit(SIZE).build().ok()
        };
        let found = (!pattern.is_empty()).then(|| build(pattern).or_else(|| build(&regex::escape(pattern)))).flatten();
        Self { typed: typed.to_owned(), pattern: found, inverse }
    }

    /// Whether a text is one that was looked for.
    pub fn hits(&self, text: &str) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text) != self.inverse)
    }

    /// Byte ranges of a text that were looked for; none for an inverted search.
    pub fn ranges(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        let found = self.pattern.iter().filter(|_| !self.inverse).flat_map(|pattern| pattern.find_iter(text));
        found.map(|hit| hit.range()).filter(|range| !range.is_empty()).collect()
    }

    /// The next (`by` 1), previous (-1) or nearest (0) of `len` things that is hit, round, from the one at `at`.
    pub fn next(&self, at: usize, len: usize, by: i32, text: impl Fn(usize) -> String) -> Option<usize> {
        let place = |distance: usize| match by {
            0 => (at + distance) % len,
            1.. => (at + 1 + distance) % len,
            _ => (at + 2 * len - 1 - distance) % len,
        };
        (0..len).map(place).find(|place| self.hits(&text(*place)))
    }
}

/// Compiled patterns larger than this are taken as text (bytes).
const SIZE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_texts_and_inversion() {
        assert!(Find::parse("go.*2").hits("Go to cabinet 2") && !Find::parse("Go.*2").hits("go to cabinet 2"));
        assert!(Find::parse("a[").hits("x a[0]"), "what is no pattern is text");
        assert!(Find::parse("!go").hits("open") && !Find::parse("!go").hits("go") && !Find::parse("").hits(""));
        assert_eq!(Find::parse("a").ranges("banana"), [1..2, 3..4, 5..6]);
    }

    #[test]
    fn matches_are_walked_round() {
        let words = ["yes", "no", "yes", "no"];
        let find = Find::parse("yes");
        let next = |at, by| find.next(at, 4, by, |i| words[i].to_owned());
        assert_eq!([next(0, 1), next(2, 1), next(0, -1), next(0, 0), next(1, 0)], [2, 0, 2, 0, 2].map(Some));
        assert_eq!(find.next(0, 0, 1, |_| String::new()), None);
    }
}
