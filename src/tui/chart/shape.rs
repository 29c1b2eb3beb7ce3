//! The arithmetic of charts: averages, ranges, thinning. Pure.

use std::ops::Range;

use super::{Chart, Series};
use crate::tui::lens::Window;

/// Debiased exponential moving average, value by value: `acc = s acc + (1-s) y`, shown as `acc / (1 - s^t)`. A gap
/// stays a gap and does not count as a step.
#[derive(Clone, Copy, Debug)]
pub struct Average {
    s: f64,
    acc: f64,
    /// `s^t`.
    weight: f64,
}

impl Average {
    /// With the weight of the past, in [0, 1).
    pub fn new(s: f64) -> Self {
        Self { s, acc: 0.0, weight: 1.0 }
    }

    /// The average after one more value.
    pub fn next(&mut self, value: Option<f64>) -> Option<f64> {
        let y = value.filter(|y| y.is_finite())?;
        self.acc = self.s * self.acc + (1.0 - self.s) * y;
        self.weight *= self.s;
        Some(self.acc / (1.0 - self.weight))
    }
}

/// A series with its values averaged.
pub fn smoothed(series: &[(f64, Option<f64>)], s: f64) -> Series {
    let mut average = Average::new(s);
    series.iter().map(|(x, y)| (*x, average.next(*y))).collect()
}

/// The value of a series at an x, or the nearest finite one before it.
pub fn value_at(series: &[(f64, Option<f64>)], at: f64) -> Option<f64> {
    let upto = series.partition_point(|(x, _)| *x <= at);
    series[..upto].iter().rev().find_map(|(_, y)| y.filter(|y| y.is_finite()))
}

/// The places of a series in a window, with one point beyond either end so that lines reach the edge.
pub(super) fn within(points: &[(f64, Option<f64>)], (low, high): Window) -> Range<usize> {
    let from = points.partition_point(|(x, _)| *x < low).saturating_sub(1);
    let to = (points.partition_point(|(x, _)| *x <= high) + 1).min(points.len());
    from.min(to)..to
}

/// The part of a series in a window; see [`within`].
pub(super) fn inside(points: &[(f64, Option<f64>)], window: Window) -> &[(f64, Option<f64>)] {
    &points[within(points, window)]
}

/// At most about `most` points of a part of a series: of every stretch its smallest and its largest value stay, and
/// whether it has a gap. Stretches begin at multiples of their length, a power of two, so that a curve that grows does
/// not flicker.
pub fn thinned(points: &[(f64, Option<f64>)], part: Range<usize>, most: usize) -> Series {
    let size = (part.len() * 2).div_ceil(most.max(2)).next_power_of_two();
    if size <= 2 {
        return points[part].to_vec();
    }
    let mut out = Series::with_capacity(2 * (part.len() / size + 2));
    let mut from = part.start;
    while from < part.end {
        let to = ((from / size + 1) * size).min(part.end);
        ends(&points[from..to], &mut out);
        from = to;
    }
    out
}

/// Adds the smallest and the largest value of a stretch in their order, or its gap.
fn ends(part: &[(f64, Option<f64>)], out: &mut Series) {
    let (mut low, mut high) = ((0, f64::INFINITY), (0, f64::NEG_INFINITY));
    for (at, y) in part.iter().enumerate().filter_map(|(at, (_, y))| Some((at, (*y)?))) {
        if y < low.1 && y.is_finite() {
            low = (at, y);
        }
        if y > high.1 && y.is_finite() {
            high = (at, y);
        }
    }
    let (first, last) = (low.0.min(high.0), low.0.max(high.0));
    if low.1 > high.1 {
        out.extend(part.first().map(|(x, _)| (*x, None)));
    } else {
        out.push(part[first]);
        out.extend((last > first).then(|| part[last]));
    }
}

/// The y-axis: what is in the window, or the middle of it, with a little air. `None` if there is nothing to show.
pub(super) fn range(chart: &Chart) -> Option<Window> {
    // an average may lie outside what it averages, where older values are beyond the window
    let series = chart.layers.iter().flat_map(|layer| std::iter::once(&layer.points).chain(&layer.smooth));
    let values = series.flat_map(|points| inside(points, chart.window).iter().filter_map(|(_, y)| *y));
    let band = chart.band.iter().flat_map(|band| band.low.iter().chain(&band.high).copied());
    let values = values.chain(band).filter(|y| shown(*y, chart.log_y));
    if chart.clip.tail() <= 0.0 {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
        return (low <= high).then(|| with_air(low, high, chart.log_y));
    }
    let mut values: Vec<f64> = values.collect();
    let last = values.len().checked_sub(1)?;
    let mut at = |share: f64| {
        let place = (share * last as f64).round() as usize;
        *values.select_nth_unstable_by(place.min(last), f64::total_cmp).1
    };
    let (low, high) = (at(chart.clip.tail()), at(1.0 - chart.clip.tail()));
    Some(with_air(low, high, chart.log_y))
}

