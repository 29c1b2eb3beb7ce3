//! The local engine: candle tensors, our own decoder with a hand-written backward pass.

mod attention;
mod cpu;
mod files;
mod loss;
mod model;
mod ops;
mod optim;
mod sample;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, ensure};
pub use candle_transformers::models::qwen3::Config;

use self::loss::{Scored, Targets};
use self::model::{Decoder, Gradients, Packed, Tape, Weights};
use self::optim::Moments;
use self::sample::Slots;
use super::{
    AdamW, Coefficients, Engine, LossFn, ModelInfo, Sample, SampleRequest, ScoreRow, Scores, Snapshot, Update,
    WeightSet,
};

/// Memory the activations of one `forward_backward` may take; beyond it they are computed a second time.
const TAPE_BYTES: usize = 3 << 30;
/// Tokens run at once: large enough for the matrix products, small enough that buffers stay in reach of the cache
/// and are used again instead of being asked from the system.
const PASS_TOKENS: usize = 4096;

/// A decoder on this machine's CPU.
pub struct CandleEngine {
    decoder: Decoder,
    live: Weights,
    kept: BTreeMap<WeightSet, Weights>,
    grads: Gradients,
    moments: Moments,
    slots: Slots,
}

impl CandleEngine {
    /// Loads a Hugging Face folder (`config.json`, `model.safetensors`).
    pub fn load(folder: &Path) -> Result<Self> {
        let decoder = Decoder::new(files::read_config(folder)?);
        let live = files::read_weights(&folder.join("model.safetensors"), &decoder.names())?;
        Ok(Self::with(decoder, live))
    }

    /// A new model with normal(0, 0.02) weights from `seed`.
    pub fn init(config: Config, seed: u64) -> Result<Self> {
        let decoder = Decoder::new(config);
        let live = files::random_weights(&decoder, seed)?;
        Ok(Self::with(decoder, live))
    }

    fn with(decoder: Decoder, live: Weights) -> Self {
        let grads = vec![None; live.len()];
        let moments = Moments::new(&live);
        Self { decoder, live, kept: BTreeMap::new(), grads, moments, slots: Slots::default() }
    }

    fn weights(&self, set: WeightSet) -> Result<&Weights> {
        match set {
            WeightSet::Live => Ok(&self.live),
            _ => self.kept.get(&set).ok_or_else(|| anyhow::anyhow!("weight set {set:?} was never kept")),
        }
    }

    /// Tokens whose activations fit into [`TAPE_BYTES`].
    fn tape_tokens(&self) -> usize {
        let c = &self.decoder.config;
        let heads = (2 * c.num_attention_heads + 3 * c.num_key_value_heads) * c.head_dim;
        let per_layer = 4 * c.hidden_size + 3 * c.intermediate_size + 2 * heads;
        TAPE_BYTES / 4 / (per_layer * c.num_hidden_layers)
    }

    /// Splits rows into runs of at most [`PASS_TOKENS`] tokens (a longer row stands alone).
    fn passes(rows: &[ScoreRow]) -> Vec<Range<usize>> {
        let mut passes: Vec<Range<usize>> = vec![];
        let mut tokens = 0;
        for (i, row) in rows.iter().enumerate() {
            match passes.last_mut() {
                Some(pass) if tokens + row.ids.len() <= PASS_TOKENS => pass.end = i + 1,
                _ => {
                    passes.push(i..i + 1);
                    tokens = 0;
                }
            }
            tokens += row.ids.len();
        }
        passes
    }

    fn check(&self, rows: &[ScoreRow]) -> Result<()> {
        let context = self.decoder.config.max_position_embeddings;
        for row in rows {
            ensure!(
                row.ids.len() == row.mask.len(),
                "a row has {} tokens but {} mask entries",
                row.ids.len(),
                row.mask.len()
            );
            ensure!(
                row.ids.len() <= context,
                "a row of {} tokens exceeds the model's context of {context}",
                row.ids.len()
            );
        }
        Ok(())
    }

    fn run(&self, weights: &Weights, rows: &[ScoreRow], temperature: f32) -> Result<Pass> {
        let input = Packed::new(rows.iter().map(|r| r.ids));
        let targets = Targets::new(rows, &input);
        let tape = self.decoder.forward(weights, &input)?;
        let scored = loss::score(&tape.hidden, &weights[self.decoder.head()], &targets, temperature)?;
        Ok(Pass { input, targets, tape, scored })
    }

    fn back(&mut self, pass: Pass, coefficients: &[Coefficients], temperature: f32) -> Result<()> {
        let logp: Vec<f32> = coefficients.iter().flat_map(|c| c.logp.iter().copied()).collect();
        let entropy: Vec<f32> = coefficients.iter().flat_map(|c| c.entropy.iter().copied()).collect();
        ensure!(
            logp.len() == pass.targets.target.len(),
            "{} coefficients for {} tokens",
            logp.len(),
            pass.targets.target.len()
        );
        ensure!(
            entropy.is_empty() || entropy.len() == logp.len(),
            "entropy coefficients must cover all tokens or none"
        );
        let head = self.decoder.head();
        let coef = (&logp[..], &entropy[..]);
        let (dhidden, dhead) =
            loss::score_grad(&pass.tape.hidden, &self.live[head], &pass.targets, &pass.scored, coef, temperature)?;
        model::add(&mut self.grads, head, dhead)?;
        self.decoder.backward(&self.live, &pass.input, pass.tape, &dhidden, &mut self.grads)?;
        Ok(())
    }
}

