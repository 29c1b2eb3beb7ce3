//! The words: commands in, observations out. The sentences are those of ALFWorld 0.4 (fixed by the interface).

use super::dynamics::Action;
use super::game::{Entity, Game, Obj, Rec, State, caps, marks};
use super::goal::Change;

/// What is said to anything that cannot be done.
pub const NOTHING: &str = "Nothing happens.";

/// The opening text of a game.
pub fn intro(game: &Game) -> String {
    let mut out = [WELCOME, "\n\n", MIDDLE, " you see "].concat();
    list(game.receptacles.iter().map(|r| r.name.as_str()), "a ", &mut out);
    say(&mut out, &[".\n\nYour task is to: ", &game.desc]);
    out
}

/// Reads a command. `None` if it is none or names something that does not exist.
pub fn parse(game: &Game, command: &str) -> Option<Action> {
    let command = command.trim();
    let rec = |name: &str| match game.names.get(name) {
        Some(Entity::Receptacle(r)) => Some(*r),
        _ => None,
    };
    let obj = |name: &str| match game.names.get(name) {
        Some(Entity::Object(o)) => Some(*o),
        _ => None,
    };
    match command {
        "look" => return Some(Action::Look),
        "inventory" => return Some(Action::Inventory),
        "help" => return Some(Action::Help),
        _ => {}
    }
    let (verb, rest) = command.split_once(' ')?;
    let pair = |by: &str| rest.split_once(by);
    match verb {
        "go" => Some(Action::Go(rec(rest.strip_prefix("to ")?)?)),
        "open" => Some(Action::Open(rec(rest)?)),
        "close" => Some(Action::Close(rec(rest)?)),
        "use" => Some(Action::Use(obj(rest)?)),
        "examine" => rec(rest).map(Action::ExamineReceptacle).or_else(|| obj(rest).map(Action::ExamineObject)),
        "take" => pair(" from ").and_then(|(o, r)| Some(Action::Take(obj(o)?, rec(r)?))),
        "move" => pair(" to ").and_then(|(o, r)| Some(Action::Move(obj(o)?, rec(r)?))),
        "slice" => pair(" with ").and_then(|(o, k)| Some(Action::Slice(obj(o)?, obj(k)?))),
        _ => {
            let change = Change::ALL.into_iter().find(|c| c.verb() == verb)?;
            pair(" with ").and_then(|(o, r)| Some(Action::Change(change, obj(o)?, rec(r)?)))
        }
    }
}

/// Writes an action as a command.
pub fn command(game: &Game, action: Action) -> String {
    let r = |r: Rec| &*game.rec(r).name;
    let o = |o: Obj| &*game.obj(o).name;
    match action {
        Action::Look => "look".to_owned(),
        Action::Inventory => "inventory".to_owned(),
        Action::Help => "help".to_owned(),
        Action::Go(x) => ["go to ", r(x)].concat(),
        Action::Open(x) => ["open ", r(x)].concat(),
        Action::Close(x) => ["close ", r(x)].concat(),
        Action::ExamineReceptacle(x) => ["examine ", r(x)].concat(),
        Action::ExamineObject(x) => ["examine ", o(x)].concat(),
        Action::Take(x, y) => ["take ", o(x), " from ", r(y)].concat(),
        Action::Move(x, y) => ["move ", o(x), " to ", r(y)].concat(),
        Action::Use(x) => ["use ", o(x)].concat(),
        Action::Change(change, x, y) => [change.verb(), " ", o(x), " with ", r(y)].concat(),
        Action::Slice(x, y) => ["slice ", o(x), " with ", o(y)].concat(),
    }
}

/// Writes what is said after `action` was done; `state` is the state it led to.
pub fn feedback(game: &Game, state: &State, action: Action, out: &mut String) {
    let r = |r: Rec| &*game.rec(r).name;
    let o = |o: Obj| &*game.obj(o).name;
    out.clear();
    match action {
        Action::Look => look(game, state, out),
        Action::Inventory => match state.held {
            Some(x) => say(out, &["You are carrying: a ", o(x), "."]),
            None => say(out, &["You are not carrying anything."]),
        },
        Action::Help => say(out, &[HELP]),
        Action::Go(x) => {
            say(out, &["You arrive at ", r(x), ". "]);
            contents(game, state, x, out);
        }
        Action::Open(x) => {
            say(out, &["You open the ", r(x), ". "]);
            contents(game, state, x, out);
        }
        Action::Close(x) => say(out, &["You close the ", r(x), "."]),
        Action::ExamineReceptacle(x) => contents(game, state, x, out),
        Action::ExamineObject(x) => nature(game, state, x, out),
        Action::Take(x, y) => say(out, &["You pick up the ", o(x), " from the ", r(y), "."]),
        Action::Move(x, y) => say(out, &["You move the ", o(x), " to the ", r(y), "."]),
        Action::Use(x) => say(out, &["You turn on the ", o(x), "."]),
        Action::Change(change, x, y) => say(out, &["You ", change.verb(), " the ", o(x), " using the ", r(y), "."]),
        Action::Slice(x, y) => say(out, &["You sliced the ", o(x), " with the ", o(y), "."]),
    }
}

