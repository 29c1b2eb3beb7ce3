//! Text without power over a prompt or a terminal.

/// `text` on one line and without power over a prompt or a terminal (rule 3 of [`super::bank`]).
pub fn neutralise(text: &str) -> String {
    let visible: String = text
        .chars()
        .filter(|&c| !INVISIBLE.iter().any(|range| range.contains(&c)))
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect();
    // a space inside a mark breaks it, and no mark has a space in it, so that none can arise anew
    let broken = MARKS.iter().fold(visible, |text, mark| {
        let (head, tail) = mark.split_at(1);
        text.replace(mark, &format!("{head} {tail}"))
    });
    broken.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Zero-width and direction characters.
const INVISIBLE: [std::ops::RangeInclusive<char>; 5] = [
    '\u{ad}'..='\u{ad}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{2069}',
    '\u{feff}'..='\u{feff}',
];

/// What opens or closes a role in common chat templates; each begins with a one-byte character.
const MARKS: [&str; 12] = [
    "<|",
    "|>",
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<</SYS>>",
];

/// The words of `text` in lower case: runs of letters and digits.
pub(super) fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
