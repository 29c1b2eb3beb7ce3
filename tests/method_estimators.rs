//! Estimators and divergences: derivatives against finite differences, expected gradients against those of the
//! divergence they claim to follow, and the numbers worked out by hand from the papers.

use proptest::collection::vec;
use proptest::prelude::*;
use sdlab::method::estimator::{Listed, Sampled, TokenAt, preference};
use sdlab::method::grpo_opsd::GrpoOpsdVariant;
use sdlab::method::math::{AdvantageOver, Aggregation, Gate};
use sdlab::method::sdar::Objective;
use sdlab::method::view::Top;
use sdlab::method::{
    Gigpo, Grpo, GrpoOpsd, METHODS, Method, MethodConfig, Rlsd, RowFacts, Sdar, SkillGrpo, SkillRl, SkillSd, Tokens,
    TurnFacts,
};

const H: f64 = 1e-6;

#[track_caller]
fn close(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "got {got}, want {want}");
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / total).collect()
}

fn kl(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum()
}

/// Gradient by the logits of `p` of a function of the distribution, by central differences.
fn by_logits(logits: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let at = |i: usize, by: f64| {
        let mut moved = logits.to_vec();
        moved[i] += by;
        f(&softmax(&moved))
    };
    (0..logits.len()).map(|i| (at(i, H) - at(i, -H)) / (2.0 * H)).collect()
}

/// `sum_v w_v slope_v (onehot_v - p)`: expected gradient by the logits of p when v is sampled with probability w_v.
fn expected(p: &[f64], sampled_from: &[f64], slopes: &[f64]) -> Vec<f64> {
    let mean: f64 = sampled_from.iter().zip(slopes).map(|(w, slope)| w * slope).sum();
    (0..p.len()).map(|v| sampled_from[v] * slopes[v] - p[v] * mean).collect()
}

fn estimators() -> impl Strategy<Value = Sampled> {
    prop_oneof![
        Just(Sampled::AdvantageRkl),
        Just(Sampled::K1),
        Just(Sampled::K2),
        Just(Sampled::K3),
        Just(Sampled::RatioK3(0.0)),
        Just(Sampled::RatioK3(2.0)),
        Just(Sampled::Nll),
    ]
}

fn divergences() -> impl Strategy<Value = Listed> {
    prop_oneof![
        Just(Listed::Rkl),
        Just(Listed::Fkl),
        (0.05..0.95).prop_map(Listed::Jsd),
        Just(Listed::Jsd(0.0)),
        Just(Listed::Jsd(1.0)),
        Just(Listed::RenormalisedFkl),
    ]
}

