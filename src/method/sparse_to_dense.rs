//! Sparse-to-dense: spend the reward on a teacher first, then hand what it learnt to a student densely, then polish.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::estimator::Sampled;
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::needs::{Extra, Privileged, Taught, TeacherNeed, TeacherWeights};
use super::{Credit, HandOff, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.sparse-to-dense]`. The order of the stages is the paper's; their lengths are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SparseToDense {
    /// Steps of GRPO on the teacher. Then it is put aside, and the student starts from the initial weights. 0 = there is no
    /// teacher of the run's own, and `teacher` must name one.
    pub sparse: u64,
    /// Steps of likelihood on the teacher's rollouts (2a). 0 = none.
    pub forward: u64,
    /// Steps of reverse KL on the student's rollouts (2b). 0 = none. What is left of the run is GRPO on the student (3).
    pub reverse: u64,
    /// Episodes per group that the teacher plays in 2a, >= 1.
    #[serde(deserialize_with = "manual::at_least_one")]
    pub rollouts: u32,
    /// `staged` (the weights of the first stage), or `{ checkpoint = "FOLDER" }`, a model trained by reinforcement elsewhere.
    pub teacher: TeacherWeights,
    /// The stage the run is in; not a setting.
    #[serde(skip)]
    pub stage: Stage,
    /// `[method.sparse-to-dense.grpo]`: stages 1 and 3.
    pub grpo: Grpo,
}
}

/// Stages in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// 1: reward on what becomes the teacher.
    #[default]
    Sparse,
    /// 2a: the student learns the teacher's texts.
    Forward,
    /// 2b: the teacher scores the student's own.
    Reverse,
    /// 3: reward on the student.
    Polish,
}

impl Default for SparseToDense {
    fn default() -> Self {
        let (teacher, grpo) = (TeacherWeights::Staged, Grpo::default());
        Self { sparse: 20, forward: 10, reverse: 10, rollouts: 2, teacher, stage: Stage::Sparse, grpo }
    }
}

impl SparseToDense {
    /// The stage of a step, counted from 1.
    pub fn stage_of(&self, step: u64) -> Stage {
        let done = step.saturating_sub(1);
        match () {
            () if done < self.sparse => Stage::Sparse,
            () if done < self.sparse + self.forward => Stage::Forward,
            () if done < self.sparse + self.forward + self.reverse => Stage::Reverse,
            () => Stage::Polish,
        }
    }
}

impl Method for SparseToDense {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn begin(&mut self, step: u64) -> HandOff {
        self.stage = self.stage_of(step);
        let first = self.sparse > 0 && step == self.sparse + 1 && self.teacher == TeacherWeights::Staged;
        if first { HandOff::Restart } else { HandOff::None }
    }

    fn needs(&self) -> Needs {
        let rows = if self.stage == Stage::Forward { Taught::Extra } else { Taught::All };
        let teacher = TeacherNeed { weights: self.teacher.clone(), context: Privileged::None, rows };
        let staged = self.teacher == TeacherWeights::Staged;
        match self.stage {
            Stage::Sparse => Needs { initial: staged, ..self.grpo.needs() },
            Stage::Forward => {
                Needs { teacher: Some(teacher), extra: Some(Extra::Taught(self.rollouts)), ..Needs::default() }
            }
            Stage::Reverse => Needs { teacher: Some(teacher), ..Needs::default() },
            Stage::Polish => self.grpo.needs(),
        }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        match self.stage {
            Stage::Sparse | Stage::Polish => self.grpo.credit(step),
            _ => Credit { advantage: vec![0.0; step.len()], ..Credit::default() },
        }
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let mut draft = Draft::new(tokens.len());
        let aggregation = self.grpo.aggregation;
        match self.stage {
            Stage::Sparse | Stage::Polish => return self.grpo.token_loss(tokens),
            Stage::Forward => {
                let shown = aggregation.weights(&tokens.part(true), tokens.len());
                draft.add_sampled(tokens, &shown, 1.0, Sampled::Nll, |_| 1.0);
            }
            Stage::Reverse => {
                let own = aggregation.weights(&tokens.part(false), tokens.len());
                draft.add_sampled(tokens, &own, 1.0, Sampled::AdvantageRkl, |_| 1.0);
            }
        }
        draft.metrics.insert("stage", (self.stage as u8 as f64 + 1.0, 1.0));
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "sparse-to-dense",
    summary: "stages: GRPO on a teacher, its texts to a student, its scores on the student's texts, GRPO on the student",
    docs: DOCS,
    provenance: "stages and their losses READ in the paper (arXiv 2605.12483, version 4); their lengths are ours; a teacher of \
                 the student's own size stands in for the larger one",
    axes: "credit grpo, none, none, grpo | rollout teacher in 2a | teacher of stage 1 | loss nll, then reverse KL | \
           schedule stages",
    keys: SparseToDense::KEYS,
};

const DOCS: &str = "\
Idea
  A reward is sparse and a teacher is dense. Spend the few labelled tasks on making a teacher good at them, let it teach
  the student token by token, and reward the student only then.

Formula
  1   GRPO on the teacher                                               steps 1 .. sparse, then the student starts afresh
  2a  -log pi(y_t) on the teacher's rollouts (forward KL)               the next `forward` steps
  2b  -sg[gap_t] log pi(y_t) on the student's rollouts (reverse KL)     the next `reverse` steps
  3   GRPO on the student                                               the rest

Source
  'Beyond GRPO and OPD' (sparse-to-dense reward), arXiv 2605.12483.

True expected gradient
  By stage: policy gradient; likelihood of the teacher's samples, that is the forward KL(teacher || student); the reverse
  KL; policy gradient.

Preconditions
  The teacher must have been shaped by the reward (the paper's C1: a raw 8B teacher is worse than none), and be near
  enough to the student (C2: why 2a comes before 2b).

Deviations
  The teacher has the student's architecture, because one engine holds one; `{ checkpoint = ... }` names one that was
  trained longer. In 2a the student's own rollouts are played too, and teach nothing.
";
