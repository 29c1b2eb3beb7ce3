//! Golden numbers of GRPO and SDAR: two rows of four tokens, the last masked, computed in 64-bit floats from the
//! papers' formulas and checked there by finite differences.

use std::f64::consts::FRAC_1_SQRT_2;

use sdlab::method::math::{AdvantageOver, Aggregation, Clip, Gate, KlEstimator, clipped_surrogate};
use sdlab::method::needs::{Top, Whose};
use sdlab::method::sdar::Objective;
use sdlab::method::view;
use sdlab::method::{Grpo, METHODS, Method, MethodConfig, Needs, Plan, RowFacts, Sdar, Tokens, Variant};

const STUDENT: [f32; 7] = [-0.10, -0.50, -2.00, -0.05, -1.20, -0.30, -0.70];
const TEACHER: [f32; 7] = [-0.20, -0.30, -1.00, -0.05, -1.90, -0.30, -0.60];
const OLD: [f32; 7] = [-0.10, -0.55, -1.90, -0.05, -1.20, -0.25, -0.70];
const ENTROPY: [f32; 7] = [0.3, 0.9, 2.1, 0.1, 1.5, 0.4, 0.8];
const ADVANTAGE: [f32; 7] = [0.8, 0.8, 0.8, 0.8, -1.1, -1.1, -1.1];
const NO_ADVANTAGE: [f32; 7] = [0.0; 7];

fn batch(advantage: &'static [f32]) -> Tokens<'static> {
    const ROWS: &[std::ops::Range<usize>] = &[0..4, 4..7];
    Tokens {
        rows: ROWS,
        student: &STUDENT,
        entropy: &ENTROPY,
        old: &OLD,
        teacher: Some(&TEACHER),
        advantage,
        ..Tokens::default()
    }
}

/// The distillation alone: GRPO switched off, weight 1.
fn only_distillation(gate: Gate, beta: f64) -> Plan {
    let grpo = Grpo { entropy_coef: 0.0, kl_coef: 0.0, ..Grpo::default() };
    Sdar { coef: 1.0.into(), beta, gate, grpo, ..Sdar::default() }.token_loss(&batch(&NO_ADVANTAGE))
}

fn mean(plan: &Plan, name: &str) -> f64 {
    let (sum, count) = plan.metrics[name];
    sum / count
}

#[track_caller]
fn close(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "got {got}, want {want}");
}

#[track_caller]
fn all_close(got: impl IntoIterator<Item = f32>, want: &[f64], tolerance: f64) {
    let got: Vec<f32> = got.into_iter().collect();
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).for_each(|(&got, &want)| close(f64::from(got), want, tolerance));
}

#[test]
fn gap_gate_loss_gradient_and_metrics() {
    let plan = only_distillation(Gate::Gap, 5.0);
    close(plan.value, 0.163_356_02, 1e-7);
    let slopes = [-0.05393438, -0.10443694, -0.14190102, -0.07142857, -0.00418746, -0.07142857, -0.08892276];
    all_close(plan.d_logp.clone(), &slopes, 1e-7);
    let gates = [0.377541, 0.731059, 0.993307, 0.5, 0.029312, 0.5, 0.622459];
    all_close(plan.gate.clone().unwrap(), &gates, 1e-6);
    assert!(plan.d_entropy.is_empty());
    close(mean(&plan, "gate/mean"), 0.536_239_71, 1e-7);
    close(mean(&plan, "gate/active"), 3.0 / 7.0, 1e-12);
    close(mean(&plan, "gap/mean"), 0.071_428_57, 1e-7);
    close(mean(&plan, "gap/square").sqrt(), 0.470_561_97, 1e-7);
    close(mean(&plan, "distill/loss"), plan.value, 1e-12);
    close(mean(&plan, "coef/aux_abs"), slopes.iter().map(|slope| slope.abs()).sum(), 1e-7);
    close(mean(&plan, "coef/rl_abs"), 0.0, 0.0);
}

#[test]
fn entropy_gate_soft_or_gate_and_beta_zero() {
    let entropy = only_distillation(Gate::Entropy, 5.0);
    close(entropy.value, 0.073_515_14, 1e-7);
    close(mean(&entropy, "gate/mean"), 0.898_753_92, 1e-7);
    let soft_or = only_distillation(Gate::SoftOr, 5.0);
    close(soft_or.value, 0.073_400_39, 1e-7);
    close(mean(&soft_or, "gate/mean"), 0.889_960_58, 1e-7);
    let flat = only_distillation(Gate::Gap, 0.0);
    close(flat.value, 0.035_714_29, 1e-7);
    assert_eq!(flat.gate, Some(vec![0.5; 7]));
    close(mean(&flat, "gate/active"), 0.0, 0.0);
}

