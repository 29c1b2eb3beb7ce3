use candle_core::{Device, Tensor};

use super::*;

/// A batch of two rows with everything a row can ask for, checked against sums in double precision.
struct Case {
    hidden: Vec<f64>, // [N, D]
    head: Vec<f64>,   // [V, D]
    temperature: f64,
    rows: [Row; 2],
}

struct Row {
    ids: Vec<u32>,
    mask: Vec<bool>,
    given: Vec<u32>,
    top: usize,
}

const D: usize = 6;
const V: usize = 11;

fn wave(n: usize, step: f64, scale: f64) -> Vec<f64> {
    (0..n).map(|i| (i as f64 * step + 0.3).sin() * scale).collect()
}

impl Case {
    fn new(temperature: f64) -> Self {
        let first = Row {
            ids: vec![1, 5, 2, 7, 3],
            mask: vec![true, true, false, true, true],
            given: vec![5, 0, 9, 7, 8, 1, 4, 10, 2], // three positions, K = 3; the target among them or not
            top: 2,
        };
        let second = Row { ids: vec![4, 4, 6], mask: vec![true; 3], given: vec![], top: 0 };
        Self { hidden: wave(8 * D, 0.71, 1.5), head: wave(V * D, 1.37, 1.2), temperature, rows: [first, second] }
    }

    fn rows(&self) -> Vec<ScoreRow<'_>> {
        self.rows.iter().map(|r| ScoreRow { ids: &r.ids, mask: &r.mask, given: &r.given, top: r.top }).collect()
    }

    fn targets(&self) -> Targets {
        Targets::new(&self.rows(), &Packed::new(self.rows.iter().map(|r| &r.ids[..])), V).unwrap()
    }

    fn tensors(&self) -> (Tensor, Tensor) {
        let single = |x: &[f64], n| {
            Tensor::from_vec(x.iter().map(|x| *x as f32).collect::<Vec<_>>(), (n, D), &Device::Cpu).unwrap()
        };
        (single(&self.hidden, 8), single(&self.head, V))
    }

    /// log softmax of the logits at hidden row `from`.
    fn log_softmax(&self, from: usize) -> Vec<f64> {
        let h = &self.hidden[from * D..][..D];
        let dot = |w: &[f64]| w.iter().zip(h).map(|(w, h)| w * h).sum::<f64>() / self.temperature;
        let z: Vec<f64> = self.head.chunks(D).map(dot).collect();
        let lse = z.iter().map(|z| z.exp()).sum::<f64>().ln();
        z.iter().map(|z| z - lse).collect()
    }

    /// All differentiable scores in double precision, in the order of [`Self::flat`].
    fn scores(&self) -> Vec<f64> {
        let mut all = vec![];
        let mut start = 0;
        for row in &self.rows {
            let wanted: Vec<usize> = (1..row.ids.len()).filter(|&t| row.mask[t]).collect();
            let at: Vec<Vec<f64>> = wanted.iter().map(|t| self.log_softmax(start + t - 1)).collect();
            let k = row.given.len() / wanted.len();
            all.extend(wanted.iter().zip(&at).map(|(&t, lp)| lp[row.ids[t] as usize]));
            all.extend(at.iter().map(|lp| -lp.iter().map(|lp| lp.exp() * lp).sum::<f64>()));
            let given = |i: usize| &row.given[i * k..(i + 1) * k];
            all.extend(at.iter().enumerate().flat_map(|(i, lp)| given(i).iter().map(|id| lp[*id as usize])));
            if k > 0 {
                let outside = |i: usize| (0..V as u32).filter(move |id| !given(i).contains(id));
                all.extend(
                    at.iter().enumerate().map(|(i, lp)| outside(i).map(|id| lp[id as usize].exp()).sum::<f64>().ln()),
                );
            }
            start += row.ids.len();
        }
        all
    }

    fn flat(scores: &[Scores]) -> Vec<f32> {
        scores.iter().flat_map(|s| [&s.logp[..], &s.entropy, &s.given, &s.tail].concat()).collect()
    }

    /// Some coefficient for every score.
    fn coefficients(&self, scores: &[Scores]) -> Vec<Coefficients> {
        let mut next = 0;
        let mut some = |like: &[f32]| -> Vec<f32> {
            let weight = |_: &f32| {
                next += 1;
                (next as f32 * 1.9).sin()
            };
            like.iter().map(weight).collect()
        };
        let one = |s: &Scores| Coefficients {
            logp: some(&s.logp),
            entropy: some(&s.entropy),
            given: some(&s.given),
            tail: some(&s.tail),
        };
        scores.iter().map(one).collect()
    }

    fn loss(&self, coefficients: &[Coefficients]) -> f64 {
        let weights = coefficients.iter().flat_map(|c| [&c.logp[..], &c.entropy, &c.given, &c.tail].concat());
        self.scores().iter().zip(weights).map(|(s, w)| s * w as f64).sum()
    }
}

