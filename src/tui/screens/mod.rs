//! The screens. Each file has pure functions `draw(frame, area, &Scene)`; this one lays the terminal out.
//!
//! ```text
//! header      1-3 lines: run, step, progress, ETA; phases; facts
//! transport   replay only
//! body        the chosen screen; panes in columns, or one pane with tabs
//! footer      the keys that matter here, or a notice
//! ```
//!
//! A screen is one file and one row of [`SCREENS`]. The file has a `SCREEN` of type [`Screen`] and, if it remembers
//! anything, a `State` (with `Default`) that stands in [`States`]. All a screen can do beyond drawing is in the
//! optional fields of its row.

pub mod cursor;
pub mod curves;
pub mod dash;
pub mod footer;
pub mod grid;
pub mod groups;
pub mod header;
pub mod laid;
pub mod live;
pub mod machine;
pub mod notes;
pub mod overlays;
pub mod panes;
pub mod past;
pub mod prompts;
pub mod rollouts;
pub mod rows;
pub mod run_table;
pub mod runs;
pub mod skill_panes;
pub mod skills;
pub mod stream;
pub mod system;
pub mod tabs;
pub mod tokens;
pub mod turns;
pub mod versus;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::Block;

use super::app::{App, Effect, Mode};
use super::feed::Feed;
use super::find::Find;
use super::glyph;
use super::keys::{Action, Binding, ScreenId};
use super::scene::Scene;
use super::theme::Role;

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Below 60x16: a status card.
    Card,
    /// One pane with tabs.
    One,
    /// Two columns.
    Two,
    /// Three columns and more.
    Three,
}

impl Room {
    /// The room of an area: columns first, but many columns are no use in a flat terminal.
    pub fn of(area: Rect) -> Self {
        match (area.width, area.height) {
            (0..60, _) | (_, 0..16) => Room::Card,
            (60..100, _) | (_, 16..24) => Room::One,
            (100..150, _) | (_, 24..34) => Room::Two,
            _ => Room::Three,
        }
    }
}

/// A screen: what it is called, what it draws and what it can do.
#[derive(Debug)]
pub struct Screen {
    pub id: ScreenId,
    /// Its title, and the one for tabs.
    pub name: &'static str,
    pub short: &'static str,
    /// Its panes by name; Tab walks them, and `app.focus[id]` counts them.
    pub panes: &'static [&'static str],
    /// Draws the body. Reports what the mouse may click with [`Scene::hit`].
    pub draw: fn(&mut Frame, Rect, &Scene),
    /// Its own rows of the table of keys.
    pub bindings: &'static [Binding],
    /// Is offered every action first, with those of the mouse; `None` passes it on to what all screens share.
    pub act: fn(&mut App, Action) -> Option<Vec<Effect>>,
    /// The name of the focused chart, if one is.
    pub chart: Option<fn(&App) -> Option<String>>,
    /// Goes to the next (1), previous (-1) or nearest (0) place that `Find` hits; false if there is none.
    pub find: fn(&mut App, &Find, i32) -> bool,
    /// What `y` (the first) and `Y` (any) copy: name and text.
    pub copied: fn(&App) -> Vec<(&'static str, String)>,
    /// Its own `:` commands: name and one line of help. They come to `submit`.
    pub commands: &'static [(&'static str, &'static str)],
    /// A command of the screen, or a line asked for with `Overlay::ask`, by name.
    pub submit: fn(&mut App, &str, &str) -> Vec<Effect>,
    /// Fetches what the screen needs beyond the selected step, while it is shown; true if something changed. Is
    /// called often and must return at once when there is nothing to do.
    pub load: fn(&mut App, &mut dyn Feed) -> bool,
}

impl Screen {
    /// A screen that only draws; a row names what it does more with `..Screen::new(..)`.
    pub const fn new(
        id: ScreenId,
        (name, short): (&'static str, &'static str),
        panes: &'static [&'static str],
        draw: fn(&mut Frame, Rect, &Scene),
    ) -> Self {
        Self {
            id,
            name,
            short,
            panes,
            draw,
            bindings: &[],
            act: |_, _| None,
            chart: None,
            find: |_, _, _| false,
            copied: |_| Vec::new(),
            commands: &[],
            submit: |_, _, _| Vec::new(),
            load: |_, _| false,
        }
    }
}

/// One row per screen, in the order of their number keys.
pub static SCREENS: [Screen; 6] =
    [dash::SCREEN, rollouts::SCREEN, tokens::SCREEN, skills::SCREEN, runs::SCREEN, system::SCREEN];

impl ScreenId {
    /// Its row.
    pub fn screen(self) -> &'static Screen {
        &SCREENS[self as usize]
    }

    /// Its title.
    pub fn name(self) -> &'static str {
        self.screen().name
    }
}

/// What each screen remembers, in the type its own file defines.
#[derive(Debug, Default)]
pub struct States {
    pub dash: dash::State,
    pub rollouts: rollouts::State,
    pub tokens: tokens::State,
    pub skills: skills::State,
    pub runs: runs::State,
    pub system: system::State,
}

/// Draws everything.
pub fn draw(frame: &mut Frame, scene: &Scene) {
    let area = frame.area();
    scene.app.hits.clear();
    frame.render_widget(Block::new().style(scene.style(Role::Text)), area);
    let room = Room::of(area);
    if room == Room::Card {
        header::card(frame, area, scene);
    } else {
        let head = [0, 1, 2, 3][room as usize];
        let transport = u16::from(scene.app.mode == Mode::Replay);
        let rows = [Constraint::Length(head), Constraint::Length(transport), Constraint::Min(0), Constraint::Length(1)];
        let [top, replay, body, foot] = Layout::vertical(rows).areas(area);
        header::draw(frame, top, scene);
        if transport > 0 {
            header::transport(frame, replay, scene);
        }
        (scene.app.screen.screen().draw)(frame, body, scene);
        footer::draw(frame, foot, scene);
    }
    overlays::draw(frame, scene);
    if scene.app.ascii {
        glyph::to_ascii(frame.buffer_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_keys() {
        assert!(SCREENS.iter().zip(ScreenId::ALL).all(|(screen, id)| screen.id == id && !screen.panes.is_empty()));
    }
}
