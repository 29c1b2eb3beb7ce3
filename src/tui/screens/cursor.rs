//! Below the tokens: everything about the one under the cursor.
//!
//! ```text
//! signals of the token | what was likely here, or both lenses | span or turn: sums | gaps of the rollout
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::Room;
use super::panes::nothing;
use super::tokens::span;
use crate::core::TokenRecord;
use crate::tui::data::TokenSignal;
use crate::tui::lenses::Lenses;
use crate::tui::mouse::Target;
use crate::tui::scene::{Scene, signals};
use crate::tui::theme::Role;
use crate::tui::tokens::{Channel, values};
use crate::tui::{glyph, text};

/// Draws the panes there is room for.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let room = Room::of(frame.area());
    scene.hit(area, Target::Pane(1));
    if room <= Room::One {
        let second = if scene.app.focus[2] == 1 { token } else { likely_or_sums };
        return second(frame, area, scene, focused);
    }
    let columns = [Constraint::Fill(5), Constraint::Fill(4), Constraint::Fill(3)];
    let gaps_room = Constraint::Fill(if room == Room::Three { 3 } else { 0 });
    let [left, middle, right, last] = Layout::horizontal([columns[0], columns[1], columns[2], gaps_room]).areas(area);
    token(frame, left, scene, focused);
    likely(frame, middle, scene);
    sums(frame, right, scene);
    gaps(frame, last, scene);
}

/// With one pane: what was likely if it is known, else sums.
fn likely_or_sums(frame: &mut Frame, area: Rect, scene: &Scene, _focused: bool) {
    let here = scene.app.rollout_tokens().get(scene.app.token_at());
    let known = here.is_some_and(|t| !t.top.is_empty()) || scene.app.channel == Channel::Lens;
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    token(frame, left, scene, false);
    if known { likely(frame, right, scene) } else { sums(frame, right, scene) }
}

/// All signals of the token under the cursor.
fn token(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let at = scene.app.token_at();
    let Some(token) = scene.app.rollout_tokens().get(at) else {
        let inner = scene.pane(frame, area, scene.title("cursor", focused).into(), focused);
        return scene.lines(frame, inner, nothing(scene, "no token"));
    };
    let label = scene.app.labels.get(at).map_or("", String::as_str);
    let title = format!("token {} \"{}\" id {}", token.position, text::fit(label, 24), token.id);
    let learned = if token.mask { "in the loss" } else { "masked" };
    let right = scene.span(if token.mask { Role::Good } else { Role::Masked }, format!(" {learned} ")).into();
    let inner = scene.pane_with(frame, area, scene.title(&title, focused).into(), right, focused);
    let mut cells = signals(token);
    let share = values(scene.app, Channel::LossShare, None).get(at).copied().flatten();
    cells.push(("share %", share.map(|s| s * 100.0)));
    let columns = usize::from(inner.width / 22).clamp(1, 3);
    let rows = cells.len().div_ceil(columns);
    let value = |v: Option<f32>| v.map_or("—".into(), |v| text::number(f64::from(v)));
    let lines = (0..rows).map(|row| {
        let parts = (0..columns).filter_map(|column| cells.get(column * rows + row));
        Line::from_iter(parts.flat_map(|(name, v)| {
            [scene.span(Role::Dim, format!(" {name:<12}")), scene.span(Role::Text, format!("{:>8} ", value(*v)))]
        }))
    });
    scene.lines(frame, inner, lines.collect());
}

/// The most likely tokens of both views; through lenses what each method does here.
fn likely(frame: &mut Frame, area: Rect, scene: &Scene) {
    if scene.app.channel == Channel::Lens {
        return lenses(frame, area, scene);
    }
    let inner = scene.pane(frame, area, scene.title("likely here", false).into(), false);
    let here = scene.app.rollout_tokens().get(scene.app.token_at());
    let Some(token) = here.filter(|t| !t.top.is_empty()) else {
        let why = text::wrap("no list was recorded here: `record.top_k` in the recipe does", usize::from(inner.width));
        let line = |line: String| Line::styled(format!(" {line}"), scene.style(Role::Faint));
        return scene.lines(frame, inner, why.into_iter().map(line).collect());
    };
    let names = &scene.app.states.tokens.top_labels;
    let cells = usize::from(inner.width);
    let bar = cells.saturating_sub(12 + 2 * 6) / 2;
    let mut listed = token.top.clone();
    listed.sort_by(|a, b| b.student.max(b.teacher).total_cmp(&a.student.max(a.teacher)));
    let mut lines =
        vec![Line::styled(format!(" {:<11}{:<w$}{}", "", "student", "teacher", w = bar + 6), scene.style(Role::Dim))];
    lines.extend(listed.iter().take(usize::from(inner.height).saturating_sub(1)).map(|one| {
        let (student, teacher) = (f64::from(one.student.exp()), f64::from(one.teacher.exp()));
        let name = names.get(&one.id).map_or_else(|| format!("⟨{}⟩", one.id), Clone::clone);
        let role = if one.id == token.id { Role::Select } else { Role::Text };
        Line::from(vec![
            scene.span(role, format!(" {} ", text::pad(&name, 9))),
            scene.span(Role::Text, format!("{student:>5.2} ")),
            scene.span(Role::Series2, format!("{:<bar$}", glyph::gauge(student, bar))),
            scene.span(Role::Text, format!("{teacher:>5.2} ")),
            scene.span(Role::Series1, glyph::gauge(teacher, bar)),
        ])
    }));
    scene.lines(frame, inner, lines);
}

