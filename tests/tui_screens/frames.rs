//! Whole frames of every screen at the four kinds of terminal.

use sdlab::tui::Mode;
use sdlab::tui::keys::{Action, ScreenId};

use super::fixture::{app, draw, fixture, settle, text};

const SIZES: [(u16, u16); 4] = [(160, 45), (100, 30), (80, 24), (40, 10)];

fn shoot(name: &str, mode: Mode, actions: &[Action]) {
    for size in SIZES {
        let mut feed = fixture();
        let mut app = app(mode, size, &mut feed);
        for action in actions {
            app.update(*action);
            settle(&mut app, &mut feed);
        }
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), text(&draw(&mut app, size)));
    }
}

#[test]
fn dash() {
    shoot("dash", Mode::Live, &[]);
}

#[test]
fn dash_with_crosshair_on_the_live_pane() {
    let tabs = [Action::PaneNext; 8];
    shoot("dash_live", Mode::Live, &[&tabs[..], &[Action::Down, Action::Down]].concat());
}

#[test]
fn rollouts() {
    shoot(
        "rollouts",
        Mode::Live,
        &[Action::Screen(ScreenId::Rollouts), Action::Enter, Action::Down, Action::Enter, Action::Down],
    );
}

#[test]
fn tokens() {
    shoot("tokens", Mode::Live, &[Action::Screen(ScreenId::Tokens), Action::Turn(1), Action::Hot(1), Action::Channel]);
}

#[test]
fn every_rollout_of_the_run() {
    let actions = [Action::Screen(ScreenId::Rollouts), Action::Own("whole"), Action::Own("order"), Action::Down];
    shoot("whole", Mode::Live, &[&actions[..], &[Action::Own("mark")]].concat());
}

#[test]
fn two_rollouts() {
    let actions = [Action::Screen(ScreenId::Rollouts), Action::Rollout(4), Action::Rollout(4), Action::Own("diff")];
    shoot("versus", Mode::Live, &actions);
}

#[test]
fn tokens_through_two_lenses() {
    let actions = [Action::Screen(ScreenId::Tokens), Action::Own("lens"), Action::Own("beside")];
    shoot("lenses", Mode::Live, &[&actions[..], &[Action::Hot(1)]].concat());
}

#[test]
fn the_same_task_over_the_steps() {
    let actions = [Action::Screen(ScreenId::Tokens), Action::Hot(1), Action::Own("span"), Action::Right, Action::Right];
    let past = [Action::Own("past"); 1];
    // every drain reads one more step
    let waits = [Action::Rollout(0); 12];
    shoot("past", Mode::Live, &[&actions[..], &past, &waits].concat());
}

#[test]
fn skills() {
    shoot("skills", Mode::Live, &[Action::Screen(ScreenId::Skills), Action::Down]);
}

#[test]
fn prompts() {
    shoot("prompts", Mode::Live, &[Action::Screen(ScreenId::Tokens), Action::Prompts]);
}

#[test]
fn replay() {
    shoot("replay", Mode::Replay, &[Action::Step(-10), Action::Step(-10)]);
}

#[test]
fn help() {
    shoot("help", Mode::Live, &[Action::Help]);
}

#[test]
fn quit() {
    shoot("quit", Mode::Live, &[Action::QuitMenu]);
}

#[test]
fn palette() {
    shoot("palette", Mode::Live, &[Action::Palette]);
}

#[test]
fn runs() {
    for size in SIZES {
        let mut feed = fixture();
        feed.others = true;
        let mut app = app(Mode::Live, size, &mut feed);
        for action in [Action::Screen(ScreenId::Runs), Action::Own("mark"), Action::Down, Action::Own("mark")] {
            app.update(action);
            settle(&mut app, &mut feed);
        }
        insta::assert_snapshot!(format!("runs_{}x{}", size.0, size.1), text(&draw(&mut app, size)));
    }
}

#[test]
fn system() {
    shoot("system", Mode::Live, &[Action::Screen(ScreenId::System), Action::PaneNext, Action::PaneNext]);
}

#[test]
fn curves() {
    shoot("curves", Mode::Live, &[Action::Layout, Action::Down]);
}

#[test]
fn chart_zoomed_with_crosshair_and_log_axis() {
    shoot(
        "zoomed",
        Mode::Live,
        &[Action::Step(-10), Action::Step(-10), Action::Scale(1), Action::Log, Action::Outliers],
    );
}
