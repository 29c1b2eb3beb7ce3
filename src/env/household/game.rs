//! What a game is made of: receptacles, objects, the goal, and the state that actions change.
//!
//! [`Game::load`] interns a [`Spec`]: entities become indices in the order of their lower-cased ids, which is also
//! the order in which ALFWorld prints lists.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::goal::{Change, Goal};
use super::spec::{ObjectSpec, ReceptacleSpec, Spec};

/// Index of a type name in [`Game::kinds`].
pub type Kind = u16;
/// Index of a receptacle.
pub type Rec = u16;
/// Index of an object.
pub type Obj = u16;
/// Index of a location.
pub type Loc = u16;

/// A receptacle as the rules see it.
#[derive(Clone, Debug)]
pub struct Receptacle {
    /// As printed: `cabinet 2`.
    pub name: String,
    pub kind: Kind,
    pub loc: Loc,
    pub openable: bool,
}

/// An object as the rules see it.
#[derive(Clone, Debug)]
pub struct Object {
    /// As printed: `mug 1`.
    pub name: String,
    pub kind: Kind,
    /// What can be done with it: a set of [`caps`].
    pub caps: u8,
    /// Objects inside it.
    pub inside: Vec<Obj>,
}

/// What can be done with an object.
pub mod caps {
    pub const PICKUPABLE: u8 = 1;
    pub const CONTAINER: u8 = 2;
    pub const CLEANABLE: u8 = 4;
    pub const HEATABLE: u8 = 8;
    pub const COOLABLE: u8 = 16;
    pub const TOGGLEABLE: u8 = 32;
    pub const SLICEABLE: u8 = 64;
    /// PDDL predicate of each.
    pub const NAMES: [(&str, u8); 7] = [
        ("pickupable", PICKUPABLE),
        ("isReceptacleObject", CONTAINER),
        ("cleanable", CLEANABLE),
        ("heatable", HEATABLE),
        ("coolable", COOLABLE),
        ("toggleable", TOGGLEABLE),
        ("sliceable", SLICEABLE),
    ];
}

/// What has been done with an object.
pub mod marks {
    pub const CLEAN: u8 = 1;
    pub const HOT: u8 = 2;
    pub const COOL: u8 = 4;
    pub const TOGGLED: u8 = 8;
    pub const SLICED: u8 = 16;
    /// PDDL predicate of each.
    pub const NAMES: [(&str, u8); 5] =
        [("isClean", CLEAN), ("isHot", HOT), ("isCool", COOL), ("isToggled", TOGGLED), ("isSliced", SLICED)];
}

/// An entity a command can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    Receptacle(Rec),
    Object(Obj),
}

/// Everything about a game that never changes while it is played.
#[derive(Debug)]
pub struct Game {
    /// Type names in lower case without the suffix `Type`, e.g. `sinkbasin`.
    pub kinds: Vec<String>,
    pub receptacles: Vec<Receptacle>,
    pub objects: Vec<Object>,
    /// Pairs (receptacle type, object type).
    pub can: HashSet<(Kind, Kind)>,
    pub names: HashMap<String, Entity, BuildHasherDefault<NameHash>>,
    pub goal: Goal,
    /// The goal sentence.
    pub desc: String,
    /// Receptacles at each location, ascending.
    pub at_loc: Vec<Vec<Rec>>,
    /// Every receptacle, sorted by name: the order of `go to` in a sorted list of commands.
    pub by_name: Vec<Rec>,
    /// Receptacles of the goal's target type; none where the goal has none.
    pub targets: Vec<Rec>,
    /// Objects the goal is about, able to be changed as it asks.
    pub wanted: Vec<Obj>,
}

/// FNV-1a: names are short and nobody's attack, and every command looks up one or two.
#[derive(Clone, Debug)]
pub struct NameHash(u64);

