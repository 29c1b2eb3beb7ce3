//! `[skills]`: what the teacher reads, and how the bank changes.

use serde::{Deserialize, Serialize};

use crate::config::fields::tables;
use crate::skill::{self, Placement};

tables! {
    /// The skills that the teacher reads and the student does not.
    pub struct SkillSettings in "skills" {
        /// Folder of skill files; empty = the run starts with an empty bank.
        pub bank: String = "skills/household".into(), NextRun;
        /// `keyword` (and its variants `keyword-any`, `keyword-all`, `keyword-substring`, `task-type`), `ucb`, `bm25`,
        /// `embedding` (the policy's own hidden states), `full`, `random` or `none` (a control: the teacher reads the
        /// student's prompt).
        pub retrieval: Retrieval = Retrieval::Keyword, NextStep;
        /// With `random`: skills drawn for an episode; more than the bank has = all of it, 0 = none.
        pub random_count: u32 = 6, NextStep;
        /// With `bm25` and `embedding`: skills chosen for an episode; 0 = none.
        pub top_k: u32 = 6, NextStep;
        /// With `embedding`: least cosine similarity to the goal, in [-1, 1], of vectors centred on the bank.
        pub min_similarity: f64 = 0.0, NextStep;
        /// With `ucb`: skills chosen for an episode (the papers choose one); 0 = none.
        pub ucb_count: u32 = 1, NextStep;
        /// With `ucb`: weight of the bonus for what was seldom tried, >= 0 (not printed in any paper); 0 = none.
        pub ucb_c: f64 = 1.0, NextStep;
        /// `user-slot` (inside the user message), `prefix-raw` (before the rendered prompt, as SDAR's code does), `system`
        /// (a system message) or `at-turn` (before what the user says, in every turn).
        pub placement: Placement = Placement::UserSlot, NextStep;
        /// `compact` (the text), `titled` (with its title) or `full` (with the analyses of its author).
        pub layout: skill::Layout = skill::Layout::Compact, NextStep;
        /// Most tokens of skill text in one prompt; 0 = no limit but the model's context.
        pub budget_tokens: u32 = 256, NextStep;
        with learn: LearnSettings;
        with evolve: EvolveSettings;
    }

    /// Skills made of the run's own finished episodes, successful or failed, while training goes on.
    pub struct LearnSettings in "skills.learn" {
        /// `none`, `distiller` (deterministic, no language model), `endpoint` (OpenAI-compatible) or `policy` (the model
        /// that is trained).
        pub author: Summariser = Summariser::None, NextRun;
        /// What the distiller writes: `lessons` (single sentences, conditioned on a word of the goal) or `workflow` (one
        /// skill a task type with success analysis, mistake analysis and golden workflow, as language models do).
        pub form: skill::Form = skill::Form::Lessons, NextRun;
        /// What of a group becomes skills: `none`, `siblings` (a success and a failure), `best-worst` (scores at least 0.2
        /// apart) or `ranked` (the best against all that are 0.2 behind).
        pub contrast: skill::Contrast = skill::Contrast::None, NextRun;
        /// Most episodes that wait for their author; when there are more, the oldest are passed over and counted. >= 1.
        pub backlog: u32 = 256, NextRun;
        /// With `endpoint`: address up to `/v1`.
        pub base_url: String = "http://127.0.0.1:8000/v1".into(), NextRun;
        /// With `endpoint`: name of the model it is asked for.
        pub model: String = String::new(), NextRun;
        /// With `endpoint`: environment variable that holds the key; empty = no key is sent.
        pub key_env: String = String::new(), NextRun;
        /// With `endpoint`: seconds to wait for one answer, > 0.
        pub timeout: f64 = 60.0, NextRun;
        /// With `endpoint`: further attempts after a failed one; 0 = none. Then the distiller does it.
        pub retries: u32 = 2, NextRun;
        /// With `endpoint`: seconds before the first further attempt, twice as long before each next one; 0 = at once.
        pub backoff: f64 = 1.0, NextRun;
        /// With `endpoint`: requests at a time, >= 1.
        pub concurrent: u32 = 4, NextRun;
        /// With `policy`: episodes of a step that are summarised (the policy cannot play meanwhile); 0 = none.
        pub per_step: u32 = 4, NextRun;
        /// Most tokens of one answer, >= 1.
        pub max_tokens: u32 = 400, NextRun;
    }

    /// How the learned part of the bank changes: what it takes in, and what it lets go of.
    pub struct EvolveSettings in "skills.evolve" {
        /// Most learned skills; of more, those of least use go first. 0 = no limit.
        pub max_skills: u32 = 200, NextStep;
        /// Task types whose success stays below this get new skills from their failures (SkillRL: 0.4); 0 = none do.
        pub below: f64 = 0.4, NextStep;
        /// Steps between those updates; 0 = none.
        pub every: u64 = 5, NextStep;
        /// Weight of the newest comparison in a skill's utility, in (0, 1] (UCOB: 0.2).
        pub decay: f64 = 0.2, NextStep;
        /// A skill whose utility falls below this is retired, whoever wrote it, in [-1, 1]. -1 = none is.
        pub retire_below: f64 = -0.1, NextStep;
        /// Comparisons before a skill can be retired.
        pub min_trials: u32 = 3, NextStep;
    }
}

