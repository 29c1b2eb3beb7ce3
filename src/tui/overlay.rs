//! What lies over a screen and takes the keys first: help, the quit menu, the jump line.

use crossterm::event::KeyCode;

use super::app::{Effect, Exit};
use super::keys::Key;
use crate::core::event::Command;

/// The layer on top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    #[default]
    None,
    /// All keys, narrowed by what was typed.
    Help { query: String, scroll: usize },
    /// How to leave a live run.
    Quit { item: usize },
    /// A step number being typed.
    Jump { text: String },
}

/// What became of a key.
#[derive(Debug, PartialEq)]
pub enum Response {
    /// Nothing lies on top: the screen gets the key.
    Pass,
    /// The overlay used it.
    Done,
    /// Close and go to this step.
    Jump(u64),
    Effects(Vec<Effect>),
}

/// One line of the quit menu: key, name, explanation, what it does.
pub type QuitItem = (char, &'static str, &'static str, &'static [Effect]);

/// The quit menu; the first line is the harmless one.
pub const QUIT_MENU: [QuitItem; 4] = [
    ('d', "detach", "close this screen, training goes on", &[Effect::Exit(Exit::Detached)]),
    ('s', "stop after this step", "checkpoint, then end; resumable", &[Effect::Send(Command::Stop)]),
    ('a', "abort", "end now; resumable from the last checkpoint", &[Effect::Send(Command::Abort)]),
    ('c', "cancel", "stay here", &[]),
];

impl Overlay {
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
            Overlay::Jump { .. } => self.jump_key(key),
            Overlay::Quit { .. } => self.quit_key(key),
        }
    }

    fn jump_key(&mut self, key: Key) -> Response {
        let Overlay::Jump { text } = self else { return Response::Pass };
        match key.code {
            KeyCode::Char(c) if c.is_ascii_digit() && text.len() < 9 => text.push(c),
            KeyCode::Backspace => drop(text.pop()),
            KeyCode::Enter => {
                let step = text.parse::<u64>();
                *self = Overlay::None;
                return step.map_or(Response::Done, Response::Jump);
            }
            _ => {}
        }
        Response::Done
    }

    fn quit_key(&mut self, key: Key) -> Response {
        let Overlay::Quit { item } = self else { return Response::Pass };
        let last = QUIT_MENU.len() - 1;
        let chosen = match key.code {
            // A second Ctrl-C means it: leave, and harm nothing.
            KeyCode::Char('c') if key.ctrl => Some(0),
            KeyCode::Char(c) if QUIT_MENU.iter().any(|(k, ..)| *k == c) => QUIT_MENU.iter().position(|(k, ..)| *k == c),
            KeyCode::Enter => Some(*item),
            KeyCode::Up | KeyCode::Char('k') | KeyCode::BackTab => {
                *item = item.checked_sub(1).unwrap_or(last);
                None
            }
            KeyCode::Down | KeyCode::Char('j') | KeyCode::Tab => {
                *item = if *item == last { 0 } else { *item + 1 };
                None
            }
            _ => None,
        };
        let Some((.., effects)) = chosen.and_then(|at| QUIT_MENU.get(at)) else { return Response::Done };
        *self = Overlay::None;
        Response::Effects(effects.to_vec())
    }
}

fn help_key(query: &mut String, scroll: &mut usize, key: Key) -> Response {
    match key.code {
        KeyCode::Up => *scroll = scroll.saturating_sub(1),
        KeyCode::Down => *scroll += 1,
        KeyCode::PageUp => *scroll = scroll.saturating_sub(10),
        KeyCode::PageDown => *scroll += 10,
        KeyCode::Backspace => drop(query.pop()),
        KeyCode::Char(c) if !key.ctrl && query.len() < 40 => {
            query.push(c);
            *scroll = 0;
        }
        _ => {}
    }
    Response::Done
}
