//! The lines on top: which run, how far, how long, what it is doing; the transport bar; the status card.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::tabs;
use crate::core::Phase;
use crate::core::event::Status;
use crate::tui::app::Mode;
use crate::tui::feed::Liveness;
use crate::tui::mouse::Target;
use crate::tui::scene::Scene;
use crate::tui::theme::Role;
use crate::tui::{glyph, pace, text};

/// As many of the three lines as the area has.
pub fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let mut lines = vec![progress_line(scene, area.width)];
    if area.height > 1 {
        lines.push(phase_line(scene, area.width));
    }
    if area.height > 2 {
        let place = Rect { y: area.y + 2, height: 1, ..area };
        let mut line = tabs::screens(scene, place);
        let rest = area.width.saturating_sub(line.width() as u16);
        line.spans.extend(facts_line(scene, rest).spans);
        lines.push(line);
    }
    scene.lines(frame, area, lines);
}

/// What fits below 60x16.
pub fn card(frame: &mut Frame, area: Rect, scene: &Scene) {
    let width = area.width;
    let eta = eta_text(scene).unwrap_or_else(|| "—".into());
    let row = |name: &'static str, value: String| {
        let value = text::fit(&value, usize::from(width).saturating_sub(11));
        Line::from(vec![scene.span(Role::Dim, format!(" {name:<10}")), scene.span(Role::Text, value)])
    };
    let lines = vec![
        Line::from(state_spans(scene, usize::from(width))),
        row("step", step_text(scene)),
        row("reward", scene.figure("reward/mean")),
        row("success", scene.figure("success/mean")),
        row("no signal", scene.figure("groups/no_signal")),
        row("ETA", eta),
        Line::styled(text::fit(" ? help  q quit  (60x16 for more)", usize::from(width)), scene.style(Role::Dim)),
    ];
    scene.lines(frame, area, lines);
}

/// ` ▶ REPLAY  step 0 ├────●────┤ 1000  ×8  [ ] ±1  < > ±10  p play  @ jump`
pub fn transport(frame: &mut Frame, area: Rect, scene: &Scene) {
    let (position, last) = scene.app.history.position();
    let transport = scene.app.transport;
    let left = format!(" {} step {:>4} ", if transport.playing { "▶" } else { "‖" }, scene.view.last_step());
    let right = format!(" {}  ×{}  ", scene.app.history.last_recorded_step(), transport.speed);
    let keys = "[ ] ±1  < > ±10  p play  + _ speed  @ jump ";
    let room = usize::from(area.width).saturating_sub(text::width(&left) + text::width(&right));
    let keys = if room > keys.chars().count() + 20 { keys } else { "" };
    let cells = room.saturating_sub(keys.chars().count() + 2);
    let at = position * cells.saturating_sub(1) / last.max(1);
    let after = cells.saturating_sub(at + 1);
    let x = area.x + (text::width(&left) as u16 + 1).min(area.width);
    let bar = Rect { x, width: cells as u16, height: 1, ..area };
    scene.hit(bar.intersection(area), Target::Transport(last));
    let line = Line::from(vec![
        scene.span(Role::Accent, left),
        scene.span(Role::Dim, "├"),
        scene.span(Role::Bar, "━".repeat(at)),
        scene.span(Role::Accent, if cells > 0 { "●" } else { "" }),
        scene.span(Role::Faint, "─".repeat(after)),
        scene.span(Role::Dim, "┤"),
        scene.span(Role::Text, right),
        scene.span(Role::Dim, keys),
    ]);
    scene.lines(frame, area, vec![line]);
}

