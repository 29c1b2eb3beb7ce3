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
use ratatui::layout::Direction::{Horizontal, Vertical};
use ratatui::layout::{Constraint, Layout, Rect};

use super::tabs::tabs;
use super::{Room, Screen, curves, grid, live, notes, panes};
use crate::tui::app::{App, Effect};
use crate::tui::find::Find;
use crate::tui::keys::{Action, Binding, ScreenId, ch, row as bind};
use crate::tui::mouse::Target;
use crate::tui::scene::Scene;
use crate::tui::select::{self, Go};
use crate::tui::update;

/// The row of this screen.
pub const SCREEN: Screen = Screen {
    act,
    chart: Some(chart),
    find,
    copied,
    bindings: OWN,
    commands: &[("charts", "the grid of your own, e.g. `charts reward/mean kl/reference`")],
    submit: grid::submit,
    ..Screen::new(ScreenId::Dash, ("Dash", "Dash"), &NAMES, draw)
};

const OWN: &[Binding] =
    &[bind(&[ch(' ')], "keep-curve", Action::Own("keep"), "keep: this curve in the grid of your own (R)", "charts")
        .on(&[ScreenId::Dash])];

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {
    pub preset: Preset,
    /// The chosen curve of [`Preset::Curves`] and [`Preset::Own`].
    pub curve: usize,
    /// Metrics of the grid of one's own, in its order.
    pub own: Vec<String>,
}

/// How the panes are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The charts that matter, alerts, live rollouts, skills, numbers.
    #[default]
    Overview,
    /// Every metric as a chart of its own.
    Curves,
    /// Few large charts beside the live rollouts.
    Live,
    /// The metrics one kept.
    Own,
}

impl Preset {
    /// Whether it is a grid of metrics, each a chart of its own.
    pub fn is_grid(self) -> bool {
        matches!(self, Preset::Curves | Preset::Own)
    }
}

