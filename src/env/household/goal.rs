//! The six task types, what counts as winning them, and how they are worded.

use serde::{Deserialize, Serialize};

use super::dynamics::Action;
use super::game::{Game, Kind, Obj, Rec, State, caps, marks};
use super::spec::Params;

/// ALFWorld's task types under their own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaskType {
    #[serde(rename = "pick_and_place_simple")]
    Place,
    #[serde(rename = "look_at_obj_in_light")]
    Look,
    #[serde(rename = "pick_clean_then_place_in_recep")]
    Clean,
    #[serde(rename = "pick_heat_then_place_in_recep")]
    Heat,
    #[serde(rename = "pick_cool_then_place_in_recep")]
    Cool,
    #[serde(rename = "pick_two_obj_and_place")]
    Two,
}

/// What a tool does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Clean,
    Heat,
    Cool,
}

/// When a game is won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Hold an object of a type where a lamp of a type is on.
    Light { object: Kind, lamp: Kind },
    /// Have `count` objects of a type, changed if so asked, in one receptacle of a type.
    Place { object: Kind, target: Kind, change: Option<Change>, count: usize },
}

impl TaskType {
    pub const ALL: [TaskType; 6] =
        [TaskType::Place, TaskType::Look, TaskType::Clean, TaskType::Heat, TaskType::Cool, TaskType::Two];

    /// ALFWorld's name.
    pub fn name(self) -> &'static str {
        match self {
            TaskType::Place => "pick_and_place_simple",
            TaskType::Look => "look_at_obj_in_light",
            TaskType::Clean => "pick_clean_then_place_in_recep",
            TaskType::Heat => "pick_heat_then_place_in_recep",
            TaskType::Cool => "pick_cool_then_place_in_recep",
            TaskType::Two => "pick_two_obj_and_place",
        }
    }

    /// The change the task asks for.
    pub fn change(self) -> Option<Change> {
        match self {
            TaskType::Clean => Some(Change::Clean),
            TaskType::Heat => Some(Change::Heat),
            TaskType::Cool => Some(Change::Cool),
            TaskType::Place | TaskType::Look | TaskType::Two => None,
        }
    }

    /// Objects that have to be found.
    pub fn count(self) -> usize {
        if self == TaskType::Two { 2 } else { 1 }
    }

    /// The goal sentence in one of ALFWorld's two wordings. `place` is the target, or the lamp for [`TaskType::Look`].
    pub fn sentence(self, object: &str, place: &str, second: bool) -> String {
        let wordings = match self {
            TaskType::Place => ["put a {o} in {r}.", "put some {o} on {r}."],
            TaskType::Look => ["look at {o} under the {r}.", "examine the {o} with the {r}."],
            TaskType::Clean => ["put a clean {o} in {r}.", "clean some {o} and put it in {r}."],
            TaskType::Heat => ["put a hot {o} in {r}.", "heat some {o} and put it in {r}."],
            TaskType::Cool => ["put a cool {o} in {r}.", "cool some {o} and put it in {r}."],
            TaskType::Two => ["put two {o} in {r}.", "find two {o} and put them in {r}."],
        };
        wordings[usize::from(second)].replace("{o}", object).replace("{r}", place)
    }
}

impl Change {
    pub const ALL: [Change; 3] = [Change::Clean, Change::Heat, Change::Cool];

