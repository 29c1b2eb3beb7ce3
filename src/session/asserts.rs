//! `--assert 'eval/success>=0.6'`: what must hold of a run's last numbers for it to end with exit code 0.
//!
//! 1. `metric op number`; the operators are `>=`, `<=`, `>`, `<` and `==`.
//! 2. A metric of a step has its own name, one of the evaluation `eval/` before it, one of the evaluation with skills
//!    in the student's prompt `eval/with_skills/`. The last value counts.
//! 3. A metric that was never recorded, or whose last value is not finite, fails.

use std::collections::BTreeMap;

use crate::config::ConfigError;
use crate::core::event::Verdict;
use crate::core::{Metrics, RunEvent};

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
struct Assertion {
    metric: String,
    sign: &'static str,
    limit: f64,
}

impl Assertion {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = |span, reason: String| ConfigError::in_argument("--assert", text, span, reason);
        let at = text.find(['<', '>', '=', '!']).unwrap_or(text.len());
        let Some((sign, _)) = SIGNS.iter().find(|(sign, _)| text[at..].starts_with(sign)) else {
            let end = text[at..].find(|c: char| !"<>=!".contains(c)).map_or(text.len(), |n| at + n);
            return Err(wrong(at..end, "expected `>=`, `<=`, `>`, `<` or `==` behind the metric".into()));
        };
        let metric = text[..at].trim();
        if metric.is_empty() {
            return Err(wrong(0..at, "expected a metric, such as `eval/success`".into()));
        }
        let start = at + sign.len();
        let number = text[start..].trim();
        match number.parse::<f64>() {
            Ok(limit) if limit.is_finite() => Ok(Self { metric: metric.into(), sign, limit }),
            _ => {
                let start = start + text[start..].find(number).unwrap_or(0);
                Err(wrong(start..start + number.len(), format!("expected a number, found `{number}`")))
            }
        }
    }

    fn holds(&self, value: f64) -> bool {
        SIGNS.iter().any(|(sign, holds)| *sign == self.sign && holds(value, self.limit))
    }
}

/// Longer ones first: `>=` begins with `>`.
type Compare = fn(f64, f64) -> bool;

const SIGNS: [(&str, Compare); 5] = [
    (">=", |value, limit| value >= limit),
    ("<=", |value, limit| value <= limit),
    ("==", |value, limit| value == limit),
    (">", |value, limit| value > limit),
    ("<", |value, limit| value < limit),
];

/// All comparisons of a run, and the last values seen.
#[derive(Clone, Debug, Default)]
pub struct Asserts {
    list: Vec<Assertion>,
    last: Metrics,
}

impl Asserts {
    /// Reads the arguments.
    ///
    /// # Errors
    /// One is not a comparison; the error shows where.
    pub fn parse(texts: &[String]) -> Result<Self, ConfigError> {
        let list = texts.iter().map(|text| Assertion::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { list, last: BTreeMap::new() })
    }

    /// Whether nothing is asserted.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes the values of an event.
    pub fn hear(&mut self, event: &RunEvent) {
        let (prefix, metrics) = match event {
            RunEvent::Stepped { metrics, .. } => ("", metrics),
            RunEvent::Evaluated { with_skills: false, metrics, .. } => ("eval/", metrics),
            RunEvent::Evaluated { with_skills: true, metrics, .. } => ("eval/with_skills/", metrics),
            _ => return,
        };
        self.last.extend(metrics.iter().map(|(name, value)| (format!("{prefix}{name}"), *value)));
    }

    /// Whether all hold, and if not, why; nothing where nothing is asserted.
    pub fn verdict(&self) -> Option<(Verdict, String)> {
        if self.is_empty() {
            return None;
        }
        let failed: Vec<String> = self.list.iter().filter_map(|assertion| self.failure(assertion)).collect();
        let verdict = if failed.is_empty() { Verdict::Pass } else { Verdict::Fail };
        Some((verdict, failed.join("; ")))
    }

