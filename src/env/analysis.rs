//! From a text to index terms, as Lucene's English analysis as used by Anserini does it:
//!
//! 1. Words at Unicode word boundaries (UAX #29); those with a letter, a digit or an emoji are kept; longer than
//!    [`MAX_WORD`] characters they are cut.
//! 2. A final `'s` goes.
//! 3. Lower case.
//! 4. Stop words go.
//! 5. Porter stems ([`super::porter`]).

use unicode_segmentation::UnicodeSegmentation;

use super::porter;

/// Longest word in characters; a longer one becomes several.
pub const MAX_WORD: usize = 255;

/// Calls `found` with each term of a text, in order.
pub fn terms(text: &str, mut found: impl FnMut(&str)) {
    let (mut word, mut term) = (Vec::new(), String::new());
    for segment in text.split_word_bounds().filter(|s| s.chars().any(is_part_of_word)) {
        word.clear();
        word.extend(without_possessive(segment).chars().flat_map(char::to_lowercase));
        for part in word.chunks(MAX_WORD) {
            term.clear();
            term.extend(part);
            if STOP_WORDS.binary_search(&term.as_str()).is_ok() {
                continue;
            }
            let mut stem = part.to_vec();
            porter::stem(&mut stem);
            term.clear();
            term.extend(&stem);
            found(&term);
        }
    }
}

/// Lucene's default English stop words, sorted.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
];

fn without_possessive(word: &str) -> &str {
    let Some(rest) = word.strip_suffix(['s', 'S']) else { return word };
    match rest.strip_suffix(['\'', '\u{2019}', '\u{ff07}']) {
        Some(owner) if !owner.is_empty() => owner,
        _ => word,
    }
}

fn is_part_of_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    c.is_alphabetic() || c.is_numeric() && !within(c, OTHER_NUMBERS) || within(c, EMOJI)
}

fn within(c: char, ranges: &[(u32, u32)]) -> bool {
    ranges.iter().any(|&(first, last)| (first..=last).contains(&(c as u32)))
}

/// Numerals that are not digits (general category No), which do not make a word.
#[rustfmt::skip]
const OTHER_NUMBERS: &[(u32, u32)] = &[
    (0xb2, 0xb3), (0xb9, 0xb9), (0xbc, 0xbe), (0x2070, 0x2089), (0x2150, 0x215f), (0x2460, 0x249b), (0x24ea, 0x24ff),
    (0x2776, 0x2793), (0x3192, 0x3195), (0x3220, 0x3229), (0x3248, 0x324f), (0x3251, 0x325f), (0x3280, 0x3289),
    (0x32b1, 0x32bf), (0x1f100, 0x1f10c),
];

/// Pictographs: the property Extended_Pictographic, and regional indicators.
#[rustfmt::skip]
const EMOJI: &[(u32, u32)] = &[
    (0xa9, 0xa9), (0xae, 0xae), (0x203c, 0x203c), (0x2049, 0x2049), (0x2122, 0x2122), (0x2139, 0x2139),
    (0x2194, 0x2199), (0x21a9, 0x21aa), (0x231a, 0x231b), (0x2328, 0x2328), (0x23cf, 0x23cf), (0x23e9, 0x23f3),
    (0x23f8, 0x23fa), (0x25aa, 0x25ab), (0x25b6, 0x25b6), (0x25c0, 0x25c0), (0x25fb, 0x25fe), (0x2600, 0x2605),
    (0x2607, 0x2612), (0x2614, 0x2685), (0x2690, 0x2705), (0x2708, 0x2712), (0x2714, 0x2714), (0x2716, 0x2716),
    (0x271d, 0x271d), (0x2721, 0x2721), (0x2728, 0x2728), (0x2733, 0x2734), (0x2744, 0x2744), (0x2747, 0x2747),
    (0x274c, 0x274c), (0x274e, 0x274e), (0x2753, 0x2755), (0x2757, 0x2757), (0x2763, 0x2767), (0x2795, 0x2797),
    (0x27a1, 0x27a1), (0x27b0, 0x27b0), (0x27bf, 0x27bf), (0x2934, 0x2935), (0x2b05, 0x2b07), (0x2b1b, 0x2b1c),
    (0x2b50, 0x2b50), (0x2b55, 0x2b55), (0x3030, 0x3030), (0x303d, 0x303d), (0x3297, 0x3297), (0x3299, 0x3299),
    (0x1f000, 0x1f0ff), (0x1f10d, 0x1f10f), (0x1f12f, 0x1f12f), (0x1f16c, 0x1f171), (0x1f17e, 0x1f17f),
    (0x1f18e, 0x1f18e), (0x1f191, 0x1f19a), (0x1f1e6, 0x1f1ff), (0x1f201, 0x1f20f), (0x1f21a, 0x1f21a),
    (0x1f22f, 0x1f22f), (0x1f232, 0x1f23a), (0x1f23c, 0x1f23f), (0x1f249, 0x1f53d), (0x1f546, 0x1f64f),
    (0x1f680, 0x1f6ff), (0x1f774, 0x1f77f), (0x1f7d5, 0x1f7ff), (0x1f80c, 0x1f80f), (0x1f848, 0x1f84f),
    (0x1f85a, 0x1f85f), (0x1f888, 0x1f88f), (0x1f8ae, 0x1f8ff), (0x1f90c, 0x1f93a), (0x1f93c, 0x1f945),
    (0x1f947, 0x1faff),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        terms(text, |term| found.push(term.to_owned()));
        found
    }

    #[test]
    fn texts_become_terms() {
        assert_eq!(all("The Women's Running-Shoes, size 7.5!"), ["women", "run", "shoe", "size", "7.5"]);
        assert_eq!(all("O'Neill\u{2019}s caf\u{e9} 10:30 a_b"), ["o'neil", "caf\u{e9}", "10", "30", "a_b"]);
        assert_eq!(all("\u{2764}\u{fe0f} love \u{b2} -- ___"), ["\u{2764}\u{fe0f}", "love"]);
        assert_eq!(all(""), Vec::<String>::new());
        assert_eq!(all(&"x".repeat(600)).iter().map(String::len).collect::<Vec<_>>(), [255, 255, 90]);
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }
}
