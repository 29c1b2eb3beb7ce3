//! What the mouse reaches: every frame says where its panes, rows and charts are, and clicks are looked up there.

use std::cell::RefCell;

use ratatui::layout::Rect;

use super::keys::{Action, ScreenId};

/// What lies under a place of the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// A pane of the screen, by number.
    Pane(usize),
    /// A line of a pane's list: pane and index of what the line shows.
    Row(usize, usize),
    /// The inside of a chart of a pane: its first and last column stand for these values of the x-axis.
    Chart(usize, (f64, f64)),
    Screen(ScreenId),
    /// A word of the footer.
    Key(Action),
    /// A place on the transport bar: position 0 at its left end to this at its right.
    Transport(usize),
}

/// The reachable places of one frame, topmost last. Filled while drawing, which is otherwise without effect.
#[derive(Clone, Debug, Default)]
pub struct Hits(RefCell<Vec<(Rect, Target)>>);

impl Hits {
    /// Forgets the last frame.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Says what an area is.
    pub fn add(&self, area: Rect, target: Target) {
        if !area.is_empty() {
            self.0.borrow_mut().push((area, target));
        }
    }

    /// What is at a place, topmost first, with its area.
    pub fn at(&self, x: u16, y: u16) -> Vec<(Rect, Target)> {
        self.0.borrow().iter().rev().filter(|(area, _)| area.contains((x, y).into())).copied().collect()
    }
}
