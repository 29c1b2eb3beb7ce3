//! Any screen, any size, any data: no panic, and nothing but printable characters in the cells.

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use sdlab::core::event::{Metrics, Phase, Record, RunEvent};
use sdlab::export::cells::{self, Paper};
use sdlab::tui::Mode;
use sdlab::tui::keys::{self, Action, ScreenId};
use sdlab::tui::theme::Depth;

use super::fixture::{Fixture, START_MS, app_with, draw, fixture, settle};

const POISON: &str =
    "\x1b[2J\x1b]52;c;YQ==\x07 桌子上的杯子 👩‍👩‍👧 é\u{301} \u{202E}abc\u{2066} \u{9b}31m\r\n\t\u{200b}\0 <think> ";

fn assert_printable(buffer: &Buffer) {
    for cell in &buffer.content {
        let bad = |c: char| {
            c.is_control() || matches!(c, '\u{200B}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FFFD}')
        };
        assert!(!cell.symbol().contains(bad), "{:?}", cell.symbol());
    }
}

fn feeds() -> [Fixture; 4] {
    let odd = |step: u64, values: [Option<f64>; 3]| {
        let [a, b, c] = values;
        let metrics = Metrics::from([
            ("reward/mean".into(), a),
            ("success/mean".into(), b),
            ("kl/reference".into(), c),
            ("time/rollout".into(), a),
        ]);
        Record { at_ms: step, event: RunEvent::Stepped { step, metrics, skills: vec![] } }
    };
    let records = vec![
        Record { at_ms: START_MS, event: RunEvent::Unknown },
        odd(7, [Some(f64::NAN), Some(f64::INFINITY), None]),
        odd(8, [Some(1e308), Some(-1e308), Some(-0.0)]),
        odd(u64::MAX - 1, [Some(5e-324), Some(f64::NEG_INFINITY), Some(1.0)]),
        Record { at_ms: 0, event: RunEvent::Progress { step: 9, phase: Phase::Optim, done: 9, total: 0 } },
    ];
    [
        fixture(),
        Fixture { text: Some(POISON.into()), ..fixture() },
        Fixture { empty: true, ended: true, ..Fixture::default() },
        Fixture { records, text: Some("\u{301}\u{301}".into()), ..Fixture::default() },
    ]
}

#[test]
fn every_screen_draws_at_every_size() {
    let widths = [1, 3, 12, 39, 59, 60, 79, 80, 100, 149, 150, 400];
    let heights = [1, 3, 9, 15, 16, 24, 34, 120];
    for mode in [Mode::Live, Mode::Replay] {
        for mut feed in feeds() {
            let mut app = app_with(mode, (80, 24), &mut feed, Depth::True);
            for screen in ScreenId::ALL {
                app.update(Action::Screen(screen));
                app.update(Action::Layout);
                settle(&mut app, &mut feed);
                for (at, size) in widths.iter().flat_map(|w| heights.iter().map(move |h| (*w, *h))).enumerate() {
                    app.update(
                        [
                            Action::PaneNext,
                            Action::Zoom,
                            Action::Raw,
                            Action::Log,
                            Action::Prompts,
                            Action::XAxis,
                            Action::LogX,
                        ][at % 7],
                    );
                    app.ascii = at % 5 == 0;
                    assert_printable(&draw(&mut app, size));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_walk_over_the_actions_draws(
        steps in prop::collection::vec((0..keys::all().count(), 1u16..200, 1u16..60), 1..20),
        which in 0usize..4,
        replay: bool,
    ) {
        let [a, b, c, d] = feeds();
        let mut feed = [a, b, c, d].into_iter().nth(which).expect("four feeds");
        let mut app = app_with(if replay { Mode::Replay } else { Mode::Live }, (80, 24), &mut feed, Depth::Sixteen);
        for (at, width, height) in steps {
            app.update(keys::all().nth(at).expect("in range").action);
            settle(&mut app, &mut feed);
            assert_printable(&draw(&mut app, (width, height)));
        }
    }
}

/// What models write reaches pictures as text only.
#[test]
fn pictures_of_poisoned_rollouts_hold_no_markup_and_no_codes() {
    let mut feed = Fixture { text: Some(format!("<script>alert(1)</script>{POISON}")), ..fixture() };
    let mut app = app_with(Mode::Live, (160, 45), &mut feed, Depth::True);
    for screen in ScreenId::ALL {
        app.update(Action::Screen(screen));
        settle(&mut app, &mut feed);
        let buffer = draw(&mut app, (160, 45));
        let (svg, html) = (cells::svg(&buffer, Paper::DARK), cells::html(&buffer, Paper::DARK, "run"));
        let png = cells::png(&buffer, Paper::LIGHT);
        assert_eq!((&png[1..4], &png[16..24]), (&b"PNG"[..], &[0, 0, 5, 160, 0, 0, 3, 132][..]), "9x20 pixels a cell");
        for picture in [svg, html] {
            assert!(!picture.contains("<script") && picture.chars().all(|c| !c.is_control() || c == '\n'));
        }
    }
}
