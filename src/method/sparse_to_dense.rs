//! Sparse-to-dense: spend the reward on a teacher first, then hand what it learnt to a student densely, then polish. A
//! list of stages, each of them any method.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::estimator::Sampled;
use super::manual::manual;
use super::needs::{Privileged, TeacherWeights};
use super::stages::{self, At, Stage};
use super::{Credit, Grpo, HandOff, Method, MethodConfig, MethodInfo, Needs, Opd, Plan, Tokens};

manual! {
/// `[method.sparse-to-dense]`. The default list is the paper's order; its lengths are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SparseToDense {
    /// `[[method.sparse-to-dense.stages]]`, in order. Each has `name`; `method`, any method with its settings (such as
    /// `method.grpo = {}`); `steps`, its length, 0 = until its condition holds, else to the end of the run; `until`, a
    /// condition that ends it sooner (`{ metric = "success/mean", above = 0.8, for = 3 }`, or `below`), over what the method
    /// reports and `success/mean`, `score/mean`, `reward/mean`; and `then`, what becomes of the weights when it ends: `none`,
    /// `teacher` (put aside as the teacher `staged`, and trained on) or `restart` (put aside, and a student starts afresh).
    #[serde(deserialize_with = "stages::read")]
    pub stages: Vec<Stage>,
}
state {
    /// Where the run stands in the list.
    pub at: At,
}
}

impl Default for SparseToDense {
    fn default() -> Self {
        let stage = |name: &str, steps, then, method| Stage { name: name.into(), steps, then, until: None, method };
        let bridge = |opd| Opd { teacher: TeacherWeights::Staged, context: Privileged::None, ..opd };
        let forward = bridge(Opd { rollouts: 2, estimator: Sampled::Nll, ..Opd::default() });
        let stages = vec![
            stage("1 reward on the teacher", 20, HandOff::Restart, MethodConfig::Grpo(Grpo::default())),
            stage("2a the teacher's texts", 10, HandOff::None, MethodConfig::Opd(forward)),
            stage("2b the student's texts", 10, HandOff::None, MethodConfig::Opd(bridge(Opd::default()))),
            stage("3 reward on the student", 0, HandOff::None, MethodConfig::Grpo(Grpo::default())),
        ];
        Self { stages, at: At::default() }
    }
}

impl SparseToDense {
    /// The method of the present stage, as it stands. A list always has a stage.
    fn present(&self) -> Box<dyn Method> {
        let mut method = self.stages[self.at.stage.min(self.stages.len() - 1)].method.build();
        if self.at.now > 0 {
            method.begin(self.at.now);
        }
        method.resume(&self.at.inner);
        method
    }

    /// Whether the present stage is over before a step.
    fn is_over(&self, step: u64) -> bool {
        let stage = &self.stages[self.at.stage];
        let length = stage.steps > 0 && step >= self.at.since + stage.steps;
        let condition = stage.until.as_ref().is_some_and(|until| self.at.held >= until.steps.max(1));
        self.at.stage + 1 < self.stages.len() && (length || condition)
    }
}

impl Method for SparseToDense {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn begin(&mut self, step: u64) -> HandOff {
        let mut then = HandOff::None;
        if self.at.since == 0 {
            self.at.since = step;
        } else if self.is_over(step) {
            then = self.stages[self.at.stage].then;
            self.at = At { stage: self.at.stage + 1, since: step, ..At::default() };
        }
        self.at.now = step + 1 - self.at.since;
        then
    }

    fn stand_ins(&self) -> Vec<&'static str> {
        let staged =
            |needs: &Needs| needs.teacher.as_ref().is_some_and(|teacher| teacher.weights == TeacherWeights::Staged);
        let own = self.stages().iter().any(staged).then_some("teacher: of the student's own size");
        let mut all: Vec<&str> =
            self.stages.iter().flat_map(|stage| stage.method.build().stand_ins()).chain(own).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn needs(&self) -> Needs {
        let restarts = self.stages.iter().any(|stage| stage.then == HandOff::Restart);
        let own = self.present().needs();
        Needs { initial: own.initial || restarts, restarts, ..own }
    }

