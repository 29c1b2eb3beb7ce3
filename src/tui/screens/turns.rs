//! The turns of one rollout, folded and unfolded, each with what the teacher thought of it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::live::outcome;
use super::panes::nothing;
use crate::core::episode::{Ending, Episode, Stop, Turn};
use crate::tui::app::Folds;
use crate::tui::browse::LeftOut;
use crate::tui::data::{TokenSignal, split_thought};
use crate::tui::scene::Scene;
use crate::tui::theme::Role;
use crate::tui::{glyph, text};

/// Draws the pane. Only turns near the chosen one are laid out, so long rollouts cost no more than short ones.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let Some(episode) = scene.app.episode() else {
        let inner = scene.pane(frame, area, scene.title("turns", focused).into(), focused);
        return scene.lines(frame, inner, nothing(scene, "no rollout is selected"));
    };
    let title = heading(scene, episode, usize::from(area.width).saturating_sub(4));
    let inner = scene.pane(frame, area, title, focused);
    let (height, cells) = (usize::from(inner.height), usize::from(inner.width));
    let chosen = scene.app.chosen().2;
    let mut after = Vec::new();
    for turn in chosen..=episode.turns.len() {
        if after.len() > height + scene.app.scroll {
            break;
        }
        after.extend(block(scene, episode, turn, cells));
    }
    let scroll = scene.app.scroll.min(after.len().saturating_sub(1));
    let missing = height.saturating_sub(after.len() - scroll).max(height / 3).saturating_sub(scroll);
    let mut before = Vec::new();
    for turn in (0..chosen).rev() {
        if before.len() >= missing {
            break;
        }
        before.splice(0..0, block(scene, episode, turn, cells));
    }
    let mut lines = before.split_off(before.len().saturating_sub(missing));
    lines.extend(after.into_iter().skip(scroll));
    lines.truncate(height);
    scene.lines(frame, inner, lines);
}

/// ` #3 ✘ +0.00  A -0.87  30 turns  1502 tok  turn limit  skills two-objects `
fn heading<'a>(scene: &Scene<'a>, episode: &Episode, cells: usize) -> Line<'a> {
    let (sign, role) = outcome(episode);
    let tokens: u32 = episode.turns.iter().map(|t| t.tokens).sum();
    let advantage = episode.advantage.map_or("·".into(), |a| format!("{a:+.2}"));
    let counts = format!("  A {advantage}  {} turns  {tokens} tok  {} ", episode.turns.len(), ending(episode.ending));
    let mut spans = vec![
        scene.span(Role::Title, format!(" #{} ", episode.id.member + 1)),
        scene.span(role, format!("{sign} {:+.2}", episode.reward)),
        scene.span(Role::Text, counts),
    ];
    let room = cells.saturating_sub(spans.iter().map(Span::width).sum());
    if !episode.skills.is_empty() && room > 12 {
        let skills = text::fit(&episode.skills.join(", "), room - 9);
        spans.extend([scene.span(Role::Dim, " skills "), scene.span(Role::Info, format!("{skills} "))]);
    }
    Line::from(spans)
}

/// What one calls an ending.
fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Won => "won",
        Ending::Lost => "lost",
        Ending::TurnLimit => "turn limit",
        Ending::ContextLimit => "context limit",
        Ending::EnvError => "environment error",
        Ending::Playing => "playing",
    }
}

/// The lines of a turn; the one after the last tells how it ended.
fn block<'a>(scene: &Scene<'a>, episode: &Episode, at: usize, cells: usize) -> Vec<Line<'a>> {
    let Some(turn) = episode.turns.get(at) else { return last_words(scene, episode, cells) };
    let chosen = at == scene.app.chosen().2;
    let folds = &scene.app.states.rollouts.folds;
    let open = match scene.app.folds {
        Folds::Chosen => chosen,
        Folds::Open => true,
        Folds::Closed => false,
    };
    let open = folds.is_open(episode.id, at, open);
    let signal = TokenSignal::of(scene.app.data.turn_tokens(episode, at));
    let mut lines = vec![turn_line(scene, turn, at, &signal, Look { chosen, open, cells })];
    if open && folds.exact {
        lines.extend(exact(scene, at, cells));
    } else if open {
        if !folds.left_out.observations() {
            lines.extend(observation(scene, &turn.observation, cells));
        }
        lines.extend(reply(scene, turn, cells));
    }
    lines
}

