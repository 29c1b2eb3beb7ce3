//! Two rollouts side by side, aligned by turn; the first place where they part is marked.
//!
//! ```text
//! same task · first part at turn 2, token 3
//! #1 ✔ +1.00                       | #3 ✘ 0.00
//! = turn 1 open drawer 1           | = turn 1 open drawer 1
//! ≠ turn 2 open ▌cabinet▐ 2  ◀     | ≠ turn 2 go to ▌sinkbasin▐ 1
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::live::outcome;
use super::panes::nothing;
use crate::core::{Episode, TokenRecord, Turn};
use crate::tui::data::split_thought;
use crate::tui::diff::{self, Diff, Pair, Parts};
use crate::tui::scene::Scene;
use crate::tui::text;
use crate::tui::theme::Role;

/// Draws the comparison of the selected rollout with the other one.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let other = scene.app.states.rollouts.other.as_ref();
    let both = scene.app.episode().zip(other.and_then(|o| Some((o, o.episode.as_ref()?))));
    let Some((left, (other, right))) = both else {
        let inner = scene.pane(frame, area, scene.title("diff", true).into(), true);
        let why = if other.is_some() { "the other rollout is not there" } else { "nothing to compare" };
        return scene.lines(frame, inner, nothing(scene, why));
    };
    let own = scene.app.rollout_tokens();
    let tokens = |is_left: bool, turn: usize| turn_of(if is_left { own } else { &other.tokens }, turn);
    let diff = diff::rollouts(left, right, tokens);
    let [top, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    scene.lines(frame, top, vec![summary(scene, left, right, &diff)]);
    let [a, b] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(body);
    let inner_a = scene.pane(frame, a, heading(scene, left), true);
    let inner_b = scene.pane(frame, b, heading(scene, right), false);
    let cells = usize::from(inner_a.width.min(inner_b.width));
    let height = usize::from(inner_a.height);
    let first = diff.first.as_ref().map(|f| f.pair);
    let (mut lines_a, mut lines_b) = (Vec::new(), Vec::new());
    let mut start = 0;
    for (at, pair) in diff.pairs.iter().enumerate() {
        if Some(at) == first {
            start = lines_a.len();
        }
        let (x, y) = pair_lines(scene, (left, right), *pair, Some(at) == first, cells);
        lines_a.extend(x);
        lines_b.extend(y);
    }
    // the parting is in sight to begin with
    let most = lines_a.len().saturating_sub(height);
    let from = (start.saturating_sub(height / 3) + scene.app.scroll).min(most);
    for (area, lines) in [(inner_a, lines_a), (inner_b, lines_b)] {
        scene.lines(frame, area, lines.into_iter().skip(from).take(height).collect());
    }
}

fn turn_of(tokens: &[TokenRecord], turn: usize) -> &[TokenRecord] {
    let start = tokens.partition_point(|t| (t.turn as usize) < turn);
    let end = tokens.partition_point(|t| (t.turn as usize) <= turn);
    tokens.get(start..end).unwrap_or(&[])
}

fn summary<'a>(scene: &Scene<'a>, left: &Episode, right: &Episode, diff: &Diff) -> Line<'a> {
    let task = if left.task.id == right.task.id { "same task" } else { "different tasks" };
    let skills = if left.skills == right.skills { "same skills" } else { "different skills" };
    let parts = match &diff.first {
        None => "they never part".to_owned(),
        Some(first) => {
            let turn = diff.pairs[first.pair].left.or(diff.pairs[first.pair].right).unwrap_or(0) + 1;
            match first.what {
                Parts::Observation => format!("first part at turn {turn}: the environment shows something else"),
                Parts::Reply { token: Some(token) } => format!("first part at turn {turn}, token {}", token + 1),
                Parts::Reply { token: None } => format!("first part at turn {turn}"),
                Parts::Length => format!("first part at turn {turn}, which only one of them has"),
            }
        }
    };
    Line::from(vec![
        scene.span(Role::Title, " DIFF "),
        scene.span(Role::Dim, format!("{task} · {skills} · ")),
        scene.span(Role::Accent, parts),
        scene.span(Role::Dim, "   j k scroll  Esc back"),
    ])
}

