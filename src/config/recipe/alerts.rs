//! `[alerts]`: rules over the metrics of a step, and those that hold by default.

use serde::{Deserialize, Serialize};

use crate::config::fields::tables;
use crate::core::event::Level;

tables! {
    /// Alerts: rules over the metrics of a step.
    pub struct AlertSettings in "alerts" {
        /// Each rule has `metric`, one of `above`, `below` and `falls` (by how much the mean of ten steps is lower than the
        /// highest before; none of them: fires when the value is not finite), `for` (breached steps in a row until it
        /// fires, default 1), `level` (`info`, `warn`, `error`; an `error` rule that fired
        /// makes the exit code 3) and `note` (what it means). An empty list = no alerts.
        pub rules: Vec<AlertRule> = default_rules(), Live;
    }
}

/// Fires when a metric stays past a limit. With none of `above`, `below` and `falls`: when it is not a finite number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRule {
    /// Metric name, e.g. `groups/no_signal`. A step that does not record it is passed over.
    pub metric: String,
    /// Breached while the metric is greater than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// Breached while the metric is less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// Breached while the mean of its last ten values is lower by more than this, > 0, than the highest such mean before:
    /// a trend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub falls: Option<f64>,
    /// Breached steps in a row until it fires, >= 1. It fires again only after a step without breach.
    #[serde(rename = "for", default = "one_step")]
    pub steps: u32,
    /// `info`, `warn` or `error`; a run in which an `error` rule fired ends with exit code 3.
    #[serde(default = "warn")]
    pub level: Level,
    /// What it means when it fires, shown with the alert.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

fn one_step() -> u32 {
    1
}

fn warn() -> Level {
    Level::Warn
}

fn default_rules() -> Vec<AlertRule> {
    let rule = |metric: &str, steps, level, note: &str| AlertRule {
        metric: metric.into(),
        above: None,
        below: None,
        falls: None,
        steps,
        level,
        note: note.into(),
    };
    vec![
        AlertRule {
            above: Some(0.8),
            ..rule("groups/no_signal", 5, Level::Warn, "most groups have equal rewards and teach nothing")
        },
        AlertRule {
            below: Some(1e-3),
            ..rule("gap/start_rms", 3, Level::Warn, "the teacher's prompt seems to equal the student's")
        },
        AlertRule {
            above: Some(0.0),
            ..rule(
                "skills/lost_tokens",
                1,
                Level::Warn,
                "skill text did not fit the teacher's prompt and was left out, see `skills.budget_tokens`",
            )
        },
        AlertRule {
            above: Some(0.0),
            ..rule("optim/skipped", 1, Level::Warn, "a gradient was not finite, its update was skipped")
        },
        AlertRule {
            below: Some(-1.0),
            ..rule(
                "gap/mean",
                5,
                Level::Warn,
                "the teacher disagrees with most of what the student says: its context may not fit",
            )
        },
        AlertRule {
            falls: Some(0.1),
            ..rule(
                "gap/mean",
                3,
                Level::Warn,
                "the teacher disagrees more and more: its skills do not serve, or the student overfits",
            )
        },
        AlertRule {
            above: Some(1.0),
            ..rule(
                "grad/aux_to_rl",
                3,
                Level::Warn,
                "the gradient of distillation outweighs that of the reward, lower its `coef`",
            )
        },
        AlertRule {
            above: Some(0.3),
            ..rule(
                "clip/fraction",
                5,
                Level::Warn,
                "updates leave the old policy far behind, lower `optim.lr` or `minibatches`",
            )
        },
        AlertRule {
            above: Some(0.5),
            ..rule(
                "rollout/cut_share",
                5,
                Level::Warn,
                "most replies reach a limit: they grow, or `max_new_tokens` is small",
            )
        },
        AlertRule {
            below: Some(0.005),
            ..rule("entropy/mean", 10, Level::Warn, "the policy hardly varies any more, groups will stop differing")
        },
        AlertRule {
            above: Some(0.05),
            ..rule("leak/share", 3, Level::Warn, "replies quote what only the teacher has read")
        },
        AlertRule {
            above: Some(0.5),
            ..rule(
                "judge/unread",
                2,
                Level::Warn,
                "most answers of the judge cannot be read, their episodes are not judged",
            )
        },
        AlertRule {
            above: Some(0.0),
            ..rule("env/errors", 1, Level::Warn, "environments failed, their episodes are left out")
        },
        rule("grad/norm", 3, Level::Error, "the gradient is not finite and updates are skipped"),
    ]
}
