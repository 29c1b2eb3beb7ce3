//! Borders between panes that the mouse can move. What was moved is remembered by the name of the border.

use std::collections::BTreeMap;

use ratatui::layout::{Direction, Rect};

/// The share of the first part, by the name of the border; what is not here is as the screen was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Splits(pub BTreeMap<String, f64>);

/// A border as it was drawn: what it divides, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Border {
    pub name: &'static str,
    pub area: Rect,
    pub direction: Direction,
}

impl Splits {
    /// Both parts of an area. `usual` cells are the first part's unless the border was moved.
    pub fn divide(&self, border: &Border, usual: u16) -> [Rect; 2] {
        let whole = border.length();
        let moved = self.0.get(border.name).map(|share| (share * f64::from(whole)).round() as u16);
        let least = LEAST.min(whole / 2);
        let first = moved.map_or(usual.min(whole), |cells| cells.clamp(least, whole - least));
        let area = border.area;
        match border.direction {
            Direction::Horizontal => {
                [Rect { width: first, ..area }, Rect { x: area.x + first, width: whole - first, ..area }]
            }
            Direction::Vertical => {
                [Rect { height: first, ..area }, Rect { y: area.y + first, height: whole - first, ..area }]
            }
        }
    }

    /// Moves a border to a place of the screen.
    pub fn drag(&mut self, border: &Border, (x, y): (u16, u16)) {
        let at = match border.direction {
            Direction::Horizontal => x.saturating_sub(border.area.x),
            Direction::Vertical => y.saturating_sub(border.area.y),
        };
        let share = f64::from(at) / f64::from(border.length().max(1));
        self.0.insert(border.name.to_owned(), share.clamp(0.05, 0.95));
    }
}

impl Border {
    fn length(&self) -> u16 {
        match self.direction {
            Direction::Horizontal => self.area.width,
            Direction::Vertical => self.area.height,
        }
    }
}

/// Cells that a pane keeps, frame included.
const LEAST: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_the_area_wherever_the_border_is() {
        let area = Rect::new(3, 2, 40, 20);
        for direction in [Direction::Horizontal, Direction::Vertical] {
            let border = Border { name: "a", area, direction };
            let mut splits = Splits::default();
            assert_eq!(splits.divide(&border, 12)[0].intersection(area), splits.divide(&border, 12)[0]);
            for place in [(0, 0), (20, 9), (99, 99)] {
                splits.drag(&border, place);
                let [a, b] = splits.divide(&border, 12);
                assert_eq!(a.area() + b.area(), area.area(), "{place:?}");
                assert!(a.width >= 4 && b.width >= 4 && a.height >= 4 && b.height >= 4);
            }
            splits.drag(&border, (20, 9));
            let [a, _] = splits.divide(&border, 12);
            assert_eq!(
                if direction == Direction::Horizontal { a.width } else { a.height },
                if direction == Direction::Horizontal { 17 } else { 7 }
            );
        }
        let tiny = Border { name: "a", area: Rect::new(0, 0, 1, 1), direction: Direction::Vertical };
        let [a, b] = Splits(BTreeMap::from([("a".to_owned(), 0.5)])).divide(&tiny, 9);
        assert_eq!(a.area() + b.area(), 1);
    }
}
