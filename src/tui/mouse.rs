//! What the mouse reaches: every frame says where its panes, rows and charts are, and clicks are looked up there.

use std::cell::RefCell;

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

use super::app::{App, Effect};
use super::keys::{Action, ScreenId};
use super::overlay::Overlay;
use super::screens::curves;
use super::splits::Border;

/// What lies under a place of the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// A pane of the screen, by number.
    Pane(usize),
    /// A line of a pane's list: pane and index of what the line shows.
    Row(usize, usize),
    /// The inside of a chart of a pane: its first and last column stand for these values of the x-axis.
    Chart(usize, (f64, f64)),
    Screen(ScreenId),
    /// A word of the footer.
    Key(Action),
    /// A place on the transport bar: position 0 at its left end to this at its right.
    Transport(usize),
}

/// The reachable places of one frame, topmost last. Filled while drawing, which is otherwise without effect.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    places: RefCell<Vec<(Rect, Target)>>,
    /// Borders that can be moved, and where they are.
    borders: RefCell<Vec<(Rect, Border)>>,
}

impl Hits {
    /// Forgets the last frame.
    pub fn clear(&self) {
        self.places.borrow_mut().clear();
        self.borders.borrow_mut().clear();
    }

    /// Says what an area is.
    pub fn add(&self, area: Rect, target: Target) {
        if !area.is_empty() {
            self.places.borrow_mut().push((area, target));
        }
    }

    /// Says where a border is that can be moved.
    pub fn add_border(&self, seam: Rect, border: Border) {
        self.borders.borrow_mut().push((seam, border));
    }

    /// The border at a place; of several the one drawn last, which divides the smallest area.
    pub fn border(&self, x: u16, y: u16) -> Option<Border> {
        let borders = self.borders.borrow();
        borders.iter().rev().find(|(seam, _)| seam.contains((x, y).into())).map(|(_, border)| *border)
    }

    /// What is at a place, topmost first, with its area.
    pub fn at(&self, x: u16, y: u16) -> Vec<(Rect, Target)> {
        self.places.borrow().iter().rev().filter(|(area, _)| area.contains((x, y).into())).copied().collect()
    }
}

/// What a press began, until it is let go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Drag {
    #[default]
    None,
    /// The crosshair follows.
    Cross,
    /// A part of a chart's x-axis is being marked; begun at this place.
    Range(f64),
    /// The chart follows the hand; last seen at this place.
    Pan(f64),
    Transport,
    /// A border between panes follows the hand.
    Border(Border),
}

/// Handles what the mouse did.
///
/// Left: choose; on a chart, the crosshair; on a border between panes, move it. Right drag on a chart: show this part.
/// Middle drag: pan. Wheel: zoom on a chart, else scroll.
pub fn on_mouse(app: &mut App, event: MouseEvent) -> Vec<Effect> {
    if app.overlay != Overlay::None {
        return vec![];
    }
    let found = app.hits.at(event.column, event.row);
    let chart = found.iter().find_map(|(area, target)| match target {
        Target::Chart(pane, window) => Some((*pane, place(app, *area, *window, event.column))),
        _ => None,
    });
    match (event.kind, chart) {
        (MouseEventKind::Down(MouseButton::Left), Some((pane, at))) => {
            app.drag = Drag::Cross;
            app.update(Action::Pane(pane));
            curves::cross_at(app, at);
        }
        (MouseEventKind::Down(MouseButton::Left), None) => {
            app.drag = app.hits.border(event.column, event.row).map_or(Drag::None, Drag::Border);
            return press(app, &found, event);
        }
        (MouseEventKind::Down(MouseButton::Right), Some((pane, at))) => {
            app.update(Action::Pane(pane));
            app.drag = Drag::Range(at);
        }
        (MouseEventKind::Down(MouseButton::Middle), Some((pane, at))) => {
            app.update(Action::Pane(pane));
            app.drag = Drag::Pan(at);
        }
        (MouseEventKind::Drag(_), _) => drag(app, &found, chart.map(|c| c.1), (event.column, event.row)),
        (MouseEventKind::Up(_), _) => let_go(app, chart.map(|c| c.1)),
        (MouseEventKind::ScrollUp, _) => wheel(app, &found, chart, 1),
        (MouseEventKind::ScrollDown, _) => wheel(app, &found, chart, -1),
        _ => {}
    }
    vec![]
}