/// One token, all three outcomes listed: student (.7, .2, .1), teacher (.5, .3, .2), the first sampled.
#[test]
fn the_other_objectives_are_gated_divergences() {
    let (p, q) = ([0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()], [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()]);
    let gate = 1.0 / (1.0 + (5.0 * (0.7f64 / 0.5).ln()).exp());
    for (objective, wanted) in [(Objective::Fkl, 0.0920329), (Objective::Jsd, 0.0219012)] {
        let grpo = Grpo { entropy_coef: 0.0, kl_coef: 0.0, ..Grpo::default() };
        let sdar = Sdar { coef: 1.0.into(), objective, grpo, ..Sdar::default() };
        assert_eq!(sdar.needs().top, Top { k: 64, of: Whose::Teacher });
        let top = view::Top { k: 3, ids: &[0, 1, 2], student: &p, teacher: &q };
        let tokens = Tokens {
            rows: &[std::ops::Range { start: 0, end: 1 }],
            student: &p[..1],
            old: &p[..1],
            entropy: &[0.8],
            advantage: &[0.0],
            teacher: Some(&q[..1]),
            top: Some(top),
            ..Tokens::default()
        };
        let plan = sdar.token_loss(&tokens);
        close(plan.value, gate * wanted, 1e-6);
        assert!(plan.d_logp[0] == 0.0 && plan.d_top.len() == 3, "the gate is detached");
        // d KL(q || p) / d ln p_v = -q_v, up to a constant that the tail takes
        let slopes = [gate * (0.0 - 0.5), gate * (0.0 - 0.3), gate * (0.0 - 0.2)];
        if objective == Objective::Fkl {
            all_close(plan.d_top, &slopes, 1e-5);
        }
    }
}

/// A teacher that has no context for a row says nothing of it (a recorded run of another method, say).
#[test]
fn rows_without_a_teacher_are_not_distilled() {
    let mut teacher = TEACHER;
    teacher[4..].fill(f32::NAN);
    let grpo = Grpo { entropy_coef: 0.0, kl_coef: 0.0, ..Grpo::default() };
    let sdar = Sdar { coef: 1.0.into(), grpo, ..Sdar::default() };
    let plan = sdar.token_loss(&Tokens { teacher: Some(&teacher), ..batch(&NO_ADVANTAGE) });
    assert!(plan.value.is_finite() && plan.d_logp[4..].iter().all(|d| *d == 0.0), "{plan:?}");
    all_close(plan.d_logp[..4].to_vec(), &[-0.05393438, -0.10443694, -0.14190102, -0.07142857], 1e-7);
    assert_eq!(plan.metrics["gap/mean"].1, 4.0);
}

#[test]
fn a_weight_can_follow_a_schedule() {
    let parsed: MethodConfig =
        toml::from_str("[sdar]\ncoef = { linear = { from = 0.02, to = 0, steps = 10 } }").unwrap();
    let plan = |step| parsed.build().token_loss(&Tokens { step, ..batch(&NO_ADVANTAGE) });
    let alone = Grpo::default().token_loss(&batch(&NO_ADVANTAGE)).value;
    close(plan(1).value - alone, 0.02 * 0.163_356_02, 1e-7);
    close(plan(6).value - alone, 0.01 * 0.163_356_02, 1e-7);
    assert_eq!(plan(11).value.to_bits(), alone.to_bits());
    assert!(toml::from_str::<MethodConfig>("[sdar]\ncoef = { linear = { from = 1, to = -1, steps = 9 } }").is_err());
}

#[test]
fn policy_gradient_per_token_and_mean() {
    let clip = Clip { low: 0.2, high: 0.2, dual: 3.0 };
    let losses = (0..7)
        .map(|t| clipped_surrogate(STUDENT[t].into(), OLD[t].into(), ADVANTAGE[t].into(), &clip).loss.value as f32);
    all_close(losses, &[-0.8, -0.84101688, -0.72386993, -0.8, 1.1, 1.04635237, 1.1], 1e-6);
    let grpo = Grpo { entropy_coef: 0.0, ..Grpo::default() };
    let plan = grpo.token_loss(&batch(&ADVANTAGE));
    close(plan.value, 0.011_637_94, 1e-7);
    close(mean(&plan, "pg/loss"), plan.value, 1e-12);
    close(mean(&plan, "clip/fraction"), 0.0, 0.0);
    let ratios = (1.0 + 0.05f64.exp() + (-0.1f64).exp() + 1.0 + 1.0 + (-0.05f64).exp() + 1.0) / 7.0;
    close(mean(&plan, "ratio/mean"), ratios, 1e-7);
    close(mean(&plan, "entropy/mean"), 6.1 / 7.0, 1e-7);
}

