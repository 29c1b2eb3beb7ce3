//! Forward and backward over rows, in parts of bounded size.

use std::ops::Range;

use anyhow::{Result, ensure};

use super::CandleEngine;
use super::loss::{self, Scored, Targets};
use super::memory::{self, PASS_TOKENS};
use super::model::{self, Decoder, Keep, Packed, Tape, Weights};
use super::plain;
use crate::engine::{Coefficients, LossFn, ScoreRow, Scores, WeightSet};

/// One forward pass and all that its backward pass needs.
pub(super) struct Pass {
    input: Packed,
    targets: Targets,
    tape: Tape,
    scored: Vec<Scored>,
}

impl Pass {
    fn scores(&self) -> Vec<Scores> {
        self.targets.scores(&self.scored)
    }
}

impl CandleEngine {
    pub(super) fn score_rows(&self, set: WeightSet, rows: &[ScoreRow], temperature: f32) -> Result<Vec<Scores>> {
        let (decoder, weights) = self.model(set)?;
        check(rows, &decoder)?;
        let mut scores = Vec::with_capacity(rows.len());
        for part in parts(rows, plain::is(&weights[0])) {
            scores.extend(run(&decoder, &weights, &rows[part], temperature, Keep::Nothing)?.scores());
        }
        Ok(scores)
    }

    /// The gradient is the same bit for bit whichever way the memory allows.
    pub(super) fn learn_rows(&mut self, rows: &[ScoreRow], temperature: f32, loss: &mut LossFn) -> Result<()> {
        check(rows, &self.decoder)?;
        let parts = parts(rows, plain::is(&self.live[0]));
        let tokens = rows.iter().map(|r| r.ids.len()).sum();
        let number = self.live.dtype().size_in_bytes() as u64;
        let way = memory::way(&self.dims(), tokens, self.options.checkpointing, self.options.tape_bytes, number);
        let keep = if way.inputs_only { Keep::Inputs } else { Keep::All };
        if !way.again {
            let pass = |part: &Range<usize>| run(&self.decoder, &self.live, &rows[part.clone()], temperature, keep);
            let passes = parts.iter().map(pass).collect::<Result<Vec<Pass>>>()?;
            let coefficients = loss(&passes.iter().flat_map(Pass::scores).collect::<Vec<_>>())?;
            for (part, pass) in parts.into_iter().zip(passes) {
                self.back(pass, &coefficients[part], temperature)?;
            }
            return Ok(());
        }
        // The loss needs all scores before any gradient: score first, then run each part again with its tape.
        let coefficients = loss(&self.score_rows(WeightSet::Live, rows, temperature)?)?;
        for part in parts {
            let pass = run(&self.decoder, &self.live, &rows[part.clone()], temperature, keep)?;
            self.back(pass, &coefficients[part], temperature)?;
        }
        Ok(())
    }

    fn back(&mut self, pass: Pass, coefficients: &[Coefficients], temperature: f32) -> Result<()> {
        let Pass { input, targets, tape, scored } = pass;
        let (head, trained) = (self.decoder.head(), !self.live.frozen());
        let out = &self.live[head];
        let (dhidden, dhead) =
            loss::score_grad(&tape.hidden, out, &targets, &scored, coefficients, temperature, trained)?;
        if let Some(dhead) = dhead {
            model::add(&mut self.grads, head, dhead)?;
        }
        self.decoder.backward(&self.live, &input, tape, &dhidden, &mut self.grads)?;
        Ok(())
    }
}

fn check(rows: &[ScoreRow], decoder: &Decoder) -> Result<()> {
    let context = decoder.config.max_position_embeddings;
    for row in rows {
        let (ids, mask) = (row.ids.len(), row.mask.len());
        ensure!(ids == mask, "a row has {ids} tokens but {mask} mask entries");
        ensure!(ids <= context, "a row of {ids} tokens exceeds the model's context of {context}");
    }
    Ok(())
}

fn run(decoder: &Decoder, weights: &Weights, rows: &[ScoreRow], temperature: f32, keep: Keep) -> Result<Pass> {
    let input = Packed::new(rows.iter().map(|r| r.ids));
    let targets = Targets::new(rows, &input, decoder.config.vocab_size)?;
    let tape = decoder.forward(weights, &input, keep)?;
    let scored = loss::score(&tape.hidden, &weights[decoder.head()], &targets, temperature)?;
    Ok(Pass { input, targets, tape, scored })
}

/// Splits rows into runs of at most [`PASS_TOKENS`] tokens (a longer row stands alone), counted as often as the longest
/// row of a run has them where they are `padded` to that.
fn parts(rows: &[ScoreRow], padded: bool) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = vec![];
    let (mut tokens, mut longest) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        let own = row.ids.len();
        let with = |part: &Range<usize>| if padded { (part.len() + 1) * own.max(longest) } else { tokens + own };
        match parts.last_mut().filter(|part| with(part) <= PASS_TOKENS) {
            Some(part) => {
                (tokens, longest) = (tokens + own, own.max(longest));
                part.end = i + 1;
            }
            None => {
                (tokens, longest) = (own, own);
                parts.push(i..i + 1);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_holds_so_many_tokens_and_padding_counts() {
        let parts = |lengths: &[usize], padded| {
            let rows: Vec<(Vec<u32>, Vec<bool>)> = lengths.iter().map(|n| (vec![0; *n], vec![true; *n])).collect();
            let rows: Vec<ScoreRow> = rows.iter().map(|(ids, mask)| ScoreRow::new(ids, mask)).collect();
            super::parts(&rows, padded)
        };
        let half = PASS_TOKENS / 2;
        assert_eq!(parts(&[half, half, 1], false), [0..2, 2..3]);
        assert_eq!(parts(&[half, half, 1], true), [0..2, 2..3]);
        assert_eq!(parts(&[half, 1, 1, 1], false).len(), 1);
        assert_eq!(parts(&[half, 1, 1, 1], true), [0..2, 2..4]);
        assert_eq!(parts(&[2 * PASS_TOKENS, 1], true), [0..1, 1..2]);
        assert!(parts(&[], true).is_empty());
    }
}
