//! The local engine: candle tensors, our own decoder with a hand-written backward pass.

mod arch;
mod attention;
mod cached;
mod cpu;
mod draw;
mod embed;
mod files;
mod folder;
mod heap;
mod kv;
mod layout;
mod lora;
#[cfg(test)]
mod lora_tests;
mod loss;
mod meeting;
pub mod memory;
mod model;
mod ops;
mod optim;
mod panel;
#[cfg(test)]
mod parity_tests;
mod parts;
mod pass;
mod peft;
mod plain;
mod ready;
mod sample;
mod sets;
#[cfg(test)]
mod sets_tests;
#[cfg(test)]
mod tests;
mod weights;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use candle_core::Device;

pub use self::arch::{Architecture, Family, RopeScaling};
pub use self::folder::{Found, adapters, architecture, examine, export};
use self::layout::Names;
pub use self::layout::Projection;
pub use self::lora::Lora;
use self::memory::{Checkpointing, Dims, Dtype, TAPE_BYTES};
use self::model::{Decoder, Gradients, Weights};
use self::optim::Moments;
use self::ready::{Ready, Sampled};
use self::sets::Sets;
use super::{
    AdamW, Coefficients, Engine, LossFn, ModelInfo, Next, Parts, SampleRequest, Sampler, ScoreRow, Scores, Snapshot,
    Update, WeightSet,
};

/// How a model is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub dtype: Dtype,
    /// `None` = all parameters are trained.
    pub lora: Option<Lora>,
    /// Where it computes.
    pub place: Place,
    /// Seed of new adapters.
    pub seed: u64,
    pub checkpointing: Checkpointing,
    /// Most bytes of activations kept for the backward pass; what is more is computed a second time.
    pub tape_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        let checkpointing = Checkpointing::Auto;
        let place = Place::default();
        Self { dtype: Dtype::F32, lora: None, place, seed: 0, checkpointing, tape_bytes: TAPE_BYTES }
    }
}

/// Where an engine computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Cpu,
    /// A GPU by its number; needs a build with the feature `cuda`.
    Cuda(usize),
}

impl Place {
    fn device(self) -> Result<Device> {
        match self {
            Place::Cpu => Ok(Device::Cpu),
            Place::Cuda(n) => plain::open(n).with_context(|| format!("`cuda:{n}` cannot be opened")),
        }
    }
}

/// A decoder on this machine's CPU or on one of its GPUs.
pub struct CandleEngine {
    decoder: Decoder,
    options: Options,
    /// The folder the model was loaded from; empty for a new one.
    origin: PathBuf,
    /// Names and shapes of all tensors, adapters last.
    names: Names,
    /// What computes.
    live: Weights,
    /// What the optimiser updates, where `live` is rounded from it.
    master: Option<Weights>,
    /// `live` as kept sets hold it, where that is another precision; made when asked for, gone with an update.
    packed: Option<Weights>,
    sets: Sets,
    /// What was sampled with last, as the sampler reads it.
    ready: Ready,
    /// Decay of the average per update; `None` = none is kept.
    ema_decay: Option<f64>,
    grads: Gradients,
    moments: Moments,
}

impl CandleEngine {
    /// Sizes of the model as far as memory depends on them.
    pub fn dims(&self) -> Dims {
        Dims::from(&self.decoder.config)
    }
}

impl Engine for CandleEngine {
    fn info(&self) -> ModelInfo {
        let c = &self.decoder.config;
        let count = |weights: &[candle_core::Tensor]| weights.iter().map(|t| t.elem_count() as u64).sum();
        let adapters = self.options.lora.as_ref().map_or(String::new(), |lora| format!(" lora r{}", lora.rank));
        ModelInfo {
            name: format!("{} {}L d{}{adapters}", c.family.name(), c.num_hidden_layers, c.hidden_size),
            parameters: count(&self.live.base()),
            trained: count(&self.live[self.live.trained()]),
            vocab: c.vocab_size,
            context: c.max_position_embeddings,
            device: match self.options.place {
                Place::Cpu => "cpu".into(),
                Place::Cuda(n) => format!("cuda:{n}"),
            },
        }
    }

    fn sample(&mut self, sampler: &Sampler, first: Vec<SampleRequest>, next: &mut Next) -> Result<()> {
        self.ready.refresh(&self.live, |place| self.decoder.multiplies(place))?;
        let from = Sampled { weights: &self.live, ready: &self.ready, meeting: None };
        sample::sample(&self.decoder, from, sampler, first, next)
    }

