//! What keys do, seen from outside.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::backend::CrosstermBackend;
use ratatui::style::{Color, Modifier};
use ratatui::{Terminal, TerminalOptions, Viewport, layout::Rect};
use sdlab::core::event::Command;
use sdlab::tui::app::{App, Effect};
use sdlab::tui::keys::{self, Action, Key, ScreenId};
use sdlab::tui::overlay::Overlay;
use sdlab::tui::scene::Scene;
use sdlab::tui::{Exit, Mode, screens};

use super::fixture::{Fixture, STEPS, app, draw, fixture, settle, text};

const WIDE: (u16, u16) = (160, 45);

fn press(app: &mut App, feed: &mut Fixture, keys: &str) -> Vec<Effect> {
    let mut effects = vec![];
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            c => KeyCode::Char(c),
        };
        effects.extend(app.on_key(KeyEvent::from(code)));
        settle(app, feed);
    }
    effects
}

#[test]
fn escape_goes_out_layer_by_layer_and_never_quits() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "\n\n\n\n");
    assert_eq!(app.screen, ScreenId::Tokens);
    press(&mut app, &mut feed, "zi?");
    let mut seen = vec![];
    for _ in 0..12 {
        assert!(press(&mut app, &mut feed, "\x1b").is_empty());
        seen.push((app.screen, app.focus[1], app.zoomed, app.prompts));
    }
    use ScreenId::{Dash, Rollouts, Tokens};
    let expected = [
        (Tokens, 2, true, true),
        (Tokens, 2, true, false),
        (Tokens, 2, false, false),
        (Rollouts, 2, false, false),
        (Rollouts, 1, false, false),
        (Rollouts, 0, false, false),
        (Dash, 0, false, false),
        (Dash, 0, false, false),
    ];
    assert_eq!(seen[..8], expected);
}

#[test]
fn leaving_a_live_run_asks_and_the_harmless_answer_comes_first() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    assert!(press(&mut app, &mut feed, "q").is_empty());
    assert_eq!(app.overlay, Overlay::Quit { item: 0 });
    assert_eq!(press(&mut app, &mut feed, "c"), []);
    assert_eq!(press(&mut app, &mut feed, "q\n"), [Effect::Exit(Exit::Detached)]);
    assert_eq!(press(&mut app, &mut feed, "qs"), [Effect::Send(Command::Stop)]);
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!([app.on_key(ctrl_c), app.on_key(ctrl_c)].concat(), [Effect::Exit(Exit::Detached)]);
}

#[test]
fn replay_and_finished_runs_close_at_once_and_take_no_commands() {
    for (mode, ended) in [(Mode::Replay, false), (Mode::Live, true)] {
        let mut feed = Fixture { ended, ..fixture() };
        let mut app = app(mode, WIDE, &mut feed);
        assert_eq!(press(&mut app, &mut feed, "sS"), []);
        assert_eq!(press(&mut app, &mut feed, "q"), [Effect::Exit(Exit::Left)]);
    }
}

#[test]
fn run_control_sends_commands() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    let sent = press(&mut app, &mut feed, "psS");
    assert_eq!(sent, [Command::Pause, Command::Save, Command::Stop].map(Effect::Send));
}

#[test]
fn one_selection_is_shared_by_all_screens() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "<[");
    assert_eq!((app.pick.step, app.data.step), (Some(STEPS - 11), STEPS - 11));
    press(&mut app, &mut feed, "2JJJJJ}");
    assert_eq!(app.chosen(), (1, 1, 1));
    press(&mut app, &mut feed, "3");
    let shown = text(&draw(&mut app, WIDE));
    assert!(shown.contains("step 37 · #2 · turn 2/"), "{shown}");
    press(&mut app, &mut feed, "@9\n");
    assert_eq!(app.data.step, 9);
    press(&mut app, &mut feed, "1f");
    assert_eq!((app.pick.step, app.step()), (None, STEPS));
}

