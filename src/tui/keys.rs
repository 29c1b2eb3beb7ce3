//! The one table of keys. Dispatch, footer and help are read from it, so they cannot disagree.
//!
//! Rules: one meaning per letter; no binding needs Alt or more than one key; what ends or changes the run is a
//! capital or asks first; `Esc` goes one layer out and never quits.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::Mode;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Help,
    Screen(ScreenId),
    PaneNext,
    PanePrevious,
    Up,
    Down,
    Left,
    Right,
    Top,
    Bottom,
    HalfUp,
    HalfDown,
    Enter,
    Escape,
    Zoom,
    /// Moves the selected step (the position, in replay) by so many.
    Step(i32),
    Jump,
    Follow,
    Rollout(i32),
    Turn(i32),
    Hot(i32),
    Unfold,
    Fold,
    Channel,
    Raw,
    Prompts,
    Log,
    Smooth,
    Copy,
    Theme,
    Pause,
    Play,
    Faster,
    Slower,
    Save,
    Stop,
    Suspend,
    Redraw,
    Quit,
    QuitMenu,
}

/// The screens, in the order of their number keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScreenId {
    #[default]
    Dash,
    Rollouts,
    Tokens,
}

impl ScreenId {
    /// All screens; the first is key `1`.
    pub const ALL: [ScreenId; 3] = [ScreenId::Dash, ScreenId::Rollouts, ScreenId::Tokens];

    /// Its title.
    pub fn name(self) -> &'static str {
        ["Dash", "Rollouts", "Tokens"][self as usize]
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Binding {
    pub keys: &'static [Key],
    pub action: Action,
    /// What it does, as help and footer say it: the first word or two before `:` are the footer's.
    pub help: &'static str,
    pub group: &'static str,
    /// Where it works; empty means everywhere.
    pub screens: &'static [ScreenId],
    /// Live or replay only; `None` means both.
    pub mode: Option<Mode>,
    /// Rank in the footer, lower first; 0 keeps it out.
    pub footer: u8,
}

impl Binding {
    /// Whether it works on this screen in this mode.
    pub fn applies(&self, screen: ScreenId, mode: Mode) -> bool {
        (self.screens.is_empty() || self.screens.contains(&screen)) && self.mode.is_none_or(|m| m == mode)
    }

    /// All its keys, as people write them.
    pub fn label(&self) -> String {
        self.keys.iter().map(Key::label).collect::<Vec<_>>().join(" ")
    }
}

/// A key, with or without Ctrl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub code: KeyCode,
    pub ctrl: bool,
}

impl Key {
    /// The key as people write it.
    pub fn label(&self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if self.ctrl => c.to_ascii_uppercase().to_string(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::Up => "↑".into(),
            KeyCode::Down => "↓".into(),
            KeyCode::Left => "←".into(),
            KeyCode::Right => "→".into(),
            KeyCode::BackTab => "S-Tab".into(),
            KeyCode::PageUp => "PgUp".into(),
            KeyCode::PageDown => "PgDn".into(),
            other => format!("{other:?}"),
        };
        if self.ctrl { format!("Ctrl-{name}") } else { name }
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        Self { code: event.code, ctrl: event.modifiers.contains(KeyModifiers::CONTROL) }
    }
}

/// The action of a key here, if it has one.
pub fn action(key: Key, screen: ScreenId, mode: Mode) -> Option<Action> {
    let here = BINDINGS.iter().filter(|b| b.applies(screen, mode));
    here.into_iter().find(|b| b.keys.contains(&key)).map(|b| b.action)
}

/// The bindings a footer shows here, most relevant first.
pub fn footer(screen: ScreenId, mode: Mode) -> Vec<&'static Binding> {
    let mut shown: Vec<_> = BINDINGS.iter().filter(|b| b.footer > 0 && b.applies(screen, mode)).collect();
    shown.sort_by_key(|b| b.footer);
    // How to leave is always the last word.
    let quit = shown.pop();
    shown.truncate(6);
    shown.extend(quit);
    shown
}

