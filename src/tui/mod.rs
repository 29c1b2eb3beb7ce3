//! The screen: a live, keyboard-driven view of a run folder.
//!
//! ```text
//! Feed --records--> History --fold--> RunView --+
//!      --episodes, tokens--> StepData ----------+--> Scene --> screens::draw --> terminal
//! keys --Action--> App::update -----------------+
//! ```
//!
//! 1. [`feed::Feed`] is everything the screen knows of a run; it never touches the training.
//! 2. [`app::App`] holds one selection shared by all screens; [`app::App::update`] is pure and answers with
//!    [`app::Effect`]s that only [`shell::run`] carries out.
//! 3. Every pane is a pure function `draw(frame, area, &Scene)`.
//!
//! Keys, footer, help, palette and commands come from one table ([`keys`]); colours from one table of roles
//! ([`theme::Role`]); what a terminal without Unicode sees from one table of glyphs ([`glyph`]).

pub mod app;
pub mod bindings;
pub mod browse;
pub mod chart;
pub mod colour;
pub mod command;
pub mod data;
pub mod diff;
pub mod effect;
pub mod errands;
pub mod feed;
pub mod find;
pub mod flow;
pub mod folds;
pub mod follow;
pub mod glyph;
pub mod history;
pub mod key;
pub mod keymap;
pub mod keys;
pub mod lens;
pub mod lenses;
pub mod loader;
pub mod machine;
pub mod menus;
pub mod mouse;
pub mod options;
pub mod order;
pub mod overlay;
pub mod pace;
pub mod past;
pub mod picture;
pub mod recall;
pub mod scene;
pub mod screens;
pub mod select;
pub mod series;
pub mod settings;
pub mod shell;
pub mod splits;
pub mod text;
pub mod theme;
pub mod tokens;
pub mod update;
pub mod worth;

pub use feed::{Feed, Liveness};
pub use options::{Exit, Mode, Options};
pub use shell::run;