/// How skills are chosen for an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retrieval {
    /// Skills without a condition, and the first group with a keyword in the goal.
    #[default]
    Keyword,
    /// Skills without a condition, and every group with a keyword in the goal.
    KeywordAny,
    /// Skills without a condition, and the first group all of whose keywords are in the goal.
    KeywordAll,
    /// As `keyword-any`, inside words too.
    KeywordSubstring,
    /// Skills without a condition, and the group that is named in the task type.
    TaskType,
    /// What has served best so far, with a bonus for what was seldom tried.
    Ucb,
    /// The whole bank.
    Full,
    /// A seeded random choice (control).
    Random,
    /// The best match of words.
    Bm25,
    /// The nearest in the policy's own hidden states.
    Embedding,
    /// No skills: teacher and student read the same prompt (control).
    None,
}

impl SkillSettings {
    /// The way to choose and to show, as the skill book takes it.
    pub fn way(&self) -> skill::Way {
        let n = self.top_k as usize;
        let retrieval = match self.retrieval {
            Retrieval::Keyword => skill::Retrieval::Keyword,
            Retrieval::KeywordAny => skill::Retrieval::KeywordAny,
            Retrieval::KeywordAll => skill::Retrieval::KeywordAll,
            Retrieval::KeywordSubstring => skill::Retrieval::KeywordSubstring,
            Retrieval::TaskType => skill::Retrieval::TaskType,
            Retrieval::Ucb => skill::Retrieval::Ucb { n: self.ucb_count as usize, c: self.ucb_c },
            Retrieval::Full => skill::Retrieval::Full,
            Retrieval::Random => skill::Retrieval::Random { n: self.random_count as usize },
            Retrieval::Bm25 => skill::Retrieval::Bm25 { n },
            Retrieval::Embedding => skill::Retrieval::Embedding { n, least: self.min_similarity },
            Retrieval::None => skill::Retrieval::None,
        };
        let (placement, layout, decay) = (self.placement, self.layout, self.evolve.decay);
        skill::Way { retrieval, placement, layout, decay }
    }
}

/// Who makes skills of finished episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Summariser {
    /// Nobody: the bank is what its files say.
    #[default]
    None,
    /// The deterministic episode distiller; no language model.
    Distiller,
    /// A language model behind an OpenAI-compatible endpoint; the distiller where it fails.
    Endpoint,
    /// The policy that is trained; the distiller where it answers in another form.
    Policy,
}