fn slopes(estimator: Sampled, p: &[f64], old: &[f64], q: &[f64]) -> Vec<f64> {
    let slope = |v: usize| {
        let (lp, lp_old, lp_teacher) = (p[v].ln(), old[v].ln(), q[v].ln());
        estimator.at(TokenAt { lp_student: lp, lp_here: lp, lp_old, lp_teacher }).slope
    };
    (0..p.len()).map(slope).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn slopes_are_those_of_the_values(e in estimators(), lp in -4.0f64..-0.05, old in -0.5f64..0.5, gap in -1.5f64..1.5) {
        let token = |lp_student: f64| TokenAt { lp_student, lp_here: lp, lp_old: lp + old, lp_teacher: lp + gap };
        // a bound that binds has a corner
        prop_assume!((-old - 2f64.ln()).abs() > 1e-3);
        let numeric = (e.at(token(lp + H)).value - e.at(token(lp - H)).value) / (2.0 * H);
        prop_assert!((numeric - e.at(token(lp)).slope).abs() < 1e-6, "{numeric} {:?}", e.at(token(lp)));
    }

    #[test]
    fn listed_slopes_are_those_of_the_values(
        d in divergences(), student in vec(-2.0..2.0, 6), teacher in vec(-2.0..2.0, 6), k in 2usize..6,
    ) {
        let (p, q) = (softmax(&student), softmax(&teacher));
        let logs = |p: &[f64]| p[..k].iter().map(|p| p.ln() as f32).collect::<Vec<f32>>();
        let (student, teacher) = (logs(&p), logs(&q));
        let claimed = d.at(&student, &teacher).slopes;
        for i in 0..k {
            let moved = |by: f32| {
                let mut student = student.clone();
                student[i] += by;
                (f64::from(student[i]), d.at(&student, &teacher).value)
            };
            let ((low, below), (high, above)) = (moved(-1e-4), moved(1e-4));
            let numeric = (above - below) / (high - low);
            prop_assert!((numeric - claimed[i]).abs() < 2e-3 * (1.0 + numeric.abs()), "{d:?} {i}: {numeric} {claimed:?}");
        }
    }

    #[test]
    fn estimators_follow_the_divergence_they_name(
        student in vec(-2.0..2.0, 5), teacher in vec(-2.0..2.0, 5), before in vec(-0.3..0.3, 5),
    ) {
        let (p, q) = (softmax(&student), softmax(&teacher));
        let old = softmax(&student.iter().zip(&before).map(|(s, b)| s + b).collect::<Vec<_>>());
        let reverse = by_logits(&student, |p| kl(p, &q));
        let forward = by_logits(&student, |p| kl(&q, p));
        let nothing = vec![0.0; 5];
        let follows = |estimator: Sampled, from: &[f64], wanted: &[f64]| {
            let got = expected(&p, from, &slopes(estimator, &p, from, &q));
            got.iter().zip(wanted).all(|(g, w)| (g - w).abs() < 1e-5)
        };
        prop_assert!(follows(Sampled::AdvantageRkl, &p, &reverse));
        prop_assert!(follows(Sampled::K2, &p, &reverse));
        prop_assert!(follows(Sampled::K3, &p, &forward));
        prop_assert!(follows(Sampled::K1, &p, &nothing));
        prop_assert!(follows(Sampled::Nll, &p, &nothing));
        // on tokens of older weights too
        prop_assert!(follows(Sampled::RatioK3(0.0), &old, &reverse));
    }

    #[test]
    fn whole_lists_are_the_divergence_itself(student in vec(-2.0..2.0, 5), teacher in vec(-2.0..2.0, 5)) {
        let (p, q) = (softmax(&student), softmax(&teacher));
        let logs = |p: &[f64]| p.iter().map(|p| p.ln() as f32).collect::<Vec<f32>>();
        let (lp, lq) = (logs(&p), logs(&q));
        let m: Vec<f64> = p.iter().zip(&q).map(|(p, q)| 0.7 * p + 0.3 * q).collect();
        let wanted = [
            (Listed::Rkl, kl(&p, &q)),
            (Listed::Fkl, kl(&q, &p)),
            (Listed::RenormalisedFkl, kl(&q, &p)),
            (Listed::Jsd(0.3), 0.3 * kl(&q, &m) + 0.7 * kl(&p, &m)),
        ];
        for (divergence, wanted) in wanted {
            let got = divergence.at(&lp, &lq);
            prop_assert!((got.value - wanted).abs() < 1e-5, "{divergence:?} {} {wanted}", got.value);
            prop_assert!(got.value > -1e-6);
        }
    }

    #[test]
    fn every_method_gives_finite_numbers_for_whole_and_missing_signals(
        student in vec(-4.0f32..-0.01, 6), gap in vec(-2.0f32..2.0, 6), taught in any::<bool>(),
    ) {
        let old: Vec<f32> = student.iter().map(|lp| lp - 0.1).collect();
        let teacher: Vec<f32> = student.iter().zip(&gap).map(|(lp, gap)| lp + gap).collect();
        let turn = |tokens| TurnFacts { tokens, anchor: 7, ..TurnFacts::default() };
        let facts = [
            RowFacts { episode_return: 1.0, won: true, turns: vec![turn(0..2), turn(2..3)], ..RowFacts::default() },
            RowFacts { member: 1, turns: vec![turn(3..6)], ..RowFacts::default() },
        ];
        let step = Tokens {
            step: 3,
            rows: &[0..3, 3..6],
            facts: &facts,
            entropy: &[0.5; 6],
            old: &old,
            teacher: taught.then_some(&teacher),
            reference: Some(&old),
            ..Tokens::default()
        };
        for config in MethodConfig::all() {
            let method = config.build();
            let credit = method.credit(&step);
            prop_assert_eq!(credit.advantage.len(), 6, "{}", method.name());
            let weight = (!credit.weight.is_empty()).then_some(&credit.weight[..]);
            let plan = method.token_loss(&Tokens { student: &student, advantage: &credit.advantage, weight, ..step });
            prop_assert_eq!(plan.d_logp.len(), 6);
            prop_assert!(plan.value.is_finite() && plan.d_logp.iter().all(|d| d.is_finite()), "{}", method.name());
        }
    }
}

