//! The panes of a step's rollouts: its tasks, and the rollouts of the chosen one side by side.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::live::outcome;
use super::panes::nothing;
use crate::core::{Ending, Episode};
use crate::tui::data::{GroupSignal, TokenSignal};
use crate::tui::glyph;
use crate::tui::mouse::Target;
use crate::tui::scene::{Scene, window};
use crate::tui::text;
use crate::tui::theme::Role;

/// The tasks of the step: goal, rewards of its rollouts, mean, spread.
pub fn tasks(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let data = &scene.app.data;
    let group = scene.app.chosen().0;
    let signals: Vec<_> = (0..data.groups.len()).filter_map(|g| GroupSignal::of(data.members(g))).collect();
    let silent = signals.iter().filter(|s| s.none).count();
    // a panel is not learned from: there is no signal to miss
    let counts = if data.panel {
        format!(" {} tasks ", signals.len())
    } else {
        format!(" {} tasks · {silent} ∅ ", signals.len())
    };
    let right = scene.span(Role::Dim, counts);
    let step = scene.app.data.step;
    let title = if data.panel { format!("panel after step {step}") } else { format!("step {}", scene.app.step()) };
    let title = scene.title(&title, focused);
    let inner = scene.pane_with(frame, area, title.into(), right.into(), focused);
    let height = usize::from(inner.height);
    let first = window(signals.len(), group, height);
    let spark = data.groups.iter().map(|r| r.len()).max().unwrap_or(0).min(8);
    // what the task is matters more than how far its rewards are apart
    let rest = usize::from(inner.width).saturating_sub(spark + 10);
    let (cells, apart) = if rest >= 31 { (rest - 7, true) } else { (rest, false) };
    scene.hit(area, Target::Pane(0));
    rows_hit(scene, inner, 0, first, signals.len());
    let line = |(at, signal): (usize, &GroupSignal)| {
        let members = data.members(at);
        let pinned = members.first().is_some_and(|e| scene.app.states.rollouts.pins.contains(&e.task.id));
        let rewards: String = members.iter().take(spark).map(|e| glyph::bar(f64::from(e.reward))).collect();
        let goal = members.first().map_or("", |e| e.task.goal.as_str());
        let (mark, role) = if at == group { ("▸", Role::Select) } else { (" ", Role::Text) };
        Line::from(vec![
            scene.span(Role::Accent, mark),
            scene.span(role, text::pad(goal, cells)),
            scene.span(Role::Accent, if pinned { "☆" } else { " " }),
            scene.span(Role::Series1, format!(" {rewards:<spark$}")),
            scene.span(Role::Text, format!(" {:>5.2}", signal.mean)),
            scene.span(Role::Dim, if apart { format!(" σ{:<5.2}", signal.sigma) } else { String::new() }),
            scene.span(Role::Warn, if signal.none && !data.panel { "∅" } else { " " }),
        ])
    };
    let lines: Vec<_> = signals.iter().enumerate().skip(first).take(height).map(line).collect();
    scene.lines(
        frame,
        inner,
        if lines.is_empty() {
            nothing(
                scene,
                if scene.app.states.rollouts.panel {
                    "no panel was played up to this step"
                } else {
                    "no rollouts were kept of this step"
                },
            )
        } else {
            lines
        },
    );
}

/// The rollouts of the chosen task: outcome, the course of the gate over its turns, length; while it is played what it
/// is at, and for how long.
pub fn members(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let (group, member, _) = scene.app.chosen();
    let episodes = scene.app.data.members(group);
    let kind = episodes.first().map_or(String::new(), |e| text::fit(&e.task.kind, 24));
    let kind = if scene.app.data.panel { format!("{kind} · #2 read skills") } else { kind };
    let right = scene.span(Role::Dim, format!(" {kind} ")).into();
    let inner = scene.pane_with(frame, area, scene.title("rollouts", focused).into(), right, focused);
    let height = usize::from(inner.height);
    let first = window(episodes.len(), member, height);
    let cells = usize::from(inner.width);
    scene.hit(area, Target::Pane(1));
    rows_hit(scene, inner, 1, first, episodes.len());
    let line = |(at, episode): (usize, &Episode)| {
        let (sign, role) = outcome(episode);
        let chosen = if at == member { Role::Select } else { Role::Text };
        let marked = scene.app.states.rollouts.marks.contains(&episode.id);
        let mut line = Line::from(vec![
            scene.span(Role::Accent, if at == member { "▸" } else { " " }),
            scene.span(chosen, format!("#{:<3}", episode.id.member + 1)),
            scene.span(Role::Accent, if marked { "●" } else { " " }),
        ]);
        let turns = episode.turns.len();
        if episode.ending == Ending::Playing {
            let rest = cells.saturating_sub(21);
            line.extend([
                scene.span(role, format!("{sign} ")),
                scene.span(Role::Text, text::pad(&stage(scene, episode), rest)),
                scene.span(Role::Dim, idle(scene, episode)),
            ]);
            return line;
        }
        let advantage = episode.advantage.map_or("     ·".into(), |a| format!("{a:>+6.2}"));
        line.extend([
            scene.span(role, format!("{sign} {:>+5.2}", episode.reward)),
            scene.span(Role::Dim, format!(" A{advantage} {turns:>3} turns ")),
            scene.span(Role::Series1, course(scene, episode, cells.saturating_sub(33))),
        ]);
        line
    };
    let lines: Vec<_> = episodes.iter().enumerate().skip(first).take(height).map(line).collect();
    scene.lines(frame, inner, if lines.is_empty() { nothing(scene, "no rollouts") } else { lines });
}

/// What an episode that is being played is at.
fn stage(scene: &Scene, episode: &Episode) -> String {
    let turns = episode.turns.len();
    let doing = match scene.view.progress.filter(|p| p.step == episode.id.step) {
        Some(p) if p.phase != crate::core::Phase::Rollout => p.phase.name().to_owned(),
        _ if turns == 0 => "first reply".to_owned(),
        _ => format!("reply {}", turns + 1),
    };
    let last = episode.turns.last().map_or("", |t| t.action.as_str());
    if last.is_empty() { doing } else { format!("{doing} after {last}") }
}

/// How long ago it moved on.
fn idle(scene: &Scene, episode: &Episode) -> String {
    let heard = scene.app.states.rollouts.heard.get(&episode.id).copied().filter(|at| *at > 0);
    let seconds = heard.map(|at| scene.app.now_ms().saturating_sub(at) as f64 / 1000.0);
    seconds.map_or(String::new(), |s| format!("idle {:>6}", text::duration(s)))
}

/// Says to the mouse which lines of a pane stand for what.
pub fn rows_hit(scene: &Scene, inner: Rect, pane: usize, first: usize, len: usize) {
    for (line, at) in (first..len).take(usize::from(inner.height)).enumerate() {
        let y = inner.y.saturating_add(line as u16);
        scene.hit(Rect { y, height: 1, ..inner }, Target::Row(pane, at));
    }
}

/// The mean gate of every turn as one bar each.
fn course(scene: &Scene, episode: &Episode, cells: usize) -> String {
    let gate = |turn| TokenSignal::of(scene.app.data.turn_tokens(episode, turn)).gate;
    (0..episode.turns.len().min(cells)).map(|t| gate(t).map_or("·", |g| glyph::bar(f64::from(g)))).collect()
}
