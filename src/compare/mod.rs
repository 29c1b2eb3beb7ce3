//! Runs beside each other: a row per run, a language to choose among them, what differs, median and band over seeds.
//! Reads run folders only, like every reader.

mod diff;
mod query;
mod row;
mod seeds;

pub use diff::diff;
pub use query::{Query, known};
pub use row::{Listing, RunRow};
pub use seeds::{Course, over_seeds, quartiles};
