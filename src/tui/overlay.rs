//! What lies over a screen and takes the keys first: help, palette, menus, pages of text, a line being typed.

use crossterm::event::KeyCode;

use super::app::{Effect, Exit};
use super::keys::{Action, Key};
use crate::core::event::Command;

/// The layer on top.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Overlay {
    #[default]
    None,
    /// All keys, narrowed by what was typed.
    Help { query: String, scroll: usize },
    /// All actions and commands, best match of what was typed first.
    Palette { query: String, item: usize },
    /// How to leave a live run.
    Quit { item: usize },
    /// A line being typed.
    Line { ask: Ask, text: String },
    /// One of several things to choose.
    Menu { title: String, items: Vec<MenuItem>, item: usize },
    /// Text to read.
    Page { title: String, lines: Vec<String>, scroll: usize },
}

/// What a typed line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Jump,
    Find,
    Command,
    /// A question of the screen: its name, which comes back to the screen's `submit`, and what stands before the line.
    Own(&'static str, &'static str),
}

/// A line of a menu: what it is called and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct MenuItem {
    pub name: String,
    pub note: String,
    pub effects: Vec<Effect>,
}

/// What became of a key.
#[derive(Debug, PartialEq)]
pub enum Response {
    /// Nothing lies on top: the screen gets the key.
    Pass,
    /// The overlay used it.
    Done,
    /// The line changed, or is finished.
    Typed(Ask, String),
    Entered(Ask, String),
    /// Complete the line.
    Complete,
    /// Put the line typed before (1) or after (-1) in its place.
    Recall(i32),
    /// Choose this line of the palette.
    Palette(usize, String),
    Effects(Vec<Effect>),
    Act(Action),
}

