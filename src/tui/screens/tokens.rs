//! Screen 3: the tokens of one rollout, coloured by what the teacher thinks of each.
//!
//! ```text
//! turn by turn, the text; under each token its channel as a bar and the sign of its gap
//! legend with the fixed scale
//! cursor: every signal of the token      turn: sums and means      gaps of the rollout
//! ```

use std::collections::HashMap;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};

use super::panes::nothing;
use super::tabs::tabs;
use super::{Room, Screen, cursor, past as past_pane, prompts};
use crate::core::{EpisodeId, TokenRecord};
use crate::tui::app::{App, Effect};
use crate::tui::data::TokenSignal;
use crate::tui::feed::Feed;
use crate::tui::find::Find;
use crate::tui::keys::{Action, Action as A, Binding, ScreenId, ch, row};
use crate::tui::lenses::{self, Lenses};
use crate::tui::mouse::Target;
use crate::tui::past::{self, Past};
use crate::tui::scene::{Scene, window};
use crate::tui::select::{self, Go};
use crate::tui::theme::Role;
use crate::tui::tokens::{Channel, Flow, FlowLine, Scale, Stop, line_move, stop_move, values};
use crate::tui::{glyph, text, update};

/// The row of this screen.
pub const SCREEN: Screen = Screen {
    act,
    copied,
    bindings: OWN,
    find,
    commands: &[("lens", "see through a method, e.g. `lens rlsd`"), ("beside", "a second lens, or none")],
    submit,
    load,
    ..Screen::new(ScreenId::Tokens, ("Tokens", "Tok"), &["text", "cursor"], draw)
};

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {
    pub lenses: Lenses,
    /// Where a span was begun: a token of this rollout.
    pub anchor: Option<(EpisodeId, usize)>,
    /// The same task over the steps, if it is looked at.
    pub past: Option<Past>,
    /// Labels of the tokens that are listed at the cursor, by id.
    pub top_labels: HashMap<u32, String>,
}

const DATA: &str = "data";
const HERE: &[ScreenId] = &[ScreenId::Tokens];

const OWN: &[Binding] = &[
    row(&[ch('v')], "span", A::Own("span"), "span: begin here, sums up to the cursor", DATA).on(HERE).foot(12),
    row(&[ch('V')], "lens", A::Own("lens"), "lens: what the next method would do", DATA).on(HERE).foot(13),
    row(&[ch('B')], "lens-beside", A::Own("beside"), "beside: a second lens under the first, or none", DATA).on(HERE),
    row(&[ch('H')], "history", A::Own("past"), "history: this task and token over the steps", DATA).on(HERE),
    row(&[ch('X')], "disagree", A::Own("disagree"), "disagree: next token on which both lenses differ", DATA).on(HERE),
];

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    match action {
        Action::Own(name) => own(app, name),
        Action::Left => select::set_token(app, stop_move(app, -1)),
        Action::Right => select::set_token(app, stop_move(app, 1)),
        Action::Enter => app.zoomed = true,
        Action::Channel => {
            app.channel = app.channel.next();
            let lenses = &mut app.states.tokens.lenses;
            if app.channel == Channel::Lens && lenses.first.is_none() {
                lenses.next(false);
            }
        }
        Action::Row(at) => select::set_token(app, Some(at)),
        Action::Escape if app.zoomed || app.prompts => return None,
        Action::Escape if app.states.tokens.past.take().is_some() => {}
        Action::Escape if app.states.tokens.anchor.take().is_some() => {}
        Action::Escape => update::go(app, ScreenId::Rollouts),
        _ if app.prompts && update::vertical(action).is_some() => drop(update::scroll(app, action)),
        _ => match update::vertical(action)? {
            Go::By(by) => select::set_token(app, line_move(app, by)),
            Go::First => app.pick.token = 0,
            Go::Last => app.pick.token = app.turn_tokens().0.len().saturating_sub(1),
        },
    }
    Some(vec![])
}

/// What only this screen can do.
fn own(app: &mut App, name: &str) {
    let here = app.token_at();
    let episode = app.episode().map(|e| (e.id, e.task.id.clone()));
    let turn = app.chosen().2;
    let state = &mut app.states.tokens;
    match (name, episode) {
        ("span", Some((id, _))) => {
            let same = state.anchor.is_some_and(|(of, _)| of == id);
            state.anchor = (!same).then_some((id, here));
        }
        ("lens" | "beside", _) => {
            app.channel = Channel::Lens;
            if name == "beside" && state.lenses.first.is_none() {
                state.lenses.next(false);
            }
            let chosen = state.lenses.next(name == "beside");
            let said = chosen.and_then(|at| Lenses::names().get(at).copied()).unwrap_or("no second lens");
            app.notify(format!("{}: {said}", if name == "beside" { "beside" } else { "lens" }));
        }
        ("past", Some((_, task))) if state.past.is_none() => state.past = Some(Past::new(task, turn)),
        ("past", _) => state.past = None,
        ("disagree", _) => disagree(app),
        _ => {}
    }
}