    fn sample_as(
        &mut self,
        weights: WeightSet,
        sampler: &Sampler,
        first: Vec<SampleRequest>,
        next: &mut Next,
    ) -> Result<()> {
        let (decoder, weights) = self.model(weights)?;
        self.ready.refresh(&weights, |place| decoder.multiplies(place))?;
        let from = Sampled { weights: &weights, ready: &self.ready, meeting: None };
        sample::sample(&decoder, from, sampler, first, next)
    }

    fn score(&mut self, weights: WeightSet, rows: &[ScoreRow], temperature: f32) -> Result<Vec<Scores>> {
        self.score_rows(weights, rows, temperature)
    }

    fn embed(&mut self, weights: WeightSet, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        self.embed_rows(weights, rows)
    }

    fn forward_backward(&mut self, rows: &[ScoreRow], temperature: f32, loss: &mut LossFn) -> Result<()> {
        self.learn_rows(rows, temperature, loss)
    }

    fn compare(&mut self, rows: &[ScoreRow], temperature: f32, part: Vec<Coefficients>) -> Result<Option<Parts>> {
        self.compare_part(rows, temperature, part)
    }

    fn optim_step(&mut self, optim: &AdamW) -> Result<Update> {
        let trained = self.master.as_mut().unwrap_or(&mut self.live);
        let update = self.moments.step(trained, &mut self.grads, optim)?;
        if !update.skipped {
            self.packed = None;
            if let Some(master) = &self.master {
                self.live = master.rounded(self.live.dtype())?;
            }
            self.average_live()?;
        }
        Ok(update)
    }

    fn adapters(&self) -> Vec<(String, Vec<usize>)> {
        if self.live.frozen() { self.names[self.live.trained()].to_vec() } else { vec![] }
    }

    fn set_adapters(&mut self, numbers: &[Vec<f32>]) -> Result<()> {
        self.put_adapters(numbers)
    }

    fn take_gradient(&mut self) -> Result<Vec<Vec<f32>>> {
        self.give_gradient()
    }

    fn keep(&mut self, set: WeightSet) -> Result<()> {
        self.keep_live(set)
    }

    fn restart(&mut self, set: WeightSet) -> Result<()> {
        self.begin_again(set)
    }

    fn keep_folder(&mut self, set: WeightSet, folder: &Path) -> Result<()> {
        self.keep_from(set, folder)
    }

    fn blend(&mut self, into: WeightSet, from: [WeightSet; 2], share: f64) -> Result<()> {
        self.mix(into, from, share)
    }

    fn average(&mut self, decay: Option<f64>) -> Result<()> {
        self.follow(decay)
    }

    fn keeps(&self, set: WeightSet) -> bool {
        set == WeightSet::Live || self.sets.contains_key(&set)
    }

    fn forget(&mut self, set: WeightSet) {
        self.sets.remove(&set);
    }

    fn save(&self, folder: &Path, resumable: bool) -> Result<()> {
        self.save_folder(folder, resumable)
    }

    fn snapshot(&self, folder: &Path, resumable: bool) -> Result<Snapshot> {
        // Updates make new tensors, so the copy shares its storage with nothing that changes. It is in host memory: a
        // device's is too small to hold what was before an update beside what comes after it.
        let mut seen = HashMap::new();
        let mut ashore = |weights: &Weights| weights.ashore(&mut seen);
        let live = ashore(&self.live)?;
        let whole = resumable.then_some(self);
        let sets = whole.iter().flat_map(|all| all.sets.iter());
        let sets = sets.map(|(set, kept)| Ok((*set, kept.with(&mut ashore)?))).collect::<Result<_>>()?;
        let copy = CandleEngine {
            decoder: self.decoder.clone(),
            options: self.options.clone(),
            origin: self.origin.clone(),
            names: self.names.clone(),
            // where it is not written, it still says that the live weights are rounded
            master: match whole {
                Some(all) => all.master.as_ref().map(&mut ashore).transpose()?,
                None => self.master.as_ref().map(|_| live.clone()),
            },
            packed: whole.and_then(|all| all.packed.as_ref()).map(&mut ashore).transpose()?,
            live,
            sets,
            ready: Ready::default(),
            ema_decay: self.ema_decay,
            grads: vec![],
            moments: whole.map(|all| all.moments.ashore()).transpose()?.unwrap_or_default(),
        };
        let folder = folder.to_path_buf();
        Ok(Box::new(move || copy.save(&folder, resumable)))
    }

    fn restore(&mut self, folder: &Path) -> Result<()> {
        self.restore_folder(folder)
    }
}
