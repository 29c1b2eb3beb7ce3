//! The configuration of a running trainer: what the file says, and what of it is in force.

use crate::config::{Recipe, applied, changes};
use crate::core::RunEvent;
use crate::core::event::{KeyChange, Scope};

/// Two recipes: the file's, and the one in force (which lacks changes that wait for the next run).
#[derive(Debug)]
pub(super) struct Tuning {
    file: Recipe,
    pub live: Recipe,
    pub revision: u32,
    /// The file's recipe when changes were last put in force.
    told: Recipe,
}

impl Tuning {
    pub fn new(recipe: Recipe) -> Self {
        Self { file: recipe.clone(), told: recipe.clone(), live: recipe, revision: 0 }
    }

    /// Of a run that goes on from a state trained under `before`; `file` is what its configuration says now.
    pub fn resumed(before: Recipe, file: Recipe, revision: u32) -> Self {
        let mut tuning = Self { revision, ..Self::new(before) };
        tuning.note(file);
        tuning
    }

    /// Takes note of what the file says now; says what that will do.
    pub fn note(&mut self, recipe: Recipe) -> String {
        let found = changes(&self.file, &recipe);
        self.file = recipe;
        if found.is_empty() { "nothing changed".into() } else { in_words(&found) }
    }

    /// Between steps: puts noted changes in force, and returns the record of it.
    pub fn apply(&mut self, step: u64) -> Option<RunEvent> {
        if self.told == self.file {
            return None;
        }
        let changes = changes(&self.told, &self.file);
        self.told = self.file.clone();
        self.live = applied(&self.live, &self.file);
        self.revision += 1;
        Some(RunEvent::ConfigChanged { step, revision: self.revision, changes })
    }

    /// The record of changes that were put in force elsewhere; `None` if there are none.
    pub fn also(&mut self, step: u64, changes: Vec<KeyChange>) -> Option<RunEvent> {
        if changes.is_empty() {
            return None;
        }
        self.revision += 1;
        Some(RunEvent::ConfigChanged { step, revision: self.revision, changes })
    }
}

fn in_words(changes: &[KeyChange]) -> String {
    let one = |change: &KeyChange| {
        let when = match change.scope {
            Scope::Live => "now",
            Scope::NextStep => "from the next step",
            Scope::NextRun => "only in the next run",
        };
        format!("`{}` {} -> {} {when}", change.key, change.before, change.after)
    };
    changes.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::Tuning;
    use crate::config::Recipe;
    use crate::core::RunEvent;

    #[test]
    fn what_waits_for_the_next_run_is_said_once_and_not_applied() {
        let mut tuning = Tuning::new(Recipe::default());
        let mut recipe = Recipe::default();
        recipe.rollout.groups = 3;
        assert_eq!(tuning.note(recipe.clone()), "`rollout.groups` 8 -> 3 only in the next run");
        assert!(matches!(tuning.apply(4), Some(RunEvent::ConfigChanged { step: 4, revision: 1, .. })));
        assert_eq!(tuning.live, Recipe::default());
        recipe.optim.lr = 0.5;
        assert_eq!(tuning.note(recipe.clone()), "`optim.lr` 0.0003 -> 0.5 from the next step");
        assert!(tuning.apply(5).is_some());
        assert_eq!((tuning.live.optim.lr, tuning.live.rollout.groups), (0.5, 8));
        assert_eq!(tuning.note(recipe.clone()), "nothing changed");
        assert_eq!(tuning.apply(6), None);
        tuning.note(Recipe::default());
        tuning.note(recipe);
        assert_eq!(tuning.apply(7), None, "there and back is no change");
    }
}