/// One line of the quit menu: key, name, explanation, what it does.
pub type QuitItem = (char, &'static str, &'static str, &'static [Effect]);

/// The quit menu; the first line is the harmless one.
pub const QUIT_MENU: [QuitItem; 5] = [
    ('d', "detach", "close this screen, training goes on", &[Effect::Exit(Exit::Detached)]),
    ('s', "stop after this step", "checkpoint, then end; resumable", &[Effect::Send(Command::Stop)]),
    ('k', "checkpoint now", "write one after this step, training goes on", &[Effect::Send(Command::Save)]),
    ('a', "abort", "end now; resumable from the last checkpoint", &[Effect::Send(Command::Abort)]),
    ('c', "cancel", "stay here", &[]),
];

impl Overlay {
    /// A question of a screen; the answer comes to its `submit` under `name`.
    pub fn ask(name: &'static str, prompt: &'static str, text: impl Into<String>) -> Self {
        Overlay::Line { ask: Ask::Own(name, prompt), text: text.into() }
    }

    /// A menu.
    pub fn menu(title: impl Into<String>, items: Vec<MenuItem>) -> Self {
        Overlay::Menu { title: title.into(), items, item: 0 }
    }

    /// A page of text. The text is cleaned when it is drawn.
    pub fn page(title: impl Into<String>, text: &str) -> Self {
        Overlay::Page { title: title.into(), lines: text.lines().map(str::to_owned).collect(), scroll: 0 }
    }

    /// Offers a key to the layer on top.
    pub fn on_key(&mut self, key: Key) -> Response {
        if *self == Overlay::None {
            return Response::Pass;
        }
        if key.code == KeyCode::Esc {
            *self = Overlay::None;
            return Response::Done;
        }
        match self {
            Overlay::None => Response::Pass,
            Overlay::Help { query, scroll } => help_key(query, scroll, key),
            Overlay::Page { scroll, .. } => page_key(scroll, key),
            Overlay::Palette { .. } => self.palette_key(key),
            Overlay::Line { .. } => self.line_key(key),
            Overlay::Menu { .. } => self.menu_key(key),
            Overlay::Quit { .. } => self.quit_key(key),
        }
    }

    fn line_key(&mut self, key: Key) -> Response {
        let Overlay::Line { ask, text } = self else { return Response::Pass };
        match key.code {
            KeyCode::Enter => {
                let (ask, text) = (ask.clone(), std::mem::take(text));
                *self = Overlay::None;
                return Response::Entered(ask, text);
            }
            KeyCode::Tab => return Response::Complete,
            KeyCode::Up => return Response::Recall(1),
            KeyCode::Down => return Response::Recall(-1),
            KeyCode::Backspace if text.is_empty() => {
                *self = Overlay::None;
                return Response::Done;
            }
            _ if !edit(text, key) => return Response::Done,
            _ => {}
        }
        Response::Typed(ask.clone(), text.clone())
    }

    fn palette_key(&mut self, key: Key) -> Response {
        let Overlay::Palette { query, item } = self else { return Response::Pass };
        match key.code {
            KeyCode::Enter => {
                let (item, query) = (*item, std::mem::take(query));
                *self = Overlay::None;
                return Response::Palette(item, query);
            }
            KeyCode::Up | KeyCode::BackTab => *item = item.saturating_sub(1),
            KeyCode::Down | KeyCode::Tab => *item += 1,
            _ if edit(query, key) => *item = 0,
            _ => {}
        }
        Response::Done
    }

    fn menu_key(&mut self, key: Key) -> Response {
        let Overlay::Menu { items, item, .. } = self else { return Response::Pass };
        let last = items.len().saturating_sub(1);
        match walk(*item, last, key) {
            Some(next) => *item = next,
            None if key.code == KeyCode::Enter => {
                let effects = items.get(*item).map_or(vec![], |chosen| chosen.effects.clone());
                *self = Overlay::None;
                return Response::Effects(effects);
            }
            None => {}
        }
        Response::Done
    }

    fn quit_key(&mut self, key: Key) -> Response {
        let Overlay::Quit { item } = self else { return Response::Pass };
        let chosen = match key.code {
            // A second Ctrl-C means it: leave, and harm nothing.
            KeyCode::Char('c') if key.ctrl => Some(0),
            KeyCode::Char(c) if QUIT_MENU.iter().any(|(k, ..)| *k == c) => QUIT_MENU.iter().position(|(k, ..)| *k == c),
            KeyCode::Enter => Some(*item),
            _ => {
                *item = walk(*item, QUIT_MENU.len() - 1, key).unwrap_or(*item);
                None
            }
        };
        let Some((.., effects)) = chosen.and_then(|at| QUIT_MENU.get(at)) else { return Response::Done };
        *self = Overlay::None;
        Response::Effects(effects.to_vec())
    }
}

/// Where a key leads in a list, round.
fn walk(at: usize, last: usize, key: Key) -> Option<usize> {
    match key.code {
        KeyCode::Up | KeyCode::Char('k') | KeyCode::BackTab => Some(at.checked_sub(1).unwrap_or(last)),
        KeyCode::Down | KeyCode::Char('j') | KeyCode::Tab => Some(if at >= last { 0 } else { at + 1 }),
        _ => None,
    }
}

/// Edits a line at its end; false if the key is no edit.
fn edit(text: &mut String, key: Key) -> bool {
    match key.code {
        KeyCode::Char('u') if key.ctrl => text.clear(),
        KeyCode::Char('w') if key.ctrl => text.truncate(text.trim_end().rfind(' ').map_or(0, |at| at + 1)),
        KeyCode::Char(c) if !key.ctrl && text.len() < LONGEST && !c.is_control() => text.push(c),
        KeyCode::Backspace => drop(text.pop()),
        _ => return false,
    }
    true
}

fn help_key(query: &mut String, scroll: &mut usize, key: Key) -> Response {
    let typed = matches!(key.code, KeyCode::Char(_) | KeyCode::Backspace);
    if typed && edit(query, key) {
        *scroll = 0;
        return Response::Done;
    }
    page_key(scroll, key)
}

fn page_key(scroll: &mut usize, key: Key) -> Response {
    *scroll = match key.code {
        KeyCode::Up | KeyCode::Char('k') => scroll.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => *scroll + 1,
        KeyCode::PageUp => scroll.saturating_sub(10),
        KeyCode::PageDown => *scroll + 10,
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => MOST_LINES,
        _ => *scroll,
    }
    .min(MOST_LINES);
    Response::Done
}

/// Longest line one can type, in bytes.
const LONGEST: usize = 400;
/// Nothing scrolls further; drawing clamps to what there is.
const MOST_LINES: usize = 100_000;
