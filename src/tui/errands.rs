//! What the screen asks of the world beside the run it shows: new runs, files of skills. Needs the feed, not the terminal.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::app::{App, Effect};
use super::feed::Feed;
use super::overlay::{MenuItem, Overlay};

/// Something to be done for the person; what comes of it is said in the footer.
#[derive(Clone, Debug, PartialEq)]
pub enum Errand {
    /// Choose what a new run is made of; the run of this name is offered first.
    Choose(Option<String>),
    /// Ask what is to be different in a run made of this recipe.
    Changes(PathBuf),
    /// Start a run of this recipe with these changes: `key=value`, divided by blanks.
    Start(PathBuf, String),
    /// Open the configuration in the editor: that of a run by its name, or of the one that is shown.
    EditConfig(Option<String>),
    /// Open the file of a skill in the editor.
    EditSkill(String),
    /// Ask whether a skill is to be retrieved no more (or again).
    AskSwitch { id: String, disable: bool },
    /// Do it.
    Switch { id: String, disable: bool },
}

/// Does an errand; what only the main loop can do is returned.
pub fn run(app: &mut App, feed: &mut dyn Feed, errand: Errand) -> Vec<Effect> {
    let done = match errand {
        Errand::Choose(run) => choose(app, feed, run),
        Errand::Changes(recipe) => ask(app, recipe),
        Errand::Start(recipe, changes) => start(app, feed, &recipe, &changes),
        Errand::EditConfig(run) => config(feed, run),
        Errand::EditSkill(id) => feed.skill_file(&id).map(|path| vec![Effect::Edit(path)]),
        Errand::AskSwitch { id, disable } => ask_switch(app, id, disable),
        Errand::Switch { id, disable } => switch(app, feed, &id, disable),
    };
    done.unwrap_or_else(|error| {
        app.notify(format!("{error:#}"));
        vec![]
    })
}

fn choose(app: &mut App, feed: &mut dyn Feed, run: Option<String>) -> Result<Vec<Effect>> {
    let item = |(name, path): (String, PathBuf)| MenuItem {
        name,
        note: path.display().to_string(),
        effects: vec![Effect::Errand(Errand::Changes(path))],
    };
    let items: Vec<MenuItem> = feed.recipes(run.as_deref()).into_iter().map(item).collect();
    app.overlay = Overlay::menu("new run of which recipe?", items);
    Ok(vec![])
}

fn config(feed: &mut dyn Feed, run: Option<String>) -> Result<Vec<Effect>> {
    let of_run = run.and_then(|name| feed.recipes(Some(&name)).into_iter().next()).map(|(_, path)| path);
    let path = of_run.or_else(|| Some(feed.folder()?.join("config.toml")));
    Ok(vec![Effect::Edit(path.context("this run has no file to edit")?)])
}

fn ask(app: &mut App, recipe: PathBuf) -> Result<Vec<Effect>> {
    app.states.runs.recipe = Some(recipe);
    app.overlay = Overlay::ask("new", " new run, with key=value changes or none: ", "");
    Ok(vec![])
}

fn start(app: &mut App, feed: &mut dyn Feed, recipe: &Path, changes: &str) -> Result<Vec<Effect>> {
    let changes: Vec<String> = changes.split_whitespace().map(str::to_owned).collect();
    let name = feed.start(recipe, &changes)?;
    app.notify(format!("`{name}` is being trained: it is in the list, Enter opens it"));
    Ok(vec![])
}

fn ask_switch(app: &mut App, id: String, disable: bool) -> Result<Vec<Effect>> {
    let note = if disable { "stays in the bank, no teacher reads it" } else { "can be retrieved again" };
    let yes = MenuItem {
        name: if disable { "disable".into() } else { "enable".into() },
        note: note.into(),
        effects: vec![Effect::Errand(Errand::Switch { id: id.clone(), disable })],
    };
    let no = MenuItem { name: "cancel".into(), note: "leave it as it is".into(), effects: vec![] };
    app.overlay = Overlay::menu(format!("skill `{id}`"), vec![yes, no]);
    Ok(vec![])
}

fn switch(app: &mut App, feed: &mut dyn Feed, id: &str, disable: bool) -> Result<Vec<Effect>> {
    let file = feed.switch_skill(id, disable)?;
    let word = if disable { "disabled" } else { "enabled" };
    app.notify(format!("`{id}` is {word} in `{}`", file.display()));
    Ok(vec![])
}
