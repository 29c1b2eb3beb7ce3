//! One line per rollout of the same task, over the steps: the same turn, coloured by the channel; the token at the place
//! of the cursor is selected, and its number stands in front.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::panes::nothing;
use crate::tui::glyph;
use crate::tui::past::Entry;
use crate::tui::scene::Scene;
use crate::tui::text;
use crate::tui::theme::Role;

/// Draws the pane.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let app = scene.app;
    let Some(past) = &app.states.tokens.past else { return };
    let (tokens, _) = app.turn_tokens();
    let before = tokens.iter().take(app.pick.token).filter(|t| t.mask).count();
    let wanted = tokens.get(app.pick.token).filter(|t| t.mask).map(|t| t.id);
    let steps = past.entries.iter().map(|e| e.id.step).collect::<std::collections::BTreeSet<_>>().len();
    let title = format!("turn {} of this task over {steps} steps", past.turn + 1);
    let note = if past.left > 0 { format!(" {} to read ", past.left) } else { " H closes ".into() };
    let title = scene.title(&title, false).into();
    let inner = scene.pane_with(frame, area, title, scene.span(Role::Dim, note).into(), false);
    if steps < 2 && past.left == 0 {
        return scene.lines(frame, inner, nothing(scene, "the task was played in this step only"));
    }
    let same =
        |entry: &Entry| entry.tokens.get(before).filter(|t| Some(t.id) == wanted).and_then(|t| app.channel.value(t));
    let course: Vec<f64> = past.entries.iter().map(|e| same(e).map_or(f64::NAN, f64::from)).collect();
    let cells = usize::from(inner.width);
    let word = format!(" {} of the token at the cursor ", app.channel.name());
    let mut lines = vec![Line::from(vec![
        scene.span(Role::Dim, word.clone()),
        scene.span(Role::Series1, glyph::sparkline(&course, cells.saturating_sub(text::width(&word) + 1))),
    ])];
    let height = usize::from(inner.height).saturating_sub(1);
    let from = past.entries.len().saturating_sub(height);
    lines.extend(past.entries[from..].iter().map(|entry| line(scene, entry, (before, same(entry)), cells)));
    scene.lines(frame, inner, lines);
}

/// `  12 #3 ✔  -0.12  go to cabinet 3`
fn line<'a>(scene: &Scene<'a>, entry: &Entry, (place, value): (usize, Option<f32>), cells: usize) -> Line<'a> {
    let here = scene.app.episode().is_some_and(|e| e.id == entry.id);
    let (sign, role) = if entry.won { ("✔", Role::Good) } else { ("✘", Role::Warn) };
    let number = value.map_or("—".into(), |v| text::number(f64::from(v)));
    let mut line = Line::from(vec![
        scene.span(
            if here { Role::Select } else { Role::Text },
            format!("{:>5} #{:<2}", entry.id.step, entry.id.member + 1),
        ),
        scene.span(role, format!(" {sign} ")),
        scene.span(Role::Text, format!("{number:>8}  ")),
    ]);
    if entry.tokens.is_empty() {
        line.push_span(scene.span(Role::Dim, text::fit(&entry.action, cells.saturating_sub(line.width()))));
        return line;
    }
    for (at, (token, label)) in entry.tokens.iter().zip(&entry.labels).enumerate() {
        let left = cells.saturating_sub(line.width());
        if left < 2 {
            break;
        }
        let role = match scene.app.channel.value(token) {
            _ if at == place => Role::Select,
            Some(value) => scene.app.channel.role(value),
            None => Role::Text,
        };
        line.push_span(scene.span(role, text::fit(label, left)));
    }
    line
}
