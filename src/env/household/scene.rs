//! The generator: rooms from the priors, tasks from a room.
//!
//! A task is dealt in this order, all draws from one seeded stream:
//!
//! 1. The task type, uniformly; a layout among the rooms in which that type can occur.
//! 2. The wanted object type; its copies are laid where they tend to lie; then a target where no copy lies.
//! 3. Other objects of the room.
//! 4. The game is kept if its goal does not hold and the expert needs at most `limit` actions; else again from 1
//!    with the same task type.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};

use super::Rooms;
use super::expert;
use super::game::Game;
use super::goal::TaskType;
use super::priors::{ObjectPrior, Priors, Room};
use super::spec::{ObjectSpec, Params, ReceptacleSpec, Spec};
use crate::core::Split;
use crate::core::rng::stream;

/// The rooms that tasks are dealt in.
pub struct Scenes {
    priors: &'static Priors,
    rooms: Rooms,
    train: Vec<Layout>,
    unseen: Vec<Layout>,
}

/// One room: its receptacles in the order of their ids.
struct Layout {
    room: &'static str,
    receptacles: Vec<Place>,
}

struct Place {
    kind: &'static str,
    openable: bool,
}

/// The wanted objects of a game being dealt.
struct Wanted {
    kind: &'static str,
    /// Index of the receptacle of each copy.
    places: Vec<usize>,
    /// Target receptacle type, or the lamp.
    target: String,
}

impl Scenes {
    /// Draws all layouts. The same priors and size give the same layouts.
    pub fn new(priors: &'static Priors, rooms: Rooms) -> Scenes {
        let layouts = |part: usize| {
            let room = |(name, room): (&'static String, &'static Room)| {
                (0..room.layouts[part]).map(move |n| {
                    let mut rng = stream(SEED, name, &[part as u64, n]);
                    Layout { room: name, receptacles: receptacles(priors, room, rooms, &mut rng) }
                })
            };
            priors.rooms.iter().flat_map(room).collect()
        };
        Scenes { priors, rooms, train: layouts(0), unseen: layouts(1) }
    }

    /// Deals a game whose shortest plan has at most `limit` actions. Fails if there is hardly any.
    pub fn deal(&self, split: Split, index: u64, limit: usize) -> Result<Spec> {
        let layouts = if split == Split::ValidUnseen { &self.unseen } else { &self.train };
        let task = TaskType::ALL[stream(SEED, "task", &[split as u64, index]).random_range(0..6)];
        for attempt in 0..ATTEMPTS {
            let mut rng = stream(SEED, "game", &[split as u64, index, attempt]);
            let Some(layout) = layouts.choose(&mut rng) else { continue };
            let Some(spec) = self.lay_out(layout, task, &mut rng) else { continue };
            let (game, state) = Game::load(&spec)?;
            let plan = expert::plan(&game, &state);
            if (1..=limit).contains(&plan.len()) {
                return Ok(spec);
            }
        }
        bail!("no game of type `{}` can be won in {limit} actions; raise `max_turns`", task.name())
    }

    /// One try; `None` if the task cannot occur in this room or the draws do not work out.
    fn lay_out(&self, layout: &Layout, task: TaskType, rng: &mut impl Rng) -> Option<Spec> {
        let kinds: Vec<&str> = layout.receptacles.iter().map(|p| p.kind).collect();
        let wanted = self.wanted(layout.room, &kinds, task, rng)?;
        let mut things: Vec<(&str, usize)> = wanted.places.iter().map(|&r| (wanted.kind, r)).collect();
        if task == TaskType::Look {
            things.push((LAMP, self.priors.objects.get(LAMP)?.lie(&kinds, rng)?));
        }
        self.clutter(layout.room, &kinds, &mut things, rng);
        let (target, lamp) = match task {
            TaskType::Look => (String::new(), wanted.target.clone()),
            _ => (wanted.target.clone(), String::new()),
        };
        Some(Spec {
            task_type: task,
            desc: task.sentence(wanted.kind, &wanted.target, rng.random()),
            params: Params { object_target: wanted.kind.to_owned(), parent_target: target, toggle_target: lamp },
            agent_loc: "start".to_owned(),
            receptacles: layout.receptacles.iter().enumerate().map(|(i, p)| p.spec(i)).collect(),
            objects: things.iter().enumerate().map(|(i, &(kind, r))| self.object(kind, i, (kinds[r], r))).collect(),
            can_contain: self.can_contain(&kinds, &things),
        })
    }

