//! Levels as verl-agent's Sokoban makes them: the room generator of gym-sokoban (after Racanière et al., 2017), draw
//! for draw. Checked against recorded levels in `tests/sokoban_parity.rs`.
//!
//! 1. A walk through the room carves one of five patterns at each step.
//! 2. The player and the targets are put on free cells; each target starts with a box.
//! 3. A depth-first search plays backwards, pulling boxes, and keeps the state with the largest
//!    (changes of the pulled box) x (total displacement) in which every target is free.
//! 4. With some chance the player takes one to three more steps.
//!
//! A seed that gives no level fails; [`super::Levels`] then goes on with another one. (The original derives it with
//! Python's salted `hash`, which cannot be repeated.)

use super::board::{BOX, FLOOR, Level, Move, PLAYER, TARGET, WALL};
use super::keys::KeySet;
use crate::env::pyrandom::PyRandom;

/// What a level is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub height: usize,
    pub width: usize,
    pub boxes: usize,
    /// Depth of the backward search; the papers use 30.
    pub depth: usize,
}

/// The level of a seed; `None` if the generator gives up.
pub fn generate(seed: u32, shape: Shape) -> Option<Level> {
    let (mut python, mut numpy) = (PyRandom::new(seed.into()), PyRandom::numpy(seed));
    for _ in 0..TRIES {
        let mut room = carve(&mut python, shape);
        let player = take_free(&mut room, &mut numpy, shape.boxes + 1, PLAYER)?;
        let mut targets = Vec::with_capacity(shape.boxes);
        for _ in 0..shape.boxes {
            targets.push(take_free(&mut room, &mut numpy, 0, TARGET)?);
        }
        targets.sort_unstable();
        room[player] = FLOOR;
        let mut search = Backwards::new(&room, shape.width, &targets);
        search.visit(State::new(player, &targets), shape.depth);
        let best = search.best;
        let displacement = search.displacement(&best);
        if displacement > 0 {
            return Some(wander(room, shape.width, best, displacement, &mut python));
        }
    }
    None
}

/// Step 1. Returns [`FLOOR`] and [`WALL`].
fn carve(python: &mut PyRandom, shape: Shape) -> Vec<u8> {
    let (h, w) = (shape.height, shape.width);
    let steps = (1.7 * (h + w) as f64) as usize;
    let mut direction = DIRECTIONS[python.below(4)];
    let mut at = [1 + python.below(h - 1) as isize, 1 + python.below(w - 1) as isize];
    let mut room = vec![WALL; h * w];
    for _ in 0..steps {
        if python.unit() < TURN {
            direction = DIRECTIONS[python.below(4)];
        }
        at[0] = (at[0] + direction[0]).min(h as isize - 2).max(1);
        at[1] = (at[1] + direction[1]).min(w as isize - 2).max(1);
        let pattern = PATTERNS[python.below(5)];
        let corner = (at[0] as usize - 1) * w + at[1] as usize - 1;
        for (i, _) in pattern.iter().enumerate().filter(|(_, carved)| **carved == 1) {
            room[corner + i / 3 * w + i % 3] = FLOOR;
        }
    }
    let edge = |i: usize| i / w == 0 || i / w == h - 1 || i.is_multiple_of(w) || i % w == w - 1;
    (0..h * w).filter(|&i| edge(i)).for_each(|i| room[i] = WALL);
    room
}

/// Marks a random free cell; `None` if there are not more than `least` of them.
fn take_free(room: &mut [u8], numpy: &mut PyRandom, least: usize, mark: u8) -> Option<usize> {
    let free: Vec<usize> = (0..room.len()).filter(|&i| room[i] == FLOOR).collect();
    if free.len() <= least {
        return None;
    }
    let cell = free[numpy.masked(free.len())];
    room[cell] = mark;
    Some(cell)
}

/// Where everything is in the backward search. Box `k` began on target `k`.
#[derive(Clone, Copy)]
struct State {
    player: usize,
    boxes: [usize; MAX],
    /// Whether each was ever pulled; the original tells such states apart.
    pulled: [bool; MAX],
    /// The box pulled last, and how often that changed.
    last: Option<usize>,
    swaps: usize,
}

impl State {
    fn new(player: usize, targets: &[usize]) -> State {
        let mut boxes = [usize::MAX; MAX];
        boxes[..targets.len()].copy_from_slice(targets);
        State { player, boxes, pulled: [false; MAX], last: None, swaps: 0 }
    }
}

