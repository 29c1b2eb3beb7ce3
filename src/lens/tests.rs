use super::*;
use crate::core::{Ending, Episode, EpisodeId, Listed, Stop, Task, TokenRecord, Turn, View};
use crate::method::{Grpo, METHODS, MethodConfig, Sdar};

/// Two members of one group, two turns of `per_turn` tokens each; the first won.
fn step(per_turn: u32) -> (Vec<TokenRecord>, Vec<Episode>) {
    let mut tokens = Vec::new();
    for member in 0..2 {
        let mut position = 0;
        let mut push = |turn: u32, mask: bool| {
            let x = f64::from(position) * 0.7 + f64::from(member);
            let lp = -(0.1 + x.sin().abs() * 2.0) as f32;
            let on = |value: f32| mask.then_some(value);
            tokens.push(TokenRecord {
                group: 7,
                member,
                position,
                turn,
                id: position,
                mask,
                old: on(lp),
                student: on(lp - 0.05),
                teacher: on(lp + (x.cos() * 0.8) as f32),
                reference: on(lp),
                entropy: on(0.4),
                ..TokenRecord::default()
            });
            position += 1;
        };
        for turn in 0..2 {
            (0..3).for_each(|_| push(turn, false));
            (0..per_turn).for_each(|_| push(turn, true));
        }
    }
    (tokens, vec![episode(0, 10.0), episode(1, 0.0)])
}

fn episode(member: u32, reward: f32) -> Episode {
    let turn = |n: usize| Turn {
        observation: format!("room {n}"),
        reply: String::new(),
        action: String::new(),
        valid: member == 0 || n == 0,
        reward: if n == 1 { reward } else { 0.0 },
        tokens: 1,
        stop: Stop::Closed,
    };
    Episode {
        id: EpisodeId { step: 3, group: 7, member },
        task: Task { id: "t/train/0".into(), kind: "k".into(), goal: "g".into() },
        turns: (0..2).map(turn).collect(),
        last_observation: String::new(),
        ending: if reward > 0.0 { Ending::Won } else { Ending::Lost },
        reward,
        score: 0.0,
        advantage: None,
        prompt: String::new(),
        teacher_prompt: String::new(),
        skills: vec![],
    }
}

#[test]
fn records_become_rows_turns_and_facts() {
    let (tokens, episodes) = step(4);
    let recorded = Recorded::new(3, &tokens, &episodes, 0.1);
    let seen = recorded.tokens();
    assert_eq!((seen.len(), seen.rows), (16, &[0..8, 8..16][..]));
    assert_eq!(seen.facts[1].turns[1].tokens, 12..16);
    assert_eq!(seen.facts.iter().map(|f| (f.won, f.penalty)).collect::<Vec<_>>(), [(true, 0.0), (false, 0.1)]);
    assert_eq!(seen.facts[0].turns[1].reward, 10.0);
    assert_eq!(seen.facts[0].turns[0].anchor, seen.facts[1].turns[0].anchor);
    assert_eq!(recorded.places[0], 3);
    // one row per turn: positions begin again
    let mut turns = tokens[..14].to_vec();
    turns[7..].iter_mut().for_each(|token| token.position -= 7);
    assert_eq!(Recorded::new(3, &turns, &episodes, 0.1).tokens().rows, [0..4, 4..8]);
}

