//! Metrics as the series of charts, computed once per step and not once per frame.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::chart::Series;
use super::lens::{Window, XAxis};
use crate::run::view::{RunView, StepView};

/// Series by metric and x-axis; forgotten when the run got on.
#[derive(Debug, Default)]
pub struct Cache {
    stamp: RefCell<Stamp>,
    known: RefCell<HashMap<(String, XAxis), Rc<Series>>>,
}

/// Steps, last of them and its time: changes whenever a series may have changed.
type Stamp = (usize, u64, u64);

impl Cache {
    /// The values of a metric over `axis`, one for each step.
    pub fn get(&self, view: &RunView, metric: &str, axis: XAxis) -> Rc<Series> {
        let last = view.steps.last().map_or((0, 0), |s| (s.step, s.at_ms));
        let stamp = (view.steps.len(), last.0, last.1);
        let old = self.stamp.replace(stamp);
        if old != stamp && !grew(view, old) {
            self.known.borrow_mut().clear();
        }
        let mut known = self.known.borrow_mut();
        let series = known.entry((metric.to_owned(), axis)).or_default();
        if axis == XAxis::Step {
            let from = series.len().min(view.steps.len());
            Rc::make_mut(series).extend(view.steps[from..].iter().map(|s| (s.step as f64, value(s, metric))));
        } else if series.len() != view.steps.len() {
            *series = Rc::new(self::series(view, metric, axis));
        }
        Rc::clone(series)
    }

    /// Where a step is on an axis: that of the last recorded step at or before it.
    pub fn place_of(&self, view: &RunView, step: u64, axis: XAxis) -> Option<f64> {
        if axis == XAxis::Step {
            return Some(step as f64);
        }
        let upto = view.steps.partition_point(|s| s.step <= step);
        self.get(view, "", axis).get(upto.checked_sub(1)?).map(|(x, _)| *x)
    }
}

/// Whether steps were only added since a stamp.
fn grew(view: &RunView, (len, step, at_ms): Stamp) -> bool {
    let last = len.checked_sub(1).and_then(|at| view.steps.get(at));
    last.is_some_and(|s| (s.step, s.at_ms) == (step, at_ms))
}

/// What a step recorded of a metric: `None` nothing, `NaN` what was not finite.
fn value(step: &StepView, metric: &str) -> Option<f64> {
    step.metrics.get(metric).map(|v| v.unwrap_or(f64::NAN))
}

/// The values of a metric over an axis: `None` where it was not recorded, `NaN` where it was not finite.
pub fn series(view: &RunView, metric: &str, axis: XAxis) -> Series {
    let values = view.steps.iter().map(|s| value(s, metric));
    places(view, axis).into_iter().zip(values).collect()
}

/// Where each recorded step is on an axis. Wall time is in minutes since the first step began.
pub fn places(view: &RunView, axis: XAxis) -> Vec<f64> {
    let metric = |at: usize, name: &str| view.steps[at].metrics.get(name).copied().flatten().unwrap_or(0.0);
    let steps = 0..view.steps.len();
    match axis {
        XAxis::Step => view.steps.iter().map(|s| s.step as f64).collect(),
        XAxis::Wall => {
            let took = view.steps.first().map_or(0.0, |_| metric(0, "time/step") * 1000.0);
            let began = view.steps.first().map_or(0.0, |s| s.at_ms as f64 - took);
            view.steps.iter().map(|s| (s.at_ms as f64 - began) / 60_000.0).collect()
        }
        XAxis::Tokens => sums(steps.map(|at| metric(at, "tokens/sampled"))),
        XAxis::Episodes => {
            let each = f64::from(view.facts.groups) * f64::from(view.facts.members);
            sums(steps.map(|_| each))
        }
    }
}

/// The recorded step nearest to a place of an axis.
pub fn step_at(view: &RunView, place: f64, axis: XAxis) -> Option<u64> {
    let places = places(view, axis);
    let distance = |at: &usize| (places[*at] - place).abs();
    let nearest = (0..places.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    Some(view.steps[nearest].step)
}

/// First and last place of a run on an axis.
pub fn span(view: &RunView, axis: XAxis) -> Option<Window> {
    if axis == XAxis::Step {
        return Some((view.steps.first()?.step as f64, view.steps.last()?.step as f64));
    }
    let places = places(view, axis);
    Some((*places.first()?, *places.last()?))
}

fn sums(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let add = |sum: &mut f64, value: f64| {
        *sum += value.max(0.0);
        Some(*sum)
    };
    values.scan(0.0, add).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> RunView {
        let step = |step: u64| StepView {
            step,
            at_ms: step * 60_000,
            metrics: [
                ("tokens/sampled".into(), Some(100.0)),
                ("time/step".into(), Some(60.0)),
                ("odd".into(), (step != 2).then_some(1.0)),
            ]
            .into(),
            skills: vec![],
        };
        let mut view = RunView { steps: (1..=3).map(step).collect(), ..RunView::default() };
        (view.facts.groups, view.facts.members) = (4, 2);
        view
    }

    #[test]
    fn every_axis_rises_and_finds_its_step_again() {
        let view = view();
        let expected = [vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0], vec![100.0, 200.0, 300.0], vec![8.0, 16.0, 24.0]];
        for (axis, expected) in XAxis::ALL.into_iter().zip(expected) {
            assert_eq!(places(&view, axis), expected, "{axis:?}");
            let place = Cache::default().place_of(&view, 2, axis).unwrap();
            assert_eq!(step_at(&view, place, axis), Some(2));
        }
    }

    #[test]
    fn what_was_not_finite_differs_from_what_was_not_recorded() {
        let series = series(&view(), "odd", XAxis::Step);
        assert!(series[1].1.is_some_and(f64::is_nan) && series[0].1 == Some(1.0));
        assert_eq!(super::series(&view(), "none", XAxis::Step)[0].1, None);
    }

    #[test]
    fn the_cache_notices_a_new_step() {
        let (cache, mut view) = (Cache::default(), view());
        assert_eq!(cache.get(&view, "odd", XAxis::Step).len(), 3);
        let mut next = view.steps[2].clone();
        next.step = 4;
        view.steps.push(next);
        assert_eq!(cache.get(&view, "odd", XAxis::Step).len(), 4);
        view.steps.truncate(1);
        assert_eq!(cache.get(&view, "odd", XAxis::Step).len(), 1);
        for axis in XAxis::ALL {
            assert_eq!(*cache.get(&view, "tokens/sampled", axis), series(&view, "tokens/sampled", axis));
        }
    }
}
