//! What every action does to the state. Nothing here touches the terminal, the run or a clock.

use super::app::{App, Effect, Exit, Folds};
use super::errands::Errand;
use super::keys::{Action, ScreenId};
use super::overlay::{Ask, Overlay};
use super::select::{self, Go, PAGE, set_turn};
use crate::core::event::Command;

/// Applies one action: the screen's own way, else the way all screens share.
pub fn update(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(effects) = (app.screen.screen().act)(app, action) {
        return effects;
    }
    if let Some(title) = app.screen.screen().chart.and_then(|chart| chart(app))
        && super::screens::curves::act(app, action, &title)
    {
        return vec![];
    }
    match action {
        Action::Screen(screen) => go(app, screen),
        Action::PaneNext => pane(app, 1),
        Action::PanePrevious => pane(app, -1),
        Action::Pane(pane) => {
            app.focus[app.screen as usize] = pane;
            app.scroll = 0;
        }
        Action::Step(by) => select::step(app, by),
        Action::Rollout(by) => select::rollout(app, Go::By(by.into())),
        Action::Turn(by) => {
            let turn = app.chosen().2;
            set_turn(app, select::offset(turn, by.into()));
        }
        Action::Hot(by) => select::hot(app, by),
        Action::Match(by) => find(app, by),
        Action::Escape => escape(app),
        Action::Pause | Action::Hold | Action::Save | Action::Stop => return control(app, action),
        Action::Quit | Action::QuitMenu => return quit(app),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Copy => return copy(app),
        Action::CopyMenu => super::menus::copy_menu(app),
        Action::Export => super::menus::export_menu(app),
        Action::Alerts => {
            go(app, ScreenId::Dash);
            return app.update(Action::Alerts);
        }
        Action::Config => return vec![Effect::Config],
        Action::EditConfig => return vec![Effect::Errand(Errand::EditConfig(None))],
        Action::Mouse => {
            app.mouse ^= true;
            app.notify(if app.mouse {
                "the mouse is ours"
            } else {
                "the mouse is the terminal's: select text with it"
            });
            return vec![Effect::Mouse(app.mouse)];
        }
        other => switch(app, other),
    }
    vec![]
}

/// Actions that flip one thing.
fn switch(app: &mut App, action: Action) {
    match action {
        Action::Help => app.overlay = Overlay::Help { query: String::new(), scroll: 0 },
        Action::Palette => app.overlay = Overlay::Palette { query: String::new(), item: 0 },
        Action::Command => {
            app.recall.begin();
            app.overlay = Overlay::Line { ask: Ask::Command, text: String::new() };
        }
        Action::Find => app.overlay = Overlay::Line { ask: Ask::Find, text: String::new() },
        Action::Jump => app.overlay = Overlay::Line { ask: Ask::Jump, text: String::new() },
        Action::Zoom => app.zoomed ^= true,
        Action::Follow => {
            app.pick.step = None;
            app.lens.follow();
        }
        Action::Unfold => app.folds = Folds::Open,
        Action::Fold => app.folds = if app.folds == Folds::Closed { Folds::Chosen } else { Folds::Closed },
        Action::Channel => app.channel = app.channel.next(),
        Action::Raw => app.raw ^= true,
        Action::Prompts => (app.prompts, app.scroll) = (!app.prompts, 0),
        Action::Theme => {
            app.themes.next();
            app.notify(format!("theme {}", app.themes.current().name));
        }
        Action::Faster => app.transport.speed = (app.transport.speed * 2).min(64),
        Action::Slower => app.transport.speed = (app.transport.speed / 2).max(1),
        Action::Play => play(app),
        Action::Smooth(_) | Action::XAxis | Action::LogX | Action::Outliers | Action::Link => {
            let said = app.lens.flip(action);
            app.notify(said);
        }
        _ => {}
    }
}

/// Play from the start again if it stands at the end.
fn play(app: &mut App) {
    let (position, last) = app.history.position();
    app.transport.playing ^= true;
    app.transport.due_ms = app.clock_ms;
    if app.transport.playing && position == last {
        app.seek(0);
    }
}

/// Scrolls the focused pane, for screens whose panes only scroll.
pub fn scroll(app: &mut App, action: Action) -> bool {
    let Some(to) = vertical(action) else { return false };
    app.scroll = to.from(app.scroll, MOST_LINES);
    true
}

/// Where an action leads in a list.
pub fn vertical(action: Action) -> Option<Go> {
    Some(match action {
        Action::Up => Go::By(-1),
        Action::Down => Go::By(1),
        Action::HalfUp => Go::By(-PAGE),
        Action::HalfDown => Go::By(PAGE),
        Action::Top => Go::First,
        Action::Bottom => Go::Last,
        _ => return None,
    })
}

/// Goes to another screen.
pub fn go(app: &mut App, screen: ScreenId) {
    if app.screen != screen {
        (app.screen, app.zoomed, app.scroll) = (screen, false, 0);
    }
    if screen == ScreenId::Tokens && app.pick.token == 0 {
        let turn = app.chosen().2;
        set_turn(app, turn);
    }
}

fn pane(app: &mut App, by: i64) {
    let screen = app.screen as usize;
    let count = app.screen.screen().panes.len() as i64;
    app.focus[screen] = (app.focus[screen] as i64 + by).rem_euclid(count) as usize;
    app.scroll = 0;
}

/// Goes to a place that was looked for.
pub fn find(app: &mut App, by: i32) {
    let Some(find) = app.find.clone() else { return app.notify("nothing was looked for yet, type / first") };
    if !(app.screen.screen().find)(app, &find, by) {
        app.notify(format!("`{}` is not here", find.typed));
    }
}

/// One layer out: what was zoomed, then back to the dash, then the newest step.
fn escape(app: &mut App) {
    match app.screen {
        _ if app.prompts => app.prompts = false,
        _ if app.zoomed => app.zoomed = false,
        _ if app.find.take().is_some() => {}
        ScreenId::Dash => app.pick.step = None,
        _ => go(app, ScreenId::Dash),
    }
}

fn control(app: &mut App, action: Action) -> Vec<Effect> {
    if !app.is_live() {
        app.notify("nobody is training here: the run has ended");
        return vec![];
    }
    let (command, text) = match action {
        Action::Save => (Command::Save, "a checkpoint is written after this step"),
        Action::Stop => (Command::Stop, "stopping after this step"),
        _ if app.view().paused => (Command::Resume, "resuming"),
        Action::Hold => (Command::Hold, "holding before the model is called next"),
        _ => (Command::Pause, "pausing after this step"),
    };
    app.notify(text);
    vec![Effect::Send(command)]
}

fn quit(app: &mut App) -> Vec<Effect> {
    if app.is_live() {
        app.overlay = Overlay::Quit { item: 0 };
        return vec![];
    }
    vec![Effect::Exit(Exit::Left)]
}

fn copy(app: &mut App) -> Vec<Effect> {
    let Some((name, text)) = (app.screen.screen().copied)(app).into_iter().next() else {
        app.notify("nothing to copy here");
        return vec![];
    };
    app.notify(format!("copied: {name}"));
    vec![Effect::Copy(text)]
}

/// Lists that only scroll stop here at the latest; drawing clamps to what there is.
const MOST_LINES: usize = 100_000;