/// A press on what is no chart: the topmost thing it means something to.
fn press(app: &mut App, found: &[(Rect, Target)], event: MouseEvent) -> Vec<Effect> {
    for (area, target) in found {
        match *target {
            Target::Key(action) => return app.update(action),
            Target::Screen(screen) => return app.update(Action::Screen(screen)),
            Target::Row(pane, row) => {
                app.update(Action::Pane(pane));
                let again = app.pressed.replace((pane, row)) == Some((pane, row));
                return app.update(if again { Action::Enter } else { Action::Row(row) });
            }
            Target::Pane(pane) => return app.update(Action::Pane(pane)),
            Target::Transport(last) => {
                app.drag = Drag::Transport;
                seek(app, *area, last, event.column);
                return vec![];
            }
            Target::Chart(..) => {}
        }
    }
    vec![]
}

fn drag(app: &mut App, found: &[(Rect, Target)], at: Option<f64>, (x, y): (u16, u16)) {
    match (app.drag, at) {
        (Drag::Border(border), _) => app.splits.drag(&border, (x, y)),
        (Drag::Cross, Some(at)) => curves::cross_at(app, at),
        (Drag::Pan(from), Some(at)) => {
            if let Some(title) = app.screen.screen().chart.and_then(|chart| chart(app)) {
                let full = curves::full(app);
                let (low, high) = app.lens.window(&title, full);
                app.lens.pan(&title, (from - at) / (high - low), full);
            }
        }
        (Drag::Transport, _) => {
            let bar =
                found.iter().find_map(|(area, t)| if let Target::Transport(n) = t { Some((*area, *n)) } else { None });
            bar.into_iter().for_each(|(area, last)| seek(app, area, last, x));
        }
        _ => {}
    }
}

fn let_go(app: &mut App, at: Option<f64>) {
    let title = app.screen.screen().chart.and_then(|chart| chart(app));
    if let (Drag::Range(from), Some(to), Some(title)) = (std::mem::take(&mut app.drag), at, title) {
        let full = curves::full(app);
        app.lens.put(&title, (from.min(to), from.max(to)), full);
    }
}

fn wheel(app: &mut App, found: &[(Rect, Target)], chart: Option<(usize, f64)>, up: i32) {
    let pane = found.iter().find_map(|(_, t)| match t {
        Target::Pane(pane) | Target::Row(pane, _) => Some(*pane),
        _ => None,
    });
    match chart {
        Some((pane, at)) => {
            app.update(Action::Pane(pane));
            if let Some(title) = app.screen.screen().chart.and_then(|chart| chart(app)) {
                app.lens.zoom(&title, if up > 0 { 0.8 } else { 1.25 }, at, curves::full(app));
            }
        }
        None => {
            if let Some(pane) = pane.filter(|pane| *pane != app.focus[app.screen as usize]) {
                app.update(Action::Pane(pane));
            }
            app.update(if up > 0 { Action::Up } else { Action::Down });
        }
    }
}

fn seek(app: &mut App, area: Rect, last: usize, x: u16) {
    let share = f64::from(x.saturating_sub(area.x)) / f64::from(area.width.max(2) - 1);
    app.transport.playing = false;
    app.seek((share * last as f64).round() as usize);
}

/// The value of the x-axis under a column.
fn place(app: &App, area: Rect, (low, high): (f64, f64), x: u16) -> f64 {
    let share = f64::from(x.saturating_sub(area.x)) / f64::from(area.width.max(2) - 1);
    match app.lens.log_x {
        true => low.max(1.0) * (high / low.max(1.0)).powf(share),
        false => low + share * (high - low),
    }
}
