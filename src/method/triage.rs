//! TRIAGE: a judge says what every turn did for the outcome, and a constant per role joins the advantage.

use serde::{Deserialize, Serialize};

use super::advantage::{role_value, whiten};
use super::grpo::Grpo;
use super::manual::{self, manual};
use super::needs::Verdict;
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.triage]`. Defaults are the paper's for household and shop tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Triage {
    /// Weight of the role's constant beside the advantage; >= 0. 0.4 for search tasks in the paper. 0 = no constant.
    #[serde(deserialize_with = "manual::non_negative")]
    pub weight: f64,
    /// Constants of a decisive turn, an exploration, one without progress, and a regression.
    pub roles: [f64; 4],
    /// Whether the advantages of the step's turns are moved to mean 0 and spread 1. With `weight = 0` and `false`: plain
    /// GRPO, bit for bit, and no judge is asked.
    pub whiten: bool,
    /// `[method.triage.grpo]`: where the advantages come from.
    pub grpo: Grpo,
}
}

/// Names of the shares of roles among the judged turns of lost and of won episodes, in the order of [`Role`].
const CELLS: [[&str; 4]; 2] = [
    ["judge/lost_decisive", "judge/lost_exploration", "judge/lost_no_progress", "judge/lost_regression"],
    ["judge/won_decisive", "judge/won_exploration", "judge/won_no_progress", "judge/won_regression"],
];

impl Default for Triage {
    fn default() -> Self {
        let grpo = Grpo { kl_coef: 0.01, ..Grpo::default() };
        Self { weight: 0.2, roles: [1.0, 0.5, -0.1, -0.5], whiten: true, grpo }
    }
}

impl Method for Triage {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        Needs { judge: (self.weight > 0.0).then_some(Verdict::Roles), ..self.grpo.needs() }
    }

    fn credit(&self, step: &Tokens) -> Credit {
        let mut credit = self.grpo.credit(step);
        let (mut judged, mut turns) = (0.0, 0.0);
        // whether the judge agrees with the outcome it was not told: turns that helped, in won and in lost episodes
        let mut helped = [(0.0, 0.0); 2];
        let mut cells = [[0.0; 4]; 2];
        for row in step.facts.iter().filter(|row| !row.extra) {
            for turn in &row.turns {
                turns += 1.0;
                let Some(role) = turn.role else { continue };
                let value = role_value(role, self.roles);
                judged += 1.0;
                cells[usize::from(row.won)][role as usize] += 1.0;
                let (good, all) = helped[usize::from(row.won)];
                helped[usize::from(row.won)] = (good + f64::from(u8::from(value > 0.0)), all + 1.0);
                if self.weight > 0.0 {
                    let by = (self.weight * value) as f32;
                    credit.advantage[turn.tokens.clone()].iter_mut().for_each(|a| *a += by);
                }
            }
        }
        if self.whiten {
            whiten(step, &mut credit.advantage);
        }
        credit.metrics.insert("judge/judged", (judged, turns));
        credit.metrics.insert("judge/helped_lost", helped[0]);
        credit.metrics.insert("judge/helped_won", helped[1]);
        for ((names, counts), (_, all)) in CELLS.iter().zip(cells).zip(helped) {
            credit.metrics.extend(names.iter().zip(counts).map(|(name, count)| (*name, (count, all))));
        }
        credit
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        self.grpo.token_loss(tokens)
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "triage",
    summary: "GRPO plus a constant by the role a judge gives every turn: decisive, exploration, no progress, regression",
    docs: DOCS,
    provenance: "formula and constants READ in the paper (arXiv 2606.32017); the judge's wording is ours",
    axes: "credit grpo + role, whitened | judge of turns, the outcome hidden",
    keys: Triage::KEYS,
};

const DOCS: &str = "\
Idea
  The reward says how an episode ended, not which turns made it so. A judge who is not told the outcome types every turn,
  and each type is worth a fixed amount.

Formula
  A_k    = A_GRPO + weight c_role(k)          c = 1 decisive, 0.5 exploration, -0.1 no progress, -0.5 regression
  then   moved to mean 0 and spread 1 over all turns of the step, and spread over the turn's tokens

Source
  'TRIAGE: Role-Typed Credit', arXiv 2606.32017.

True expected gradient
  Policy gradient with the advantages A_k. A wrong judge biases it: `judge/helped_won` and `judge/helped_lost` show how
  often turns of won and of lost episodes were found to help, `judge/won_decisive` and so on the share of each role.

Preconditions
  A judge (`[judge]`). The paper found one that does not think aloud to be worse than no judge at all. The `oracle`
  compares the lengths of the expert's solutions before and after a turn, and is for tests.

Deviations
  The judge sees the whole transcript and not five turns to either side. A turn it leaves out gets no constant. Rewards are
  the environment's own where the paper makes them 0 or 1. Its scalar control (a number in place of the roles) is left out.
";
