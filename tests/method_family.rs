//! The family beyond SDAR: derivatives of every method, what each is with its switches off, and the facts its docs claim.

use std::ops::Range;

use sdlab::core::{Role, View};
use sdlab::method::estimator::{Sampled, TokenAt};
use sdlab::method::schedule::Schedule;
use sdlab::method::view::{Given, Top};
use sdlab::method::{
    Atod, Craft, GenEvolve, Gigpo, Grpo, HandOff, Hdpo, HintSd, Method, MethodConfig, Paw, Plan, Rlsd, RowFacts, Sdpo,
    Sgcd, Sod, Solar, SparseToDense, Tokens, Triage, TurnFacts, Ucob,
};

const N: usize = 16;
const K: usize = 3;

/// Four own rows of one group, two turns of two tokens in each of the first two, and two extra rows.
#[derive(Clone, Debug)]
struct Batch {
    rows: Vec<Range<usize>>,
    facts: Vec<RowFacts>,
    student: Vec<f32>,
    entropy: Vec<f32>,
    old: Vec<f32>,
    teacher: Vec<f32>,
    reference: Vec<f32>,
    ids: Vec<u32>,
    top_student: Vec<f32>,
    top_teacher: Vec<f32>,
    given_rows: Vec<Range<usize>>,
    given: Vec<f32>,
}

/// A number in [0, 1) that looks random.
fn noise(seed: usize) -> f32 {
    let x = (seed as f64 * 12.9898).sin() * 43_758.545_3;
    (x - x.floor()) as f32
}

fn batch(seed: usize) -> Batch {
    let number = |i: usize, low: f32, high: f32| low + (high - low) * noise(seed * 1009 + i);
    let student: Vec<f32> = (0..N).map(|i| number(i, -2.5, -0.4)).collect();
    let near = |salt: usize, by: f32| -> Vec<f32> {
        student.iter().enumerate().map(|(i, lp)| lp + number(100 * salt + i, -by, by)).collect()
    };
    let rows = vec![0..4, 4..8, 8..10, 10..12, 12..14, 14..16];
    let turn = |index: usize, tokens: Range<usize>| TurnFacts {
        index: index as u32,
        tokens,
        anchor: 7 + index as u64,
        reward: if index == 1 { 1.0 } else { 0.0 },
        valid: true,
        role: Some([Role::Decisive, Role::Exploration, Role::NoProgress, Role::Regression][index % 4]),
        chosen: index == 1,
        ..TurnFacts::default()
    };
    let facts = rows.iter().enumerate().map(|(member, row)| RowFacts {
        member,
        episode_return: if member == 0 { 10.0 } else { member as f64 * 0.1 },
        won: member == 0,
        score: f64::from(u8::from(member == 0)),
        taught: true,
        extra: member >= 4,
        view: if member % 2 == 1 { View::Skilled } else { View::Plain },
        turns: if row.len() == 4 {
            vec![turn(0, row.start..row.start + 2), turn(1, row.start + 2..row.end)]
        } else {
            vec![turn(1, row.clone())]
        },
        ..RowFacts::default()
    });
    Batch {
        facts: facts.collect(),
        entropy: (0..N).map(|i| number(700 + i, 0.1, 1.5)).collect(),
        old: near(2, 0.1),
        teacher: near(3, 0.8),
        reference: near(4, 0.5),
        ids: (0..N * K).map(|i| i as u32).collect(),
        top_student: (0..N * K).map(|i| number(1500 + i, -3.0, -1.3)).collect(),
        top_teacher: (0..N * K).map(|i| number(1800 + i, -3.0, -1.3)).collect(),
        given_rows: vec![0..2, 2..4, 4..4, 4..5, 5..5, 5..5],
        given: (0..5).map(|i| number(2500 + i, -3.0, -0.3)).collect(),
        rows,
        student,
    }
}

