//! The words everything else is said in: tasks, episodes, rows of tokens, run events, seeded randomness.

pub mod episode;
pub mod event;
pub mod exit;
pub mod place;
pub mod rng;
pub mod skill;

pub use episode::{Ending, Episode, EpisodeId, Listed, Role, Split, Stop, Task, TokenRecord, Turn, View};
pub use event::{Command, Metrics, Phase, Record, RunEvent};
pub use exit::Exit;
pub use place::line_column;
