//! How alike two short texts are, as `token_set_ratio` of the Python packages thefuzz and rapidfuzz, to the digit.

use std::collections::BTreeSet;

/// Likeness of two texts by their sets of words, 0 to 100:
///
/// 1. Characters beyond ASCII go, those that are no letters or digits become spaces, the rest becomes lower case.
/// 2. With `s` the sorted common words and `a`, `b` the rest of each text: the best ratio among `s a` against `s b`,
///    `s` against `s a`, and `s` against `s b`. The ratio is `2 LCS / (|x| + |y|)` in characters.
/// 3. 100 if one text's words are all in the other; 0 if a text has no words.
pub fn token_set_ratio(a: &str, b: &str) -> u32 {
    let (a, b) = (clean(a), clean(b));
    let (a, b): (BTreeSet<&str>, BTreeSet<&str>) = (a.split_whitespace().collect(), b.split_whitespace().collect());
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    let common: Vec<&str> = a.intersection(&b).copied().collect();
    let only = |x: &BTreeSet<&'_ str>, y: &BTreeSet<&'_ str>| {
        x.difference(y).fold(String::new(), |text, word| join(&text, word))
    };
    let (rest_a, rest_b) = (only(&a, &b), only(&b, &a));
    if !common.is_empty() && (rest_a.is_empty() || rest_b.is_empty()) {
        return 100;
    }
    let common = common.join(" ");
    let (all_a, all_b) = (join(&common, &rest_a), join(&common, &rest_b));
    let mut best = ratio(&all_a, &all_b);
    if !common.is_empty() {
        best = best.max(ratio(&common, &all_a)).max(ratio(&common, &all_b));
    }
    best.round_ties_even() as u32
}

fn clean(text: &str) -> String {
    let kept = text.chars().filter(char::is_ascii);
    kept.map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect()
}

fn join(a: &str, b: &str) -> String {
    if a.is_empty() { b.to_owned() } else { format!("{a} {b}") }
}

/// `200 LCS / (|a| + |b|)`; both are ASCII and not both empty.
fn ratio(a: &str, b: &str) -> f64 {
    100.0 * 2.0 * longest_common_subsequence(a.as_bytes(), b.as_bytes()) as f64 / (a.len() + b.len()) as f64
}

fn longest_common_subsequence(a: &[u8], b: &[u8]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::token_set_ratio;

    #[test]
    fn likeness_by_hand() {
        for (a, b, expected) in [
            ("dark red", "Red (dark)", 100),
            ("red", "dark red", 100), // all its words are in the other
            ("", "red", 0),
            ("\u{7ea2}", "red", 0),
            ("abc", "abd", 67),         // 200 * 2 / 6
            ("red cup", "red cap", 86), // LCS 6 of 7 and 7
        ] {
            assert_eq!(token_set_ratio(a, b), expected, "{a} / {b}");
            assert_eq!(token_set_ratio(b, a), expected, "{b} / {a}");
        }
    }
}
