//! The numbers of a step, stored small: steps that recorded the same names share one list of them.
//!
//! A run of 10,000 steps with 40 metrics is 400,000 numbers. As maps of owned names they take tens of megabytes and
//! most of the time a screen needs to open; as values beside a shared list of names they take four.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::core::Metrics;

/// Names in order.
type Names = Arc<[Box<str>]>;

/// What one step recorded, name by name in order. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Numbers {
    names: Names,
    /// One for each name; `NaN` where the value was not finite.
    values: Arc<[f64]>,
}

impl Numbers {
    /// The numbers of a step; one of `before` that recorded the same names lends its list of them.
    pub fn of<'a>(metrics: &Metrics, mut before: impl Iterator<Item = &'a Numbers>) -> Self {
        let same = |n: &&Numbers| {
            n.names.len() == metrics.len() && n.names.iter().zip(metrics.keys()).all(|(known, name)| **known == **name)
        };
        let names = match before.find(same) {
            Some(found) => Arc::clone(&found.names),
            None => metrics.keys().map(|name| name.as_str().into()).collect(),
        };
        let finite = |value: &Option<f64>| value.filter(|v| v.is_finite()).unwrap_or(f64::NAN);
        Self { names, values: metrics.values().map(finite).collect() }
    }

    /// What was recorded under a name: `None` nothing, `Some(None)` what was not finite.
    pub fn get(&self, name: &str) -> Option<Option<f64>> {
        Some(self.at(self.place(name)?))
    }

    /// The finite value of a name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.get(name).flatten()
    }

    /// Names and values, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<f64>)> {
        self.names.iter().map(|name| &**name).zip((0..self.values.len()).map(|at| self.at(at)))
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether both have one list of names, so that a place in one is the same name in the other.
    pub fn alike(&self, other: &Numbers) -> bool {
        Arc::ptr_eq(&self.names, &other.names)
    }

    /// Where a name stands.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.names.binary_search_by(|known| (**known).cmp(name)).ok()
    }

    /// The value at a place of [`Numbers::place`]; `None` is not finite (or no such place).
    pub fn at(&self, place: usize) -> Option<f64> {
        self.values.get(place).copied().filter(|v| v.is_finite())
    }

    /// As the record had them.
    pub fn to_metrics(&self) -> Metrics {
        self.iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self { names: Arc::new([]), values: Arc::new([]) }
    }
}

impl From<Metrics> for Numbers {
    fn from(metrics: Metrics) -> Self {
        Self::of(&metrics, std::iter::empty())
    }
}

/// Equal if they say the same: a value that was not finite equals another.
impl PartialEq for Numbers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(names: &[&str]) -> Metrics {
        names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), Some(at as f64))).collect()
    }

    #[test]
    fn what_was_recorded_comes_back_and_equal_names_are_kept_once() {
        let first = Numbers::from(metrics(&["b", "a", "c"]));
        let again = Numbers::of(&metrics(&["a", "b", "c"]), [&first].into_iter());
        let other = Numbers::of(&metrics(&["a", "b", "d"]), [&first, &again].into_iter());
        assert!(first.alike(&again) && !first.alike(&other));
        assert_eq!((first.value("b"), again.value("b"), other.get("c")), (Some(0.0), Some(1.0), None));
        assert_eq!(again.to_metrics(), metrics(&["a", "b", "c"]));
        assert_eq!(serde_json::to_string(&again).unwrap(), r#"{"a":0.0,"b":1.0,"c":2.0}"#);
    }

    #[test]
    fn a_value_that_is_not_finite_is_there_and_is_none() {
        let odd: Metrics = [("x".into(), None), ("y".into(), Some(f64::INFINITY))].into();
        let numbers = Numbers::from(odd);
        assert_eq!((numbers.get("x"), numbers.get("y"), numbers.get("z")), (Some(None), Some(None), None));
        assert_eq!(numbers, numbers.clone());
        assert_ne!(numbers, Numbers::default());
    }
}