    /// `clean`, `heat`, `cool`: the verb of the command.
    pub fn verb(self) -> &'static str {
        match self {
            Change::Clean => "clean",
            Change::Heat => "heat",
            Change::Cool => "cool",
        }
    }

    /// `cleaned`, `heated`, `cooled`.
    pub fn participle(self) -> &'static str {
        match self {
            Change::Clean => "cleaned",
            Change::Heat => "heated",
            Change::Cool => "cooled",
        }
    }

    /// `clean`, `hot`, `cool`: what the object is afterwards.
    pub fn adjective(self) -> &'static str {
        match self {
            Change::Clean => "clean",
            Change::Heat => "hot",
            Change::Cool => "cool",
        }
    }

    /// What an object must be for this change.
    pub fn cap(self) -> u8 {
        match self {
            Change::Clean => caps::CLEANABLE,
            Change::Heat => caps::HEATABLE,
            Change::Cool => caps::COOLABLE,
        }
    }

    /// What an object is marked as afterwards.
    pub fn mark(self) -> u8 {
        match self {
            Change::Clean => marks::CLEAN,
            Change::Heat => marks::HOT,
            Change::Cool => marks::COOL,
        }
    }

    /// The mark this change takes away: what is heated is no longer cool.
    pub fn clears(self) -> u8 {
        match self {
            Change::Clean => 0,
            Change::Heat => marks::COOL,
            Change::Cool => marks::HOT,
        }
    }
}

impl Goal {
    /// Builds the goal of a task type; `kind` interns a type name.
    pub fn new(task: TaskType, params: &Params, mut kind: impl FnMut(&str) -> Kind) -> Goal {
        let object = kind(&params.object_target);
        match task {
            TaskType::Look => Goal::Light { object, lamp: kind(&params.toggle_target) },
            _ => {
                let target = kind(&params.parent_target);
                Goal::Place { object, target, change: task.change(), count: task.count() }
            }
        }
    }

    /// The type of object that has to be found.
    pub fn object(&self) -> Kind {
        match *self {
            Goal::Light { object, .. } | Goal::Place { object, .. } => object,
        }
    }

    /// Whether `o` is of the type to be found and can be changed as asked.
    pub fn wants(&self, game: &Game, o: Obj) -> bool {
        let needs = match *self {
            Goal::Place { change: Some(change), .. } => change.cap(),
            _ => 0,
        };
        game.obj(o).kind == self.object() && game.obj(o).caps & needs == needs
    }

    /// Whether the goal is reached.
    pub fn won(&self, game: &Game, state: &State) -> bool {
        self.score(game, state) >= 1.0
    }

    /// Whether an action can change the [`Goal::score`].
    pub fn depends_on(&self, action: Action) -> bool {
        match action {
            Action::Look | Action::Inventory | Action::Help | Action::Open(_) | Action::Close(_) => false,
            Action::ExamineReceptacle(_) | Action::ExamineObject(_) | Action::Slice(..) => false,
            Action::Go(_) | Action::Use(_) => matches!(self, Goal::Light { .. }),
            Action::Take(..) | Action::Move(..) | Action::Change(..) => true,
        }
    }

    /// Part of the goal's conditions that hold in the best choice of objects: [0, 1], 1 = won.
    /// Conditions of placing: each object is there, and is changed if so asked. Of light: object held, lamp on here.
    pub fn score(&self, game: &Game, state: &State) -> f32 {
        match *self {
            Goal::Light { object, lamp } => {
                let held = state.held.is_some_and(|o| game.obj(o).kind == object);
                let lit = state.here(game).iter().any(|&r| {
                    state.contents[r as usize].iter().any(|&x| {
                        let on = state.marks[x as usize] & marks::TOGGLED != 0;
                        on && game.obj(x).caps & caps::TOGGLEABLE != 0 && game.obj(x).kind == lamp
                    })
                });
                (f32::from(u8::from(held)) + f32::from(u8::from(lit))) / 2.0
            }
            Goal::Place { change, count, .. } => {
                let changed = |o: Obj| change.is_none_or(|c| state.marks[o as usize] & c.mark() != 0);
                let placed = |r: Rec| {
                    let there = state.contents[r as usize].iter().filter(|&&o| self.wants(game, o));
                    match change {
                        Some(_) => there.map(|&o| 1 + usize::from(changed(o))).max().unwrap_or(0),
                        None => there.count(),
                    }
                };
                let best = game.targets.iter().map(|&r| placed(r)).max().unwrap_or(0);
                let parts = if change.is_some() { 2 } else { count };
                let made = change.is_some() && game.wanted.iter().any(|&o| changed(o));
                (best.max(usize::from(made)) as f32 / parts as f32).min(1.0)
            }
        }
    }
}
