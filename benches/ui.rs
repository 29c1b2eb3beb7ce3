//! The screen on a large run: first frame, time of a frame, memory, time while idle.
//!
//! `cargo bench --bench ui [-- STEPS]`; the run has STEPS steps (10000) of 40 metrics and episodes are made on demand.
//! Prints one line a figure; nothing here fails by being slow.

use std::time::{Duration, Instant};

use anyhow::Result;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sdlab::core::event::{Command, Metrics, Record, RunEvent};
use sdlab::core::{Ending, Episode, EpisodeId, Task, TokenRecord};
use sdlab::tui::app::App;
use sdlab::tui::keys::{Action, ScreenId};
use sdlab::tui::loader::Loader;
use sdlab::tui::scene::Scene;
use sdlab::tui::theme::Depth;
use sdlab::tui::{Feed, Liveness, Mode, Options, screens};

/// A feed that gives everything at once, then one step a frame.
struct Large {
    records: Vec<Record>,
    next: u64,
    live: bool,
}

impl Feed for Large {
    fn poll(&mut self) -> Result<Vec<Record>> {
        let mut out = std::mem::take(&mut self.records);
        if self.live {
            self.next += 1;
            out.push(step(self.next));
        }
        Ok(out)
    }

    fn episodes(&mut self, step: u64) -> Result<Vec<Episode>> {
        Ok((0..128).map(|i| episode(step, i / 8, i % 8)).collect())
    }

    fn tokens(&mut self, _step: u64) -> Result<Vec<TokenRecord>> {
        Ok(vec![])
    }

    fn token_text(&self, ids: &[u32]) -> Vec<Vec<u8>> {
        vec![b"x".to_vec(); ids.len()]
    }

    fn send(&mut self, _command: Command) -> Result<()> {
        Ok(())
    }

    fn alive(&self) -> Liveness {
        Liveness::Alive
    }
}

fn main() {
    let steps = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(10_000);
    let mut feed = Large { records: (1..=steps).map(step).collect(), next: steps, live: false };
    println!("run of {steps} steps, 40 metrics each, 200x60");
    let begun = Instant::now();
    let (theme, theme_files, depth) = (None, vec![], Depth::True);
    let options = Options { mode: Mode::Live, theme, theme_files, depth, ascii: false, fps: 30 };
    let mut app = App::new(&options).expect("embedded themes are valid");
    app.size = (200, 60);
    let mut loader = Loader::default();
    loader.drain(&mut app, &mut feed).expect("memory never fails");
    let mut terminal = Terminal::new(TestBackend::new(200, 60)).expect("a test terminal");
    frame(&mut terminal, &mut app);
    println!("first frame, records in memory: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    feed.live = true;
    for screen in ScreenId::ALL {
        app.update(Action::Screen(screen));
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let begun = Instant::now();
                loader.drain(&mut app, &mut feed).expect("memory never fails");
                frame(&mut terminal, &mut app);
                begun.elapsed()
            })
            .collect();
        times.sort();
        let at = |share: f64| times[(share * (times.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
        let name = screen.name();
        println!("{name:<9} a step and a frame: median {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99));
    }
    feed.live = false;
    let begun = Instant::now();
    for at in 0..100 {
        app.tick(at * 100);
        loader.drain(&mut app, &mut feed).expect("memory never fails");
    }
    println!("idle: {:.3} ms of work every 100 ms", begun.elapsed().as_secs_f64() * 10.0);
    println!("memory: {}", resident());
}

fn frame(terminal: &mut Terminal<TestBackend>, app: &mut App) {
    terminal.draw(|frame| screens::draw(frame, &Scene::of(app))).expect("a frame");
}

fn step(step: u64) -> Record {
    let x = step as f64;
    let names = ["reward/mean", "success/mean", "groups/no_signal", "gate/mean", "gap/mean", "entropy/mean"];
    let named = names.iter().map(|n| (*n).to_owned()).chain((0..34).map(|i| format!("other/metric_{i}")));
    let metrics: Metrics = named.enumerate().map(|(i, name)| (name, Some((x / 300.0 + i as f64).sin()))).collect();
    Record { at_ms: step * 1000, event: RunEvent::Stepped { step, metrics, skills: vec![] } }
}

fn episode(step: u64, group: u32, member: u32) -> Episode {
    Episode {
        id: EpisodeId { step, group, member },
        task: Task { id: "t".into(), kind: "k".into(), goal: "put it there".into() },
        turns: vec![],
        last_observation: String::new(),
        ending: Ending::TurnLimit,
        reward: 0.0,
        score: 0.0,
        advantage: Some(0.0),
        prompt: String::new(),
        teacher_prompt: String::new(),
        skills: vec![],
    }
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or("not known here".into(), |size| size.trim().to_owned())
}
