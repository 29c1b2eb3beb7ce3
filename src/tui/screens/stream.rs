//! The text of a rollout, token by token, coloured by a channel; under each token its bar and sign, below the legend.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};

use super::panes::nothing;
use super::tokens::span;
use crate::core::TokenRecord;
use crate::tui::app::App;
use crate::tui::data::TokenSignal;
use crate::tui::flow::{Flow, FlowLine, Stop};
use crate::tui::lenses::Lenses;
use crate::tui::mouse::Target;
use crate::tui::scene::{Scene, window};
use crate::tui::theme::Role;
use crate::tui::tokens::{Channel, Scale, values};
use crate::tui::{glyph, text};

/// The text pane with its legend as last line.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
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
    let paint = Paint::of(app);
    let lines = Flow::of(app).lay(tokens, &app.labels);
    let under = |line: &FlowLine| if line.stops().is_empty() { 0 } else { 1 + usize::from(paint.second.is_some()) };
    let rows: Vec<(&FlowLine, usize)> =
        lines.iter().flat_map(|line| (0..=under(line)).map(move |row| (line, row))).collect();
    let here = app.token_at();
    let cursor = rows.iter().position(|(line, _)| line.stops().iter().any(|s| s.holds(here))).unwrap_or(0);
    let height = usize::from(text.height);
    let first = window(rows.len(), cursor, height);
    let shown = rows[first..].iter().take(height).map(|(line, under)| match (line, *under) {
        (FlowLine::Heading(turn), _) => heading(scene, *turn, usize::from(text.width).saturating_sub(2)),
        (FlowLine::Stops(stops), 0) => words(scene, stops, tokens, &paint),
        (FlowLine::Stops(stops), row) => glyphs(
            scene,
            stops,
            tokens,
            if row == 1 { &paint.values } else { paint.second.as_ref().unwrap_or(&paint.values) },
        ),
    });
    let pad = Rect { x: text.x + text.width.min(1), width: text.width.saturating_sub(2), ..text };
    scene.lines(frame, pad, shown.collect());
    scene.hit(area, Target::Pane(0));
    for (line, (flow, _)) in rows[first..].iter().take(height).enumerate() {
        let y = pad.y.saturating_add(line as u16);
        for stop in flow.stops() {
            let place = Rect { x: pad.x.saturating_add(stop.x as u16), y, width: stop.width as u16, height: 1 };
            scene.hit(place.intersection(pad), Target::Row(0, stop.first));
        }
    }
    legend(frame, foot, scene);
}

/// What the tokens of the rollout are coloured by, and the lens beside it.
struct Paint {
    values: Vec<Option<f32>>,
    second: Option<Vec<Option<f32>>>,
    /// Tokens of the span.
    span: std::ops::Range<usize>,
}

impl Paint {
    fn of(app: &App) -> Self {
        let lenses = &app.states.tokens.lenses;
        let second = lenses.second.filter(|_| app.channel == Channel::Lens);
        Self {
            values: values(app, app.channel, lenses.first),
            second: second.map(|at| values(app, Channel::Lens, Some(at))),
            span: span(app).unwrap_or(0..0),
        }
    }
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

fn words<'a>(scene: &Scene<'a>, line: &[Stop], tokens: &[TokenRecord], paint: &Paint) -> Line<'a> {
    let find = scene.app.find.as_ref();
    spaced(line, |stop| {
        let token = &tokens[stop.first];
        let here = stop.holds(scene.app.token_at());
        let value = paint.values.get(stop.first).copied().flatten();
        let found = find.is_some_and(|find| stop.count == 1 && find.hits(&stop.text));
        let role = match value {
            _ if here => Role::Select,
            _ if found => Role::Accent,
            _ if !token.mask => Role::Masked,
            None => Role::Text,
            Some(value) => scene.app.channel.role(value),
        };
        let mut span = scene.span(role, text::pad(&stop.text, stop.width));
        if paint.span.contains(&stop.first) && !here {
            span = span.underlined();
        }
        span
    })
}

/// Under each token: the channel as a bar, and a sign; masked tokens have a dot.
fn glyphs<'a>(scene: &Scene<'a>, line: &[Stop], tokens: &[TokenRecord], values: &[Option<f32>]) -> Line<'a> {
    let channel = scene.app.channel;
    spaced(line, |stop| {
        let token = &tokens[stop.first];
        if !token.mask {
            return scene.span(Role::Masked, text::pad("░", stop.width));
        }
        let value = values.get(stop.first).copied().flatten();
        let bar = value.map_or(" ", |v| glyph::bar(channel.share(v)));
        let gap = token.gap();
        let signed = matches!(channel.scale(), Scale::Signed(_)) && channel != Channel::Gap;
        let role = if signed { value.map(|v| channel.role(v)) } else { gap.map(|g| Channel::Gap.role(g)) };
        let role = role.filter(|r| *r != Role::Text).map_or(Role::Dim, bare);
        scene.span(role, text::pad(&format!("{bar}{}", channel.sign(value, gap)), stop.width))
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
    let mut line = Line::from(scene.span(Role::Dim, format!(" {} ", unit(scene))));
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
    let sign = match channel.scale() {
        Scale::Signed(_) if channel != Channel::Gap => " + raises − lowers",
        _ => " gap « − · + »",
    };
    line.push_span(scene.span(Role::Dim, format!("{sign}  ░ masked, not learned from")));
    scene.lines(frame, area, vec![line]);
}

/// The channel with its unit; two lenses by name, the first above the second.
fn unit(scene: &Scene) -> String {
    let channel = scene.app.channel;
    let lenses = &scene.app.states.tokens.lenses;
    let of = lenses.base_step().map_or(String::new(), |step| format!(" ×rms of step {step}"));
    let names = Lenses::names();
    let name = |at: Option<usize>| at.and_then(|at| names.get(at).copied());
    match (channel, name(lenses.first), name(lenses.second)) {
        (Channel::Coefficient, ..) => format!("push{}", if lenses.unit().is_some() { of.as_str() } else { "" }),
        (Channel::Lens, Some(first), Some(second)) => format!("{first} over {second}{of}"),
        (Channel::Lens, Some(first), None) => format!("{first}{of}"),
        (Channel::Ratio, ..) => "ratio − 1".into(),
        _ => channel.name().into(),
    }
}
