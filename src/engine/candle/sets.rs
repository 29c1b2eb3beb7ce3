//! Named weight sets. A set that equals another shares its storage; it costs memory only from the moment they differ.
//!
//! With `dtype = "bf16"` kept sets are held in two bytes a number: the weights that compute are bf16 numbers, so nothing
//! is lost. The average (EMA) is the exception: it moves by less than a bf16 step, so it stays in f32 and is rounded when
//! it computes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::CandleEngine;
use super::files;
use super::layout::Names;
use super::model::Decoder;
use super::ops::{host, tensor};
use super::optim::Moments;
use super::plain;
use super::weights::Weights;
use crate::engine::WeightSet;

/// A kept set.
#[derive(Clone)]
pub(super) struct Kept {
    weights: Weights,
    /// The folder it was loaded from, where it is not ours to save.
    from: Option<PathBuf>,
    /// Its decoder, where that is another one than is trained: a teacher of another size, which scores and plays.
    other: Option<Decoder>,
}

#[cfg(test)]
impl Kept {
    pub fn of(weights: Weights) -> Self {
        Self { weights, from: None, other: None }
    }

    pub fn dtype(&self) -> candle_core::DType {
        self.weights[0].dtype()
    }
}

/// All kept sets by name.
pub(super) type Sets = BTreeMap<WeightSet, Kept>;

const INDEX: &str = "sets.json";

/// Where a checkpoint holds a set.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Place {
    /// It equals the live weights.
    Live,
    /// The model with its adapters off.
    Base,
    /// In this file of the checkpoint; several sets may share one.
    File(String),
    /// In a model folder elsewhere.
    Folder(PathBuf),
}

impl CandleEngine {
    /// The weights that compute as `set`, and their decoder.
    pub(super) fn model(&self, set: WeightSet) -> Result<(Decoder, Weights)> {
        match self.sets.get(&set).and_then(|kept| Some((kept.other.clone()?, &kept.weights))) {
            Some((decoder, weights)) if self.rounds() => Ok((decoder, weights.rounded(self.live.dtype())?)),
            Some((decoder, weights)) => Ok((decoder, weights.clone())),
            None => Ok((self.decoder.clone(), self.weights(set)?)),
        }
    }

    /// The weights that compute as `set`, of the model that is trained.
    pub(super) fn weights(&self, set: WeightSet) -> Result<Weights> {
        if set == WeightSet::Live {
            return Ok(self.live.clone());
        }
        let Kept { weights: kept, other, .. } = self.kept(set)?;
        let name = set.name();
        ensure!(
            other.is_none(),
            "the weight set `{name}` is of another architecture: it can score and play, but no more"
        );
        Ok(match self.rounds() {
            true if self.packed.as_ref().is_some_and(|live| live.same(kept)) => self.live.clone(),
            true => kept.rounded(self.live.dtype())?,
            false => kept.clone(),
        })
    }

    fn kept(&self, set: WeightSet) -> Result<&Kept> {
        let name = set.name();
        self.sets.get(&set).with_context(|| format!("the weight set `{name}` is asked for but was never kept"))
    }

    /// Whether the weights that compute are rounded from a master. A frozen base is rounded once, when loaded.
    pub(super) fn rounds(&self) -> bool {
        self.master.is_some()
    }

    /// What the optimiser updates.
    fn exact(&self) -> &Weights {
        self.master.as_ref().unwrap_or(&self.live)
    }

    /// The live weights as kept sets hold them: shared, or packed once per update.
    fn live_to_keep(&mut self) -> Result<Weights> {
        if !self.rounds() {
            return Ok(self.live.clone());
        }
        if self.packed.is_none() {
            self.packed = Some(self.live.packed()?);
        }
        Ok(self.packed.clone().unwrap_or_else(|| self.live.clone()))
    }