#[test]
fn divergences_of_a_small_distribution() {
    let (p, q) = ([0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()], [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()]);
    close(Listed::Rkl.at(&p, &q).value, 0.0851228, 1e-6);
    close(Listed::Fkl.at(&p, &q).value, 0.0920329, 1e-6);
    close(Listed::Jsd(0.5).at(&p, &q).value, 0.0219012, 1e-6);
    // against the uniform distribution it is ln 3 - H
    close(3f64.ln() - Listed::Rkl.at(&p, &[(1.0f32 / 3.0).ln(); 3]).value, 0.8018186, 1e-6);
    // the tail is an outcome of its own
    let tail = Listed::Rkl.at(&p[..2], &q[..2]);
    close(tail.value, 0.0851228, 1e-6);
    let filled = Listed::Fkl.at(&[p[0], f32::NEG_INFINITY], &[q[0], f32::NEG_INFINITY]);
    assert!(filled.value.is_finite() && filled.slopes[1] == 0.0);
}

const STUDENT: [f32; 7] = [-0.10, -0.50, -2.00, -0.05, -1.20, -0.30, -0.70];
const TEACHER: [f32; 7] = [-0.20, -0.30, -1.00, -0.05, -1.90, -0.30, -0.60];
const OLD: [f32; 7] = [-0.10, -0.55, -1.90, -0.05, -1.20, -0.25, -0.70];

