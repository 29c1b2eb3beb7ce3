//! What lies on top: help and the quit menu. (The jump line is drawn in the footer.)

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::keys;
use crate::tui::overlay::{Overlay, QUIT_MENU};
use crate::tui::scene::Scene;
use crate::tui::text;
use crate::tui::theme::Role;

/// Draws the layer on top, if there is one.
pub fn draw(frame: &mut Frame, scene: &Scene) {
    match &scene.app.overlay {
        Overlay::Help { query, scroll } => help(frame, scene, query, *scroll),
        Overlay::Quit { item } => quit(frame, scene, *item),
        Overlay::None | Overlay::Jump { .. } => {}
    }
}

fn help(frame: &mut Frame, scene: &Scene, query: &str, scroll: usize) {
    let app = scene.app;
    let rows = keys::help(app.screen, app.mode, query);
    let inner = scene.popup(frame, 72, rows.len() as u16 + 4, "keys");
    let found = format!("  {} of {}  Esc close", rows.len(), keys::BINDINGS.len());
    let search = Line::from(vec![
        scene.span(Role::Dim, " search "),
        scene.span(Role::Text, text::clean(query)),
        scene.span(Role::Select, " "),
        scene.span(Role::Dim, found),
    ]);
    let body = usize::from(inner.height).saturating_sub(2);
    let first = scroll.min(rows.len().saturating_sub(body));
    let mut lines = vec![search, Line::default()];
    lines.extend(rows[first..].iter().take(body).map(|binding| {
        let role = if binding.applies(app.screen, app.mode) { Role::Text } else { Role::Faint };
        Line::from(vec![
            scene.span(Role::Key, format!(" {}", text::pad(&binding.label(), 12))),
            scene.span(role, text::pad(binding.help, 44)),
            scene.span(Role::Dim, binding.group),
        ])
    }));
    scene.lines(frame, inner, lines);
}

fn quit(frame: &mut Frame, scene: &Scene, item: usize) {
    let inner = scene.popup(frame, 74, QUIT_MENU.len() as u16 + 4, "leave this run?");
    let row = |(at, (key, name, what, _)): (usize, &(char, &'static str, &'static str, _))| {
        let role = if at == item { Role::Select } else { Role::Text };
        Line::from(vec![
            scene.span(Role::Key, format!(" {key} ")),
            scene.span(role, format!(" {name:<21}")),
            scene.span(Role::Dim, format!(" {what}")),
        ])
    };
    let list = Rect { y: inner.y + inner.height.min(1), height: inner.height.saturating_sub(1), ..inner };
    scene.lines(frame, list, QUIT_MENU.iter().enumerate().map(row).collect());
}
