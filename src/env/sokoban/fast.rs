//! Levels of our own, made to be quick and to have a known shortest solution.
//!
//! 1. A random walk carves a room.
//! 2. Targets are drawn, each with a box on it, and the player is put anywhere: these are solved states.
//! 3. Layer by layer, states from which one more move is needed are found by playing backwards. A layer keeps at most
//!    [`BEAM`] states, drawn at random, so where none was dropped the layer's number is the shortest solution, and else
//!    an upper bound of it.
//! 4. The level is drawn from the deepest third of the layers, among states in which no box is on a target.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};

use super::board::{BOX, FLOOR, Level, Move, PLAYER, TARGET, WALL};
use super::exact::{MAX, Shape};
use super::keys::KeySet;

/// A level that can be solved in at most `moves` moves; `None` if the draws do not work out.
pub fn generate(shape: Shape, moves: usize, rng: &mut impl Rng) -> Option<Level> {
    let mut fixed = carve(shape, rng);
    let floor: Vec<usize> = (0..fixed.len()).filter(|&i| fixed[i] == FLOOR).collect();
    if floor.len() < 3 * shape.boxes + 3 {
        return None;
    }
    let targets: Vec<usize> = floor.sample(rng, shape.boxes).copied().collect();
    let layers = layers(&fixed, shape.width, &targets, moves, rng);
    let apart = |s: &&State| s.boxes().all(|b| !targets.contains(&b));
    let from = layers.len() - layers.len().div_ceil(3);
    let deep: Vec<&State> = layers[from.max(1).min(layers.len())..].iter().flatten().filter(apart).collect();
    let chosen = deep.choose(rng)?;
    targets.iter().for_each(|&t| fixed[t] = TARGET);
    let mut cells = fixed.clone();
    chosen.boxes().for_each(|b| cells[b] = BOX);
    cells[chosen.player()] = PLAYER;
    Some(Level { width: shape.width, fixed, cells })
}

/// Step 1: a walk from the middle until half of the inside is free.
fn carve(shape: Shape, rng: &mut impl Rng) -> Vec<u8> {
    let (h, w) = (shape.height, shape.width);
    let mut fixed = vec![WALL; h * w];
    let wanted = ((h - 2) * (w - 2)).div_ceil(2).max(3 * shape.boxes + 3);
    let mut at = h / 2 * w + w / 2;
    let mut free = 0;
    for _ in 0..40 * h * w {
        free += usize::from(fixed[at] == WALL);
        fixed[at] = FLOOR;
        if free >= wanted {
            break;
        }
        let to = Move::ALL[rng.random_range(0..4)].from(at, w);
        let inside = (1..h - 1).contains(&(to / w)) && (1..w - 1).contains(&(to % w));
        at = if inside { to } else { at };
    }
    fixed
}

/// Player and sorted boxes, a byte each.
#[derive(Clone, Copy)]
struct State {
    player: u8,
    boxes: [u8; MAX],
    count: u8,
}

impl State {
    fn player(&self) -> usize {
        self.player.into()
    }

    fn key(&self) -> u64 {
        self.boxes.iter().fold(self.player.into(), |key, &b| key << 8 | u64::from(b))
    }

    fn with_player(mut self, cell: usize) -> State {
        self.player = cell as u8; // a level has at most 256 cells
        self
    }

    fn boxes(&self) -> impl Iterator<Item = usize> + '_ {
        self.boxes[..usize::from(self.count)].iter().map(|&b| b.into())
    }

    fn box_at(&self, cell: usize) -> Option<usize> {
        self.boxes().position(|b| b == cell)
    }
}

/// Steps 2 and 3: `[n]` holds states from which `n` moves solve the level.
fn layers(fixed: &[u8], width: usize, targets: &[usize], moves: usize, rng: &mut impl Rng) -> Vec<Vec<State>> {
    let mut solved = State { player: 0, boxes: [0; MAX], count: targets.len() as u8 };
    targets.iter().enumerate().for_each(|(k, &t)| solved.boxes[k] = t as u8);
    solved.boxes[..targets.len()].sort_unstable();
    let free = (0..fixed.len()).filter(|i| fixed[*i] == FLOOR && !targets.contains(i));
    let mut layer: Vec<State> = free.map(|player| solved.with_player(player)).collect();
    let mut seen: KeySet = layer.iter().map(State::key).collect();
    let mut all = Vec::new();
    for _ in 0..moves.min(MOST_LAYERS) {
        let mut next = Vec::new();
        for state in &layer {
            for before in predecessors(fixed, width, state) {
                if seen.insert(before.key()) {
                    next.push(before);
                }
            }
        }
        next.shuffle(rng);
        next.truncate(BEAM);
        all.push(std::mem::replace(&mut layer, next));
        if layer.is_empty() {
            return all;
        }
    }
    all.push(layer);
    all
}

/// The states from which one move leads to `state`: the player walked here, or pushed the box in front of it.
fn predecessors<'a>(fixed: &'a [u8], width: usize, state: &'a State) -> impl Iterator<Item = State> + 'a {
    Move::ALL.into_iter().flat_map(move |back| {
        let player = state.player();
        let from = back.from(player, width);
        let free = fixed[from] != WALL && state.box_at(from).is_none();
        let walked = state.with_player(from);
        // moving back by `back` undoes a move in the other direction, which would have pushed what stands there
        let front = (2 * player).wrapping_sub(from);
        let pulled = state.box_at(front).map(|k| {
            let mut pulled = walked;
            pulled.boxes[k] = player as u8;
            pulled.boxes[..usize::from(pulled.count)].sort_unstable();
            pulled
        });
        // a walk is possible whether or not a box stands in front: it would have been there before
        let walk = state.box_at(front).is_none().then_some(walked);
        [walk, pulled].into_iter().flatten().filter(move |_| free)
    })
}

/// States kept of a layer, and layers: a level is made in less than a millisecond.
const BEAM: usize = 64;
const MOST_LAYERS: usize = 40;
