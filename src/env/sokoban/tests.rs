use super::*;

fn level(lines: &[&str]) -> Arc<Level> {
    Arc::new(Level::parse(lines).unwrap())
}

fn settings(set: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    set(&mut settings);
    settings
}

#[test]
fn rewards_are_those_of_the_original() {
    let mut game = Sokoban::new(level(&["@$ .", "   "]), 9);
    let reward = |game: &mut Sokoban, action: &str| (game.step(action).reward * 10.0).round() / 10.0;
    assert_eq!(reward(&mut game, "right"), -0.1);
    assert_eq!(reward(&mut game, "still"), -0.1);
    assert_eq!(reward(&mut game, "jump"), -0.1);
    assert_eq!(reward(&mut game, "RIGHT"), 10.9);
    assert!(game.won && game.step("left").done);
    assert_eq!((game.moves, game.step("left").reward), (2, 0.0), "a game that is over stays as it is");
}

#[test]
fn a_box_that_begins_on_its_target_counts_with_the_first_move() {
    let mut game = Sokoban::new(level(&["@  *", "$ ."]), 9);
    let step = game.step("right");
    assert!((step.reward - 0.9).abs() < 1e-6 && step.score == 0.5 && !step.done);
    let text = game.observation().replace([' ', '\t'], "");
    assert!(text.contains("_P_√"), "{text}");
}

#[test]
fn moves_run_out_and_a_reply_may_hold_several() {
    let mut game = Sokoban::new(level(&["@   $ ."]), 3);
    let step = game.step("Right || sideways || Left || Right || Right");
    assert!((step.reward + 0.4).abs() < 1e-6, "three moves and one that is none: {}", step.reward);
    assert!(step.done && !step.won && !step.valid && step.effective);
    assert!(game.admissible().is_empty() && game.expert().is_empty());
}

#[test]
fn a_snapshot_is_independent() {
    let mut game = Sokoban::new(level(&["@$."]), 3);
    let copy = game.snapshot();
    game.step("right");
    assert!(game.won && copy.expert() == ["right"] && copy.observation() != game.observation());
}

#[test]
fn every_supply_deals_levels_that_the_expert_solves_at_once() {
    for generator in [Generator::Exact, Generator::Fast] {
        for (side, boxes) in [(6, 1), (7, 2), (8, 3), (10, 4)] {
            let settings = settings(|s| {
                (s.generator, s.height, s.width, s.boxes, s.max_moves) = (generator, side, side, boxes, 60);
            });
            let world = SokobanWorld::new(settings).unwrap();
            for (split, index) in [(Split::Train, 3), (Split::ValidSeen, 1), (Split::ValidUnseen, 1)] {
                let task = world.task(split, index).unwrap();
                assert_eq!(task.kind, format!("{boxes}_boxes"));
                let mut game = world.open(&task).unwrap();
                assert_eq!(game.observation(), world.open(&task).unwrap().observation());
                let plan = game.expert();
                let last = plan.iter().map(|a| game.step(a)).last().unwrap();
                assert!(last.won && last.score == 1.0, "{generator:?} {} {plan:?}", task.id);
            }
        }
    }
}

#[test]
fn fast_levels_keep_to_their_moves_and_are_not_all_easy() {
    let world = SokobanWorld::new(settings(|s| (s.generator, s.max_moves) = (Generator::Fast, 12))).unwrap();
    let length = |index: u64| world.open(&world.task(Split::Train, index).unwrap()).unwrap().expert().len();
    let lengths: Vec<usize> = (0..200).map(length).collect();
    assert!(lengths.iter().all(|n| (1..=12).contains(n)), "{lengths:?}");
    let mean = lengths.iter().sum::<usize>() as f64 / 200.0;
    assert!(mean > 4.0, "{mean}");
}

#[test]
fn hopeless_and_solved_boards_have_no_solution() {
    for lines in [&["$@ .", "   "][..], &["@*"], &["@ #$ .", "  # "]] {
        assert!(solver::solve(&Board::new(level(lines))).is_empty());
    }
    let plan = solver::solve(&Board::new(level(&["@  ", " $ ", "  ."])));
    assert_eq!(plan.len(), 5, "{plan:?}");
}

#[test]
fn files_are_read_by_split_and_errors_name_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let open = |path: &std::path::Path| SokobanWorld::new(settings(|s| s.levels = path.display().to_string()));
    write("a_train.txt", "; 0\n####\n#@$.\n####\n\n; 1\n@ $.\n");
    write("b_test.txt", "@  $.\n");
    write("readme.md", "not a level");
    let world = open(folder.path()).unwrap();
    let sizes = [Split::Train, Split::ValidSeen, Split::ValidUnseen].map(|s| world.size(s));
    assert_eq!(sizes, [2, 0, 1]);
    assert_eq!(world.open(&world.task(Split::Train, 1).unwrap()).unwrap().expert().len(), 2);
    let one = open(&folder.path().join("b_test.txt")).unwrap();
    assert_eq!(one.size(Split::ValidSeen), 1);
    write("c_valid.txt", "; 7\n@$.\n  ?\n");
    let error = format!("{:#}", open(folder.path()).err().unwrap());
    assert!(error.contains("c_valid.txt:2: level `; 7`: row 2, column 3: '?'"), "{error}");
    let error = format!("{:#}", open(&folder.path().join("none")).err().unwrap());
    assert!(error.contains("no such file"), "{error}");
}

#[test]
fn settings_out_of_range_are_refused() {
    for (set, expected) in [("boxes = 5", "1 to 4"), ("width = 3", "4 to 16"), ("colour = 1", "unknown field")] {
        let error = SokobanWorld::from_table(&set.parse().unwrap()).err().unwrap();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
}
