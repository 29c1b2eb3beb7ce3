//! Skills a scripted player can obey: the sentence, and what it does to the player's conduct.
//!
//! The same sentences stand in skill banks, so a model that learned to read them from the player's games can be
//! taught by a bank. Advice can be false; the player obeys it all the same, until it sees that it fails.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};

use super::Household;
use super::conduct::{Conduct, OBEYED, OBEYED_NOT};
use super::game::Game;
use super::goal::{Change, Goal};
use super::priors::{Priors, true_where};

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Advice {
    OpenClosed,
    NoRevisit,
    TakeAtOnce,
    NoDither,
    /// What to do, and the receptacle type to do it with.
    Tool(Change, String),
    Lamp,
    /// What has to be done before the object is put down.
    PlaceAfter(Change),
    Two,
    Destination,
    /// Object type, and the receptacle types it is often in.
    Where(String, Vec<String>),
}

impl Advice {
    /// The sentence.
    pub fn text(&self) -> String {
        match self {
            Advice::OpenClosed => "Open a closed receptacle before you leave it.".to_owned(),
            Advice::NoRevisit => "Do not go back to a place you have searched.".to_owned(),
            Advice::TakeAtOnce => "Take the object as soon as you see it.".to_owned(),
            Advice::NoDither => "Do not repeat an action that changed nothing.".to_owned(),
            Advice::Tool(change, tool) => format!("To {} an object, hold it and use the {tool}.", change.verb()),
            Advice::Lamp => "To examine an object in light, hold it and use the desklamp.".to_owned(),
            Advice::PlaceAfter(change) => {
                format!("Do not put the object down before it is {}.", change.participle())
            }
            Advice::Two => "Place the first object, then look for the second.".to_owned(),
            Advice::Destination => "Put the object only into the target receptacle.".to_owned(),
            Advice::Where(object, places) => {
                let place = |p: &String| format!("{} {} {p}", Priors::standard().preposition(p), article(p));
                let places: Vec<_> = places.iter().map(place).collect();
                let text = format!("{} {object} is often {}.", article(object), places.join(" or "));
                text.replacen('a', "A", 1)
            }
        }
    }

    /// Makes a player obey.
    pub fn apply(&self, conduct: &mut Conduct) {
        match self {
            Advice::OpenClosed => conduct.open = conduct.open.max(OBEYED),
            Advice::NoRevisit => conduct.revisit = conduct.revisit.min(OBEYED_NOT),
            Advice::TakeAtOnce => {
                conduct.take = conduct.take.max(OBEYED);
                conduct.wrong_object = 0.0;
            }
            Advice::NoDither => conduct.dither = conduct.dither.min(OBEYED_NOT),
            Advice::Tool(change, tool) => conduct.tools.push((*change, tool.clone())),
            Advice::Lamp => conduct.lamp = conduct.lamp.max(OBEYED),
            Advice::PlaceAfter(change) => conduct.guards.push(*change),
            Advice::Two => conduct.second = conduct.second.max(OBEYED),
            Advice::Destination => conduct.destination = conduct.destination.max(OBEYED),
            Advice::Where(object, places) => conduct.orders.push((object.clone(), places.clone())),
        }
    }
}

/// All advice that is true and useful in a game.
pub fn true_advice(env: &Household) -> Vec<Advice> {
    let game = env.game();
    let mut all = vec![Advice::OpenClosed, Advice::NoRevisit, Advice::TakeAtOnce, Advice::NoDither];
    match game.goal {
        Goal::Light { lamp, .. } => all.extend([Advice::Lamp, whereabouts(game.kind_name(lamp))]),
        Goal::Place { change, count, .. } => {
            all.push(Advice::Destination);
            if let Some(change) = change {
                let tool = game.kind_name(change.tool()).to_owned();
                all.extend([Advice::Tool(change, tool), Advice::PlaceAfter(change)]);
            }
            if count == 2 {
                all.push(Advice::Two);
            }
        }
    }
    all.push(whereabouts(game.kind_name(game.goal.object())));
    all
}

/// A random part of the advice for a game, in random order: each piece is true with a chance of 3/4, else a false
/// variant where there is one; and sometimes a piece that has nothing to do with the game.
pub fn random_advice(env: &Household, rng: &mut impl Rng) -> Vec<Advice> {
    let share = rng.random_range(0.3..1.0);
    let mut some = true_advice(env);
    some.retain(|_| rng.random_bool(share));
    for advice in &mut some {
        if rng.random_bool(FALSE) {
            falsify(advice, env.game(), rng);
        }
    }
    if rng.random_bool(0.5) {
        some.push(stray(env.game(), rng));
    }
    some.shuffle(rng);
    some
}

fn whereabouts(object: &str) -> Advice {
    Advice::Where(object.to_owned(), true_where(object))
}

fn falsify(advice: &mut Advice, game: &Game, rng: &mut impl Rng) {
    let mut here: Vec<String> = game.receptacles.iter().map(|r| game.kind_name(r.kind).to_owned()).collect();
    here.sort_unstable();
    here.dedup();
    match advice {
        Advice::Tool(_, tool) => {
            here.retain(|kind| kind != tool);
            tool.clone_from(here.choose(rng).unwrap_or(&tool.clone()));
        }
        Advice::Where(_, places) => {
            here.retain(|kind| !places.contains(kind));
            if here.len() >= 2 {
                *places = here.sample(rng, 2).cloned().collect();
            }
        }
        _ => {}
    }
}

/// Advice about another task or another object.
fn stray(game: &Game, rng: &mut impl Rng) -> Advice {
    let asked = match game.goal {
        Goal::Place { change, .. } => change,
        Goal::Light { .. } => None,
    };
    let change = Change::ALL[rng.random_range(0..3)];
    let objects: Vec<&String> = Priors::standard().objects.keys().collect();
    match rng.random_range(0..3u8) {
        0 if asked != Some(change) => Advice::Tool(change, game.kind_name(change.tool()).to_owned()),
        1 if asked != Some(change) => Advice::PlaceAfter(change),
        _ => match objects.choose(rng) {
            Some(object) if **object != game.kind_name(game.goal.object()) => whereabouts(object),
            _ => Advice::Two,
        },
    }
}

/// Chance that a piece of random advice is made false.
const FALSE: f64 = 0.25;

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_fixed() {
        let two = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        for (advice, text) in [
            (Advice::Tool(Change::Heat, "microwave".into()), "To heat an object, hold it and use the microwave."),
            (Advice::PlaceAfter(Change::Cool), "Do not put the object down before it is cooled."),
            (
                Advice::Where("mug".into(), two("cabinet", "countertop")),
                "A mug is often in a cabinet or on a countertop.",
            ),
            (Advice::Where("egg".into(), two("fridge", "armchair")), "An egg is often in a fridge or on an armchair."),
        ] {
            assert_eq!(advice.text(), text);
        }
    }

    #[test]
    fn advice_changes_conduct() {
        let mut conduct = Conduct::of_quality(0.0);
        let before = conduct.change(Change::Clean);
        Advice::Tool(Change::Heat, "microwave".into()).apply(&mut conduct);
        assert_eq!(conduct.change(Change::Clean), before, "advice on heating says nothing on cleaning");
        Advice::Tool(Change::Clean, "sinkbasin".into()).apply(&mut conduct);
        Advice::PlaceAfter(Change::Clean).apply(&mut conduct);
        assert_eq!(conduct.change(Change::Clean), (0.98, 0.0, 0.02));
    }
}
