//! The shortest solution of a level, in moves: A* over pushes (Hart, Nilsson and Raphael, 1968).
//!
//! A node is the boxes and the player right after a push; an edge is the shortest walk behind a box, and the push. The
//! estimate is the cheapest assignment of boxes to targets by the number of pushes each would need alone, which never
//! is too high. A box from where no target can be reached cuts the branch.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::hash_map::Entry;

use super::board::{BOX, BOX_ON_TARGET, Board, MAX_BOXES, Move, TARGET, WALL};
use super::keys::KeyMap;

/// Shortest solution from the board as it is; empty if it is solved or cannot be solved. After [`MOST_NODES`] nodes the
/// search turns greedy, and its solution need not be the shortest; after as many again it gives up.
pub fn solve(board: &Board) -> Vec<Move> {
    if board.open() == 0 {
        return Vec::new();
    }
    let room = Room::new(board);
    let boxes = (0..board.cells().len()).filter(|&i| matches!(board.cells()[i], BOX | BOX_ON_TARGET));
    let start = Node::new(board.player(), boxes.map(|b| b as u8));
    Search::new(&room, start, 1).or_else(|| Search::new(&room, start, GREEDY)).unwrap_or_default()
}

/// What does not change: walls, and how many pushes a lone box needs from each cell to each target.
struct Room<'a> {
    fixed: &'a [u8],
    width: usize,
    pushes: Vec<Vec<u16>>, // [target][cell]
}

impl<'a> Room<'a> {
    fn new(board: &'a Board) -> Self {
        let (fixed, width) = (&board.level().fixed[..], board.level().width);
        let mut room = Room { fixed, width, pushes: Vec::new() };
        room.pushes = (0..fixed.len()).filter(|&i| fixed[i] == TARGET).map(|t| room.pulls_from(t)).collect();
        room
    }

    fn open(&self, cell: usize) -> bool {
        self.fixed.get(cell).is_some_and(|&c| c != WALL)
    }

    /// Breadth first over pulls of a lone box.
    fn pulls_from(&self, target: usize) -> Vec<u16> {
        let mut found = vec![FAR; self.fixed.len()];
        found[target] = 0;
        let mut queue = vec![target];
        let mut at = 0;
        while let Some(&cell) = queue.get(at) {
            at += 1;
            for step in Move::ALL {
                let to = step.from(cell, self.width);
                if self.open(to) && found[to] == FAR && self.open(step.from(to, self.width)) {
                    found[to] = found[cell] + 1;
                    queue.push(to);
                }
            }
        }
        found
    }

    /// Pushes that are needed at least; [`FAR`] or more if the boxes cannot all get to targets.
    fn estimate(&self, node: &Node) -> u32 {
        // cheapest[set] = cost of the first boxes on the targets of the set
        let n = usize::from(node.count);
        let mut cheapest = [u32::MAX; 1 << MAX_BOXES];
        cheapest[0] = 0;
        for set in 0usize..(1 << n) - 1 {
            let k = set.count_ones() as usize;
            if cheapest[set] == u32::MAX {
                continue;
            }
            for target in (0..n).filter(|t| set >> t & 1 == 0) {
                let cost = cheapest[set] + u32::from(self.pushes[target][usize::from(node.boxes[k])]);
                let next = &mut cheapest[set | 1 << target];
                *next = cost.min(*next);
            }
        }
        cheapest[(1 << n) - 1]
    }

    /// Steps of the player to every cell, around the boxes.
    fn walk(&self, node: &Node, found: &mut Vec<u16>, queue: &mut Vec<usize>) {
        found.clear();
        found.resize(self.fixed.len(), FAR);
        node.boxes().for_each(|b| found[b] = BLOCKED);
        queue.clear();
        queue.push(node.player.into());
        found[usize::from(node.player)] = 0;
        let mut at = 0;
        while let Some(&cell) = queue.get(at) {
            at += 1;
            for step in Move::ALL {
                let to = step.from(cell, self.width);
                if self.open(to) && found[to] == FAR {
                    found[to] = found[cell] + 1;
                    queue.push(to);
                }
            }
        }
    }
}

/// Boxes, ascending, and the player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    player: u8,
    boxes: [u8; MAX_BOXES],
    count: u8,
}

impl Node {
    fn new(player: usize, cells: impl Iterator<Item = u8>) -> Node {
        let mut node = Node { player: player as u8, boxes: [0; MAX_BOXES], count: 0 };
        for cell in cells {
            node.boxes[usize::from(node.count)] = cell;
            node.count += 1;
        }
        node.boxes[..usize::from(node.count)].sort_unstable();
        node
    }

