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
mod tests {
    use super::*;
    use crate::engine::candle::{Architecture, CandleEngine, Family, Lora, Options, Projection};
    use crate::engine::{Coefficients, Engine, ScoreRow, Scores, WeightSet};

    /// Two layers of q and v, rank 2.
    fn net() -> Hypernet {
        let of = |layer: usize, p: &str, m: usize| {
            [(format!("l.{layer}.{p}.A"), vec![2, 5]), (format!("l.{layer}.{p}.B"), vec![m, 2])]
        };
        let shapes: Vec<_> = (0..2).flat_map(|layer| of(layer, "q", 4).into_iter().chain(of(layer, "v", 3))).collect();
        let mut net = Hypernet::new(&shapes, 6, 7, 1).unwrap();
        // V begins as 0: give it numbers, so that every path counts
        let mut rng = rng::stream(2, "test", &[]);
        net.numbers.iter_mut().for_each(|x| *x += rng.random_range(-0.3..0.3));
        net
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let mut net = net();
        let text: Vec<f32> = (0..6).map(|i| (i as f32 * 0.7).sin()).collect();
        let wish = |i: usize, k: usize| ((i * 31 + k * 7) as f32 * 0.37).cos();
        let loss = |net: &Hypernet| -> f64 {
            let of = |(i, factor): (usize, &Vec<f32>)| -> f64 {
                factor
                    .iter()
                    .enumerate()
                    .map(|(k, x)| f64::from(wish(i, k)) * f64::from(*x) + 0.5 * f64::from(x * x))
                    .sum()
            };
            net.forward(&text).0.iter().enumerate().map(of).sum()
        };
        let (factors, tape) = net.forward(&text);
        let slope =
            |(i, f): (usize, &Vec<f32>)| f.iter().enumerate().map(|(k, x)| wish(i, k) + x).collect::<Vec<f32>>();
        let slopes: Vec<Vec<f32>> = factors.iter().enumerate().map(slope).collect();
        net.backward(&tape, &slopes);
        for at in 0..net.parameters() {
            let mut moved = net.clone();
            let mut loss_at = |by: f32| {
                moved.numbers[at] = net.numbers[at] + by;
                loss(&moved)
            };
            let numeric = (loss_at(1e-2) - loss_at(-1e-2)) / 2e-2;
            let claimed = f64::from(net.grad[at]);
            assert!((numeric - claimed).abs() < 2e-3 * (1.0 + claimed.abs()), "{at}: {numeric} but {claimed}");
        }
    }

    fn engine() -> CandleEngine {
        let config = Architecture {
            max_position_embeddings: 100,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 8,
            ..Architecture::small(Family::Qwen3, 31, 16, 2)
        };
        let lora = Lora { rank: 2, alpha: 2.0, targets: vec![Projection::Q, Projection::V] };
        CandleEngine::init_with(config, 1, Options { lora: Some(lora), ..Options::default() }).unwrap()
    }

    /// Negative log-likelihood of a row under the adapters of a text.
    fn nll(engine: &mut CandleEngine, net: &Hypernet, text: &[f32], ids: &[u32]) -> f64 {
        engine.set_adapters(&net.forward(text).0).unwrap();
        let mask = vec![true; ids.len()];
        let scores = engine.score(WeightSet::Live, &[ScoreRow::new(ids, &mask)], 1.0).unwrap();
        -scores[0].logp.iter().map(|lp| f64::from(*lp)).sum::<f64>()
    }

    /// Adds its gradient to the network's.
    fn learn(engine: &mut CandleEngine, net: &mut Hypernet, text: &[f32], ids: &[u32]) {
        let (adapters, tape) = net.forward(text);
        engine.set_adapters(&adapters).unwrap();
        let mask = vec![true; ids.len()];
        let slopes =
            |scores: &[Scores]| vec![Coefficients { logp: vec![-1.0; scores[0].logp.len()], ..Default::default() }];
        engine.forward_backward(&[ScoreRow::new(ids, &mask)], 1.0, &mut |scores| Ok(slopes(scores))).unwrap();
        net.backward(&tape, &engine.take_gradient().unwrap());
        assert!(engine.take_gradient().unwrap().iter().flatten().all(|g| *g == 0.0), "it was taken");
    }

    #[test]
    fn through_the_engine_it_is_the_gradient_of_the_loss() {
        let mut engine = engine();
        let mut net = Hypernet::new(&engine.adapters(), 6, 5, 1).unwrap();
        let mut rng = rng::stream(2, "test", &[]);
        net.numbers.iter_mut().for_each(|x| *x += rng.random_range(-0.4..0.4));
        let text: Vec<f32> = (0..6).map(|i| (i as f32 * 0.9).cos()).collect();
        let ids: Vec<u32> = (0..24).map(|i| (i * i + 3) % 31).collect();
        learn(&mut engine, &mut net, &text, &ids);
        let norm = net.grad.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let mut at = |by: f64| {
            let mut moved = net.clone();
            moved.numbers.iter_mut().zip(&net.grad).for_each(|(x, g)| *x += (by * f64::from(*g) / norm) as f32);
            nll(&mut engine, &moved, &text, &ids)
        };
        let h = 0.02;
        let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        assert!(norm > 1e-3 && (slope - norm).abs() < 2e-2 * norm, "slope {slope}, gradient {norm}");
    }

    #[test]
    fn each_text_gets_weights_that_say_its_own_row() {
        let mut engine = engine();
        let mut net = Hypernet::new(&engine.adapters(), 4, 16, 1).unwrap();
        let texts = [[1.0, 0.0, -1.0, 0.5], [-1.0, 0.5, 1.0, 0.0]];
        let rows: [Vec<u32>; 2] = [[3, 5, 7].repeat(6), [11, 2, 29].repeat(6)];
        let optim = AdamW { lr: 0.03, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 };
        let before = nll(&mut engine, &net, &texts[0], &rows[0]);
        for _ in 0..60 {
            (0..2).for_each(|i| learn(&mut engine, &mut net, &texts[i], &rows[i]));
            net.update(&optim);
        }
        let after =
            [[0, 0], [1, 0], [1, 1], [0, 1]].map(|[t, r]: [usize; 2]| nll(&mut engine, &net, &texts[t], &rows[r]));
        assert!(after[0] < 0.9 * before, "{before} {after:?}");
        assert!(after[0] < after[1] && after[2] < after[3], "{after:?}");
    }

    #[test]
    fn new_adapters_change_nothing_and_a_state_comes_back() {
        let shapes = [("q.A".to_owned(), vec![2, 5]), ("q.B".to_owned(), vec![4, 2])];
        let mut net = Hypernet::new(&shapes, 3, 4, 1).unwrap();
        let (factors, tape) = net.forward(&[1.0, -1.0, 0.5]);
        assert!(factors[0].iter().any(|x| *x != 0.0) && factors[1].iter().all(|x| *x == 0.0));
        net.backward(&tape, &[vec![0.0; 10], vec![1.0; 8]]);
        let optim = AdamW { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 };
        assert!(net.update(&optim) > 0.0 && net.grad.iter().all(|g| *g == 0.0));
        assert!(net.forward(&[1.0, -1.0, 0.5]).0[1].iter().all(|x| *x < 0.0), "downhill");
        let mut other = Hypernet::new(&shapes, 3, 4, 9).unwrap();
        other.restore(&net.state()).unwrap();
        assert_eq!(other, net);
        assert!(other.restore(&net.state()[1..]).is_err() && Hypernet::new(&[], 3, 4, 1).is_err());
    }
}
