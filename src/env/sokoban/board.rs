//! Levels and the rules of pushing.
//!
//! A board is a row-major list of cell codes, those of the gym environment that the papers use.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};

pub const WALL: u8 = 0;
pub const FLOOR: u8 = 1;
pub const TARGET: u8 = 2;
pub const BOX_ON_TARGET: u8 = 3;
pub const BOX: u8 = 4;
pub const PLAYER: u8 = 5;

/// A level as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    pub width: usize,
    /// [`WALL`], [`FLOOR`] or [`TARGET`] of each cell.
    pub fixed: Vec<u8>,
    /// Any code of each cell.
    pub cells: Vec<u8>,
}

/// A direction of moving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Up,
    Down,
    Left,
    Right,
}

impl Move {
    /// In the order of the original's action numbers 1 to 4.
    pub const ALL: [Move; 4] = [Move::Up, Move::Down, Move::Left, Move::Right];

    /// The word of the action.
    pub fn name(self) -> &'static str {
        match self {
            Move::Up => "up",
            Move::Down => "down",
            Move::Left => "left",
            Move::Right => "right",
        }
    }

    /// The cell next to `cell`. Cells at the edge are walls, so one that is left never is at an edge.
    pub fn from(self, cell: usize, width: usize) -> usize {
        match self {
            Move::Up => cell.wrapping_sub(width),
            Move::Down => cell + width,
            Move::Left => cell.wrapping_sub(1),
            Move::Right => cell + 1,
        }
    }
}

impl Level {
    /// Reads a level in the usual characters: `#` wall, space floor, `.` target, `$` box, `*` box on target, `@`
    /// player, `+` player on target. What the lines leave open is wall.
    ///
    /// # Errors
    /// An unknown character, not exactly one player, not as many boxes as targets, or more than can be played.
    pub fn parse(lines: &[&str]) -> Result<Level> {
        let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0) + 2;
        let mut fixed = vec![WALL; width * (lines.len() + 2)];
        let mut cells = fixed.clone();
        for (row, line) in lines.iter().enumerate() {
            for (column, c) in line.chars().enumerate() {
                let at = (row + 1) * width + column + 1;
                (fixed[at], cells[at]) = match c {
                    '#' => (WALL, WALL),
                    ' ' | '-' | '_' => (FLOOR, FLOOR),
                    '.' => (TARGET, TARGET),
                    '$' => (FLOOR, BOX),
                    '*' => (TARGET, BOX_ON_TARGET),
                    '@' => (FLOOR, PLAYER),
                    '+' => (TARGET, PLAYER),
                    other => bail!("row {}, column {}: {other:?} is no cell of a level", row + 1, column + 1),
                };
            }
        }
        let level = Level { width, fixed, cells }.trimmed();
        level.check()?;
        Ok(level)
    }

    /// The level without outer rows and columns that only double the wall around it.
    fn trimmed(mut self) -> Level {
        while self.height() > 3 && self.row(0).chain(self.row(1)).all(|c| c == WALL) {
            self = self.keep(1..self.height(), 0..self.width);
        }
        while self.height() > 3 && self.row(self.height() - 1).chain(self.row(self.height() - 2)).all(|c| c == WALL) {
            self = self.keep(0..self.height() - 1, 0..self.width);
        }
        while self.width > 3 && (0..self.height()).all(|r| self.at(r, 0) == WALL && self.at(r, 1) == WALL) {
            self = self.keep(0..self.height(), 1..self.width);
        }
        let last = |l: &Level| (0..l.height()).all(|r| l.at(r, l.width - 1) == WALL && l.at(r, l.width - 2) == WALL);
        while self.width > 3 && last(&self) {
            self = self.keep(0..self.height(), 0..self.width - 1);
        }
        self
    }

    fn keep(&self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Level {
        let pick = |of: &[u8]| {
            rows.clone().flat_map(|r| of[r * self.width..][columns.clone()].iter().copied()).collect::<Vec<u8>>()
        };
        Level { width: columns.len(), fixed: pick(&self.fixed), cells: pick(&self.cells) }
    }

    fn row(&self, row: usize) -> impl Iterator<Item = u8> + '_ {
        self.cells[row * self.width..][..self.width].iter().copied()
    }

    fn at(&self, row: usize, column: usize) -> u8 {
        self.cells[row * self.width + column]
    }

    /// # Errors
    /// It cannot be played.
    pub fn check(&self) -> Result<()> {
        let count = |of: &[u8], code: &[u8]| of.iter().filter(|c| code.contains(c)).count();
        let players = count(&self.cells, &[PLAYER]);
        ensure!(players == 1, "a level needs exactly one player, this has {players}");
        let (boxes, targets) = (self.boxes(), count(&self.fixed, &[TARGET]));
        ensure!(
            boxes == targets && boxes > 0,
            "a level needs as many boxes as targets, this has {boxes} and {targets}"
        );
        ensure!(boxes <= MAX_BOXES, "a level may have at most {MAX_BOXES} boxes, this has {boxes}");
        ensure!(self.cells.len() <= MAX_CELLS, "a level may have at most {MAX_CELLS} cells, walls included");
        Ok(())
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.cells.len() / self.width
    }

    /// Number of boxes.
    pub fn boxes(&self) -> usize {
        self.cells.iter().filter(|&&c| c == BOX || c == BOX_ON_TARGET).count()
    }
}