impl Batch {
    fn step(&self) -> Tokens<'_> {
        let top = Top { k: K, ids: &self.ids, student: &self.top_student, teacher: &self.top_teacher };
        let given = Given { rows: &self.given_rows, turn: &[0, 0, 1, 1, 0], student: &self.given };
        Tokens {
            step: 3,
            rows: &self.rows,
            facts: &self.facts,
            student: &self.student,
            entropy: &self.entropy,
            old: &self.old,
            teacher: Some(&self.teacher),
            teacher_entropy: Some(&self.entropy),
            reference: Some(&self.reference),
            top: Some(top),
            given: Some(given),
            ..Tokens::default()
        }
    }

    /// The plan on credit that `credited` gave.
    fn plan(&self, method: &dyn Method, credited: &Batch) -> Plan {
        let step = Tokens { student: &[], given: None, ..credited.step() };
        let credit = method.credit(&step);
        let weight = (!credit.weight.is_empty()).then_some(&credit.weight[..]);
        method.token_loss(&Tokens { advantage: &credit.advantage, weight, ..self.step() })
    }
}

type Input = fn(&mut Batch) -> &mut Vec<f32>;

/// Central difference of the loss by one input, the credit held.
fn slope(method: &dyn Method, batch: &Batch, input: Input, at: usize) -> f64 {
    let moved = |by: f32| {
        let mut moved = batch.clone();
        let number = &mut input(&mut moved)[at];
        *number += by;
        let number = f64::from(*number);
        (number, moved.plan(method, batch).value)
    };
    let ((low, below), (high, above)) = (moved(-1e-3), moved(1e-3));
    (above - below) / (high - low)
}

/// Every method; those whose detached weights depend on the student with that dependence off.
fn all() -> Vec<Box<dyn Method>> {
    let attached = |config: MethodConfig| -> Box<dyn Method> {
        match config {
            MethodConfig::Sdpo(sdpo) => Box::new(Sdpo { ratio_cap: 0.0, ..sdpo }),
            MethodConfig::Ucob(ucob) => Box::new(Ucob { beta: 0.0, ..ucob }),
            MethodConfig::Sdar(sdar) => Box::new(sdlab::method::Sdar { detach_gate: false, ..sdar }),
            other => other.build(),
        }
    };
    let variants = ["objective = 'fkl'", "objective = 'jsd'\ngate = 'soft-or'"]
        .map(|keys| format!("[sdar]\ndetach_gate = false\n{keys}"))
        .into_iter()
        .chain(["[opsd]\nvariant = 'algorithm'", "[skill-sd]\nvariant = 'sdar'"].map(String::from))
        .map(|text| toml::from_str::<MethodConfig>(&text).unwrap().build());
    MethodConfig::all().into_iter().map(attached).chain(variants).collect()
}

#[test]
fn derivatives_are_those_of_the_value() {
    type Derivative = fn(&Plan) -> &Vec<f32>;
    let inputs: [(&str, Input, Derivative); 4] = [
        ("student", |b| &mut b.student, |p| &p.d_logp),
        ("entropy", |b| &mut b.entropy, |p| &p.d_entropy),
        ("top", |b| &mut b.top_student, |p| &p.d_top),
        ("given", |b| &mut b.given, |p| &p.d_given),
    ];
    for method in all() {
        for seed in 1..4 {
            let batch = batch(seed);
            let plan = batch.plan(&*method, &batch);
            assert!(plan.value.is_finite());
            for (name, input, claimed) in &inputs {
                for at in 0..input(&mut batch.clone()).len() {
                    // an advantage form's value is not what its slope differentiates
                    let detached = ["opd", "grpo-opsd"].contains(&method.name());
                    let claimed = f64::from(claimed(&plan).get(at).copied().unwrap_or(0.0));
                    let numeric = slope(&*method, &batch, *input, at);
                    let close = (numeric - claimed).abs() < 3e-4 + 3e-3 * claimed.abs();
                    assert!(close || detached, "{} {name}[{at}]: {numeric} but {claimed}", method.name());
                }
            }
        }
    }
}

