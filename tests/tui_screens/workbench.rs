//! Panes and charts of one's own, lines typed before, new runs, skills' files, panels, pictures.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use sdlab::tui::app::{App, Effect, Export, Form, Subject};
use sdlab::tui::keys::{Action, ScreenId};
use sdlab::tui::overlay::Overlay;
use sdlab::tui::{Mode, errands, picture};

use super::fixture::{Fixture, app, draw, fixture, settle, text};

const WIDE: (u16, u16) = (160, 45);

fn open(screen: ScreenId) -> (App, Fixture) {
    let mut feed = Fixture { others: true, ..fixture() };
    let mut app = app(Mode::Live, WIDE, &mut feed);
    app.update(Action::Screen(screen));
    settle(&mut app, &mut feed);
    (app, feed)
}

fn key(app: &mut App, code: KeyCode) -> Vec<Effect> {
    app.on_key(KeyEvent::from(code))
}

fn typed(app: &mut App, line: &str) {
    line.chars().for_each(|c| drop(key(app, KeyCode::Char(c))));
}

/// Does what was asked for until nothing more is, and returns what only the terminal could do.
fn carry_out(app: &mut App, feed: &mut Fixture, effects: Vec<Effect>) -> Vec<Effect> {
    let mut rest = Vec::new();
    for effect in effects {
        match effect {
            Effect::Errand(errand) => {
                let more = errands::run(app, feed, errand);
                rest.extend(carry_out(app, feed, more));
            }
            other => rest.push(other),
        }
    }
    rest
}

fn mouse(app: &mut App, kind: MouseEventKind, (column, row): (u16, u16)) {
    app.on_mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
}

#[test]
fn borders_between_panes_follow_the_mouse_and_come_back() {
    for (screen, name) in [
        (ScreenId::Dash, "dash-rollouts"),
        (ScreenId::Rollouts, "rollouts"),
        (ScreenId::Tokens, "tokens"),
        (ScreenId::Skills, "skills"),
        (ScreenId::Runs, "runs"),
        (ScreenId::System, "system"),
    ] {
        let (mut app, _) = open(screen);
        let before = text(&draw(&mut app, WIDE));
        let find = |app: &App| {
            let places = (0..WIDE.1).flat_map(|y| (0..WIDE.0).map(move |x| (x, y)));
            places.into_iter().find(|(x, y)| app.hits.border(*x, *y).is_some_and(|border| border.name == name))
        };
        let seam = find(&app).unwrap_or_else(|| panic!("{name} is on the screen"));
        mouse(&mut app, MouseEventKind::Down(MouseButton::Left), seam);
        let to = (seam.0.saturating_sub(9), seam.1.saturating_sub(5));
        mouse(&mut app, MouseEventKind::Drag(MouseButton::Left), to);
        mouse(&mut app, MouseEventKind::Up(MouseButton::Left), to);
        assert_ne!(text(&draw(&mut app, WIDE)), before, "{name} moved");
        assert_ne!(find(&app), Some(seam));
        app.update(Action::Command);
        typed(&mut app, "reset-panes");
        key(&mut app, KeyCode::Enter);
        assert_eq!(find(&app), find(&app));
        draw(&mut app, WIDE);
        assert_eq!(find(&app), Some(seam), "{name} is back");
    }
}

#[test]
fn curves_are_kept_in_a_grid_of_ones_own() {
    let (mut app, mut feed) = open(ScreenId::Dash);
    app.update(Action::Layout);
    app.update(Action::Layout);
    app.update(Action::Layout);
    assert!(text(&draw(&mut app, WIDE)).contains("none yet: Space on a curve keeps it"));
    app.update(Action::Command);
    typed(&mut app, "charts kl/reference nonsense");
    key(&mut app, KeyCode::Enter);
    assert!(app.notice.as_ref().is_some_and(|(said, _)| said.contains("no metric is called `nonsense`")));
    app.update(Action::Command);
    key(&mut app, KeyCode::Up);
    assert!(matches!(&app.overlay, Overlay::Line { text, .. } if text == "charts kl/reference nonsense"));
    (0.." nonsense".len()).for_each(|_| drop(key(&mut app, KeyCode::Backspace)));
    key(&mut app, KeyCode::Enter);
    app.update(Action::Layout);
    key(&mut app, KeyCode::Char(' '));
    assert_eq!(app.states.dash.own, ["kl/reference", "reward/mean"]);
    key(&mut app, KeyCode::Char(' '));
    assert_eq!(app.states.dash.own, ["kl/reference"], "once more takes it out");
    (0..3).for_each(|_| drop(app.update(Action::Layout)));
    settle(&mut app, &mut feed);
    let shown = text(&draw(&mut app, WIDE));
    assert!(shown.contains(" kl/reference ") && !shown.contains(" reward "), "{shown}");
}

