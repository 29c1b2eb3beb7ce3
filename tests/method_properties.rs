//! What must hold for every input: derivatives are those of the value, and the facts the methods' docs claim.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use sdlab::method::math::{AdvantageOver, Aggregation, Clip, Gate, KlEstimator, clipped_surrogate};
use sdlab::method::{Grpo, Method, RowFacts, Sdar, SkillSd, Tokens};

/// One random batch, owned.
#[derive(Clone, Debug)]
struct Batch {
    rows: Vec<Range<usize>>,
    student: Vec<f32>,
    entropy: Vec<f32>,
    old: Vec<f32>,
    teacher: Vec<f32>,
    reference: Vec<f32>,
    advantage: Vec<f32>,
}

impl Batch {
    fn tokens(&self) -> Tokens<'_> {
        Tokens {
            rows: &self.rows,
            student: &self.student,
            entropy: &self.entropy,
            old: &self.old,
            teacher: Some(&self.teacher),
            reference: Some(&self.reference),
            advantage: &self.advantage,
            ..Tokens::default()
        }
    }
}

/// Student log-prob, entropy, what old, teacher and reference add to the log-prob, advantage.
type Token = (f32, f32, f32, f32, f32, f32);

/// Two rows and, after them, tokens that no row owns.
fn batches() -> impl Strategy<Value = Batch> {
    let token = (-4.0f32..-0.01, 0.0f32..3.0, -0.6f32..0.6, -1.5f32..1.5, -1.5f32..1.5, -2.0f32..2.0);
    (1usize..4, vec(token, 6..9)).prop_map(|(cut, tokens)| {
        let owned = tokens.len() - 2;
        let shifted = |pick: fn(&Token) -> f32| tokens.iter().map(|token| token.0 + pick(token)).collect::<Vec<f32>>();
        Batch {
            rows: vec![0..cut, cut..owned],
            student: tokens.iter().map(|token| token.0).collect(),
            entropy: tokens.iter().map(|token| token.1).collect(),
            old: shifted(|token| token.2),
            teacher: shifted(|token| token.3),
            reference: shifted(|token| token.4),
            advantage: tokens.iter().map(|token| token.5).collect(),
        }
    })
}

fn gates() -> impl Strategy<Value = Gate> {
    prop_oneof![Just(Gate::Gap), Just(Gate::Entropy), Just(Gate::SoftOr)]
}

fn grpos() -> impl Strategy<Value = Grpo> {
    let kl = prop_oneof![Just(KlEstimator::K1), Just(KlEstimator::K2), Just(KlEstimator::K3)];
    let aggregation = prop_oneof![
        Just(Aggregation::TokenMean),
        Just(Aggregation::SeqMeanTokenMean),
        Just(Aggregation::SeqMeanTokenSum)
    ];
    (kl, aggregation, 0.0..1.0, 0.0..1.0).prop_map(|(kl, aggregation, kl_coef, entropy_coef)| Grpo {
        kl,
        aggregation,
        kl_coef,
        entropy_coef,
        ..Grpo::default()
    })
}

/// Far enough from every corner of the surrogate for a central difference.
fn smooth(batch: &Batch, t: usize) -> bool {
    let ratio = f64::from(batch.student[t] - batch.old[t]).exp();
    [0.8, 1.2, 3.0].iter().all(|corner| (ratio - corner).abs() > 0.02)
}

/// Central difference of the loss by one input.
fn slope(method: &dyn Method, batch: &Batch, input: fn(&mut Batch) -> &mut Vec<f32>, t: usize) -> f64 {
    let moved = |by: f32| {
        let mut moved = batch.clone();
        let at = &mut input(&mut moved)[t];
        *at += by;
        let at = f64::from(*at);
        (at, method.token_loss(&moved.tokens()).value)
    };
    let ((low, below), (high, above)) = (moved(-1e-3), moved(1e-3));
    (above - below) / (high - low)
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / total).collect()
}