    fn stages(&self) -> Vec<Needs> {
        let needs = |stage: &Stage| {
            let (restarts, hands_on) = (stage.then == HandOff::Restart, stage.then != HandOff::None);
            let own = stage.method.build().needs();
            Needs { initial: own.initial || restarts, restarts, hands_on, ..own }
        };
        self.stages.iter().map(needs).collect()
    }

    fn credit(&self, step: &Tokens) -> Credit {
        self.present().credit(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let mut plan = self.present().token_loss(tokens);
        plan.metrics.insert("stage", (self.at.stage as f64 + 1.0, 1.0));
        plan
    }

    fn adapt(&mut self, sums: &BTreeMap<&'static str, (f64, f64)>) {
        let mut method = self.present();
        method.adapt(sums);
        self.at.inner = method.state();
        let Some(until) = &self.stages[self.at.stage].until else { return };
        let value = sums.get(until.metric.as_str()).map(|(sum, count)| sum / count.max(1.0));
        let holds = value.is_some_and(|v| until.above.is_some_and(|a| v > a) || until.below.is_some_and(|b| v < b));
        self.at.held = if holds { self.at.held + 1 } else { 0 };
    }

    fn state(&self) -> Vec<f64> {
        let At { stage, since, now, held, inner } = &self.at;
        [&[*stage as f64, *since as f64, *now as f64, f64::from(*held)][..], inner].concat()
    }

    fn resume(&mut self, state: &[f64]) {
        if let [stage, since, now, held, inner @ ..] = state {
            // a list that was shortened meanwhile goes on with its last stage
            let stage = (*stage as usize).min(self.stages.len() - 1);
            self.at = At { stage, since: *since as u64, now: *now as u64, held: *held as u32, inner: inner.to_vec() };
        }
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "sparse-to-dense",
    summary: "stages: GRPO on a teacher, its texts to a student, its scores on the student's texts, GRPO on the student",
    docs: DOCS,
    provenance: "stages and their losses READ in the paper (arXiv 2605.12483, version 4); their lengths are ours; a teacher of \
                 the student's own size stands in for the larger one; conditions and other lists of stages are ours",
    axes: "credit grpo, none, none, grpo | rollout teacher in 2a | teacher of stage 1 | loss nll, then reverse KL | \
           schedule stages",
    keys: SparseToDense::KEYS,
};

const DOCS: &str = "\
Idea
  A reward is sparse and a teacher is dense. Spend the few labelled tasks on making a teacher good at them, let it teach
  the student token by token, and reward the student only then. The list of stages is a setting: any methods in any order.

Formula
  1   GRPO on the teacher                                               20 steps, then the student starts afresh
  2a  -log pi(y_t) on the teacher's rollouts (forward KL)               10 steps: `opd` with rollouts = 2, estimator nll
  2b  -sg[gap_t] log pi(y_t) on the student's rollouts (reverse KL)     10 steps: `opd`
  3   GRPO on the student                                               the rest

Source
  'Beyond GRPO and OPD' (sparse-to-dense reward), arXiv 2605.12483.

True expected gradient
  By stage: policy gradient; likelihood of the teacher's samples, that is the forward KL(teacher || student); the reverse
  KL; policy gradient.

Preconditions
  The teacher must have been shaped by the reward (the paper's C1: a raw 8B teacher is worse than none), and be near
  enough to the student (C2: why 2a comes before 2b). A stage whose teacher is `staged` needs one before it that ends with
  `then = \"restart\"` or \"teacher\".

Deviations
  A teacher that an earlier stage made has the student's size; `{ checkpoint = ... }` names one of any size that reads
  the same tokens. The paper's last stage has labels of its own (a held-out half); here all stages draw from the same
  training tasks. In 2a the student's own rollouts are played too, and teach nothing.
";
