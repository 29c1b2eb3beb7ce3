//! PBSD: the episode played with the hint is preferred to the one played without, measured against the teacher.

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::estimator::preference;
use super::manual::{self, manual};
use super::needs::{Extra, Privileged, Taught, TeacherNeed, TeacherWeights};
use super::{Credit, Method, MethodInfo, Needs, Plan, Tokens};

manual! {
/// `[method.pbsd]`. The paper's beta and refresh of the teacher are not known; these are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pbsd {
    /// Sharpness of the preference, per nat of margin; >= 0. 0 = no gradient. Ours.
    #[serde(deserialize_with = "manual::non_negative")]
    pub beta: f64,
    /// Whether margins are per token instead of per episode; ours, for episodes of very different lengths.
    pub per_token: bool,
    /// Whose weights the teacher has.
    pub teacher: TeacherWeights,
    /// What the teacher reads and plays with: `gold`, `skills`, ...
    pub context: Privileged,
}
}

impl Default for Pbsd {
    fn default() -> Self {
        Self { beta: 0.1, per_token: false, teacher: TeacherWeights::StepStart, context: Privileged::Gold }
    }
}

/// An episode's tokens, and how much likelier the student finds it than the teacher does.
struct Side {
    tokens: Vec<usize>,
    margin: f64,
    scale: f64,
}

impl Pbsd {
    /// Episodes of a group: those of the teacher's view, or the student's own.
    fn sides(&self, tokens: &Tokens, group: usize, extra: bool) -> Vec<Side> {
        let mut rows: Vec<usize> = (0..tokens.facts.len()).collect();
        rows.retain(|&row| (tokens.facts[row].group, tokens.facts[row].extra) == (group, extra));
        let mut members: Vec<usize> = rows.iter().map(|&row| tokens.facts[row].member).collect();
        members.dedup();
        let side = |member: usize| {
            let own = rows.iter().filter(|&&row| tokens.facts[row].member == member);
            let tokens_of: Vec<usize> = own.flat_map(|&row| tokens.rows[row].clone()).collect();
            let teacher = tokens.teacher?;
            let margin: f64 = tokens_of.iter().map(|&t| f64::from(tokens.student[t]) - f64::from(teacher[t])).sum();
            let scale = if self.per_token { 1.0 / tokens_of.len().max(1) as f64 } else { 1.0 };
            (margin.is_finite() && !tokens_of.is_empty()).then_some(Side { tokens: tokens_of, margin, scale })
        };
        members.into_iter().filter_map(side).collect()
    }
}

impl Method for Pbsd {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn needs(&self) -> Needs {
        let teacher = TeacherNeed { weights: self.teacher.clone(), context: self.context, rows: Taught::All };
        Needs { teacher: Some(teacher), extra: Some(Extra::Taught(1)), whole_groups: true, ..Needs::default() }
    }

    /// No reward: advantages are 0.
    fn credit(&self, step: &Tokens) -> Credit {
        Credit::none(step)
    }

    fn token_loss(&self, tokens: &Tokens) -> Plan {
        let mut draft = Draft::new(tokens.len());
        let mut groups: Vec<usize> = tokens.facts.iter().map(|row| row.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let sides: Vec<(Vec<Side>, Vec<Side>)> =
            groups.iter().map(|&group| (self.sides(tokens, group, true), self.sides(tokens, group, false))).collect();
        let pairs = sides.iter().map(|(liked, other)| liked.len() * other.len()).sum::<usize>() as f64;
        let (mut loss, mut right) = (0.0, 0.0);
        for (liked, other) in &sides {
            for (a, b) in liked.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                let margin = a.scale * a.margin - b.scale * b.margin;
                let pair = preference(margin, self.beta);
                loss += pair.value / pairs;
                right += f64::from(u8::from(margin > 0.0));
                for (side, sign) in [(a, 1.0), (b, -1.0)] {
                    let half = 0.5 * pair.value / pairs / side.tokens.len() as f64;
                    side.tokens.iter().for_each(|&t| draft.share(t, half, sign * side.scale * pair.slope / pairs));
                }
            }
        }
        draft.value += loss;
        draft.metrics.insert("pbsd/loss", (loss * pairs, pairs));
        draft.metrics.insert("pbsd/right", (right, pairs));
        draft.into_plan()
    }
}

/// This method in the table of methods.
pub(super) const INFO: MethodInfo = MethodInfo {
    name: "pbsd",
    summary: "the episode played with a hint is preferred to those played without it (DPO with the teacher as reference)",
    docs: DOCS,
    provenance: "target and loss READ in two notes on the paper (arXiv 2605.05040); \
                 that the teacher is the reference of both texts is INFERRED; beta and refresh are ours",
    axes: "credit none | rollout teacher view | context hint | teacher self, also the reference | loss DPO",
    keys: Pbsd::KEYS,
};

const DOCS: &str = "\
Idea
  Matching a teacher token by token copies its mistakes. Preferring what it plays to what the student plays, measured
  against the teacher itself, aims at the teacher reweighted by reward, pi_T exp(r / beta).

Formula
  m(y)   = log pi(y | x) - log pi_T(y | x, c)                        sums over an episode's sampled tokens
  L      = mean over pairs of -log sigmoid(beta [m(y+) - m(y-)])     y+ played with c, y- without

Source
  'PBSD: Preference-Based Self-Distillation', arXiv 2605.05040 (2606.09348 is another method of that name).

True expected gradient
  That of the logistic preference loss. y+ is not the student's own sample: on-policy identities do not hold.

Preconditions
  A hint that helps. Each group plays one more episode, and every batch holds whole groups.

Deviations
  Every rollout of the group is paired with the hinted one; the paper draws one y- in the gradient loop.
";
