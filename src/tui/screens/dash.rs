//! Screen 1: how the run goes. Headline reward, success and the share of groups without signal; never loss.
//!
//! ```text
//! three columns and more                       two columns            one
//! reward   success  no-signal  alerts          reward     success     tabs
//! gate     gap      entropy    kl              no-signal  gate        the focused pane
//! live rollouts     skills     numbers         live       alerts
//! ```
//! With two columns the grid turns to the page of the focused pane.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::tabs::tabs;
use super::{Room, Screen, curves, live, notes, panes};
use crate::tui::app::{App, Effect};
use crate::tui::keys::{Action, ScreenId};
use crate::tui::scene::Scene;
use crate::tui::select::{self, Go};
use crate::tui::update;

/// The row of this screen.
pub const SCREEN: Screen = Screen { act, copied, ..Screen::new(ScreenId::Dash, ("Dash", "Dash"), &NAMES, draw) };

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {}

/// Names of [`Pane::ALL`].
const NAMES: [&str; 11] =
    ["reward", "success", "no-signal", "gate", "gap", "entropy", "kl", "alerts", "live", "skills", "numbers"];

/// The panes of the screen; the focus walks them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// A row of [`curves::CHARTS`].
    Chart(usize),
    Alerts,
    Live,
    Skills,
    Numbers,
}

impl Pane {
    /// All panes.
    pub const ALL: [Pane; 11] = [
        Pane::Chart(0),
        Pane::Chart(1),
        Pane::Chart(2),
        Pane::Chart(3),
        Pane::Chart(4),
        Pane::Chart(5),
        Pane::Chart(6),
        Pane::Alerts,
        Pane::Live,
        Pane::Skills,
        Pane::Numbers,
    ];
}

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    let pane = Pane::ALL[app.focus[0].min(Pane::ALL.len() - 1)];
    match action {
        Action::Left => select::crosshair(app, -1),
        Action::Right => select::crosshair(app, 1),
        Action::Enter => update::go(app, ScreenId::Rollouts),
        Action::Alerts => app.focus[0] = 7,
        Action::Log => {
            if let Pane::Chart(at) = pane {
                let name = curves::CHARTS[at].title;
                if !app.lens.log.remove(name) {
                    app.lens.log.insert(name.to_owned());
                }
            }
        }
        _ => vertical(app, pane, update::vertical(action)?, action),
    }
    Some(vec![])
}

fn vertical(app: &mut App, pane: Pane, to: Go, action: Action) {
    match (pane, to) {
        (Pane::Live, _) => select::rollout(app, to),
        (Pane::Alerts | Pane::Numbers | Pane::Skills, _) => drop(update::scroll(app, action)),
        (Pane::Chart(_), Go::By(by)) => drop(app.update(if by > 0 { Action::PaneNext } else { Action::PanePrevious })),
        (Pane::Chart(_), _) => {}
    }
}

fn copied(app: &App) -> Vec<(&'static str, String)> {
    let step = app.step();
    let Some(found) = app.view().steps.iter().find(|s| s.step == step) else { return vec![] };
    let mut lines = vec![format!("step\t{step}")];
    for (name, value) in &found.metrics {
        lines.push(format!("{name}\t{}", value.map_or("null".into(), |v| v.to_string())));
    }
    vec![("numbers of the step", lines.join("\n"))]
}

/// Draws the screen in the room there is.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let focus = Pane::ALL[scene.app.focus[0].min(Pane::ALL.len() - 1)];
    match Room::of(frame.area()) {
        Room::Card | Room::One => {
            let [top, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
            tabs(frame, top, scene);
            pane(frame, body, scene, focus);
        }
        _ if scene.app.zoomed => pane(frame, area, scene, focus),
        Room::Two => two(frame, area, scene, focus),
        Room::Three => three(frame, area, scene),
    }
}

fn three(frame: &mut Frame, area: Rect, scene: &Scene) {
    let rows = [Constraint::Ratio(3, 10), Constraint::Ratio(3, 10), Constraint::Fill(1)];
    let [top, middle, bottom] = Layout::vertical(rows).areas(area);
    row(frame, top, scene, &[Pane::Chart(0), Pane::Chart(1), Pane::Chart(2), Pane::Alerts]);
    row(frame, middle, scene, &[Pane::Chart(3), Pane::Chart(4), Pane::Chart(5), Pane::Chart(6)]);
    let columns = [Constraint::Ratio(1, 2), Constraint::Ratio(1, 4), Constraint::Fill(1)];
    let [left, centre, right] = Layout::horizontal(columns).areas(bottom);
    for (area, which) in [(left, Pane::Live), (centre, Pane::Skills), (right, Pane::Numbers)] {
        pane(frame, area, scene, which);
    }
}

fn two(frame: &mut Frame, area: Rect, scene: &Scene, focus: Pane) {
    const FIRST: [Pane; 4] = [Pane::Chart(0), Pane::Chart(1), Pane::Chart(2), Pane::Chart(3)];
    const SECOND: [Pane; 4] = [Pane::Chart(4), Pane::Chart(5), Pane::Chart(6), Pane::Numbers];
    let page = if SECOND.contains(&focus) { SECOND } else { FIRST };
    let rows = [Constraint::Ratio(3, 10), Constraint::Ratio(3, 10), Constraint::Fill(1)];
    let [top, middle, bottom] = Layout::vertical(rows).areas(area);
    row(frame, top, scene, &page[..2]);
    row(frame, middle, scene, &page[2..]);
    let beside = if focus == Pane::Skills { Pane::Skills } else { Pane::Alerts };
    let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(bottom);
    pane(frame, left, scene, Pane::Live);
    pane(frame, right, scene, beside);
}

fn row(frame: &mut Frame, area: Rect, scene: &Scene, which: &[Pane]) {
    let columns = Layout::horizontal(which.iter().map(|_| Constraint::Fill(1))).split(area);
    for (area, which) in columns.iter().zip(which) {
        pane(frame, *area, scene, *which);
    }
}

fn pane(frame: &mut Frame, area: Rect, scene: &Scene, which: Pane) {
    let focused = Pane::ALL.get(scene.app.focus[0]) == Some(&which);
    match which {
        Pane::Chart(i) => curves::chart(frame, area, scene, i),
        Pane::Alerts => notes::alerts(frame, area, scene, focused),
        Pane::Live => live::draw(frame, area, scene, focused),
        Pane::Skills => panes::skills(frame, area, scene, focused),
        Pane::Numbers => notes::numbers(frame, area, scene, focused),
    }
}