/// How the run stands: a glyph, a word and what it means.
pub fn state(scene: &Scene) -> (&'static str, &'static str, Role) {
    let finished = scene.view.finished.as_ref().map(|(status, ..)| *status);
    match (scene.app.mode, finished, scene.app.liveness) {
        (Mode::Replay, ..) => ("▶", "REPLAY", Role::Accent),
        (_, Some(Status::Ok), _) => ("■", "DONE", Role::Good),
        (_, Some(Status::Stopped), _) => ("■", "STOPPED", Role::Warn),
        (_, Some(Status::Aborted), _) => ("■", "ABORTED", Role::Warn),
        (_, Some(Status::Failed), _) => ("✖", "FAILED", Role::Bad),
        (_, None, Liveness::Dead) => ("✖", "DEAD", Role::Bad),
        (_, None, Liveness::Ended) => ("■", "READ", Role::Dim),
        (..) if scene.view.paused => ("‖", "PAUSED", Role::Warn),
        _ => ("●", "RUN", Role::Good),
    }
}

fn state_spans<'a>(scene: &Scene<'a>, cells: usize) -> Vec<Span<'a>> {
    let (sign, word, role) = state(scene);
    let name = text::fit(&scene.view.facts.run, cells.saturating_sub(word.len() + 6).min(32));
    vec![scene.span(role, format!(" {sign} {word} ")), scene.span(Role::Title, format!("{name}  "))]
}

fn step_text(scene: &Scene) -> String {
    format!("{}/{}", scene.view.last_step(), scene.view.facts.steps)
}

/// Only where somebody trains, or did at the moment that is replayed.
fn eta_text(scene: &Scene) -> Option<String> {
    if scene.app.mode == Mode::Live && !scene.app.is_live() {
        return None;
    }
    let (seconds, spread) = pace::remaining(scene.view, scene.app.now_ms())?;
    Some(format!("{} ±{}", text::duration(seconds), text::duration(spread)))
}

/// Pieces from the left as long as they fit whole: the most wanted come first.
fn packed<'a>(pieces: Vec<Vec<Span<'a>>>, cells: usize) -> Line<'a> {
    let mut line = Line::default();
    for piece in pieces {
        let width: usize = piece.iter().map(Span::width).sum();
        if line.width() + width <= cells {
            line.spans.extend(piece);
        }
    }
    line
}

fn progress_line<'a>(scene: &Scene<'a>, width: u16) -> Line<'a> {
    let view = scene.view;
    let share = view.last_step() as f64 / view.facts.steps.max(1) as f64;
    let bar = usize::from(width / 8).clamp(6, 24);
    let label = |name: &'static str, value: String| {
        vec![scene.span(Role::Dim, name), scene.span(Role::Text, format!("{value}  "))]
    };
    let mut pieces = vec![
        state_spans(scene, usize::from(width)),
        label("step ", step_text(scene)),
        vec![
            scene.span(Role::Faint, "▕"),
            scene.span(Role::Bar, format!("{:<bar$}", glyph::gauge(share, bar))),
            scene.span(Role::Faint, "▏"),
            scene.span(Role::Text, format!("{:3.0}%  ", share.min(1.0) * 100.0)),
        ],
    ];
    if let Some(eta) = eta_text(scene) {
        pieces.push(label("ETA ", eta));
    }
    if let Some((status, exit, message)) = &view.finished {
        let role = if *status == Status::Ok { Role::Good } else { Role::Bad };
        pieces.push(vec![scene.span(role, format!("exit {exit} {}  ", text::fit(message, 48)))]);
    }
    if let Some((step, at_ms)) = view.last_checkpoint {
        let age = scene.app.now_ms().saturating_sub(at_ms) as f64 / 1000.0;
        pieces.push(label("ckpt ", format!("{step} ({} ago)", text::duration(age.round()))));
    }
    if view.config_revision > 0 {
        pieces.push(label("cfg ", format!("rev {} ✎", view.config_revision)));
    }
    if let Some(format) = view.newer_format {
        pieces.push(vec![scene.span(Role::Warn, format!("format {format} is newer than this program  "))]);
    }
    packed(pieces, usize::from(width))
}

