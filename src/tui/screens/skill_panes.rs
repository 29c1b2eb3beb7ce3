//! The panes of the skills: the list, the selected one, who used it, how the bank changed.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::groups::rows_hit;
use super::panes::nothing;
use crate::core::Ending;
use crate::tui::scene::{Scene, window};
use crate::tui::theme::Role;
use crate::tui::worth::{self, Status, Worth};
use crate::tui::{glyph, text};

/// The list: status, title, uses, share won, uplift, gap, gate, UCB.
pub fn bank(frame: &mut Frame, area: Rect, scene: &Scene, (all, at): (&[Worth], usize), focused: bool) {
    let gone = all.iter().filter(|w| matches!(w.status, Status::Gone(_))).count();
    let title = format!("bank at step {} · {} skills", scene.app.step(), all.len() - gone);
    let by = scene.span(Role::Dim, format!(" {} ↓ ", scene.app.states.skills.by.name()));
    let inner = scene.pane_with(frame, area, scene.title(&title, focused).into(), by.into(), focused);
    if all.is_empty() {
        return scene.lines(frame, inner, nothing(scene, "no skill was recorded"));
    }
    let cells = usize::from(inner.width);
    // columns from the right go first where there is no room
    let shown = (1..=COLUMNS.len()).rev().find(|n| cells >= 18 + n * 7).unwrap_or(0);
    let name = cells.saturating_sub(3 + shown * 7);
    let mut head = Line::from(scene.span(Role::Dim, format!("   {}", text::pad("skill", name))));
    head.extend(COLUMNS[..shown].iter().map(|(name, _)| scene.span(Role::Dim, format!("{name:>7}"))));
    let height = usize::from(inner.height).saturating_sub(1);
    let first = window(all.len(), at, height);
    let list = Rect { y: inner.y.saturating_add(1), height: inner.height.saturating_sub(1), ..inner };
    rows_hit(scene, list, 0, first, all.len());
    let mut lines = vec![head];
    lines.extend(all.iter().enumerate().skip(first).take(height).map(|(place, worth)| {
        let (sign, _) = worth.status.shown();
        let role = match worth.status {
            Status::Active => Role::Good,
            Status::Disabled => Role::Dim,
            Status::Gone(_) => Role::Faint,
        };
        let title = if place == at { Role::Select } else { Role::Text };
        let mut line = Line::from(vec![
            scene.span(Role::Accent, if place == at { "▸" } else { " " }),
            scene.span(role, format!("{sign} ")),
            scene.span(title, text::pad(&worth.title, name)),
        ]);
        line.extend(COLUMNS[..shown].iter().map(|(_, of)| scene.span(Role::Text, format!("{:>7}", of(worth)))));
        line
    }));
    scene.lines(frame, inner, lines);
}

