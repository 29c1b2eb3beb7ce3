//! The lens: what a method makes of tokens that were recorded, whatever method recorded them. No model is needed:
//! a method is a function of log-probabilities, and those lie in the token store.
//!
//! ```text
//! tokens + episodes of a step -> Recorded -> over(method) -> Lens: advantage, weight, coefficient, loss of every token
//! ```
//!
//! What it cannot know, it says ([`Lens::missing`], [`Lens::notes`]): a signal that was not recorded leaves its terms
//! out, and rollouts that were not played cannot be scored. Numbers are those of the whole step as one batch, at the
//! weights of the recorded update; a run that split the step into batches has other means, token by token the same.

mod compare;
mod open;
mod recorded;
mod sdar_debug;

pub use self::compare::{Disagreement, disagreements, unit};
pub use self::open::{Opened, method_of, open, penalty};
pub use self::recorded::Recorded;
pub use self::sdar_debug::read as read_sdar_debug;

use std::collections::BTreeMap;

use crate::method::needs::{Extra, Privileged, TeacherNeed};
use crate::method::{Method, Needs, Tokens};

/// A step through one method's eyes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lens {
    /// Name of the method.
    pub method: &'static str,
    /// The loss of the step.
    pub value: f64,
    /// For every sampled token, in the order of [`Recorded::places`]. [N]
    pub tokens: Vec<Seen>,
    /// What the method needs and the records do not have; its terms are left out.
    pub missing: Vec<String>,
    /// What differs from a run of the method although nothing is missing.
    pub notes: Vec<String>,
    /// Means that the method reports, by name.
    pub metrics: BTreeMap<&'static str, f64>,
}

/// What a method does to one token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    pub advantage: f32,
    /// Gate or weight of the distillation; `None` = the method distils nothing here.
    pub weight: Option<f32>,
    /// dL/dlog-prob of the sampled token, what listed tokens add to it included; negative makes the token more likely.
    pub coefficient: f32,
    /// What the token adds to the loss.
    pub loss: f32,
}

/// Looks at a recorded step through `method`.
pub fn over(recorded: &Recorded, method: &dyn Method) -> Lens {
    let needs = method.needs();
    let step = recorded.tokens();
    let mut credit = method.credit(&Tokens { student: &[], advantage: &[], ..step });
    if !recorded.grouped {
        credit.advantage.fill(0.0);
    }
    let weight = (credit.weight.len() == step.len()).then_some(&credit.weight[..]);
    let plan = method.token_loss(&Tokens { advantage: &credit.advantage, weight, ..step });
    let at = |values: &[f32], t: usize| values.get(t).copied().unwrap_or(0.0);
    let listed = recorded.listed_share(&plan.d_top);
    let seen = |t: usize| Seen {
        advantage: at(&credit.advantage, t),
        weight: plan.gate.as_deref().or(weight).map(|weights| at(weights, t)).filter(|w| w.is_finite()),
        coefficient: at(&plan.d_logp, t) + at(&listed, t),
        loss: at(&plan.loss, t),
    };
    let mut metrics: BTreeMap<&'static str, f64> = BTreeMap::new();
    for (name, (sum, count)) in credit.metrics.iter().chain(&plan.metrics) {
        metrics.insert(name, sum / count.max(1.0));
    }
    Lens {
        method: method.name(),
        value: plan.value,
        tokens: (0..step.len()).map(seen).collect(),
        missing: missing(&needs, recorded),
        notes: notes(&needs, recorded),
        metrics,
    }
}

fn missing(needs: &Needs, recorded: &Recorded) -> Vec<String> {
    let mut missing: Vec<String> =
        needs.missing(&recorded.tokens()).into_iter().map(|name| sentence(name).to_owned()).collect();
    if !recorded.grouped {
        missing.push("groups: which rollouts share a task was not recorded, so no advantage is known".into());
    }
    if let Some(extra) = &needs.extra {
        missing.push(format!("rollouts: {} would be played, and were not", rollouts(extra)));
    }
    missing
}

/// Why a signal is absent, and what records it.
fn sentence(name: &str) -> &'static str {
    match name {
        "teacher" => "teacher: its log-probs were not recorded; `record.teacher = true` records them for any method",
        "reference" => "reference: its log-probs were not recorded; `record.reference = true` records them",
        "top" => {
            "top: no list of likely tokens was recorded; `record.top_k = 16` records them where there is a teacher"
        }
        "given" => "given: log-probs of the environment's tokens were not recorded; only methods that train on them do",
        "judge" => "judge: no verdict on turns was recorded; only methods that ask a judge do",
        _ => "a signal was not recorded",
    }
}

fn rollouts(extra: &Extra) -> String {
    match extra {
        Extra::Cliff(n) => format!("{n} episodes under the teacher's prompt for every group that lost all"),
        Extra::Taught(n) => format!("{n} episodes per group under the teacher's prompt"),
        Extra::Mirrored => "every episode's text under the other prompt".into(),
        Extra::Offline(n) => format!("{n} candidate actions at every step of an expert's trajectory"),
        Extra::Recite(n) => format!("{n} texts of the bank in the place of play"),
    }
}

fn notes(needs: &Needs, recorded: &Recorded) -> Vec<String> {
    let mut notes = Vec::new();
    let asked = needs.teacher.as_ref().filter(|_| recorded.tokens().teacher.is_some());
    if let (Some(asked), Some(was)) = (asked, &recorded.teacher_was)
        && (&asked.weights, asked.context) != (&was.weights, was.context)
    {
        notes.push(format!("the recorded teacher is {}, the method's own would be {}", named(was), named(asked)));
    }
    if needs.skilled_share > 0.0 && !recorded.skilled() {
        notes.push("part of the rollouts would be played with skills; here all were played without".into());
    }
    if needs.off_policy {
        notes.push("all rollouts would be played under the teacher's prompt; here they are the student's own".into());
    }
    if needs.top.k > 0 && recorded.listed() > 0 && recorded.listed() != needs.top.k as usize {
        notes.push(format!(
            "{} tokens were listed per position, the method asks for {}",
            recorded.listed(),
            needs.top.k
        ));
    }
    if !recorded.entropies {
        notes.push("entropies were not recorded and are taken for 0".into());
    }
    notes
}

fn named(teacher: &TeacherNeed) -> String {
    let context = match teacher.context {
        Privileged::None => "reading nothing more".to_owned(),
        context => format!("reading `{}`", context.name()),
    };
    format!("`{}` {context}", teacher.weights.name())
}

#[cfg(test)]
mod tests;
