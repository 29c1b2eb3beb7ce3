//! Settings whose documentation is also data: said once, read by rustdoc, `sdlab methods show` and the printed recipe.

use serde::{Deserialize, Deserializer};

use super::schedule::Schedule;

/// One key of a method's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Key inside the table, e.g. `beta`.
    pub key: &'static str,
    /// Meaning, unit or range, effect of 0; lines separated by `\n`, each with its leading space.
    pub doc: &'static str,
}

/// Declares a settings struct and `KEYS`, its documented keys in order. What stands behind it in `state { ... }` are fields
/// that are no settings: they are not read, written or listed.
macro_rules! manual {
    (
        $(#[$about:meta])+
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])+ $(#[serde($($serde:tt)+)])? pub $field:ident: $type:ty, )+
        }
        $( state { $( $(#[doc = $about_state:literal])+ pub $state:ident: $state_type:ty, )+ } )?
    ) => {
        $(#[$about])+
        pub struct $name {
            $( $(#[doc = $doc])+ $(#[serde($($serde)+)])? pub $field: $type, )+
            $( $( $(#[doc = $about_state])+ #[serde(skip)] pub $state: $state_type, )+ )?
        }

        impl $name {
            /// Every key of the table with its documentation, in order.
            pub const KEYS: &'static [$crate::method::manual::Key] = &[ $(
                $crate::method::manual::Key { key: stringify!($field), doc: concat!($($doc, "\n"),+) },
            )+ ];
        }
    };
}

pub(super) use manual;

/// Reads a finite number >= 0; the error carries the place of the value.
pub(super) fn non_negative<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    within(source, 0.0..f64::INFINITY, "use a finite number >= 0")
}

/// Like [`non_negative`], for a key that may be left out (with `#[serde(default)]`).
pub(super) fn non_negative_if_given<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    non_negative(source).map(Some)
}

/// Reads a number in [0, 1).
pub(super) fn below_one<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    within(source, 0.0..1.0, "use a number >= 0 and < 1")
}

/// Like [`below_one`], for a key that may be left out.
pub(super) fn below_one_if_given<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    below_one(source).map(Some)
}

/// Like [`above_one_or_off`], for a key that may be left out.
pub(super) fn above_one_or_off_if_given<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    above_one_or_off(source).map(Some)
}

/// Reads a bound that must be greater than 1, or 0 = off.
pub(super) fn above_one_or_off<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(source)?;
    let fine = value == 0.0 || (value > 1.0 && value.is_finite());
    if fine { Ok(value) } else { Err(refusal(value, "use a finite number > 1, or 0 to switch it off")) }
}

fn within<'de, D: Deserializer<'de>>(source: D, range: std::ops::Range<f64>, remedy: &str) -> Result<f64, D::Error> {
    let value = f64::deserialize(source)?;
    if range.contains(&value) { Ok(value) } else { Err(refusal(value, remedy)) }
}

fn refusal<E: serde::de::Error>(value: f64, remedy: &str) -> E {
    E::custom(format!("`{value}` is out of range, {remedy}"))
}

/// Reads a number in [0, 1].
pub(super) fn share<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(source)?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(refusal(value, "use a number in [0, 1]")) }
}

/// Reads a finite number > 0.
pub(super) fn positive<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    within(source, f64::MIN_POSITIVE..f64::INFINITY, "use a finite number > 0")
}

/// Reads a finite number >= 1.
pub(super) fn from_one<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    within(source, 1.0..f64::INFINITY, "use a finite number >= 1")
}

/// Reads a list of so many finite numbers, each >= 0.
pub(super) fn each_non_negative<'de, D: Deserializer<'de>, const N: usize>(source: D) -> Result<[f64; N], D::Error>
where
    [f64; N]: Deserialize<'de>,
{
    let values = <[f64; N]>::deserialize(source)?;
    match values.into_iter().find(|value| !(0.0..f64::INFINITY).contains(value)) {
        Some(value) => Err(refusal(value, "use finite numbers >= 0")),
        None => Ok(values),
    }
}

/// Reads a count >= 1.
pub(super) fn at_least_one<'de, D: Deserializer<'de>>(source: D) -> Result<u32, D::Error> {
    let value = u32::deserialize(source)?;
    if value >= 1 { Ok(value) } else { Err(refusal(f64::from(value), "use a whole number >= 1")) }
}

/// Reads a number in [0, 1] or a schedule between such.
pub(super) fn share_schedule<'de, D: Deserializer<'de>>(source: D) -> Result<Schedule, D::Error> {
    schedule_within(source, 0.0..=1.0, "use numbers in [0, 1]")
}

/// Reads a number >= 0 or a schedule between such.
pub(super) fn non_negative_schedule<'de, D: Deserializer<'de>>(source: D) -> Result<Schedule, D::Error> {
    schedule_within(source, 0.0..=f64::MAX, "use finite numbers >= 0")
}

fn schedule_within<'de, D: Deserializer<'de>>(
    source: D,
    range: std::ops::RangeInclusive<f64>,
    remedy: &str,
) -> Result<Schedule, D::Error> {
    let schedule = Schedule::deserialize(source)?;
    match schedule.ends().into_iter().find(|end| !range.contains(end)) {
        Some(end) => Err(refusal(end, remedy)),
        None => Ok(schedule),
    }
}
