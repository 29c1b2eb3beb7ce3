//! What a recipe will ask of the machine's memory, before anything is loaded.

use std::path::Path;

use anyhow::Result;

use super::Record;
use crate::config::Recipe;
use crate::engine::candle::memory::{self, Dims, Load, Plan, TAPE_BYTES};
use crate::engine::candle::{self, Architecture, Lora, Options, Place, Projection};
use crate::env;
use crate::env::prompt::Layout;
use crate::hub;
use crate::method::needs::{Generate, TeacherWeights};

/// Tokens of an opening prompt without skills, and of an observation: guesses on the generous side, since both are
/// known only once the game is played.
const OPENING_TOKENS: usize = 512;
const OBSERVATION_TOKENS: usize = 64;
/// Memory that is left to everything else in the process: text, records, and what the engine lets the allocator keep.
const SPARE: u64 = 320 << 20;
/// The same on a GPU: its kernels and the workspace of its matrix products.
const SPARE_GPU: u64 = 1 << 30;

/// How to open the model of `recipe` in the folder `model`, to compute at `place`, and what the run will need.
///
/// # Errors
/// It needs more than `free` bytes; the message names the nearest settings that fit. `None` = nothing is refused.
pub fn options(recipe: &Recipe, model: &Path, place: Place, free: Option<u64>) -> Result<(Options, Plan)> {
    let architecture = candle::architecture(model)?;
    let lora = adapters(recipe, model)?;
    let load = load(recipe, &architecture, lora.as_ref(), place)?;
    let dims = Dims::from(&architecture);
    let small = Lora { rank: 16, alpha: 16.0, targets: recipe.model.lora.targets.clone() };
    let spare = if place == Place::Cpu { SPARE } else { SPARE_GPU };
    let (load, plan) = match free {
        Some(free) => memory::fit(&dims, &load, small.parameters(&architecture), free.saturating_sub(spare))?,
        None => (load, memory::plan(&dims, &load)),
    };
    let options = Options {
        dtype: recipe.model.dtype,
        place,
        lora,
        seed: recipe.run.seed,
        checkpointing: recipe.optim.checkpoint_layers,
        tape_bytes: load.tape_bytes,
    };
    Ok((options, plan))
}

/// The adapters that are trained: those in the folder `model`, the recipe's, or those its method makes.
fn adapters(recipe: &Recipe, model: &Path) -> Result<Option<Lora>> {
    let made = |generate: Generate| Lora {
        rank: generate.rank as usize,
        alpha: f64::from(generate.rank),
        targets: vec![Projection::Q, Projection::V],
    };
    let asked = || recipe.model.lora.adapters().or_else(|| recipe.method.build().needs().generate.map(made));
    Ok(candle::adapters(model)?.or_else(asked))
}

/// The work of a recipe's steps, in numbers; row lengths are bounds by turns and context.
fn load(recipe: &Recipe, architecture: &Architecture, lora: Option<&Lora>, place: Place) -> Result<Load> {
    let (rollout, optim) = (&recipe.rollout, &recipe.optim);
    let turns = env::open_world(recipe.env.name(), &recipe.env.table())?.max_turns() as usize;
    let episodes = (rollout.groups * rollout.members) as usize;
    let turn = rollout.max_new_tokens as usize + OBSERVATION_TOKENS;
    let (rows, seen) = match rollout.layout {
        Layout::Transcript => (episodes, turns),
        Layout::History => (episodes * turns, rollout.history as usize + 1),
    };
    let shown = if rollout.layout == Layout::Transcript { turns } else { 1 };
    let ([kept, averages], teacher) = beside(recipe);
    Ok(Load {
        dtype: recipe.model.dtype,
        place,
        adapter: lora.map(|lora| lora.parameters(architecture)),
        checkpointing: optim.checkpoint_layers,
        kept,
        averages,
        teacher,
        rows: rows.div_ceil(optim.minibatches.max(1) as usize),
        row_tokens: (OPENING_TOKENS + seen * turn).min(architecture.max_position_embeddings),
        sampled_tokens: shown * rollout.max_new_tokens as usize,
        slots: episodes.max(recipe.eval.games as usize).min(match rollout.concurrent {
            0 => usize::MAX,
            most => most as usize,
        }),
        cache_bytes: (rollout.cache_mb as u64) << 20,
        // a GPU has more, and no better use for it
        tape_bytes: if place == Place::Cpu { TAPE_BYTES } else { 8 * TAPE_BYTES },
        compares: recipe.record.gradients > 0,
    })
}