/// A level being played.
#[derive(Clone, Debug)]
pub struct Board {
    level: Arc<Level>,
    cells: Vec<u8>,
    player: usize,
    /// Targets without a box.
    open: usize,
}

impl Board {
    /// The level as it begins; it has passed [`Level::check`].
    pub fn new(level: Arc<Level>) -> Board {
        let player = level.cells.iter().position(|&c| c == PLAYER).unwrap_or(0);
        let covered = |i: &usize| matches!(level.cells[*i], BOX | BOX_ON_TARGET);
        let targets = (0..level.cells.len()).filter(|&i| level.fixed[i] == TARGET);
        let open = targets.filter(|i| !covered(i)).count();
        Board { cells: level.cells.clone(), player, open, level }
    }

    pub fn level(&self) -> &Level {
        &self.level
    }

    pub fn cells(&self) -> &[u8] {
        &self.cells
    }

    /// The player's cell.
    pub fn player(&self) -> usize {
        self.player
    }

    /// Targets without a box; 0 = solved.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Moves the player, and a box before it. Returns whether anything moved.
    pub fn go(&mut self, step: Move) -> bool {
        let width = self.level.width;
        let to = step.from(self.player, width);
        match self.cells[to] {
            FLOOR | TARGET => {}
            BOX | BOX_ON_TARGET => {
                let beyond = step.from(to, width);
                if !matches!(self.cells[beyond], FLOOR | TARGET) {
                    return false;
                }
                let onto = self.level.fixed[beyond] == TARGET;
                self.cells[beyond] = if onto { BOX_ON_TARGET } else { BOX };
                self.open += usize::from(self.level.fixed[to] == TARGET);
                self.open -= usize::from(onto);
            }
            _ => return false,
        }
        self.cells[self.player] = self.level.fixed[self.player];
        self.cells[to] = PLAYER;
        self.player = to;
        true
    }

    /// Writes the grid as verl-agent prints it: each cell between a space and a space with a tab, rows by line breaks.
    pub fn draw(&self, out: &mut String) {
        out.clear();
        for (i, &cell) in self.cells.iter().enumerate() {
            if i > 0 && i % self.level.width == 0 {
                out.push('\n');
            }
            let on_target = cell == PLAYER && self.level.fixed[i] == TARGET;
            out.push_str(CELLS[usize::from(cell) + usize::from(on_target)]);
        }
    }
}

/// A printed cell by its code; the last is the player on a target.
const CELLS: [&str; 7] = [" # \t", " _ \t", " O \t", " √ \t", " X \t", " P \t", " S \t"];

/// Boxes and cells of a level, so that a state fits into 64 bits.
pub const MAX_BOXES: usize = 7;
pub const MAX_CELLS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_pushed_and_not_through_walls_or_boxes() {
        let mut board = Board::new(Arc::new(Level::parse(&["@$.", " $.", "   "]).unwrap()));
        assert_eq!(board.open(), 2);
        assert!(board.go(Move::Right) && !board.go(Move::Right), "the wall that was not drawn holds");
        assert_eq!(board.open(), 1);
        assert!(board.go(Move::Down), "pushes the second box down");
        assert!(!board.go(Move::Down));
        let mut text = String::new();
        board.draw(&mut text);
        assert_eq!(text.replace([' ', '\t'], ""), "#####\n#__√#\n#_PO#\n#_X_#\n#####");
    }

    #[test]
    fn bad_levels_say_why() {
        for (lines, expected) in [
            (&["@$.", "x"][..], "row 2, column 1: 'x' is no cell"),
            (&["$."], "exactly one player, this has 0"),
            (&["@$.."], "this has 1 and 2"),
            (&["@"], "this has 0 and 0"),
            (&["@$$$$$$$$........"], "at most 7 boxes"),
        ] {
            let error = Level::parse(lines).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn one_wall_stays_around_a_level() {
        let walled = Level::parse(&["######", "######", "# @$.#", "######"]).unwrap();
        assert_eq!((walled.width, walled.height()), (6, 3));
        assert_eq!(walled, Level::parse(&[" @$."]).unwrap());
    }
}
