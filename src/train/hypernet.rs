//! A small hypernetwork: from the mean hidden state of a text to low-rank adapters of every adapted matrix. Pure numbers
//! in `f32`; its gradient is written out by hand and checked against finite differences.
//!
//! ```text
//! x_j = [e; l_j]                 e: the text [D], l_j: what stands for matrix j [E], learnt
//! h_j = tanh(W x_j + b)          [H]
//! A_j = A0_j + U_k h_j           [R, K]    k: the kind of the matrix (q, v, ...), whose heads all layers share
//! B_j = V_k h_j                  [M, R]    V begins as 0, so that new adapters change nothing
//! ```

use std::ops::Range;

use anyhow::{Result, ensure};
use rand::RngExt;
use rayon::prelude::*;

use crate::core::rng;
use crate::engine::AdamW;

/// Numbers that stand for a matrix, E.
const MARK: usize = 16;

/// One adapted matrix: sizes of A and B, and where its numbers are.
#[derive(Clone, Debug, PartialEq)]
struct Target {
    a: usize,
    b: usize,
    mark: Range<usize>,
    base: Range<usize>,
    /// U and V of its kind.
    heads: [Range<usize>; 2],
}

/// The network with its optimiser.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypernet {
    input: usize,
    width: usize,
    targets: Vec<Target>,
    numbers: Vec<f32>,
    grad: Vec<f32>,
    moments: [Vec<f32>; 2],
    updates: i32,
}

/// What the way back needs.
pub struct Tape {
    text: Vec<f32>,
    hidden: Vec<Vec<f32>>,
}

impl Hypernet {
    /// A network for the adapters of these names and shapes, A [R, K] and B [M, R] in turn, as an engine lists them;
    /// `input` = D, `width` = H.
    ///
    /// # Errors
    /// There are no adapters.
    pub fn new(adapters: &[(String, Vec<usize>)], input: usize, width: usize, seed: u64) -> Result<Self> {
        ensure!(!adapters.is_empty() && adapters.len().is_multiple_of(2), "there are no adapters to be made");
        let mut end = width * (input + MARK) + width;
        let mut take = |n: usize| {
            end += n;
            end - n..end
        };
        let mut kinds: Vec<(String, [Range<usize>; 2])> = vec![];
        let mut targets = vec![];
        for pair in adapters.chunks_exact(2) {
            let size = |shape: &[usize]| shape.iter().product::<usize>();
            let (a, b) = (size(&pair[0].1), size(&pair[1].1));
            let kind: String = pair[0].0.chars().filter(|c| !c.is_ascii_digit()).collect();
            let heads = match kinds.iter().find(|(known, _)| *known == kind) {
                Some((_, heads)) => heads.clone(),
                None => {
                    let heads = [take(a * width), take(b * width)];
                    kinds.push((kind, heads.clone()));
                    heads
                }
            };
            ensure!(heads[0].len() == a * width && heads[1].len() == b * width, "matrices of a kind differ in shape");
            targets.push(Target { a, b, mark: take(MARK), base: take(a), heads });
        }
        let mut net = Self {
            input,
            width,
            targets,
            numbers: vec![0.0; end],
            grad: vec![0.0; end],
            moments: [vec![0.0; end], vec![0.0; end]],
            updates: 0,
        };
        net.begin(adapters, seed);
        Ok(net)
    }

    /// Uniform numbers: marks in +-1, the first layer and A0 in +-1/sqrt(inputs), U small, V zero.
    fn begin(&mut self, adapters: &[(String, Vec<usize>)], seed: u64) {
        let mut rng = rng::stream(seed, "hypernet", &[]);
        let mut fill =
            |part: &mut [f32], bound: f32| part.iter_mut().for_each(|x| *x = rng.random_range(-bound..bound));
        let inputs = (self.input + MARK) as f32;
        fill(&mut self.numbers[..self.width * (self.input + MARK)], 1.0 / inputs.sqrt());
        for (j, target) in self.targets.iter().enumerate() {
            fill(&mut self.numbers[target.mark.clone()], 1.0);
            let columns = adapters[2 * j].1.last().copied().unwrap_or(1) as f32;
            fill(&mut self.numbers[target.base.clone()], 1.0 / columns.sqrt());
            // once per kind is enough, more than once does no harm
            fill(&mut self.numbers[target.heads[0].clone()], 0.1 / (columns * self.width as f32).sqrt());
        }
    }

    /// Numbers that are trained.
    pub fn parameters(&self) -> usize {
        self.numbers.len()
    }

