//! How well a scripted player plays, as numbers.

use rand::{Rng, RngExt};

use super::goal::Change;

/// The habits of a scripted player. All numbers are chances in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Conduct {
    /// Opening a closed receptacle before leaving it.
    pub open: f64,
    /// Searching next a place that was already searched.
    pub revisit: f64,
    /// Taking the wanted object when it is seen, or going back to where it was seen.
    pub take: f64,
    /// Taking another object on arrival.
    pub wrong_object: f64,
    /// Going for the needed change (clean, heat, cool) while holding the object.
    pub tool: f64,
    /// Using a wrong receptacle for it.
    pub wrong_tool: f64,
    /// Putting the object down before it is changed.
    pub early: f64,
    /// Going to a lamp that was seen, and switching it on.
    pub lamp: f64,
    /// Leaving the first of two objects where it was put.
    pub second: f64,
    /// Carrying the object to a right destination; else to a random receptacle.
    pub destination: f64,
    /// Per turn: doing something useless.
    pub dither: f64,
    /// Where to search.
    pub search: Search,
    /// Advice on where an object is: (object type, receptacle types in order of search). Goes before `search`.
    pub orders: Vec<(String, Vec<String>)>,
    /// Advice on tools: (change, receptacle type). Obeyed even if wrong, until it failed.
    pub tools: Vec<(Change, String)>,
    /// Changes that the player was told to make before putting anything down.
    pub guards: Vec<Change>,
}

/// Order of search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Any place is as good as another.
    Random,
    /// Places where the object tends to lie first.
    Prior,
}

impl Conduct {
    /// The best a player without full knowledge can do here.
    pub fn expert() -> Conduct {
        Conduct {
            open: 1.0,
            revisit: 0.0,
            take: 1.0,
            wrong_object: 0.0,
            tool: 1.0,
            wrong_tool: 0.0,
            early: 0.0,
            lamp: 1.0,
            second: 1.0,
            destination: 1.0,
            dither: 0.0,
            search: Search::Prior,
            orders: Vec::new(),
            tools: Vec::new(),
            guards: Vec::new(),
        }
    }

    /// A middling player of one of three hidden qualities, equally likely.
    pub fn plain(rng: &mut impl Rng) -> Conduct {
        Conduct::of_quality(f64::from(rng.random_range(0..3u8)) / 2.0)
    }

    /// From poor (0) to good (1). Even the good one searches at random.
    pub fn of_quality(quality: f64) -> Conduct {
        let between = |poor: f64, good: f64| poor + (good - poor) * quality;
        Conduct {
            open: between(0.25, 0.65),
            revisit: between(0.6, 0.3),
            take: between(0.25, 0.65),
            wrong_object: between(0.3, 0.1),
            tool: between(0.35, 0.75),
            wrong_tool: between(0.65, 0.3),
            early: between(0.4, 0.15),
            lamp: between(0.05, 0.2),
            second: between(0.6, 0.9),
            destination: between(0.3, 0.65),
            dither: between(0.35, 0.15),
            search: Search::Random,
            ..Conduct::expert()
        }
    }

    /// Chance of going for `change`, of a wrong tool for it, and of skipping it, advice considered.
    pub fn change(&self, change: Change) -> (f64, f64, f64) {
        let told = self.tools.iter().any(|(c, _)| *c == change);
        let early = if self.guards.contains(&change) { self.early.min(OBEYED_NOT) } else { self.early };
        if told { (self.tool.max(OBEYED), 0.0, early) } else { (self.tool, self.wrong_tool, early) }
    }
}

/// Chance with which advice is obeyed, and its complement.
pub const OBEYED: f64 = 0.98;
pub const OBEYED_NOT: f64 = 0.02;