#[test]
fn losses_of_tokens_add_up_to_the_value() {
    for method in all().into_iter().filter(|m| m.name() != "paw") {
        let batch = batch(5);
        let plan = batch.plan(&*method, &batch);
        let sum: f64 = plan.loss.iter().map(|&loss| f64::from(loss)).sum();
        assert!((sum - plan.value).abs() < 1e-5, "{}: {sum} {}", method.name(), plan.value);
    }
}

#[test]
fn with_every_switch_off_it_is_its_backbone_bit_for_bit() {
    let mut own = batch(2);
    own.facts.iter_mut().for_each(|row| row.extra = false);
    let grpo = |grpo: &Grpo| -> Box<dyn Method> { Box::new(grpo.clone()) };
    let gigpo = |gigpo: &Gigpo| -> Box<dyn Method> { Box::new(gigpo.clone()) };
    let sod = Sod { coef: 0.0, ..Sod::default() };
    let atod = Atod { distil: Schedule::from(0.0), reward: Schedule::from(1.0), ..Atod::default() };
    let craft = Craft { credit: [0.0; 2], kl: [0.0; 2], ..Craft::default() };
    let sgcd = Sgcd { gamma: 0.0, ..Sgcd::default() };
    let triage = Triage { weight: 0.0, whiten: false, ..Triage::default() };
    let evolve = GenEvolve { coef: 0.0, ..GenEvolve::default() };
    let hdpo = Hdpo { coef: 0.0, ..Hdpo::default() };
    let paw = Paw { coef: 0.0, ..Paw::default() };
    let ucob = Ucob { coef: 0.0, ..Ucob::default() };
    let plain_paw = Paw { gigpo: Gigpo { step_weight: 0.0, normalise: true, ..Gigpo::default() }, ..paw.clone() };
    let rlsd = Rlsd { share: Schedule::from(0.0), ..Rlsd::default() };
    let pairs: [(&dyn Method, Box<dyn Method>); 11] = [
        (&rlsd, grpo(&rlsd.grpo)),
        (&sod, grpo(&sod.grpo)),
        (&atod, grpo(&atod.grpo)),
        (&craft, grpo(&craft.grpo)),
        (&sgcd, grpo(&sgcd.grpo)),
        (&triage, grpo(&triage.grpo)),
        (&evolve, grpo(&evolve.grpo)),
        (&hdpo, grpo(&hdpo.grpo)),
        (&paw, gigpo(&paw.gigpo)),
        (&plain_paw, grpo(&plain_paw.gigpo.grpo)),
        (&ucob, gigpo(&ucob.gigpo)),
    ];
    for (off, backbone) in &pairs {
        let (a, b) = (own.plan(*off, &own), own.plan(&**backbone, &own));
        assert_eq!(a.value.to_bits(), b.value.to_bits(), "{}", off.name());
        let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same(&a.d_logp, &b.d_logp) && same(&a.d_entropy, &b.d_entropy), "{}", off.name());
        assert!(a.d_top.is_empty() && a.d_given.is_empty(), "{}", off.name());
    }
}

#[test]
fn extra_rows_change_no_advantage_of_the_group() {
    let with = batch(3);
    let mut without = with.clone();
    without.rows.truncate(4);
    without.facts.truncate(4);
    for config in MethodConfig::all() {
        let method = config.build();
        if !matches!(method.name(), "grpo" | "gigpo" | "hdpo" | "ucob") {
            continue;
        }
        let step = |b: &Batch| method.credit(&Tokens { student: &[], ..b.step() }).advantage;
        assert_eq!(step(&with)[..12], step(&without)[..12], "{}", method.name());
        assert!(step(&with)[12..].iter().all(|a| *a == 0.0), "{}", method.name());
    }
}

#[test]
fn sod_with_one_turn_adds_the_whole_gap() {
    let batch = batch(4);
    let sod = Sod::default();
    let (with, base) = (sod.credit(&batch.step()), sod.grpo.credit(&batch.step()));
    // rows 2 and 3 have one turn
    for t in 8..12 {
        let gap = batch.teacher[t] - batch.old[t];
        assert!((with.advantage[t] - base.advantage[t] - gap).abs() < 1e-5);
        assert_eq!(with.weight[t], 1.0);
    }
}

