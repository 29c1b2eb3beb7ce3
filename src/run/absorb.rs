//! Which skills were absorbed: success with and without skills over training, and what each skill still does to the
//! tokens it conditions.
//!
//! A skill is absorbed as far as the teacher that reads it and the student that does not come to agree: the gap on its
//! tokens shrinks towards 0, while success without skills rises towards success with them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::view::{EvalView, RunView};

/// The whole report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Absorption {
    /// Evaluations in order.
    pub panels: Vec<PanelRow>,
    /// Skills, most used first.
    pub skills: Vec<SkillRow>,
}

/// The panel after a step; shares in [0, 1].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PanelRow {
    pub step: u64,
    /// `None` = that side was not played.
    pub plain: Option<f64>,
    pub with_skills: Option<f64>,
    /// The same per task type: without, with.
    pub kinds: BTreeMap<String, (Option<f64>, Option<f64>)>,
}

impl PanelRow {
    /// Success with skills less success without.
    pub fn uplift(&self) -> Option<f64> {
        Some(self.with_skills? - self.plain?)
    }
}

/// One skill over the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SkillRow {
    pub id: String,
    pub title: String,
    /// Episodes whose teacher was shown it.
    pub uses: u64,
    /// First and last step that used it.
    pub first: u64,
    pub last: u64,
    /// Mean gap on its tokens in the first and in the last quarter of the steps that used it.
    pub gap_before: Option<f64>,
    pub gap_after: Option<f64>,
    /// The same over won episodes.
    pub won_before: Option<f64>,
    pub won_after: Option<f64>,
    /// Share of the gap that is gone, 1 = all; negative = it has grown. `None` with fewer than two steps.
    pub absorbed: Option<f64>,
    pub utility: Option<f64>,
    /// Whether it is still in the bank.
    pub in_bank: bool,
}

impl Absorption {
    /// What a run's records say up to and including `step`.
    pub fn of(view: &RunView, step: u64) -> Self {
        let mut panels: BTreeMap<u64, PanelRow> = BTreeMap::new();
        for eval in view.evals.iter().filter(|eval| eval.step <= step) {
            let row = panels.entry(eval.step).or_insert_with(|| PanelRow { step: eval.step, ..PanelRow::default() });
            add(row, eval);
        }
        let mut skills = rows(view, step);
        skills.sort_by(|a, b| b.uses.cmp(&a.uses).then_with(|| a.id.cmp(&b.id)));
        Self { panels: panels.into_values().collect(), skills }
    }
}

fn add(row: &mut PanelRow, eval: &EvalView) {
    let success = eval.metrics.get("success").copied().flatten();
    *(if eval.with_skills { &mut row.with_skills } else { &mut row.plain }) = success;
    for (name, value) in &eval.metrics {
        let Some(kind) = name.strip_prefix("success/") else { continue };
        let both = row.kinds.entry(kind.to_owned()).or_default();
        *(if eval.with_skills { &mut both.1 } else { &mut both.0 }) = *value;
    }
}

/// Step, episodes, gap, and gap of won episodes.
type Used = (u64, f64, Option<f64>, Option<f64>);

fn rows(view: &RunView, step: u64) -> Vec<SkillRow> {
    let mut courses: BTreeMap<&str, Vec<Used>> = BTreeMap::new();
    for s in view.steps.iter().filter(|s| s.step <= step) {
        for used in s.skills.iter() {
            let course = courses.entry(used.id.as_str()).or_default();
            course.push((s.step, f64::from(used.uses), used.gap, used.gap_won));
        }
    }
    let bank: Vec<&str> = view.bank.at(step).into_iter().map(|card| card.id.as_str()).collect();
    let last = view.skill_uses(step);
    let row = |(id, course): (&str, Vec<Used>)| {
        let quarter = course.len().div_ceil(4);
        let (start, end) = (&course[..quarter], &course[course.len() - quarter..]);
        let (gap_before, gap_after) = (mean(start, |row| row.2), mean(end, |row| row.2));
        let share = |before: f64, after: f64| (before.abs() > 1e-9).then(|| 1.0 - after.abs() / before.abs());
        let known = if course.len() < 2 { None } else { gap_before.zip(gap_after) };
        let used = last.get(id).map(|(_, used)| *used);
        SkillRow {
            id: id.to_owned(),
            title: used.map(|used| used.title.clone()).unwrap_or_default(),
            uses: course.iter().map(|row| row.1 as u64).sum(),
            first: course.first().map_or(0, |row| row.0),
            last: course.last().map_or(0, |row| row.0),
            gap_before,
            gap_after,
            won_before: mean(start, |row| row.3),
            won_after: mean(end, |row| row.3),
            absorbed: known.and_then(|(before, after)| share(before, after)),
            utility: used.and_then(|used| used.total.utility),
            in_bank: bank.contains(&id),
        }
    };
    courses.into_iter().map(row).collect()
}

/// Weighted by episodes; `None` where nothing is known.
fn mean(course: &[Used], of: fn(&Used) -> Option<f64>) -> Option<f64> {
    let known = course.iter().filter_map(|row| Some((row.1, of(row)?)));
    let (weight, sum) = known.fold((0.0, 0.0), |(w, s), (weight, value)| (w + weight, s + weight * value));
    (weight > 0.0).then(|| sum / weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Metrics, SkillUse};
    use crate::core::{Record, RunEvent};

    #[test]
    fn a_gap_that_closes_is_a_skill_absorbed() {
        let mut view = RunView::default();
        let mut say = |event| view.apply(&Record { at_ms: 0, event });
        let panel = |step, with_skills, success| RunEvent::Evaluated {
            step,
            panel: "p".into(),
            with_skills,
            metrics: Metrics::from([("success".into(), Some(success)), ("success/k".into(), Some(success))]),
            outcomes: String::new(),
        };
        say(panel(0, false, 0.25));
        say(panel(0, true, 0.75));
        for step in 1..=4 {
            let gap = Some(-0.8 / f64::from(1 << (step - 1)));
            let used = SkillUse { id: "s".into(), title: "S".into(), uses: 2, gap, ..SkillUse::default() };
            say(RunEvent::Stepped { step, metrics: Metrics::new(), skills: vec![used] });
        }
        say(panel(4, false, 0.625));
        let report = Absorption::of(&view, u64::MAX);
        assert_eq!(report.panels[0].uplift(), Some(0.5));
        assert_eq!(report.panels[0].kinds["k"], (Some(0.25), Some(0.75)));
        assert_eq!((report.panels[1].plain, report.panels[1].uplift()), (Some(0.625), None));
        let row = &report.skills[0];
        assert_eq!((row.uses, row.first, row.last, row.gap_before, row.gap_after), (8, 1, 4, Some(-0.8), Some(-0.1)));
        assert!((row.absorbed.unwrap() - 0.875).abs() < 1e-12);
        assert_eq!(Absorption::of(&view, 1).skills[0].absorbed, None);
    }
}
