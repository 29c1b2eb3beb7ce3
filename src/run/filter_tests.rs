use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::core::{EpisodeId, Task};

fn row(step: u64, reward: f32, goal: &str) -> RolloutRow {
    RolloutRow {
        id: EpisodeId { step, group: 2, member: 0 },
        task: Arc::new(Task { id: "household/train/7".into(), kind: "pick_clean".into(), goal: goal.into() }),
        skills: Arc::from(["clean-1".to_owned()]),
        reward,
        score: 0.5,
        advantage: None,
        gap: Some(-0.25),
        gate: Some(0.1),
        hot: Some(3),
        turns: 9,
        tokens: 120,
        invalid: 0,
        ending: Ending::TurnLimit,
        silent: true,
    }
}

fn passes(filter: &str) -> bool {
    Filter::parse(filter).unwrap_or_else(|e| panic!("`{filter}`: {e}")).passes(&row(3, 0.1, "Clean a mug. 箱"))
}

#[test]
fn every_construct_means_what_the_help_says() {
    let yes = [
        "",
        "reward>0 & step<10 & task~clean & !invalid",
        "reward=0.1",
        "reward<=0.1 reward>=0.1",
        "r>0 step==3",
        "group=3 member=1",
        "goal~MUG",
        "goal~箱",
        "\"a mug\"",
        "kind=pick_clean",
        "id~train/7",
        "skill~clean-1",
        "ending=turn-limit & cut",
        "nosignal or won",
        "not won and (won | hot)",
        "hot>2",
        "gap<-0.2",
        "!(advantage>0)",
        "!(advantage<=0)",
        "goal!~fridge && kind!='pick'",
    ];
    for filter in yes {
        assert!(passes(filter), "`{filter}`");
    }
    let no =
        ["reward>0.1", "reward<0.1", "invalid", "advantage!=0", "won", "error", "goal=mug", "skill=clean", "turns>9"];
    for filter in no {
        assert!(!passes(filter), "`{filter}`");
    }
}

#[test]
fn and_binds_tighter_than_or() {
    assert!(passes("won & won | cut"));
    assert!(!passes("won & (won | cut)"));
}

#[test]
fn what_is_wrong_is_told_with_its_column() {
    let cases = [
        ("rewrd>0", "column 1: `rewrd` is no field, did you mean `reward`?; quote it to find it in the task"),
        ("won & reward", "column 7: `reward` needs a comparison, e.g. `reward>0`"),
        ("reward>x", "column 8: `x` is not a number"),
        ("reward>", "column 8: `reward>` needs a value behind it"),
        ("won & (cut", "column 7: this bracket is never closed, add `)`"),
        ("won)", "column 4: `)` closes nothing, remove it"),
        ("goal>3", "column 5: `goal` is a text, compare it with = != ~ !~"),
        ("step~3", "column 5: `step` is a number, compare it with = != < <= > >="),
        ("won=1", "column 4: `won` stands alone: write `won` or `!won`"),
        ("goal~\"x", "column 6: no closing \", add it"),
        ("won &", "column 6: something is missing here, e.g. `reward>0`"),
        ("箱 & >3", "column 1: `箱` is no field; quote it to find it in the task"),
        ("won > 3 & =", "column 5: `won` stands alone: write `won` or `!won`"),
        ("= 3", "column 1: `=` needs something before it, e.g. `reward>0`"),
        ("reward>nan", "column 8: `nan` is not a number"),
    ];
    for (filter, expected) in cases {
        assert_eq!(Filter::parse(filter).expect_err(filter).to_string(), expected, "`{filter}`");
    }
    assert!(Filter::parse(&"(".repeat(9999)).is_err());
    assert!(Filter::parse(&"!".repeat(9999)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn nothing_typed_panics(text in "[a-z0-9&|()!=<>~\"' 箱.-]{0,40}") {
        if let Ok(filter) = Filter::parse(&text) {
            filter.passes(&row(1, 0.0, &text));
        }
    }

    #[test]
    fn negation_swaps_every_verdict(reward in -2.0f32..2.0, limit in -2.0f32..2.0) {
        let row = row(1, reward, "x");
        let verdict = |text: String| Filter::parse(&text).unwrap().passes(&row);
        prop_assert_ne!(verdict(format!("reward>{limit}")), verdict(format!("!reward>{limit}")));
        prop_assert_eq!(verdict(format!("!(reward>{limit})")), verdict(format!("reward<={limit}")));
    }
}
