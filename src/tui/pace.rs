//! How long the rest takes, from the steps of this process alone.

use crate::run::view::RunView;

/// Seconds that remain, and how far that may be off (one standard deviation).
///
/// 1. Only steps completed since the process (re)started count: the duration of a step is the time between two
///    step records, the first is measured from the start record.
/// 2. At most the last [`RECENT`] are used; those longer than five medians (a pause) are left out.
/// 3. The spread grows with the root of the steps that remain, plus the error of the mean itself.
///
/// `None` before two steps, without a plan, or when the run is over.
pub fn remaining(view: &RunView, now_ms: u64) -> Option<(f64, f64)> {
    let left = view.facts.steps.saturating_sub(view.last_step());
    if left == 0 || view.finished.is_some() {
        return None;
    }
    let times = durations(view);
    let k = times.len() as f64;
    if times.len() < 2 {
        return None;
    }
    let mean = times.iter().sum::<f64>() / k;
    let variance = times.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / (k - 1.0);
    let since = now_ms.saturating_sub(view.steps.last()?.at_ms) as f64 / 1000.0;
    let n = left as f64;
    Some(((n * mean - since.min(mean)).max(0.0), (n * variance + n * n * variance / k).sqrt()))
}

/// Seconds of the recent steps of this process, pauses left out.
pub fn durations(view: &RunView) -> Vec<f64> {
    let first = view.steps.partition_point(|s| s.step <= view.resumed_steps);
    let from = first.max(view.steps.len().saturating_sub(RECENT));
    let start = if from > first { view.steps[from - 1].at_ms } else { view.started_ms };
    let mine: Vec<u64> = view.steps[from..].iter().map(|s| s.at_ms).collect();
    let starts = std::iter::once(start).chain(mine.iter().copied());
    let mut times: Vec<f64> = starts.zip(&mine).map(|(a, b)| b.saturating_sub(a) as f64 / 1000.0).collect();
    let mut sorted = times.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    times.retain(|t| *t <= 5.0 * median);
    times
}

/// Steps the estimate looks back on.
pub const RECENT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::view::StepView;

    fn view(resumed: u64, times: &[(u64, u64)]) -> RunView {
        let mut view = RunView { started_ms: 1_000_000, resumed_steps: resumed, ..RunView::default() };
        view.facts.steps = 100;
        let step =
            |&(step, at_ms): &(u64, u64)| StepView { step, at_ms, metrics: Default::default(), skills: [].into() };
        view.steps = times.iter().map(step).collect();
        view
    }

    #[test]
    fn steps_before_a_resume_do_not_count() {
        let old = [(1, 10), (2, 20)];
        let new = [(3, 1_010_000), (4, 1_020_000), (5, 1_030_000)];
        let (seconds, spread) = remaining(&view(2, &[old, new[..2].try_into().unwrap()].concat()), 1_020_000).unwrap();
        assert_eq!((seconds, spread), (960.0, 0.0));
        assert!(remaining(&view(2, &old), 30).is_none());
    }

    #[test]
    fn a_pause_is_not_a_step() {
        let (seconds, _) =
            remaining(&view(0, &[(1, 1_010_000), (2, 1_020_000), (3, 9_020_000), (4, 9_030_000)]), 9_030_000).unwrap();
        assert_eq!(seconds, 960.0);
    }
}
