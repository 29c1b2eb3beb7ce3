//! RLSD: the reward decides the direction of a token's update, the teacher its size.

use serde::{Deserialize, Serialize};

use super::advantage;
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::needs::{Privileged, Taught, TeacherNeed, TeacherWeights};
use super::schedule::Schedule;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.rlsd]`. Defaults are those of SDAR's script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rlsd {
    /// Share of the teacher in the size of the update, in [0, 1], or a schedule of it. 0 = plain GRPO, bit for bit.
    #[serde(deserialize_with = "manual::share_schedule")]
    pub share: Schedule,
    /// A token's advantage changes by at most this share; in [0, 1), so that no sign flips.
    #[serde(deserialize_with = "manual::below_one")]
    pub eps: f64,
    /// What the teacher reads: `skills`, `gold`, ...
    pub context: Privileged,
    /// `[method.rlsd.grpo]`: where the advantages come from.
    pub grpo: Grpo,
}
}

impl Default for Rlsd {
    fn default() -> Self {
        Self { share: Schedule::linear(0.5, 0.0, 100), eps: 0.2, context: Privileged::Skills, grpo: Grpo::default() }
    }
}

impl Method for Rlsd {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let teacher = TeacherNeed { weights: TeacherWeights::StepStart, context: self.context, rows: Taught::All };
        Needs { teacher: Some(teacher), ..self.grpo.needs() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        let mut credit = self.grpo.credit(step);
        let share = self.share.at(step.step);
        let (mut change, mut gaps, mut squares, mut count) = (0.0, 0.0, 0.0, 0.0);
        for (t, advantage) in credit.advantage.iter_mut().enumerate() {
            let Some(gap) = step.gap(t) else { continue };
            let before = f64::from(*advantage);
            gaps += gap;
            squares += gap * gap;
            count += 1.0;
            // a share of 0 must leave GRPO untouched to the last bit
            if share > 0.0 {
                let after = advantage::rlsd(before, gap, share, self.eps);
                change += (after - before).abs();
                *advantage = after as f32;
            }
        }
        credit.metrics.insert("rlsd/share", (share, 1.0));
        credit.metrics.insert("rlsd/change", (change, count));
        credit.metrics.insert("gap/mean", (gaps, count));
        credit.metrics.insert("gap/square", (squares, count));
        credit
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        self.grpo.token_loss(tokens)
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "rlsd",
    summary: "GRPO whose token advantages are scaled by the teacher's gap; the reward keeps the sign",
    docs: DOCS,
    provenance: "formula READ in a translation of 'Self-Distilled RLVR' (arXiv 2604.03128), in code of that name and in SDAR's; \
                 skills as context, eps and the schedule (0.5 to 0 over 100 steps) READ in SDAR's script; schedules of \
                 another form are ours",
    axes: "credit grpo x gap | context skills | teacher self | schedule linear",
    keys: Rlsd::KEYS,
};

const DOCS: &str = "\
Idea
  Of a good episode, tokens that the teacher endorses get more of the credit; of a bad one, tokens it dislikes get more
  of the blame. Whether up or down is for the reward alone to say, so what the teacher knows cannot leak in.

Formula
  gap_t  = log pi_teacher(y_t | context, prompt) - log pi_old(y_t | prompt)          step-start weights, detached
  w_t    = clip(exp(sign(A) gap_t), 1 - eps, 1 + eps)
  A_t    = A ((1 - share) + share w_t)                                               in place of A in GRPO

Source
  'Self-Distilled RLVR' (RLSD), arXiv 2604.03128.

True expected gradient
  Policy gradient with the advantages A_t: a reweighting of GRPO. No term pulls towards the teacher.

Preconditions
  A teacher context; groups with signal, because where A is 0 nothing is scaled.

Paper and released code
  RLSD's own teacher reads the reference answer (`context = \"gold\"`), SDAR's baseline skills (the default).
  SDAR's paper gives share 0.5 (`share = 0.5`); its script lets it fall linearly to 0 over 100 steps (the default here; the
  code's own default is 50).

Deviations
  Step 1 has the whole share, where SDAR's code, which counts from 1, has 0.99 of it; so all later ones.
";
