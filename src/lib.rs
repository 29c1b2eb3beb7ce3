//! `sdlab`: a terminal-first workbench that trains a small LLM agent with reinforcement learning and
//! self-distillation, and shows every rollout and every token's teacher signal while it happens.
//!
//! # The data path
//!
//! ```text
//! Task -> Episode(Turn...) -> Row -> Scores -> Plan -> Metrics -> RunEvent -> RunView -> screen
//!  env      train/rollout     text   engine   method   train      run/recorder  run/view   tui
//! ```
//!
//! # Three ideas
//!
//! 1. **The run folder is the interface.** One process trains and writes `runs/<id>/`; the screen, `--batch`,
//!    replay and attach all read that folder through one fold ([`run::view::RunView::apply`]).
//! 2. **A method is a pure function on numbers** ([`method`]): log-probabilities in, a loss value and its
//!    derivative by each log-probability out. No tensors, no device.
//! 3. **The engine is a small trait** ([`engine::Engine`]): sample, score, forward-backward, optimiser step.
//!
//! # Layers
//!
//! Imports only go down; `tests/layers.rs` enforces it. From the top: `cli` and `wiring`, then `tui` and `batch`, then
//! `session`, `train`, `lens`, `config`, then `method`, `env`, `skill`, `engine`, then `text` and `hub`, then `run`, then `core`.

//!
//! # Deviations, said first
//!
//! - `old` log-probs are the sampler's: one engine samples, scores and trains with one set of weights, so they equal
//!   the step-start ones to the rounding that `mismatch/max` reports (about 1e-5). SDAR's code scores again.
//! - The teacher scores once per step with the step-start weights, as SDAR's code does; the student's term uses the
//!   current ones.
//! - Recorded log-probs are those of the full temperature-scaled softmax, the policy that is trained. With `top_k`, `top_p`
//!   or `min_p` replies come from a narrower one, and the ratio to it is left out, as is usual; `rollout/kept_mass` says
//!   how much of the full one the filter let through.
//! - Rows are one per episode by default (`transcript`); the papers' one row per turn is `rollout.layout = "history"`.
//! - The decoder's backward pass is written out over packed rows instead of using candle's autograd, which drops
//!   gradients of several operations without a word.
//! - A group's rollouts share one choice of skills, which counts as one retrieval; its reason is recorded once per group.
//! - A skill's utility is known only where students read skills: in methods that play part of a group with them, or where
//!   the panel is also played with skills. SkillRL's update of weak task types looks at one step's episodes.
//! - Skills by an endpoint come in when they come; a resumed run takes those that were recorded from the records.
//! - A trust-region teacher is a mixture of two sets of weights; SDPO mixes their logits.
//! - `dtype = "bf16"` computes with bf16 numbers held in f32: a CPU gains the same rounding and smaller files, no speed.
//! - A hypernetwork ([`train::hypernet`]) is trained above the engine, which only takes adapters and gives their gradient.
//! - Adapters have no dropout: what scores must be what sampled.

pub mod batch;
pub mod cli;
pub mod compare;
pub mod config;
pub mod core;
pub mod engine;
pub mod env;
pub mod export;
pub mod hub;
pub mod lens;
pub mod method;
pub mod run;
pub mod session;
pub mod skill;
pub mod text;
pub mod train;
pub mod tui;
pub mod wiring;
