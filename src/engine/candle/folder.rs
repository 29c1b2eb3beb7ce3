//! Opening, saving and restoring: model folders, adapter folders and checkpoints.
//!
//! | trained | a checkpoint holds | and, to be resumed |
//! |---|---|---|
//! | all parameters, f32 | `config.json` `model.safetensors` | optimiser, sets |
//! | all parameters, bf16 | the same, in bf16 | `master.safetensors` (f32), optimiser, sets |
//! | adapters | `adapter_config.json` `adapter_model.safetensors` (PEFT) | optimiser, sets |

use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device};

pub use super::files::Found;
use super::heap;
use super::layout::Layout;
use super::memory::Dtype;
use super::model::Decoder;
use super::optim::Moments;
use super::ready::Ready;
use super::sets::{Sets, read_tensors, write_set};
use super::weights::Weights;
use super::{Architecture, CandleEngine, Lora, Options, Place, files, lora, peft};
use crate::hub;

const MODEL: &str = "model.safetensors";
const MASTER: &str = "master.safetensors";

impl CandleEngine {
    /// Loads a model, to train all its parameters in f32: a Hugging Face folder (`config.json`, safetensors whole or in
    /// shards), a `.gguf` file, or an adapter folder as PEFT writes it, to train those adapters of the model it names.
    pub fn load(folder: &Path) -> Result<Self> {
        Self::open(folder, Options::default())
    }

    /// Loads a model or adapter folder, to be trained as `options` say; the adapters of an adapter folder take the
    /// place of `options.lora`.
    pub fn open(folder: &Path, options: Options) -> Result<Self> {
        if peft::is_adapter(folder) {
            let config = peft::read_config(folder)?;
            let base = hub::base(folder, &config.base)?;
            ensure!(
                !peft::is_adapter(&base),
                "{}: its base model `{}` is no model; name one in `base_model_name_or_path`",
                folder.display(),
                base.display()
            );
            let missing = || format!("{}: its base model cannot be loaded", folder.display());
            let options = Options { lora: Some(config.lora), ..options };
            let mut engine = Self::open(&base, options).with_context(missing)?;
            engine.live = engine.read_adapters(folder)?;
            return Ok(engine);
        }
        let (architecture, weights) = files::read_model(folder)?;
        Self::with(Decoder::new(architecture), weights, options, folder)
    }

    /// A new model with normal(0, 0.02) weights from `seed`.
    pub fn init(config: Architecture, seed: u64) -> Result<Self> {
        Self::init_with(config, seed, Options::default())
    }

    /// A new model that is trained as `options` say.
    pub fn init_with(config: Architecture, seed: u64, options: Options) -> Result<Self> {
        let decoder = Decoder::new(config);
        let weights = files::random_weights(&decoder, seed)?;
        Self::with(decoder, weights, options, Path::new(""))
    }

    fn with(decoder: Decoder, base: Weights, options: Options, origin: &Path) -> Result<Self> {
        let mut names = decoder.names();
        let base = base.on(&options.place.device()?)?;
        heap::keep();
        let half = if options.place == Place::Cpu { DType::F32 } else { DType::BF16 };
        let (live, master) = match (&options.lora, options.dtype) {
            (None, Dtype::F32) => (base, None),
            (None, Dtype::Bf16) => (base.rounded(half)?, Some(base)),
            (Some(lora), dtype) => {
                let (more, adapters) = lora::plan(decoder.layout(), lora)?;
                let tensors = lora::random(&more, options.seed)?;
                let tensors = Weights::from(tensors).on(base[0].device())?.to_vec();
                names.extend(more);
                let base = if dtype == Dtype::Bf16 { base.rounded(half)? } else { base };
                (base.with_adapters(tensors, adapters), None)
            }
        };
        let grads = vec![None; live.len()];
        Ok(Self {
            decoder,
            options,
            origin: origin.to_path_buf(),
            names,
            live,
            master,
            packed: None,
            sets: Sets::new(),
            ready: Ready::default(),
            ema_decay: None,
            grads,
            moments: Moments::default(),
        })
    }

    /// Where the weights are.
    fn device(&self) -> &Device {
        self.live[0].device()
    }

