//! What an author makes of finished episodes, before the bank takes it in.

use serde::{Deserialize, Serialize};

use crate::core::skill::{Analyses, Author, Provenance};
use crate::core::{Episode, EpisodeId};

/// What the distiller writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Single sentences, each for goals with a certain word.
    #[default]
    Lessons,
    /// One skill a task type, with success analysis, mistake analysis and golden workflow (Skill-SD's schema).
    Workflow,
}

/// Which pairs of a group's episodes become skills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contrast {
    #[default]
    None,
    /// A success and a failure.
    Siblings,
    /// The best and the worst, where their scores differ by [`CONTRAST`].
    BestWorst,
    /// The best against all whose scores are lower by [`CONTRAST`] (TimeClaw): one note on what did better than what.
    Ranked,
}

/// Difference in score from which a best and a worst episode say something (GenEvolve's threshold).
pub const CONTRAST: f32 = 0.2;

/// What is to be made a skill of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One finished episode.
    Episode,
    /// Two of one task, the better one first.
    Contrast,
    /// Several of one task by falling score: the best, and those it left behind (TimeClaw).
    Ranking,
    /// Failures of one task type (SkillRL's update of a category).
    Category,
}

/// A piece of work for an author.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub task: Task,
    /// At least one, all of one task type.
    pub episodes: Vec<Episode>,
}

/// A job by name: enough to find its episodes in a run's rollouts again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobKey {
    pub task: Task,
    pub episodes: Vec<EpisodeId>,
}

impl Job {
    pub fn key(&self) -> JobKey {
        JobKey { task: self.task, episodes: self.episodes.iter().map(|episode| episode.id).collect() }
    }

    /// Where a skill made of this comes from.
    pub fn provenance(&self, author: Author) -> Provenance {
        let first = self.episodes.first();
        Provenance {
            author,
            episode: first.map(|episode| episode.id),
            task: first.map(|episode| episode.task.id.clone()),
            score: first.map(|episode| episode.score),
            ..Provenance::default()
        }
    }
}

/// A skill without a name and a place yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    pub category: String,
    /// In lower case, words between single spaces; empty = for every goal.
    pub keywords: Vec<String>,
    pub title: String,
    pub text: String,
    pub when: Option<String>,
    pub analyses: Analyses,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub key: JobKey,
    pub provenance: Provenance,
    pub drafts: Vec<Draft>,
    /// Answers of a language model that were in no usable form.
    pub malformed: u64,
    /// Why the distiller had to stand in, if it had.
    pub fallback: Option<String>,
}

impl Answer {
    /// What the distiller makes of a job.
    pub fn distilled(job: &Job, form: Form) -> Self {
        let (provenance, drafts) = (job.provenance(Author::Distiller), super::distil::distil(job, form));
        Self { key: job.key(), provenance, drafts, malformed: 0, fallback: None }
    }
}