    pub(super) fn keep_live(&mut self, set: WeightSet) -> Result<()> {
        let weights = match set {
            WeightSet::Live => return Ok(()),
            WeightSet::Ema => self.exact().clone(),
            // adapters that do nothing yet are kept as "off", which also computes nothing
            _ if self.live.idle()? => self.live.base(),
            _ => self.live_to_keep()?,
        };
        self.sets.insert(set, Kept { weights, from: None, other: None });
        Ok(())
    }

    /// Makes the live weights equal to a kept set, with fresh moments.
    pub(super) fn begin_again(&mut self, set: WeightSet) -> Result<()> {
        ensure!(!self.live.frozen(), "adapters cannot be started again");
        let weights = self.weights(set)?;
        if self.rounds() {
            self.master = Some(weights.map(|t| t.to_dtype(DType::F32))?);
        }
        self.live = weights;
        self.packed = None;
        self.moments = Moments::default();
        Ok(())
    }

    /// Starts, changes or ends the average.
    pub(super) fn follow(&mut self, decay: Option<f64>) -> Result<()> {
        if let Some(decay) = decay {
            ensure!((0.0..1.0).contains(&decay), "the decay of the average is {decay}, it must be in [0, 1)");
            if !self.sets.contains_key(&WeightSet::Ema) {
                self.keep_live(WeightSet::Ema)?;
            }
        } else {
            self.sets.remove(&WeightSet::Ema);
        }
        self.ema_decay = decay;
        Ok(())
    }

    /// Moves the average towards the weights the optimiser has just updated.
    pub(super) fn average_live(&mut self) -> Result<()> {
        let Some(decay) = self.ema_decay else { return Ok(()) };
        let weights = self.kept(WeightSet::Ema)?.weights.zip(self.exact(), |e, w| lerp(e, w, 1.0 - decay))?;
        self.sets.insert(WeightSet::Ema, Kept { weights, from: None, other: None });
        Ok(())
    }

    /// Keeps (1 - share) * from[0] + share * from[1] as `into`. Adapters are mixed A with A and B with B; where one
    /// side has them off, the other side's B is scaled.
    pub(super) fn mix(&mut self, into: WeightSet, from: [WeightSet; 2], share: f64) -> Result<()> {
        ensure!(into != WeightSet::Live, "live weights change by updates only, a mixture needs another name");
        ensure!((0.0..=1.0).contains(&share), "the share of a mixture is {share}, it must be in [0, 1]");
        let [a, b] = [self.weights(from[0])?, self.weights(from[1])?];
        let mixed = match (share, a.frozen(), b.frozen()) {
            (0.0, ..) => a,
            (1.0, ..) => b,
            (_, true, false) if a.base().same(&b) => a.with_strength(1.0 - share)?,
            (_, false, true) if b.base().same(&a) => b.with_strength(share)?,
            (_, x, y) if x == y => a.zip(&b, |a, b| lerp(a, b, share))?,
            _ => bail!("adapters and the weights of another model cannot be mixed"),
        };
        let weights = if self.rounds() { mixed.packed()? } else { mixed };
        self.sets.insert(into, Kept { weights, from: None, other: None });
        Ok(())
    }

    /// Keeps the weights of a folder as `set`.
    pub(super) fn keep_from(&mut self, set: WeightSet, folder: &Path) -> Result<()> {
        ensure!(set != WeightSet::Live, "live weights are loaded when the engine is opened");
        let kept = self.read_kept(folder)?;
        self.sets.insert(set, kept);
        Ok(())
    }

    fn read_kept(&self, folder: &Path) -> Result<Kept> {
        let (loaded, other) = self.read_folder(folder)?;
        let weights = if self.rounds() { loaded.packed()? } else { loaded };
        Ok(Kept { weights, from: Some(folder.to_path_buf()), other })
    }

