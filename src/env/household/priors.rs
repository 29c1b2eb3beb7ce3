//! What homes are like: the tables of `envs/household.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::Deserialize;

/// The text of `envs/household.toml`.
pub const TEXT: &str = include_str!("../../../envs/household.toml");

/// Rooms, receptacles and objects with their habits. Maps are ordered, so that draws repeat.
#[derive(Clone, Debug, Deserialize)]
pub struct Priors {
    pub receptacles: BTreeMap<String, ReceptaclePrior>,
    pub rooms: BTreeMap<String, Room>,
    pub objects: BTreeMap<String, ObjectPrior>,
}

/// Habits of a receptacle type.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceptaclePrior {
    /// `in` or `on`.
    pub preposition: String,
    /// Chance that one of these can be opened, in [0, 1]; such a one starts closed.
    #[serde(default)]
    pub openable: f64,
}

/// Habits of a sort of room.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Number of layouts: for training, and only for held-out tasks.
    pub layouts: [u64; 2],
    /// Receptacle type to [least, most in a small room, least, most in a full room].
    pub receptacles: BTreeMap<String, [usize; 4]>,
}

/// Habits of an object type.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectPrior {
    /// Rooms it occurs in.
    pub rooms: Vec<String>,
    /// Predicates such as `cleanable`.
    #[serde(default)]
    pub can: Vec<String>,
    /// Receptacle types it tends to lie in, with weights > 0.
    pub lives: BTreeMap<String, f64>,
    /// Further receptacle types it may be put into.
    #[serde(default)]
    pub fits: Vec<String>,
    /// Whether it cannot be picked up.
    #[serde(default)]
    pub fixed: bool,
}

impl Priors {
    /// The priors of `envs/household.toml` in the working folder, else those that are built in; read once.
    /// Fails if the file cannot be used.
    pub fn current() -> Result<&'static Priors> {
        static CURRENT: LazyLock<Result<Priors, String>> = LazyLock::new(|| {
            let read = || {
                let file = crate::env::file(super::KIND)?;
                Priors::parse(&file.text).with_context(|| file.place)
            };
            read().map_err(|error: anyhow::Error| format!("{error:#}"))
        });
        CURRENT.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// The same, or the built-in priors where those cannot be used: no household can be opened then.
    pub fn standard() -> &'static Priors {
        static BUILT_IN: LazyLock<Priors> = LazyLock::new(|| {
            Priors::parse(TEXT).expect("the file is part of the program and a test parses it") // see `built_in_parses`
        });
        Priors::current().unwrap_or_else(|_| &BUILT_IN)
    }

    /// Reads priors. Fails on a name that is used but not defined.
    pub fn parse(text: &str) -> Result<Priors> {
        let priors: Priors = toml::from_str(text).context("reading the household's priors")?;
        for (name, object) in &priors.objects {
            ensure!(!object.lives.is_empty(), "object `{name}` lives nowhere; give it a receptacle");
            for r in object.lives.keys().chain(&object.fits) {
                ensure!(priors.receptacles.contains_key(r), "object `{name}` names no known receptacle: `{r}`");
            }
            for room in &object.rooms {
                ensure!(priors.rooms.contains_key(room), "object `{name}` names no known room: `{room}`");
            }
        }
        for (name, room) in &priors.rooms {
            for r in room.receptacles.keys() {
                ensure!(priors.receptacles.contains_key(r), "room `{name}` names no known receptacle: `{r}`");
            }
        }
        Ok(priors)
    }

    /// Receptacle types an object tends to lie in, the likeliest first; empty for an unknown object.
    pub fn places(&self, object: &str) -> Vec<&str> {
        let Some(object) = self.objects.get(object) else { return Vec::new() };
        let mut places: Vec<_> = object.lives.iter().collect();
        places.sort_by(|a, b| b.1.total_cmp(a.1)); // stable: ties stay in the order of names
        places.into_iter().map(|(name, _)| name.as_str()).collect()
    }

    /// `in` or `on`, for a sentence; `in` for an unknown type.
    pub fn preposition(&self, receptacle: &str) -> &str {
        self.receptacles.get(receptacle).map_or("in", |r| r.preposition.as_str())
    }
}

impl ObjectPrior {
    /// Whether it may be put into a receptacle type.
    pub fn fits_in(&self, receptacle: &str) -> bool {
        self.lives.contains_key(receptacle) || self.fits.iter().any(|f| f == receptacle)
    }

    /// Draws which of `places` it lies in: by habit, else where it fits; `None` if it fits nowhere.
    pub fn lie(&self, places: &[&str], rng: &mut impl Rng) -> Option<usize> {
        let all: Vec<usize> = (0..places.len()).collect();
        // the weight of a type is shared by its receptacles
        let alike = |i: usize| places.iter().filter(|p| **p == places[i]).count() as f64;
        let weight = |i: &usize| self.lives.get(places[*i]).map_or(0.0, |w| w / alike(*i));
        match all.choose_weighted(rng, weight) {
            Ok(i) => Some(*i),
            Err(_) => {
                let fit: Vec<usize> = all.into_iter().filter(|&i| self.fits_in(places[i])).collect();
                fit.choose(rng).copied()
            }
        }
    }
}

/// The two receptacle types in which an object most often lies; empty for an unknown object.
pub fn true_where(object: &str) -> Vec<String> {
    Priors::standard().places(object).into_iter().take(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_parses() {
        let priors = Priors::parse(TEXT).unwrap();
        assert!(priors.objects.len() > 40 && priors.receptacles.len() > 20);
        assert_eq!(true_where("mug"), ["cabinet", "countertop"]);
        assert!(true_where("unicorn").is_empty());
    }

    #[test]
    fn unknown_names_are_refused() {
        let text = TEXT.replace("lives = { drawer = 11, countertop = 5, diningtable = 1 }", "lives = { tree = 1 }");
        let error = Priors::parse(&text).unwrap_err().to_string();
        assert_eq!(error, "object `butterknife` names no known receptacle: `tree`");
    }
}
