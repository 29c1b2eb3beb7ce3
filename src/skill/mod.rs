//! Skills: the bank, retrieval, and the teacher's privileged context.
//!
//! ```text
//! skills/<env>/*.toml -> Bank -> Retrieval (task, seed) -> Chosen -> Context -> the teacher's prompt
//!        bank.rs                retrieve.rs                          prompt.rs
//! ```
//!
//! Only the teacher reads them: never the student while playing or being evaluated. [`SkillBook`] is what a trainer
//! holds; everything below it is pure.

pub mod bank;
pub mod book;
pub mod prompt;
pub mod retrieve;
#[cfg(test)]
mod tests;

pub use self::bank::{Bank, BankError, Skill, SkillGroup};
pub use self::book::{Context, SkillBook, SkillStats, Statistics};
pub use self::prompt::{Layout, Placement, fit, prefix_raw};
pub use self::retrieve::{Chosen, Retrieval};
