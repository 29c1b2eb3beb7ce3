//! What the screen says is what is so: totals, marked rows, keys on offer, errors with their place.

use crossterm::event::{KeyCode, KeyEvent};
use sdlab::core::event::{KeyChange, Level, Record, RunEvent, Scope, Status};
use sdlab::tui::app::{App, Effect};
use sdlab::tui::keys::ScreenId;
use sdlab::tui::theme::Depth;
use sdlab::tui::{Liveness, Mode};

use super::fixture::{Fixture, START_MS, STEPS, app, app_with, draw, fixture, settle, text};

const WIDE: (u16, u16) = (160, 45);

fn press(app: &mut App, feed: &mut Fixture, keys: &str) {
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        app.on_key(KeyEvent::from(code));
        settle(app, feed);
    }
}

fn shown(app: &mut App) -> String {
    text(&draw(app, WIDE))
}

/// `run.steps` was set while the run went on.
fn planned(steps: u64) -> Record {
    let (before, after, key) = ("120".into(), steps.to_string(), "run.steps".into());
    let changes = vec![KeyChange { key, before, after, scope: Scope::NextStep }];
    let at_ms = START_MS + STEPS * 19_000 + 3_000;
    Record { at_ms, event: RunEvent::ConfigChanged { step: STEPS, revision: 2, changes } }
}

#[test]
fn the_total_follows_a_change_of_the_plan() {
    for (mode, steps, expected) in
        [(Mode::Live, 96, "step 48/96  ▕"), (Mode::Replay, 96, "step 48/96  ▕"), (Mode::Live, 3, "step 48/48  ▕")]
    {
        let mut feed = fixture();
        feed.records.push(planned(steps));
        let mut app = app(mode, WIDE, &mut feed);
        let frame = shown(&mut app);
        assert!(frame.contains(expected), "{frame}");
        assert!(frame.contains(if steps == 3 { "100%" } else { " 50%" }), "{frame}");
        assert_eq!(frame.contains("ETA"), steps > STEPS, "{frame}");
        if mode == Mode::Replay {
            press(&mut app, &mut feed, "[");
            assert!(shown(&mut app).contains("step 47/120  ▕"), "before the change");
        }
    }
}

#[test]
fn the_marked_row_of_the_list_is_the_selected_rollout() {
    for mode in [Mode::Live, Mode::Replay] {
        let mut feed = fixture();
        let mut app = app(mode, WIDE, &mut feed);
        let marked = |app: &App| app.states.rollouts.row(app.states.rollouts.at).map(|r| r.id);
        let selected = |app: &App| app.episode().map(|e| e.id);
        press(&mut app, &mut feed, "2JJW");
        assert_eq!(marked(&app), selected(&app), "the list opens at the selection");
        for typed in ["Freward>0 & task~heat & step<30\n", "r", "\\clean mug\n", "\x1b"] {
            press(&mut app, &mut feed, typed);
            settle(&mut app, &mut feed);
            assert!(marked(&app).is_some() && marked(&app) == selected(&app), "{mode:?} after {typed}");
            assert!(shown(&mut app).contains('▸'), "{mode:?} after {typed}");
        }
        press(&mut app, &mut feed, "K");
        assert_eq!(marked(&app), selected(&app), "the mark follows the selection");
    }
}

#[test]
fn where_nobody_trains_there_is_neither_an_eta_nor_a_key_to_pause() {
    let mut feed = fixture();
    let mut alive = app(Mode::Live, WIDE, &mut feed);
    let frame = shown(&mut alive);
    assert!(frame.contains("ETA ") && frame.contains(" p pause"), "{frame}");
    let finish = |status, exit| {
        let event = RunEvent::Finished { status, exit, step: STEPS, message: "so it ended".into(), assert: None };
        Record { at_ms: START_MS + STEPS * 19_000 + 5_000, event }
    };
    let ends = [("DEAD", None), ("DONE", Some((Status::Ok, 0))), ("STOPPED", Some((Status::Stopped, 0)))];
    for (word, end) in ends.into_iter().chain([("ABORTED", Some((Status::Aborted, 130)))]) {
        let mut feed = fixture();
        feed.records.extend(end.map(|(status, exit)| finish(status, exit)));
        let mut app = app(Mode::Live, WIDE, &mut feed);
        if end.is_none() {
            app.liveness = Liveness::Dead;
        }
        for screen in "123456".chars() {
            press_only(&mut app, screen);
            let frame = shown(&mut app);
            assert!(frame.contains(word) && !frame.contains("ETA") && !frame.contains(" p pause"), "{frame}");
        }
    }
}

/// A key, without hearing of the feed.
fn press_only(app: &mut App, c: char) {
    drop(app.on_key(KeyEvent::from(KeyCode::Char(c))));
}

#[test]
fn a_band_is_made_of_runs_of_one_recipe_only() {
    let mut feed = Fixture { others: true, ..fixture() };
    let mut app = app(Mode::Live, WIDE, &mut feed);
    // 7 (which is open) and 9 share a recipe, 8 has another learning rate; it is marked and the baseline
    press(&mut app, &mut feed, "5");
    for (chosen, expected) in [
        ("house-sdar-8", "no other run has the recipe"),
        ("house-sdar-7", "of 2 runs of one recipe"),
        ("house-sdar-9", "of 2 runs of one recipe"),
    ] {
        let shown_rows: Vec<_> = app.states.runs.shown().iter().map(|row| row.name.clone()).collect();
        app.states.runs.at = shown_rows.iter().position(|name| name == chosen).expect("the run is listed");
        if chosen == "house-sdar-8" {
            press(&mut app, &mut feed, " *a");
        }
        settle(&mut app, &mut feed);
        settle(&mut app, &mut feed);
        let frame = shown(&mut app);
        assert!(frame.contains(expected), "{chosen}: {frame}");
    }
}

