//! What typed lines, menus and the palette do: commands after `:`, completion, search, jumps.

use super::app::{App, Effect};
use super::find::Find;
use super::keys::{Action, ScreenId};
use super::overlay::{Ask, Overlay, Response};
use super::screens::SCREENS;
use super::screens::dash::{self, Preset};
use super::{select, update};
use crate::core::event::Command;

/// A command of all screens: name, what stands after it, help, what it does.
struct Verb {
    name: &'static str,
    argument: &'static str,
    help: &'static str,
    run: Run,
}

const VERBS: [Verb; 4] = [
    Verb { name: "step", argument: "N", help: "go to a step", run: |app, text| jump(app, text) },
    Verb { name: "use-theme", argument: "NAME", help: "switch to a theme", run: theme },
    Verb { name: "set", argument: "KEY=VALUE", help: "change a key of the running recipe", run: set },
    Verb { name: "reset-panes", argument: "", help: "put moved borders back", run: reset_panes },
];

/// Actions that go to the next of something, and to a certain one if its name stands after them; and those names.
const NAMED: [(&str, Run, Names); 3] =
    [("theme", theme, themes), ("use-theme", theme, themes), ("layout", layout, layouts)];

type Run = fn(&mut App, &str) -> Vec<Effect>;
type Names = fn(&App) -> Vec<String>;

/// Carries out what an overlay answered.
pub fn answer(app: &mut App, response: Response) -> Vec<Effect> {
    match response {
        Response::Pass | Response::Done => vec![],
        Response::Effects(effects) => effects,
        Response::Act(action) => app.update(action),
        Response::Typed(Ask::Find, text) => {
            app.find = Some(Find::parse(&text));
            if !text.is_empty() {
                update::find(app, 0);
            }
            vec![]
        }
        Response::Typed(..) => vec![],
        Response::Entered(ask, text) => entered(app, &ask, text.trim()),
        Response::Complete => {
            complete(app);
            vec![]
        }
        Response::Recall(by) => {
            recall(app, by);
            vec![]
        }
        Response::Palette(item, query) => {
            let chosen = entries(app, &query).into_iter().nth(item);
            chosen.map_or(vec![], |entry| choose(app, &entry))
        }
    }
}

/// Puts a line typed before in place of the open one.
fn recall(app: &mut App, by: i32) {
    if let Overlay::Line { ask, text } = &mut app.overlay {
        *text = app.recall.walk(ask, text, by);
    }
}

fn entered(app: &mut App, ask: &Ask, text: &str) -> Vec<Effect> {
    app.recall.keep(ask, text);
    match ask {
        Ask::Jump => jump(app, text),
        Ask::Command => run(app, text),
        Ask::Own(name, _) => (app.screen.screen().submit)(app, name, text),
        Ask::Find => {
            app.find = Some(Find::parse(text)).filter(|_| !text.is_empty());
            vec![]
        }
    }
}

/// One line of the palette.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub name: String,
    pub help: String,
    pub keys: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Act(Action),
    /// A command that wants an argument: it is put on the line.
    Type(String),
}

