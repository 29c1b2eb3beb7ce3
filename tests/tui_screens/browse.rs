//! The list of all rollouts, its filter and search, comparison, lenses, the past of a task, skills.

use crossterm::event::{KeyCode, KeyEvent};
use sdlab::tui::Mode;
use sdlab::tui::app::App;
use sdlab::tui::keys::{Action, ScreenId};
use sdlab::tui::overlay::Overlay;

use super::fixture::{Fixture, STEPS, app, draw, fixture, settle, text};

const WIDE: (u16, u16) = (160, 45);

fn press(app: &mut App, feed: &mut Fixture, keys: &str) {
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            c => KeyCode::Char(c),
        };
        app.on_key(KeyEvent::from(code));
        settle(app, feed);
    }
}

fn shown(app: &mut App) -> String {
    text(&draw(app, WIDE))
}

#[test]
fn a_filter_narrows_the_run_and_the_selection_follows_the_list() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "2Fwon & step<5 & turns<=6\n");
    let state = &app.states.rollouts;
    let rows: Vec<_> = (0..state.shown.len()).filter_map(|at| state.row(at)).collect();
    let all = state.list.rows();
    let expected = all.iter().filter(|r| r.reward > 0.5 && r.id.step < 5 && r.turns <= 6).count();
    assert!(expected > 3 && rows.len() == expected, "{} of {}", rows.len(), all.len());
    assert!(rows.iter().all(|r| r.id.step < 5) && rows.is_sorted_by(|a, b| a.id.step >= b.id.step), "newest first");
    press(&mut app, &mut feed, "jj");
    let wanted = app.states.rollouts.row(2).map(|r| r.id);
    assert_eq!(app.episode().map(|e| e.id), wanted);
    assert_eq!(app.step(), wanted.map_or(0, |id| id.step), "all screens share the selection");
    let frame = shown(&mut app);
    assert!(frame.contains("filter won & step<5 & turns<=6"), "{frame}");
    // one layer at a time: the filter, the list, the screen
    press(&mut app, &mut feed, "\x1b");
    assert!(app.states.rollouts.whole && app.states.rollouts.shown.len() == all_rows());
    press(&mut app, &mut feed, "\x1b");
    assert!(!app.states.rollouts.whole && app.screen == ScreenId::Rollouts);
    press(&mut app, &mut feed, "\x1b");
    assert_eq!(app.screen, ScreenId::Dash);
}

fn all_rows() -> usize {
    STEPS as usize * 32
}

#[test]
fn a_wrong_filter_says_where_and_can_be_mended() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "2Fwon & rewrd>0\n");
    let frame = shown(&mut app);
    assert!(frame.contains("filter column 7: `rewrd` is no field, did you"), "{frame}");
    let Overlay::Line { text, .. } = &app.overlay else { panic!("the line is still there: {:?}", app.overlay) };
    assert_eq!(text, "won & rewrd>0");
    press(&mut app, &mut feed, "\x1b\x1bF?\n");
    assert!(shown(&mut app).contains("invalid"), "the words of the language");
}

#[test]
fn a_search_of_all_rollouts_leads_to_the_turn() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "2\\clean mug\n");
    settle(&mut app, &mut feed);
    let state = &app.states.rollouts;
    assert!(!state.shown.is_empty() && state.shown.len() < all_rows(), "{}", state.shown.len());
    press(&mut app, &mut feed, "j");
    let turn = app.chosen().2;
    let episode = app.episode().expect("a rollout is selected");
    assert!(episode.turns[turn].reply.contains("clean mug"), "{:?}", episode.turns[turn]);
    assert!(episode.turns[..turn].iter().all(|t| !t.reply.contains("clean mug")));
}

#[test]
fn marked_rollouts_are_compared_and_escape_leads_back() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "2 *");
    let marked = app.episode().map(|e| e.id);
    assert_eq!(app.states.rollouts.marks.last().copied(), marked);
    assert!(shown(&mut app).contains('☆'));
    press(&mut app, &mut feed, "JJd");
    settle(&mut app, &mut feed);
    let frame = shown(&mut app);
    assert!(frame.contains("DIFF") && frame.contains('≠') && frame.contains("first part at turn"), "{frame}");
    assert_eq!(app.states.rollouts.other.as_ref().map(|o| o.id), marked);
    press(&mut app, &mut feed, "\x1b");
    assert!(app.states.rollouts.other.is_none() && app.screen == ScreenId::Rollouts);
}

#[test]
fn turns_fold_one_by_one_by_role_and_show_exact_tokens() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "2ll");
    let open = |app: &mut App| shown(app).matches("▾ turn").count();
    assert_eq!(open(&mut app), 1);
    press(&mut app, &mut feed, ".");
    assert_eq!(open(&mut app), 0);
    press(&mut app, &mut feed, ".=,,");
    let frame = shown(&mut app);
    assert!(frame.contains("▾ turn") && !frame.contains("  env  "), "{frame}");
    press(&mut app, &mut feed, ",,mm");
    let frame = shown(&mut app);
    assert!(frame.contains("model") && frame.contains("░give") && frame.contains("<|im_end|>"), "{frame}");
    press(&mut app, &mut feed, "m");
    assert!(!app.raw && !app.states.rollouts.folds.exact);
}

#[test]
fn spans_add_up_and_lenses_stand_side_by_side() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "3wvlll");
    let from = app.token_at() - 3;
    let gaps: f32 = app.rollout_tokens()[from..from + 4].iter().filter_map(|t| t.gap()).sum();
    let frame = shown(&mut app);
    assert!(frame.contains("span") && frame.contains(&format!("{gaps:+.3} nats")), "{gaps}: {frame}");
    press(&mut app, &mut feed, "\x1bVBB");
    let frame = shown(&mut app);
    assert!(frame.contains(" over ") && frame.contains("rms of step 1"), "{frame}");
    let lenses = &app.states.tokens.lenses;
    let (first, second) = (lenses.first.expect("chosen"), lenses.second.expect("chosen"));
    let start = app.data.token_start(app.episode().expect("selected"));
    assert!(
        lenses.push(first, start + app.token_at()).is_some() && lenses.push(second, start + app.token_at()).is_some()
    );
    app.update(Action::Command);
    press(&mut app, &mut feed, "lens nothing\n");
    assert!(app.notice.as_ref().is_some_and(|(text, _)| text.contains("no method is called `nothing`")));
}

#[test]
fn every_channel_has_a_scale_and_a_sign() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "3w");
    let mut seen = vec![];
    for _ in 0..11 {
        press(&mut app, &mut feed, "t");
        let frame = shown(&mut app);
        assert!(frame.contains("masked, not learned from"), "{:?}: {frame}", app.channel);
        seen.push(app.channel);
    }
    seen.dedup();
    assert_eq!(seen.len(), 11);
}

#[test]
fn a_skill_leads_to_the_rollouts_that_used_it() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "4");
    settle(&mut app, &mut feed);
    let frame = shown(&mut app);
    for word in ["uplift", "changes of the bank", "retired", "rinse at the sinkbasin", "used by 1536 rollouts"] {
        assert!(frame.contains(word), "{word}: {frame}");
    }
    press(&mut app, &mut feed, "\njj\n");
    settle(&mut app, &mut feed);
    assert_eq!(app.screen, ScreenId::Rollouts);
    let id = app.episode().map(|e| e.id).expect("a rollout is selected");
    assert_eq!((id.step, id.group, id.member), (STEPS, 7, 1), "the third newest");
    assert!(app.episode().is_some_and(|e| e.skills.iter().any(|s| s == "find-then-place")));
}
