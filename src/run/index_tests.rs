use super::*;
use crate::core::{Stop, TokenRecord, Turn};
use crate::run::{Recorder, RunFolder};

fn episode(step: u64, group: u32, member: u32, reward: f32) -> Episode {
    let turn = |n: u32| Turn {
        observation: "a \"quoted\" room 箱".into(),
        reply: format!("go {n}"),
        action: format!("go {n}"),
        valid: n != 1,
        reward: 0.0,
        tokens: 5 + n,
        stop: Stop::Closed,
    };
    Episode {
        id: EpisodeId { step, group, member },
        task: Task { id: format!("t/{group}"), kind: "pick".into(), goal: "put a mug".into() },
        turns: (0..3).map(turn).collect(),
        last_observation: String::new(),
        ending: Ending::Lost,
        reward,
        score: 0.0,
        advantage: Some(reward - 0.5),
        prompt: "long ".repeat(100),
        teacher_prompt: String::new(),
        skills: vec!["a".into(), "b".into()],
    }
}

fn token(group: u32, gap: f32, mask: bool) -> TokenRecord {
    TokenRecord {
        group,
        id: 1,
        mask,
        student: Some(-1.0),
        teacher: Some(gap - 1.0),
        gate: Some(0.5),
        ..TokenRecord::default()
    }
}

fn recorded(steps: &[u64]) -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(root.path(), "a").unwrap();
    let mut recorder = Recorder::create(&folder).unwrap();
    for step in steps {
        let episodes = [
            episode(*step, 0, 0, 1.0),
            episode(*step, 0, 1, 1.0),
            episode(*step, 1, 0, 0.0),
            episode(*step, 1, 1, 1.0),
        ];
        let tokens = [token(0, 0.25, true), token(0, -0.75, true), token(0, 9.0, false)];
        recorder.close_step(*step, &episodes, &tokens).unwrap();
    }
    (root, Store::new(&folder))
}

#[test]
fn rows_tell_what_the_episodes_are() {
    let (_root, store) = recorded(&[4]);
    let rows = store.rows(4, &mut Shared::default()).unwrap();
    let first = &rows[0];
    assert_eq!((first.turns, first.tokens, first.invalid), (3, 18, 1));
    assert_eq!((first.gap, first.gate, first.hot), (Some(-0.25), Some(0.5), Some(1)), "masked tokens do not count");
    assert_eq!((rows[2].gap, rows[2].hot), (None, None), "no tokens, no means");
    assert_eq!(rows.iter().map(|r| r.silent).collect::<Vec<_>>(), [true, true, false, false]);
    assert!(Arc::ptr_eq(&rows[0].task, &rows[1].task) && Arc::ptr_eq(&rows[0].skills, &rows[3].skills));
    assert_eq!(&*first.skills, ["a", "b"]);
    let mut of_memory = RolloutRow::of_step(&store.episodes(4).unwrap());
    for (own, read) in of_memory.iter_mut().zip(&rows) {
        (own.gap, own.gate, own.hot) = (read.gap, read.gate, read.hot);
    }
    assert_eq!(of_memory, rows);
    assert_eq!(store.rows(5, &mut Shared::default()).unwrap(), []);
}

#[test]
fn files_without_the_sums_are_counted_from_their_turns() {
    let json = r#"[{"observation":"","reply":"","action":"","valid":false,"reward":0,"tokens":7,"stop":"closed"}]"#;
    assert_eq!(counted(&[json.into(), "[]".into()]).unwrap(), [((1, 7), 1), ((0, 0), 0)]);
    assert!(counted(&["{".into()]).is_err());
}

#[test]
fn the_background_finds_every_step_and_later_ones_when_asked() {
    let (root, store) = recorded(&[1, 2, 3]);
    let indexer = Indexer::start(&store);
    let mut list = RowList::default();
    let wait_for = |steps: usize, list: &mut RowList| {
        let mut steps = steps;
        while steps > 0 {
            // blocks until the thread has something; an end of the thread would be an error here
            list.extend(vec![indexer.found.recv().unwrap()]);
            steps -= 1;
        }
    };
    wait_for(3, &mut list);
    assert_eq!(list.rows().len(), 12);
    let folder = RunFolder::open("a", root.path()).unwrap();
    Recorder::open(&folder).unwrap().close_step(9, &[episode(9, 0, 0, 0.0)], &[]).unwrap();
    indexer.look_again();
    wait_for(1, &mut list);
    assert_eq!(list.rows().iter().map(|r| r.id.step).max(), Some(9));
    let before = list.version;
    list.extend(vec![StepRows { step: 2, rows: vec![], error: Some("damaged".into()) }]);
    assert_eq!((list.rows().len(), list.version, list.errors.len()), (9, before + 1, 1));
    assert!(list.rows().is_sorted_by_key(|r| r.id));
}
