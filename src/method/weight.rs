//! Weights and selections over tokens and turns: which tokens are distilled, and how much. All detached: they are
//! constants for the gradient.

/// `1 - (1 - a) (1 - b)` of two numbers in [0, 1]: high where either is (TIP, ATOD).
pub fn soft_or(a: f64, b: f64) -> f64 {
    1.0 - (1.0 - a) * (1.0 - b)
}

/// Values moved to [0, 1] by their smallest and largest; where these are closer than 1e-8, all are 1/2 (ATOD).
pub fn min_max(values: &[f64]) -> Vec<f64> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high - low < 1e-8 {
        return vec![0.5; values.len()];
    }
    values.iter().map(|value| (value - low) / (high - low)).collect()
}

/// Which `share` of the entries has the highest scores, rounded down but at least one of a non-empty list; of equal
/// scores the earlier. Entries that are not finite are never kept.
pub fn keep_top(scores: &[f64], share: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|&i| scores[i].is_finite()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let count = ((share * order.len() as f64).floor() as usize).max(1);
    let mut kept = vec![false; scores.len()];
    order.into_iter().take(count).for_each(|i| kept[i] = true);
    kept
}

/// SOD's weight of every turn from its mean distance: how much nearer than at first the student is, at most `1 + cap`.
/// The product of `(d_u + eps) / (d_{u+1} + eps)` telescopes to `(d_1 + eps) / (d_k + eps)`.
pub fn step_ratio(distances: &[f64], cap: f64) -> Vec<f64> {
    const EPS: f64 = 1e-6;
    let Some(first) = distances.first() else { return vec![] };
    let ratio = |distance: &f64| ((first + EPS) / (distance + EPS)).min(1.0 + cap);
    distances.iter().enumerate().map(|(k, distance)| if k == 0 { 1.0 } else { ratio(distance) }).collect()
}

/// CRAFT's counterfactual credit of one token: `sum_j w_j A_j - A_i` over the siblings j with weights
/// `softmax(gap_j / tau)`, then squashed by `sign (2 sigmoid(beta |x|) - 1)` into (-1, 1).
pub fn counterfactual(siblings: &[(f64, f64)], own_advantage: f64, tau: f64, beta: [f64; 2]) -> f64 {
    let top = siblings.iter().map(|(gap, _)| gap / tau).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = siblings.iter().map(|(gap, _)| (gap / tau - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mean: f64 = weights.iter().zip(siblings).map(|(w, (_, advantage))| w * advantage).sum::<f64>() / total;
    squash(mean - own_advantage, beta)
}

/// `2 sigmoid(beta |x|) - 1` with the sign of x; `beta[0]` for positive, `beta[1]` for negative x.
pub fn squash(x: f64, beta: [f64; 2]) -> f64 {
    let beta = if x > 0.0 { beta[0] } else { beta[1] };
    x.signum() * (beta * x.abs() * 0.5).tanh()
}

/// Mean of `values` over a range; 0 of an empty one.
pub fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalising_and_choosing() {
        assert_eq!(min_max(&[1.0, 3.0, 2.0]), [0.0, 1.0, 0.5]);
        // flat turns: both signals 1/2, so ATOD's weight is 3/4
        assert_eq!(soft_or(min_max(&[2.0, 2.0])[0], 0.5), 0.75);
        assert_eq!(keep_top(&[0.1, f64::NAN, 0.9, 0.9, 0.5], 0.5), [false, false, true, true, false]);
        assert_eq!(keep_top(&[0.1, 0.2], 0.0), [false, true], "at least one");
        assert!(keep_top(&[], 0.5).is_empty());
    }

    #[test]
    fn step_ratios_start_at_one_and_are_capped() {
        assert_eq!(step_ratio(&[0.4], 0.2), [1.0]);
        let weights = step_ratio(&[0.4, 0.8, 0.1], 0.2);
        assert!((weights[1] - 0.5).abs() < 1e-5);
        assert_eq!(weights[2], 1.2);
    }

    #[test]
    fn counterfactual_credit() {
        // equal gaps: the siblings' mean advantage, 0, minus the own one
        let flat = [(0.0, 1.0), (0.0, -1.0)];
        assert_eq!(counterfactual(&flat, 0.0, 1.0, [5.0, 5.0]), 0.0);
        assert!(counterfactual(&flat, -1.0, 1.0, [5.0, 5.0]) > 0.98);
        assert!(counterfactual(&flat, 1.0, 1.0, [5.0, 5.0]) < -0.98);
        // a sibling whose gap is high counts alone
        let sharp = [(50.0, 0.3), (0.0, -9.0)];
        let expected = 2.0 * crate::method::math::sigmoid(5.0 * 0.2) - 1.0;
        assert!((counterfactual(&sharp, 0.1, 1.0, [5.0, 5.0]) - expected).abs() < 1e-9);
    }
}
