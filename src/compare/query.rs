//! The language that chooses runs: `env=household & lr>=1e-5 & has:eval & !starter`.
//!
//! ```text
//! word                 in name, method, environment, model or state
//! key~text             the value contains the text
//! key:pattern          the value contains it, or matches it as a regular expression
//! key=v key!=v         equal as text or as numbers
//! key<v <= > >=        as numbers
//! has:key              the run has such a value
//! A & B, A B           both        A | B, A OR B   either        !A, -A, NOT A   not
//! ```
//! Keys are facts (name, state, method, env, model, step), the columns reward, success and eval, keys of the
//! configuration and metrics, each in full or by the last part. What is wrong is told with its column, from 1.

use regex::RegexBuilder;

use super::RunRow;
use super::row::{COLUMNS, FACTS};

/// A parsed query: alternatives of terms that must all hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    any: Vec<Vec<Term>>,
}

#[derive(Clone, Debug)]
struct Term {
    not: bool,
    what: What,
    /// Where it begins, in characters from 1.
    column: usize,
}

#[derive(Clone, Debug)]
enum What {
    Word(String),
    Has(String),
    Match(String, regex::Regex),
    Compare(String, &'static str, String),
}

impl Query {
    /// Reads a query; an empty one takes every run.
    ///
    /// # Errors
    /// `column 4: what is wrong`, for the person who typed it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut any = vec![vec![]];
        let mut not = false;
        for (column, word) in words(text) {
            match word {
                "AND" => {}
                "OR" | "|" => any.push(vec![]),
                "NOT" | "!" => not = true,
                word => {
                    let minus = word.strip_prefix(['-', '!']).filter(|rest| !rest.is_empty());
                    let what = what(minus.unwrap_or(word)).map_err(|error| format!("column {column}: {error}"))?;
                    let column = column + usize::from(minus.is_some());
                    let term = Term { not: std::mem::take(&mut not) != minus.is_some(), what, column };
                    any.last_mut().into_iter().for_each(|all| all.push(term.clone()));
                }
            }
        }
        if any.len() > 1 && any.iter().any(Vec::is_empty) {
            return Err("`OR` needs something on both sides".into());
        }
        Ok(Self { any })
    }

    /// Refuses keys that none of these runs has; where there are no runs yet, every key is taken.
    ///
    /// # Errors
    /// `column 4: which key`, with the nearest that there is.
    pub fn check(&self, rows: &[RunRow]) -> Result<(), String> {
        for term in self.any.iter().flatten() {
            let Some(key) = term.what.key() else { continue };
            known(key, rows).map_err(|error| format!("column {}: {error}", term.column))?;
        }
        Ok(())
    }

    /// Whether a run is one that was asked for.
    pub fn takes(&self, row: &RunRow) -> bool {
        self.any.is_empty() || self.any.iter().any(|all| all.iter().all(|term| term.what.holds(row) != term.not))
    }

    /// The words of the language, as a page of help.
    pub fn help() -> String {
        let columns = COLUMNS.map(|(name, metric)| format!("{name:<16} the column of that name: the last {metric}\n"));
        let facts = FACTS.join(", ");
        format!("{LANGUAGE}\n{}{facts}\n{:<16} facts of the run\n{KEYS}", columns.concat(), "")
    }
}

/// Whether some run has a key, else which is nearest.
///
/// # Errors
/// A sentence without a place.
pub fn known(key: &str, rows: &[RunRow]) -> Result<(), String> {
    let own = FACTS.contains(&key) || COLUMNS.iter().any(|(name, _)| *name == key);
    if own || rows.is_empty() || rows.iter().any(|row| row.value(key).is_some()) {
        return Ok(());
    }
    let names = rows.iter().flat_map(RunRow::keys).flat_map(|name| [Some(name), name.rsplit(['.', '/']).next()]);
    let near = names.flatten().min_by_key(|name| strsim::damerau_levenshtein(name, key));
    let near = near.map_or(String::new(), |name| format!(", did you mean `{name}`?"));
    Err(format!("no run has a key `{key}`{near}"))
}

/// The words of a query with their columns, from 1; `&` divides as a blank does.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut column = 1;
    for part in text.split_inclusive(|c: char| c.is_whitespace() || c == '&') {
        let word = part.trim_end_matches(|c: char| c.is_whitespace() || c == '&');
        if !word.is_empty() {
            words.push((column, word));
        }
        column += part.chars().count();
    }
    words
}

const LANGUAGE: &str = "env=household & lr>=1e-5 & has:eval & !starter

&  and (a blank too)     |  or (OR)     !  not (-, NOT)
= !=  texts or numbers     < <= > >=  numbers     ~  contains     :  matches a regular expression

word             in name, method, environment, model or state
has:KEY          the run has such a value
";
const KEYS: &str = "optim.lr, lr     a key of the configuration, in full or by its last part
gap/mean, gap    a metric, in full or by its first or last part
";

