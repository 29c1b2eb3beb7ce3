//! Screen 6: what the machine does, where the time of a step goes, what the trainer says.
//!
//! ```text
//! machine: cpu, memory, trainer, disk, accelerators      phases of the last steps as a waterfall
//! log of the trainer                                     alerts and changes
//! ```

use std::path::PathBuf;

use ratatui::Frame;
use ratatui::layout::Direction::{Horizontal, Vertical};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::machine::machine;
use super::panes::nothing;
use super::tabs::tabs;
use super::{Room, Screen, notes};
use crate::core::Phase;
use crate::run::view::StepView;
use crate::tui::app::{App, Effect};
use crate::tui::feed::Feed;
use crate::tui::find::Find;
use crate::tui::keys::{Action, Binding, ScreenId, ch, row};
use crate::tui::machine::{Load, Watch};
use crate::tui::mouse::Target;
use crate::tui::scene::Scene;
use crate::tui::theme::Role;
use crate::tui::{select, text, update};

/// The row of this screen.
pub const SCREEN: Screen = Screen {
    bindings: BINDINGS,
    act,
    find,
    copied,
    load,
    ..Screen::new(ScreenId::System, ("System", "Sys"), &["log", "machine", "phases", "alerts"], draw)
};

const BINDINGS: &[Binding] =
    &[row(&[ch('v')], "log-level", Action::Own("level"), "level: all lines, warnings, errors", "data")
        .on(HERE)
        .foot(7)];
const HERE: &[ScreenId] = &[ScreenId::System];

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {
    watch: Option<Watch>,
    /// The looks of the last minutes, the newest last.
    pub loads: Vec<Load>,
    /// The end of the trainer's log.
    pub log: Vec<String>,
    seen: u64,
    /// Least level shown: all, warnings, errors.
    level: usize,
    /// Lines up from the end; 0 follows.
    pub back: usize,
}

impl State {
    fn lines(&self) -> Vec<&String> {
        let words: [&[&str]; 3] = [&[], &["warn", "error", "panic", "fail"], &["error", "panic", "fail"]];
        let wanted = words[self.level];
        let hit = |line: &&String| wanted.is_empty() || wanted.iter().any(|w| line.to_lowercase().contains(w));
        self.log.iter().filter(hit).collect()
    }
}

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    match action {
        Action::Own("level") => {
            let state = &mut app.states.system;
            (state.level, state.back) = ((state.level + 1) % 3, 0);
            app.notify(["log: all lines", "log: warnings and errors", "log: errors"][app.states.system.level]);
        }
        Action::Follow => app.states.system.back = 0,
        Action::Left => select::crosshair(app, -1),
        Action::Right => select::crosshair(app, 1),
        Action::Alerts => app.focus[5] = 3,
        _ if app.focus[5] == 3 => notes::walk(app, update::vertical(action)?),
        _ if app.focus[5] != 0 => return update::scroll(app, action).then(Vec::new),
        _ => {
            let to = update::vertical(action)?;
            let state = &mut app.states.system;
            let len = state.lines().len();
            let at = to.from(len.saturating_sub(1 + state.back), len);
            state.back = len.saturating_sub(1 + at);
        }
    }
    Some(vec![])
}

/// The alert that is chosen, where one stands among them; the log.
fn copied(app: &App) -> Vec<(&'static str, String)> {
    let alert = (app.focus[5] == 3).then(|| notes::chosen(app)).flatten();
    alert.into_iter().chain([("log", app.states.system.log.join("\n"))]).collect()
}

fn find(app: &mut App, find: &Find, by: i32) -> bool {
    let state = &mut app.states.system;
    let lines: Vec<String> = state.lines().into_iter().cloned().collect();
    let at = lines.len().saturating_sub(1 + state.back);
    let found = find.next(at, lines.len(), by, |at| lines[at].clone());
    state.back = found.map_or(state.back, |at| lines.len() - 1 - at);
    found.is_some()
}

fn load(app: &mut App, feed: &mut dyn Feed) -> bool {
    let Some(folder) = feed.folder() else { return false };
    let pid = app.view().facts.pid;
    let state = &mut app.states.system;
    let found = state.watch.get_or_insert_with(|| Watch::start(pid, &folder)).poll();
    let mut changed = !found.is_empty();
    state.loads.extend(found);
    state.loads.drain(..state.loads.len().saturating_sub(KEPT));
    changed |= read_log(state, &folder.join("logs/trainer.log"));
    changed
}

/// Reads the log's end again when it grew.
fn read_log(state: &mut State, path: &PathBuf) -> bool {
    use std::io::{Read, Seek, SeekFrom};
    let Ok(mut file) = std::fs::File::open(path) else { return false };
    let len = file.metadata().map_or(0, |meta| meta.len());
    if len == state.seen {
        return false;
    }
    state.seen = len;
    let mut bytes = Vec::new();
    let read = file
        .seek(SeekFrom::Start(len.saturating_sub(LOG_BYTES)))
        .and_then(|_| file.take(LOG_BYTES).read_to_end(&mut bytes));
    if read.is_ok() {
        state.log = String::from_utf8_lossy(&bytes).lines().map(text::clean).collect();
    }
    true
}

fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let focus = scene.app.focus[5].min(3);
    let panes: [fn(&mut Frame, Rect, &Scene, bool); 4] = [log, machine, phases, notes::alerts];
    let room = Room::of(frame.area());
    if room <= Room::One {
        let [top, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        tabs(frame, top, scene);
        return panes[focus](frame, body, scene, true);
    }
    if scene.app.zoomed {
        return panes[focus](frame, area, scene, true);
    }
    let [top, bottom] = scene.split("system", area, Vertical, area.height.div_ceil(2));
    let [a, b] = scene.split("system-machine", top, Horizontal, top.width.div_ceil(2));
    let [c, d] = scene.split("system-log", bottom, Horizontal, bottom.width * 3 / 5);
    for (at, area) in [c, a, b, d].into_iter().enumerate() {
        scene.hit(area, Target::Pane(at));
        panes[at](frame, area, scene, at == focus);
    }
}

/// A row per step, newest last: how long each phase took, on one scale.
fn phases(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let inner = scene.pane(frame, area, scene.title("phases of the last steps", focused).into(), focused);
    let height = usize::from(inner.height).saturating_sub(1);
    let upto = scene.view.steps.partition_point(|s| s.step <= scene.app.step());
    let steps = &scene.view.steps[upto.saturating_sub(height)..upto];
    let time = |step: &StepView, phase: Phase| {
        step.metrics.value(&format!("time/{}", phase.name())).filter(|t| *t > 0.0).unwrap_or(0.0)
    };
    let whole = |step: &StepView| Phase::ALL.iter().map(|p| time(step, *p)).sum::<f64>();
    let longest = steps.iter().map(whole).fold(0.0, f64::max);
    if longest <= 0.0 {
        return scene.lines(frame, inner, nothing(scene, "no step was timed yet"));
    }
    let cells = usize::from(inner.width).saturating_sub(18) as f64;
    let mut lines: Vec<Line> = steps
        .iter()
        .map(|step| {
            let mut spans = vec![scene.span(Role::Dim, format!("{:>6} ", step.step))];
            let (mut until, mut drawn) = (0.0, 0);
            for (phase, (fill, role)) in Phase::ALL.into_iter().zip(FILLS) {
                until += time(step, phase);
                let end = (until / longest * cells).round() as usize;
                spans.push(scene.span(role, fill.repeat(end.saturating_sub(drawn))));
                drawn = end.max(drawn);
            }
            spans.push(scene.span(Role::Text, format!(" {}", text::duration(whole(step)))));
            Line::from(spans)
        })
        .collect();
    let legend: Vec<Span> = Phase::ALL
        .into_iter()
        .zip(FILLS)
        .filter(|(phase, _)| steps.iter().any(|step| time(step, *phase) > 0.0))
        .map(|(phase, (fill, role))| scene.span(role, format!(" {fill} {}", phase.name())))
        .collect();
    lines.push(Line::from(legend));
    scene.lines(frame, inner, lines);
}

/// Glyph and colour of each phase, so that neither is needed alone.
const FILLS: [(&str, Role); 7] = [
    ("█", Role::Series1),
    ("·", Role::Dim),
    ("▚", Role::Series3),
    ("▅", Role::Series2),
    ("◆", Role::Info),
    ("●", Role::Eval),
    ("◇", Role::Faint),
];

/// The trainer's log, followed unless one scrolled up.
fn log(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let state = &scene.app.states.system;
    let lines = state.lines();
    let level = ["all", "warnings", "errors"][state.level];
    let place = if state.back == 0 { "follows".into() } else { format!("{} up", state.back) };
    let right = scene.span(Role::Dim, format!(" v {level} · {place} ")).into();
    let inner = scene.pane_with(frame, area, scene.title("log", focused).into(), right, focused);
    let height = usize::from(inner.height);
    let end = lines.len().saturating_sub(state.back);
    let hit = |line: &str| scene.app.find.as_ref().is_some_and(|find| find.hits(line));
    let shown = lines[end.saturating_sub(height)..end].iter().map(|line| {
        let role = if hit(line) { Role::Select } else { Role::Text };
        Line::styled(text::fit(line, usize::from(inner.width)), scene.style(role))
    });
    let shown: Vec<_> = shown.collect();
    scene.lines(frame, inner, if shown.is_empty() { nothing(scene, "the trainer has said nothing") } else { shown });
}

/// Looks kept: ten minutes.
const KEPT: usize = 600;
/// How much of the log's end is shown.
const LOG_BYTES: u64 = 256 << 10;
