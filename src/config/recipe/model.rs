//! `[run]` and `[model]`: what is trained, where and for how long.

use serde::{Deserialize, Serialize};

use crate::config::fields::tables;
use crate::engine::candle::memory::Dtype;
use crate::engine::candle::{Lora, Projection};

tables! {
    /// The run itself.
    pub struct RunSettings in "run" {
        /// Name of the run folder; empty = made from environment, method and time.
        pub name: String = String::new(), NextRun;
        /// Seed of everything random: tasks, sampling, retrieval. Same seed, same recipe, same events (on CPU).
        pub seed: u64 = 0, NextRun;
        /// Training steps in all, >= 1. May be raised while the run is going.
        pub steps: u64 = 60, NextStep;
        /// Folder in which run folders are made.
        pub root: String = "runs".into(), NextRun;
    }

    /// The model that is trained, and scored as its own teacher.
    pub struct ModelSettings in "model" {
        /// Model folder (`config.json`, `*.safetensors`, `tokenizer.json`, chat template), `.gguf` file, folder of
        /// adapters as PEFT writes them (which are trained on then), or hub id such as `Qwen/Qwen3-0.6B` (perhaps
        /// `@revision`), taken from the local Hugging Face cache.
        pub path: String = "runs/starter/model".into(), NextRun;
        /// `auto` (the first GPU if there is one and the program was built for it, else the CPU), `cpu` or `cuda:0`.
        pub device: Device = Device::Auto, NextRun;
        /// Precision of the weights that compute: `f32`, or `bf16` (the nearest bf16 numbers to f32 master weights).
        /// Gradients and optimiser are f32 in both.
        pub dtype: Dtype = Dtype::F32, NextRun;
        with lora: LoraSettings;
    }

    /// Low-rank adapters: the model is frozen and only they are trained.
    pub struct LoraSettings in "model.lora" {
        /// Rank of the adapters; 0 = no adapters, all parameters are trained.
        pub rank: u32 = 0, NextRun;
        /// The adapters are scaled by alpha / rank, > 0.
        pub alpha: f64 = 32.0, NextRun;
        /// Matrices that get an adapter: `q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`, `up_proj`, `down_proj`.
        pub targets: Vec<Projection> = Projection::ALL.to_vec(), NextRun;
    }
}

/// Where the model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The first GPU where there is one and the program was built for it, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// The GPU of that number.
    Cuda(usize),
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match (text.as_str(), number) {
            ("auto", _) => Ok(Device::Auto),
            ("cpu", _) => Ok(Device::Cpu),
            (_, Some(number)) => Ok(Device::Cuda(number)),
            _ => Err(format!("`{text}` is not a device, expected `auto`, `cpu` or `cuda:0`")),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        match device {
            Device::Auto => "auto".into(),
            Device::Cpu => "cpu".into(),
            Device::Cuda(number) => format!("cuda:{number}"),
        }
    }
}

impl LoraSettings {
    /// The adapters, as the engine takes them; `None` = all parameters are trained.
    pub fn adapters(&self) -> Option<Lora> {
        let lora = Lora { rank: self.rank as usize, alpha: self.alpha, targets: self.targets.clone() };
        (self.rank > 0).then_some(lora)
    }
}