/// Sets of the trained model's size that come to differ from the live one, those of them that are averages, and the numbers of a teacher from elsewhere.
fn beside(recipe: &Recipe) -> ([usize; 2], u64) {
    let record = Record::of(&recipe.record);
    let stages: Vec<_> = recipe.method.build().stages().into_iter().map(|needs| record.with(needs)).collect();
    let teachers: Vec<_> = stages.iter().filter_map(|needs| Some(needs.teacher.as_ref()?.weights.clone())).collect();
    let any = |of: fn(&TeacherWeights) -> bool| teachers.iter().any(of);
    let first = any(|t| matches!(t, TeacherWeights::Initial | TeacherWeights::TrustRegion(_)));
    let average = any(|t| matches!(t, TeacherWeights::Ema(_)));
    let kept = [
        // both are the weights the run began with
        first || stages.iter().any(|needs| needs.reference || needs.initial),
        any(|t| matches!(t, TeacherWeights::TrustRegion(_))),
        average,
        any(|t| matches!(t, TeacherWeights::Staged)),
    ];
    let numbers = |weights: &TeacherWeights| match weights {
        TeacherWeights::Checkpoint(folder) => {
            let architecture = hub::resolve(folder).and_then(|place| candle::architecture(&place));
            architecture.map_or(0, |architecture| Dims::from(&architecture).parameters) // refused elsewhere
        }
        _ => 0,
    };
    let kept = kept.into_iter().filter(|differs| *differs).count();
    ([kept, usize::from(average)], teachers.iter().map(numbers).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::engine::candle::CandleEngine;
    use crate::engine::candle::memory::Dtype;

    #[test]
    fn a_recipe_is_planned_and_refused_where_it_cannot_fit() {
        let mut recipe = Recipe::default();
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(&recipe.model.path);
        let (options, plan) = super::options(&recipe, &model, Place::Cpu, None).unwrap();
        assert_eq!((options.lora, options.dtype), (None, Dtype::F32));
        let full = plan.peak();
        let message = super::options(&recipe, &model, Place::Cpu, Some(70 << 20)).err().unwrap().to_string();
        assert!(message.starts_with("the run needs") && message.contains("key-value cache"), "{message}");
        recipe.model.lora.rank = 4;
        let (options, plan) = super::options(&recipe, &model, Place::Cpu, Some(8 << 30)).unwrap();
        assert_eq!(options.lora.map(|lora| lora.rank), Some(4));
        assert!(plan.peak() < full);
    }

    #[test]
    fn an_adapter_folder_is_planned_as_what_is_trained_in_it() {
        let recipe = Recipe::default();
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(&recipe.model.path);
        let lora = Lora { rank: 3, alpha: 6.0, targets: vec![Projection::Q] };
        let options = Options { lora: Some(lora.clone()), ..Options::default() };
        let folder = tempfile::tempdir().unwrap();
        CandleEngine::open(&model, options).unwrap().save(folder.path(), false).unwrap();
        let plan = |place| super::options(&recipe, place, Place::Cpu, None).unwrap();
        let ((adapters, less), (_, full)) = (plan(folder.path()), plan(&model));
        assert_eq!(adapters.lora, Some(lora));
        assert!(less.peak() < full.peak(), "no moments of what is frozen");
    }
}
