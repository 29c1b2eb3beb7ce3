//! The run folder: the only interface between the process that trains and everything that reads.
//!
//! ```text
//! trainer                                   readers (screen, --batch, replay, compare, export)
//! Recorder --record--> events.jsonl ------> Source --> view::RunView::apply
//!          --turn----> rollouts/*.jsonl --> Store::episodes   (parquet once the step is closed)
//!          --close---> tokens/*.parquet --> Store::tokens
//! RunLock, Heartbeat -> lock, status.json -> status::life
//! ```

mod append;
mod error;
mod file;
mod finite;
mod live;
mod parquet_columns;
mod parquet_rows;
mod process;
mod supersede;
mod written;

pub mod absorb;
pub mod bank;
pub mod filter;
pub mod folder;
pub mod foreign;
pub mod index;
pub mod lock;
pub mod manifest;
pub mod numbers;
pub mod recorder;
pub mod search;
pub mod source;
pub mod status;
pub mod store;
pub mod sums;
pub mod view;

pub use absorb::Absorption;
pub use error::{Result, RunError};
pub use file::atomic_write;
pub use finite::metrics_from;
pub use folder::{RunFolder, list_runs};
pub use lock::RunLock;
pub use manifest::Manifest;
pub use numbers::Numbers;
pub use recorder::Recorder;
pub use source::{Source, up_to};
pub use status::{Heartbeat, Life};
pub use store::Store;
pub use supersede::set_aside;
pub use written::check_written;
