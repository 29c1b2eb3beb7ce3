//! Skills: the bank, retrieval, the teacher's privileged context, and what is learned from episodes.
//!
//! ```text
//! skills/<env>/*.toml -> Bank -> Shelf -> Retrieval (task, statistics, seed) -> Chosen -> Context -> teacher's prompt
//!   bank, parse          write   shelf    retrieve                                        book      prompt
//! Episode -> author -> Draft -> learned Bank          what came of each skill -> Tally -> UCB, evolution
//!            distil, ask        evolve                                           stats
//! ```
//!
//! Only the teacher reads them, unless the method says otherwise: never the student while it is evaluated.
//! [`SkillBook`] is what a trainer holds; everything below it is pure.

pub mod ask;
pub mod bank;
pub mod book;
pub mod distil;
pub mod draft;
pub mod evolve;
pub mod file;
pub mod import;
pub mod neutral;
mod parse;
pub mod prompt;
pub mod retrieve;
pub mod shelf;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod write;

pub use self::bank::{Bank, BankError, Skill, SkillGroup};
pub use self::book::{Context, SkillBook, Way};
pub use self::draft::{Contrast, Form};
pub use self::prompt::{Layout, Placement, fit, prefix_raw};
pub use self::retrieve::{Chosen, Query, Retrieval};
pub use self::shelf::Shelf;
pub use self::stats::{Lived, SkillStats, Statistics, Tally};
