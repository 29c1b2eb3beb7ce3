use super::distil;
use crate::core::{Ending, Episode, EpisodeId, Stop, Task as Game, Turn};
use crate::skill::draft::{Draft, Form, Job, Task};

const ROOM: &str =
    "You are in the middle of a room. You see a cabinet 1, a cabinet 2, a countertop 1, and a sinkbasin 1.";

/// Actions and what was said to them.
fn episode(goal: &str, won: bool, turns: &[(&str, &str)]) -> Episode {
    let before = |i: usize| if i == 0 { ROOM } else { turns[i - 1].1 };
    let turn = |(i, (action, _)): (usize, &(&str, &str))| Turn {
        observation: before(i).into(),
        reply: String::new(),
        action: (*action).into(),
        valid: !action.is_empty(),
        reward: 0.0,
        tokens: 1,
        stop: Stop::Closed,
    };
    Episode {
        id: EpisodeId { step: 1, group: 0, member: 0 },
        task: Game { id: "household/train/1".into(), kind: "pick_clean_then_place".into(), goal: goal.into() },
        turns: turns.iter().enumerate().map(turn).collect(),
        last_observation: turns.last().unwrap().1.into(),
        ending: if won { Ending::Won } else { Ending::TurnLimit },
        reward: 0.0,
        score: f32::from(u8::from(won)),
        advantage: None,
        prompt: String::new(),
        teacher_prompt: String::new(),
        skills: vec![],
    }
}

fn cleaned() -> Episode {
    episode(
        "put a clean mug in cabinet.",
        true,
        &[
            ("go to cabinet 1", "You arrive at cabinet 1. The cabinet 1 is closed."),
            ("open cabinet 1", "You open the cabinet 1. In it, you see nothing."),
            ("dance", "Nothing happens."),
            ("go to cabinet 2", "You arrive at cabinet 2. In it, you see a plate 1."),
            ("go to countertop 1", "You arrive at countertop 1. On the countertop 1, you see a mug 1, and a pan 1."),
            ("take mug 1 from countertop 1", "You pick up the mug 1 from the countertop 1."),
            ("go to sinkbasin 1", "You arrive at sinkbasin 1. On the sinkbasin 1, you see nothing."),
            ("clean mug 1 with sinkbasin 1", "You clean the mug 1 using the sinkbasin 1."),
            ("go to cabinet 1", "You arrive at cabinet 1. In it, you see nothing"),
            ("move mug 1 to cabinet 1", "You move the mug 1 to the cabinet 1."),
        ],
    )
}

fn of(task: Task, episodes: Vec<Episode>, form: Form) -> Vec<Draft> {
    distil(&Job { task, episodes }, form)
}

fn texts(drafts: &[Draft]) -> Vec<&str> {
    drafts.iter().map(|draft| draft.text.as_str()).collect()
}

#[test]
fn a_success_becomes_sentences_about_tools_and_places() {
    let drafts = of(Task::Episode, vec![cleaned()], Form::Lessons);
    assert_eq!(
        texts(&drafts),
        [
            "A mug is often on a countertop.",
            "To clean an object, hold it and use the sinkbasin.",
            "Do not put the object down before it is cleaned."
        ]
    );
    assert_eq!((drafts[0].category.as_str(), drafts[0].keywords.as_slice()), ("where", &["mug".to_owned()][..]));
    assert_eq!(drafts[1].keywords, ["clean"]);
}

#[test]
fn a_workflow_holds_what_was_needed_in_placeholders() {
    let drafts = of(Task::Episode, vec![cleaned()], Form::Workflow);
    let analyses = &drafts[0].analyses;
    assert_eq!(
        analyses.golden_workflow,
        "1. open <target> 2. go to <countertop> 3. take <object> from <countertop> 4. go to <sinkbasin> \
         5. clean <object> with <sinkbasin> 6. go to <target> 7. move <object> to <target>"
    );
    assert!(analyses.success_analysis.contains("of 10 actions 7 were needed"), "{analyses:?}");
    assert_eq!(analyses.mistake_analysis, "Of the actions, 1 changed nothing.");
    assert_eq!(drafts[0].keywords, ["pick clean then place"]);
    assert_eq!(drafts, of(Task::Episode, vec![cleaned()], Form::Workflow), "always the same");
}