/// How a turn's line is drawn.
#[derive(Clone, Copy)]
struct Look {
    chosen: bool,
    open: bool,
    cells: usize,
}

/// `▾ turn 6  go to cabinet 3 ──────── 12 tok  gate ▇▆▅▁ 0.41  gap -3.7 ◀ 2`
fn turn_line<'a>(scene: &Scene<'a>, turn: &Turn, at: usize, signal: &TokenSignal, look: Look) -> Line<'a> {
    let name = format!("{} turn {:<3}", if look.open { "▾" } else { "▸" }, at + 1);
    let mut spans = vec![scene.span(if look.chosen { Role::Select } else { Role::Title }, name)];
    let mut right = signal_spans(scene, turn, signal);
    // What was done comes first: numbers make room for it. The same in every line, so that columns stay columns.
    let wanted = look.cells / 4;
    let width = |spans: &[Span]| spans.iter().map(Span::width).sum::<usize>();
    while !right.is_empty() && width(&spans) + width(&right) + wanted > look.cells {
        right.remove(0);
    }
    let room = look.cells.saturating_sub(width(&spans) + width(&right));
    let action =
        if look.open { String::new() } else { text::fit(&format!(" {}", spoken(turn)), room.saturating_sub(1)) };
    let filler = match room.saturating_sub(text::width(&action)) {
        n @ 0..3 => " ".repeat(n),
        n => format!(" {} ", "─".repeat(n - 2)),
    };
    spans.push(scene.span(Role::Action, action));
    spans.push(scene.span(Role::Faint, filler));
    spans.extend(right);
    Line::from(spans)
}

/// What the teacher thought of a turn; the first pieces are the first to go when there is no room.
fn signal_spans<'a>(scene: &Scene<'a>, turn: &Turn, signal: &TokenSignal) -> Vec<Span<'a>> {
    let mut out = vec![scene.span(Role::Dim, format!("{:>3} tok", turn.tokens))];
    if let Some(gate) = signal.gate {
        let bars: String = signal.gates.iter().take(6).map(|g| glyph::bar(*g)).collect();
        out.insert(0, scene.span(Role::Series1, format!("{bars:<6} ")));
        out.push(scene.span(Role::Text, format!("  gate {gate:.2}")));
    }
    if let Some(gap) = signal.gap {
        out.push(scene.span(if gap < 0.0 { Role::Warn } else { Role::Good }, format!("  gap {gap:+.2}")));
        let hot = if signal.hot > 0 { format!(" ◀ {:<3}", signal.hot) } else { "      ".into() };
        out.push(scene.span(Role::Accent, hot));
    }
    out
}

fn spoken(turn: &Turn) -> &str {
    if turn.action.is_empty() { split_thought(&turn.reply).1 } else { &turn.action }
}

/// The tokens of a turn with their special ones, as the model saw them; given ones are dim and stand between `░`.
fn exact<'a>(scene: &Scene<'a>, turn: usize, cells: usize) -> Vec<Line<'a>> {
    let all = scene.app.rollout_tokens();
    let start = all.partition_point(|t| (t.turn as usize) < turn);
    let end = all.partition_point(|t| (t.turn as usize) <= turn);
    let labels = scene.app.labels.get(start..end).unwrap_or(&[]);
    if labels.is_empty() {
        return prefixed(scene, vec!["no tokens were kept of this step".into()], "", Role::Faint);
    }
    let mut lines = Vec::new();
    let mut at = start;
    while at < end {
        let mask = all[at].mask;
        let count = all[at..end].iter().take_while(|t| t.mask == mask).count();
        let text = labels[at - start..at - start + count].concat();
        let (who, role) = if mask { ("model", Role::Text) } else { ("░given", Role::Masked) };
        // line ends are shown and kept
        let shown = text.split_inclusive('⏎').flat_map(|line| text::wrap(line, cells.saturating_sub(8))).collect();
        lines.extend(prefixed(scene, shown, who, role));
        at += count;
    }
    lines
}