#[test]
fn the_clip_and_the_dual_clip() {
    let clip = Clip { low: 0.2, high: 0.2, dual: 3.0 };
    let cases = [
        // ratio, advantage, loss, slope
        (0.5, 1.0, -0.5, -0.5),
        (1.5, 1.0, -1.2, 0.0),
        (0.5, -1.0, 0.8, 0.0),
        (1.5, -1.0, 1.5, 1.5),
        (5.0, -1.0, 3.0, 0.0),
    ];
    for (ratio, advantage, loss, slope) in cases {
        let token = clipped_surrogate(f64::ln(ratio), 0.0, advantage, &clip);
        close(token.loss.value, loss, 1e-12);
        close(token.loss.slope, slope, 1e-12);
        assert_eq!(token.clipped, slope == 0.0, "ratio {ratio}, advantage {advantage}");
        assert_eq!(token.dual, ratio == 5.0);
    }
    let open = clipped_surrogate(f64::ln(5.0), 0.0, -1.0, &Clip { dual: 0.0, ..clip });
    close(open.loss.value, 5.0, 1e-12);
}

#[test]
fn divergence_from_the_reference() {
    let tokens = Tokens { reference: Some(&TEACHER), ..batch(&NO_ADVANTAGE) };
    let grpo = Grpo { kl_coef: 1.0, entropy_coef: 0.0, ..Grpo::default() };
    let plan = grpo.token_loss(&tokens);
    close(plan.value, 0.135_182_60, 1e-7);
    close(mean(&plan, "kl/reference"), plan.value, 1e-12);
    // a gap of 3 nats passes the clamp at 10: the value stays, the gradient goes
    assert_eq!(KlEstimator::K3.at(-3.0, 0.0).value, 10.0);
    assert_eq!(KlEstimator::K3.at(-3.0, 0.0).slope, 0.0);
    close(KlEstimator::K1.at(-2.0, -1.0).value, -1.0, 0.0);
    close(KlEstimator::K2.at(-2.0, -1.0).value, 0.5, 0.0);
}

#[test]
fn the_entropy_bonus_lowers_the_loss() {
    let grpo = Grpo { entropy_coef: 0.7, ..Grpo::default() };
    let plan = grpo.token_loss(&batch(&NO_ADVANTAGE));
    close(plan.value, -0.7 * 6.1 / 7.0, 1e-7);
    all_close(plan.d_entropy, &[-0.1; 7], 1e-7);
}

#[test]
fn advantages_over_rows_and_over_trajectories() {
    let row = |member, episode_return, penalty| RowFacts { member, episode_return, penalty, ..RowFacts::default() };
    let advantages = |over: AdvantageOver, rows: &[RowFacts]| over.advantages(&rows.iter().collect::<Vec<_>>());
    let group = [row(0, 10.0, 0.0), row(0, 10.0, 0.0), row(0, 10.0, 0.1), row(1, 0.0, 0.0), row(1, 0.0, 0.1)];
    let rows = advantages(AdvantageOver::Rows, &group);
    let want = [0.736337, 0.736337, 0.718110, -1.086279, -1.104505];
    rows.iter().zip(want).for_each(|(&got, want)| close(got, want, 1e-6));
    let centred = AdvantageOver::Rows.centred(&group.iter().collect::<Vec<_>>());
    close(10.0 - centred[0], 5.96, 1e-12);
    close(centred[0] / rows[0], 5.4866201, 2e-6);

    let plain = [row(3, 10.0, 0.0), row(1, 0.0, 0.0), row(3, 10.0, 0.0)];
    let trajectories = advantages(AdvantageOver::Trajectories, &plain);
    trajectories
        .iter()
        .zip([FRAC_1_SQRT_2, -FRAC_1_SQRT_2, FRAC_1_SQRT_2])
        .for_each(|(&got, want)| close(got, want, 1e-6));

    // both penalties of member 1 count against the whole episode: scores 10, -2
    let fined = [row(0, 10.0, 0.0), row(1, 0.0, 1.0), row(1, 0.0, 1.0), row(2, 1.0, 0.0)];
    let shared = advantages(AdvantageOver::Trajectories, &fined);
    assert_eq!(shared[1], shared[2]);
    close(shared[1], -5.0 / (39f64.sqrt() + 1e-6), 1e-9);

    // a single score is kept as it is (mean 0, std 1)
    close(advantages(AdvantageOver::Rows, &plain[..1])[0], 10.0, 1e-4);
    assert!(advantages(AdvantageOver::Rows, &[]).is_empty());
}