/// One forward pass and all that its backward pass needs.
struct Pass {
    input: Packed,
    targets: Targets,
    tape: Tape,
    scored: Scored,
}

impl Pass {
    fn scores(&self) -> Vec<Scores> {
        let mut at = 0;
        let split = |&n: &usize| {
            let part = at..at + n;
            at += n;
            Scores { logp: self.scored.logp[part.clone()].to_vec(), entropy: self.scored.entropy[part].to_vec() }
        };
        self.targets.counts.iter().map(split).collect()
    }
}

impl Engine for CandleEngine {
    fn info(&self) -> ModelInfo {
        let c = &self.decoder.config;
        ModelInfo {
            name: format!("Qwen3 {}L d{}", c.num_hidden_layers, c.hidden_size),
            parameters: self.live.iter().map(|t| t.elem_count() as u64).sum(),
            vocab: c.vocab_size,
            context: c.max_position_embeddings,
            device: "cpu".into(),
        }
    }

    fn sample(&mut self, requests: &[SampleRequest]) -> Result<Vec<Sample>> {
        self.slots.sample(&self.decoder, &self.live, requests)
    }

    fn release(&mut self) {
        self.slots = Slots::default();
    }

    fn score(&mut self, weights: WeightSet, rows: &[ScoreRow], temperature: f32) -> Result<Vec<Scores>> {
        self.check(rows)?;
        let weights = self.weights(weights)?;
        let mut scores = Vec::with_capacity(rows.len());
        for pass in Self::passes(rows) {
            scores.extend(self.run(weights, &rows[pass], temperature)?.scores());
        }
        Ok(scores)
    }

    fn forward_backward(&mut self, rows: &[ScoreRow], temperature: f32, loss: &mut LossFn) -> Result<()> {
        self.check(rows)?;
        let parts = Self::passes(rows);
        if rows.iter().map(|r| r.ids.len()).sum::<usize>() <= self.tape_tokens() {
            let run = |part: &Range<usize>| self.run(&self.live, &rows[part.clone()], temperature);
            let passes = parts.iter().map(run).collect::<Result<Vec<Pass>>>()?;
            let coefficients = loss(&passes.iter().flat_map(Pass::scores).collect::<Vec<_>>())?;
            for (part, pass) in parts.into_iter().zip(passes) {
                self.back(pass, &coefficients[part], temperature)?;
            }
            return Ok(());
        }
        // The loss needs all scores before any gradient: score first, then run each part again with its tape.
        let coefficients = loss(&self.score(WeightSet::Live, rows, temperature)?)?;
        for part in parts {
            let pass = self.run(&self.live, &rows[part.clone()], temperature)?;
            self.back(pass, &coefficients[part], temperature)?;
        }
        Ok(())
    }

    fn optim_step(&mut self, optim: &AdamW) -> Result<Update> {
        self.slots = Slots::default(); // the caches belong to the old weights
        self.moments.step(&mut self.live, &mut self.grads, optim)
    }

    fn keep(&mut self, set: WeightSet) -> Result<()> {
        self.kept.insert(set, self.live.clone());
        Ok(())
    }

    fn save(&self, folder: &Path, resumable: bool) -> Result<()> {
        let names = self.decoder.names();
        files::write_config(folder, &self.decoder.config)?;
        files::write_weights(&folder.join("model.safetensors"), &names, &self.live, false)?;
        if resumable {
            self.moments.save(folder, &names)?;
            if let Some(reference) = self.kept.get(&WeightSet::Reference) {
                files::write_weights(&folder.join("reference.safetensors"), &names, reference, false)?;
            }
        }
        Ok(())
    }

    fn snapshot(&self, folder: &Path, resumable: bool) -> Result<Snapshot> {
        // Updates make new tensors, so the copy shares its storage with nothing that changes.
        let copy = CandleEngine {
            decoder: Decoder::new(self.decoder.config.clone()),
            live: self.live.clone(),
            kept: self.kept.clone(),
            grads: vec![],
            moments: self.moments.clone(),
            slots: Slots::default(),
        };
        let folder = folder.to_path_buf();
        Ok(Box::new(move || copy.save(&folder, resumable)))
    }

    fn restore(&mut self, folder: &Path) -> Result<()> {
        let names = self.decoder.names();
        self.live = files::read_weights(&folder.join("model.safetensors"), &names)?;
        self.moments = Moments::load(folder, &names, &self.live)?;
        let reference = folder.join("reference.safetensors");
        if reference.exists() {
            self.kept.insert(WeightSet::Reference, files::read_weights(&reference, &names)?);
        }
        self.slots = Slots::default();
        Ok(())
    }
}

/// Writes a model folder with weights in bf16: half the size, for models that are only loaded.
pub fn export(engine: &CandleEngine, folder: &Path) -> Result<()> {
    files::write_config(folder, &engine.decoder.config)?;
    files::write_weights(&folder.join("model.safetensors"), &engine.decoder.names(), &engine.live, true)
}
