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

use super::{Room, live, panes};
use crate::tui::scene::Scene;
use crate::tui::theme::Role;

/// The panes of the screen; the focus walks them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// A row of [`panes::CHARTS`].
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

    /// Name for tabs.
    pub fn name(self) -> &'static str {
        match self {
            Pane::Chart(i) => panes::CHARTS[i].title,
            Pane::Alerts => "alerts",
            Pane::Live => "live",
            Pane::Skills => "skills",
            Pane::Numbers => "numbers",
        }
    }
}

/// Draws the screen in the room there is.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let focus = Pane::ALL[scene.app.focus[0].min(Pane::ALL.len() - 1)];
    match Room::of(frame.area()) {
        Room::Card | Room::One => {
            let [tabs, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
            let names: Vec<_> = Pane::ALL.iter().map(|p| p.name()).collect();
            panes::tabs(frame, tabs, scene, &names);
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
        Pane::Chart(i) => panes::chart(frame, area, scene, i),
        Pane::Alerts => panes::alerts(frame, area, scene, focused),
        Pane::Live => live::draw(frame, area, scene, focused),
        Pane::Skills => panes::skills(frame, area, scene, focused),
        Pane::Numbers => panes::numbers(frame, area, scene, focused),
    }
}

/// What one looks at first, in one short line for terminals that show only one pane.
pub fn headline(scene: &Scene) -> String {
    let value = |name| scene.figure(name);
    format!("r {}  ✔ {}  ∅ {} ", value("reward/mean"), value("success/mean"), value("groups/no_signal"))
}

/// Role of an alert's level, with its sign.
pub const LEVELS: [(&str, Role); 3] = [("●", Role::Info), ("▲", Role::Warn), ("✖", Role::Bad)];