    /// The adapters of a text, in the order they were listed.
    pub fn forward(&self, text: &[f32]) -> (Vec<Vec<f32>>, Tape) {
        let hidden: Vec<Vec<f32>> = self.targets.iter().map(|target| self.hidden(text, target)).collect();
        let make = |(target, h): (&Target, &Vec<f32>)| {
            let [u, v] = target.heads.clone().map(|head| &self.numbers[head]);
            let base = &self.numbers[target.base.clone()];
            let a = (0..target.a).map(|i| base[i] + dot(&u[i * self.width..][..self.width], h)).collect();
            let b = (0..target.b).map(|i| dot(&v[i * self.width..][..self.width], h)).collect();
            [a, b]
        };
        let adapters = self.targets.iter().zip(&hidden).flat_map(make).collect();
        (adapters, Tape { text: text.to_vec(), hidden })
    }

    fn hidden(&self, text: &[f32], target: &Target) -> Vec<f32> {
        let (rows, inputs) = (self.width, self.input + MARK);
        let mark = &self.numbers[target.mark.clone()];
        let bias = &self.numbers[rows * inputs..][..rows];
        let row = |i: usize| {
            let w = &self.numbers[i * inputs..][..inputs];
            (dot(&w[..self.input], text) + dot(&w[self.input..], mark) + bias[i]).tanh()
        };
        (0..rows).map(row).collect()
    }

    /// Adds the gradient of a loss of which `adapters` is the gradient by the adapters that [`Hypernet::forward`] made.
    pub fn backward(&mut self, tape: &Tape, adapters: &[Vec<f32>]) {
        let (rows, inputs) = (self.width, self.input + MARK);
        for (j, target) in self.targets.clone().iter().enumerate() {
            let (h, [da, db]) = (&tape.hidden[j], [&adapters[2 * j], &adapters[2 * j + 1]]);
            self.grad[target.base.clone()].iter_mut().zip(da).for_each(|(g, d)| *g += d);
            let mut dh = vec![0f32; rows];
            for (head, d) in target.heads.iter().zip([da, db]) {
                for (i, &d) in d.iter().enumerate().filter(|(_, d)| **d != 0.0) {
                    let at = head.start + i * rows;
                    for k in 0..rows {
                        self.grad[at + k] += d * h[k];
                        dh[k] += d * self.numbers[at + k];
                    }
                }
            }
            for i in 0..rows {
                let dz = dh[i] * (1.0 - h[i] * h[i]);
                let at = i * inputs;
                for (k, x) in tape.text.iter().enumerate() {
                    self.grad[at + k] += dz * x;
                }
                for k in 0..MARK {
                    self.grad[at + self.input + k] += dz * self.numbers[target.mark.start + k];
                    self.grad[target.mark.start + k] += dz * self.numbers[at + self.input + k];
                }
                self.grad[rows * inputs + i] += dz;
            }
        }
    }

    /// An update by the accumulated gradient (AdamW, clipped by its norm), which it clears. Returns the norm before
    /// clipping; one that is not finite skips the update.
    pub fn update(&mut self, optim: &AdamW) -> f64 {
        let norm = self.grad.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        if norm.is_finite() {
            self.updates += 1;
            let clip = if optim.max_grad_norm > 0.0 { (optim.max_grad_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
            let unbias = [1.0 - optim.beta1.powi(self.updates), 1.0 - optim.beta2.powi(self.updates)];
            let [m, v] = &mut self.moments;
            let each = (&mut self.numbers, &self.grad, m, v).into_par_iter();
            each.for_each(|(x, g, m, v)| {
                let g = f64::from(*g) * clip;
                *m = (optim.beta1 * f64::from(*m) + (1.0 - optim.beta1) * g) as f32;
                *v = (optim.beta2 * f64::from(*v) + (1.0 - optim.beta2) * g * g) as f32;
                let step = f64::from(*m) / unbias[0] / ((f64::from(*v) / unbias[1]).sqrt() + optim.eps);
                *x -= (optim.lr * (step + optim.weight_decay * f64::from(*x))) as f32;
            });
        }
        self.grad.fill(0.0);
        norm
    }

    /// Numbers, moments and the count of updates, to be restored bit for bit.
    pub fn state(&self) -> Vec<f32> {
        let count = f32::from_bits(self.updates as u32);
        [&[count][..], &self.numbers, &self.moments[0], &self.moments[1]].concat()
    }

    /// Takes back what [`Hypernet::state`] gave.
    ///
    /// # Errors
    /// It is of a network of another size.
    pub fn restore(&mut self, state: &[f32]) -> Result<()> {
        let n = self.numbers.len();
        ensure!(state.len() == 1 + 3 * n, "the saved hypernetwork has another size than this one");
        self.updates = state[0].to_bits() as i32;
        self.numbers.copy_from_slice(&state[1..=n]);
        self.moments[0].copy_from_slice(&state[1 + n..=2 * n]);
        self.moments[1].copy_from_slice(&state[1 + 2 * n..]);
        Ok(())
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
#[path = "hypernet_tests.rs"]
mod tests;