fn heading<'a>(scene: &Scene<'a>, episode: &Episode) -> Line<'a> {
    let (sign, role) = outcome(episode);
    let advantage = episode.advantage.map_or("·".into(), |a| format!("{a:+.2}"));
    let turns = episode.turns.len();
    Line::from(vec![
        scene.span(Role::Title, format!(" step {} #{} ", episode.id.step, episode.id.member + 1)),
        scene.span(role, format!("{sign} {:+.2}", episode.reward)),
        scene.span(Role::Dim, format!("  A {advantage}  {turns} turns ")),
    ])
}

/// The lines of a pair of turns, as many at the left as at the right. Equal turns take one line.
fn pair_lines<'a>(
    scene: &Scene<'a>,
    (left, right): (&Episode, &Episode),
    pair: Pair,
    first: bool,
    cells: usize,
) -> (Vec<Line<'a>>, Vec<Line<'a>>) {
    let turn = |episode: &Episode, at: Option<usize>| at.and_then(|at| Some((at, episode.turns.get(at)?.clone())));
    let (a, b) = (turn(left, pair.left), turn(right, pair.right));
    let said = |t: &Option<(usize, Turn)>| t.as_ref().map_or(String::new(), |(_, t)| text::clean(spoken(t)));
    let (one, two) = (said(&a), said(&b));
    let (marked_one, marked_two) = diff::middle(&one, &two);
    let look = |same| Look { same, first, cells };
    let mut x = side(scene, &a, (&one, marked_one), look(pair.same));
    let mut y = side(scene, &b, (&two, marked_two), look(pair.same));
    let most = x.len().max(y.len());
    x.resize(most, Line::default());
    y.resize(most, Line::default());
    (x, y)
}

#[derive(Clone, Copy)]
struct Look {
    same: bool,
    first: bool,
    cells: usize,
}

fn side<'a>(
    scene: &Scene<'a>,
    turn: &Option<(usize, Turn)>,
    (said, marked): (&str, std::ops::Range<usize>),
    look: Look,
) -> Vec<Line<'a>> {
    let Some((at, turn)) = turn else { return vec![Line::styled("  ·", scene.style(Role::Faint))] };
    let sign = if look.same { "=" } else { "≠" };
    let role = if look.same { Role::Faint } else { Role::Accent };
    let mut head = Line::from(vec![scene.span(role, format!("{sign} turn {:<3}", at + 1))]);
    let room = look.cells.saturating_sub(head.width() + 2);
    if look.same {
        head.push_span(scene.span(Role::Dim, text::fit(said, room)));
        return vec![head];
    }
    head.extend(bracketed(scene, said, marked, room));
    if look.first {
        head.push_span(scene.span(Role::Accent, " ◀"));
    }
    let mut lines = vec![head];
    let mut more = |who: &'static str, text: &str, role, most| {
        let wrapped = text::wrap(text.trim(), look.cells.saturating_sub(8)).into_iter().take(most).enumerate();
        lines.extend(wrapped.map(|(at, line)| {
            let who = if at == 0 { who } else { "" };
            Line::from(vec![scene.span(Role::Faint, format!("  {who:<5} ")), scene.span(role, line)])
        }));
    };
    more("env", &turn.observation, Role::Masked, 3);
    if let (Some(thought), _) = split_thought(&turn.reply) {
        more("think", thought, Role::Think, 4);
    }
    lines
}

/// The part that differs stands between bars, so that it shows without colour too.
fn bracketed<'a>(scene: &Scene<'a>, said: &str, marked: std::ops::Range<usize>, cells: usize) -> Vec<Span<'a>> {
    let (before, inside, after) = (&said[..marked.start], &said[marked.clone()], &said[marked.end..]);
    if inside.is_empty() {
        return vec![scene.span(Role::Action, text::fit(said, cells))];
    }
    let inside = text::fit(inside, cells.saturating_sub(2));
    let room = cells.saturating_sub(text::width(&inside) + 2);
    let before = text::fit(before, room);
    let after = text::fit(after, room.saturating_sub(text::width(&before)));
    vec![
        scene.span(Role::Action, before),
        scene.span(Role::Accent, "▌"),
        scene.span(Role::Title, inside),
        scene.span(Role::Accent, "▐"),
        scene.span(Role::Action, after),
    ]
}

fn spoken(turn: &Turn) -> &str {
    if turn.action.is_empty() { split_thought(&turn.reply).1 } else { &turn.action }
}
