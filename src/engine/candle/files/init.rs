//! Weights of a new model.

use anyhow::Result;
use rand::RngExt;

use crate::core::rng;
use crate::engine::candle::model::{Decoder, Weights};
use crate::engine::candle::ops::tensor;

/// Norm weights 1; biases 0; matrices normal(0, 0.02), those that write into the residual stream scaled by
/// 1/sqrt(2 L) (GPT-2).
pub fn random_weights(decoder: &Decoder, seed: u64) -> Result<Weights> {
    let layers = decoder.config.num_hidden_layers as f32;
    let one = |(i, (name, shape)): (usize, &(String, Vec<usize>))| {
        let n = shape.iter().product();
        let data = if name.ends_with(".bias") {
            vec![0f32; n]
        } else if shape.len() == 1 {
            vec![1f32; n]
        } else {
            let residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            let std = if residual { 0.02 / (2.0 * layers).sqrt() } else { 0.02 };
            normal(n, std, seed, i as u64)
        };
        Ok(tensor(data, shape.clone())?)
    };
    decoder.names().iter().enumerate().map(one).collect()
}

/// Box-Muller.
fn normal(n: usize, std: f32, seed: u64, stream: u64) -> Vec<f32> {
    let mut rng = rng::stream(seed, "init", &[stream]);
    let mut one = || {
        let (u, v): (f32, f32) = (rng.random(), rng.random());
        std * (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
    };
    (0..n).map(|_| one()).collect()
}
