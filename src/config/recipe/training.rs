//! `[rollout]`, `[optim]`, `[eval]`, `[checkpoint]`, `[record]`, `[judge]`: how it is trained, and what is kept of that.

use serde::{Deserialize, Serialize};

use crate::config::fields::tables;
use crate::core::Split;
use crate::engine::candle::memory::Checkpointing;
use crate::env::prompt::Layout;

tables! {
    /// Playing: how experience is collected.
    pub struct RolloutSettings in "rollout" {
        /// Tasks per step, >= 1.
        pub groups: u32 = 8, NextRun;
        /// Rollouts per task (G). At least 2, because an advantage compares a rollout with the others of its group.
        pub members: u32 = 8, NextRun;
        /// `transcript` (one row per episode) or `history` (one row per turn, prompt rebuilt; the papers).
        pub layout: Layout = Layout::Transcript, NextRun;
        /// With `history`: past turns shown in each prompt; 0 = only the present observation.
        pub history: u32 = 2, NextRun;
        /// Most tokens of one reply, >= 1.
        pub max_new_tokens: u32 = 40, NextStep;
        /// Softmax temperature of sampling, > 0.
        pub temperature: f64 = 1.0, NextStep;
        /// Only the most likely tokens are drawn, so many; 0 = all. With this or one of the next two, replies come from
        /// a narrower distribution than the one that is trained; `rollout/kept_mass` says how much narrower.
        pub top_k: u32 = 0, NextStep;
        /// Only the most likely tokens that together have this probability are drawn, in (0, 1]; 1 = all.
        pub top_p: f64 = 1.0, NextStep;
        /// Only tokens at least this many times as likely as the most likely one are drawn, in [0, 1]; 0 = all.
        pub min_p: f64 = 0.0, NextStep;
        /// Strings that close a reply, e.g. `["</action>"]`, beside the model's end-of-turn token.
        pub stop: Vec<String> = vec![], NextStep;
        /// Most replies sampled side by side; 0 = all of a step. It changes memory and speed, never a result.
        pub concurrent: u32 = 0, NextStep;
        /// Most memory of the KV cache in MiB; replies that do not fit wait. 0 = no limit.
        pub cache_mb: u32 = 4096, NextStep;
    }

    /// The update: AdamW on the gradient of the method's loss.
    pub struct OptimSettings in "optim" {
        /// Learning rate, >= 0; 0 = the weights stay as they are.
        pub lr: f64 = 3e-4, NextStep;
        /// Decay of the first moment, in [0, 1).
        pub beta1: f64 = 0.9, NextStep;
        /// Decay of the second moment, in [0, 1).
        pub beta2: f64 = 0.999, NextStep;
        /// Added to the root of the second moment, > 0.
        pub eps: f64 = 1e-8, NextStep;
        /// Decoupled weight decay, >= 0; 0 = none.
        pub weight_decay: f64 = 0.01, NextStep;
        /// Gradients are scaled down to this global L2 norm, >= 0; 0 = no clipping.
        pub max_grad_norm: f64 = 1.0, NextStep;
        /// Updates per step, >= 1: the rows of a step are split into as many batches.
        pub minibatches: u32 = 2, NextStep;
        /// Steps over which the learning rate rises to `lr`; 0 = no warm-up.
        pub warmup_steps: u64 = 0, NextStep;
        /// Whether only layer inputs are kept for the backward pass and the rest is computed again: `on` (less memory, more
        /// time, the same gradient), `off`, or `auto` (as memory allows).
        pub checkpoint_layers: Checkpointing = Checkpointing::Auto, NextRun;
    }

    /// The frozen panel: the same held-out tasks at every evaluation.
    pub struct EvalSettings in "eval" {
        /// Steps between evaluations; 0 = only at the end.
        pub every: u64 = 10, NextStep;
        /// Tasks in the panel; 0 = no evaluation.
        pub games: u32 = 64, NextRun;
        /// `valid-seen`, `valid-unseen` or `train`.
        pub split: Split = Split::ValidSeen, NextRun;
        /// Softmax temperature, >= 0; 0 = greedy.
        pub temperature: f64 = 0.4, NextRun;
        /// Only the most likely tokens are drawn, so many; 0 = all.
        pub top_k: u32 = 0, NextRun;
        /// Only the most likely tokens that together have this probability are drawn, in (0, 1]; 1 = all.
        pub top_p: f64 = 1.0, NextRun;
        /// Only tokens at least this many times as likely as the most likely one are drawn, in [0, 1]; 0 = all.
        pub min_p: f64 = 0.0, NextRun;
        /// Whether the panel is also played with skills in the student's own prompt.
        pub with_skills: bool = false, NextStep;
        /// Whether the panel is played before the first step.
        pub first: bool = true, NextRun;
    }

    /// Checkpoints: weights, optimiser and everything else an exact resume needs.
    pub struct CheckpointSettings in "checkpoint" {
        /// Steps between checkpoints; 0 = only on request and at the end.
        pub every: u64 = 20, Live;
        /// How many of the newest checkpoints stay on disk; 0 = all.
        pub keep: u32 = 2, Live;
        /// Every so many steps a checkpoint is written that stays for good; 0 = none stays.
        pub permanent_every: u64 = 0, Live;
        /// Whether a checkpoint is written when the panel reaches its highest success, and stays until a better one.
        pub best: bool = true, Live;
        /// Whether the last step is checkpointed.
        pub r#final: bool = true, Live;
    }

    /// What is written beside events and rollouts.
    pub struct RecordSettings in "record" {
        /// `all` (every token with its signals, for the token screen) or `none`.
        pub tokens: RecordedTokens = RecordedTokens::All, NextStep;
        /// Whether a skill-reading teacher scores the tokens although the method has none, so that lenses can show methods
        /// that have one; costs a forward pass.
        pub teacher: bool = false, NextRun;
        /// Whether the initial weights score the tokens although the method has no reference; costs a forward pass.
        pub reference: bool = false, NextRun;
        /// Likely tokens recorded per position under both views, where there is a teacher; 0 = those of the method, if any.
        pub top_k: u32 = 0, NextRun;
        /// Steps between comparisons of the gradient that the reward asks for with the one that distillation asks for
        /// (`grad/aux_to_rl`, `grad/cosine`), in a step's first update; each costs one more forward and backward pass of
        /// it. 0 = never.
        pub gradients: u64 = 10, NextRun;
    }

    /// The judge of turns, for methods that ask one.
    pub struct JudgeSettings in "judge" {
        /// `none`, `self` (the policy), `endpoint` (an OpenAI-compatible server) or `oracle` (the environment's expert, for
        /// tests; named as a substitution).
        pub by: JudgeBy = JudgeBy::None, NextRun;
        /// Address of the server up to its version, e.g. `http://127.0.0.1:8000/v1`. Plain HTTP.
        pub url: String = String::new(), NextRun;
        /// Name of its model.
        pub model: String = String::new(), NextRun;
        /// Seconds to wait for an answer, > 0. A judge that fails is asked twice more; then the episode is not judged, and
        /// after two such episodes in a row the step fails.
        pub timeout: f64 = 120.0, NextRun;
        /// Most tokens of an answer, >= 1.
        pub max_tokens: u32 = 512, NextRun;
    }
}

/// Which tokens are written to `tokens/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedTokens {
    /// Every token of every row.
    #[default]
    All,
    /// None: the token screen and the lens stay empty.
    None,
}

/// Who judges turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgeBy {
    /// Nobody: methods that ask for a judge are refused.
    #[default]
    None,
    /// The policy that is trained.
    #[serde(rename = "self")]
    Own,
    /// A model behind an OpenAI-compatible server.
    Endpoint,
    /// The environment's expert, who knows the hidden state: for tests and upper bounds.
    Oracle,
}
