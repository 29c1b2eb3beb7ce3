//! Screen 3: the tokens of one rollout, coloured by what the teacher thinks of each.
//!
//! ```text
//! turn by turn, the text; under each token its channel as a bar and the sign of its gap
//! legend with the fixed scale
//! cursor: every signal of the token      turn: sums and means      gaps of the rollout
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::panes::nothing;
use super::tabs::tabs;
use super::{Room, Screen, prompts};
use crate::core::TokenRecord;
use crate::tui::app::{App, Effect};
use crate::tui::data::TokenSignal;
use crate::tui::keys::{Action, ScreenId};
use crate::tui::scene::{Scene, signals, window};
use crate::tui::select::{self, Go};
use crate::tui::theme::Role;
use crate::tui::tokens::{Channel, Flow, FlowLine, Scale, Stop, line_move, stop_move};
use crate::tui::{glyph, text, update};

/// The row of this screen.
pub const SCREEN: Screen =
    Screen { act, copied, ..Screen::new(ScreenId::Tokens, ("Tokens", "Tok"), &["text", "cursor"], draw) };

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {}

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    match action {
        Action::Left => select::set_token(app, stop_move(app, -1)),
        Action::Right => select::set_token(app, stop_move(app, 1)),
        Action::Enter => app.zoomed = true,
        Action::Escape if !app.zoomed && !app.prompts => update::go(app, ScreenId::Rollouts),
        _ if app.prompts && update::vertical(action).is_some() => drop(update::scroll(app, action)),
        _ => match update::vertical(action)? {
            Go::By(by) => select::set_token(app, line_move(app, by)),
            Go::First => app.pick.token = 0,
            Go::Last => app.pick.token = app.turn_tokens().0.len().saturating_sub(1),
        },
    }
    Some(vec![])
}

fn copied(app: &App) -> Vec<(&'static str, String)> {
    let token = app.turn_tokens().0.get(app.pick.token);
    token.map(|t| ("token", serde_json::to_string(t).unwrap_or_default())).into_iter().collect()
}

/// Draws the screen in the room there is.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let room = Room::of(frame.area());
    let mut body = area;
    if room <= Room::One {
        let [top, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        tabs(frame, top, scene);
        body = rest;
    }
    if scene.app.prompts {
        return prompts::draw(frame, body, scene);
    }
    if scene.app.zoomed {
        return stream(frame, body, scene, true);
    }
    let focus = scene.app.focus[2].min(1);
    let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Length(8)]).areas(body);
    stream(frame, top, scene, focus == 0);
    if room <= Room::One {
        return cursor(frame, bottom, scene, focus == 1);
    }
    let columns = [Constraint::Fill(6), Constraint::Fill(3), Constraint::Fill(if room == Room::Three { 3 } else { 0 })];
    let [left, middle, right] = Layout::horizontal(columns).areas(bottom);
    cursor(frame, left, scene, focus == 1);
    turn(frame, middle, scene);
    gaps(frame, right, scene);
}

/// The text pane with its legend as last line.
fn stream(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let app = scene.app;
    let Some(episode) = app.episode() else {
        let inner = scene.pane(frame, area, scene.title("tokens", focused).into(), focused);
        return scene.lines(frame, inner, nothing(scene, "no rollout is selected"));
    };
    let (turn, turns) = (app.chosen().2 + 1, episode.turns.len());
    let place = format!("step {} · #{} · turn {turn}/{turns}", app.data.step, episode.id.member + 1);
    let inner = scene.pane_with(frame, area, scene.title(&place, focused).into(), channels(scene, area.width), focused);
    let [text, foot] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(inner);
    let tokens = app.rollout_tokens();
    if tokens.is_empty() {
        return scene.lines(frame, text, nothing(scene, "no tokens were kept of this step"));
    }
    let lines = Flow::of(app).lay(tokens, &app.labels);
    let rows: Vec<(&FlowLine, bool)> = lines
        .iter()
        .flat_map(|line| [(line, false), (line, true)].into_iter().take(1 + usize::from(!line.stops().is_empty())))
        .collect();
    let here = app.token_at();
    let cursor = rows.iter().position(|(line, _)| line.stops().iter().any(|s| s.holds(here))).unwrap_or(0);
    let height = usize::from(text.height);
    let first = window(rows.len(), cursor, height);
    let shown = rows[first..].iter().take(height).map(|(line, under)| match line {
        FlowLine::Heading(turn) => heading(scene, *turn, usize::from(text.width).saturating_sub(2)),
        FlowLine::Stops(stops) if *under => glyphs(scene, stops, tokens),
        FlowLine::Stops(stops) => words(scene, stops, tokens),
    });
    let pad = Rect { x: text.x + text.width.min(1), width: text.width.saturating_sub(2), ..text };
    scene.lines(frame, pad, shown.collect());
    legend(frame, foot, scene);
}