impl Default for NameHash {
    fn default() -> Self {
        NameHash(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

/// Everything that changes while a game is played.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub loc: Loc,
    pub held: Option<Obj>,
    /// Per receptacle.
    pub opened: Vec<bool>,
    /// Per receptacle, ascending.
    pub contents: Vec<Vec<Obj>>,
    /// Which objects count as present at which location.
    pub near: BTreeSet<(Loc, Obj)>,
    /// Per object: a set of [`marks`].
    pub marks: Vec<u8>,
    /// Taken from there and not put back; `look` prints these.
    pub removed: BTreeSet<(Obj, Rec)>,
}

impl Game {
    /// Interns a spec. Fails, naming the field, if the spec names a receptacle or object it does not list, or lists one
    /// twice, or lacks what a game needs.
    pub fn load(spec: &Spec) -> Result<(Arc<Game>, State)> {
        let mut kinds = Interner::new(&FIXED_KINDS);
        let mut locs = Interner::new(&[]);
        let recs = sorted(&spec.receptacles, "receptacles", |r| &r.id)?;
        let objs = sorted(&spec.objects, "objects", |o| &o.id)?;
        ensure!(!recs.is_empty(), "`receptacles`: there is none");
        ensure!(!spec.params.object_target.is_empty(), "`params.object_target` is empty");
        let labels = labels(recs.keys().chain(objs.keys()));
        let names = index_names(&labels, &recs, &objs);
        let receptacles: Vec<_> = recs
            .iter()
            .map(|(id, r)| Receptacle {
                name: labels[id].clone(),
                kind: kinds.kind(&r.kind),
                loc: locs.id(&r.loc),
                openable: r.openable,
            })
            .collect();
        let mut objects: Vec<_> = objs
            .iter()
            .map(|(id, o)| Object {
                name: labels[id].clone(),
                kind: kinds.kind(&o.kind),
                caps: bits(&o.flags, &caps::NAMES),
                inside: Vec::new(),
            })
            .collect();
        let mut state = State {
            loc: locs.id(&spec.agent_loc),
            held: None,
            opened: recs.values().map(|r| r.opened).collect(),
            contents: vec![Vec::new(); recs.len()],
            near: BTreeSet::new(),
            marks: objs.values().map(|o| bits(&o.flags, &marks::NAMES)).collect(),
            removed: BTreeSet::new(),
        };
        for (o, object) in objs.values().enumerate() {
            for id in &object.within {
                let r = position(&recs, id).with_context(|| format!("object `{}`: `in`", object.id))?;
                state.contents[r].push(o as Obj);
            }
            for id in &object.in_obj {
                let outer = position(&objs, id).with_context(|| format!("object `{}`: `in_obj`", object.id))?;
                objects[outer].inside.push(o as Obj);
            }
            state.near.extend(object.loc.iter().map(|loc| (locs.id(loc), o as Obj)));
        }
        let can = spec.can_contain.iter().map(|(r, o)| (kinds.kind(r), kinds.kind(o))).collect();
        let goal = Goal::new(spec.task_type, &spec.params, |name| kinds.kind(name));
        ensure!(kinds.names.len() <= MOST, "there are {} types, more than {MOST}", kinds.names.len());
        ensure!(locs.names.len() <= MOST, "there are {} locations, more than {MOST}", locs.names.len());
        let mut at_loc = vec![Vec::new(); locs.names.len()];
        receptacles
            .iter()
            .enumerate()
            .for_each(|(r, rec): (usize, &Receptacle)| at_loc[rec.loc as usize].push(r as Rec));
        let (desc, kinds) = (spec.desc.clone(), kinds.names);
        let (targets, wanted) = (Vec::new(), Vec::new());
        let mut by_name: Vec<Rec> = (0..receptacles.len() as Rec).collect();
        by_name.sort_by(|a, b| receptacles[*a as usize].name.cmp(&receptacles[*b as usize].name));
        let mut game = Game { kinds, receptacles, objects, can, names, goal, desc, at_loc, by_name, targets, wanted };
        if let Goal::Place { target, .. } = goal {
            game.targets = game.receptacles_of(target).collect();
        }
        game.wanted = (0..game.objects.len() as Obj).filter(|&o| goal.wants(&game, o)).collect();
        Ok((Arc::new(game), state))
    }

    /// Indices of the receptacles of a type.
    pub fn receptacles_of(&self, kind: Kind) -> impl Iterator<Item = Rec> + '_ {
        (0..self.receptacles.len() as Rec).filter(move |&r| self.receptacles[r as usize].kind == kind)
    }

    /// The receptacle at `r`.
    pub fn rec(&self, r: Rec) -> &Receptacle {
        &self.receptacles[r as usize]
    }

    /// The object at `o`.
    pub fn obj(&self, o: Obj) -> &Object {
        &self.objects[o as usize]
    }

    /// Name of a type.
    pub fn kind_name(&self, kind: Kind) -> &str {
        &self.kinds[kind as usize]
    }

    /// Whether objects like `o` may be put into receptacles like `r`.
    pub fn fits(&self, o: Obj, r: Rec) -> bool {
        self.can.contains(&(self.rec(r).kind, self.obj(o).kind))
    }
}

impl Change {
    /// The type of receptacle that makes this change.
    pub fn tool(self) -> Kind {
        match self {
            Change::Clean => SINKBASIN,
            Change::Heat => MICROWAVE,
            Change::Cool => FRIDGE,
        }
    }
}

/// Types that the rules name, at fixed indices in every game.
pub const SINKBASIN: Kind = 0;
pub const MICROWAVE: Kind = 1;
pub const FRIDGE: Kind = 2;
pub const KNIFE: Kind = 3;
pub const BUTTERKNIFE: Kind = 4;
const FIXED_KINDS: [&str; 5] = ["sinkbasin", "microwave", "fridge", "knife", "butterknife"];

/// Entities of a sort in a game.
const MOST: usize = 10_000;

/// Names to dense indices.
struct Interner {
    names: Vec<String>,
    index: HashMap<String, u16>,
}

impl Interner {
    fn new(fixed: &[&str]) -> Interner {
        let mut new = Interner { names: Vec::new(), index: HashMap::new() };
        for name in fixed {
            new.id(name);
        }
        new
    }