#[test]
fn hot_tokens_are_visited_forth_and_back_across_turns() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "3");
    let place = |app: &App| (app.pick.turn, app.pick.token);
    let mut forth = vec![];
    for _ in 0..12 {
        press(&mut app, &mut feed, "w");
        let (tokens, _) = app.turn_tokens();
        let token = &tokens[app.pick.token];
        assert!(token.mask && token.gap().is_some_and(|g| g.abs() >= 0.5));
        forth.push(place(&app));
    }
    forth.dedup();
    assert!(forth.last().expect("twelve").0 > 0, "{forth:?}");
    for before in forth.iter().rev().skip(1) {
        press(&mut app, &mut feed, "b");
        assert_eq!(place(&app), *before);
    }
}

#[test]
fn replay_walks_a_prefix_and_plays_to_the_end() {
    let mut feed = fixture();
    let mut app = app(Mode::Replay, WIDE, &mut feed);
    press(&mut app, &mut feed, "@12\n");
    assert_eq!((app.view().last_step(), app.data.step), (12, 12));
    press(&mut app, &mut feed, "]<");
    assert_eq!(app.view().last_step(), 3);
    press(&mut app, &mut feed, "+p");
    assert_eq!(app.transport.speed, 4);
    let mut clock = app.clock_ms;
    for _ in 0..100 {
        clock += 250;
        app.tick(clock);
    }
    assert_eq!((app.view().last_step(), app.transport.playing), (STEPS, false));
}

#[test]
fn every_action_is_reachable_and_help_shows_every_binding() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, (100, 120), &mut feed);
    app.update(Action::Help);
    let shown = text(&draw(&mut app, (100, 120)));
    let keymap = keys::Keymap::default();
    for binding in keys::all() {
        let what: String = binding.help.chars().take(43).collect();
        assert!(shown.contains(&what), "`{}` is missing from help", binding.help);
        let screen = binding.screens.first().copied().unwrap_or_default();
        let mode = binding.mode.unwrap_or(Mode::Live);
        assert!(binding.keys.iter().all(|k: &Key| keymap.action(*k, screen, mode) == Some(binding.action)));
    }
    press(&mut app, &mut feed, "gap");
    let narrowed = text(&draw(&mut app, (100, 120)));
    assert!(narrowed.contains("|gap|") && !narrowed.contains("theme: next"), "{narrowed}");
}

/// Without colours the selection is only reversed video; one colour code after it would undo it.
#[test]
fn no_color_keeps_the_selection_visible() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "2");
    let buffer = draw(&mut app, WIDE);
    assert!(buffer.content.iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset));
    assert!(buffer.content.iter().any(|c| c.modifier.contains(Modifier::REVERSED)));
    let area = Rect::new(0, 0, WIDE.0, WIDE.1);
    let mut out = Vec::new();
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    let mut terminal =
        Terminal::with_options(CrosstermBackend::new(&mut out), options).expect("a terminal on a buffer");
    terminal.draw(|frame| screens::draw(frame, &Scene::of(&app))).expect("a frame");
    drop(terminal);
    let bytes = String::from_utf8(out).expect("text");
    let at = bytes.find("\x1b[7m").expect("reversed text is sent");
    assert!(!bytes[at + 4..].starts_with("\x1b[;m") && !bytes[at + 4..].starts_with("\x1b[0m"));
    let style =
        |code: &&str| code.split_once('m').is_some_and(|(n, _)| n.bytes().all(|b| b.is_ascii_digit() || b == b';'));
    let coloured = |code: &&str| {
        ["3", "4", "9", "10"].iter().any(|c| code.starts_with(c))
            && !code.starts_with("39m")
            && !code.starts_with("49m")
            && !code.starts_with("3m")
            && !code.starts_with("4m")
    };
    let sent: Vec<&str> = bytes.split("\x1b[").filter(style).filter(coloured).collect();
    assert!(sent.is_empty(), "no colour may be sent: {sent:?}");
}

#[test]
fn ascii_terminals_see_ascii_only() {
    let mut feed = fixture();
    let mut app = app(Mode::Replay, WIDE, &mut feed);
    app.ascii = true;
    for screen in ScreenId::ALL {
        app.update(Action::Screen(screen));
        settle(&mut app, &mut feed);
        let shown = text(&draw(&mut app, WIDE));
        assert!(shown.is_ascii(), "{shown}");
        let unknown = shown.matches('?').count();
        // the CJK and emoji of the tasks have none
        assert!(unknown <= 24, "{unknown} glyphs without a stand-in on {screen:?}:\n{shown}");
    }
}