    /// Writes every kept set, each storage once.
    pub(super) fn save_sets(&self, folder: &Path) -> Result<()> {
        let mut index = BTreeMap::new();
        let mut written: Vec<(&Weights, String)> = vec![];
        let live = self.packed.as_ref().unwrap_or(&self.live);
        for (set, kept) in &self.sets {
            let weights = &kept.weights;
            let known = written.iter().find(|(other, _)| other.same(weights)).map(|(_, file)| file.clone());
            let place = match (&kept.from, known) {
                (Some(from), _) => Place::Folder(from.clone()),
                _ if weights.same(live) => Place::Live,
                _ if self.live.frozen() && weights.same(&self.live.base()) => Place::Base,
                (None, Some(file)) => Place::File(file),
                (None, None) => {
                    let file = format!("{}.safetensors", set.name());
                    write_set(&folder.join(&file), &self.names, weights)?;
                    written.push((weights, file.clone()));
                    Place::File(file)
                }
            };
            index.insert(set.name(), place);
        }
        let path = folder.join(INDEX);
        std::fs::write(&path, serde_json::to_vec_pretty(&index)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads what [`Self::save_sets`] wrote beside `live` (as kept sets hold it).
    pub(super) fn read_sets(&self, folder: &Path, live: &Weights) -> Result<Sets> {
        let path = folder.join(INDEX);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let index: BTreeMap<String, Place> =
            serde_json::from_str(&text).with_context(|| format!("{}: damaged", path.display()))?;
        let mut sets = Sets::new();
        let mut read: HashMap<String, Weights> = HashMap::new();
        for (name, place) in index {
            let Some(set) = WeightSet::of(&name) else { bail!("{}: `{name}` is no weight set", path.display()) };
            let own = |weights| Kept { weights, from: None, other: None };
            let kept = match place {
                Place::Live => own(live.clone()),
                Place::Base => own(live.base()),
                Place::Folder(from) => self.read_kept(&from)?,
                Place::File(file) => {
                    if !read.contains_key(&file) {
                        read.insert(file.clone(), self.read_set(&folder.join(&file), live)?);
                    }
                    own(read[&file].clone())
                }
            };
            sets.insert(set, kept);
        }
        Ok(sets)
    }

    fn read_set(&self, path: &Path, live: &Weights) -> Result<Weights> {
        let mut weights = live.clone();
        let trained = weights.trained();
        let read = Weights::from(read_tensors(path, &self.names[trained.clone()])?).on(live[0].device())?;
        weights[trained].clone_from_slice(&read);
        Ok(weights)
    }
}

/// Writes what distinguishes a set: all tensors, or the adapters.
pub(super) fn write_set(path: &Path, names: &Names, weights: &Weights) -> Result<()> {
    let trained = weights.trained();
    let tensors = names[trained.clone()].iter().zip(&weights[trained]).map(|((name, _), t)| (name.clone(), t.clone()));
    files::write_tensors(path, &tensors.collect())
}

/// Reads the named tensors in the precision they were written in.
pub(super) fn read_tensors(path: &Path, names: &[(String, Vec<usize>)]) -> Result<Vec<Tensor>> {
    let mut tensors = files::read_tensors(path)?;
    let one = |(name, shape): &(String, Vec<usize>)| {
        let t = tensors.remove(name).with_context(|| format!("{}: no tensor `{name}`", path.display()))?;
        let found = t.dims();
        ensure!(found == shape, "{}: `{name}` has shape {found:?}, expected {shape:?}", path.display());
        Ok(t)
    };
    names.iter().map(one).collect()
}

/// a + share * (b - a), in a new tensor.
fn lerp(a: &Tensor, b: &Tensor, share: f64) -> candle_core::Result<Tensor> {
    if plain::is(a) {
        let (wide, b) = (plain::wide(a)?, plain::wide(b)?);
        return (&wide + ((b - &wide)? * share)?)?.to_dtype(a.dtype());
    }
    const CHUNK: usize = 1 << 14;
    let (xs, ys, share) = (host(a)?, host(b)?, share as f32);
    let mut out = vec![0f32; xs.len()];
    (out.par_chunks_mut(CHUNK), xs.par_chunks(CHUNK), ys.par_chunks(CHUNK)).into_par_iter().for_each(|(out, x, y)| {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = x + share * (y - x);
        }
    });
    tensor(out, a.shape())
}