    /// The weights that a folder's model or adapters would compute with here, and their decoder where it is not the one
    /// that is trained.
    pub(super) fn read_folder(&self, folder: &Path) -> Result<(Weights, Option<Decoder>)> {
        if peft::is_adapter(folder) {
            return Ok((self.read_adapters(folder)?, None));
        }
        if self.live.frozen() && folder == self.origin {
            return Ok((self.live.base(), None));
        }
        let (theirs, weights) = files::read_model(folder)?;
        let other = (theirs != self.decoder.config).then(|| Decoder::new(theirs));
        let weights = weights.on(self.device())?;
        Ok((if self.options.dtype == Dtype::Bf16 { weights.rounded(self.live.dtype())? } else { weights }, other))
    }

    fn read_adapters(&self, folder: &Path) -> Result<Weights> {
        let config = peft::read_config(folder)?;
        let fits = self.options.lora.as_ref().is_some_and(|ours| ours.same_adapters(&config.lora));
        ensure!(
            fits,
            "{}: its adapters have another rank, alpha or other targets than `[model.lora]` says",
            folder.display()
        );
        let trained = self.live.trained();
        let mut weights = self.live.clone();
        let read = Weights::from(peft::read_adapters(folder, &self.names[trained.clone()])?).on(self.device())?;
        weights[trained].clone_from_slice(&read);
        Ok(weights)
    }

    pub(super) fn save_folder(&self, folder: &Path, resumable: bool) -> Result<()> {
        match &self.options.lora {
            Some(lora) => {
                peft::write_config(folder, lora, &self.origin)?;
                write_set(&folder.join(peft::WEIGHTS), &self.names, &self.live)?;
            }
            None => {
                files::write_config(folder, &self.decoder.config)?;
                files::write_weights(&folder.join(MODEL), &self.names, &self.live, self.rounds())?;
            }
        }
        if resumable {
            if let Some(master) = &self.master {
                write_set(&folder.join(MASTER), &self.names, master)?;
            }
            self.moments.save(folder, &self.names[self.live.trained()])?;
            self.save_sets(folder)?;
        }
        Ok(())
    }

    /// Everything is read before anything is replaced: a checkpoint that cannot be used changes nothing.
    pub(super) fn restore_folder(&mut self, folder: &Path) -> Result<()> {
        let moments = Moments::load(folder, &self.names[self.live.trained()])?;
        let (live, master) = if self.options.lora.is_some() {
            (self.read_adapters(folder)?, None)
        } else if self.rounds() {
            let master = Weights::from(read_tensors(&folder.join(MASTER), &self.names)?).on(self.device())?;
            (master.rounded(self.live.dtype())?, Some(master))
        } else {
            (files::read_weights(&folder.join(MODEL), &self.names)?.on(self.device())?, None)
        };
        let packed = if self.rounds() { Some(live.packed()?) } else { None };
        let sets = self.read_sets(folder, packed.as_ref().unwrap_or(&live))?;
        self.grads = vec![None; live.len()];
        (self.live, self.master, self.packed) = (live, master, packed);
        (self.moments, self.sets) = (moments, sets);
        Ok(())
    }
}

/// The architecture of the model in `folder`, or of the model that the adapters in it belong to; reads no weights.
pub fn architecture(folder: &Path) -> Result<Architecture> {
    if peft::is_adapter(folder) {
        return files::read_architecture(&hub::base(folder, &peft::read_config(folder)?.base)?);
    }
    files::read_architecture(folder)
}

/// The adapters in `folder`, if it holds such: they are what is trained there, whatever a recipe says.
pub fn adapters(folder: &Path) -> Result<Option<Lora>> {
    peft::is_adapter(folder).then(|| Ok(peft::read_config(folder)?.lora)).transpose()
}

/// Looks at all weights of a model, or of adapters and of the model they belong to, and keeps none: what is there, and
/// everything that would keep it from being loaded.
///
/// # Errors
/// There is nothing to look at; the sentence names the file.
pub fn examine(folder: &Path) -> Result<Found> {
    if !peft::is_adapter(folder) {
        return files::examine(folder);
    }
    let config = peft::read_config(folder)?;
    let base = hub::base(folder, &config.base)?;
    let layout = Layout::new(&files::read_architecture(&base)?);
    let (names, _) = lora::plan(&layout, &config.lora)?;
    Ok(files::examine(&base)?.and(files::examine_file(&folder.join(peft::WEIGHTS), &names)?))
}

/// Writes a model folder with weights in bf16: half the size, for models that are only loaded. Adapters are merged
/// into the matrices they belong to.
pub fn export(engine: &CandleEngine, folder: &Path) -> Result<()> {
    files::write_config(folder, &engine.decoder.config)?;
    let weights = lora::merged(&engine.live)?;
    files::write_weights(&folder.join(MODEL), &engine.decoder.names(), &weights, true)
}