#[test]
fn atod_weighs_flat_turns_by_three_quarters_and_anneals() {
    let batch = batch(4);
    let atod = Atod::default();
    let credit = |step: u64| atod.credit(&Tokens { step, ..batch.step() });
    assert!(credit(1).weight[8..12].iter().all(|w| *w == 0.75), "one turn is flat");
    let late = credit(1000);
    assert!((late.metrics["atod/distil"].0 - 0.1).abs() < 1e-12 && late.metrics["atod/reward"].0 == 2.0);
}

#[test]
fn sgcd_never_flips_a_sign_and_at_most_doubles() {
    let sgcd = Sgcd::default();
    let batch = batch(6);
    let (with, base) = (sgcd.credit(&batch.step()), sgcd.grpo.credit(&batch.step()));
    for (a, b) in with.advantage.iter().zip(&base.advantage) {
        assert!(a * b >= 0.0 && a.abs() >= b.abs() && a.abs() <= 2.0 * b.abs() + 1e-6);
    }
    // a spike opens a segment, a rise of entropy or a reset closes it
    let saliency = sgcd.segments(&[0.0, 1.0, 0.4, 0.3, 0.05, 0.6], &[0.1, 0.1, 0.2, 0.9, 0.1, 0.1]);
    assert_eq!(saliency, [0.0, 1.0, 1.0, 0.0, 0.0, 0.6]);
    assert_eq!(sgcd.segments(&[0.3; 3], &[0.1; 3]), [0.0; 3], "nothing stands out of a flat row");
}

#[test]
fn sgcd_looks_at_whole_rollouts_however_they_are_cut_into_rows() {
    let whole = batch(6);
    let mut cut = whole.clone();
    // the first two episodes' turns in rows of their own, as under the history layout
    cut.rows.splice(0..2, [0..2, 2..4, 4..6, 6..8]);
    let turns = whole.facts[..2].iter().flat_map(|facts| facts.turns.iter().map(move |turn| (facts, turn)));
    let pieces: Vec<RowFacts> =
        turns.map(|(facts, turn)| RowFacts { turns: vec![turn.clone()], ..facts.clone() }).collect();
    cut.facts.splice(0..2, pieces);
    let weight = |b: &Batch| Sgcd::default().credit(&b.step()).weight;
    assert_eq!(weight(&cut), weight(&whole));
    assert!(weight(&whole).iter().any(|w| *w > 1.0));
}

#[test]
fn sdpo_is_a_mean_over_the_rows_that_have_a_context() {
    let mut half = batch(11);
    half.teacher[4..].fill(f32::NAN);
    let mut alone = half.clone();
    alone.rows.truncate(1);
    for sdpo in [Sdpo::default(), Sdpo { top: 0, ..Sdpo::default() }] {
        let (a, b) = (half.plan(&sdpo, &half), alone.plan(&sdpo, &alone));
        assert!(a.value != 0.0 && (a.value - b.value).abs() < 1e-9, "{} {}", a.value, b.value);
    }
}

#[test]
fn gen_evolves_k3_is_bounded_and_hint_sd_leaves_out_what_nobody_said() {
    let at = |lp_student: f64| TokenAt { lp_student, lp_here: lp_student, lp_old: -9.0, lp_teacher: -0.01 };
    let bounded = |lp: f64| Sampled::BoundedK3(2.0).at(at(lp));
    let numeric = (bounded(-8.9 + 1e-5).value - bounded(-8.9 - 1e-5).value) / 2e-5;
    assert!((bounded(-8.9).slope - numeric).abs() < 1e-5, "{numeric}");
    assert!((bounded(-8.9).value - 10.0 * 0.1f64.exp()).abs() < 1e-9);
    assert_eq!(bounded(-1.0), Sampled::RatioK3(2.0).at(at(-1.0)), "nothing changes below the bound");
    // tokens of a chosen turn whose feedback did not fit have no teacher
    let mut batch = batch(12);
    let with = batch.plan(&HintSd::default(), &batch);
    batch.teacher[6..8].fill(f32::NAN);
    let without = batch.plan(&HintSd::default(), &batch);
    assert!(with.d_top[6 * K..8 * K].iter().any(|d| *d != 0.0));
    assert!(without.d_top[6 * K..8 * K].iter().all(|d| *d == 0.0));
    let chosen = [8, 9, 10, 11, 12, 13, 14, 15].map(|t| without.loss[t]);
    assert!((chosen.iter().map(|l| f64::from(*l)).sum::<f64>() - without.value).abs() < 1e-6);
}