#[test]
fn a_new_run_is_made_of_a_run_or_a_recipe_with_changes() {
    let (mut app, mut feed) = open(ScreenId::Runs);
    let effects = app.on_key(KeyEvent::new(KeyCode::Char('n'), KeyModifiers::CONTROL));
    carry_out(&mut app, &mut feed, effects);
    let shown = text(&draw(&mut app, WIDE));
    assert!(shown.contains("as house-sdar-") && shown.contains("runs/grpo.toml"), "{shown}");
    key(&mut app, KeyCode::Down);
    let effects = key(&mut app, KeyCode::Enter);
    carry_out(&mut app, &mut feed, effects);
    typed(&mut app, "optim.lr=1e-5 run.seed=3");
    let effects = key(&mut app, KeyCode::Enter);
    assert_eq!(carry_out(&mut app, &mut feed, effects), []);
    assert_eq!(feed.asked, ["start runs/grpo.toml optim.lr=1e-5 run.seed=3"]);
    assert!(app.notice.as_ref().is_some_and(|(said, _)| said.contains("`household-grpo-1` is being trained")));
}

#[test]
fn skills_are_edited_and_switched_only_after_a_yes() {
    let (mut app, mut feed) = open(ScreenId::Skills);
    let effects = key(&mut app, KeyCode::Char('e'));
    assert!(matches!(&carry_out(&mut app, &mut feed, effects)[..], [Effect::Edit(path)] if path.starts_with("skills")));
    for (keys, asked) in [(&[KeyCode::Down, KeyCode::Enter][..], 0), (&[KeyCode::Enter], 1)] {
        let effects = key(&mut app, KeyCode::Char('D'));
        carry_out(&mut app, &mut feed, effects);
        assert!(matches!(app.overlay, Overlay::Menu { .. }), "it asks first");
        for code in keys {
            let effects = key(&mut app, *code);
            carry_out(&mut app, &mut feed, effects);
        }
        assert_eq!(feed.asked.len(), asked);
    }
    assert!(feed.asked[0].ends_with(" true"), "{:?}", feed.asked);
}

#[test]
fn a_panel_is_browsed_like_rollouts() {
    let (mut app, mut feed) = open(ScreenId::Rollouts);
    key(&mut app, KeyCode::Char('v'));
    settle(&mut app, &mut feed);
    assert!(text(&draw(&mut app, WIDE)).contains("panel after step 40"));
    assert_eq!((app.data.groups.len(), app.data.panel), (6, true));
    key(&mut app, KeyCode::Esc);
    settle(&mut app, &mut feed);
    assert_eq!((app.data.groups.len(), app.data.panel, app.screen), (8, false, ScreenId::Rollouts));
}

#[test]
fn every_picture_of_the_menu_can_be_made() {
    let made = |app: &mut App, of, form| picture::bytes(app, Export { of, form }).expect("a picture");
    let (mut app, mut feed) = open(ScreenId::Tokens);
    let starts: [(Form, &[u8]); 4] =
        [(Form::Svg, b"<svg"), (Form::Html, b"<!doctype"), (Form::Png, b"\x89PNG"), (Form::Text, b" ")];
    for (form, start) in starts {
        assert!(made(&mut app, Subject::Screen, form).starts_with(start), "{form:?}");
        assert!(!made(&mut app, Subject::Tokens, form).is_empty());
    }
    let strip = String::from_utf8(made(&mut app, Subject::Tokens, Form::Text)).unwrap();
    let turns = app.episode().unwrap().turns.len();
    assert!(
        (1..=turns).all(|turn| strip.contains(&format!("── turn {turn} "))),
        "all turns, not only what fits:\n{strip}"
    );
    app.update(Action::Screen(ScreenId::Dash));
    settle(&mut app, &mut feed);
    let html = String::from_utf8(made(&mut app, Subject::Chart, Form::Html)).unwrap();
    assert!(html.contains("<svg") && html.contains("<td>48</td>"), "every step is in the table");
    assert!(made(&mut app, Subject::Chart, Form::Png).starts_with(b"\x89PNG"));
    app.focus[0] = 8;
    let error = picture::bytes(&mut app, Export { of: Subject::Chart, form: Form::Svg }).unwrap_err().to_string();
    assert!(error.contains("no chart is chosen"), "{error}");
}
