//! What keys do, seen from outside.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::backend::CrosstermBackend;
use ratatui::style::{Color, Modifier};
use ratatui::{Terminal, TerminalOptions, Viewport, layout::Rect};
use sdlab::core::event::Command;
use sdlab::tui::app::{App, Effect};
use sdlab::tui::keys::{self, Action, Key, ScreenId};
use sdlab::tui::mouse::Target;
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

fn mouse(app: &mut App, feed: &mut Fixture, kind: MouseEventKind, (column, row): (u16, u16)) -> Vec<Effect> {
    let effects = app.on_mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
    settle(app, feed);
    draw(app, WIDE);
    effects
}

/// Where a chart of the dash is on the screen: a place of its row at a share of its width.
fn on_chart(app: &App, pane: usize, share: f64) -> (u16, u16) {
    let all = (0..WIDE.0).flat_map(|x| (0..WIDE.1).map(move |y| (x, y)));
    let mut inside =
        all.filter(|(x, y)| app.hits.at(*x, *y).iter().any(|(_, t)| matches!(t, Target::Chart(p, _) if *p == pane)));
    let (x, y) = inside.next().expect("the chart is drawn");
    let (area, _) = app.hits.at(x, y)[0];
    (area.x + (f64::from(area.width - 1) * share) as u16, area.y + 1)
}

#[test]
fn the_mouse_reads_zooms_marks_and_pans_a_chart() {
    use MouseButton::{Left, Middle, Right};
    use MouseEventKind::{Down, Drag, ScrollUp, Up};
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    draw(&mut app, WIDE);
    let (left, middle, right) = (on_chart(&app, 3, 0.1), on_chart(&app, 3, 0.5), on_chart(&app, 3, 0.9));
    mouse(&mut app, &mut feed, Down(Left), middle);
    let step = app.pick.step.expect("a step is chosen");
    assert!((22..=27).contains(&step) && app.focus[0] == 3, "{step}");
    assert_eq!(app.data.step, step, "the rollouts follow the crosshair");
    mouse(&mut app, &mut feed, Drag(Left), left);
    assert!(app.pick.step.is_some_and(|s| s < step));
    mouse(&mut app, &mut feed, Down(Right), left);
    mouse(&mut app, &mut feed, Up(Right), middle);
    let full = (1.0, STEPS as f64);
    let marked = app.lens.window("gate", full);
    assert!(marked.0 > 3.0 && marked.1 < 28.0, "{marked:?}");
    mouse(&mut app, &mut feed, Down(Middle), middle);
    mouse(&mut app, &mut feed, Drag(Middle), left);
    assert!(app.lens.window("gate", full).0 > marked.0);
    app.update(Action::Scale(0));
    mouse(&mut app, &mut feed, ScrollUp, right);
    let (low, high) = app.lens.window("reward", full);
    assert!(low > 2.0 && high < 48.1, "linked charts zoom together: {low} {high}");
}

#[test]
fn the_mouse_reaches_panes_rows_screens_and_the_footer() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    let press = MouseEventKind::Down(MouseButton::Left);
    let shown = text(&draw(&mut app, WIDE));
    let of = |shown: &str, what: &str| {
        let (y, line) = shown.lines().enumerate().find(|(_, line)| line.contains(what)).expect(what);
        let x = line[..line.find(what).expect(what)].chars().count();
        (x as u16 + 1, y as u16)
    };
    mouse(&mut app, &mut feed, press, of(&shown, "3 Tok"));
    assert_eq!(app.screen, ScreenId::Tokens);
    let shown = text(&draw(&mut app, WIDE));
    mouse(&mut app, &mut feed, press, of(&shown, "1 Dash"));
    assert_eq!(app.screen, ScreenId::Dash);
    let shown = text(&draw(&mut app, WIDE));
    mouse(&mut app, &mut feed, press, of(&shown, "? help"));
    assert!(matches!(app.overlay, Overlay::Help { .. }));
    app.on_key(KeyEvent::from(KeyCode::Esc));
    assert_eq!(app.update(Action::Mouse), [Effect::Mouse(false)]);
}