/// The next token that one lens would raise and the other lower, or that only one of them moves.
fn disagree(app: &mut App) {
    let lenses = &app.states.tokens.lenses;
    let Some(both) = lenses.first.zip(lenses.second) else {
        return app.notify("two lenses are needed: V chooses one, B the one beside");
    };
    let (a, b) = (values(app, Channel::Lens, Some(both.0)), values(app, Channel::Lens, Some(both.1)));
    let differ = |at: usize| {
        let (a, b) = (a[at].unwrap_or(0.0), b[at].unwrap_or(0.0));
        (a * b < 0.0 && a.abs().min(b.abs()) >= 0.1) || (a - b).abs() >= 1.0
    };
    let found = (app.token_at() + 1..a.len()).find(|at| differ(*at));
    match found {
        Some(_) => select::set_token(app, found),
        None => app.notify("no further disagreement in this rollout"),
    }
}

/// A typed line: the name of a method.
fn submit(app: &mut App, name: &str, text: &str) -> Vec<Effect> {
    let names = Lenses::names();
    let place = names.iter().position(|n| *n == text);
    let lenses = &mut app.states.tokens.lenses;
    match (name, place) {
        ("lens", Some(_)) => (lenses.first, app.channel) = (place, Channel::Lens),
        ("beside", Some(_)) => {
            (lenses.second, app.channel) = (place, Channel::Lens);
            lenses.first = lenses.first.or(Some(0));
        }
        ("beside", None) if text.is_empty() => lenses.second = None,
        _ => app.notify(format!("no method is called `{text}`, there is {}", names.join(", "))),
    }
    vec![]
}

/// Looks through the tokens of the rollout; labels next to each other are one text.
fn find(app: &mut App, find: &Find, by: i32) -> bool {
    let labels = &app.labels;
    let text = |at: usize| labels[at..labels.len().min(at + FIND_TOKENS)].concat();
    let starts = |at: usize| {
        // a longer text begins where dropping its first token loses it
        let all = text(at);
        if find.hits(&all) && !find.hits(&text(at + 1)) { all } else { String::new() }
    };
    let found = find.next(app.token_at(), labels.len(), by, starts);
    select::set_token(app, found);
    found.is_some()
}

fn load(app: &mut App, feed: &mut dyn Feed) -> bool {
    let mut changed = lenses::load(app, feed);
    changed |= past::load(app, feed);
    let known = &app.states.tokens.top_labels;
    let listed = app.rollout_tokens().get(app.token_at()).map_or(&[][..], |t| &t.top);
    let unknown: Vec<u32> = listed.iter().map(|l| l.id).filter(|id| !known.contains_key(id)).collect();
    if unknown.is_empty() {
        return changed;
    }
    // each by itself: listed tokens are no text
    for id in unknown {
        let label = text::token_labels(&feed.token_text(&[id])).concat();
        app.states.tokens.top_labels.insert(id, label);
    }
    true
}

fn copied(app: &App) -> Vec<(&'static str, String)> {
    let token = app.turn_tokens().0.get(app.pick.token);
    let mut all: Vec<_> = token.map(|t| ("token", serde_json::to_string(t).unwrap_or_default())).into_iter().collect();
    all.push(("text of the turn", turn_text(app)));
    all
}

/// The tokens of the turn as one text.
fn turn_text(app: &App) -> String {
    let (tokens, start) = app.turn_tokens();
    app.labels.get(start..start + tokens.len()).unwrap_or(&[]).concat()
}

/// Tokens that a text that is looked for may span.
const FIND_TOKENS: usize = 24;

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
    let rows = if room == Room::Three { 10 } else { 9 };
    let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Length(rows)]).areas(body);
    if scene.app.states.tokens.past.is_some() {
        let [text, over] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(top);
        stream(frame, text, scene, focus == 0);
        past_pane::draw(frame, over, scene);
    } else {
        stream(frame, top, scene, focus == 0);
    }
    cursor::draw(frame, bottom, scene, focus == 1);
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

/// The tokens from where a span was begun to the cursor, both included.
pub fn span(app: &App) -> Option<std::ops::Range<usize>> {
    let (of, anchor) = app.states.tokens.anchor?;
    let here = app.token_at();
    (app.episode()?.id == of).then(|| anchor.min(here)..anchor.max(here) + 1)
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
