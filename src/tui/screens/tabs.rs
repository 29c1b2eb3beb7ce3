//! The line on top of a single pane: the screens, the panes around the focused one, the headline.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::SCREENS;
use crate::tui::mouse::Target;
use crate::tui::scene::Scene;
use crate::tui::text;
use crate::tui::theme::Role;

/// The screens by number; the chosen one in full. Says where each is, for the mouse.
pub fn screens<'a>(scene: &Scene<'a>, area: Rect) -> Line<'a> {
    let mut line = Line::default();
    for screen in &SCREENS {
        let on = screen.id == scene.app.screen;
        let name = if on { screen.name } else { screen.short };
        let x = area.x.saturating_add(line.width() as u16);
        let label = format!(" {} {name} ", screen.id as usize + 1);
        let place = Rect { x, width: text::width(&label) as u16, height: 1, ..area };
        scene.hit(place.intersection(area), Target::Screen(screen.id));
        line.push_span(scene.span(if on { Role::Select } else { Role::Dim }, label));
    }
    line
}

/// Draws the line.
pub fn tabs(frame: &mut Frame, area: Rect, scene: &Scene) {
    let app = scene.app;
    let mut line = screens(scene, area);
    line.push_span(scene.span(Role::Faint, "│"));
    let headline = headline(scene);
    let room = usize::from(area.width).saturating_sub(line.width() + text::width(&headline) + 1);
    let focus = app.focus[app.screen as usize];
    let end = line.width() + room;
    for (at, name) in app.screen.screen().panes.iter().enumerate().skip(focus) {
        if line.width() + name.len() + 1 > end {
            break;
        }
        line.push_span(scene.span(if at == focus { Role::Focus } else { Role::Dim }, format!(" {name}")));
    }
    let used = line.width() + text::width(&headline);
    if used <= usize::from(area.width) {
        line.push_span(Span::raw(" ".repeat(usize::from(area.width) - used)));
        line.push_span(scene.span(Role::Text, headline));
    }
    scene.lines(frame, area, vec![line]);
}

/// What one looks at first, in one short line for terminals that show only one pane.
fn headline(scene: &Scene) -> String {
    let value = |name| scene.figure(name);
    format!("r {} ✔ {} ∅ {} ", value("reward/mean"), value("success/mean"), value("groups/no_signal"))
}