fn scored(case: &Case) -> (Targets, Vec<Scored>) {
    let ((hidden, head), targets) = (case.tensors(), case.targets());
    let scored = score(&hidden, &head, &targets, case.temperature as f32).unwrap();
    (targets, scored)
}

#[test]
fn scores_equal_sums_in_double_precision() {
    for temperature in [1.0, 0.6] {
        let case = Case::new(temperature);
        let (targets, scored) = scored(&case);
        let (got, want) = (Case::flat(&targets.scores(&scored)), case.scores());
        assert_eq!(got.len(), want.len());
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!((*got as f64 - want).abs() < 2e-6 * (1.0 + want.abs()), "score {i}: {got}, not {want}");
        }
    }
}

#[test]
fn the_most_likely_tokens_come_in_order() {
    let case = Case::new(1.0);
    let (targets, scored) = scored(&case);
    let scores = targets.scores(&scored);
    assert!(scores[1].top.is_empty() && scores[0].top.len() == 6);
    for (i, from) in [0, 2, 3].into_iter().enumerate() {
        let lp = case.log_softmax(from);
        let mut order: Vec<usize> = (0..V).collect();
        order.sort_by(|a, b| lp[*b].total_cmp(&lp[*a]));
        for (got, id) in scores[0].top[2 * i..2 * i + 2].iter().zip(order) {
            assert!(got.0 as usize == id && (got.1 as f64 - lp[id]).abs() < 1e-5);
        }
    }
}

#[test]
fn gradients_equal_finite_differences_in_double_precision() {
    for temperature in [1.0, 0.6] {
        let mut case = Case::new(temperature);
        let (targets, scored) = scored(&case);
        let coefficients = case.coefficients(&targets.scores(&scored));
        let (hidden, head) = case.tensors();
        let grads = score_grad(&hidden, &head, &targets, &scored, &coefficients, temperature as f32, true).unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let numbers = |case: &mut Case, which: usize, i: usize, step: f64| {
            [&mut case.hidden, &mut case.head][which][i] += step;
        };
        for (which, grad) in [flat(&grads.0), flat(&grads.1.unwrap())].iter().enumerate() {
            for (i, got) in grad.iter().enumerate() {
                let h = 1e-5;
                numbers(&mut case, which, i, h);
                let up = case.loss(&coefficients);
                numbers(&mut case, which, i, -2.0 * h);
                let down = case.loss(&coefficients);
                numbers(&mut case, which, i, h);
                let want = (up - down) / (2.0 * h);
                assert!((*got as f64 - want).abs() < 1e-5 * (1.0 + want.abs()), "{which} {i}: {got}, not {want}");
            }
        }
    }
}

#[test]
fn a_tail_of_nothing_has_no_gradient() {
    let mut row = vec![0.0, 30.0, -70.0];
    let position = Position { from: 0, target: 0, given: 0..2, top: 0 };
    let given = [1, 0];
    let scored = examine(&mut row.clone(), &position, &given);
    assert_eq!(scored.tail, LEAST_TAIL);
    let pull = Pull { logp: 0.0, entropy: 0.0, given: &[0.0, 0.0], tail: 1.0 };
    pull_back(&mut row, &position, &given, &scored, &pull);
    assert_eq!(row, [0.0; 3]);
}

#[test]
fn a_small_tail_keeps_its_precision() {
    // One token holds all but e-12 of the probability: 1 - p would be 0 in single precision.
    let mut row = vec![28.0, 0.0, 0.0];
    let position = Position { from: 0, target: 0, given: 0..1, top: 0 };
    let scored = examine(&mut row.clone(), &position, &[0]);
    assert!((scored.tail - (2f32.ln() - 28.0)).abs() < 1e-5);
    let pull = Pull { logp: 0.0, entropy: 0.0, given: &[0.0], tail: 1.0 };
    pull_back(&mut row, &position, &[0], &scored, &pull);
    for (got, want) in row.iter().zip([-1.0, 0.5, 0.5]) {
        assert!((got - want).abs() < 1e-5, "{row:?}");
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (ids, mask) = ([1, 2, 3], [true; 3]);
    let packed = Packed::new([&ids[..]]);
    let row = ScoreRow { ids: &ids, mask: &mask, given: &[1, 2, 3], top: 0 };
    let message = |row| Targets::new(&[row], &packed, V).err().unwrap().to_string();
    assert!(message(row).contains("3 given tokens"));
    assert!(message(ScoreRow { given: &[1, 99], ..row }).contains("given token 99"));
    let case = Case::new(1.0);
    let (targets, scored) = scored(&case);
    let mut coefficients = case.coefficients(&targets.scores(&scored));
    coefficients[0].tail.pop();
    let (hidden, head) = case.tensors();
    let error = score_grad(&hidden, &head, &targets, &scored, &coefficients, 1.0, true).err().unwrap();
    assert!(error.to_string().contains("tail coefficients, expected 3"));
}
