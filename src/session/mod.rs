//! The trainer process: control socket, reload rules, checkpoints, shutdown.
//!
//! [`serve`] is the whole life of a trainer on one page. It drives a [`Job`] (the training itself) step by step,
//! records what the job says, and between steps does what it was asked: by readers over the control socket
//! ([`Control`], [`send`]), by an edited `config.toml`, by signals ([`Halt`]). [`spawn`] starts such a process so that
//! it outlives the terminal it was started from.

mod alerts;
mod asserts;
mod client;
mod control;
mod describe;
pub mod device;
mod endpoint;
mod files;
mod halt;
mod job;
mod journal;
mod learned;
mod orders;
mod pulse;
mod reply;
mod saver;
mod saving;
mod serve;
#[cfg(test)]
mod serve_tests;
mod skills;
mod socket;
mod spawn;
mod summarise;
#[cfg(test)]
mod summarise_tests;
mod training;
mod tuning;

pub use asserts::Asserts;
pub use client::{is_served, send};
pub use control::{Control, Order};
pub use files::SharedRecorder;
pub use halt::{Halt, Urgency, watch_signals};
pub use job::{Job, Out};
pub use pulse::Pulse;
pub use reply::{Reply, Standing};
pub use serve::{Desk, serve};
pub use socket::socket_elsewhere;
pub use spawn::{Trainer, spawn};
pub use training::Training;