/// Both lenses on the token, and what they cannot know.
fn lenses(frame: &mut Frame, area: Rect, scene: &Scene) {
    let app = scene.app;
    let state = &app.states.tokens.lenses;
    let inner = scene.pane(frame, area, scene.title("lenses  V B", false).into(), false);
    let at = app.episode().map_or(0, |e| app.data.token_start(e)) + app.token_at();
    let names = Lenses::names();
    let number = |v: Option<f32>| v.map_or("—".into(), |v| text::number(f64::from(v)));
    let loss = |said: String| if inner.width >= 42 { format!("{said:>9}") } else { String::new() };
    let head = format!(" {:<10}{:>7}{:>7}{:>8}{}", "", "push", "adv", "weight", loss("loss".into()));
    let mut lines = vec![Line::styled(head, scene.style(Role::Dim))];
    for method in [state.first, state.second].into_iter().flatten() {
        let seen = state.seen(method, at);
        let push = state.push(method, at);
        let role = push.map_or(Role::Text, |p| Channel::Lens.role(p));
        lines.push(Line::from(vec![
            scene.span(Role::Text, format!(" {}", text::pad(names.get(method).copied().unwrap_or(""), 10))),
            scene.span(role, format!("{:>7}", number(push))),
            scene.span(Role::Text, format!("{:>7}", number(seen.map(|s| s.advantage)))),
            scene.span(Role::Text, format!("{:>8}", number(seen.and_then(|s| s.weight)))),
            scene.span(Role::Text, loss(number(seen.map(|s| s.loss)))),
        ]));
    }
    let cells = usize::from(inner.width).saturating_sub(2);
    for method in [state.first, state.second].into_iter().flatten() {
        let name = names.get(method).copied().unwrap_or("");
        for remark in state.remarks(method) {
            let wrapped = text::wrap(&format!("{name}: {remark}"), cells).into_iter();
            lines.extend(wrapped.map(|line| Line::styled(format!(" {line}"), scene.style(Role::Warn))));
        }
    }
    scene.lines(frame, inner, lines);
}

/// Sums over the span, or the turn if none was begun.
fn sums(frame: &mut Frame, area: Rect, scene: &Scene) {
    let span = span(scene.app);
    let (tokens, title) = match &span {
        Some(range) => (scene.app.rollout_tokens().get(range.clone()).unwrap_or(&[]), "span  v ends"),
        None => (scene.app.turn_tokens().0, "this turn"),
    };
    let inner = scene.pane(frame, area, scene.title(title, false).into(), false);
    let signal = TokenSignal::of(tokens);
    let sum = |of: fn(&TokenRecord) -> Option<f32>| -> Option<f32> {
        let values: Vec<f32> = tokens.iter().filter(|t| t.mask).filter_map(of).filter(|v| v.is_finite()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    };
    let row = |name: &'static str, value: String| {
        Line::from(vec![scene.span(Role::Dim, format!(" {name:<14}")), scene.span(Role::Text, value)])
    };
    let number = |v: Option<f32>, unit: &str| v.map_or("—".into(), |v| format!("{v:+.3}{unit}"));
    let lines = vec![
        row("sampled", format!("{} of {}", signal.sampled, tokens.len())),
        row("Σ gap", number(sum(TokenRecord::gap), " nats")),
        row("Σ lp student", number(sum(|t| t.student.or(t.old)), "")),
        row("Σ lp teacher", number(sum(|t| t.teacher), "")),
        row("Σ push", sum(|t| t.coefficient.map(|c| -c)).map_or("—".into(), |v| text::number(f64::from(v)))),
        row("gap, mean", number(signal.gap, "")),
        row("gate, mean", signal.gate.map_or("—".into(), |v| format!("{v:.3}"))),
        row("hot |gap|≥0.5", format!("{}   w b", signal.hot)),
    ];
    scene.lines(frame, inner, lines);
}

/// How many sampled tokens of the rollout the teacher rejects or endorses, from « to ».
fn gaps(frame: &mut Frame, area: Rect, scene: &Scene) {
    const SIGNS: [(&str, &str, Role); 5] = [
        ("«", "rejected", Role::Series2),
        ("−", "", Role::Series2),
        ("·", "indifferent", Role::Dim),
        ("+", "", Role::Series1),
        ("»", "endorsed", Role::Series1),
    ];
    let inner = scene.pane(frame, area, scene.title("this rollout", false).into(), false);
    let sampled = scene.app.rollout_tokens().iter().filter(|t| t.mask);
    let signs: Vec<&str> = sampled.filter_map(TokenRecord::gap).map(glyph::gap_sign).collect();
    let count = |sign: &str| signs.iter().filter(|s| **s == sign).count();
    let most = SIGNS.iter().map(|(sign, ..)| count(sign)).max().unwrap_or(0).max(1);
    let cells = usize::from(inner.width).saturating_sub(23);
    let line = |(sign, word, role): &(&'static str, &'static str, Role)| {
        let n = count(sign);
        let bar = glyph::gauge(n as f64 / most as f64, cells);
        Line::from(vec![
            scene.span(*role, format!(" {sign} ")),
            scene.span(Role::Dim, format!("{word:<12}")),
            scene.span(Role::Text, format!("{n:>5}  ")),
            scene.span(*role, bar),
        ])
    };
    scene.lines(frame, inner, SIGNS.iter().map(line).collect());
}
