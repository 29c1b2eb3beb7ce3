//! Metrics as the series of charts, kept as the run grows: a new step adds a point to each, nothing is made anew.
//!
//! ```text
//! RunView.steps --places by axis--> x      --+
//!               --values by name--> y  --------+--> Series --> smoothed Series
//! ```

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::chart::{Average, Series};
use super::lens::{Window, XAxis};
use crate::run::Numbers;
use crate::run::view::{RunView, StepView};

/// What was read of a run so far. It notices steps that were added, taken away (a replay that walks back) or replaced
/// (a resumed run), and answers as if it were made anew for every call.
#[derive(Debug, Default)]
pub struct Cache(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Step and time of every step taken in: what all else is about.
    ends: Vec<(u64, u64)>,
    places: HashMap<XAxis, Rc<Vec<f64>>>,
    series: HashMap<XAxis, HashMap<String, Curve>>,
    names: Rc<BTreeSet<String>>,
    /// Steps whose names are in `names`.
    named: usize,
}

/// One metric over one axis.
#[derive(Debug, Default)]
struct Curve {
    raw: Rc<Series>,
    /// Steps taken in; a stretch of steps without the metric is one point of `raw`.
    steps: usize,
    /// By weight, as bits.
    smooth: HashMap<u64, (Average, Rc<Series>)>,
}

impl Cache {
    /// The values of a metric over `axis`: `NaN` what was not finite, `None` a stretch of steps that did not record it.
    pub fn get(&self, view: &RunView, metric: &str, axis: XAxis) -> Rc<Series> {
        self.curve(view, metric, axis, |curve| Rc::clone(&curve.raw))
    }

    /// The same with values averaged by [`Average`]; `weight` 0 averages nothing.
    pub fn smoothed(&self, view: &RunView, metric: &str, axis: XAxis, weight: f64) -> Rc<Series> {
        self.curve(view, metric, axis, |curve| {
            let (average, series) =
                curve.smooth.entry(weight.to_bits()).or_insert_with(|| (Average::new(weight), Rc::default()));
            let new = &curve.raw[series.len()..];
            if !new.is_empty() {
                Rc::make_mut(series).extend(new.iter().map(|(x, y)| (*x, average.next(*y))));
            }
            Rc::clone(series)
        })
    }

    /// The last finite value of a metric up to and including a step.
    pub fn latest(&self, view: &RunView, metric: &str, step: u64) -> Option<f64> {
        super::chart::value_at(&self.get(view, metric, XAxis::Step), step as f64)
    }

    /// Names of all metrics of the run.
    pub fn names(&self, view: &RunView) -> Rc<BTreeSet<String>> {
        let mut known = self.0.borrow_mut();
        known.look(view);
        let (from, mut before) = (known.named, known.named.checked_sub(1).map(|at| &view.steps[at].metrics));
        let mut new: Vec<&Numbers> = Vec::new();
        for numbers in view.steps[from..].iter().map(|s| &s.metrics) {
            if !before.replace(numbers).is_some_and(|b| b.alike(numbers)) && !new.iter().any(|n| n.alike(numbers)) {
                new.push(numbers);
            }
        }
        known.named = view.steps.len();
        if new.iter().any(|numbers| numbers.names().any(|name| !known.names.contains(name))) {
            let names = new.iter().flat_map(|numbers| numbers.names()).map(str::to_owned);
            Rc::make_mut(&mut known.names).extend(names);
        }
        Rc::clone(&known.names)
    }

    /// Where every step is on an axis, in order.
    pub fn places(&self, view: &RunView, axis: XAxis) -> Rc<Vec<f64>> {
        let mut known = self.0.borrow_mut();
        known.look(view);
        known.places(view, axis)
    }

    /// Where a step is on an axis: that of the last recorded step at or before it.
    pub fn place_of(&self, view: &RunView, step: u64, axis: XAxis) -> Option<f64> {
        if axis == XAxis::Step {
            return Some(step as f64);
        }
        let upto = view.steps.partition_point(|s| s.step <= step);
        self.places(view, axis).get(upto.checked_sub(1)?).copied()
    }

    /// The recorded step nearest to a place of an axis.
    pub fn step_at(&self, view: &RunView, place: f64, axis: XAxis) -> Option<u64> {
        let places = self.places(view, axis);
        let after = places.partition_point(|at| *at < place).min(places.len().checked_sub(1)?);
        let before = after.saturating_sub(1);
        let nearest = if (places[before] - place).abs() <= (places[after] - place).abs() { before } else { after };
        Some(view.steps[nearest].step)
    }

