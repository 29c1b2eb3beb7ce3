//! The bottom line: a notice, or the keys that matter here.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::keys;
use crate::tui::overlay::Overlay;
use crate::tui::scene::Scene;
use crate::tui::text;
use crate::tui::theme::Role;

/// Draws the footer from the table of keys.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let app = scene.app;
    let line = match (&app.overlay, &app.notice) {
        (Overlay::Jump { text }, _) => Line::from(vec![
            scene.span(Role::Accent, " go to step: "),
            scene.span(Role::Text, text.clone()),
            scene.span(Role::Select, " "),
            scene.span(Role::Dim, "  Enter go  Esc cancel"),
        ]),
        (_, Some((notice, _))) => Line::styled(
            format!(" {}", text::fit(notice, usize::from(area.width).saturating_sub(2))),
            scene.style(Role::Accent),
        ),
        _ => keys_line(scene, usize::from(area.width)),
    };
    scene.lines(frame, area, vec![line]);
}

fn keys_line<'a>(scene: &Scene<'a>, cells: usize) -> Line<'a> {
    let mut line = Line::default();
    for binding in keys::footer(scene.app.screen, scene.app.mode) {
        let key = binding.keys.first().map_or(String::new(), |k| k.label());
        let word = binding.help.split(':').next().unwrap_or("");
        if line.width() + text::width(&key) + text::width(word) + 4 <= cells {
            line.push_span(scene.span(Role::Key, format!(" {key}")));
            line.push_span(scene.span(Role::Dim, format!(" {word} ")));
        }
    }
    line
}
