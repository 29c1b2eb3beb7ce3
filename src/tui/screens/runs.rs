//! Screen 5: the runs of the folder.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::Screen;
use crate::tui::keys::ScreenId;
use crate::tui::scene::Scene;
use crate::tui::theme::Role;

/// The row of this screen.
pub const SCREEN: Screen = Screen::new(ScreenId::Runs, ("Runs", "Runs"), &["runs"], draw);

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {}

fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let inner = scene.pane(frame, area, scene.title("runs", true).into(), true);
    scene.lines(frame, inner, vec![Line::styled(format!(" {}", scene.view.facts.run), scene.style(Role::Text))]);
}