fn observation<'a>(scene: &Scene<'a>, seen: &str, cells: usize) -> Vec<Line<'a>> {
    let full = scene.app.raw || scene.app.folds == Folds::Open;
    let mut lines = text::wrap(seen.trim_end(), cells.saturating_sub(8));
    let more = lines.len().saturating_sub(OBSERVATION_LINES);
    if !full && more > 0 {
        lines.truncate(OBSERVATION_LINES);
        lines.push(format!("⋯ {more} more lines, = unfolds"));
    }
    prefixed(scene, lines, "env ", Role::Masked)
}

fn reply<'a>(scene: &Scene<'a>, turn: &Turn, cells: usize) -> Vec<Line<'a>> {
    let wide = cells.saturating_sub(8);
    if scene.app.raw {
        return prefixed(scene, text::wrap(&turn.reply, wide), "raw ", Role::Text);
    }
    let (thought, said) = split_thought(&turn.reply);
    let mut lines = Vec::new();
    let left_out = scene.app.states.rollouts.folds.left_out;
    if let Some(thought) = thought.filter(|_| !left_out.thoughts()) {
        let shown = match scene.app.folds {
            Folds::Open => text::wrap(thought, wide),
            _ => vec![format!("‹{} characters of thought, = unfolds›", thought.chars().count())],
        };
        lines.extend(prefixed(scene, shown, "think", Role::Think));
    }
    if left_out != LeftOut::AllButActions {
        lines.extend(prefixed(scene, text::wrap(said, wide), "says", Role::Text));
    }
    lines.extend(prefixed(scene, text::wrap(&turn.action, wide), "does", Role::Action));
    if !turn.valid {
        lines.extend(prefixed(scene, vec!["the reply did not have the required form".into()], "", Role::Warn));
    }
    let cut = match turn.stop {
        Stop::Closed => None,
        Stop::TokenLimit => Some("cut at the token limit"),
        Stop::ContextLimit => Some("cut at the end of the context"),
    };
    if let Some(cut) = cut {
        lines.extend(prefixed(scene, vec![cut.into()], "", Role::Warn));
    }
    if turn.reward != 0.0 {
        lines.extend(prefixed(scene, vec![format!("{:+.2}", turn.reward)], "gets", Role::Good));
    }
    lines
}

fn last_words<'a>(scene: &Scene<'a>, episode: &Episode, cells: usize) -> Vec<Line<'a>> {
    let (sign, role) = outcome(episode);
    let score = format!("{sign} {}  reward {:+.2}  score {:.2}", ending(episode.ending), episode.reward, episode.score);
    let mut lines = vec![Line::styled(score, scene.style(role))];
    if !episode.last_observation.is_empty() && !scene.app.states.rollouts.folds.left_out.observations() {
        lines.extend(observation(scene, &episode.last_observation, cells));
    }
    lines
}

/// Lines behind a word that says who speaks; the word is on the first. What was looked for is marked.
fn prefixed<'a>(scene: &Scene<'a>, lines: Vec<String>, who: &'static str, role: Role) -> Vec<Line<'a>> {
    let line = |(at, line): (usize, String)| {
        let who = if at == 0 { who } else { "" };
        let mut out = Line::from(scene.span(Role::Faint, format!("  {who:<5} ")));
        out.extend(marked(scene, &line, role));
        out
    };
    lines.into_iter().enumerate().map(line).collect()
}

/// A text with the places that were looked for selected.
pub fn marked<'a>(scene: &Scene<'a>, text: &str, role: Role) -> Vec<Span<'a>> {
    let grep = scene.app.states.rollouts.grep.as_ref().map(|g| &g.find);
    let ranges = scene.app.find.as_ref().or(grep).map_or(vec![], |find| find.ranges(text));
    let mut out = Vec::new();
    let mut end = 0;
    for range in ranges {
        out.push(scene.span(role, text[end..range.start].to_owned()));
        out.push(scene.span(Role::Select, text[range.clone()].to_owned()));
        end = range.end;
    }
    out.push(scene.span(role, text[end..].to_owned()));
    out
}

/// Lines of an observation shown before it is folded.
const OBSERVATION_LINES: usize = 4;