    fn boxes(&self) -> impl Iterator<Item = usize> + '_ {
        self.boxes[..usize::from(self.count)].iter().map(|&b| b.into())
    }

    fn key(&self) -> u64 {
        self.boxes.iter().fold(self.player.into(), |key, &b| key << 8 | u64::from(b))
    }

    /// After box `k` was pushed.
    fn pushed(&self, k: usize, step: Move, width: usize) -> Node {
        let mut next = *self;
        next.player = self.boxes[k];
        next.boxes[k] = step.from(self.boxes[k].into(), width) as u8;
        next.boxes[..usize::from(self.count)].sort_unstable();
        next
    }
}

/// How a node was first reached at its cost.
#[derive(Clone, Copy)]
struct Reached {
    node: Node,
    cost: u32,
    /// Index of the node before, and the push.
    from: u32,
    step: Move,
}

/// One search.
struct Search<'a> {
    room: &'a Room<'a>,
    weight: u32,
    nodes: Vec<Reached>,
    index: KeyMap<u32>,
    /// By cost and estimate, then the deeper one.
    queue: BinaryHeap<Reverse<(u32, Reverse<u32>, u32)>>,
}

impl<'a> Search<'a> {
    /// Searches; `weight` 1 finds a shortest solution. `None` if there is none or it takes too long.
    #[allow(clippy::new_ret_no_self)] // a search is only its answer
    fn new(room: &'a Room<'a>, start: Node, weight: u32) -> Option<Vec<Move>> {
        let mut search = Search { room, weight, nodes: vec![], index: KeyMap::default(), queue: BinaryHeap::new() };
        search.reach(Reached { node: start, cost: 0, from: 0, step: Move::Up });
        let (mut walk, mut cells) = (Vec::new(), Vec::new());
        while let Some(Reverse((_, Reverse(cost), at))) = search.queue.pop() {
            let reached = search.nodes[at as usize];
            if reached.cost < cost {
                continue; // found again, cheaper, since it was queued
            }
            if reached.node.boxes().all(|b| room.fixed[b] == TARGET) {
                return Some(search.path(at));
            }
            if search.nodes.len() > MOST_NODES {
                return None;
            }
            room.walk(&reached.node, &mut walk, &mut cells);
            search.expand(at, &walk);
        }
        None
    }

    fn expand(&mut self, at: u32, walk: &[u16]) {
        let Reached { node, cost, .. } = self.nodes[at as usize];
        for k in 0..usize::from(node.count) {
            let cell = usize::from(node.boxes[k]);
            for step in Move::ALL {
                let to = step.from(cell, self.room.width);
                let behind = (2 * cell).wrapping_sub(to);
                let steps = walk.get(behind).copied().unwrap_or(FAR);
                if steps < FAR && self.room.open(to) && node.boxes().all(|b| b != to) {
                    let node = node.pushed(k, step, self.room.width);
                    self.reach(Reached { node, cost: cost + u32::from(steps) + 1, from: at, step });
                }
            }
        }
    }

    fn reach(&mut self, reached: Reached) {
        let estimate = self.room.estimate(&reached.node);
        if estimate >= FAR.into() {
            return;
        }
        let at = match self.index.entry(reached.node.key()) {
            Entry::Occupied(old) => {
                let at = *old.get();
                if self.nodes[at as usize].cost <= reached.cost {
                    return;
                }
                self.nodes[at as usize] = reached;
                at
            }
            Entry::Vacant(new) => {
                let at = self.nodes.len() as u32;
                new.insert(at);
                self.nodes.push(reached);
                at
            }
        };
        self.queue.push(Reverse((reached.cost + self.weight * estimate, Reverse(reached.cost), at)));
    }

    /// All moves to a node: walks between pushes are found again.
    fn path(&self, mut at: u32) -> Vec<Move> {
        let mut back = Vec::new();
        let (mut walk, mut cells) = (Vec::new(), Vec::new());
        while self.nodes[at as usize].cost > 0 {
            let Reached { node, from, step, .. } = self.nodes[at as usize];
            let before = self.nodes[from as usize].node;
            self.room.walk(&before, &mut walk, &mut cells);
            back.push(step);
            // the push ended where the box was, so it began one cell further back
            let pushed_to = step.from(node.player.into(), self.room.width);
            let mut cell = (2 * usize::from(node.player)).wrapping_sub(pushed_to);
            while walk[cell] > 0 {
                let nearer = |s: &&Move| walk[s.from(cell, self.room.width)].wrapping_add(1) == walk[cell];
                let Some(undone) = Move::ALL.iter().find(nearer) else { break };
                let next = undone.from(cell, self.room.width);
                back.extend(Move::ALL.iter().find(|s| s.from(next, self.room.width) == cell));
                cell = next;
            }
            at = from;
        }
        back.reverse();
        back
    }
}

/// No way, and a cell with a box.
const FAR: u16 = u16::MAX / 8;
const BLOCKED: u16 = FAR + 1;
const MOST_NODES: usize = 1_000_000;
/// Weight of the estimate where the shortest solution takes too long.
const GREEDY: u32 = 4;