fn batch(advantage: &'static [f32]) -> Tokens<'static> {
    const ROWS: &[std::ops::Range<usize>] = &[0..4, 4..7];
    Tokens {
        step: 1,
        rows: ROWS,
        student: &STUDENT,
        entropy: &[0.3, 0.9, 2.1, 0.1, 1.5, 0.4, 0.8],
        old: &OLD,
        teacher: Some(&TEACHER),
        advantage,
        ..Tokens::default()
    }
}

#[test]
fn skill_sd_loss_and_gradient() {
    let plan = SkillSd { coef: 1.0.into(), ..SkillSd::default() }.token_loss(&batch(&[0.0; 7]));
    close(plan.value, 0.1255745737, 1e-7);
    let k3 = [0.00483742, 0.02140276, 0.71828183, 0.0, 0.19658530, 0.0, 0.00517092];
    let rho = [1.0, 1.0512711, 0.90483742, 1.0, 1.0, 0.95122942, 1.0];
    for t in 0..7 {
        let [lp, lp_old, lp_teacher] = [STUDENT[t], OLD[t], TEACHER[t]].map(f64::from);
        let token = TokenAt { lp_student: lp, lp_here: lp, lp_old, lp_teacher };
        close(Sampled::K3.at(token).value, k3[t], 1e-7);
        close(Sampled::RatioK3(0.0).at(token).value, rho[t] * k3[t], 1e-7);
        // at a gap of -ln 2 the term is 1 - ln 2, so that the ratio shows
        let known = TokenAt { lp_teacher: lp + 2f64.ln(), ..token };
        close(Sampled::RatioK3(0.0).at(known).value / (1.0 - 2f64.ln()), rho[t], 1e-7);
    }
    let want = [0.01428571, -0.03003632, -0.12926249, 0.0, 0.1, 0.0, -0.01428571];
    plan.d_logp.iter().zip(want).for_each(|(&got, want)| close(got.into(), want, 1e-7));
}

#[test]
fn rlsd_reshapes_the_published_example() {
    let wanted = [0.761935, 0.88, 0.88, 0.8, -1.21, -1.128199, -1.047661];
    let gaps = [-0.1, 0.25, 0.9, 0.0, -0.7, -0.05, 0.1];
    for (t, (wanted, gap)) in wanted.into_iter().zip(gaps).enumerate() {
        close(f64::from(TEACHER[t]) - f64::from(OLD[t]), gap, 1e-6);
        let advantage = if t < 4 { 0.8 } else { -1.1 };
        close(sdlab::method::advantage::rlsd(advantage, gap, 0.5, 0.2), wanted, 1e-6);
        // the whole share leaves the weight alone
        let w = [0.904837, 1.2, 1.2, 1.0, 1.2, 1.051271, 0.904837][t];
        close(sdlab::method::advantage::rlsd(advantage, gap, 1.0, 0.2) / advantage, w, 1e-6);
    }
}

#[test]
fn rlsd_reshapes_advantages() {
    let row = |episode_return, member, tokens| RowFacts {
        episode_return,
        member,
        turns: vec![TurnFacts { tokens, ..TurnFacts::default() }],
        ..RowFacts::default()
    };
    let facts = [row(1.0, 0, 0..4), row(0.0, 1, 4..7)];
    let step = Tokens { facts: &facts, student: &[], ..batch(&[]) };
    let credit = Rlsd::default().credit(&step);
    // gaps are to the old policy: -0.1 on the first token, 0.9 on the third, -0.7 on the fifth
    let base = std::f64::consts::FRAC_1_SQRT_2;
    close(credit.advantage[0].into(), base * (0.5 + 0.5 * (-0.1f64).exp()), 1e-5);
    close(credit.advantage[2].into(), base * 1.1, 1e-5);
    close(credit.advantage[4].into(), -base * 1.1, 1e-5);
    assert_eq!(credit.metrics["rlsd/share"], (0.5, 1.0));
    let squares = [-0.1f64, 0.25, 0.9, 0.0, -0.7, -0.05, 0.1].map(|gap| gap * gap).iter().sum::<f64>();
    close(credit.metrics["gap/square"].0, squares, 1e-6);
}

#[test]
fn the_released_baseline_is_sdar_with_a_flat_gate() {
    let tokens = Tokens { reference: Some(&OLD), ..batch(&[0.8, 0.8, 0.8, 0.8, -1.1, -1.1, -1.1]) };
    let flat = Sdar { beta: 0.0, ..Default::default() }.token_loss(&tokens);
    let released = GrpoOpsd::default().token_loss(&tokens);
    close(released.value, flat.value, 1e-12);
    assert_eq!(released.d_logp, flat.d_logp);
}

/// Every method that is GRPO with something added, the addition off, whatever its teacher says.
fn switched_off() -> Vec<(Box<dyn Method>, Grpo)> {
    let mut pairs: Vec<(Box<dyn Method>, Grpo)> = vec![];
    for gate in [Gate::Gap, Gate::Entropy, Gate::SoftOr] {
        for objective in [Objective::Rkl, Objective::Fkl, Objective::Jsd] {
            let sdar = Sdar { coef: 0.0.into(), gate, objective, ..Sdar::default() };
            pairs.push((Box::new(sdar.clone()), sdar.grpo));
        }
    }
    for variant in ["paper", "sdar"] {
        let text = format!("[skill-sd]\ncoef = 0\nvariant = '{variant}'");
        let MethodConfig::SkillSd(skill_sd) = toml::from_str(&text).unwrap() else { panic!("{text}") };
        pairs.push((Box::new(skill_sd.clone()), skill_sd.grpo));
    }
    for variant in [GrpoOpsdVariant::Released, GrpoOpsdVariant::Algorithm, GrpoOpsdVariant::Advantage] {
        let baseline = GrpoOpsd { coef: 0.0.into(), variant, ..GrpoOpsd::default() };
        pairs.push((Box::new(baseline.clone()), baseline.grpo));
    }
    let others: [(Box<dyn Method>, Grpo); 4] = [
        (Box::new(Rlsd { share: 0.0.into(), ..Rlsd::default() }), Rlsd::default().grpo),
        (Box::new(SkillGrpo { share: 0.0, ..SkillGrpo::default() }), SkillGrpo::default().grpo),
        (Box::new(SkillRl { share: 0.0, ..SkillRl::default() }), SkillRl::default().grpo),
        (Box::new(Gigpo { step_weight: 0.0, normalise: true, ..Gigpo::default() }), Gigpo::default().grpo),
    ];
    pairs.extend(others);
    pairs
}

#[test]
fn with_every_switch_off_it_is_grpo_bit_for_bit() {
    let row = |episode_return, member, tokens| RowFacts {
        episode_return,
        member,
        turns: vec![TurnFacts { tokens, anchor: 3, ..TurnFacts::default() }],
        ..RowFacts::default()
    };
    let facts = [row(1.0, 0, 0..4), row(0.3, 1, 4..7)];
    let mut teacher = TEACHER;
    (teacher[1], teacher[5]) = (f32::INFINITY, f32::NAN);
    let top = Top { k: 1, ids: &[0; 7], student: &STUDENT, teacher: &TEACHER };
    let (facts, teacher, top) = (&facts[..], Some(&teacher[..]), Some(top));
    let step = Tokens { facts, teacher, top, student: &[], reference: Some(&TEACHER), ..batch(&[]) };
    let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
    for (off, grpo) in switched_off() {
        assert_eq!(off.needs().skilled_share, 0.0);
        let (own, plain) = (off.credit(&step).advantage, grpo.credit(&step).advantage);
        assert_eq!(bits(&own), bits(&plain), "{}", off.name());
        let tokens = Tokens { student: &STUDENT, advantage: &own, ..step };
        let (with, without) = (off.token_loss(&tokens), grpo.token_loss(&tokens));
        assert_eq!(with.value.to_bits(), without.value.to_bits(), "{}", off.name());
        assert_eq!(bits(&with.d_logp), bits(&without.d_logp), "{}", off.name());
        assert_eq!(bits(&with.d_entropy), bits(&without.d_entropy), "{}", off.name());
        assert_eq!(bits(&with.loss), bits(&without.loss), "{}", off.name());
        assert!(with.d_top.is_empty() && with.d_given.is_empty(), "{}", off.name());
        assert!(!with.is_mixed(), "{}: nothing but the reward asks for anything", off.name());
    }
}

#[test]
fn one_key_of_a_nested_table_leaves_the_others_as_published() {
    let parse = |text: &str| match toml::from_str(text).unwrap() {
        MethodConfig::SkillSd(skill_sd) => skill_sd.grpo,
        other => panic!("{other:?}"),
    };
    let (published, sdar) = (SkillSd::default().grpo, Grpo::default());
    assert_eq!((published.kl_coef, published.entropy_coef, published.dual_clip), (0.0, 0.0, 0.0));
    assert_eq!(published.advantage, AdvantageOver::Trajectories);
    assert_eq!(parse("[skill-sd.grpo]\nclip_low = 0.1"), Grpo { clip_low: 0.1, ..published.clone() });
    assert_eq!(parse("[skill-sd]\nvariant = 'sdar'"), sdar);
    assert_eq!(parse("[skill-sd]\nvariant = 'sdar'\n[skill-sd.grpo]\nkl_coef = 0"), Grpo { kl_coef: 0.0, ..sdar });
    let whole = MethodConfig::SkillSd(SkillSd::default());
    assert_eq!(toml::from_str::<MethodConfig>(&toml::to_string(&whole).unwrap()).unwrap(), whole);
    assert_eq!(parse("[skill-sd.grpo]\nvariant = 'paper'").aggregation, Aggregation::SeqMeanTokenMean);
}

#[test]
fn one_key_of_a_nested_table_leaves_the_methods_own_defaults() {
    for name in ["sod", "atod", "craft", "gen-evolve"] {
        let text = |key: &str| format!("[{name}.grpo]\n{key}");
        let [none, one] = ["", "clip_low = 0.1"].map(|key| toml::from_str::<MethodConfig>(&text(key)).unwrap());
        let grpo = |config: &MethodConfig| match config {
            MethodConfig::Sod(sod) => sod.grpo.clone(),
            MethodConfig::Atod(atod) => atod.grpo.clone(),
            MethodConfig::Craft(craft) => craft.grpo.clone(),
            MethodConfig::GenEvolve(gen_evolve) => gen_evolve.grpo.clone(),
            other => panic!("{other:?}"),
        };
        let own = MethodConfig::all().into_iter().find(|method| method.name() == name).unwrap();
        assert_eq!(grpo(&none), grpo(&own), "{name}");
        assert_eq!(grpo(&one), Grpo { clip_low: 0.1, ..grpo(&own) }, "{name}");
        assert_ne!(grpo(&own), Grpo::default(), "{name}: this says nothing");
    }
}

#[test]
fn the_algorithm_of_opsd_is_k1_to_the_reference() {
    let MethodConfig::Opsd(opsd) = toml::from_str("[opsd]\nvariant = 'algorithm'").unwrap() else { panic!("no opsd") };
    let needs = opsd.needs();
    assert!(needs.reference && needs.teacher.is_none() && needs.top.k == 0);
    let tokens = Tokens { teacher: None, reference: Some(&TEACHER), ..batch(&[0.0; 7]) };
    let plan = opsd.token_loss(&tokens);
    // the mean gap of the two is 0.5 / 7, and log pi - log pi_ref its opposite
    close(plan.value, -0.01 * 0.5 / 7.0, 1e-9);
    assert!(plan.d_logp.iter().all(|d| (f64::from(*d) - 0.01 / 7.0).abs() < 1e-9), "{:?}", plan.d_logp);
}

/// The core of the family says of every part whether it was read.
#[test]
fn provenance_is_said() {
    let core = ["grpo", "gigpo", "opd", "sdar", "skill-sd", "opsd", "grpo-opsd", "skill-grpo", "rlsd", "skillrl"];
    for info in METHODS.iter().filter(|info| core.contains(&info.name)) {
        assert!(info.provenance.contains("READ"), "{}", info.name);
    }
    let of = |name| METHODS.iter().find(|info| info.name == name).unwrap().provenance;
    for (name, part) in [
        ("sdar", "how they are gated and estimated is INFERRED"),
        ("skill-sd", "clip_high 0.28 is ours"),
        ("grpo-opsd", "advantage, the meaningful form, INFERRED"),
        ("opd", "is INFERRED"),
    ] {
        assert!(of(name).contains(part), "{name}");
    }
}

#[test]
fn the_rewards_part_of_a_plan_is_its_grpo() {
    let tokens = Tokens { reference: Some(&TEACHER), ..batch(&[0.8, 0.8, 0.8, 0.8, -1.1, -1.1, -1.1]) };
    let skill_sd = SkillSd::default();
    let (plan, grpo) = (skill_sd.token_loss(&tokens), skill_sd.grpo.token_loss(&tokens));
    assert!(plan.is_mixed() && !grpo.is_mixed());
    assert_eq!(plan.reward.unwrap().d_logp, grpo.d_logp);
    assert_ne!(plan.d_logp, grpo.d_logp);
}

#[test]
fn preferring_is_logistic() {
    close(preference(0.0, 0.1).value, 2f64.ln(), 1e-12);
    close(preference(0.0, 0.1).slope, -0.05, 1e-12);
    assert!(preference(1e4, 1.0).value == 0.0 && preference(-1e4, 1.0).value == 1e4);
    let numeric = (preference(0.7 + H, 0.5).value - preference(0.7 - H, 0.5).value) / (2.0 * H);
    close(preference(0.7, 0.5).slope, numeric, 1e-8);
}
