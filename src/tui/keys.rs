//! The one table of keys. Dispatch, footer, help, palette, commands and the keymap file are read from it, so they
//! cannot disagree.
//!
//! Rules: one meaning per letter; no binding needs Alt or more than one key; what ends or changes the run is a
//! capital or asks first; `Esc` goes one layer out and never quits.
//!
//! The rows that work on every screen are in [`super::bindings`]. A screen adds its own in its own file:
//! 1. rows in its `Screen` (see [`super::screens`]), made with [`row`], with an action of this table or, for what
//!    only that screen can do, `Action::Own("disable-skill")`;
//! 2. what they do in its `act` function, which is offered every action before [`super::update`] sees it.
//!
//! Nothing else needs to know: the new row is in the footer (if it has a rank), the help, the palette, the list of
//! `:` commands and the keymap file by itself.

use super::app::Mode;
use super::bindings::BINDINGS;
pub use super::key::{Key, ch, ctrl, key};
use super::screens::SCREENS;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Help,
    Palette,
    Command,
    Find,
    /// Next (1) or previous (-1) match.
    Match(i32),
    Screen(ScreenId),
    PaneNext,
    PanePrevious,
    /// The mouse chose a pane, or a line of a pane's list.
    Pane(usize),
    Row(usize),
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
    /// More (1), less (-1) or all (0) of the x-axis.
    Scale(i32),
    /// Moves what is shown of the x-axis, in tenths of it.
    Pan(i32),
    Log,
    LogX,
    Smooth(i32),
    XAxis,
    Outliers,
    Link,
    Copy,
    CopyMenu,
    Export,
    Theme,
    Mouse,
    Layout,
    Alerts,
    Config,
    EditConfig,
    Pause,
    Hold,
    Play,
    Faster,
    Slower,
    Save,
    Stop,
    Suspend,
    Redraw,
    Quit,
    QuitMenu,
    /// What only one screen can do, by name; see [`super::screens::Screen`].
    Own(&'static str),
}

/// The screens, in the order of their number keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScreenId {
    #[default]
    Dash,
    Rollouts,
    Tokens,
    Skills,
    Runs,
    System,
}

impl ScreenId {
    /// All screens; the first is key `1`.
    pub const ALL: [ScreenId; 6] =
        [ScreenId::Dash, ScreenId::Rollouts, ScreenId::Tokens, ScreenId::Skills, ScreenId::Runs, ScreenId::System];
}

/// One line of the table.
#[derive(Debug)]
pub struct Binding {
    /// Its name in the keymap file and after `:`, e.g. `pane-next`.
    pub name: &'static str,
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

    /// For these screens only.
    pub const fn on(mut self, screens: &'static [ScreenId]) -> Self {
        self.screens = screens;
        self
    }

    /// Live or in replay only.
    pub const fn only(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// In the footer, lower ranks first.
    pub const fn foot(mut self, rank: u8) -> Self {
        self.footer = rank;
        self
    }
}

/// A row of the table: keys, the name for keymap file and `:` commands, action, help (`word: what it does`), group.
pub const fn row(
    keys: &'static [Key],
    name: &'static str,
    action: Action,
    help: &'static str,
    group: &'static str,
) -> Binding {
    Binding { name, keys, action, help, group, screens: &[], mode: None, footer: 0 }
}

/// Every row: those of all screens, then each screen's own.
pub fn all() -> impl Iterator<Item = &'static Binding> + Clone {
    BINDINGS.iter().chain(SCREENS.iter().flat_map(|screen| screen.bindings))
}

/// Which keys reach which row: the table's own, changed by a keymap file.
#[derive(Clone, Debug)]
pub struct Keymap {
    rows: Vec<Bound>,
}

/// A row with the keys it has now.
#[derive(Clone, Debug)]
pub struct Bound {
    pub binding: &'static Binding,
    pub keys: Vec<Key>,
}

impl Bound {
    /// All its keys, as people write them.
    pub fn label(&self) -> String {
        self.keys.iter().map(Key::label).collect::<Vec<_>>().join(" ")
    }