/// Everything one can do here, best match of `query` first.
pub fn entries(app: &App, query: &str) -> Vec<Entry> {
    let rows = app.keymap.here(app.screen, app.mode).map(|bound| Entry {
        name: bound.binding.name.to_owned(),
        help: bound.binding.help.to_owned(),
        keys: bound.label(),
        what: What::Act(bound.binding.action),
    });
    let typed = |name: &str, argument: &str, help: &str| Entry {
        name: format!("{name} {argument}").trim().to_owned(),
        help: help.to_owned(),
        keys: ":".into(),
        what: What::Type(format!("{name} ")),
    };
    let verbs = VERBS.iter().map(|v| typed(v.name, v.argument, v.help));
    let own = app.screen.screen().commands.iter().map(|(name, help)| typed(name, "", help));
    let mut found: Vec<(u32, Entry)> = rows
        .chain(verbs)
        .chain(own)
        .filter_map(|entry| Some((fuzzy(query, &entry.name).or(fuzzy(query, &entry.help).map(|s| s + 100))?, entry)))
        .collect();
    found.sort_by_key(|(score, _)| *score);
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// How far the letters of `query` are apart in `text` when taken in order; `None` if they are not all there.
fn fuzzy(query: &str, text: &str) -> Option<u32> {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let mut at = 0;
    let mut score = 0;
    for c in query.to_lowercase().chars().filter(|c| !c.is_whitespace()) {
        let found = text[at..].iter().position(|t| *t == c)?;
        score += found as u32 * if at == 0 { 1 } else { 3 };
        at += found + 1;
    }
    Some(score)
}

fn choose(app: &mut App, entry: &Entry) -> Vec<Effect> {
    match &entry.what {
        What::Act(action) => app.update(*action),
        What::Type(text) => {
            app.overlay = Overlay::Line { ask: Ask::Command, text: text.clone() };
            vec![]
        }
    }
}

/// Runs a typed command: an action by its name, a verb, or a command of the screen.
pub fn run(app: &mut App, line: &str) -> Vec<Effect> {
    let (name, rest) = line.split_once(' ').map_or((line, ""), |(name, rest)| (name, rest.trim()));
    if name.is_empty() {
        return vec![];
    }
    if let Some((_, choose, _)) = NAMED.iter().find(|(known, ..)| *known == name && !rest.is_empty()) {
        return choose(app, rest);
    }
    if let Some(verb) = VERBS.iter().find(|verb| verb.name == name) {
        return (verb.run)(app, rest);
    }
    let screen = app.screen.screen();
    if screen.commands.iter().any(|(known, _)| *known == name) {
        return (screen.submit)(app, name, rest);
    }
    let action = app.keymap.here(app.screen, app.mode).find(|bound| bound.binding.name == name);
    if let Some(action) = action.map(|bound| bound.binding.action) {
        if rest.is_empty() {
            return app.update(action);
        }
        app.notify(format!("`{name}` takes nothing after it, leave `{rest}` out"));
        return vec![];
    }
    if let Ok(step) = name.parse() {
        select::set_step(app, step);
        return vec![];
    }
    app.notify(unknown(app, name));
    vec![]
}

fn unknown(app: &App, name: &str) -> String {
    let elsewhere = SCREENS.iter().find(|s| s.commands.iter().any(|(known, _)| *known == name));
    if let Some(screen) = elsewhere {
        return format!("`{name}` works on the screen {}", screen.name);
    }
    let near = names(app).into_iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    near.map_or(format!("no command is called `{name}`"), |near| {
        format!("no command is called `{name}`, did you mean `{near}`?")
    })
}

/// Names of everything that can be typed here.
fn names(app: &App) -> Vec<String> {
    let rows = app.keymap.here(app.screen, app.mode).map(|bound| bound.binding.name);
    let own = app.screen.screen().commands.iter().map(|(name, _)| *name);
    let mut all: Vec<_> = rows.chain(VERBS.iter().map(|v| v.name)).chain(own).map(str::to_owned).collect();
    all.sort();
    all.dedup();
    all
}

/// The commands a typed line may become.
pub fn completions(app: &App, text: &str) -> Vec<String> {
    if let Some((command, rest)) = text.split_once(' ')
        && let Some((.., known)) = NAMED.iter().find(|(name, ..)| *name == command)
    {
        let names = known(app).into_iter().filter(|name| name.starts_with(rest.trim_start()));
        return names.map(|name| format!("{command} {name}")).collect();
    }
    names(app).into_iter().filter(|name| name.starts_with(text)).collect()
}

/// Completes the line as far as all candidates agree.
fn complete(app: &mut App) {
    let Overlay::Line { ask: Ask::Command, text } = &app.overlay else { return };
    let found = completions(app, text);
    let Some(first) = found.first() else { return };
    let same = |n: usize| found.iter().all(|other| other.as_bytes().get(..n) == first.as_bytes().get(..n));
    let common = (text.len()..=first.len()).rev().find(|n| first.is_char_boundary(*n) && same(*n)).unwrap_or(0);
    let mut text = first[..common].to_owned();
    if found.len() == 1 && VERBS.iter().any(|verb| verb.name == text) {
        text.push(' ');
    }
    app.overlay = Overlay::Line { ask: Ask::Command, text };
}

/// To a step by number, or to the newest alert or mark whose words contain the text.
fn jump(app: &mut App, text: &str) -> Vec<Effect> {
    if text.is_empty() {
        return vec![];
    }
    let said = text.to_lowercase();
    let view = app.view();
    let alert = |a: &crate::run::view::AlertView| (a.step, format!("{} {}", a.rule, a.message));
    let mark = |m: &crate::run::view::Mark| (m.step, format!("{:?} {}", m.kind, m.text));
    let places = view.alerts.iter().map(alert).chain(view.marks.iter().map(mark));
    let named = || places.filter(|(_, words)| words.to_lowercase().contains(&said)).map(|(step, _)| step).max();
    match text.parse::<u64>().ok().or_else(named) {
        Some(step) => select::set_step(app, step),
        None => app.notify(format!("no step, alert or mark is called `{text}`")),
    }
    vec![]
}

fn reset_panes(app: &mut App, _: &str) -> Vec<Effect> {
    app.splits = Default::default();
    vec![]
}

fn themes(app: &App) -> Vec<String> {
    app.themes.names().map(str::to_owned).collect()
}

fn theme(app: &mut App, name: &str) -> Vec<Effect> {
    if !app.themes.choose(name) {
        app.notify(format!("no theme is called `{name}`, there is {}", themes(app).join(", ")));
    }
    vec![]
}

fn layouts(_: &App) -> Vec<String> {
    Preset::ALL.map(|(_, name)| name.to_owned()).to_vec()
}

/// The layout of this name, on the dash.
fn layout(app: &mut App, name: &str) -> Vec<Effect> {
    match Preset::ALL.iter().find(|(_, known)| *known == name) {
        Some((preset, _)) => {
            update::go(app, ScreenId::Dash);
            dash::lay(app, *preset);
        }
        None => app.notify(format!("no layout is called `{name}`, there is {}", layouts(app).join(", "))),
    }
    vec![]
}

fn set(app: &mut App, text: &str) -> Vec<Effect> {
    let Some((key, value)) = text.split_once('=').filter(|_| app.is_live()) else {
        app.notify(if app.is_live() { "type `set KEY=VALUE`" } else { "nobody is training here: the run has ended" });
        return vec![];
    };
    vec![Effect::Send(Command::Set { key: key.trim().into(), value: value.trim().into() })]
}
