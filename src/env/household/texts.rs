//! The words: commands in, observations out. The sentences are those of ALFWorld 0.4 (fixed by the interface).

use super::dynamics::Action;
use super::game::{Entity, Game, Obj, Rec, State, caps, marks};
use super::goal::Change;

/// What is said to anything that cannot be done.
pub const NOTHING: &str = "Nothing happens.";

/// The opening text of a game.
pub fn intro(game: &Game) -> String {
    let names = list(game.receptacles.iter().map(|r| r.name.as_str()), "a ");
    let task = &game.desc;
    format!("{WELCOME}\n\n{MIDDLE} you see {names}.\n\nYour task is to: {task}")
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
    let r = |r: Rec| &game.rec(r).name;
    let o = |o: Obj| &game.obj(o).name;
    match action {
        Action::Look => "look".to_owned(),
        Action::Inventory => "inventory".to_owned(),
        Action::Help => "help".to_owned(),
        Action::Go(x) => format!("go to {}", r(x)),
        Action::Open(x) => format!("open {}", r(x)),
        Action::Close(x) => format!("close {}", r(x)),
        Action::ExamineReceptacle(x) => format!("examine {}", r(x)),
        Action::ExamineObject(x) => format!("examine {}", o(x)),
        Action::Take(x, y) => format!("take {} from {}", o(x), r(y)),
        Action::Move(x, y) => format!("move {} to {}", o(x), r(y)),
        Action::Use(x) => format!("use {}", o(x)),
        Action::Change(change, x, y) => format!("{} {} with {}", change.verb(), o(x), r(y)),
        Action::Slice(x, y) => format!("slice {} with {}", o(x), o(y)),
    }
}

/// What is said after `action` was done; `state` is the state it led to.
pub fn feedback(game: &Game, state: &State, action: Action) -> String {
    let r = |r: Rec| &game.rec(r).name;
    let o = |o: Obj| &game.obj(o).name;
    match action {
        Action::Look => look(game, state),
        Action::Inventory => match state.held {
            Some(x) => format!("You are carrying: a {}.", o(x)),
            None => "You are not carrying anything.".to_owned(),
        },
        Action::Help => HELP.to_owned(),
        Action::Go(x) => format!("You arrive at {}. {}", r(x), contents(game, state, x)),
        Action::Open(x) => format!("You open the {}. {}", r(x), contents(game, state, x)),
        Action::Close(x) => format!("You close the {}.", r(x)),
        Action::ExamineReceptacle(x) => contents(game, state, x),
        Action::ExamineObject(x) => nature(game, state, x),
        Action::Take(x, y) => format!("You pick up the {} from the {}.", o(x), r(y)),
        Action::Move(x, y) => format!("You move the {} to the {}.", o(x), r(y)),
        Action::Use(x) => format!("You turn on the {}.", o(x)),
        Action::Change(change, x, y) => format!("You {} the {} using the {}.", change.verb(), o(x), r(y)),
        Action::Slice(x, y) => format!("You sliced the {} with the {}.", o(x), o(y)),
    }
}

fn contents(game: &Game, state: &State, r: Rec) -> String {
    let rec = game.rec(r);
    let things = || objects(game, state.contents[r as usize].iter().copied());
    if !rec.openable {
        return format!("On the {}, you see {}.", rec.name, things());
    }
    if !state.opened[r as usize] {
        return format!("The {} is closed.", rec.name);
    }
    format!("The {} is open. In it, you see {}.", rec.name, things())
}

/// Beside the receptacles here, `look` prints an object once per receptacle it was taken from and is now near to.
fn look(game: &Game, state: &State) -> String {
    let here: Vec<Rec> = state.here(game).collect();
    if here.is_empty() {
        return format!("{MIDDLE} you see nothing.");
    }
    let names = list(here.iter().map(|&r| game.rec(r).name.as_str()), "");
    let taken = state.present(state.loc).flat_map(|o| {
        let times = here.iter().filter(|&&r| state.removed.contains(&(o, r))).count();
        std::iter::repeat_n(o, times)
    });
    format!("You are facing the {names}. Next to it, you see {}.", objects(game, taken))
}

fn nature(game: &Game, state: &State, o: Obj) -> String {
    let name = &game.obj(o).name;
    let has = |mark: u8| state.marks[o as usize] & mark != 0;
    let can = |cap: u8| game.obj(o).caps & cap != 0;
    if can(caps::CONTAINER) {
        return format!(
            "This is a normal {name}. In it, you see {}.",
            objects(game, game.obj(o).inside.iter().copied())
        );
    }
    let heat = if has(marks::HOT) { Some("hot") } else { has(marks::COOL).then_some("cool") };
    match (heat, has(marks::CLEAN), has(marks::SLICED)) {
        (Some(heat), true, true) => format!("This is a {heat} and clean sliced {name}."),
        (None, true, true) => format!("This is a clean sliced {name}."),
        (Some(heat), false, true) => format!("This is a {heat} sliced {name}."),
        (Some(heat), true, false) => format!("This is a {heat} and clean {name}."),
        (Some("cool"), false, false) => format!("This is a cold {name}."),
        (Some(heat), false, false) => format!("This is a {heat} {name}."),
        (None, true, false) => format!("This is a clean {name}."),
        (None, false, _) if can(caps::TOGGLEABLE) => {
            format!("This {name} is {}.", if has(marks::TOGGLED) { "on" } else { "off" })
        }
        (None, false, true) => format!("This is a sliced {name}."),
        (None, false, false) => format!("There's nothing special about {name}."),
    }
}

fn objects(game: &Game, items: impl Iterator<Item = Obj>) -> String {
    list(items.map(|o| game.obj(o).name.as_str()), "a ")
}

/// `nothing`, `a x`, `a x, and a y`, `a x, a y, and a z`.
fn list<'a>(names: impl Iterator<Item = &'a str>, article: &str) -> String {
    let mut out = String::new();
    let mut names = names.peekable();
    while let Some(name) = names.next() {
        match (out.is_empty(), names.peek().is_none()) {
            (true, _) => {}
            (false, true) => out.push_str(", and "),
            (false, false) => out.push_str(", "),
        }
        out.push_str(article);
        out.push_str(name);
    }
    if out.is_empty() { "nothing".to_owned() } else { out }
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