#[test]
fn a_wrong_query_of_runs_says_where_and_can_be_mended() {
    let mut feed = Fixture { others: true, ..fixture() };
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "5Fstate=read & sucess>0.2\n");
    let frame = shown(&mut app);
    assert!(frame.contains("filter column 14: no run has a key `sucess`, did you mean `success`?"), "{frame}");
    assert!(frame.contains("3 of 3") && frame.contains("runs: state=read & sucess>0.2"), "{frame}");
    press(&mut app, &mut feed, "\x1bF?\n");
    assert!(shown(&mut app).contains("has:KEY"), "the words of the language");
    press(&mut app, &mut feed, "\x1bFstate=read&success>0.2\n");
    let frame = shown(&mut app);
    assert!(frame.contains("F state=read&success>0.2") && !frame.contains("filter column"), "{frame}");
}

#[test]
fn a_long_alert_is_read_in_full_and_copied() {
    for screen in ["1", "6"] {
        let mut feed = fixture();
        let message = format!("above 0.8 for 5 steps; {}: the end", "raise the temperature, or ".repeat(12));
        let event =
            RunEvent::Alerted { step: STEPS, level: Level::Warn, rule: "long".into(), message, value: Some(0.83) };
        feed.records.push(Record { at_ms: START_MS + STEPS * 19_000 + 3_000, event });
        let mut app = app(Mode::Live, WIDE, &mut feed);
        press(&mut app, &mut feed, screen);
        press(&mut app, &mut feed, "A");
        assert!(!shown(&mut app).contains("the end"), "one line each beside other panes");
        press(&mut app, &mut feed, "z");
        let frame = shown(&mut app);
        assert!(frame.contains("the end") && frame.contains("`kl/reference` is not finite"), "{frame}");
        let effects = app.on_key(KeyEvent::from(KeyCode::Char('y')));
        let [Effect::Copy(copied)] = &effects[..] else { panic!("{effects:?}") };
        assert!(copied.starts_with("step 48: long above 0.8") && copied.ends_with("the end"), "{copied}");
        press(&mut app, &mut feed, "Gk");
        let last = app.on_key(KeyEvent::from(KeyCode::Char('y')));
        assert!(matches!(&last[..], [Effect::Copy(text)] if text.starts_with("step 23: warning `kl")), "{last:?}");
    }
}

#[test]
fn commands_take_the_name_that_stands_after_them() {
    let mut feed = fixture();
    let mut app = app_with(Mode::Live, WIDE, &mut feed, Depth::True);
    let said = |app: &App| app.notice.as_ref().map_or(String::new(), |(said, _)| said.clone());
    for name in ["mono", "light", "dark", "dark"] {
        press(&mut app, &mut feed, &format!(":theme {name}\n"));
        assert_eq!(app.themes.current().name, name);
    }
    press(&mut app, &mut feed, ":theme nope\n");
    assert_eq!(app.themes.current().name, "dark");
    assert!(said(&app).starts_with("no theme is called `nope`, there is ") && said(&app).contains("light"));
    for name in ["curves", "live", "your own", "curves"] {
        press(&mut app, &mut feed, &format!("2:layout {name}\n"));
        assert_eq!((app.screen, said(&app)), (ScreenId::Dash, format!("layout: {name}")));
    }
    press(&mut app, &mut feed, ":layout nope\n");
    assert_eq!(said(&app), "no layout is called `nope`, there is overview, curves, live, your own");
    press(&mut app, &mut feed, "A");
    assert!(said(&app).contains("`:layout overview`"), "curves have no alerts: {}", said(&app));
    press(&mut app, &mut feed, ":layout overview\nA");
    assert_eq!(app.focus[0], 7);
    press(&mut app, &mut feed, ":zoom 3\n");
    assert!(!app.zoomed && said(&app).contains("takes nothing after it"));
    let found = sdlab::tui::command::completions(&app, "layout c");
    assert_eq!(found, ["layout curves"]);
}

#[test]
fn the_lens_beside_is_another_one() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "3VVB");
    let lenses = &app.states.tokens.lenses;
    assert_eq!((lenses.first, lenses.second), (Some(1), Some(2)));
    assert_eq!(app.notice.as_ref().map(|(said, _)| said.starts_with("beside: ")), Some(true));
}

#[test]
fn tokens_are_shown_however_low_the_terminal() {
    for mode in [Mode::Live, Mode::Replay] {
        for size in [(60, 16), (80, 16), (120, 16), (80, 24)] {
            let mut feed = fixture();
            let mut app = app(mode, size, &mut feed);
            press(&mut app, &mut feed, "3");
            for keys in ["", "H", "\x1b}"] {
                press(&mut app, &mut feed, keys);
                let frame = text(&draw(&mut app, size));
                assert!(frame.contains("cabinet"), "{size:?} {mode:?} {keys:?}\n{frame}");
            }
        }
    }
}

#[test]
fn names_of_runs_are_read_in_eighty_columns() {
    let mut feed = Fixture { others: true, ..fixture() };
    let mut app = app(Mode::Live, (80, 24), &mut feed);
    press(&mut app, &mut feed, "5");
    let row = &mut app.states.runs.rows[1];
    (row.name, row.step, row.steps) = ("household-sdar-seed7".into(), 16, 200);
    let frame = text(&draw(&mut app, (80, 24)));
    let line = frame.lines().find(|line| line.contains("household-sdar-seed7")).expect("the name is whole");
    assert!(line.contains("16/200") && line.contains(" sdar ") && line.contains("read"), "{line}");
    let whole = frame.lines().find(|line| line.contains("name ") && line.contains("eval")).expect("all columns");
    assert!(whole.contains("success"), "{frame}");
}
