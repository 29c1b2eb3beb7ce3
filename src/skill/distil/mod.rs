//! The episode distiller: skills of finished episodes, without any language model and always the same.
//!
//! 1. The trajectory is refined: loops and actions without effect go, backward causal chaining keeps what the success
//!    needed ([`chain`]).
//! 2. Instances become placeholders: `mug 1` is `<object>` if the goal names mugs, else `<mug>`.
//! 3. Mistakes are what did nothing, was done twice, was taken back, or had not the required form.
//!
//! The idea is that of SkillRL's prompt for a language model (arXiv 2602.08234); the rules and all wording are ours.

mod chain;
mod lessons;
mod ranking;
#[cfg(test)]
mod tests;
mod workflow;

use self::chain::{Act, acts};
use super::draft::{Draft, Form, Job, Task};
use super::neutral::words;
use crate::core::Episode;

/// What a job's episodes teach; often the same as others taught, sometimes nothing.
pub fn distil(job: &Job, form: Form) -> Vec<Draft> {
    let episodes: Vec<Known> = job.episodes.iter().map(Known::of).collect();
    match (job.task, form, episodes.as_slice()) {
        (Task::Episode, Form::Workflow, [one, ..]) => workflow::of(one).into_iter().collect(),
        (Task::Episode, Form::Lessons, [one, ..]) => lessons::of(one),
        (Task::Contrast, _, [better, worse, ..]) => workflow::contrast(better, worse).into_iter().collect(),
        (Task::Ranking, _, [best, behind @ ..]) => ranking::of(best, behind).into_iter().collect(),
        (Task::Category, ..) => lessons::of_failures(&episodes),
        _ => vec![],
    }
}

/// An episode and what is known of it.
struct Known<'a> {
    episode: &'a Episode,
    acts: Vec<Act>,
    /// Words of the goal.
    goal: Vec<String>,
}

impl<'a> Known<'a> {
    fn of(episode: &'a Episode) -> Self {
        Self { episode, acts: acts(episode), goal: words(&episode.task.goal) }
    }

    /// Whether the goal speaks of such a thing: `mug 1` of `put a mug ...`, `mugs` too.
    fn in_goal(&self, thing: &str) -> bool {
        let name = chain::name(thing);
        self.goal.iter().any(|word| word == name || word.strip_suffix('s') == Some(name))
    }

    /// The task type in words.
    fn kind(&self) -> String {
        words(&self.episode.task.kind).join(" ")
    }
}