#[test]
fn ucob_teaches_only_where_the_other_view_was_too() {
    let batch = batch(7);
    let ucob = Ucob::default();
    let credit = ucob.credit(&batch.step());
    assert!(credit.weight[..12].iter().all(|w| *w == 0.0), "own rows are not distilled");
    // all turns of the group at anchor 8 have the same return to go, so none leads
    assert!(credit.weight.iter().all(|w| *w == 0.0));
    let mut ahead = batch.clone();
    ahead.facts[4].turns[0].reward = 1.5;
    ahead.facts[0].turns[1].reward = 1.5; // its original
    let credit = ucob.credit(&ahead.step());
    assert!(credit.weight[12..14].iter().all(|w| *w == 2.0), "lead 0.5 / tau 0.2, bounded by 2: {:?}", credit.weight);
    let mut alone = ahead.clone();
    alone.facts.iter_mut().for_each(|row| row.view = View::Plain);
    assert!(ucob.credit(&alone.step()).weight.iter().all(|w| *w == 0.0));
}

#[test]
fn craft_adapts_its_weights_and_resumes() {
    let mut craft = Craft::default();
    assert_eq!(craft.weights(), (0.005, 0.005));
    for _ in 0..11 {
        craft.adapt(&[("craft/active", (30.0, 40.0))].into());
    }
    let (credit, kl) = craft.weights();
    assert!((credit - (0.005 + 0.015 * 0.75)).abs() < 1e-9 && (kl - (0.005 + 0.015 * 0.25)).abs() < 1e-9);
    let mut again = Craft::default();
    again.resume(&craft.state());
    assert_eq!(again, craft);
}

#[test]
fn triage_adds_its_constants() {
    let triage = Triage { whiten: false, ..Triage::default() };
    let batch = batch(8);
    let (with, base) = (triage.credit(&batch.step()), triage.grpo.credit(&batch.step()));
    let added: Vec<f32> = (0..4).map(|t| with.advantage[t] - base.advantage[t]).collect();
    assert!(added.iter().zip([0.2, 0.2, 0.1, 0.1]).all(|(a, b)| (a - b).abs() < 1e-6), "{added:?}");
    // one won episode of two turns, three lost ones of four
    assert_eq!(with.metrics["judge/won_decisive"], (1.0, 2.0));
    assert_eq!(with.metrics["judge/lost_exploration"], (3.0, 4.0));
    assert_eq!(with.metrics["judge/lost_regression"], (0.0, 4.0));
}

#[test]
fn paw_leaves_out_what_is_known_and_solved_groups() {
    let mut batch = batch(9);
    let paw = Paw { keep: 1.0, ..Paw::default() };
    batch.given[0] = -0.01;
    let plan = batch.plan(&paw, &batch);
    assert_eq!(plan.d_given[0], 0.0);
    assert!(plan.d_given[1] < 0.0, "predicting it better lowers the loss");
    batch.facts.iter_mut().for_each(|row| row.score = 1.0);
    assert!(batch.plan(&paw, &batch).d_given.is_empty(), "a solved group has nothing to learn about its world");
}

#[test]
fn solar_rewards_steps_up_to_the_first_failure() {
    let solar = Solar::default();
    let shaped = solar.shape(&[1.0, 0.8, 0.2, 1.0]);
    // target: (0.5 * 0.75 + 0.25 * 0.5 + 0) * 4
    assert!((shaped.iter().sum::<f64>() - 2.0).abs() < 1e-12, "{shaped:?}");
    assert!(shaped.len() == 3 && shaped[0] > shaped[1] && shaped[2] < 0.0);
    assert_eq!(solar.shape(&[0.25, 1.0, 1.0]), [-0.75], "a failure at the first step is no merit");
    let whole = solar.shape(&[1.0; 3]);
    assert!(whole.iter().all(|r| (r - 1.0).abs() < 1e-12), "{whole:?}");
}

