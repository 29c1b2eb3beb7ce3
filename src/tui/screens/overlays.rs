//! What lies on top: help, palette, menus, pages. (A line being typed is drawn in the footer.)

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::command;
use crate::tui::overlay::{MenuItem, Overlay, QUIT_MENU};
use crate::tui::scene::{Scene, window};
use crate::tui::text;
use crate::tui::theme::Role;

/// Draws the layer on top, if there is one.
pub fn draw(frame: &mut Frame, scene: &Scene) {
    match &scene.app.overlay {
        Overlay::Help { query, scroll } => help(frame, scene, query, *scroll),
        Overlay::Palette { query, item } => palette(frame, scene, query, *item),
        Overlay::Menu { title, items, item } => menu(frame, scene, title, (items, *item)),
        Overlay::Page { title, lines, scroll } => page(frame, scene, title, (lines, *scroll)),
        Overlay::Quit { item } => quit(frame, scene, *item),
        Overlay::None | Overlay::Line { .. } => {}
    }
}

fn help(frame: &mut Frame, scene: &Scene, query: &str, scroll: usize) {
    let app = scene.app;
    let rows = app.keymap.help(app.screen, app.mode, query);
    let inner = scene.popup(frame, 76, rows.len() as u16 + 4, "keys");
    let found = format!("  {} of {}  Esc close", rows.len(), app.keymap.rows().len());
    let search = Line::from(vec![
        scene.span(Role::Dim, " search "),
        scene.span(Role::Text, text::clean(query)),
        scene.span(Role::Select, " "),
        scene.span(Role::Dim, found),
    ]);
    let body = usize::from(inner.height).saturating_sub(2);
    let first = scroll.min(rows.len().saturating_sub(body));
    let mut lines = vec![search, Line::default()];
    lines.extend(rows[first..].iter().take(body).map(|bound| {
        let role = if bound.binding.applies(app.screen, app.mode) { Role::Text } else { Role::Faint };
        Line::from(vec![
            scene.span(Role::Key, format!(" {}", text::pad(&bound.label(), 12))),
            scene.span(role, text::pad(bound.binding.help, 46)),
            scene.span(Role::Dim, bound.binding.group),
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

fn palette(frame: &mut Frame, scene: &Scene, query: &str, item: usize) {
    let entries = command::entries(scene.app, query);
    let inner = scene.popup(frame, 76, (entries.len() as u16).min(20) + 4, "palette");
    let item = item.min(entries.len().saturating_sub(1));
    let body = usize::from(inner.height).saturating_sub(2);
    let first = window(entries.len(), item, body);
    let typed = [scene.span(Role::Accent, " > "), scene.span(Role::Text, text::clean(query))];
    let mut lines = vec![Line::from([&typed[..], &[scene.span(Role::Select, " ")]].concat()), Line::default()];
    lines.extend(entries.iter().enumerate().skip(first).take(body).map(|(at, entry)| {
        Line::from(vec![
            scene.span(if at == item { Role::Select } else { Role::Text }, format!(" {}", text::pad(&entry.name, 18))),
            scene.span(Role::Dim, format!(" {}", text::pad(&entry.help, 44))),
            scene.span(Role::Key, text::fit(&entry.keys, 10)),
        ])
    }));
    scene.lines(frame, inner, lines);
}

fn menu(frame: &mut Frame, scene: &Scene, title: &str, (items, item): (&[MenuItem], usize)) {
    let inner = scene.popup(frame, 76, items.len() as u16 + 4, title);
    let list = Rect { y: inner.y + inner.height.min(1), height: inner.height.saturating_sub(1), ..inner };
    let first = window(items.len(), item, usize::from(list.height));
    let row = |(at, entry): (usize, &MenuItem)| {
        Line::from(vec![
            scene.span(if at == item { Role::Select } else { Role::Text }, format!(" {}", text::pad(&entry.name, 22))),
            scene.span(Role::Dim, format!(" {}", text::fit(&entry.note, 48))),
        ])
    };
    let none = vec![Line::styled(" there is nothing to choose here", scene.style(Role::Faint))];
    let lines: Vec<_> = items.iter().enumerate().skip(first).take(usize::from(list.height)).map(row).collect();
    scene.lines(frame, list, if lines.is_empty() { none } else { lines });
}

fn page(frame: &mut Frame, scene: &Scene, title: &str, (lines, scroll): (&[String], usize)) {
    let inner = scene.popup(frame, 100, lines.len() as u16 + 2, title);
    let height = usize::from(inner.height);
    let first = scroll.min(lines.len().saturating_sub(height));
    let shown = lines[first..].iter().take(height);
    let line = |text: &String| Line::styled(format!(" {}", text::clean(text)), scene.style(Role::Text));
    scene.lines(frame, inner, shown.map(line).collect());
}
