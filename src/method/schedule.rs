//! A number that may change over the steps of a run. Ours.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Written as a number, or as `{ linear = { from = 0.5, to = 0.0, steps = 100 } }` (also `cosine`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Schedule {
    Constant(f64),
    Changing(Change),
}

/// How a number moves from one value to another, and stays there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Linear(Ramp),
    /// Half a cosine: slow at both ends.
    Cosine(Ramp),
}

/// `from` at step 1, `to` from step `steps + 1` on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    pub from: f64,
    pub to: f64,
    pub steps: u64,
}

/// What a schedule looks like, for whoever wrote another thing.
const FORMS: &str = "a number, or `{ linear = { from = 0.5, to = 0.0, steps = 100 } }` (or `cosine`)";

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(Forms)
    }
}

struct Forms;

impl<'de> Visitor<'de> for Forms {
    type Value = Schedule;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(FORMS)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Schedule, E> {
        Ok(Schedule::Constant(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Schedule, E> {
        Ok(Schedule::Constant(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Schedule, E> {
        Ok(Schedule::Constant(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Schedule, A::Error> {
        let change = match table.next_key::<String>()?.as_deref() {
            Some("linear") => Change::Linear(table.next_value()?),
            Some("cosine") => Change::Cosine(table.next_value()?),
            Some(other) => return Err(A::Error::custom(format!("`{other}` is no schedule, expected {FORMS}"))),
            None => return Err(A::Error::custom(format!("an empty table is no schedule, expected {FORMS}"))),
        };
        match table.next_key::<String>()? {
            Some(_) => Err(A::Error::custom("a schedule has one of `linear` and `cosine`")),
            None => Ok(Schedule::Changing(change)),
        }
    }
}

impl Schedule {
    /// A straight line.
    pub const fn linear(from: f64, to: f64, steps: u64) -> Self {
        Self::Changing(Change::Linear(Ramp { from, to, steps }))
    }

    /// The value at a step, counted from 1.
    pub fn at(self, step: u64) -> f64 {
        match self {
            Schedule::Constant(value) => value,
            Schedule::Changing(Change::Linear(ramp)) => ramp.mix(ramp.progress(step)),
            Schedule::Changing(Change::Cosine(ramp)) => {
                ramp.mix(0.5 - 0.5 * (std::f64::consts::PI * ramp.progress(step)).cos())
            }
        }
    }

    /// Whether it is zero at every step.
    pub fn is_off(self) -> bool {
        match self {
            Schedule::Constant(value) => value == 0.0,
            Schedule::Changing(Change::Linear(ramp) | Change::Cosine(ramp)) => ramp.from == 0.0 && ramp.to == 0.0,
        }
    }

    /// Both ends, for checks of range.
    pub fn ends(self) -> [f64; 2] {
        match self {
            Schedule::Constant(value) => [value, value],
            Schedule::Changing(Change::Linear(ramp) | Change::Cosine(ramp)) => [ramp.from, ramp.to],
        }
    }
}

/// A controller: the exponential average of a share (of open gates, of tokens with credit), by which numbers are moved
/// between their ends (CRAFT).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GateAverage {
    pub average: f64,
    /// Steps seen.
    pub age: u64,
}

impl GateAverage {
    /// Takes in a step's share; the first one is the average.
    pub fn see(&mut self, share: f64, decay: f64) {
        self.average = if self.age == 0 { share } else { decay * self.average + (1.0 - decay) * share };
        self.age += 1;
    }

    /// The average, once more than `warmup` steps were seen.
    pub fn share(&self, warmup: u64) -> Option<f64> {
        (self.age > warmup).then_some(self.average)
    }
}

impl From<f64> for Schedule {
    fn from(value: f64) -> Self {
        Self::Constant(value)
    }
}

impl Ramp {
    /// 0 at step 1, 1 when the ramp is over.
    fn progress(self, step: u64) -> f64 {
        (step.saturating_sub(1) as f64 / self.steps.max(1) as f64).min(1.0)
    }

    fn mix(self, share: f64) -> f64 {
        self.from + (self.to - self.from) * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_start_end_and_stay() {
        let line = Schedule::linear(0.5, 0.0, 100);
        assert_eq!([line.at(1), line.at(51), line.at(101), line.at(500)], [0.5, 0.25, 0.0, 0.0]);
        let curve = Schedule::Changing(Change::Cosine(Ramp { from: 1.0, to: 3.0, steps: 10 }));
        assert_eq!([curve.at(0), curve.at(1), curve.at(11)], [1.0, 1.0, 3.0]);
        assert!((curve.at(6) - 2.0).abs() < 1e-12 && curve.at(3) < 1.4);
        assert!(Schedule::from(0.0).is_off() && !line.is_off());
    }

    #[test]
    fn numbers_and_ramps_are_read() {
        #[derive(Deserialize, Serialize, PartialEq, Debug)]
        struct Table {
            a: Schedule,
            b: Schedule,
        }
        let table: Table = toml::from_str("a = 1\nb = { linear = { from = 0.5, to = 0, steps = 9 } }").unwrap();
        assert_eq!(table, Table { a: Schedule::Constant(1.0), b: Schedule::linear(0.5, 0.0, 9) });
        assert_eq!(toml::from_str::<Table>(&toml::to_string(&table).unwrap()).unwrap(), table);
        let refused = |a: &str| toml::from_str::<Table>(&format!("a = {a}\nb = 1")).unwrap_err().message().to_owned();
        assert!(refused("'x'").contains("expected a number, or `{ linear = { from"), "{}", refused("'x'"));
        assert!(refused("{ fom = 1 }").starts_with("`fom` is no schedule, expected a number, or `{ linear"));
        assert!(refused("{}").starts_with("an empty table is no schedule"));
        assert!(refused("{ linear = { form = 1 } }").contains("unknown field `form`"));
        let ramp = "{ from = 1, to = 0, steps = 3 }";
        assert!(refused(&format!("{{ linear = {ramp}, cosine = {ramp} }}")).contains("one of `linear` and `cosine`"));
    }
}