/// The bindings help lists: those that work here first, narrowed to lines that contain `query`.
pub fn help(screen: ScreenId, mode: Mode, query: &str) -> Vec<&'static Binding> {
    let query = query.to_lowercase();
    let hit = |b: &&Binding| format!("{} {} {}", b.label(), b.help, b.group).to_lowercase().contains(&query);
    let (mut here, elsewhere): (Vec<_>, Vec<_>) = BINDINGS.iter().filter(hit).partition(|b| b.applies(screen, mode));
    here.extend(elsewhere);
    here
}

const fn key(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

const fn ch(c: char) -> Key {
    key(KeyCode::Char(c))
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: true }
}

const fn row(keys: &'static [Key], action: Action, help: &'static str, group: &'static str) -> Binding {
    Binding { keys, action, help, group, screens: &[], mode: None, footer: 0 }
}

impl Binding {
    const fn on(mut self, screens: &'static [ScreenId]) -> Self {
        self.screens = screens;
        self
    }

    const fn only(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    const fn foot(mut self, rank: u8) -> Self {
        self.footer = rank;
        self
    }
}

use Action as A;
use ScreenId::{Dash, Rollouts, Tokens};

/// Every key there is.
pub const BINDINGS: &[Binding] = &[
    row(&[ch('?')], A::Help, "help: search all keys", "everywhere").foot(1),
    row(&[ch('1')], A::Screen(Dash), "dash: curves, alerts, live rollouts", "everywhere"),
    row(&[ch('2')], A::Screen(Rollouts), "rollouts: groups, members, turns", "everywhere"),
    row(&[ch('3')], A::Screen(Tokens), "tokens: what the teacher thinks of each", "everywhere"),
    row(&[key(KeyCode::Tab)], A::PaneNext, "pane: next", "everywhere").foot(2),
    row(&[key(KeyCode::BackTab)], A::PanePrevious, "pane: previous", "everywhere"),
    row(&[key(KeyCode::Enter)], A::Enter, "open: one layer in", "everywhere").foot(3),
    row(&[key(KeyCode::Esc)], A::Escape, "back: one layer out, never quits", "everywhere"),
    row(&[ch('z')], A::Zoom, "zoom: this pane alone, or all", "everywhere"),
    row(&[ctrl('z')], A::Suspend, "suspend: the screen only, training goes on", "everywhere"),
    row(&[ctrl('l')], A::Redraw, "redraw: the whole screen", "everywhere"),
    row(&[ch('q')], A::Quit, "quit: asks while the run is live", "everywhere").foot(9),
    row(&[ctrl('c')], A::QuitMenu, "quit menu: detach, stop, abort, cancel", "everywhere"),
    row(&[ch('k'), key(KeyCode::Up)], A::Up, "up: previous line", "move"),
    row(&[ch('j'), key(KeyCode::Down)], A::Down, "down: next line", "move"),
    row(&[ch('h'), key(KeyCode::Left)], A::Left, "left: crosshair, pane or token", "move"),
    row(&[ch('l'), key(KeyCode::Right)], A::Right, "right: crosshair, pane or token", "move"),
    row(&[ch('g'), key(KeyCode::Home)], A::Top, "top: first", "move"),
    row(&[ch('G'), key(KeyCode::End)], A::Bottom, "bottom: last", "move"),
    row(&[ctrl('u'), key(KeyCode::PageUp)], A::HalfUp, "half page up", "move"),
    row(&[ctrl('d'), key(KeyCode::PageDown)], A::HalfDown, "half page down", "move"),
    row(&[ch('[')], A::Step(-1), "step: previous", "move"),
    row(&[ch(']')], A::Step(1), "step: next", "move").foot(5),
    row(&[ch('<')], A::Step(-10), "step: ten back", "move"),
    row(&[ch('>')], A::Step(10), "step: ten on", "move"),
    row(&[ch('@')], A::Jump, "jump: to a step by number", "move"),
    row(&[ch('J')], A::Rollout(1), "rollout: next", "move").on(&[Rollouts, Tokens]).foot(6),
    row(&[ch('K')], A::Rollout(-1), "rollout: previous", "move").on(&[Rollouts, Tokens]),
    row(&[ch('}')], A::Turn(1), "turn: next", "move").on(&[Rollouts, Tokens]).foot(7),
    row(&[ch('{')], A::Turn(-1), "turn: previous", "move").on(&[Rollouts, Tokens]),
    row(&[ch('w')], A::Hot(1), "hot: next token with |gap| ≥ 0.5", "move").on(&[Tokens]).foot(4),
    row(&[ch('b')], A::Hot(-1), "hot: previous token with |gap| ≥ 0.5", "move").on(&[Tokens]),
    row(&[ch('f')], A::Follow, "follow: the newest step", "charts").on(&[Dash]),
    row(&[ch('L')], A::Log, "log: logarithmic axis for this chart", "charts").on(&[Dash]),
    row(&[ch('o')], A::Smooth, "smooth: none, .6, .9, .97", "charts").on(&[Dash]).foot(6),
    row(&[ch('=')], A::Unfold, "unfold: everything", "more or less").on(&[Rollouts, Tokens]),
    row(&[ch('-')], A::Fold, "fold: everything", "more or less").on(&[Rollouts, Tokens]),
    row(&[ch('t')], A::Channel, "channel: gate, gap, log-probs, entropy, ...", "data").on(&[Tokens]).foot(5),
    row(&[ch('m')], A::Raw, "raw: exact text, or rendered", "data").on(&[Rollouts, Tokens]),
    row(&[ch('i')], A::Prompts, "prompts: student and teacher side by side", "data").on(&[Rollouts, Tokens]).foot(8),
    row(&[ch('y')], A::Copy, "copy: what is selected, to the clipboard", "data"),
    row(&[ch('T')], A::Theme, "theme: next", "look"),
    row(&[ch('p')], A::Pause, "pause: after this step, or resume", "run").only(Mode::Live).foot(4),
    row(&[ch('s')], A::Save, "save: a checkpoint after this step", "run").only(Mode::Live),
    row(&[ch('S')], A::Stop, "stop: after this step, resumable", "run").only(Mode::Live),
    row(&[ch('p'), ch(' ')], A::Play, "play: or hold", "replay").only(Mode::Replay).foot(2),
    row(&[ch('+')], A::Faster, "faster: twice the speed", "replay").only(Mode::Replay),
    row(&[ch('_')], A::Slower, "slower: half the speed", "replay").only(Mode::Replay),
    row(&[ch('-')], A::Slower, "slower: half the speed, on the dash", "replay").only(Mode::Replay).on(&[Dash]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_on_one_screen() {
        for screen in ScreenId::ALL {
            for mode in [Mode::Live, Mode::Replay] {
                let here: Vec<_> = BINDINGS.iter().filter(|b| b.applies(screen, mode)).collect();
                let keys: Vec<_> = here.iter().flat_map(|b| b.keys).collect();
                for (at, key) in keys.iter().enumerate() {
                    assert!(!keys[..at].contains(key), "`{}` twice on {screen:?} in {mode:?}", key.label());
                }
                assert!((5..=7).contains(&footer(screen, mode).len()), "{screen:?} {mode:?}");
            }
        }
    }

    #[test]
    fn every_binding_is_reached_by_its_keys() {
        for binding in BINDINGS {
            let screens = if binding.screens.is_empty() { &ScreenId::ALL } else { binding.screens };
            let mode = binding.mode.unwrap_or(Mode::Live);
            for (screen, key) in screens.iter().flat_map(|s| binding.keys.iter().map(move |k| (*s, *k))) {
                assert_eq!(action(key, screen, mode), Some(binding.action));
            }
        }
    }

    #[test]
    fn help_lists_every_binding_and_can_be_searched() {
        assert_eq!(help(Dash, Mode::Live, "").len(), BINDINGS.len());
        let found = help(Tokens, Mode::Live, "gap");
        assert!(!found.is_empty() && found.len() < BINDINGS.len());
        assert!(found.iter().any(|b| b.action == Action::Hot(1)));
    }
}
