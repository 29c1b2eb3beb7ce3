//! Where in a text something is.

/// Line and column (in characters) of the byte `at` of `text`, both from 1. A byte beyond the end counts as the end, one
/// inside a character as its start.
pub fn line_column(text: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    (text[..begin].matches('\n').count() + 1, text[begin..at].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::line_column;

    #[test]
    fn lines_and_characters_are_counted_from_one() {
        let text = "ab\nüx\n";
        let places = [0, 2, 3, 4, 5, 99].map(|at| line_column(text, at));
        assert_eq!(places, [(1, 1), (1, 3), (2, 1), (2, 1), (2, 2), (3, 1)]);
    }
}