/// Room above and below, so that no curve runs along an edge; a range also for values that do not vary.
fn with_air(low: f64, high: f64, log: bool) -> Window {
    if log {
        return if high > low * (1.0 + 1e-9) { (low * 0.9, high * 1.1) } else { (low * 0.5, high * 2.0) };
    }
    if high - low <= low.abs().max(high.abs()) * 1e-9 {
        let pad = if low.abs() > 0.0 { low.abs() * 0.5 } else { 1.0 };
        return (low - pad, high + pad);
    }
    let air = (high - low) * 0.04;
    // zero is a floor or a ceiling that is worth standing on
    (if low >= 0.0 && low < air { 0.0 } else { low - air }, if high <= 0.0 && -high < air { 0.0 } else { high + air })
}

/// The x-axis, never empty, and above zero where it is logarithmic.
pub(super) fn domain((low, high): Window, log: bool) -> Window {
    let low = if !low.is_finite() { 0.0 } else { low };
    let low = if log { low.max(1e-9).max(if low <= 0.0 { 1.0 } else { low }) } else { low };
    let least = low + (low.abs() * 1e-9).max(1.0);
    (low, if high.is_finite() && high > low { high } else { least })
}

/// x and y of a curve; what cannot be shown is a gap.
pub(super) fn columns(points: &[(f64, Option<f64>)], chart: &Chart) -> (Vec<f64>, Vec<f64>) {
    let y = |y: &Option<f64>| y.filter(|y| shown(*y, chart.log_y)).unwrap_or(f64::NAN);
    let kept = points.iter().filter(|(x, _)| x.is_finite() && (!chart.log_x || *x > 0.0));
    kept.map(|(x, value)| (*x, y(value))).unzip()
}

fn shown(y: f64, log: bool) -> bool {
    y.is_finite() && y.abs() < 1e300 && (!log || y > 1e-300)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::chart::{Kind, Layer};
    use crate::tui::lens::Clip;
    use crate::tui::theme::Role;

    /// Golden values by hand for s = 0.6: 1; (0.6*0.4*1 + 0.4*2)/(1-0.36); gap; then t = 3.
    #[test]
    fn ema_is_debiased_and_skips_gaps() {
        let averaged = |values: &[Option<f64>], s| -> Vec<Option<f64>> {
            let series: Series = values.iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
            smoothed(&series, s).into_iter().map(|(_, y)| y).collect()
        };
        let out = averaged(&[Some(1.0), Some(2.0), None, Some(f64::NAN), Some(4.0)], 0.6);
        assert!((out[0].unwrap() - 1.0).abs() < 1e-12);
        assert!((out[1].unwrap() - 1.625).abs() < 1e-12);
        assert_eq!((out[2], out[3]), (None, None));
        assert!((out[4].unwrap() - (0.6 * 1.04 + 1.6) / (1.0 - 0.216)).abs() < 1e-12);
        assert!(averaged(&[Some(3.0); 50], 0.97).iter().all(|y| (y.unwrap() - 3.0).abs() < 1e-9));
    }

    #[test]
    fn the_read_out_is_the_last_value_at_or_before() {
        let series = [(1.0, Some(1.0)), (2.0, None), (3.0, Some(f64::NAN)), (4.0, Some(4.0))];
        assert_eq!([0.0, 1.0, 3.0, 9.0].map(|x| value_at(&series, x)), [None, Some(1.0), Some(1.0), Some(4.0)]);
    }

    #[test]
    fn thinning_keeps_extremes_and_gaps() {
        let mut points: Series = (0..10_000).map(|i| (f64::from(i), Some(f64::from(i % 100)))).collect();
        points[5_555].1 = Some(1e6);
        (2_000..3_000).for_each(|i| points[i].1 = None);
        let thin = thinned(&points, 0..points.len(), 400);
        assert!(thin.len() <= 400 && thin.iter().any(|(_, y)| *y == Some(1e6)));
        assert!(thin.iter().any(|(x, y)| (2_000.0..3_000.0).contains(x) && y.is_none()));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
        let longer: Series = points.iter().copied().chain([(10_000.0, Some(5.0))]).collect();
        let (part, all) = (thinned(&longer, 0..9_984, 400), thinned(&longer, 0..10_001, 400));
        assert_eq!(part, all[..part.len()], "what is drawn stays while the curve grows");
    }

    #[test]
    fn the_axis_holds_the_middle_of_what_is_in_the_window() {
        let points: Series =
            (0..1000).map(|i| (f64::from(i), Some(if i == 500 { 1e9 } else { 1.0 + f64::from(i % 7) }))).collect();
        let layer = Layer { points: points.into(), smooth: None, role: Role::Series1, kind: Kind::Curve };
        let chart = |clip, window| Chart {
            layers: vec![layer.clone()],
            band: None,
            signs: vec![],
            cross: None,
            log_x: false,
            log_y: false,
            clip,
            window,
            ascii: false,
        };
        assert!(range(&chart(Clip::None, (0.0, 1e3))).unwrap().1 > 1e8);
        assert!(range(&chart(Clip::P99, (0.0, 1e3))).unwrap().1 < 8.0);
        assert!(range(&chart(Clip::None, (0.0, 400.0))).unwrap().1 < 8.0);
        assert_eq!(range(&chart(Clip::None, (5e3, 6e3))).map(|r| r.1 > 7.0), Some(true), "one point beyond reaches in");
    }
}
