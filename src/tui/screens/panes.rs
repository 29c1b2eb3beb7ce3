//! Panes that several screens show.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::scene::Scene;
use crate::tui::theme::Role;
use crate::tui::{glyph, text};

/// Skills the teacher was shown in the selected step, most used first, with the share of won episodes.
pub fn skills(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let step = scene.app.step();
    let upto = scene.view.steps.partition_point(|s| s.step <= step);
    let mut used = scene.view.steps[..upto].last().map_or(vec![], |s| s.skills.to_vec());
    used.sort_by(|a, b| b.uses.cmp(&a.uses).then_with(|| a.id.cmp(&b.id)));
    let count = scene.span(Role::Dim, format!(" {} ", used.len()));
    let inner = scene.pane_with(frame, area, scene.title("skills in use", focused).into(), count.into(), focused);
    let cells = usize::from(inner.width);
    let name = cells.saturating_sub(22).max(6);
    let line = |skill: &crate::core::event::SkillUse| {
        let won = f64::from(skill.won) / f64::from(skill.uses.max(1));
        let gap = skill.gap.map_or("—".into(), |g| format!("{g:+.2}"));
        Line::from(vec![
            scene.span(Role::Text, text::pad(&skill.title, name)),
            scene.span(Role::Bar, format!(" {:<6}", glyph::gauge(won, 6))),
            scene.span(Role::Dim, format!("{:>3}/{:<3} {gap:>6}", skill.won, skill.uses)),
        ])
    };
    let height = usize::from(inner.height);
    let first = if focused { scene.app.scroll.min(used.len().saturating_sub(height)) } else { 0 };
    let lines: Vec<_> = used[first..].iter().take(height).map(line).collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "no skill was used") } else { lines });
}

/// A pane that has nothing to show says so.
pub fn nothing<'a>(scene: &Scene<'a>, what: &'static str) -> Vec<Line<'a>> {
    vec![Line::styled(format!(" {what}"), scene.style(Role::Faint))]
}