#[test]
fn a_failure_tells_its_mistakes() {
    let lost = episode(
        "put a clean mug in cabinet.",
        false,
        &[
            ("go to cabinet 1", "You arrive at cabinet 1. The cabinet 1 is closed."),
            ("go to countertop 1", "You arrive at countertop 1. On the countertop 1, you see a mug 1."),
            ("go to cabinet 1", "You arrive at cabinet 1. The cabinet 1 is closed."),
            ("fly", "Nothing happens."),
            ("fly", "Nothing happens."),
            ("", "Nothing happens."),
        ],
    );
    let drafts = of(Task::Episode, vec![lost.clone()], Form::Lessons);
    assert_eq!(
        texts(&drafts),
        [
            "Do not repeat an action that changed nothing.",
            "Do not go back to a place you have searched.",
            "Do not take back what you have just done.",
            "Take the object as soon as you see it.",
            "Open a closed receptacle before you leave it.",
            "Keep to the form in which you are asked to answer."
        ]
    );
    assert!(drafts.iter().all(|draft| draft.category == "mistakes" && draft.keywords.is_empty()));
    let category = of(Task::Category, vec![lost.clone(), lost.clone()], Form::Workflow);
    assert_eq!(category.len(), 3, "SkillRL's limit");
    let workflow = &of(Task::Episode, vec![lost], Form::Workflow)[0].analyses;
    assert!(workflow.golden_workflow.is_empty(), "{workflow:?}");
    assert!(workflow.mistake_analysis.contains("2 changed nothing"), "{workflow:?}");
}

#[test]
fn a_contrast_says_where_two_attempts_part() {
    let (won, mut lost) = (cleaned(), cleaned());
    lost.turns[4].action = "go to sinkbasin 1".into();
    let drafts = of(Task::Contrast, vec![won.clone(), lost], Form::Lessons);
    assert_eq!(
        texts(&drafts),
        ["After `go to cabinet 2`, `go to <countertop>` went well and `go to <sinkbasin>` did not."]
    );
    assert!(of(Task::Contrast, vec![won.clone(), won], Form::Lessons).is_empty(), "they part nowhere");
}

#[test]
fn a_ranking_says_what_did_better_than_what() {
    let shown = "The series so far, 3 values: 1, 2, 3";
    let run = |action: &str| episode("Forecast the next 6 values.", true, &[(action, shown)]);
    let all = ["submit window 4", "submit mean", "submit window 8", "submit mean"].map(run).to_vec();
    let drafts = of(Task::Ranking, all, Form::Lessons);
    // numbers an agent chose stay; what did the same is told once
    assert_eq!(texts(&drafts), ["`submit window 4` did better than `submit mean`, `submit window 8`."]);
    assert!(of(Task::Ranking, vec![run("submit mean"), run("submit mean")], Form::Lessons).is_empty());
    // what the environment named is an instance
    let (won, mut lost) = (cleaned(), cleaned());
    lost.turns.last_mut().unwrap().action = "go to sinkbasin 1".into();
    let text = texts(&of(Task::Ranking, vec![won, lost], Form::Lessons)).concat();
    assert!(text.contains("did better than") && !text.contains(" 1"), "{text}");
}

#[test]
fn where_actions_name_no_things_loops_are_cut() {
    let mut won =
        episode("push the box", true, &[("up", "B"), ("down", "A"), ("up", "B"), ("left", "C"), ("left", "C")]);
    won.turns[0].observation = "A".into();
    let drafts = of(Task::Episode, vec![won], Form::Lessons);
    assert_eq!(drafts[0].analyses.golden_workflow, "1. up 2. left");
}

#[test]
fn two_of_a_kind_are_placed_one_by_one() {
    let won = episode(
        "put two mug in cabinet.",
        true,
        &[
            ("take mug 1 from countertop 1", "You pick up the mug 1."),
            ("move mug 1 to cabinet 1", "You move the mug 1."),
            ("go to countertop 1", "On the countertop 1, you see a mug 2."),
            ("take mug 2 from countertop 1", "You pick up the mug 2."),
            ("move mug 2 to cabinet 1", "You move the mug 2."),
        ],
    );
    let drafts = of(Task::Episode, vec![won], Form::Lessons);
    assert!(texts(&drafts).contains(&"Place the first object, then look for the second."), "{drafts:?}");
}

#[test]
fn nothing_comes_of_nothing() {
    let mut empty = cleaned();
    empty.turns.clear();
    for form in [Form::Lessons, Form::Workflow] {
        assert!(of(Task::Episode, vec![empty.clone()], form).is_empty());
        assert!(of(Task::Contrast, vec![empty.clone()], form).is_empty());
    }
}