#[test]
fn a_lens_is_the_method_itself() {
    let (tokens, episodes) = step(4);
    let recorded = Recorded::new(3, &tokens, &episodes, 0.1);
    let lens = over(&recorded, &Sdar::default());
    assert_eq!((lens.method, lens.tokens.len()), ("sdar", 16));
    assert!(lens.missing.is_empty() && lens.notes.is_empty(), "{lens:?}");
    // returns 10 and -0.1, one row each: advantages are +-1/sqrt(2)
    assert!((lens.tokens[0].advantage - std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-5);
    let total: f64 = lens.tokens.iter().map(|t| f64::from(t.loss)).sum();
    assert!((total - lens.value).abs() < 1e-6, "{total} {}", lens.value);
    let gap = f64::from(tokens[3].teacher.unwrap() - tokens[3].student.unwrap());
    let gate = 1.0 / (1.0 + (-5.0 * gap).exp());
    assert!((f64::from(lens.tokens[0].weight.unwrap()) - gate).abs() < 1e-6);
    assert_eq!(over(&recorded, &Grpo::default()).tokens[0].weight, None);
}

#[test]
fn what_was_not_recorded_is_said() {
    let (mut tokens, episodes) = step(2);
    tokens.iter_mut().for_each(|token| (token.teacher, token.entropy) = (None, None));
    let recorded = Recorded::new(1, &tokens, &episodes, 0.0);
    let lens = over(&recorded, &Sdar::default());
    assert!(lens.missing[0].starts_with("teacher: "), "{:?}", lens.missing);
    assert_eq!(lens.notes, ["entropies were not recorded and are taken for 0"]);
    assert_eq!(lens.tokens, over(&recorded, &Grpo::default()).tokens, "what is left is GRPO");
    let mut ungrouped = Recorded::new(1, &tokens, &episodes, 0.0);
    ungrouped.grouped = false;
    let lens = over(&ungrouped, &Grpo::default());
    assert!(lens.missing[0].starts_with("groups: ") && lens.tokens.iter().all(|t| t.advantage == 0.0));
}

#[test]
fn another_teacher_is_named() {
    let (tokens, episodes) = step(2);
    let mut recorded = Recorded::new(1, &tokens, &episodes, 0.0);
    recorded.teacher_was = Sdar::default().needs().teacher;
    let opsd = MethodConfig::all().into_iter().find(|m| m.name() == "opsd").unwrap();
    let lens = over(&recorded, &*opsd.build());
    let expected =
        "the recorded teacher is `step-start` reading `skills`, the method's own would be `initial` reading `gold`";
    assert_eq!(lens.notes, [expected]);
    assert!(lens.missing[0].starts_with("top: "), "{:?}", lens.missing);
}

#[test]
fn disagreements_are_found_in_units_of_each_method() {
    let lens = |coefficients: &[f32]| Lens {
        tokens: coefficients.iter().map(|&coefficient| Seen { coefficient, ..Seen::default() }).collect(),
        ..Lens::default()
    };
    let found = disagreements(&[lens(&[1.0, 1.0, -1.0, 0.0]), lens(&[0.01, 0.01, 0.01, 0.0])], 9);
    assert_eq!(found.iter().map(|d| (d.token, d.opposed)).collect::<Vec<_>>(), [(2, true)]);
    assert!((found[0].distance - 2.309_401).abs() < 1e-5);
}

#[test]
fn listed_tokens_count_towards_the_sampled_one() {
    let (mut tokens, episodes) = step(2);
    for token in tokens.iter_mut().filter(|t| t.mask) {
        let listed = |id, student, teacher| Listed { id, student, teacher };
        token.top = vec![listed(999, -1.0, -2.0), listed(token.id, -0.7, -0.3)];
    }
    let recorded = Recorded::new(1, &tokens, &episodes, 0.0);
    let opsd = MethodConfig::all().into_iter().find(|m| m.name() == "opsd").unwrap();
    let lens = over(&recorded, &*opsd.build());
    assert!(lens.missing.is_empty() && lens.notes == ["2 tokens were listed per position, the method asks for 64"]);
    assert!(lens.tokens.iter().all(|t| t.coefficient < 0.0), "the teacher likes the sampled token more");
}

#[test]
fn every_method_sees_a_step_of_ten_thousand_tokens() {
    let (tokens, episodes) = step(2500);
    let mut recorded = Recorded::new(1, &tokens, &episodes, 0.0);
    recorded.teacher_was = Sdar::default().needs().teacher;
    assert_eq!(recorded.len(), 10_000);
    let lenses: Vec<Lens> = MethodConfig::all().iter().map(|config| over(&recorded, &*config.build())).collect();
    assert_eq!(lenses.len(), METHODS.len());
    for lens in &lenses {
        assert!(lens.tokens.iter().all(|t| t.coefficient.is_finite() && t.loss.is_finite()), "{}", lens.method);
    }
    assert_eq!(disagreements(&lenses, 5).len(), 5);
}

#[test]
fn skilled_rows_are_told_apart() {
    let (mut tokens, episodes) = step(2);
    let plain = MethodConfig::all().into_iter().find(|m| m.name() == "skill-grpo").unwrap().build();
    assert_eq!(over(&Recorded::new(1, &tokens, &episodes, 0.0), &*plain).notes.len(), 1);
    tokens.iter_mut().for_each(|token| token.view = View::Skilled);
    assert!(over(&Recorded::new(1, &tokens, &episodes, 0.0), &*plain).notes.is_empty());
}

#[test]
fn a_dump_of_sdar_is_read_and_its_faults_are_placed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("debug.jsonl");
    let line = |step: u64, traj: &str, turn: u32| {
        serde_json::json!({
            "global_step": step, "sample_idx": 0, "turn_step": turn, "traj_uid": traj, "episode_reward": 10.0,
            "episode_length": 2, "tokens": ["go", " on"], "token_ids": [5, 6], "gaps": [0.1, -0.2],
            "teacher_log_probs": [-0.2, -1.2], "student_log_probs": [-0.3, -1.0],
        })
        .to_string()
    };
    let text = [line(5, "b", 0), line(5, "a", 1), line(5, "a", 0), line(10, "a", 0)].join("\n");
    std::fs::write(&path, &text).unwrap();
    let steps = read_sdar_debug(&path).unwrap();
    assert_eq!(steps.keys().copied().collect::<Vec<_>>(), [5, 10]);
    let first = &steps[&5];
    assert_eq!(first.tokens.iter().map(|t| (t.group, t.turn)).collect::<Vec<_>>()[..3], [(0, 0), (0, 0), (0, 1)]);
    assert_eq!((first.texts[1].as_str(), first.recorded.len()), (" on", 6));
    let lens = over(&first.recorded, &Sdar::default());
    assert_eq!(lens.missing.len(), 2, "reference and groups: {:?}", lens.missing);
    assert!((lens.tokens[0].weight.unwrap() - 0.622_459).abs() < 1e-5);
    std::fs::write(&path, text + "\n{}").unwrap();
    let error = format!("{:#}", read_sdar_debug(&path).unwrap_err());
    assert!(
        error.contains("debug.jsonl:5: not a line of SDAR's debug dump") && error.contains("global_step"),
        "{error}"
    );
}
