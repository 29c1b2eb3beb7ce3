//! Alert rules over the metrics of a step.

use std::collections::{HashMap, VecDeque};

use crate::config::AlertRule;
use crate::core::event::Level;
use crate::core::{Metrics, RunEvent};

/// Counts, for every rule, the steps in a row that breached it.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    rules: Vec<AlertRule>,
    streaks: HashMap<String, u32>,
    /// Of rules about a trend.
    trends: HashMap<String, Trend>,
    /// Whether a rule of level `error` ever fired.
    pub failed: bool,
}

impl Alarms {
    /// Takes over edited rules; those that did not change keep their count.
    pub fn set_rules(&mut self, rules: &[AlertRule]) {
        self.rules = rules.to_vec();
        let names: Vec<String> = rules.iter().map(name).collect();
        self.streaks.retain(|name, _| names.contains(name));
        self.trends.retain(|name, _| names.contains(name));
    }

    /// The alerts that fire at this step: a rule fires when its streak reaches `for`, then once more only after a
    /// step without breach. A metric that was not recorded neither breaches nor ends a streak.
    pub fn check(&mut self, step: u64, metrics: &Metrics) -> Vec<RunEvent> {
        let mut fired = Vec::new();
        for rule in &self.rules {
            let Some(value) = metrics.get(&rule.metric) else { continue };
            let breached = match (rule.falls, value) {
                (Some(falls), Some(value)) => self.trends.entry(name(rule)).or_default().see(*value) > falls,
                _ => breached(rule, *value),
            };
            let streak = self.streaks.entry(name(rule)).or_insert(0);
            *streak = if breached { streak.saturating_add(1) } else { 0 };
            if *streak == rule.steps {
                self.failed |= rule.level == Level::Error;
                fired.push(RunEvent::Alerted {
                    step,
                    level: rule.level,
                    rule: name(rule),
                    message: message(rule, *value),
                    value: *value,
                });
            }
        }
        fired
    }
}

/// Values that a trend is a mean of.
const TREND: usize = 10;

/// The mean of the last values of a metric, and the highest it has been.
#[derive(Debug, Default)]
struct Trend {
    last: VecDeque<f64>,
    highest: Option<f64>,
}

impl Trend {
    /// Takes a value in; by how much the mean is lower than it was at its highest. 0 until there are enough values.
    fn see(&mut self, value: f64) -> f64 {
        self.last.push_back(value);
        if self.last.len() > TREND {
            self.last.pop_front();
        }
        if self.last.len() < TREND {
            return 0.0;
        }
        let mean = self.last.iter().sum::<f64>() / TREND as f64;
        let highest = self.highest.map_or(mean, |highest| highest.max(mean));
        self.highest = Some(highest);
        highest - mean
    }
}

/// `metric > 0.8`, unique per meaning.
fn name(rule: &AlertRule) -> String {
    match (rule.above, rule.below, rule.falls) {
        (Some(limit), ..) => format!("{} > {limit}", rule.metric),
        (_, Some(limit), _) => format!("{} < {limit}", rule.metric),
        (.., Some(limit)) => format!("{} falls {limit}", rule.metric),
        (None, None, None) => format!("{} not finite", rule.metric),
    }
}

/// A value that is not finite (`None`) breaches the rules that ask for that, and no limit.
fn breached(rule: &AlertRule, value: Option<f64>) -> bool {
    match (value, rule.above, rule.below) {
        (None, above, below) => above.is_none() && below.is_none() && rule.falls.is_none(),
        (Some(value), Some(limit), _) => value > limit,
        (Some(value), _, Some(limit)) => value < limit,
        (Some(_), None, None) => false,
    }
}

fn message(rule: &AlertRule, value: Option<f64>) -> String {
    let value = value.map_or("not finite".into(), |value| format!("{value:.4}"));
    let steps = if rule.steps == 1 { String::new() } else { format!(" for {} steps", rule.steps) };
    let note = if rule.note.is_empty() { String::new() } else { format!(": {}", rule.note) };
    format!("`{}` is {value}{steps}{note}", rule.metric)
}

#[cfg(test)]
mod tests {
    use super::Alarms;
    use crate::config::Recipe;
    use crate::core::{Metrics, RunEvent};

    fn fired(alarms: &mut Alarms, step: u64, name: &str, value: Option<f64>) -> Option<String> {
        let metrics = Metrics::from([(name.to_owned(), value)]);
        let mut events = alarms.check(step, &metrics);
        assert!(events.len() <= 1);
        match events.pop()? {
            RunEvent::Alerted { message, .. } => Some(message),
            other => panic!("{other:?}"),
        }
    }

