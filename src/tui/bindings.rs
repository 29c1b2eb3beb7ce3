//! The rows of the table of keys that work on every screen, or on several. What only one screen can do stands in its
//! own file; see [`super::keys`].

use crossterm::event::KeyCode;

use super::app::Mode;
use super::keys::ScreenId::{self, Dash, Rollouts, Runs, Skills, System, Tokens};
use super::keys::{Action as A, Binding, ch, ctrl, key, row};

const ALL: &str = "everywhere";
const MOVE: &str = "move";
const CHARTS: &str = "charts";
const DATA: &str = "data";
const LOOK: &str = "look";
const RUN: &str = "run";
const REPLAY: &str = "replay";
/// Screens that show rollouts.
const TEXTS: &[ScreenId] = &[Rollouts, Tokens];
/// Screens that show charts.
const CURVES: &[ScreenId] = &[Dash, Runs, System];

/// Every shared row.
pub const BINDINGS: &[Binding] = &[
    row(&[ch('?')], "help", A::Help, "help: search all keys", ALL).foot(1),
    row(&[ch(':')], "command", A::Command, "cmd: type a command, Tab completes", ALL).foot(2),
    row(&[ctrl('p')], "palette", A::Palette, "palette: find any action by name", ALL),
    row(&[ch('/')], "find", A::Find, "find: text or regex, ! inverts", ALL).foot(3),
    row(&[ch('n')], "match-next", A::Match(1), "match: next", ALL),
    row(&[ch('N')], "match-previous", A::Match(-1), "match: previous", ALL),
    row(&[ch('1')], "dash", A::Screen(Dash), "dash: curves, alerts, live rollouts", ALL),
    row(&[ch('2')], "rollouts", A::Screen(Rollouts), "rollouts: groups, members, turns", ALL),
    row(&[ch('3')], "tokens", A::Screen(Tokens), "tokens: what the teacher thinks of each", ALL),
    row(&[ch('4')], "skills", A::Screen(Skills), "skills: the bank and what each is worth", ALL),
    row(&[ch('5')], "runs", A::Screen(Runs), "runs: find, overlay, compare", ALL),
    row(&[ch('6')], "system", A::Screen(System), "system: machine, memory, phases, log", ALL),
    row(&[key(KeyCode::Tab)], "pane-next", A::PaneNext, "pane: next", ALL).foot(4),
    row(&[key(KeyCode::BackTab)], "pane-previous", A::PanePrevious, "pane: previous", ALL),
    row(&[key(KeyCode::Enter)], "open", A::Enter, "open: one layer in", ALL).foot(6),
    row(&[key(KeyCode::Esc)], "back", A::Escape, "back: one layer out, never quits", ALL),
    row(&[ch('z')], "zoom", A::Zoom, "zoom: this pane alone, or all", ALL),
    row(&[ctrl('z')], "suspend", A::Suspend, "suspend: the screen only, training goes on", ALL),
    row(&[ctrl('l')], "redraw", A::Redraw, "redraw: the whole screen", ALL),
    row(&[ch('q')], "quit", A::Quit, "quit: asks while the run is live", ALL).foot(99),
    row(&[ctrl('c')], "quit-menu", A::QuitMenu, "quit menu: detach, stop, abort, cancel", ALL),
    row(&[ch('k'), key(KeyCode::Up)], "up", A::Up, "up: previous line", MOVE),
    row(&[ch('j'), key(KeyCode::Down)], "down", A::Down, "down: next line", MOVE),
    row(&[ch('h'), key(KeyCode::Left)], "left", A::Left, "left: crosshair, pane or token", MOVE),
    row(&[ch('l'), key(KeyCode::Right)], "right", A::Right, "right: crosshair, pane or token", MOVE),
    row(&[ch('g'), key(KeyCode::Home)], "top", A::Top, "top: first", MOVE),
    row(&[ch('G'), key(KeyCode::End)], "bottom", A::Bottom, "bottom: last", MOVE),
    row(&[ctrl('u'), key(KeyCode::PageUp)], "half-up", A::HalfUp, "half page up", MOVE),
    row(&[ctrl('d'), key(KeyCode::PageDown)], "half-down", A::HalfDown, "half page down", MOVE),
    row(&[ch('[')], "step-previous", A::Step(-1), "step: previous", MOVE),
    row(&[ch(']')], "step-next", A::Step(1), "step: next", MOVE).foot(20),
    row(&[ch('<')], "step-back", A::Step(-10), "step: ten back", MOVE),
    row(&[ch('>')], "step-on", A::Step(10), "step: ten on", MOVE),
    row(&[ch('@')], "jump", A::Jump, "jump: to a step, or an alert by its name", MOVE),
    row(&[ch('J')], "rollout-next", A::Rollout(1), "rollout: next", MOVE).on(TEXTS).foot(12),
    row(&[ch('K')], "rollout-previous", A::Rollout(-1), "rollout: previous", MOVE).on(TEXTS),
    row(&[ch('}')], "turn-next", A::Turn(1), "turn: next", MOVE).on(TEXTS).foot(13),
    row(&[ch('{')], "turn-previous", A::Turn(-1), "turn: previous", MOVE).on(TEXTS),
    row(&[ch('w')], "hot-next", A::Hot(1), "hot: next token with |gap| ≥ 0.5", MOVE).on(&[Tokens]).foot(10),
    row(&[ch('b')], "hot-previous", A::Hot(-1), "hot: previous token with |gap| ≥ 0.5", MOVE).on(&[Tokens]),
    row(&[ch('f')], "follow", A::Follow, "follow: the newest step", CHARTS).on(CURVES).foot(11),
    row(&[ch('L')], "log-y", A::Log, "log: logarithmic y for this chart", CHARTS).on(CURVES).foot(12),
    row(&[ctrl('x')], "log-x", A::LogX, "log x: logarithmic x for all charts", CHARTS).on(CURVES),
    row(&[ch('o')], "smooth-more", A::Smooth(1), "smooth: more", CHARTS).on(CURVES).foot(13),
    row(&[ch('O')], "smooth-less", A::Smooth(-1), "smooth: less", CHARTS).on(CURVES),
    row(&[ch('x')], "x-axis", A::XAxis, "x: step, wall time, tokens, episodes", CHARTS).on(CURVES),
    row(&[ch('u')], "outliers", A::Outliers, "outliers: all, 99 %, 95 %", CHARTS).on(CURVES),
    row(&[ch('c')], "link", A::Link, "link: zoom one chart, or all", CHARTS).on(CURVES),
    row(&[ch('=')], "scale-in", A::Scale(1), "zoom in: at the crosshair", CHARTS).on(CURVES).foot(14),
    row(&[ch('-')], "scale-out", A::Scale(-1), "zoom out", CHARTS).on(CURVES),
    row(&[ch('0')], "scale-reset", A::Scale(0), "reset: zoom and pan", CHARTS).on(CURVES),
    row(&[ch('(')], "pan-left", A::Pan(-1), "pan: left", CHARTS).on(CURVES),
    row(&[ch(')')], "pan-right", A::Pan(1), "pan: right", CHARTS).on(CURVES),
    row(&[ch('=')], "unfold", A::Unfold, "unfold: everything", "more or less").on(TEXTS),
    row(&[ch('-')], "fold", A::Fold, "fold: everything", "more or less").on(TEXTS),
    row(&[ch('t')], "channel", A::Channel, "channel: gate, gap, log-probs, entropy, ...", DATA).on(&[Tokens]).foot(11),
    row(&[ch('m')], "raw", A::Raw, "raw: exact text, or rendered", DATA).on(TEXTS),
    row(&[ch('i')], "prompts", A::Prompts, "prompts: student and teacher side by side", DATA).on(TEXTS).foot(14),
    row(&[ch('y')], "copy", A::Copy, "copy: what is selected, to the clipboard", DATA),
    row(&[ch('Y')], "copy-menu", A::CopyMenu, "copy: choose what", DATA),
    row(&[ch('E')], "export", A::Export, "export: screen or chart as SVG, HTML", DATA),
    row(&[ch('T')], "theme", A::Theme, "theme: next", LOOK),
    row(&[ch('M')], "mouse", A::Mouse, "mouse: on or off, off lets the terminal select", LOOK),
    row(&[ch('R')], "layout", A::Layout, "layout: next preset", LOOK),
    row(&[ch('A')], "alerts", A::Alerts, "alerts: go to them", RUN),
    row(&[ch('e')], "edit", A::EditConfig, "edit: the configuration in $EDITOR, read again at once", RUN)
        .on(&[Dash, System]),
    row(&[ch('C')], "config", A::Config, "config: keys, values and scopes", RUN),
    row(&[ch('p')], "pause", A::Pause, "pause: after this step, or resume", RUN).only(Mode::Live).foot(8),
    row(&[ch('P')], "hold", A::Hold, "hold: before the model is called next", RUN).only(Mode::Live),
    row(&[ch('s')], "save", A::Save, "save: a checkpoint after this step", RUN).only(Mode::Live),
    row(&[ch('S')], "stop", A::Stop, "stop: after this step, resumable", RUN).only(Mode::Live),
    row(&[ch('p')], "play", A::Play, "play: or hold", REPLAY).only(Mode::Replay).foot(5),
    row(&[ch('+')], "faster", A::Faster, "faster: twice the speed", REPLAY).only(Mode::Replay),
    row(&[ch('_')], "slower", A::Slower, "slower: half the speed", REPLAY).only(Mode::Replay),
];