fn what(word: &str) -> Result<What, String> {
    if let Some(key) = word.strip_prefix("has:") {
        return if key.is_empty() { Err("`has:` needs a key".into()) } else { Ok(What::Has(key.to_owned())) };
    }
    let found = OPERATORS
        .iter()
        .filter_map(|op| Some((word.find(op)?, *op)))
        .min_by_key(|(at, op)| (*at, usize::MAX - op.len()));
    let Some((at, op)) = found.filter(|(at, _)| *at > 0) else { return Ok(What::Word(word.to_lowercase())) };
    let (key, value) = (word[..at].to_owned(), &word[at + op.len()..]);
    if value.is_empty() {
        return Err(format!("`{word}` needs a value after `{op}`"));
    }
    if matches!(op, ":" | "~") {
        let pattern = if op == "~" { regex::escape(value) } else { value.to_owned() };
        let pattern = RegexBuilder::new(&pattern).case_insensitive(true).size_limit(1 << 20).build();
        return Ok(What::Match(key, pattern.map_err(|_| format!("`{value}` is no regular expression"))?));
    }
    if !matches!(op, "=" | "!=") && value.parse::<f64>().is_err() {
        return Err(format!("`{value}` in `{word}` is not a number"));
    }
    Ok(What::Compare(key, op, value.to_owned()))
}

/// Longer ones first where they begin alike.
const OPERATORS: [&str; 8] = ["!=", "<=", ">=", "=", "<", ">", ":", "~"];

impl What {
    /// The key that is asked for, if it is one.
    fn key(&self) -> Option<&str> {
        match self {
            What::Word(_) => None,
            What::Has(key) | What::Match(key, _) | What::Compare(key, ..) => Some(key),
        }
    }

    fn holds(&self, row: &RunRow) -> bool {
        match self {
            What::Word(word) => {
                [&row.name, &row.method, &row.env, &row.model].iter().any(|text| text.to_lowercase().contains(word))
                    || row.state == word
            }
            What::Has(key) => row.value(key).is_some(),
            What::Match(key, pattern) => row.value(key).is_some_and(|value| pattern.is_match(&value)),
            What::Compare(key, op, wanted) => row.value(key).is_some_and(|value| compare(&value, op, wanted)),
        }
    }
}

fn compare(value: &str, op: &str, wanted: &str) -> bool {
    let order = match (value.parse::<f64>(), wanted.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.partial_cmp(&b),
        _ => Some(value.to_lowercase().cmp(&wanted.to_lowercase())),
    };
    let Some(order) = order else { return op == "!=" };
    match op {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn terms_and_or_not() {
        let rows = [
            row("house-1", "[optim]\nlr = 1e-5\n", &[("eval/success", 0.6)]),
            row("house-2", "[optim]\nlr = 5e-6\n", &[]),
            row("shop-1", "[optim]\nlr = 1e-4\n", &[("reward/mean", 0.9)]),
        ];
        let names = |query: &str| {
            let query = Query::parse(query).unwrap();
            rows.iter().filter(|row| query.takes(row)).map(|row| row.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        let cases = [
            ("", "house-1 house-2 shop-1"),
            ("house-", "house-1 house-2"),
            ("lr>=1e-5", "house-1 shop-1"),
            ("lr=0.00001", "house-1"),
            ("lr!=1e-5 house-", "house-2"),
            ("has:eval/success", "house-1"),
            ("has:eval", "house-1"),
            ("has:success", ""),
            ("eval>0.5 & house-", "house-1"),
            ("reward>0.5&shop", "shop-1"),
            ("!house- | lr<6e-6", "house-2 shop-1"),
            ("name~E-2", "house-2"),
            ("NOT house-", "shop-1"),
            ("-house- OR lr<6e-6", "house-2 shop-1"),
            ("name:^house-[12]$", "house-1 house-2"),
            ("method=SDAR reward>0.5", "shop-1"),
            ("nosuch=1", ""),
        ];
        for (query, expected) in cases {
            assert_eq!(names(query), expected, "{query}");
        }
    }

    #[test]
    fn a_key_that_no_run_has_is_refused_with_its_place() {
        let rows = [row("a", "[optim]\nlr = 1e-5\n", &[("success/mean", 0.6), ("gap/mean", 0.1)])];
        let check = |query: &str| Query::parse(query).unwrap().check(&rows);
        for query in ["", "success>0.5 eval>0.9 has:eval", "lr=1 & optim.lr=1 gap>0 !state=done", "anything"] {
            assert_eq!(check(query), Ok(()), "{query}");
        }
        let said = check("a & !sucess>0.5").unwrap_err();
        assert_eq!(said, "column 6: no run has a key `sucess`, did you mean `success`?");
        assert_eq!(Query::parse("nosuch=1").unwrap().check(&[]), Ok(()), "no run was read yet");
        assert!(["success", "lr", "has:KEY", "state"].iter().all(|word| Query::help().contains(word)));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (query, part) in [
            ("a lr>", "column 3: `lr>` needs a value"),
            ("lr>x", "not a number"),
            ("a OR", "both sides"),
            ("a:[", "regular"),
        ] {
            assert!(Query::parse(query).unwrap_err().contains(part), "{query}");
        }
    }
}
