//! Whether the models that a method learns from can be used: looked at when a run is made, before anything is loaded.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::recipe::Recipe;
use crate::engine::candle;
use crate::hub;
use crate::method::needs::TeacherWeights;
use crate::text::Text;

/// The key of a teacher that cannot be used, and why.
pub(super) fn misfit(recipe: &Recipe) -> Option<(String, String)> {
    let key = format!("method.{}.teacher", recipe.method.name());
    let refused = |folder: &str| look(&recipe.model.path, folder).err().map(|e| (key.clone(), format!("{e:#}")));
    teachers(recipe).iter().find_map(|folder| refused(folder))
}

/// The models, as the recipe calls them, that some stage of the method learns from.
fn teachers(recipe: &Recipe) -> Vec<String> {
    let named = recipe.method.build().stages().into_iter().filter_map(|needs| match needs.teacher?.weights {
        TeacherWeights::Checkpoint(folder) => Some(folder),
        _ => None,
    });
    let mut named: Vec<String> = named.collect();
    named.dedup();
    named
}

/// Whether `teacher` can teach the model `student`: it is there, its architecture is one that can be run, and its token
/// ids mean the same texts as the student's. It may be of another size. A student that is not there is refused elsewhere.
///
/// # Errors
/// A sentence that names the teacher, what is wrong with it and what to do.
fn look(student: &str, teacher: &str) -> Result<()> {
    let unusable = || format!("the teacher `{teacher}` cannot be used");
    let place = hub::resolve(teacher).with_context(unusable)?;
    candle::architecture(&place).with_context(unusable)?;
    match hub::resolve(student).and_then(|student| Text::load(&student)) {
        Ok(student) => same_tokens(&student, &place, teacher),
        Err(_) => Ok(()),
    }
}

/// Refuses a teacher whose token ids mean other texts: log-probs of the same ids would say nothing. A folder without a
/// tokenizer (adapters, say) has the student's.
///
/// # Errors
/// That sentence; `teacher` is what the recipe calls it, `place` where it lies.
pub fn same_tokens(student: &Text, place: &Path, teacher: &str) -> Result<()> {
    let Ok(theirs) = Text::load(place) else { return Ok(()) };
    ensure!(
        student.is_part_of(&theirs),
        "the teacher `{teacher}` has another tokenizer than the student, so its log-probs of the student's tokens mean \
         nothing: take a teacher of the student's family"
    );
    Ok(())
}
