//! The bottom line: a notice, or the keys that matter here.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::command;
use crate::tui::keys::Bound;
use crate::tui::mouse::Target;
use crate::tui::overlay::{Ask, Overlay};
use crate::tui::scene::Scene;
use crate::tui::text;
use crate::tui::theme::Role;

/// Draws the footer from the table of keys.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let app = scene.app;
    let line = match (&app.overlay, &app.notice) {
        (Overlay::Line { ask, text }, _) => typed_line(scene, ask, text),
        (_, Some((notice, _))) => Line::styled(
            format!(" {}", text::fit(notice, usize::from(area.width).saturating_sub(2))),
            scene.style(Role::Accent),
        ),
        _ => keys_line(scene, area),
    };
    scene.lines(frame, area, vec![line]);
}

/// The line being typed, and what it may become.
fn typed_line<'a>(scene: &Scene<'a>, ask: &Ask, typed: &str) -> Line<'a> {
    let (prompt, hint) = match ask {
        Ask::Jump => (" go to step, alert or mark: ", "  Enter go  Esc cancel".to_owned()),
        Ask::Find => (" /", "  Enter keep  n N walk  Esc cancel".to_owned()),
        Ask::Own(_, prompt) => (*prompt, "  Enter  Esc cancel".to_owned()),
        Ask::Command => (" :", format!("  {}", command::completions(scene.app, typed).join("  "))),
    };
    Line::from(vec![
        scene.span(Role::Accent, prompt),
        scene.span(Role::Text, text::clean(typed)),
        scene.span(Role::Select, " "),
        scene.span(Role::Dim, hint),
    ])
}

fn keys_line<'a>(scene: &Scene<'a>, area: Rect) -> Line<'a> {
    let cells = usize::from(area.width);
    let mut line = Line::default();
    let shown = scene.app.keymap.footer(scene.app.screen, scene.app.mode, scene.app.is_live());
    let key_of = |bound: &Bound| bound.keys.first().map_or(String::new(), |k| k.label());
    let width_of = |bound: &Bound| text::width(&key_of(bound)) + text::width(bound.word()) + 3;
    // how to leave is always said
    let last = shown.last().map_or(0, |bound| width_of(bound));
    for (at, bound) in shown.iter().enumerate() {
        let (key, width) = (key_of(bound), width_of(bound));
        let kept = if at + 1 < shown.len() { last } else { 0 };
        if line.width() + width + kept <= cells {
            let place = Rect { x: area.x + line.width() as u16, width: width as u16, height: 1, ..area };
            scene.hit(place, Target::Key(bound.binding.action));
            line.push_span(scene.span(Role::Key, format!(" {key}")));
            line.push_span(scene.span(Role::Dim, format!(" {} ", bound.word())));
        }
    }
    line
}