    /// The word a footer says.
    pub fn word(&self) -> &'static str {
        self.binding.help.split(':').next().unwrap_or("")
    }
}

impl Default for Keymap {
    fn default() -> Self {
        Self { rows: all().map(|binding| Bound { binding, keys: binding.keys.to_vec() }).collect() }
    }
}

impl Keymap {
    /// All rows.
    pub fn rows(&self) -> &[Bound] {
        &self.rows
    }

    /// Gives a row other keys. `false` if there is no row of that name.
    pub fn bind(&mut self, name: &str, keys: &[Key]) -> bool {
        let rows = self.rows.iter_mut().filter(|bound| bound.binding.name == name);
        rows.map(|bound| bound.keys = keys.to_vec()).count() > 0
    }

    /// The action of a key here, if it has one.
    pub fn action(&self, key: Key, screen: ScreenId, mode: Mode) -> Option<Action> {
        let mut here = self.here(screen, mode);
        here.find(|bound| bound.keys.contains(&key)).map(|bound| bound.binding.action)
    }

    /// The rows that work here.
    pub fn here(&self, screen: ScreenId, mode: Mode) -> impl Iterator<Item = &Bound> {
        self.rows.iter().filter(move |bound| bound.binding.applies(screen, mode))
    }

    /// The rows a footer shows here, most relevant first; those that steer a trainer only while there is one.
    pub fn footer(&self, screen: ScreenId, mode: Mode, training: bool) -> Vec<&Bound> {
        let ranked = |bound: &&Bound| bound.binding.footer > 0 && !bound.keys.is_empty();
        let useful = |bound: &&Bound| training || bound.binding.mode != Some(Mode::Live);
        let mut shown: Vec<_> = self.here(screen, mode).filter(ranked).filter(useful).collect();
        shown.sort_by_key(|bound| bound.binding.footer);
        // How to leave is always the last word.
        let quit = shown.pop();
        shown.truncate(8);
        shown.extend(quit);
        shown
    }

    /// The rows help lists: those that work here first, narrowed to lines that contain `query`.
    pub fn help(&self, screen: ScreenId, mode: Mode, query: &str) -> Vec<&Bound> {
        let query = query.to_lowercase();
        let line = |b: &Bound| format!("{} {} {}", b.label(), b.binding.help, b.binding.group).to_lowercase();
        let hits = self.rows.iter().filter(|bound| line(bound).contains(&query));
        let (mut here, elsewhere): (Vec<_>, Vec<_>) = hits.partition(|b| b.binding.applies(screen, mode));
        here.extend(elsewhere);
        here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_on_one_screen() {
        let keymap = Keymap::default();
        for screen in ScreenId::ALL {
            for mode in [Mode::Live, Mode::Replay] {
                let keys: Vec<_> = keymap.here(screen, mode).flat_map(|b| &b.keys).collect();
                for (at, key) in keys.iter().enumerate() {
                    assert!(!keys[..at].contains(key), "`{}` twice on {screen:?} in {mode:?}", key.label());
                }
                for training in [true, false] {
                    assert!((4..=9).contains(&keymap.footer(screen, mode, training).len()), "{screen:?} {mode:?}");
                }
            }
        }
    }

    #[test]
    fn every_binding_is_reached_by_its_keys() {
        let keymap = Keymap::default();
        for binding in all() {
            let screens = if binding.screens.is_empty() { &ScreenId::ALL } else { binding.screens };
            let mode = binding.mode.unwrap_or(Mode::Live);
            for (screen, key) in screens.iter().flat_map(|s| binding.keys.iter().map(move |k| (*s, *k))) {
                assert_eq!(keymap.action(key, screen, mode), Some(binding.action));
            }
        }
    }

    #[test]
    fn help_lists_every_binding_and_can_be_searched() {
        let keymap = Keymap::default();
        assert_eq!(keymap.help(ScreenId::Dash, Mode::Live, "").len(), all().count());
        let found = keymap.help(ScreenId::Tokens, Mode::Live, "gap");
        assert!(!found.is_empty() && found.len() < all().count());
        assert!(found.iter().any(|b| b.binding.action == Action::Hot(1)));
    }
}