    fn failure(&self, assertion: &Assertion) -> Option<String> {
        let Assertion { metric, sign, limit } = assertion;
        match self.last.get(metric) {
            None => Some(format!("no metric is called `{metric}`{}", self.nearest(metric))),
            Some(None) => Some(format!("`{metric}` is not finite, asserted {sign} {limit}")),
            Some(Some(value)) if assertion.holds(*value) => None,
            Some(Some(value)) => Some(format!("`{metric}` is {value}, asserted {sign} {limit}")),
        }
    }

    fn nearest(&self, metric: &str) -> String {
        let mut names: Vec<&String> = self.last.keys().collect();
        names.sort_by(|a, b| {
            let likeness = |name: &str| strsim::jaro_winkler(metric, name);
            likeness(b).total_cmp(&likeness(a))
        });
        let names: Vec<String> = names.iter().take(NEAREST).map(|name| format!("`{name}`")).collect();
        if names.is_empty() { String::new() } else { format!(", nearest are {}", names.join(", ")) }
    }
}

/// Names suggested in place of an unknown one.
const NEAREST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn asserts(texts: &[&str]) -> Asserts {
        let mut asserts = Asserts::parse(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).unwrap();
        let metrics = |success| Metrics::from([("success".to_owned(), Some(success)), ("odd".to_owned(), None)]);
        for (with_skills, success) in [(false, 0.2), (false, 0.5), (true, 0.75)] {
            let (panel, outcomes) = ("p".to_owned(), String::new());
            asserts.hear(&RunEvent::Evaluated { step: 1, panel, with_skills, metrics: metrics(success), outcomes });
        }
        let metrics = Metrics::from([("reward/mean".to_owned(), Some(3.0))]);
        asserts.hear(&RunEvent::Stepped { step: 2, metrics, skills: vec![] });
        asserts
    }

    fn said(text: &str) -> String {
        asserts(&[text]).verdict().unwrap().1
    }

    #[test]
    fn the_last_value_counts() {
        let held =
            ["eval/success>=0.5", "eval/success <= 0.5", "eval/success==5e-1", "reward/mean > 2", "reward/mean<3.1"];
        assert_eq!(asserts(&held).verdict(), Some((Verdict::Pass, String::new())));
        assert_eq!(asserts(&["eval/with_skills/success>0.7"]).verdict().unwrap().0, Verdict::Pass);
        assert_eq!(asserts(&[]).verdict(), None);
    }

    #[test]
    fn failures_say_why() {
        assert_eq!(said("eval/success>0.5"), "`eval/success` is 0.5, asserted > 0.5");
        assert_eq!(said("eval/odd>0"), "`eval/odd` is not finite, asserted > 0");
        assert!(said("eval/sucess>0").starts_with("no metric is called `eval/sucess`, nearest are `eval/success`, "));
        let both = asserts(&["reward/mean<1", "eval/success<1", "reward/mean==2"]).verdict();
        let why = "`reward/mean` is 3, asserted < 1; `reward/mean` is 3, asserted == 2".to_owned();
        assert_eq!(both, Some((Verdict::Fail, why)));
    }

    #[test]
    fn malformed_ones_are_shown_with_a_caret() {
        let shown = |text: &str| Asserts::parse(&[text.to_owned()]).unwrap_err().to_string();
        assert_eq!(
            shown("eval/success = 0.6"),
            "--assert: expected `>=`, `<=`, `>`, `<` or `==` behind the metric\n |\n | eval/success = 0.6\n |              ^"
        );
        assert_eq!(
            shown("eval/success>= high"),
            "--assert: expected a number, found `high`\n |\n | eval/success>= high\n |                ^^^^"
        );
        assert!(shown("reward/mean").contains("behind the metric"));
        assert!(shown("a>=inf").contains("expected a number"));
        assert!(shown(" >=1").contains("expected a metric"));
    }
}
