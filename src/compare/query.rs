//! The language that chooses runs: `env=household lr>=1e-5 has:eval/success NOT starter`.
//!
//! ```text
//! word            in name, method, environment, model or state
//! key:pattern     the value contains it, or matches it as a regular expression
//! key=v key!=v    equal as text or as numbers
//! key<v <= > >=   as numbers
//! has:key         the run has such a value
//! A B             both        A OR B      either        NOT A, -A      not
//! ```
//! Keys are facts (name, state, method, env, model, step), keys of the configuration and metrics, each in full or by
//! the last part.

use regex::RegexBuilder;

use super::RunRow;

/// A parsed query: alternatives of terms that must all hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    any: Vec<Vec<Term>>,
}

#[derive(Clone, Debug)]
struct Term {
    not: bool,
    what: What,
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
    /// A sentence about what is wrong, for the person who typed it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut any = vec![vec![]];
        let mut not = false;
        for word in text.split_whitespace() {
            match word {
                "AND" => {}
                "OR" => any.push(vec![]),
                "NOT" => not = true,
                word => {
                    let (minus, word) =
                        word.strip_prefix('-').filter(|w| !w.is_empty()).map_or((false, word), |w| (true, w));
                    let term = Term { not: std::mem::take(&mut not) != minus, what: what(word)? };
                    any.last_mut().into_iter().for_each(|all| all.push(term.clone()));
                }
            }
        }
        if any.len() > 1 && any.iter().any(Vec::is_empty) {
            return Err("`OR` needs something on both sides".into());
        }
        Ok(Self { any })
    }

    /// Whether a run is one that was asked for.
    pub fn takes(&self, row: &RunRow) -> bool {
        self.any.is_empty() || self.any.iter().any(|all| all.iter().all(|term| term.what.holds(row) != term.not))
    }
}

fn what(word: &str) -> Result<What, String> {
    if let Some(key) = word.strip_prefix("has:") {
        return Ok(What::Has(key.to_owned()));
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
    if op == ":" {
        let pattern = RegexBuilder::new(value).case_insensitive(true).size_limit(1 << 20).build();
        return Ok(What::Match(key, pattern.map_err(|_| format!("`{value}` is no regular expression"))?));
    }
    if !matches!(op, "=" | "!=") && value.parse::<f64>().is_err() {
        return Err(format!("`{value}` in `{word}` is not a number"));
    }
    Ok(What::Compare(key, op, value.to_owned()))
}

/// Longer ones first where they begin alike.
const OPERATORS: [&str; 7] = ["!=", "<=", ">=", "=", "<", ">", ":"];

impl What {
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
            ("has:success", "house-1"),
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
    fn errors_say_what_is_wrong() {
        for (query, part) in
            [("lr>", "needs a value"), ("lr>x", "not a number"), ("a OR", "both sides"), ("a:[", "regular")]
        {
            assert!(Query::parse(query).unwrap_err().contains(part), "{query}");
        }
    }
}