    fn id(&mut self, name: &str) -> u16 {
        if let Some(&id) = self.index.get(name) {
            return id;
        }
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), (self.names.len() - 1) as u16);
        (self.names.len() - 1) as u16
    }

    /// `SinkBasinType`, `SinkBasin` and `sinkbasin` are one type.
    fn kind(&mut self, name: &str) -> u16 {
        let lower = name.to_lowercase();
        self.id(lower.strip_suffix("type").unwrap_or(&lower))
    }
}

/// Entities by lower-cased id. Fails if two share one, or if there are more than indices.
fn sorted<'a, T>(items: &'a [T], field: &str, id: impl Fn(&T) -> &String) -> Result<BTreeMap<String, &'a T>> {
    ensure!(items.len() <= MOST, "`{field}`: there are {}, more than {MOST}", items.len());
    let mut map = BTreeMap::new();
    for item in items {
        let twin = map.insert(id(item).to_lowercase(), item);
        ensure!(twin.is_none(), "`{field}`: two are called `{}`", id(item));
    }
    Ok(map)
}

fn position<T>(map: &BTreeMap<String, T>, id: &str) -> Result<usize> {
    let id = id.to_lowercase();
    map.keys().position(|k| *k == id).with_context(|| format!("the game does not list `{id}`"))
}

fn bits(flags: &[String], names: &[(&str, u8)]) -> u8 {
    names.iter().filter(|(name, _)| flags.iter().any(|f| f == name)).fold(0, |set, (_, bit)| set | bit)
}

/// Printed names: per base name the first id in sorted order gets the highest number.
fn labels<'a>(ids: impl Iterator<Item = &'a String>) -> BTreeMap<String, String> {
    let ids: BTreeSet<&String> = ids.collect();
    let base = |id: &str| {
        let stem = id.split("_bar_").next().unwrap_or(id);
        if id.contains("basin") && !stem.ends_with("basin") { format!("{stem}basin") } else { stem.to_owned() }
    };
    let mut left: HashMap<String, usize> = HashMap::new();
    for id in &ids {
        *left.entry(base(id)).or_default() += 1;
    }
    ids.into_iter()
        .map(|id| {
            let base = base(id);
            let number = left.entry(base.clone()).or_default();
            let label = format!("{base} {number}");
            *number -= 1; // counted above, so it is at least 1 here
            (id.clone(), label)
        })
        .collect()
}

fn index_names(
    labels: &BTreeMap<String, String>,
    recs: &BTreeMap<String, &ReceptacleSpec>,
    objs: &BTreeMap<String, &ObjectSpec>,
) -> HashMap<String, Entity, BuildHasherDefault<NameHash>> {
    let recs = recs.keys().enumerate().map(|(i, id)| (labels[id].clone(), Entity::Receptacle(i as Rec)));
    let objs = objs.keys().enumerate().map(|(i, id)| (labels[id].clone(), Entity::Object(i as Obj)));
    recs.chain(objs).collect()
}