/// A column: its name, and how it is read.
type Column = (&'static str, fn(&Worth) -> String);

const COLUMNS: [Column; 6] = [
    ("uses", |w| w.uses.to_string()),
    ("won", |w| if w.uses > 0 { format!("{:.2}", w.won as f64 / w.uses as f64) } else { "—".into() }),
    ("uplift", |w| signed(w.uplift)),
    ("gap", |w| signed(w.gap)),
    ("gate", |w| w.gate.map_or("—".into(), |v| format!("{v:.2}"))),
    ("UCB", |w| w.ucb.map_or("—".into(), |v| format!("{v:.2}"))),
];

fn signed(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or("—".into(), |v| format!("{v:+.2}"))
}

/// The selected skill: what the teacher reads, where it comes from, what came of it.
pub fn words(frame: &mut Frame, area: Rect, scene: &Scene, (all, at): (&[Worth], usize), focused: bool) {
    let Some(worth) = all.get(at) else {
        let inner = scene.pane(frame, area, scene.title("text", focused).into(), focused);
        return scene.lines(frame, inner, nothing(scene, "no skill is selected"));
    };
    let right = scene.span(Role::Dim, format!(" {} ", worth.status.shown().1)).into();
    let title = scene.title(&text::fit(&worth.id, 32), focused).into();
    let inner = scene.pane_with(frame, area, title, right, focused);
    let cells = usize::from(inner.width).saturating_sub(2);
    let mut lines: Vec<Line> = Vec::new();
    let mut say = |role: Role, said: &str| {
        lines.extend(text::wrap(said, cells).into_iter().map(|l| Line::styled(format!(" {l}"), scene.style(role))));
    };
    say(Role::Title, &worth.title);
    match &worth.card {
        None => say(Role::Faint, "the text was not recorded by this run"),
        Some(card) => {
            say(Role::Text, &card.text);
            if let Some(when) = &card.when {
                say(Role::Dim, &format!("when: {when}"));
            }
            for (name, said) in card.analyses.parts().into_iter().filter(|(_, said)| !said.is_empty()) {
                say(Role::Dim, &format!("{}: {said}", name.replace('_', " ")));
            }
            let goals = if card.keywords.is_empty() { "every goal".into() } else { card.keywords.join(", ") };
            say(Role::Info, &format!("{} · {goals}", card.category));
            say(Role::Dim, &worth::author(card));
        }
    }
    say(Role::Text, "");
    let ((won, of), (other_won, other)) = scene.app.states.skills.measured;
    let share =
        |won: u64, of: u64| if of > 0 { format!("{:.2} of {of}", won as f64 / of as f64) } else { "—".into() };
    say(Role::Text, &format!("recorded rollouts: with it {}, without it {}", share(won, of), share(other_won, other)));
    if let Some((step, used)) = &worth.used {
        say(
            Role::Dim,
            &format!("last used in step {step}: {} of {} won, gap {}", used.won, used.uses, signed(used.gap)),
        );
        if used.total.picks > 0 {
            let endorsed = signed(used.total.gap_won);
            say(Role::Dim, &format!("gap on won rollouts {endorsed}; chosen {} times", used.total.picks));
        }
        if used.total.said > 0 {
            say(Role::Dim, &format!("{} further episodes said the same and were not added again", used.total.said));
        }
        if let Some(utility) = used.total.utility {
            say(Role::Dim, &format!("utility for students {utility:+.3} over {} comparisons", used.total.trials));
        }
    }
    let course: Vec<f64> = course(scene, &worth.id);
    if course.len() > 1 {
        let bars = glyph::sparkline(&course, cells.saturating_sub(12));
        lines.push(Line::from(vec![scene.span(Role::Dim, " gap by step "), scene.span(Role::Series1, bars)]));
    }
    let height = usize::from(inner.height);
    let first = if focused { scene.app.scroll.min(lines.len().saturating_sub(height)) } else { 0 };
    scene.lines(frame, inner, lines.into_iter().skip(first).take(height).collect());
}

/// The mean gap of every step that used the skill.
fn course(scene: &Scene, id: &str) -> Vec<f64> {
    let upto = scene.view.steps.iter().take_while(|s| s.step <= scene.app.step());
    upto.filter_map(|s| s.skills.iter().find(|u| u.id == id)).map(|u| u.gap.unwrap_or(f64::NAN)).collect()
}

/// Rollouts whose teacher read the skill.
pub fn users(frame: &mut Frame, area: Rect, scene: &Scene, _: (&[Worth], usize), focused: bool) {
    let state = &scene.app.states.skills;
    let title = format!("used by {} rollouts", state.used.len());
    let right = scene.span(Role::Dim, " Enter goes there ").into();
    let inner = scene.pane_with(frame, area, scene.title(&title, focused).into(), right, focused);
    let height = usize::from(inner.height);
    let first = window(state.used.len(), state.used_at, height);
    rows_hit(scene, inner, 2, first, state.used.len());
    let rows = scene.app.states.rollouts.list.rows();
    let cells = usize::from(inner.width).saturating_sub(31);
    let line = |(at, place): (usize, &u32)| {
        let row = rows.get(*place as usize)?;
        let (sign, role) = if row.ending == Ending::Won { ("✔", Role::Good) } else { ("✘", Role::Warn) };
        let chosen = focused && at == state.used_at;
        let gap = row.gap.map_or("     ·".into(), |g| format!("{g:>+6.2}"));
        Some(Line::from(vec![
            scene.span(Role::Accent, if chosen { "▸" } else { " " }),
            scene.span(
                if chosen { Role::Select } else { Role::Text },
                format!("{:>5} #{:<2}", row.id.step, row.id.member + 1),
            ),
            scene.span(role, format!(" {sign}{:>+7.2}", row.reward)),
            scene.span(Role::Dim, format!(" gap{gap} ")),
            scene.span(Role::Text, text::fit(&row.task.goal, cells)),
        ]))
    };
    let lines: Vec<_> = state.used.iter().enumerate().skip(first).take(height).filter_map(line).collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "none is recorded") } else { lines });
}

/// Changes of the bank, newest first.
pub fn changes(frame: &mut Frame, area: Rect, scene: &Scene, (all, at): (&[Worth], usize), focused: bool) {
    let mut lines: Vec<Line> = Vec::new();
    let chosen = all.get(at).map(|w| w.id.as_str());
    let inner = scene.pane(frame, area, scene.title("changes of the bank", focused).into(), focused);
    let cells = usize::from(inner.width);
    for (step, change) in scene.view.bank.changes(scene.app.step()) {
        let role = if Some(change.skill.id.as_str()) == chosen { Role::Accent } else { Role::Text };
        let head = format!("{step:>5} {} {:<8} ", worth::sign(change.happened), worth::word(change.happened));
        let title = text::fit(&change.skill.title, cells.saturating_sub(head.len()) / 2);
        let room = cells.saturating_sub(text::width(&head) + text::width(&title) + 2);
        lines.push(Line::from(vec![
            scene.span(Role::Dim, head),
            scene.span(role, title),
            scene.span(Role::Dim, format!("  {}", text::fit(&change.reason, room))),
        ]));
    }
    lines.reverse();
    let height = usize::from(inner.height);
    let first = if focused { scene.app.scroll.min(lines.len().saturating_sub(height)) } else { 0 };
    let shown: Vec<_> = lines.into_iter().skip(first).take(height).collect();
    scene.lines(frame, inner, if shown.is_empty() { nothing(scene, "the bank did not change") } else { shown });
}