/// `── turn 2 ─ go to cabinet 3 ──────────── gate 0.49 gap -0.16 ──`
fn heading<'a>(scene: &Scene<'a>, turn: usize, cells: usize) -> Line<'a> {
    let chosen = turn == scene.app.chosen().2;
    let mut spans = vec![
        scene.span(Role::Faint, "── "),
        scene.span(if chosen { Role::Accent } else { Role::Dim }, format!("turn {} ", turn + 1)),
    ];
    if let Some(episode) = scene.app.episode() {
        let signal = TokenSignal::of(scene.app.data.turn_tokens(episode, turn));
        if let Some((gate, gap)) = signal.gate.zip(signal.gap) {
            spans.push(scene.span(Role::Dim, format!("· gate {gate:.2} · gap {gap:+.2} · hot {} ", signal.hot)));
        }
    }
    let used: usize = spans.iter().map(Span::width).sum();
    spans.push(scene.span(Role::Faint, "─".repeat(cells.saturating_sub(used))));
    Line::from(spans)
}

/// The channels as a title, or where it is narrow the chosen one.
fn channels<'a>(scene: &Scene<'a>, cells: u16) -> Line<'a> {
    let mut line = Line::from(scene.span(Role::Key, " t "));
    for channel in Channel::ALL {
        let on = channel == scene.app.channel;
        if on || cells >= 96 {
            line.push_span(scene.span(if on { Role::Select } else { Role::Dim }, format!(" {} ", channel.name())));
        }
    }
    line
}

fn words<'a>(scene: &Scene<'a>, line: &[Stop], tokens: &[TokenRecord]) -> Line<'a> {
    spaced(line, |stop| {
        let token = &tokens[stop.first];
        let here = stop.holds(scene.app.token_at());
        let value = scene.app.channel.value(token);
        let role = match value {
            _ if here => Role::Select,
            _ if !token.mask => Role::Masked,
            None => Role::Text,
            Some(value) => scene.app.channel.role(value),
        };
        scene.span(role, text::pad(&stop.text, stop.width))
    })
}

/// Under each token: the channel as a bar, the gap as a sign; masked tokens have a dot.
fn glyphs<'a>(scene: &Scene<'a>, line: &[Stop], tokens: &[TokenRecord]) -> Line<'a> {
    spaced(line, |stop| {
        let token = &tokens[stop.first];
        if !token.mask {
            return scene.span(Role::Masked, text::pad("░", stop.width));
        }
        let channel = scene.app.channel;
        let bar = channel.value(token).map_or(" ", |v| glyph::bar(channel.share(v)));
        let gap = token.gap().unwrap_or(f32::NAN);
        let role = if gap.is_nan() { Role::Dim } else { Channel::Gap.role(gap) };
        let role = if role == Role::Text { Role::Dim } else { bare(role) };
        scene.span(role, text::pad(&format!("{bar}{}", glyph::gap_sign(gap)), stop.width))
    })
}

/// The plain colour that stands for a level: glyphs need no background.
fn bare(role: Role) -> Role {
    match role {
        Role::Endorse1 | Role::Endorse2 | Role::Endorse3 => Role::Series1,
        _ => Role::Series2,
    }
}