    /// First and last place of a run on an axis.
    pub fn span(&self, view: &RunView, axis: XAxis) -> Option<Window> {
        if axis == XAxis::Step {
            return Some((view.steps.first()?.step as f64, view.steps.last()?.step as f64));
        }
        let places = self.places(view, axis);
        Some((*places.first()?, *places.last()?))
    }

    fn curve<T>(&self, view: &RunView, metric: &str, axis: XAxis, take: impl FnOnce(&mut Curve) -> T) -> T {
        let mut known = self.0.borrow_mut();
        known.look(view);
        let places = known.places(view, axis);
        let of_axis = known.series.entry(axis).or_default();
        if !of_axis.contains_key(metric) {
            of_axis.insert(metric.to_owned(), Curve::default());
        }
        // it was put there just now
        let curve = of_axis.get_mut(metric).expect("a known curve");
        curve.grow(view, metric, &places);
        take(curve)
    }
}

impl Known {
    /// Takes note of the steps there are; forgets those that are not there any more.
    fn look(&mut self, view: &RunView) {
        let end = |s: &StepView| (s.step, s.at_ms);
        let kept = self.ends.len().min(view.steps.len());
        let same = kept == 0 || self.ends[kept - 1] == end(&view.steps[kept - 1]);
        if !same {
            *self = Self::default();
        } else if kept < self.ends.len() {
            self.shorten(kept, view);
        }
        let from = self.ends.len();
        self.ends.extend(view.steps[from..].iter().map(end));
    }

    /// Forgets all steps from number `kept` on.
    fn shorten(&mut self, kept: usize, view: &RunView) {
        self.ends.truncate(kept);
        self.places.values_mut().for_each(|places| Rc::make_mut(places).truncate(kept));
        let axes: Vec<XAxis> = self.series.keys().copied().collect();
        for axis in axes {
            let last = self.places(view, axis).last().copied().unwrap_or(f64::NEG_INFINITY);
            let curves = self.series.get_mut(&axis).into_iter().flat_map(HashMap::values_mut);
            // only steps are all different, so that a place says which were there
            curves.for_each(|c| if axis == XAxis::Step { c.shorten(kept, last) } else { *c = Curve::default() });
        }
        (self.names, self.named) = (Rc::default(), 0);
    }

    fn places(&mut self, view: &RunView, axis: XAxis) -> Rc<Vec<f64>> {
        let places = self.places.entry(axis).or_default();
        if places.len() < view.steps.len() {
            extend(Rc::make_mut(places), view, axis);
        }
        Rc::clone(places)
    }
}

impl Curve {
    fn grow(&mut self, view: &RunView, metric: &str, places: &[f64]) {
        if self.steps >= view.steps.len() {
            return;
        }
        let raw = Rc::make_mut(&mut self.raw);
        let mut before: Option<(&Numbers, Option<usize>)> = None;
        for (step, x) in view.steps[self.steps..].iter().zip(&places[self.steps..]) {
            let place = match before {
                Some((numbers, place)) if numbers.alike(&step.metrics) => place,
                _ => step.metrics.place(metric),
            };
            before = Some((&step.metrics, place));
            match place {
                Some(at) => raw.push((*x, Some(step.metrics.at(at).unwrap_or(f64::NAN)))),
                None if raw.last().is_some_and(|(_, y)| y.is_none()) => {}
                None => raw.push((*x, None)),
            }
        }
        self.steps = view.steps.len();
    }

    fn shorten(&mut self, kept: usize, last: f64) {
        if kept < self.steps {
            let upto = self.raw.partition_point(|(x, _)| *x <= last);
            Rc::make_mut(&mut self.raw).truncate(upto);
            (self.steps, self.smooth) = (kept, HashMap::new());
        }
    }
}

