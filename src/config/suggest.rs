//! Turns what the TOML reader says into sentences for people, with a suggestion where one is near.

use super::recipe::tables;

/// A refusal in our words, and the word it is about (to find it in a `--set` argument).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub text: String,
    pub word: Option<String>,
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, word: None }
    }
}

/// Rewrites a message of the TOML reader.
pub(super) fn explain(message: &str) -> Reason {
    let message = message.trim().replace('\n', ", ");
    let words = quoted(&message);
    let word = words.first().map(|word| (*word).to_owned());
    if message.starts_with("unknown field") {
        let (name, known) = words.split_first().map_or(("", &[][..]), |(name, known)| (*name, known));
        return Reason { text: format!("unknown key `{name}`{}", key_hint(name, known)), word };
    }
    if message.starts_with("unknown variant") {
        let (name, known) = words.split_first().map_or(("", &[][..]), |(name, known)| (*name, known));
        let hint = closest(name, known).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
        return Reason { text: format!("unknown value `{name}`, expected {}{hint}", one_of(known)), word };
    }
    if let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        return format!("expected {}, found {found}", type_in_words(expected)).into();
    }
    if message.starts_with("wanted exactly 1 element") {
        return "expected exactly one table of this kind, such as `[method.sdar]` or `[env.household]`"
            .to_owned()
            .into();
    }
    if message == "expected newtype variant, found unit variant" {
        return "a name alone is no table: write it as one, such as `[method.grpo]` or `{ grpo = {} }`"
            .to_owned()
            .into();
    }
    if message == "wanted string or table" {
        return "expected a string or a table".to_owned().into();
    }
    if message.starts_with("missing field") {
        return format!("missing key `{}`", word.as_deref().unwrap_or_default()).into();
    }
    message.into()
}

/// The candidate most like `word`, if any is like it at all.
pub fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let shortened = |candidate: &str| candidate.len() > 2 && word.starts_with(candidate);
    let likeness = |candidate: &str| match shortened(candidate) {
        true => 1.0,
        false => strsim::normalized_damerau_levenshtein(word, candidate),
    };
    let best = candidates.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= LIKE).then_some(*best)
}

/// Likeness in [0, 1] from which a name is worth suggesting: about one slip in three letters.
const LIKE: f64 = 0.6;

/// How serde names a type, and how a person would.
const TYPES: &[(&str, &str)] = &[
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, at least 0"),
    ("usize", "a whole number, at least 0"),
    ("f64", "a number"),
    ("f32", "a number"),
    ("a boolean", "`true` or `false`"),
    ("a string", "a string"),
    ("a sequence", "a list"),
    ("a map", "a table"),
];

fn type_in_words(expected: &str) -> &str {
    if expected.starts_with("struct ") {
        return "a table";
    }
    TYPES.iter().find(|(name, _)| *name == expected).map_or(expected, |(_, words)| words)
}

/// `, did you mean ...` from the keys of the same table, else from the same key in another table.
fn key_hint(name: &str, known: &[&str]) -> String {
    if let Some(near) = closest(name, known) {
        return format!(", did you mean `{near}`?");
    }
    let elsewhere = tables().flat_map(|t| t.fields).find(|f| f.key.rsplit('.').next() == Some(name));
    match elsewhere {
        Some(field) => format!(", did you mean `{}`?", field.key),
        None if known.is_empty() => ", this table has no keys".into(),
        None => format!(", expected {}", one_of(known)),
    }
}

fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".into(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The words between backticks, in order.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::{closest, explain};

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(closest("temprature", &["top_p", "temperature"]), Some("temperature"));
        assert_eq!(closest("lrr", &["lr", "eps"]), Some("lr"));
        assert_eq!(closest("zebra", &["lr", "eps"]), None);
        assert_eq!(closest("x", &[]), None);
    }

    #[test]
    fn a_key_of_another_table_is_named_in_full() {
        let reason = explain("unknown field `lr`, expected `groups` or `members`");
        assert_eq!(reason.text, "unknown key `lr`, did you mean `optim.lr`?");
        assert_eq!(reason.word.as_deref(), Some("lr"));
    }

    #[test]
    fn types_are_said_in_words() {
        let text = |message| explain(message).text;
        assert_eq!(
            text("invalid type: string \"a, expected b\", expected f64"),
            "expected a number, found string \"a, expected b\""
        );
        assert_eq!(
            text("invalid type: integer `3`, expected struct OptimSettings"),
            "expected a table, found integer `3`"
        );
    }
}