fn spaced<'a>(line: &[Stop], span: impl Fn(&Stop) -> Span<'a>) -> Line<'a> {
    let mut out = Line::default();
    for stop in line {
        let gap = stop.x.saturating_sub(out.width());
        out.push_span(Span::raw(" ".repeat(gap)));
        out.push_span(span(stop));
    }
    out
}

/// The fixed scale of the channel, always visible.
fn legend(frame: &mut Frame, area: Rect, scene: &Scene) {
    let channel = scene.app.channel;
    let sample = |value: f32, label: String| [scene.span(channel.role(value), format!(" {label} ")), Span::raw(" ")];
    let mut line = Line::from(scene.span(Role::Dim, format!(" {} ", channel.name())));
    match channel.scale() {
        Scale::Rising(limits) => {
            line.spans.extend(sample(f32::MIN, format!("<{}", limits[0])));
            limits.iter().for_each(|l| line.spans.extend(sample(*l, format!("≥{l}"))));
        }
        Scale::Signed(limits) => {
            limits.iter().rev().for_each(|l| line.spans.extend(sample(-l, format!("≤−{l}"))));
            line.spans.extend(sample(0.0, "0".into()));
            limits.iter().for_each(|l| line.spans.extend(sample(*l, format!("≥{l}"))));
        }
    }
    line.push_span(scene.span(Role::Dim, " gap « − · + »  ░ masked, not learned from"));
    scene.lines(frame, area, vec![line]);
}

/// All signals of the token under the cursor.
fn cursor(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let (tokens, start) = scene.app.turn_tokens();
    let Some(token) = tokens.get(scene.app.pick.token) else {
        let inner = scene.pane(frame, area, scene.title("cursor", focused).into(), focused);
        return scene.lines(frame, inner, nothing(scene, "no token"));
    };
    let label = scene.app.labels.get(start + scene.app.pick.token).map_or("", String::as_str);
    let title = format!("token {} \"{}\" id {}", token.position, text::fit(label, 24), token.id);
    let learned = if token.mask { "sampled, in the loss" } else { "masked, not in the loss" };
    let right = scene.span(if token.mask { Role::Good } else { Role::Masked }, format!(" {learned} ")).into();
    let inner = scene.pane_with(frame, area, scene.title(&title, focused).into(), right, focused);
    let cells = signals(token);
    let columns = usize::from(inner.width / 26).clamp(1, 3);
    let rows = cells.len().div_ceil(columns);
    let value = |v: Option<f32>| v.map_or("—".into(), |v| text::number(f64::from(v)));
    let lines = (0..rows).map(|row| {
        let parts = (0..columns).filter_map(|column| cells.get(column * rows + row));
        Line::from_iter(parts.flat_map(|(name, v)| {
            [scene.span(Role::Dim, format!(" {name:<12}")), scene.span(Role::Text, format!("{:>9}    ", value(*v)))]
        }))
    });
    scene.lines(frame, inner, lines.collect());
}

/// Sums and means over the turn.
fn turn(frame: &mut Frame, area: Rect, scene: &Scene) {
    let (tokens, _) = scene.app.turn_tokens();
    let inner = scene.pane(frame, area, scene.title("this turn", false).into(), false);
    let signal = TokenSignal::of(tokens);
    let sum: f32 = tokens.iter().filter(|t| t.mask).filter_map(TokenRecord::gap).filter(|g| g.is_finite()).sum();
    let row = |name: &'static str, value: String| {
        Line::from(vec![scene.span(Role::Dim, format!(" {name:<16}")), scene.span(Role::Text, value)])
    };
    let lines = vec![
        row("sampled", format!("{} of {}", signal.sampled, tokens.len())),
        row("gap, sum", format!("{sum:+.2} nats")),
        row("gap, mean", signal.gap.map_or("—".into(), |v| format!("{v:+.3}"))),
        row("gate, mean", signal.gate.map_or("—".into(), |v| format!("{v:.3}"))),
        row("hot |gap|≥0.5", format!("{}   w b jump", signal.hot)),
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
