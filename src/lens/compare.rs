//! Where methods disagree most.

use super::Lens;

/// A token that several methods treat differently.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disagreement {
    /// Which sampled token, a place in [`Lens::tokens`].
    pub token: usize,
    /// Largest difference between two methods' coefficients, each in units of its own root mean square over the step.
    pub distance: f32,
    /// Whether one method raises the token's log-prob and another lowers it.
    pub opposed: bool,
}

/// The `count` tokens on which the methods are furthest apart, the furthest first; of equal ones the earlier. Every
/// method's coefficients are divided by their root mean square, so that weights like 0.01 do not decide.
pub fn disagreements(lenses: &[Lens], count: usize) -> Vec<Disagreement> {
    let units: Vec<f64> = lenses.iter().map(unit).collect();
    let tokens = lenses.iter().map(|lens| lens.tokens.len()).min().unwrap_or(0);
    let mut found: Vec<Disagreement> = (0..tokens).map(|t| at(lenses, &units, t)).collect();
    found.sort_by(|a, b| b.distance.total_cmp(&a.distance).then(a.token.cmp(&b.token)));
    found.truncate(count);
    found.retain(|d| d.distance > 0.0);
    found
}

fn at(lenses: &[Lens], units: &[f64], token: usize) -> Disagreement {
    let of = |(lens, unit): (&Lens, &f64)| (f64::from(lens.tokens[token].coefficient) / unit) as f32;
    let sizes = || lenses.iter().zip(units).map(of);
    let (low, high) = (sizes().fold(f32::INFINITY, f32::min), sizes().fold(f32::NEG_INFINITY, f32::max));
    Disagreement { token, distance: high - low, opposed: low < 0.0 && high > 0.0 }
}

/// Root mean square of a method's coefficients; 1 where all are 0.
pub fn unit(lens: &Lens) -> f64 {
    let squares: f64 = lens.tokens.iter().map(|t| f64::from(t.coefficient).powi(2)).sum();
    let unit = (squares / lens.tokens.len().max(1) as f64).sqrt();
    if unit > 0.0 { unit } else { 1.0 }
}
