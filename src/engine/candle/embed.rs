//! Mean hidden states of texts.

use anyhow::{Result, ensure};
use candle_core::DType;

use super::CandleEngine;
use super::memory::PASS_TOKENS;
use super::model::{Keep, Packed};
use crate::engine::WeightSet;

impl CandleEngine {
    /// Mean over its tokens of the hidden states of every row. [rows][D]
    pub(super) fn embed_rows(&self, set: WeightSet, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let context = self.decoder.config.max_position_embeddings;
        ensure!(rows.iter().all(|row| !row.is_empty()), "a text without a token has no hidden state");
        ensure!(
            rows.iter().all(|row| row.len() <= context),
            "a text to be placed exceeds the model's context of {context} tokens"
        );
        let weights = self.weights(set)?;
        let mut means = Vec::with_capacity(rows.len());
        let mut rest = rows;
        while !rest.is_empty() {
            let mut tokens = 0;
            let fits = |row: &&&[u32]| {
                tokens += row.len();
                tokens <= PASS_TOKENS
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (part, later) = rest.split_at(count);
            let tape = self.decoder.forward(&weights, &Packed::new(part.iter().copied()), Keep::Nothing)?;
            let hidden: Vec<Vec<f32>> = tape.hidden.to_dtype(DType::F32)?.to_vec2()?; // [N, D]
            let mut start = 0;
            for row in part {
                means.push(mean(&hidden[start..start + row.len()]));
                start += row.len();
            }
            rest = later;
        }
        Ok(means)
    }
}

/// Mean of vectors of one width, of which there is at least one.
fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0.0; vectors[0].len()];
    for v in vectors {
        mean.iter_mut().zip(v).for_each(|(m, x)| *m += x / vectors.len() as f32);
    }
    mean
}
