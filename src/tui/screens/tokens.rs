//! Screen 3: the tokens of one rollout, coloured by what the teacher thinks of each.
//!
//! ```text
//! turn by turn, the text; under each token its channel as a bar and the sign of its gap
//! legend with the fixed scale
//! cursor: every signal of the token      turn: sums and means      gaps of the rollout
//! ```

use std::collections::HashMap;

use ratatui::Frame;
use ratatui::layout::Direction::Vertical;
use ratatui::layout::{Constraint, Layout, Rect};

use super::tabs::tabs;
use super::{Room, Screen, cursor, past as past_pane, prompts, stream};
use crate::core::EpisodeId;
use crate::tui::app::{App, Effect};
use crate::tui::feed::Feed;
use crate::tui::find::Find;
use crate::tui::flow::{line_move, stop_move};
use crate::tui::keys::{Action, Action as A, Binding, ScreenId, ch, row};
use crate::tui::lenses::{self, Lenses};
use crate::tui::past::{self, Past};
use crate::tui::scene::Scene;
use crate::tui::select::{self, Go};
use crate::tui::tokens::{Channel, values};
use crate::tui::{text, update};

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
            lenses.first = lenses.first.or(Some(usize::from(place == Some(0))));
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

/// Rows that a text needs to show some tokens, frame and legend included.
const TEXT_ROWS: u16 = 7;

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
        return stream::draw(frame, body, scene, true);
    }
    let focus = scene.app.focus[2].min(1);
    let usual = if room == Room::Three { 10 } else { 9 };
    let texts = TEXT_ROWS + if scene.app.states.tokens.past.is_some() { 4 } else { 0 };
    // where it is low, what stands below the tokens gives way first
    let rows = Some(body.height.saturating_sub(texts).min(usual)).filter(|rows| *rows >= 3).unwrap_or(0);
    if rows == 0 && focus == 1 {
        return cursor::draw(frame, body, scene, true);
    }
    let [top, bottom] = match rows {
        0 => [body, Rect { height: 0, ..body }],
        _ => scene.split("tokens", body, Vertical, body.height.saturating_sub(rows)),
    };
    if scene.app.states.tokens.past.is_some() {
        let [text, over] = scene.split("tokens-history", top, Vertical, top.height.div_ceil(2));
        stream::draw(frame, text, scene, focus == 0);
        past_pane::draw(frame, over, scene);
    } else {
        stream::draw(frame, top, scene, focus == 0);
    }
    if rows > 0 {
        cursor::draw(frame, bottom, scene, focus == 1);
    }
}

/// The tokens from where a span was begun to the cursor, both included.
pub fn span(app: &App) -> Option<std::ops::Range<usize>> {
    let (of, anchor) = app.states.tokens.anchor?;
    let here = app.token_at();
    (app.episode()?.id == of).then(|| anchor.min(here)..anchor.max(here) + 1)
}