/// `sum_v p_v slope_v (onehot_v - p)`: the expected gradient by the logits when v is sampled from p.
fn expected_gradient(p: &[f64], slopes: &[f64]) -> Vec<f64> {
    let mean: f64 = p.iter().zip(slopes).map(|(p, slope)| p * slope).sum();
    p.iter().zip(slopes).map(|(p, slope)| p * (slope - mean)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn derivatives_are_those_of_the_value(batch in batches(), grpo in grpos(), gate in gates(), beta in 0.0..6.0) {
        // an undetached gate, so that the value's dependence on it is part of the derivative
        let sdar = Sdar { coef: 0.5.into(), beta, gate, detach_gate: false, entropy_scale: 0.8, grpo, ..Sdar::default() };
        let methods: [&dyn Method; 2] = [&sdar.grpo, &sdar];
        for method in methods {
            let plan = method.token_loss(&batch.tokens());
            for t in (0..batch.student.len()).filter(|&t| smooth(&batch, t)) {
                let by_logp = slope(method, &batch, |batch| &mut batch.student, t);
                prop_assert!((by_logp - f64::from(plan.d_logp[t])).abs() < 2e-4, "{by_logp} {:?}", plan.d_logp);
                let by_entropy = slope(method, &batch, |batch| &mut batch.entropy, t);
                let claimed = plan.d_entropy.get(t).copied().unwrap_or(0.0);
                prop_assert!((by_entropy - f64::from(claimed)).abs() < 2e-4, "{by_entropy} {:?}", plan.d_entropy);
            }
        }
    }

    #[test]
    fn a_detached_gate_is_a_constant(gap in -3.0..3.0, entropy in 0.0..3.0, gate in gates(), beta in 0.0..9.0) {
        let token = Sdar { beta, gate, ..Sdar::default() }.distil(gap, entropy);
        prop_assert_eq!((token.d_logp, token.d_entropy), (-token.gate, 0.0));
        prop_assert_eq!(token.value, token.gate * gap);
    }

    #[test]
    fn an_ungated_loss_moves_nothing_in_expectation(student in vec(-2.0..2.0, 5), teacher in vec(-2.0..2.0, 5)) {
        let (p, q) = (softmax(&student), softmax(&teacher));
        let sdar = Sdar { beta: 0.0, ..Sdar::default() };
        let slopes: Vec<f64> = p.iter().zip(&q).map(|(p, q)| sdar.distil((q / p).ln(), 0.0).d_logp).collect();
        prop_assert!(expected_gradient(&p, &slopes).iter().all(|slope| slope.abs() < 1e-15));
    }

    #[test]
    fn small_gaps_follow_the_reverse_kl(student in vec(-2.0..2.0, 5), change in vec(-1.0..1.0, 5)) {
        let spread = change.iter().copied().fold(f64::MIN, f64::max) - change.iter().copied().fold(f64::MAX, f64::min);
        prop_assume!(spread > 0.3);
        let p = softmax(&student);
        let nearly: Vec<f64> = student.iter().zip(&change).map(|(logit, by)| logit + 1e-4 * by).collect();
        let gaps: Vec<f64> = p.iter().zip(softmax(&nearly)).map(|(p, q)| (q / p).ln()).collect();
        let sdar = Sdar::default();
        let gated: Vec<f64> = gaps.iter().map(|&gap| sdar.distil(gap, 0.0).d_logp).collect();
        // grad KL(p || q) = E[log(p / q) grad log p], so the slope of a token is -gap
        let reverse: Vec<f64> = gaps.iter().map(|gap| -gap * sdar.beta / 4.0).collect();
        let norm = |gradient: &[f64]| gradient.iter().map(|slope| slope * slope).sum::<f64>().sqrt();
        let (got, want) = (expected_gradient(&p, &gated), expected_gradient(&p, &reverse));
        let difference: Vec<f64> = got.iter().zip(&want).map(|(got, want)| got - want).collect();
        prop_assert!(norm(&difference) < 1e-3 * norm(&want), "{got:?} {want:?}");
    }

    #[test]
    fn reference_losses_pull_where_their_docs_say(student in vec(-2.0..2.0, 4), reference in vec(-2.0..2.0, 4)) {
        let (p, q) = (softmax(&student), softmax(&reference));
        let gradient = |kl: KlEstimator| {
            let slopes: Vec<f64> = p.iter().zip(&q).map(|(p, q)| kl.at(p.ln(), q.ln()).slope).collect();
            expected_gradient(&p, &slopes)
        };
        // where the clamp of k3 does not act
        prop_assume!(p.iter().zip(&q).all(|(p, q)| q / p < 8.0));
        let logs: Vec<f64> = p.iter().zip(&q).map(|(p, q)| (p / q).ln()).collect();
        let reverse = expected_gradient(&p, &logs);
        for v in 0..p.len() {
            prop_assert!(gradient(KlEstimator::K1)[v].abs() < 1e-12);
            prop_assert!((gradient(KlEstimator::K2)[v] - reverse[v]).abs() < 1e-12);
            // the forward KL(q || p) has the gradient p - q by the logits
            prop_assert!((gradient(KlEstimator::K3)[v] - (p[v] - q[v])).abs() < 1e-12);
        }
    }

    #[test]
    fn a_teacher_that_reads_the_same_prompt_says_nothing(batch in batches()) {
        let same = Batch { teacher: batch.student.clone(), ..batch };
        let plan = Sdar::default().token_loss(&same.tokens());
        let owned = same.rows[1].end;
        prop_assert!(plan.gate.unwrap()[..owned].iter().all(|&gate| gate == 0.5));
        prop_assert_eq!(plan.metrics["gap/square"].0, 0.0);
        prop_assert_eq!(plan.metrics["gate/active"].0, 0.0);
        prop_assert_eq!(plan.metrics["distill/loss"].0, 0.0);
        // of Skill-SD nothing is left but GRPO, wherever the policy has moved to
        let (off, on) = (SkillSd { coef: 0.0.into(), ..SkillSd::default() }, SkillSd::default());
        let (off, on) = (off.token_loss(&same.tokens()), on.token_loss(&same.tokens()));
        prop_assert_eq!(on.metrics["distill/loss"].0, 0.0);
        prop_assert_eq!((on.value, on.d_logp), (off.value, off.d_logp));
    }

    #[test]
    fn advantages_of_a_group_sum_to_zero(returns in vec(-5.0..5.0, 2..9)) {
        let row = |(member, &episode_return): (usize, &f64)| RowFacts {
            member,
            episode_return,
            penalty: 0.1,
            ..RowFacts::default()
        };
        let rows: Vec<RowFacts> = returns.iter().enumerate().map(row).collect();
        let group: Vec<&RowFacts> = rows.iter().collect();
        for over in [AdvantageOver::Trajectories, AdvantageOver::Rows] {
            prop_assert!(over.advantages(&group).iter().sum::<f64>().abs() < 1e-6);
        }
    }

    #[test]
    fn k3_is_never_negative(student in -20.0..0.0, reference in -20.0..0.0) {
        prop_assert!(KlEstimator::K3.at(student, reference).value >= 0.0);
        prop_assert_eq!(KlEstimator::K3.at(student, student).value, 0.0);
    }

    #[test]
    fn the_gap_gate_rises_with_the_gap(gap in -3.0..3.0, more in 0.01..1.0, beta in 0.1..5.0) {
        let gate = |gap| Gate::Gap.at(gap, 0.0, beta).gate;
        prop_assert!(gate(gap + more) > gate(gap));
        prop_assert!(gate(gap) > 0.0 && gate(gap) < 1.0);
    }

    #[test]
    fn at_ratio_one_the_clip_is_plain_policy_gradient(lp in -5.0..0.0, advantage in -3.0..3.0) {
        let clip = Clip { low: 0.2, high: 0.2, dual: 3.0 };
        let token = clipped_surrogate(lp, lp, advantage, &clip);
        prop_assert_eq!((token.loss.value, token.loss.slope, token.ratio), (-advantage, -advantage, 1.0));
        prop_assert!(!token.clipped);
    }

    #[test]
    fn tokens_outside_rows_never_matter(batch in batches(), grpo in grpos(), gate in gates()) {
        let sdar = Sdar { gate, grpo, ..Sdar::default() };
        let plan = sdar.token_loss(&batch.tokens());
        let mut broken = batch.clone();
        for t in batch.rows[1].end..batch.student.len() {
            broken.student[t] = f32::NAN;
            broken.teacher[t] = f32::INFINITY;
            broken.entropy[t] = -7.0;
            prop_assert_eq!(plan.d_logp[t], 0.0);
        }
        prop_assert_eq!(sdar.token_loss(&broken.tokens()), plan);
    }

    #[test]
    fn batches_add_up_to_their_union(batch in batches(), grpo in grpos()) {
        let sdar = Sdar { grpo, ..Sdar::default() };
        let whole = sdar.token_loss(&batch.tokens()).metrics;
        let part = |row: usize| {
            let tokens = Tokens { rows: &batch.rows[row..=row], ..batch.tokens() };
            sdar.token_loss(&tokens).metrics
        };
        let (first, second) = (part(0), part(1));
        for (name, (sum, count)) in whole.into_iter().filter(|(name, _)| !name.starts_with("coef/")) {
            prop_assert_eq!(first[name].1 + second[name].1, count);
            prop_assert!((first[name].0 + second[name].0 - sum).abs() < 1e-9, "{}", name);
        }
    }
}

#[test]
fn an_empty_batch_is_no_loss() {
    let tokens = Tokens::default();
    let sdar = Sdar::default();
    assert_eq!(sdar.needs().missing(&tokens), ["teacher", "reference"]);
    let plan = sdar.token_loss(&tokens);
    assert_eq!(plan.value, 0.0);
    assert!(plan.d_logp.is_empty());
}