#[test]
fn commands_complete_run_and_say_what_is_unknown() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, ":sys\t\n");
    assert_eq!(app.screen, ScreenId::System);
    press(&mut app, &mut feed, ":7\n");
    assert_eq!(app.pick.step, Some(7));
    press(&mut app, &mut feed, ":sytsem\n");
    let said = app.notice.as_ref().expect("a notice").0.clone();
    assert!(said.contains("did you mean `system`?"), "{said}");
    assert_eq!(
        press(&mut app, &mut feed, ":set optim.lr=1e-6\n"),
        [Effect::Send(Command::Set { key: "optim.lr".into(), value: "1e-6".into() })]
    );
    press(&mut app, &mut feed, "@no_signal\n");
    assert_eq!(app.step(), 41, "an alert is found by its name");
}

#[test]
fn the_palette_finds_every_action_and_runs_it() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    let ctrl_p = KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL);
    app.on_key(ctrl_p);
    press(&mut app, &mut feed, "skil");
    let shown = text(&draw(&mut app, WIDE));
    assert!(shown.contains("> skil"), "{shown}");
    press(&mut app, &mut feed, "\n");
    assert_eq!((app.screen, &app.overlay), (ScreenId::Skills, &Overlay::None));
}

#[test]
fn search_finds_a_metric_and_escape_forgets_it() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "/grad\n");
    let shown = text(&draw(&mut app, WIDE));
    assert!(shown.contains("grad/norm"), "{shown}");
    assert!(app.find.is_some());
    press(&mut app, &mut feed, "\x1b");
    assert!(app.find.is_none());
    press(&mut app, &mut feed, "/nothing at all\n");
    assert!(app.notice.is_some());
}

#[test]
fn charts_are_looked_at_in_every_way() {
    let mut feed = fixture();
    let mut app = app(Mode::Live, WIDE, &mut feed);
    let mut seen = std::collections::HashSet::new();
    for keys in ["", "o", "O", "x", "x", "x", "L", "u", "u", "=", "(", ")", "-", "0", "R", "R"] {
        press(&mut app, &mut feed, keys);
        app.notice = None;
        seen.insert(text(&draw(&mut app, WIDE)));
    }
    assert!(seen.len() > 10, "{} looks", seen.len());
}

/// A table of runs as other folders would give it, with one that can be laid over.
#[test]
fn runs_are_chosen_laid_over_and_compared() {
    let mut feed = Fixture { others: true, ..fixture() };
    let mut app = app(Mode::Live, WIDE, &mut feed);
    press(&mut app, &mut feed, "5");
    let shown = text(&draw(&mut app, WIDE));
    assert!(shown.contains("house-sdar-8") && shown.contains("3 of 3"), "{shown}");
    press(&mut app, &mut feed, "Flr<1e-5\n");
    let shown = text(&draw(&mut app, WIDE));
    assert!(shown.contains("1 of 3"), "{shown}");
    press(&mut app, &mut feed, " *");
    settle(&mut app, &mut feed);
    assert_eq!(app.states.runs.others.len(), 1);
    press(&mut app, &mut feed, "F");
    app.on_key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
    press(&mut app, &mut feed, "\ng");
    let shown = text(&draw(&mut app, WIDE));
    assert!(shown.contains("optim.lr") && !shown.contains("optim.clip"), "only what differs:\n{shown}");
    press(&mut app, &mut feed, "a");
    let shown = text(&draw(&mut app, WIDE));
    assert!(shown.contains("median and middle half"), "{shown}");
    let chosen = app.states.runs.chosen().expect("a row").name.clone();
    assert_eq!(press(&mut app, &mut feed, "\n"), [Effect::Open(chosen)]);
}
