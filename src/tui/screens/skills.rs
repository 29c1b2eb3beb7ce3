//! Screen 4: the bank of skills and what each is worth.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Screen, panes};
use crate::tui::app::{App, Effect};
use crate::tui::keys::{Action, ScreenId};
use crate::tui::scene::Scene;
use crate::tui::update;

/// The row of this screen.
pub const SCREEN: Screen = Screen { act, ..Screen::new(ScreenId::Skills, ("Skills", "Skill"), &["skills"], draw) };

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {}

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    update::scroll(app, action).then(Vec::new)
}

fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    panes::skills(frame, area, scene, true);
}