#[test]
fn solar_leaves_what_lies_behind_a_failure_alone() {
    let mut batch = batch(13);
    for (row, validity) in [(0, [0.25, 1.0]), (1, [1.0, 1.0])] {
        for (turn, reward) in batch.facts[row].turns.iter_mut().zip(validity) {
            turn.reward = reward;
        }
    }
    let credit = Solar::default().credit(&batch.step());
    assert!(credit.advantage[..2].iter().all(|a| *a < 0.0), "the failure: {:?}", credit.advantage);
    assert_eq!(credit.advantage[2..4], [0.0, 0.0], "a good step behind it is neither praised nor blamed");
    assert!(credit.advantage[4..8].iter().all(|a| *a > 0.0));
}

#[test]
fn settings_out_of_range_are_refused() {
    for (text, part) in [
        ("craft.tau = 0", "use a finite number > 0"),
        ("craft.kl = [0.1, -0.1]", "use finite numbers >= 0"),
        ("ucob.tau = 0", "use a finite number > 0"),
        ("sgcd.cap = 0.5", "use a finite number >= 1"),
        ("solar.mix = [1, 1, nan]", "use finite numbers >= 0"),
    ] {
        let error = toml::from_str::<MethodConfig>(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

fn staged(text: &str) -> SparseToDense {
    let MethodConfig::SparseToDense(method) = toml::from_str(text).unwrap() else { panic!("not a list of stages") };
    method
}

#[test]
fn stages_follow_each_other() {
    let mut method = SparseToDense::default();
    let stages: Vec<(HandOff, usize)> = (1..=60).map(|step| (method.begin(step), method.at.stage)).collect();
    let at = |step: usize| stages[step - 1];
    assert_eq!((at(20).1, at(21)), (0, (HandOff::Restart, 1)));
    assert_eq!((at(30).1, at(31).1, at(41).1, at(60).1), (1, 2, 3, 3));
    assert_eq!(stages.iter().filter(|(then, _)| *then != HandOff::None).count(), 1);
}

#[test]
fn a_stage_ends_when_its_condition_holds_and_goes_on_after_a_resume() {
    let text = "
        [[sparse-to-dense.stages]]
        name = 'warm'
        until = { metric = 'success/mean', above = 0.5, for = 2 }
        then = 'teacher'
        method.craft = { warmup = 0 }
        [[sparse-to-dense.stages]]
        name = 'rest'
        method.sdar = { beta = 2 }
    ";
    let mut method = staged(text);
    assert_eq!(
        toml::from_str::<MethodConfig>(&toml::to_string(&MethodConfig::SparseToDense(method.clone())).unwrap())
            .unwrap(),
        MethodConfig::SparseToDense(method.clone())
    );
    let mut ended = None;
    for (step, success) in (1..).zip([0.9, 0.2, 0.6, 0.7, 0.1]) {
        if method.begin(step) == HandOff::Teacher {
            ended = Some(step);
        }
        method.adapt(&[("success/mean", (success * 8.0, 8.0)), ("craft/active", (1.0, 2.0))].into());
        let mut again = staged(text);
        again.resume(&method.state());
        assert_eq!(again, method, "step {step}");
    }
    assert_eq!((ended, method.at.stage), (Some(5), 1), "twice in a row above");
    for (bad, part) in [
        ("sparse-to-dense.stages = []", "at least one"),
        ("[[sparse-to-dense.stages]]\nname = 'a'\nmethod.sparse-to-dense = {}", "itself a list"),
        (
            "[[sparse-to-dense.stages]]\nname = 'a'\nmethod.grpo = {}\nuntil = { metric = 'x' }",
            "either `above` or `below`",
        ),
    ] {
        let error = toml::from_str::<MethodConfig>(bad).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