impl Preset {
    /// In the order `R` walks them, by name.
    pub const ALL: [(Preset, &'static str); 4] =
        [(Preset::Overview, "overview"), (Preset::Curves, "curves"), (Preset::Live, "live"), (Preset::Own, "your own")];
}

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
    if app.states.dash.preset.is_grid() && grid::walk(app, action) {
        return Some(vec![]);
    }
    match action {
        Action::Left => select::crosshair(app, -1),
        Action::Right => select::crosshair(app, 1),
        Action::Enter => update::go(app, ScreenId::Rollouts),
        Action::Alerts if app.states.dash.preset.is_grid() => {
            app.notify("this layout shows no alerts: type `:layout overview`, or go to 6 System");
        }
        Action::Alerts => app.focus[0] = 7,
        Action::Layout => lay(app, Preset::ALL[(app.states.dash.preset as usize + 1) % Preset::ALL.len()].0),
        Action::Own(_) => grid::keep(app),
        Action::Row(row) if pane == Pane::Live => live::choose(app, row),
        Action::Row(row) => app.scroll = row,
        _ => vertical(app, pane, update::vertical(action)?, action),
    }
    Some(vec![])
}

/// Lays the panes out in this way.
pub fn lay(app: &mut App, preset: Preset) {
    let state = &mut app.states.dash;
    (state.preset, state.curve, app.zoomed) = (preset, 0, false);
    app.notify(format!("layout: {}", Preset::ALL[preset as usize].1));
}

/// The focused chart.
pub fn chart(app: &App) -> Option<String> {
    if app.states.dash.preset.is_grid() {
        return grid::metrics(app).get(app.states.dash.curve).cloned();
    }
    match Pane::ALL[app.focus[0].min(Pane::ALL.len() - 1)] {
        Pane::Chart(at) => Some(curves::CHARTS[at].title.to_owned()),
        _ => None,
    }
}

/// A metric by name: its chart, or its line among the numbers.
fn find(app: &mut App, find: &Find, by: i32) -> bool {
    let names = grid::metrics(app);
    let at = match app.states.dash.preset {
        preset if preset.is_grid() => app.states.dash.curve,
        _ if app.focus[0] + 1 == Pane::ALL.len() => app.scroll,
        _ => 0,
    };
    let Some(found) = find.next(at, names.len(), by, |at| names[at].clone()) else { return false };
    if app.states.dash.preset.is_grid() {
        app.states.dash.curve = found;
    } else {
        (app.focus[0], app.scroll) = (Pane::ALL.len() - 1, found);
    }
    true
}

fn vertical(app: &mut App, pane: Pane, to: Go, action: Action) {
    match (pane, to) {
        (Pane::Live, _) => select::rollout(app, to),
        (Pane::Alerts, _) => notes::walk(app, to),
        (Pane::Numbers | Pane::Skills, _) => drop(update::scroll(app, action)),
        (Pane::Chart(_), Go::By(by)) => drop(app.update(if by > 0 { Action::PaneNext } else { Action::PanePrevious })),
        (Pane::Chart(_), _) => {}
    }
}

/// The alert that is chosen, where one stands among them; the numbers of the step.
fn copied(app: &App) -> Vec<(&'static str, String)> {
    let among_alerts = Pane::ALL.get(app.focus[0]) == Some(&Pane::Alerts) && !app.states.dash.preset.is_grid();
    let mut all: Vec<_> = among_alerts.then(|| notes::chosen(app)).flatten().into_iter().collect();
    let step = app.step();
    let Some(found) = app.view().steps.iter().find(|s| s.step == step) else { return all };
    let mut lines = vec![format!("step\t{step}")];
    for (name, value) in found.metrics.iter() {
        lines.push(format!("{name}\t{}", value.map_or("null".into(), |v| v.to_string())));
    }
    all.push(("numbers of the step", lines.join("\n")));
    all
}

/// Draws the screen in the room there is.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let focus = Pane::ALL[scene.app.focus[0].min(Pane::ALL.len() - 1)];
    let preset = scene.app.states.dash.preset;
    match Room::of(frame.area()) {
        Room::One if preset.is_grid() => {
            let [top, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
            tabs(frame, top, scene);
            grid::draw(frame, body, scene);
        }
        Room::Two | Room::Three if preset.is_grid() => grid::draw(frame, area, scene),
        Room::Card | Room::One => {
            let [top, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
            tabs(frame, top, scene);
            pane(frame, body, scene, focus);
        }
        _ if scene.app.zoomed => pane(frame, area, scene, focus),
        Room::Two | Room::Three if preset == Preset::Live => beside(frame, area, scene, focus),
        Room::Two => two(frame, area, scene, focus),
        Room::Three => three(frame, area, scene),
    }
}

/// The headline charts above each other beside the live rollouts and what happened.
fn beside(frame: &mut Frame, area: Rect, scene: &Scene, focus: Pane) {
    let [left, right] = scene.split("dash-live", area, Horizontal, area.width * 2 / 5);
    let charts = Layout::vertical([Constraint::Fill(1); 3]).split(left);
    let page = if let Pane::Chart(at) = focus { at / 3 * 3 } else { 0 };
    for (at, area) in charts.iter().enumerate().filter(|(at, _)| page + at < curves::CHARTS.len()) {
        pane(frame, *area, scene, Pane::Chart(page + at));
    }
    let [top, bottom] = scene.split("dash-live-rows", right, Vertical, right.height * 3 / 4);
    pane(frame, top, scene, Pane::Live);
    row(frame, bottom, scene, &[Pane::Alerts, if focus == Pane::Skills { Pane::Skills } else { Pane::Numbers }]);
}

fn three(frame: &mut Frame, area: Rect, scene: &Scene) {
    let [top, middle, bottom] = thirds(area, scene);
    row(frame, top, scene, &[Pane::Chart(0), Pane::Chart(1), Pane::Chart(2), Pane::Alerts]);
    row(frame, middle, scene, &[Pane::Chart(3), Pane::Chart(4), Pane::Chart(5), Pane::Chart(6)]);
    let [left, rest] = scene.split("dash-rollouts", bottom, Horizontal, bottom.width.div_ceil(2));
    let [centre, right] = scene.split("dash-skills", rest, Horizontal, rest.width.div_ceil(2));
    for (area, which) in [(left, Pane::Live), (centre, Pane::Skills), (right, Pane::Numbers)] {
        pane(frame, area, scene, which);
    }
}

fn two(frame: &mut Frame, area: Rect, scene: &Scene, focus: Pane) {
    const FIRST: [Pane; 4] = [Pane::Chart(0), Pane::Chart(1), Pane::Chart(2), Pane::Chart(3)];
    const SECOND: [Pane; 4] = [Pane::Chart(4), Pane::Chart(5), Pane::Chart(6), Pane::Numbers];
    let page = if SECOND.contains(&focus) { SECOND } else { FIRST };
    let [top, middle, bottom] = thirds(area, scene);
    row(frame, top, scene, &page[..2]);
    row(frame, middle, scene, &page[2..]);
    let beside = if focus == Pane::Skills { Pane::Skills } else { Pane::Alerts };
    let [left, right] = scene.split("dash-alerts", bottom, Horizontal, bottom.width * 3 / 5);
    pane(frame, left, scene, Pane::Live);
    pane(frame, right, scene, beside);
}

/// Two rows of charts, and what is below them.
fn thirds(area: Rect, scene: &Scene) -> [Rect; 3] {
    let charts = (f32::from(area.height) * 0.6).round() as u16;
    let [charts, bottom] = scene.split("dash-charts", area, Vertical, charts);
    let [top, middle] = scene.split("dash-rows", charts, Vertical, charts.height.div_ceil(2));
    [top, middle, bottom]
}

fn row(frame: &mut Frame, area: Rect, scene: &Scene, which: &[Pane]) {
    let columns = Layout::horizontal(which.iter().map(|_| Constraint::Fill(1))).split(area);
    for (area, which) in columns.iter().zip(which) {
        pane(frame, *area, scene, *which);
    }
}

fn pane(frame: &mut Frame, area: Rect, scene: &Scene, which: Pane) {
    let focused = Pane::ALL.get(scene.app.focus[0]) == Some(&which);
    let number = Pane::ALL.iter().position(|pane| *pane == which).unwrap_or(0);
    scene.hit(area, Target::Pane(number));
    match which {
        Pane::Chart(i) => curves::chart(frame, area, scene, &curves::CHARTS[i], (number, focused)),
        Pane::Alerts => notes::alerts(frame, area, scene, focused),
        Pane::Live => live::draw(frame, area, scene, focused),
        Pane::Skills => panes::skills(frame, area, scene, focused),
        Pane::Numbers => notes::numbers(frame, area, scene, focused),
    }
}