#[test]
fn aggregations_weigh_rows_as_they_say() {
    let rows = [0..4, 4..4, 4..7];
    let weights = |aggregation: Aggregation| aggregation.weights(&rows, 8);
    let means = weights(Aggregation::TokenMean);
    assert_eq!((means.per_token[0], means.per_token[6], means.per_token[7]), (1.0 / 7.0, 1.0 / 7.0, 0.0));
    assert_eq!(means.mass, 7.0);
    let rows_alike = weights(Aggregation::SeqMeanTokenMean);
    assert_eq!((rows_alike.per_token[0], rows_alike.per_token[6]), (0.125, 1.0 / 6.0));
    assert_eq!(rows_alike.mass, 2.0);
    let sums = weights(Aggregation::SeqMeanTokenSum);
    assert_eq!((sums.per_token[0], sums.per_token[6]), (0.5, 0.5));
}

#[test]
fn weight_zero_is_grpo_bit_for_bit() {
    let tokens = Tokens { reference: Some(&TEACHER), ..batch(&ADVANTAGE) };
    let sdar = Sdar { coef: 0.0.into(), ..Sdar::default() };
    let (with, without) = (sdar.token_loss(&tokens), sdar.grpo.token_loss(&tokens));
    let bits = |slopes: &[f32]| slopes.iter().map(|slope| slope.to_bits()).collect::<Vec<_>>();
    assert_eq!(with.value.to_bits(), without.value.to_bits());
    assert_eq!(bits(&with.d_logp), bits(&without.d_logp));
    assert_eq!(bits(&with.d_entropy), bits(&without.d_entropy));
    assert!(with.gate.is_some(), "gates are measured all the same");
}

#[test]
fn settings_are_read_with_their_variant() {
    let parse = |text: &str| toml::from_str::<MethodConfig>(text);
    assert_eq!(parse("[sdar]").unwrap(), MethodConfig::default());
    let MethodConfig::Sdar(paper) = parse("[sdar]\nbeta = 10\n[sdar.grpo]\nvariant = 'paper'").unwrap() else {
        panic!("not sdar")
    };
    assert_eq!(paper.beta, 10.0);
    assert_eq!(paper.grpo, Grpo::of(Variant::Paper));
    assert_eq!(paper.grpo.aggregation, Aggregation::SeqMeanTokenMean);
    let MethodConfig::Grpo(mixed) = parse("[grpo]\nvariant = 'paper'\nadvantage = 'rows'").unwrap() else {
        panic!("not grpo")
    };
    assert_eq!((mixed.advantage, mixed.entropy_coef), (AdvantageOver::Rows, 0.0));
    assert_eq!(parse("[grpo]\nkl_coef = 0").unwrap().build().needs(), Needs::default());
    let sdar = MethodConfig::default();
    assert_eq!(sdar.build().needs(), Needs { reference: true, ..Needs::skills() });
    assert_eq!(parse(&toml::to_string(&sdar).unwrap()).unwrap(), sdar);
}

#[test]
fn wrong_settings_are_refused_at_their_place() {
    let refused = |text: &str| toml::from_str::<MethodConfig>(text).unwrap_err();
    let place = |text: &str| text[refused(text).span().unwrap()].to_owned();
    assert_eq!(place("[sdar]\nbeta = -1.0\n"), "-1.0");
    assert_eq!(refused("[sdar]\nbeta = -1.0\n").message(), "`-1` is out of range, use a finite number >= 0");
    assert_eq!(place("[sdar.grpo]\nclip_low = 1.0\n"), "1.0");
    assert_eq!(place("[grpo]\ndual_clip = 0.5\n"), "0.5");
    assert_eq!(place("[grpo]\nkl_coef = inf\n"), "inf");
    assert_eq!(place("[sdar]\nbta = 1\n"), "bta");
    assert_eq!(place("[sdra]\n"), "sdra");
}

#[test]
fn every_key_is_documented_and_every_method_listed() {
    assert_eq!(MethodConfig::all().len(), METHODS.len());
    for (config, info) in MethodConfig::all().iter().zip(METHODS) {
        assert_eq!(config.name(), info.name);
        assert_eq!(config.build().name(), info.name);
        let written = toml::Table::try_from(config).unwrap();
        let keys: Vec<&str> = written[info.name].as_table().unwrap().keys().map(String::as_str).collect();
        let mut documented: Vec<&str> = info.keys.iter().map(|key| key.key).collect();
        documented.sort_unstable();
        assert_eq!(documented, keys);
        for section in ["Idea", "Formula", "arXiv", "True expected gradient", "Preconditions", "Deviations"] {
            assert!(info.docs.contains(section), "`{}` does not say `{section}`", info.name);
        }
    }
}
