//! A game as data, one JSON object a game: the compact form of an ALFWorld problem. The generator writes the same.

use serde::{Deserialize, Serialize};

use super::goal::TaskType;

/// A game as data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// One of the six names of [`TaskType`].
    pub task_type: TaskType,
    pub params: Params,
    /// The goal sentence, with its final period.
    pub desc: String,
    /// Where the agent starts.
    pub agent_loc: String,
    pub receptacles: Vec<ReceptacleSpec>,
    pub objects: Vec<ObjectSpec>,
    /// Pairs (receptacle type, object type): what may be put where.
    pub can_contain: Vec<(String, String)>,
}

/// The types a goal talks about; empty where it does not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Params {
    pub object_target: String,
    #[serde(default)]
    pub parent_target: String,
    #[serde(default)]
    pub toggle_target: String,
}

/// A place. Several may share one location.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceptacleSpec {
    /// `<type>_bar_<anything>`.
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub loc: String,
    pub openable: bool,
    pub opened: bool,
}

/// A thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectSpec {
    /// `<type>_bar_<anything>`.
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// PDDL predicates that hold of it, e.g. `cleanable`; unknown ones are ignored.
    pub flags: Vec<String>,
    /// Receptacles it is in; more than one in some real games.
    #[serde(default, rename = "in")]
    pub within: Vec<String>,
    /// Objects it is in.
    #[serde(default)]
    pub in_obj: Vec<String>,
    /// Locations from which it counts as present.
    #[serde(default)]
    pub loc: Vec<String>,
}
