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
            factor.iter().enumerate().map(|(k, x)| f64::from(wish(i, k)) * f64::from(*x) + 0.5 * f64::from(x * x)).sum()
        };
        net.forward(&text).0.iter().enumerate().map(of).sum()
    };
    let (factors, tape) = net.forward(&text);
    let slope = |(i, f): (usize, &Vec<f32>)| f.iter().enumerate().map(|(k, x)| wish(i, k) + x).collect::<Vec<f32>>();
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
    let after = [[0, 0], [1, 0], [1, 1], [0, 1]].map(|[t, r]: [usize; 2]| nll(&mut engine, &net, &texts[t], &rows[r]));
    assert!(after[0] < before - 2.0, "{before} {after:?}");
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
