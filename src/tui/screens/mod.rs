//! The screens. Each file has pure functions `draw(frame, area, &Scene)`; this one lays the terminal out.
//!
//! ```text
//! header      1-3 lines: run, step, progress, ETA; phases; facts
//! transport   replay only
//! body        the chosen screen; panes in columns, or one pane with tabs
//! footer      the keys that matter here, or a notice
//! ```

pub mod dash;
pub mod footer;
pub mod header;
pub mod live;
pub mod overlays;
pub mod panes;
pub mod prompts;
pub mod rollouts;
pub mod tokens;
pub mod turns;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::Block;

use super::app::Mode;
use super::glyph;
use super::keys::ScreenId;
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

/// One row per screen: how it draws its body.
type Body = fn(&mut Frame, Rect, &Scene);

const BODIES: [(ScreenId, Body); 3] =
    [(ScreenId::Dash, dash::draw), (ScreenId::Rollouts, rollouts::draw), (ScreenId::Tokens, tokens::draw)];

/// Draws everything.
pub fn draw(frame: &mut Frame, scene: &Scene) {
    let area = frame.area();
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
        let screen = BODIES.iter().find(|(id, _)| *id == scene.app.screen);
        screen.map(|(_, draw)| draw).into_iter().for_each(|draw| draw(frame, body, scene));
        footer::draw(frame, foot, scene);
    }
    overlays::draw(frame, scene);
    if scene.app.ascii {
        glyph::to_ascii(frame.buffer_mut());
    }
}