    fn default_alarms() -> Alarms {
        let mut alarms = Alarms::default();
        alarms.set_rules(&Recipe::default().alerts.rules);
        alarms
    }

    #[test]
    fn a_rule_fires_once_per_streak() {
        let mut alarms = default_alarms();
        let values = [0.9, 0.9, 0.9, 0.9, 0.85, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9];
        let steps: Vec<u64> = (1..=12)
            .zip(values)
            .filter_map(|(step, v)| fired(&mut alarms, step, "groups/no_signal", Some(v)).map(|_| step))
            .collect();
        assert_eq!(steps, [5, 12]);
        assert!(!alarms.failed);
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_an_error() {
        let mut alarms = default_alarms();
        assert_eq!(fired(&mut alarms, 1, "grad/norm", None), None);
        assert_eq!(fired(&mut alarms, 2, "reward/mean", None), None, "another metric does not end the streak");
        assert_eq!(fired(&mut alarms, 3, "grad/norm", None), None);
        let message = fired(&mut alarms, 4, "grad/norm", None);
        let expected = "`grad/norm` is not finite for 3 steps: the gradient is not finite and updates are skipped";
        assert_eq!(message.as_deref(), Some(expected));
        assert!(alarms.failed);
    }

    #[test]
    fn a_missing_gap_says_that_the_teacher_reads_the_same() {
        let mut alarms = default_alarms();
        assert_eq!(fired(&mut alarms, 1, "gap/start_rms", Some(0.0)), None);
        alarms.set_rules(&Recipe::default().alerts.rules);
        assert_eq!(fired(&mut alarms, 2, "gap/start_rms", Some(0.0)), None);
        assert!(fired(&mut alarms, 3, "gap/start_rms", Some(0.0)).unwrap().contains("seems to equal"));
    }

    #[test]
    fn a_falling_gap_is_a_trend_and_noise_is_none() {
        let steps = |gap: &dyn Fn(u64) -> f64| {
            let mut alarms = default_alarms();
            let fires = |step: &u64| fired(&mut alarms, *step, "gap/mean", Some(gap(*step))).is_some();
            (1..=150).filter(fires).collect::<Vec<_>>()
        };
        let noise = |step: u64| 0.05 * (step as f64 * 12.9).sin();
        // GRPO+OPSD falls from -0.10 to -0.21 over 150 steps, SDAR rises from -0.16 to -0.10 (SDAR, figure 1)
        assert_eq!(steps(&|step| -0.16 + 0.0004 * step as f64 + noise(step)), [0; 0]);
        assert_eq!(steps(&|step| -0.10 + noise(step)), [0; 0]);
        assert!(!steps(&|step| -0.10 - 0.0011 * step as f64 + noise(step)).is_empty());
    }

    #[test]
    fn every_rule_has_a_streak_of_its_own() {
        let rules = Recipe::default().alerts.rules;
        let names: std::collections::BTreeSet<String> = rules.iter().map(super::name).collect();
        assert_eq!(names.len(), rules.len(), "{names:?}");
    }

    /// The table of failure modes, each with what shows it.
    #[test]
    fn every_known_failure_has_its_alarm() {
        let rules = Recipe::default().alerts.rules;
        for (metric, limit, what) in [
            ("gap/mean", "falls", "the gap grows more and more negative"),
            ("gap/mean", "below", "the teacher's prompt is broken"),
            ("gap/start_rms", "below", "the teacher reads what the student reads"),
            ("skills/lost_tokens", "above", "skill text is lost to truncation"),
            ("grad/aux_to_rl", "above", "distillation dominates"),
            ("groups/no_signal", "above", "all rewards of a group are equal"),
            ("entropy/mean", "below", "the entropy is gone"),
            ("rollout/cut_share", "above", "replies explode"),
            ("clip/fraction", "above", "updates leave the old policy behind"),
            ("leak/share", "above", "what only the teacher reads is quoted"),
        ] {
            let has = |rule: &&crate::config::AlertRule| {
                let set = [("above", rule.above), ("below", rule.below), ("falls", rule.falls)];
                rule.metric == metric && set.iter().any(|(name, value)| *name == limit && value.is_some())
            };
            assert_eq!(rules.iter().filter(has).count(), 1, "{what}: `{metric}` {limit}");
        }
    }
}
