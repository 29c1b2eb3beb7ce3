//! Screen 6: machine, memory, phases, log.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Screen, notes};
use crate::tui::app::{App, Effect};
use crate::tui::keys::{Action, ScreenId};
use crate::tui::scene::Scene;
use crate::tui::update;

/// The row of this screen.
pub const SCREEN: Screen = Screen { act, ..Screen::new(ScreenId::System, ("System", "Sys"), &["alerts"], draw) };

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {}

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    update::scroll(app, action).then(Vec::new)
}

fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    notes::alerts(frame, area, scene, true);
}
