//! TimeClaw: the model stays as it is; what its executions of a task show when they are ranked becomes memory.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::manual::{self, manual};
use super::needs::Memory;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.timeclaw]`. No setting of the paper is known: all values are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeClaw {
    /// Mean chance that a tool of the environment is withheld from an execution, in [0, 1). A tool that many executions of
    /// its task type used is withheld up to 1.5 times as often, one that none used half as often; a group's first
    /// execution has all. 0 = no dropout. Ours.
    #[serde(deserialize_with = "manual::below_one")]
    pub dropout: f64,
    /// An execution has fallen behind the group's best if its score is lower by this at least; >= 0. 0 = nothing is
    /// compared, and the bank learns of single episodes alone. Ours.
    #[serde(deserialize_with = "manual::non_negative")]
    pub margin: f64,
    /// Share of every group that explores with the memory in its prompt, in [0, 1]. 0 = it is read at evaluation alone. Ours.
    #[serde(deserialize_with = "manual::share")]
    pub share: f64,
}
}

impl Default for TimeClaw {
    fn default() -> Self {
        Self { dropout: 0.3, margin: 0.05, share: 0.0 }
    }
}

impl Method for TimeClaw {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        Needs {
            frozen: true,
            tool_dropout: self.dropout,
            memory: Some(Memory { margin: self.margin }),
            skilled_share: self.share,
            ..Needs::default()
        }
    }

    /// No gradient: advantages are 0.
    fn credit(&self, step: &Tokens) -> Credit {
        Credit::none(step)
    }

    /// No gradient: no token counts.
    fn token_loss(&self, tokens: &Tokens) -> Plan {
        Draft::new(tokens.len()).into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "timeclaw",
    summary: "the model is frozen: executions without some of the tools are ranked, and the contrasts become memory",
    docs: DOCS,
    provenance: "the loop (explore, compare, distil, reinject), the frozen model, the dropout of tools by task and the three \
                 levels of memory READ in abstract and notes of the paper (arXiv 2605.10038); every number and formula is \
                 INFERRED or ours: none was found. Ranking and notes are made by rule where the authors may ask a model",
    axes: "credit none | rollout tool dropout, by task type | context own memory, at evaluation | memory from ranked groups",
    keys: TimeClaw::KEYS,
};

const DOCS: &str = "\
Idea
  A model that forecasts with tools soon uses one tool for everything. Let it run every task several times, each time
  without some of the tools, rank what came out by the task's own metric, and write down what did better than what. The
  weights never change: what is learnt is read.

Formula
  explore   p(tool withheld) = dropout (1/2 + share of the task type's executions that used it)   first of a group: none
  compare   by score, falling; behind = score(best) - score >= margin
  distil    one note per group: the last actions of the best, and of those behind
  reinject  notes of the task type stand in the prompt at evaluation (and for `share` of every group)
  L         = 0

Source
  'TimeClaw: Exploratory Execution Learning', arXiv 2605.10038 (2606.05404 is another system of that name, whose figures
  must not be quoted for this one).

True expected gradient
  None: no weight is updated.

Preconditions
  A policy that can already play, and groups whose scores differ. In an environment without tools (`series` has them)
  nothing is withheld, and the loop goes on without dropout. `skills.bank = \"\"` starts with an empty memory.

Memory
  Episode: the recorded rollouts. Skill: what the author makes of single episodes (`skills.learn.form`). Note: the ranked
  contrast. Notes and skills carry task, episode and score in their provenance, and `Skills` shows them as they come.

Deviations
  Scores are those of the environment: in `series` the error of the best usual method over one's own, at most 1, measured
  against all tools whatever was withheld. Where no author is named the distiller writes, by rule. The panel is always
  played without and with the memory, and `score/mean` says what it is worth.
";
