//! Skills of a run: who makes them, how a resumed run goes on with them, and what edited ones are told as.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::endpoint::Endpoint;
use super::summarise::Summariser;
use crate::config::{Recipe, Summariser as By};
use crate::core::event::{KeyChange, Scope};
use crate::core::{Episode, EpisodeId};
use crate::run::view::RunView;
use crate::run::{RunFolder, Source, Store};
use crate::skill::draft::{CONTRAST, Job};
use crate::skill::evolve::Rules;
use crate::skill::{Bank, Contrast};
use crate::train::Trainer;
use crate::train::checkpoint::Found;
use crate::train::learn::{Course, Writer};

/// Who makes skills of episodes, as a recipe says.
///
/// # Errors
/// The endpoint's settings cannot work, or no thread can be started.
pub(super) fn writer(recipe: &Recipe) -> Result<Writer> {
    let learn = &recipe.skills.learn;
    let endpoint = match learn.author {
        By::None if recipe.method.build().needs().memory.is_none() => return Ok(Writer::Nobody),
        By::Policy => {
            let (per_step, max_tokens) = (learn.per_step as usize, learn.max_tokens as usize);
            return Ok(Writer::Policy { per_step, max_tokens });
        }
        By::None | By::Distiller => None,
        By::Endpoint => Some(Endpoint::new(learn)?),
    };
    let (backlog, concurrent) = (learn.backlog as usize, learn.concurrent as usize);
    Ok(Writer::Background(Box::new(Summariser::start(endpoint, learn.form, backlog, concurrent)?)))
}

/// What is made of which episodes, and what the bank keeps.
pub(super) fn course(recipe: &Recipe) -> Course {
    let (learn, evolve) = (&recipe.skills.learn, &recipe.skills.evolve);
    let memory = recipe.method.build().needs().memory;
    Course {
        form: learn.form,
        contrast: if memory.is_some() { Contrast::Ranked } else { learn.contrast },
        margin: memory.map_or(CONTRAST, |memory| memory.margin as f32),
        rules: Rules {
            max_skills: evolve.max_skills as usize,
            retire_below: evolve.retire_below,
            min_trials: u64::from(evolve.min_trials),
        },
        below: evolve.below,
        every: evolve.every,
    }
}

/// Takes up what was waiting when the checkpoint was written, and what the records say came in since.
pub(super) fn go_on(folder: &RunFolder, found: &Found, trainer: &mut Trainer) -> Result<()> {
    if !trainer.learning.is_on() {
        return Ok(());
    }
    if trainer.learning.depends_on_time() {
        let mut past = RunView::default();
        Source::open(folder)?.for_each(|record| past.apply(record))?;
        let late = past.bank.changes(u64::MAX).filter(|(step, _)| *step > found.step);
        trainer.learning.replay(late.map(|(step, change)| (step, change.clone())).collect());
    }
    let waiting = found.waiting();
    let steps: BTreeSet<u64> = waiting.iter().flat_map(|key| &key.episodes).map(|id| id.step).collect();
    let mut episodes: BTreeMap<EpisodeId, Episode> = BTreeMap::new();
    for step in steps {
        // rollouts that are not there (a fork has none of its source) are passed over
        let of_step = Store::new(folder).episodes(step).unwrap_or_default();
        episodes.extend(of_step.into_iter().map(|episode| (episode.id, episode)));
    }
    let job = |key: &crate::skill::draft::JobKey| {
        let episodes: Option<Vec<Episode>> = key.episodes.iter().map(|id| episodes.get(id).cloned()).collect();
        Some(Job { task: key.task, episodes: episodes? })
    };
    trainer.learning.queue(waiting.iter().filter_map(job).collect());
    Ok(())
}

/// Every skill that was added, removed or reworded, by id. The teacher reads the new bank from the next step on.
pub(super) fn differences(before: &Bank, after: &Bank) -> Vec<KeyChange> {
    let (was, is) = (texts(before), texts(after));
    let ids: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let text = |side: &BTreeMap<String, String>, id: &String| side.get(id).map_or("absent".into(), String::clone);
    let changed = ids.into_iter().filter(|id| was.get(*id) != is.get(*id));
    changed
        .map(|id| KeyChange {
            key: format!("skills/{id}"),
            before: text(&was, id),
            after: text(&is, id),
            scope: Scope::NextStep,
        })
        .collect()
}

/// What the teacher may read of each skill, and for which goals.
fn texts(bank: &Bank) -> BTreeMap<String, String> {
    let all = |own: &[String], group: &[String]| [group, own].concat().join(", ");
    bank.skills()
        .map(|(group, skill)| {
            let when = skill.when.as_ref().map_or(String::new(), |when| format!(" ({when})"));
            let goals = all(&skill.keywords, &group.keywords);
            let goals = if goals.is_empty() { goals } else { format!(" [{goals}]") };
            (skill.id.clone(), format!("{}: {}{when}{goals}", skill.title, skill.text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::differences;
    use crate::skill::Bank;

    #[test]
    fn added_removed_and_reworded_skills_are_named() {
        let bank = |skills: &str| Bank::parse(&[("a.toml", format!("category = \"general\"\n{skills}"))]).unwrap();
        let skill = |id: &str, text: &str| format!("[[skill]]\nid = \"{id}\"\ntitle = \"T\"\ntext = \"{text}\"\n");
        let before = bank(&(skill("a", "one") + &skill("b", "two")));
        let after = bank(&(skill("b", "three") + &skill("c", "four")));
        let found = differences(&before, &after);
        let words: Vec<_> = found.iter().map(|c| (c.key.as_str(), c.before.as_str(), c.after.as_str())).collect();
        assert_eq!(
            words,
            [("skills/a", "T: one", "absent"), ("skills/b", "T: two", "T: three"), ("skills/c", "absent", "T: four")]
        );
        assert!(differences(&after, &after).is_empty());
    }
}
