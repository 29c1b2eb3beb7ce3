//! How a part of the gradient compares with the rest of it.

use anyhow::Result;
use candle_core::{DType, Tensor};

use super::CandleEngine;
use super::model::Gradients;
use super::ops::host;
use super::plain;
use crate::engine::{Coefficients, Parts, ScoreRow};

impl CandleEngine {
    /// Back-propagates a part of what has been accumulated for `rows`, and puts the accumulated gradient back.
    pub(super) fn compare_part(
        &mut self,
        rows: &[ScoreRow],
        temperature: f32,
        part: Vec<Coefficients>,
    ) -> Result<Option<Parts>> {
        let total = std::mem::replace(&mut self.grads, vec![None; self.live.len()]);
        let mut part = Some(part);
        let run = self.learn_rows(rows, temperature, &mut |_| Ok(part.take().unwrap_or_default()));
        let part = std::mem::replace(&mut self.grads, total);
        run?;
        Ok(Some(compare(&self.grads, &part)?))
    }
}

/// Tensors that a part has no gradient for belong to the rest.
fn compare(total: &Gradients, part: &Gradients) -> Result<Parts> {
    let [mut of_part, mut of_rest, mut between] = [0f64; 3];
    for (total, part) in total.iter().zip(part) {
        let Some(total) = total else { continue };
        let part = part.as_ref();
        let [p, r, dot] = if plain::is(total) { products(total, part)? } else { products_here(total, part)? };
        (of_part, of_rest, between) = (of_part + p, of_rest + r, between + dot);
    }
    let (part, rest) = (of_part.sqrt(), of_rest.sqrt());
    Ok(Parts { part, rest, cosine: between / (part * rest) })
}

/// Squares of the part and of the rest, and their product.
fn products_here(total: &Tensor, part: Option<&Tensor>) -> Result<[f64; 3]> {
    let Some(part) = part else {
        return Ok([0.0, host(total)?.iter().map(|g| f64::from(*g).powi(2)).sum(), 0.0]);
    };
    let mut sums = [0f64; 3];
    for (total, part) in host(total)?.iter().zip(host(part)?.iter()) {
        let (part, rest) = (f64::from(*part), f64::from(*total) - f64::from(*part));
        sums = [sums[0] + part * part, sums[1] + rest * rest, sums[2] + part * rest];
    }
    Ok(sums)
}

/// [`products_here`] on a device.
fn products(total: &Tensor, part: Option<&Tensor>) -> Result<[f64; 3]> {
    let total = total.to_dtype(DType::F32)?;
    let Some(part) = part else { return Ok([0.0, plain::square(std::iter::once(&total))?, 0.0]) };
    let part = part.to_dtype(DType::F32)?;
    let rest = (total - &part)?;
    let dot = plain::total(&(&part * &rest)?)?.to_scalar::<f32>()?;
    Ok([plain::square(std::iter::once(&part))?, plain::square(std::iter::once(&rest))?, f64::from(dot)])
}

#[cfg(test)]
mod tests {
    use super::super::ops::numbers;
    use super::super::tests::{Rows, coefficients, engine};
    use super::*;
    use crate::engine::{Engine, Scores};

    /// The derivatives by the log-probs alone.
    fn by_logp(scores: &[Scores]) -> Vec<Coefficients> {
        coefficients(scores).into_iter().map(|c| Coefficients { entropy: vec![], ..c }).collect()
    }

    /// What is left when they are taken away.
    fn by_entropy(scores: &[Scores]) -> Vec<Coefficients> {
        coefficients(scores).into_iter().map(|c| Coefficients { logp: vec![0.0; c.logp.len()], ..c }).collect()
    }

    fn gradient(engine: &CandleEngine) -> Vec<f64> {
        engine.grads.iter().flatten().flat_map(|g| numbers(g).unwrap()).map(f64::from).collect()
    }

    #[test]
    fn parts_compare_as_if_each_had_been_computed_alone() {
        let mut engine = engine(true);
        let rows = Rows::new();
        let mut of = |what: fn(&[Scores]) -> Vec<Coefficients>| {
            engine.grads = vec![None; engine.live.len()];
            let mut coefficients = vec![];
            let keep = &mut |scores: &[Scores]| {
                coefficients = what(scores);
                Ok(coefficients.clone())
            };
            engine.forward_backward(&rows.rows(), 0.8, keep).unwrap();
            (gradient(&engine), coefficients)
        };
        let (part, asked) = of(by_logp);
        let (rest, _) = of(by_entropy);
        let (before, _) = of(coefficients);
        let parts = engine.compare(&rows.rows(), 0.8, asked).unwrap().unwrap();
        assert_eq!(gradient(&engine), before, "the gradient is what it was");
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (p, r) = (dot(&part, &part).sqrt(), dot(&rest, &rest).sqrt());
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a}, not {b}");
        near(parts.part, p);
        near(parts.rest, r);
        near(parts.cosine, dot(&part, &rest) / (p * r));
        let plain = |g: &Gradients| -> Gradients {
            g.iter().map(|g| g.as_ref().map(|g| g.to_dtype(DType::F64).unwrap())).collect()
        };
        let half: Gradients = engine.grads.iter().map(|g| g.as_ref().map(|g| (g * 0.5).unwrap())).collect();
        let (here, there) =
            (compare(&engine.grads, &half).unwrap(), compare(&plain(&engine.grads), &plain(&half)).unwrap());
        near(there.part, here.part);
        near(there.rest, here.rest);
        near(there.cosine, 1.0);
    }
}