fn phase_line<'a>(scene: &Scene<'a>, width: u16) -> Line<'a> {
    let current = scene.view.progress.filter(|_| scene.view.finished.is_none());
    let mut pieces = vec![vec![scene.span(Role::Dim, " phase ")]];
    let bar = phase_bar(scene, usize::from(width) * 2 / 5, current.map(|p| p.phase));
    if !bar.is_empty() {
        pieces.push(bar);
    }
    if let Some(p) = current {
        let since = scene.app.now_ms().saturating_sub(p.since_ms) as f64 / 1000.0;
        let text =
            format!("step {} {} {}/{} {}  ", p.step, p.phase.name(), p.done, p.total, text::duration(since.round()));
        pieces.push(vec![scene.span(Role::Accent, text)]);
    }
    let mut figure = |name: &str, unit: &'static str, metric: &str| {
        if scene.metric(metric).is_some() {
            let value = scene.span(Role::Text, scene.figure(metric));
            pieces.push(vec![scene.span(Role::Dim, name.to_owned()), value, scene.span(Role::Dim, unit)]);
        }
    };
    figure("", " s/step  ", "time/step");
    figure("", " tok/s  ", "tokens/per_second");
    figure("mismatch ", "  ", "mismatch/max");
    if pieces.len() == 1 {
        let said = if scene.app.is_live() { "the trainer is starting" } else { "nothing was timed" };
        pieces.push(vec![scene.span(Role::Dim, said)]);
    }
    packed(pieces, usize::from(width))
}

/// The last step's time split by phase, in proportion, each named if its name fits.
fn phase_bar<'a>(scene: &Scene<'a>, cells: usize, current: Option<Phase>) -> Vec<Span<'a>> {
    let time = |p: Phase| scene.metric(&format!("time/{}", p.name())).filter(|t| *t > 0.0).unwrap_or(0.0);
    let total: f64 = Phase::ALL.iter().map(|p| time(*p)).sum();
    if total <= 0.0 {
        return vec![];
    }
    let mut spans = vec![scene.span(Role::Faint, "▕")];
    for (at, phase) in Phase::ALL.into_iter().filter(|p| time(*p) > 0.0).enumerate() {
        let width = ((time(phase) / total * cells as f64).round() as usize).max(1);
        let fill = ["▓", "▒"][at % 2];
        let name = if width >= phase.name().len() { phase.name() } else { "" };
        let role = if Some(phase) == current { Role::Accent } else { Role::Bar };
        spans.push(scene.span(if Some(phase) == current { Role::Accent } else { Role::Text }, name));
        spans.push(scene.span(role, fill.repeat(width - name.len())));
        spans.push(scene.span(Role::Faint, "│"));
    }
    spans.pop();
    spans.push(scene.span(Role::Faint, "▏ "));
    spans
}

fn facts_line<'a>(scene: &Scene<'a>, width: u16) -> Line<'a> {
    let facts = &scene.view.facts;
    let size = if facts.parameters > 0 { format!(" {}", millions(facts.parameters)) } else { String::new() };
    let word = |role, value: String| vec![scene.span(role, text::fit(&value, 60)), scene.span(Role::Faint, "  ")];
    let mut pieces = vec![
        word(Role::Dim, format!(" {}", facts.env)),
        word(Role::Dim, facts.method.clone()),
        word(Role::Dim, format!("{}{size}", facts.model)),
        word(Role::Dim, facts.device.clone()),
        word(Role::Dim, format!("{}x{} rollouts", facts.groups, facts.members)),
    ];
    pieces.extend(facts.substitutions.iter().map(|s| word(Role::Warn, format!("stand-in: {s}"))));
    packed(pieces, usize::from(width))
}

fn millions(parameters: u64) -> String {
    match parameters as f64 {
        n if n >= 1e9 => format!("{:.1}B", n / 1e9),
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n => format!("{:.0}k", n / 1e3),
    }
}