    fn wanted(&self, room: &str, kinds: &[&str], task: TaskType, rng: &mut impl Rng) -> Option<Wanted> {
        let tool = task.change().map(|change| TOOLS[change as usize]);
        if tool.is_some_and(|(_, tool)| !kinds.contains(&tool)) {
            return None;
        }
        let able = |prior: &ObjectPrior| tool.is_none_or(|(can, _)| prior.can.iter().any(|c| c == can));
        let found = self.objects_of(room).filter(|(_, prior)| !prior.fixed && able(prior)).collect::<Vec<_>>();
        let (kind, prior) = *found.choose(rng)?;
        let copies = task.count() + usize::from(task == TaskType::Two || rng.random_bool(SPARE));
        let places: Vec<usize> = (0..copies).filter_map(|_| prior.lie(kinds, rng)).collect();
        let free = |k: &&&str| prior.fits_in(k) && places.iter().all(|&p| kinds[p] != **k);
        let targets: BTreeSet<&str> =
            kinds.iter().filter(free).filter(|k| tool.is_none_or(|(_, t)| t != **k)).copied().collect();
        let target = match task {
            TaskType::Look if self.objects_of(room).any(|(name, _)| name == LAMP) => LAMP,
            TaskType::Look => return None,
            _ => targets.into_iter().collect::<Vec<_>>().choose(rng).copied()?,
        };
        (places.len() == copies).then(|| Wanted { kind, places, target: target.to_owned() })
    }

    /// Adds objects of other types until the room has its number of them.
    fn clutter(&self, room: &str, kinds: &[&str], things: &mut Vec<(&'static str, usize)>, rng: &mut impl Rng) {
        let wanted = things[0].0;
        let others: Vec<_> = self.objects_of(room).filter(|(name, _)| *name != wanted && *name != LAMP).collect();
        let total = match self.rooms {
            Rooms::Small => rng.random_range(7..=11),
            Rooms::Full => rng.random_range(25..=45),
        };
        while things.len() < total {
            let Some((name, prior)) = others.choose(rng) else { return };
            if let Some(r) = prior.lie(kinds, rng) {
                things.push((name, r));
            }
        }
    }

    fn objects_of<'a>(&self, room: &'a str) -> impl Iterator<Item = (&'static str, &'static ObjectPrior)> + 'a {
        let all = self.priors.objects.iter().map(|(name, prior)| (name.as_str(), prior));
        all.filter(move |(_, prior)| prior.rooms.iter().any(|r| r == room))
    }

    fn object(&self, kind: &str, number: usize, (place, r): (&str, usize)) -> ObjectSpec {
        let prior = &self.priors.objects[kind]; // every kind here came from this map
        let lift = if prior.fixed { None } else { Some("pickupable".to_owned()) };
        ObjectSpec {
            id: format!("{kind}_bar_{number:02}"),
            kind: kind.to_owned(),
            flags: prior.can.iter().cloned().chain(lift).collect(),
            within: vec![receptacle_id(place, r)],
            in_obj: Vec::new(),
            loc: vec![format!("at {r}")],
        }
    }

    fn can_contain(&self, kinds: &[&str], things: &[(&str, usize)]) -> Vec<(String, String)> {
        let kinds: BTreeSet<&str> = kinds.iter().copied().collect();
        let things: BTreeSet<&str> = things.iter().map(|t| t.0).collect();
        let pairs = kinds.iter().flat_map(|r| things.iter().map(move |o| (*r, *o)));
        let fits = |(r, o): &(&str, &str)| self.priors.objects[*o].fits_in(r);
        pairs.filter(fits).map(|(r, o)| (r.to_owned(), o.to_owned())).collect()
    }
}

impl Place {
    fn spec(&self, index: usize) -> ReceptacleSpec {
        ReceptacleSpec {
            id: receptacle_id(self.kind, index),
            kind: self.kind.to_owned(),
            loc: format!("at {index}"),
            openable: self.openable,
            opened: false,
        }
    }
}

fn receptacle_id(kind: &str, index: usize) -> String {
    format!("{kind}_bar_{index:02}")
}

fn receptacles(priors: &Priors, room: &'static Room, size: Rooms, rng: &mut impl Rng) -> Vec<Place> {
    let column = if size == Rooms::Small { 0 } else { 2 };
    let bounds: Vec<_> = room.receptacles.iter().map(|(kind, n)| (kind.as_str(), n[column], n[column + 1])).collect();
    let mut counts: Vec<usize> = bounds.iter().map(|&(_, least, most)| rng.random_range(least..=most)).collect();
    let allowed = if size == Rooms::Small { 6..=9 } else { 10..=40 };
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.shuffle(rng);
    for i in order {
        let total: usize = counts.iter().sum();
        if total > *allowed.end() {
            counts[i] = counts[i].saturating_sub(total - allowed.end()).max(bounds[i].1);
        } else if total < *allowed.start() {
            counts[i] = (counts[i] + allowed.start() - total).min(bounds[i].2);
        }
    }
    let kinds = bounds.iter().zip(counts).flat_map(|(b, n)| std::iter::repeat_n(b.0, n));
    kinds.map(|kind| Place { kind, openable: rng.random_bool(priors.receptacles[kind].openable) }).collect()
}

/// Needed predicate and tool of each change, in the order of [`super::goal::Change`].
const TOOLS: [(&str, &str); 3] = [("cleanable", "sinkbasin"), ("heatable", "microwave"), ("coolable", "fridge")];
const LAMP: &str = "desklamp";
/// Chance of one more copy of the wanted object than is needed; always so where two are wanted.
const SPARE: f64 = 0.4;
/// All rooms and tasks derive from this; task ids mean nothing under another.
const SEED: u64 = 0x68_6f75_7365;
const ATTEMPTS: u64 = 500;

#[cfg(test)]
#[path = "scene_tests.rs"]
mod tests;