/// Step 3.
struct Backwards<'a> {
    fixed: &'a [u8],
    width: usize,
    targets: &'a [usize],
    seen: KeySet,
    best: State,
    best_score: Option<usize>,
}

impl<'a> Backwards<'a> {
    fn new(fixed: &'a [u8], width: usize, targets: &'a [usize]) -> Self {
        let best = State::new(0, targets);
        Backwards { fixed, width, targets, seen: KeySet::default(), best, best_score: None }
    }

    fn visit(&mut self, state: State, depth: usize) {
        let Some(depth) = depth.checked_sub(1).filter(|&d| d > 0) else { return };
        if self.seen.len() >= MOST_STATES || !self.seen.insert(self.key(&state)) {
            return;
        }
        let free = self.targets.iter().all(|t| state.player != *t && self.box_at(&state, *t).is_none());
        let score = if free { state.swaps * self.displacement(&state) } else { 0 };
        if self.best_score.is_none_or(|best| score > best) {
            (self.best, self.best_score) = (state, Some(score));
        }
        for step in Move::ALL {
            let to = step.from(state.player, self.width);
            if self.fixed[to] == WALL || self.box_at(&state, to).is_some() {
                continue;
            }
            let mut next = State { player: to, ..state };
            let behind = opposite(step).from(state.player, self.width);
            if let Some(k) = self.box_at(&state, behind) {
                next.boxes[k] = state.player;
                next.pulled[k] = true;
                next.swaps += usize::from(state.last != Some(k));
                next.last = Some(k);
            }
            self.visit(next, depth);
        }
    }

    fn box_at(&self, state: &State, cell: usize) -> Option<usize> {
        state.boxes[..self.targets.len()].iter().position(|b| *b == cell)
    }

    /// Sum of the boxes' distances from where they began.
    fn displacement(&self, state: &State) -> usize {
        let apart = |(a, b): (&usize, &usize)| {
            (a / self.width).abs_diff(b / self.width) + (a % self.width).abs_diff(b % self.width)
        };
        self.targets.iter().zip(&state.boxes).map(apart).sum()
    }

    /// The state as it looks: which box is which does not count.
    fn key(&self, state: &State) -> u64 {
        let looks = |k: usize| (state.boxes[k] as u64) << 1 | u64::from(state.pulled[k]);
        let mut boxes: [u64; MAX] = std::array::from_fn(|k| if k < self.targets.len() { looks(k) } else { 0 });
        boxes.sort_unstable();
        boxes.iter().fold(state.player as u64, |key, b| key << 9 | b)
    }
}

/// Step 4, and the level.
fn wander(fixed: Vec<u8>, width: usize, best: State, displacement: usize, python: &mut PyRandom) -> Level {
    let mut cells = fixed.clone();
    best.boxes.iter().take_while(|b| **b != usize::MAX).for_each(|&b| cells[b] = BOX);
    let mut player = best.player;
    if python.unit() <= if displacement == 1 { 0.8 } else { 0.5 } {
        let mut been = vec![player];
        loop {
            let near = Move::ALL.map(|step| step.from(player, width));
            let open: Vec<usize> =
                near.into_iter().filter(|&c| matches!(cells[c], FLOOR | TARGET) && !been.contains(&c)).collect();
            if open.is_empty() {
                break;
            }
            player = open[python.below(open.len())];
            been.push(player);
            if been.len() > 3 || python.unit() > 0.5 {
                break;
            }
        }
    }
    cells[player] = PLAYER;
    Level { width, fixed, cells }
}

fn opposite(step: Move) -> Move {
    match step {
        Move::Up => Move::Down,
        Move::Down => Move::Up,
        Move::Left => Move::Right,
        Move::Right => Move::Left,
    }
}

/// Most boxes of a level made here, so that a state fits into 64 bits.
pub const MAX: usize = 4;
const TRIES: usize = 4;
/// Chance that the walk turns.
const TURN: f64 = 0.35;
const MOST_STATES: usize = 300_000;
const DIRECTIONS: [[isize; 2]; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];
const PATTERNS: [[u8; 9]; 5] = [
    [0, 0, 0, 1, 1, 1, 0, 0, 0],
    [0, 1, 0, 0, 1, 0, 0, 1, 0],
    [0, 0, 0, 1, 1, 0, 0, 1, 0],
    [0, 0, 0, 1, 1, 0, 1, 1, 0],
    [0, 0, 0, 0, 1, 1, 0, 1, 0],
];
