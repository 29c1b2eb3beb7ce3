//! The PDDL problem of an ALFWorld game as a [`Spec`].
//!
//! Only what the rules use is read: the facts of `:init`, and from `:goal` which types of things it asks for. An entity
//! is told by the facts it occurs in: whatever has a receptacle's facts is a receptacle, every other named thing of the
//! scene an object.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use super::goal::TaskType;
use super::spec::{ObjectSpec, Params, ReceptacleSpec, Spec};

/// Reads a problem; `desc` is the goal sentence, or `None` to word it from the goal.
///
/// # Errors
/// Names the part of the problem that is missing or cannot be read.
pub fn spec(problem: &str, desc: Option<String>) -> Result<Spec> {
    let init = problem.find("(:init").context("`(:init` is missing")?;
    let goal = problem.find("(:goal").filter(|&at| at > init).context("`(:goal` is missing after `(:init`")?;
    let facts = Facts::read(&problem[init..goal]);
    let (task_type, params) = goal_of(&problem[goal..].to_lowercase())?;
    let agent_loc =
        facts.of("atLocation").next().and_then(|f| f.get(1)).context("`(atLocation agent1 ...)` is missing")?;
    let place = if task_type == TaskType::Look { &params.toggle_target } else { &params.parent_target };
    let desc = desc.unwrap_or_else(|| task_type.sentence(&params.object_target, place, false));
    let receptacles = facts.receptacles()?;
    let objects = facts.objects(&receptacles);
    let can_contain = facts.pairs("canContain").map(|(r, o)| (r.to_owned(), o.to_owned())).collect();
    Ok(Spec { task_type, params, desc, agent_loc: agent_loc.clone(), receptacles, objects, can_contain })
}

/// Facts by predicate, each as its arguments.
struct Facts(BTreeMap<String, Vec<Vec<String>>>);

impl Facts {
    /// Reads every innermost pair of brackets with more than one word in it.
    fn read(init: &str) -> Facts {
        let mut facts: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
        for part in init.split('(').filter_map(|part| part.split_once(')')) {
            let mut words = part.0.split_whitespace().map(str::to_owned);
            if let Some(name) = words.next().filter(|name| !name.starts_with(':')) {
                let arguments: Vec<String> = words.collect();
                if !arguments.is_empty() {
                    facts.entry(name).or_default().push(arguments);
                }
            }
        }
        Facts(facts)
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Vec<String>> {
        self.0.get(name).into_iter().flatten()
    }

    fn pairs(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.of(name).filter_map(|f| Some((f.first()?.as_str(), f.get(1)?.as_str())))
    }

    /// Second arguments of the facts about `id`.
    fn about(&self, name: &str, id: &str) -> Vec<String> {
        self.pairs(name).filter(|(first, _)| *first == id).map(|(_, second)| second.to_owned()).collect()
    }

    fn holds(&self, name: &str, id: &str) -> bool {
        self.of(name).any(|f| f.first().is_some_and(|first| first == id))
    }

    fn receptacles(&self) -> Result<Vec<ReceptacleSpec>> {
        let first = |name: &str| self.of(name).filter_map(|f| f.first()).cloned().collect::<BTreeSet<String>>();
        let ids = &first("receptacleAtLocation") | &first("receptacleType");
        let one = |id: String| {
            let loc = self.about("receptacleAtLocation", &id).into_iter().next();
            Ok(ReceptacleSpec {
                loc: loc.with_context(|| format!("`(receptacleAtLocation {id} ...)` is missing"))?,
                kind: self.about("receptacleType", &id).into_iter().next().unwrap_or_default(),
                openable: self.holds("openable", &id),
                opened: self.holds("opened", &id),
                id,
            })
        };
        ids.into_iter().map(one).collect()
    }

    fn objects(&self, receptacles: &[ReceptacleSpec]) -> Vec<ObjectSpec> {
        let named = |word: &&String| word.contains("_bar_") && !word.starts_with("loc_bar_");
        let places: BTreeSet<&String> = receptacles.iter().map(|r| &r.id).collect();
        let ids: BTreeSet<&String> = self.0.values().flatten().flatten().filter(named).collect();
        let flags = |id: &str| {
            let unary = self.0.iter().filter(|(_, facts)| facts.iter().any(|f| f.len() == 1 && f[0] == id));
            unary.map(|(name, _)| name.clone()).collect()
        };
        let object = |id: &&String| ObjectSpec {
            id: (*id).clone(),
            kind: self.about("objectType", id).into_iter().next().unwrap_or_default(),
            flags: flags(id),
            within: self.about("inReceptacle", id),
            in_obj: self.about("inReceptacleObject", id),
            loc: self.about("objectAtLocation", id),
        };
        ids.difference(&places).map(object).collect()
    }
}

/// The task type and its types of things, from the lower-cased goal.
fn goal_of(goal: &str) -> Result<(TaskType, Params)> {
    // `(objecttype ?o mugtype)`: the variable and the type
    let typed = |predicate: &str| -> Vec<(String, String)> {
        let parts = goal.split('(').filter_map(|part| part.split_once(')')).map(|(inner, _)| inner);
        let words = parts.map(|inner| inner.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let typed = words.filter(|w| w.len() == 3 && w[0] == predicate);
        typed.map(|w| (w[1].clone(), w[2].trim_end_matches("type").to_owned())).collect()
    };
    let (objects, places) = (typed("objecttype"), typed("receptacletype"));
    ensure!(!goal.contains("issliced"), "`:goal` asks for sliced things, and such games are not part of ALFWorld");
    let object = |variable: &str| objects.iter().find(|(v, _)| v == variable).map(|(_, kind)| kind.clone());
    if goal.contains("istoggled") {
        let (lamp, object) = (object("?ot"), object("?o"));
        let missing = "`:goal` names no `(objectType ?o ...)` and `(objectType ?ot ...)`";
        let (object_target, toggle_target) = object.zip(lamp).context(missing)?;
        return Ok((TaskType::Look, Params { object_target, toggle_target, ..Params::default() }));
    }
    let task = match goal {
        _ if goal.contains("isclean") => TaskType::Clean,
        _ if goal.contains("ishot") => TaskType::Heat,
        _ if goal.contains("iscool") => TaskType::Cool,
        _ if goal.contains("?o2") => TaskType::Two,
        _ => TaskType::Place,
    };
    match (objects.first(), places.first()) {
        (Some((_, object)), Some((_, place))) => {
            let (object_target, parent_target) = (object.clone(), place.clone());
            Ok((task, Params { object_target, parent_target, ..Params::default() }))
        }
        _ => bail!("`:goal` names no `(objectType ?o ...)` and `(receptacleType ?r ...)`"),
    }
}