/// Adds the places of the steps that are not in `places` yet. Wall time is in minutes since the first step began.
fn extend(places: &mut Vec<f64>, view: &RunView, axis: XAxis) {
    let steps = &view.steps[places.len()..];
    let sum = |sum: &mut f64, by: f64| {
        *sum += by.max(0.0);
        Some(*sum)
    };
    let so_far = places.last().copied().unwrap_or(0.0);
    match axis {
        XAxis::Step => places.extend(steps.iter().map(|s| s.step as f64)),
        XAxis::Wall => {
            let first = |s: &StepView| s.at_ms as f64 - s.metrics.value("time/step").unwrap_or(0.0) * 1000.0;
            let began = view.steps.first().map_or(0.0, first);
            places.extend(steps.iter().map(|s| (s.at_ms as f64 - began) / 60_000.0));
        }
        XAxis::Tokens => {
            let sampled = |s: &StepView| s.metrics.value("tokens/sampled").unwrap_or(0.0);
            places.extend(steps.iter().map(sampled).scan(so_far, sum));
        }
        XAxis::Episodes => {
            let each = f64::from(view.facts.groups) * f64::from(view.facts.members);
            places.extend(steps.iter().map(|_| each).scan(so_far, sum));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Metrics;

    fn step(step: u64, odd: Option<f64>) -> StepView {
        let mut metrics: Metrics = [("tokens/sampled".into(), Some(100.0)), ("time/step".into(), Some(60.0))].into();
        metrics.extend(odd.map(|value| ("odd".to_owned(), Some(value))));
        StepView { step, at_ms: step * 60_000, metrics: metrics.into(), skills: [].into() }
    }

    fn view(steps: u64) -> RunView {
        let odd = |at: u64| (at % 5 != 2 && at % 5 != 3).then_some(if at == 4 { f64::NAN } else { at as f64 });
        let mut view = RunView { steps: (1..=steps).map(|at| step(at, odd(at))).collect(), ..RunView::default() };
        (view.facts.groups, view.facts.members) = (4, 2);
        view
    }

    #[test]
    fn every_axis_rises_and_finds_its_step_again() {
        let view = view(3);
        let expected = [vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0], vec![100.0, 200.0, 300.0], vec![8.0, 16.0, 24.0]];
        for (axis, expected) in XAxis::ALL.into_iter().zip(expected) {
            let cache = Cache::default();
            assert_eq!(*cache.places(&view, axis), expected, "{axis:?}");
            let place = cache.place_of(&view, 2, axis).unwrap();
            assert_eq!(cache.step_at(&view, place, axis), Some(2));
            assert_eq!([-1e9, 1e9].map(|x| cache.step_at(&view, x, axis)), [Some(1), Some(3)]);
            assert_eq!(cache.span(&view, axis), Some((expected[0], expected[2])));
        }
    }

    #[test]
    fn what_was_not_finite_differs_from_what_was_not_recorded() {
        let series = Cache::default().get(&view(5), "odd", XAxis::Step);
        let shown: Vec<_> = series.iter().map(|(x, y)| (*x, y.map(|y| y.is_nan()))).collect();
        assert_eq!(shown, [(1.0, Some(false)), (2.0, None), (4.0, Some(true)), (5.0, Some(false))]);
        assert_eq!(Cache::default().get(&view(9), "none", XAxis::Step).len(), 1, "one gap, however long");
        assert_eq!(Cache::default().latest(&view(5), "odd", 4), Some(1.0));
    }

    /// A run that grows, is walked back, and is resumed: at every moment the same as made anew.
    #[test]
    fn the_cache_answers_as_if_made_anew() {
        let cache = Cache::default();
        let mut resumed = view(12);
        resumed.steps[8..].iter_mut().for_each(|s| s.at_ms += 5);
        for view in [view(4), view(17), view(6), view(0), view(12), resumed, view(3), view(20)] {
            for axis in XAxis::ALL {
                for metric in ["odd", "tokens/sampled", "none"] {
                    let fresh = Cache::default();
                    let same = |a: &Series, b: &Series| format!("{a:?}") == format!("{b:?}");
                    assert!(same(&cache.get(&view, metric, axis), &fresh.get(&view, metric, axis)));
                    assert!(same(
                        &cache.smoothed(&view, metric, axis, 0.6),
                        &crate::tui::chart::smoothed(&fresh.get(&view, metric, axis), 0.6)
                    ));
                }
                assert_eq!(cache.places(&view, axis), Cache::default().places(&view, axis));
            }
            let known: Vec<String> = view.metric_names().into_keys().map(str::to_owned).collect();
            assert_eq!(cache.names(&view).iter().cloned().collect::<Vec<_>>(), known);
        }
    }
}
