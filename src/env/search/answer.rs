//! Whether an answer is right: exact match and F1 after the usual normalisation (Rajpurkar et al., 2016), as Search-R1
//! and HotpotQA score.

use std::collections::HashMap;

/// Lower case, without ASCII punctuation, without the words `a`, `an` and `the`, spaces collapsed.
pub fn normalised(answer: &str) -> String {
    let mut text = answer.to_lowercase();
    text.retain(|c| !c.is_ascii_punctuation());
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let in_word = c.is_alphanumeric();
        let end = rest.find(|c: char| c.is_alphanumeric() != in_word).unwrap_or(rest.len());
        let (run, later) = rest.split_at(end);
        kept.push_str(if ARTICLES.contains(&run) { " " } else { run });
        rest = later;
    }
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

const ARTICLES: [&str; 3] = ["a", "an", "the"];

/// Whether the answer is one of the golden ones.
pub fn exact_match(answer: &str, golden: &[String]) -> bool {
    let answer = normalised(answer);
    golden.iter().any(|golden| normalised(golden) == answer)
}

/// Whether the answer contains one of the golden ones.
pub fn contains_match(answer: &str, golden: &[String]) -> bool {
    let answer = normalised(answer);
    golden.iter().any(|golden| answer.contains(&normalised(golden)))
}

/// Best overlap of words with a golden answer, in [0, 1]: the harmonic mean of precision and recall. A yes or no, on
/// either side, counts only if it is right (HotpotQA).
pub fn f1(answer: &str, golden: &[String]) -> f32 {
    let answer = normalised(answer);
    golden.iter().map(|golden| overlap(&answer, &normalised(golden))).fold(0.0, f32::max)
}

fn overlap(answer: &str, golden: &str) -> f32 {
    let closed = |text: &str| ["yes", "no", "noanswer"].contains(&text);
    if answer == golden {
        return 1.0;
    }
    if closed(answer) || closed(golden) {
        return 0.0;
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    golden.split(' ').for_each(|word| *left.entry(word).or_default() += 1);
    let mut common = 0;
    for word in answer.split(' ') {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    if common == 0 {
        return 0.0;
    }
    let precision = common as f32 / answer.split(' ').count() as f32;
    let recall = common as f32 / golden.split(' ').count() as f32;
    2.0 * precision * recall / (precision + recall)
}

/// What stands between the last `<name>` and the `</name>` after it, trimmed; the pairs are read from the start.
pub fn last_block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (mut found, mut rest) = (None, text);
    while let Some(start) = rest.find(&open) {
        let inside = &rest[start + open.len()..];
        let Some(end) = inside.find(&close) else { break };
        found = Some(inside[..end].trim());
        rest = &inside[end + close.len()..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(answers: &[&str]) -> Vec<String> {
        answers.iter().map(|&a| a.to_owned()).collect()
    }

    #[test]
    fn answers_match_after_normalisation() {
        assert_eq!(normalised(" The  A-Team, an \u{c9}lan!"), "ateam \u{e9}lan");
        assert_eq!(normalised("Anna \u{2013} the\u{2013}end"), "anna \u{2013} \u{2013}end");
        assert!(exact_match("the NORTH, sea.", &golden(&["Baltic", "North Sea"])));
        assert!(!exact_match("North", &golden(&["North Sea"])));
        assert!(contains_match("It is the North Sea, I think", &golden(&["North Sea"])));
    }

    #[test]
    fn f1_by_hand() {
        for (answer, right, expected) in [
            ("north sea", "the North Sea", 1.0),
            ("cold north sea", "North Sea", 0.8), // precision 2/3, recall 1
            ("sea sea", "North Sea", 0.5),
            ("baltic", "North Sea", 0.0),
            ("yes it is", "yes", 0.0),
            ("no", "yes no", 0.0),
            ("", "x", 0.0),
        ] {
            assert!((f1(answer, &golden(&[right])) - expected).abs() < 1e-6, "{answer} / {right}");
        }
        assert_eq!(f1("x", &[]), 0.0);
    }

    #[test]
    fn the_last_block_counts() {
        assert_eq!(last_block("<answer>a</answer> <answer> b\n</answer>", "answer"), Some("b"));
        assert_eq!(last_block("<answer><answer>a</answer>", "answer"), Some("<answer>a"));
        assert_eq!(last_block("<answer>a", "answer"), None);
    }
}