/// Appends the parts of a sentence. A million steps a second leave no time for `format!`.
fn say(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

fn contents(game: &Game, state: &State, r: Rec, out: &mut String) {
    let rec = game.rec(r);
    match (rec.openable, state.opened[r as usize]) {
        (true, false) => return say(out, &["The ", &rec.name, " is closed."]),
        (true, true) => say(out, &["The ", &rec.name, " is open. In it, you see "]),
        (false, _) => say(out, &["On the ", &rec.name, ", you see "]),
    }
    objects(game, state.contents[r as usize].iter().copied(), out);
    out.push('.');
}

/// Beside the receptacles here, `look` prints an object once per receptacle it was taken from and is now near to.
fn look(game: &Game, state: &State, out: &mut String) {
    let here = state.here(game);
    if here.is_empty() {
        return say(out, &[MIDDLE, " you see nothing."]);
    }
    out.push_str("You are facing the ");
    list(here.iter().map(|&r| game.rec(r).name.as_str()), "", out);
    let taken = state.present(state.loc).flat_map(|o| {
        let times = here.iter().filter(|&&r| state.removed.contains(&(o, r))).count();
        std::iter::repeat_n(o, times)
    });
    out.push_str(". Next to it, you see ");
    objects(game, taken, out);
    out.push('.');
}

fn nature(game: &Game, state: &State, o: Obj, out: &mut String) {
    let name = game.obj(o).name.as_str();
    let has = |mark: u8| state.marks[o as usize] & mark != 0;
    let can = |cap: u8| game.obj(o).caps & cap != 0;
    if can(caps::CONTAINER) {
        say(out, &["This is a normal ", name, ". In it, you see "]);
        objects(game, game.obj(o).inside.iter().copied(), out);
        return out.push('.');
    }
    let heat = if has(marks::HOT) { Some("hot") } else { has(marks::COOL).then_some("cool") };
    match (heat, has(marks::CLEAN), has(marks::SLICED)) {
        (Some(heat), true, true) => say(out, &["This is a ", heat, " and clean sliced ", name, "."]),
        (None, true, true) => say(out, &["This is a clean sliced ", name, "."]),
        (Some(heat), false, true) => say(out, &["This is a ", heat, " sliced ", name, "."]),
        (Some(heat), true, false) => say(out, &["This is a ", heat, " and clean ", name, "."]),
        (Some("cool"), false, false) => say(out, &["This is a cold ", name, "."]),
        (Some(heat), false, false) => say(out, &["This is a ", heat, " ", name, "."]),
        (None, true, false) => say(out, &["This is a clean ", name, "."]),
        (None, false, _) if can(caps::TOGGLEABLE) => {
            say(out, &["This ", name, " is ", if has(marks::TOGGLED) { "on" } else { "off" }, "."]);
        }
        (None, false, true) => say(out, &["This is a sliced ", name, "."]),
        (None, false, false) => say(out, &["There's nothing special about ", name, "."]),
    }
}

fn objects(game: &Game, items: impl Iterator<Item = Obj>, out: &mut String) {
    list(items.map(|o| game.obj(o).name.as_str()), "a ", out);
}

/// `nothing`, `a x`, `a x, and a y`, `a x, a y, and a z`.
fn list<'a>(names: impl Iterator<Item = &'a str>, article: &str, out: &mut String) {
    let mut names = names.peekable();
    if names.peek().is_none() {
        return out.push_str("nothing");
    }
    let mut first = true;
    while let Some(name) = names.next() {
        let between = if first {
            ""
        } else if names.peek().is_none() {
            ", and "
        } else {
            ", "
        };
        say(out, &[between, article, name]);
        first = false;
    }
}

const WELCOME: &str = "-= Welcome to TextWorld, ALFRED! =-";
const MIDDLE: &str = "You are in the middle of a room. Looking quickly around you,";
const HELP: &str = "Available commands:
  look:                             look around your current location
  inventory:                        check your current inventory
  go to (receptacle):               move to a receptacle
  open (receptacle):                open a receptacle
  close (receptacle):               close a receptacle
  take (object) from (receptacle):  take an object from a receptacle
  move (object) to (receptacle):  place an object in or on a receptacle
  examine (something):              examine a receptacle or an object
  use (object):                     use an object
  heat (object) with (receptacle):  heat an object using a receptacle
  clean (object) with (receptacle): clean an object using a receptacle
  cool (object) with (receptacle):  cool an object using a receptacle
  slice (object) with (object):     slice an object using a sharp object
";
