//! A deterministic run: 48 of 120 steps of a household agent, with rollouts and tokens made by formula.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use sdlab::compare::RunRow;
use sdlab::core::episode::{Ending, Episode, EpisodeId, Listed, Stop, Task, TokenRecord, Turn};
use sdlab::core::event::{Command, KeyChange, Level, Metrics, Phase, Record, RunEvent, Scope, SkillUse};
use sdlab::core::skill::{Author, BankChange, Happened, Provenance, SkillCard, SkillTotals};
use sdlab::run::index::{RolloutRow, StepRows};
use sdlab::run::search::{Found, Looked, first_hit};
use sdlab::run::view::RunView;
use sdlab::tui::app::App;
use sdlab::tui::feed::{Feed, Liveness};
use sdlab::tui::find::Find;
use sdlab::tui::loader::Loader;
use sdlab::tui::scene::Scene;
use sdlab::tui::theme::Depth;
use sdlab::tui::{Mode, Options, screens};

pub const START_MS: u64 = 1_800_000_000_000;
pub const STEPS: u64 = 48;

/// A feed from memory that remembers what was asked of it.
#[derive(Default)]
pub struct Fixture {
    pub records: Vec<Record>,
    /// Replaces every text of the rollouts, to feed the screen poison.
    pub text: Option<String>,
    pub sent: Vec<Command>,
    pub ended: bool,
    pub empty: bool,
    /// The rows were given.
    pub listed: bool,
    pub find: Option<Find>,
    /// Tells of other runs.
    pub others: bool,
    /// What was asked beside the run: recipes started, skills switched.
    pub asked: Vec<String>,
}

impl Feed for Fixture {
    fn poll(&mut self) -> Result<Vec<Record>> {
        Ok(std::mem::take(&mut self.records))
    }

    fn episodes(&mut self, step: u64) -> Result<Vec<Episode>> {
        if self.empty || step == 0 {
            return Ok(vec![]);
        }
        let mut all: Vec<_> = (0..32).map(|i| episode(step, i / 4, i % 4)).collect();
        if let Some(text) = &self.text {
            all.iter_mut().for_each(|e| poison(e, text));
        }
        Ok(all)
    }

    fn tokens(&mut self, step: u64) -> Result<Vec<TokenRecord>> {
        if self.empty || step == 0 || step > STEPS {
            return Ok(vec![]);
        }
        Ok((0..32).flat_map(|i| tokens(&episode(step, i / 4, i % 4))).collect())
    }

    fn rows(&mut self) -> Vec<StepRows> {
        let steps = if self.empty || std::mem::replace(&mut self.listed, true) { 0 } else { STEPS };
        let row = |step| {
            let rows = RolloutRow::of_step(&self.episodes(step).unwrap_or_default());
            StepRows { step, rows, error: None }
        };
        (1..=steps).map(row).collect()
    }

    fn heard(&mut self, step: u64) -> Vec<(EpisodeId, u64)> {
        let at =
            |i: u32| (EpisodeId { step, group: i / 4, member: i % 4 }, START_MS + STEPS * 19_000 + u64::from(i) * 100);
        (0..32).map(at).collect()
    }

    fn search(&mut self, find: &Find) {
        self.find = Some(find.clone());
    }

    fn found(&mut self) -> Vec<Found> {
        let Some(find) = self.find.take() else { return vec![] };
        let looked: Looked = Box::new(move |line| find.hits(line));
        let in_step = |step| {
            let episodes: Vec<Episode> = (0..32).map(|i| episode(step, i / 4, i % 4)).collect();
            let hits = episodes.iter().filter_map(|e| first_hit(e, &looked)).collect();
            Found { hits, done: step as usize, total: STEPS as usize }
        };
        (1..=STEPS).map(in_step).collect()
    }

    fn token_text(&self, ids: &[u32]) -> Vec<Vec<u8>> {
        match &self.text {
            Some(text) => ids
                .iter()
                .map(|id| text.as_bytes().iter().copied().cycle().skip(*id as usize % 7).take(5).collect())
                .collect(),
            None => ids.iter().map(|id| WORDS[*id as usize % WORDS.len()].as_bytes().to_vec()).collect(),
        }
    }

    fn send(&mut self, command: Command) -> Result<()> {
        self.sent.push(command);
        Ok(())
    }

    fn runs(&mut self) -> Vec<RunRow> {
        if !std::mem::take(&mut self.others) {
            return vec![];
        }
        [("house-sdar-7", "1e-05"), ("house-sdar-8", "5e-06"), ("house-sdar-9", "1e-05")].map(run_row).into()
    }

    fn run(&mut self, name: &str) -> Result<RunView> {
        let mut view = RunView::default();
        records().iter().for_each(|record| view.apply(record));
        view.facts.run = name.to_owned();
        let worse = |value: &mut Option<f64>| *value = value.map(|v| v * 0.8);
        for step in &mut view.steps {
            let mut metrics = step.metrics.to_metrics();
            metrics.values_mut().for_each(worse);
            step.metrics = metrics.into();
        }
        Ok(view)
    }

    fn panel(&mut self, step: u64) -> Result<Option<(u64, Vec<Episode>)>> {
        let at = step / 10 * 10;
        Ok((at > 0).then(|| (at, (0..6).map(|i| Episode { turns: vec![], ..episode(at, i, 0) }).collect())))
    }

    fn recipes(&mut self, run: Option<&str>) -> Vec<(String, PathBuf)> {
        let own = run.map(|name| (format!("as {name}"), PathBuf::from(format!("runs/{name}/config.toml"))));
        own.into_iter().chain([("grpo".to_owned(), PathBuf::from("runs/grpo.toml"))]).collect()
    }

    fn start(&mut self, recipe: &Path, changes: &[String]) -> Result<String> {
        self.asked.push(format!("start {} {}", recipe.display(), changes.join(" ")));
        Ok("household-grpo-1".into())
    }

    fn skill_file(&mut self, id: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("skills/{id}.toml")))
    }

    fn switch_skill(&mut self, id: &str, disable: bool) -> Result<PathBuf> {
        self.asked.push(format!("switch {id} {disable}"));
        self.skill_file(id)
    }

    fn alive(&self) -> Liveness {
        if self.ended { Liveness::Ended } else { Liveness::Alive }
    }
}

/// The fixture's run, live in the rollout phase of step 49.
pub fn fixture() -> Fixture {
    Fixture { records: records(), ..Fixture::default() }
}

/// An app of the given size that has taken the whole feed in. `MONO` decides snapshots.
pub fn app(mode: Mode, size: (u16, u16), feed: &mut Fixture) -> App {
    app_with(mode, size, feed, Depth::Mono)
}

pub fn app_with(mode: Mode, size: (u16, u16), feed: &mut Fixture, depth: Depth) -> App {
    let options = Options { mode, theme: None, theme_files: vec![], depth, ascii: false, fps: 30 };
    let mut app = App::new(&options).expect("embedded themes are valid");
    app.size = size;
    settle(&mut app, feed);
    app
}

/// Lets the app load what its selection needs.
pub fn settle(app: &mut App, feed: &mut Fixture) {
    app.tick(START_MS + STEPS * 19_000 + 7_000);
    let mut loader = Loader::default();
    loader.drain(app, feed).expect("the fixture never fails");
}

/// The finished frame.
pub fn draw(app: &mut App, (width, height): (u16, u16)) -> Buffer {
    app.size = (width, height);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test terminal");
    terminal.draw(|frame| screens::draw(frame, &Scene::of(app))).expect("a frame");
    terminal.backend().buffer().clone()
}

/// A frame as text, one line per row, blanks at the ends cut.
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                row.push_str(symbol);
                skip = unicode_width::UnicodeWidthStr::width(symbol).max(1);
            }
            skip -= 1;
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

/// A row of the table of runs.
fn run_row((name, lr): (&str, &str)) -> RunRow {
    let config = [("optim.lr", lr), ("optim.clip", "1.0"), ("run.seed", name)];
    let mut view = RunView::default();
    records().iter().for_each(|record| view.apply(record));
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    RunRow { name: name.into(), config, ..RunRow::of(&view) }
}

fn records() -> Vec<Record> {
    let started = RunEvent::Started {
        format: 1,
        run: "house-sdar-7".into(),
        recipe: "starter".into(),
        method: "sdar".into(),
        env: "household".into(),
        model: "starter".into(),
        parameters: 10_400_000,
        device: "cpu".into(),
        steps: 120,
        groups: 8,
        members: 4,
        resumed: 0,
        substitutions: vec!["oracle summariser".into()],
        pid: 4121,
    };
    let mut out = vec![Record { at_ms: START_MS, event: started }];
    let mut bank = bank().into_iter().peekable();
    for step in 1..=STEPS {
        let at_ms = START_MS + step * 19_000 + step % 5 * 400;
        while let Some((_, event)) = bank.next_if(|(of, _)| *of <= step) {
            out.push(Record { at_ms: START_MS, event });
        }
        out.extend(step_events(step).into_iter().map(|event| Record { at_ms, event }));
    }
    let at_ms = START_MS + STEPS * 19_000 + 2_000;
    out.push(Record {
        at_ms,
        event: RunEvent::Progress { step: STEPS + 1, phase: Phase::Rollout, done: 17, total: 32 },
    });
    out
}

fn step_events(step: u64) -> Vec<RunEvent> {
    let mut out = vec![RunEvent::Stepped { step, metrics: metrics(step), skills: skills(step) }];
    if step.is_multiple_of(8) {
        let metrics =
            Metrics::from([("success".into(), Some(0.12 + 0.011 * step as f64)), ("turns".into(), Some(14.0))]);
        let (panel, outcomes) = ("valid-seen/64".into(), "01".repeat(32));
        out.push(RunEvent::Evaluated { step, panel, with_skills: false, metrics, outcomes });
    }
    if step.is_multiple_of(20) {
        let path = format!("checkpoints/step_{step:06}");
        out.push(RunEvent::Checkpointed { step, path, bytes: 41_600_000, seconds: 0.4 });
    }
    if step == 30 {
        let (before, after, key) = ("1e-5".into(), "5e-6".into(), "optim.lr".into());
        out.push(RunEvent::ConfigChanged {
            step,
            revision: 1,
            changes: vec![KeyChange { key, before, after, scope: Scope::Live }],
        });
    }
    if step == 41 {
        let (rule, message) = ("no_signal".into(), "above 0.8 for 5 steps".into());
        out.push(RunEvent::Alerted { step, level: Level::Warn, rule, message, value: Some(0.83) });
    }
    if step == 23 {
        out.push(RunEvent::Warned { step, message: "`kl/reference` is not finite".into() });
    }
    out
}

fn metrics(step: u64) -> Metrics {
    let x = step as f64;
    let wave = (x * 1.7).sin();
    let rise = 1.0 - (-x / 25.0).exp();
    let kl = if step == 23 { None } else { Some(0.004 * rise + 0.001 * wave.abs()) };
    let mut out = Metrics::from([("kl/reference".into(), kl)]);
    let values = [
        ("reward/mean", 0.08 + 0.6 * rise + 0.07 * wave),
        ("success/mean", 0.05 + 0.6 * rise + 0.06 * (x * 2.3).cos()),
        ("groups/no_signal", (0.82 - 0.5 * rise + 0.08 * (x * 0.9).sin()).clamp(0.0, 1.0)),
        ("gate/mean", 0.5 - 0.12 * rise + 0.03 * wave),
        ("gate/active", 0.42 - 0.2 * rise + 0.04 * (x * 1.1).cos()),
        ("gap/mean", -0.4 + 0.3 * rise + 0.05 * wave),
        ("gap/rms", 1.2 - 0.5 * rise),
        ("entropy/mean", 0.9 - 0.45 * rise + 0.02 * wave),
        ("clip/fraction", 0.0),
        ("ratio/mean", 1.0),
        ("mismatch/max", 0.0),
        ("grad/norm", 0.8 + 0.2 * wave),
        ("lr", if step > 30 { 5e-6 } else { 1e-5 }),
        ("tokens/sampled", 18_000.0),
        ("turns/mean", 16.0 - 6.0 * rise),
        ("valid/share", 0.9 + 0.1 * rise),
        ("time/rollout", 11.2),
        ("time/score", 1.4),
        ("time/teacher", 2.1),
        ("time/student", 3.3),
        ("time/optim", 0.4),
        ("time/step", 18.4),
        ("tokens/per_second", 3210.0),
    ];
    out.extend(values.map(|(name, value)| (name.to_owned(), Some(value))));
    out
}

fn skills(step: u64) -> Vec<SkillUse> {
    let one = |id: &str, title: &str, uses: u32, won: u32, gap| SkillUse {
        id: id.into(),
        title: title.into(),
        uses,
        won,
        gap,
        total: SkillTotals {
            uses: u64::from(uses) * step,
            won: u64::from(won) * step,
            other_uses: 10 * step,
            other_won: 4 * step,
            gap,
            gate: Some(0.45),
            picks: 3 * step,
            ucb: Some(0.9),
            ..SkillTotals::default()
        },
        ..SkillUse::default()
    };
    vec![
        one("find-then-place", "find, then place", 14 + step as u32 % 3, 11, Some(0.21)),
        one("check-closed", "open what is closed", 9, 5, Some(0.08)),
        one("two-objects", "two objects, one by one", 6, 2, Some(-0.12)),
        one("cool-first", "cool before placing", 3, 0, None),
    ]
}

const GOALS: [(&str, &str); 8] = [
    ("put two soapbars in cabinet.", "pick_two_obj_and_place"),
    ("heat an egg and put it on the counter.", "pick_heat_then_place"),
    ("examine a desk lamp with the book.", "look_at_obj_in_light"),
    ("clean a mug and put it in the coffee machine.", "pick_clean_then_place"),
    ("put a cool tomato in the microwave.", "pick_cool_then_place"),
    ("put a pen on the shelf.", "pick_and_place"),
    ("find two 杯子 and put them on the 桌子.", "pick_two_obj_and_place"),
    ("put some 🍎 on the dining table.", "pick_and_place"),
];

const ACTIONS: [&str; 6] = [
    "go to cabinet 2",
    "open cabinet 2",
    "take soapbar 1 from cabinet 2",
    "go to sinkbasin 1",
    "clean mug 1 with sinkbasin 1",
    "look",
];

pub fn episode(step: u64, group: u32, member: u32) -> Episode {
    let seed = (step % 100_000) as usize * 7 + group as usize * 5 + member as usize * 4;
    let playing = step > STEPS && (group, member) > (4, 0);
    let won = !playing && group != 2 && (group == 1 || seed.is_multiple_of(3));
    let count = if won {
        4 + seed % 6
    } else if playing {
        1 + seed % 4
    } else {
        12
    };
    let (goal, kind) = GOALS[group as usize % GOALS.len()];
    Episode {
        id: EpisodeId { step, group, member },
        task: Task { id: format!("household/train/{}", seed * 13), kind: kind.into(), goal: goal.into() },
        turns: (0..count).map(|t| turn(seed + t, t, won && t + 1 == count)).collect(),
        last_observation: if playing { String::new() } else { "You put the soapbar 1 in the cabinet 2.".into() },
        ending: if playing {
            Ending::Playing
        } else if won {
            Ending::Won
        } else {
            Ending::TurnLimit
        },
        reward: if won { 1.0 } else { 0.0 },
        score: if won { 1.0 } else { 0.25 },
        advantage: (!playing).then_some(if won { 0.87 } else { -0.87 }),
        prompt: format!(
            "<|im_start|>system\nYou are a household agent.<|im_end|>\n<|im_start|>user\nYour task: {goal}<|im_end|>"
        ),
        teacher_prompt: format!(
            "<|im_start|>system\nYou are a household agent.<|im_end|>\n<|im_start|>user\nSkill: open what is closed before you judge it empty.\nYour task: {goal}<|im_end|>"
        ),
        skills: vec!["find-then-place".into(), "check-closed".into()],
    }
}

fn turn(seed: usize, at: usize, last: bool) -> Turn {
    let action = ACTIONS[seed % ACTIONS.len()];
    let thought = "I should check the next cabinet because the soap was not seen.";
    let reply = if at % 3 == 1 { format!("<think>{thought}</think>{action}") } else { action.to_owned() };
    Turn {
        observation: if at == 0 {
            "You are in the middle of a room. Looking quickly around you, you see a cabinet 1, a cabinet 2, a countertop 1, a drawer 1, a fridge 1, a sinkbasin 1 and a shelf 1.".into()
        } else {
            "The cabinet 2 is closed.".into()
        },
        reply,
        action: action.into(),
        valid: at != 4,
        reward: if last { 1.0 } else { 0.0 },
        tokens: 9 + (seed % 5) as u32,
        stop: Stop::Closed,
    }
}

const WORDS: [&str; 14] = [
    "go",
    " to",
    " cabinet",
    " 3",
    "<|im_end|>",
    " I",
    " should",
    " check",
    " the",
    " next",
    " because",
    " soap",
    " 杯",
    " seen",
];

fn tokens(episode: &Episode) -> Vec<TokenRecord> {
    let mut out = Vec::new();
    for (at, turn) in episode.turns.iter().enumerate() {
        let given = if at == 0 { 40 } else { 6 };
        for i in 0..given + turn.tokens {
            out.push(token(episode, at as u32, out.len() as u32, i >= given));
        }
    }
    out
}

fn token(episode: &Episode, turn: u32, position: u32, mask: bool) -> TokenRecord {
    let x = f64::from(position) * 0.77 + f64::from(episode.id.member);
    let student = -(0.2 + x.sin().abs() * 1.4) as f32;
    let gap = if position % 11 == 3 {
        -3.7
    } else if position % 7 == 2 {
        0.8
    } else {
        (x.cos() * 0.15) as f32
    };
    let on = |v: f32| mask.then_some(v);
    let gate = 1.0 / (1.0 + (-gap).exp());
    TokenRecord {
        group: episode.id.group,
        member: episode.id.member,
        position,
        turn,
        id: position,
        mask,
        sampled: on(student),
        old: on(student),
        student: on(student),
        teacher: on(student + gap),
        reference: on(student - 0.01),
        entropy: on((0.4 + 0.4 * x.sin()) as f32),
        gate: on(gate),
        advantage: mask.then_some(()).and(episode.advantage),
        coefficient: on(-0.0007 * gate),
        top: if mask && position % 5 == 3 { listed(position, student, gap) } else { vec![] },
        ..TokenRecord::default()
    }
}

fn listed(id: u32, student: f32, gap: f32) -> Vec<Listed> {
    let one =
        |n: u32| Listed { id: id + n, student: student - n as f32, teacher: student + gap + n as f32 * 0.5 - 1.0 };
    (0..3).map(one).collect()
}

/// A bank of six, one of them retired and one learned.
fn bank() -> Vec<(u64, RunEvent)> {
    let card = |id: &str, title: &str, disabled| SkillCard {
        id: id.into(),
        category: "general".into(),
        title: title.into(),
        text: format!("To get on, {title}. Look before you judge a place empty."),
        keywords: vec!["clean".into(), "mug".into()],
        disabled,
        ..SkillCard::default()
    };
    let episode = Some(EpisodeId { step: 11, group: 2, member: 1 });
    let learned = SkillCard {
        provenance: Provenance { author: Author::Distiller, step: 12, episode, ..Provenance::default() },
        ..card("learned-1", "rinse at the sinkbasin", false)
    };
    let change = |happened, skill, reason: &str| BankChange { happened, skill, reason: reason.into() };
    let skills = vec![
        card("find-then-place", "find, then place", false),
        card("check-closed", "open what is closed", false),
        card("two-objects", "two objects, one by one", true),
        card("cool-first", "cool before placing", false),
    ];
    let retired =
        change(Happened::Retired, card("cool-first", "cool before placing", false), "uplift -0.31 over 40 uses");
    vec![
        (0, RunEvent::BankLoaded { step: 0, skills }),
        (12, RunEvent::BankChanged { step: 12, changes: vec![change(Happened::Added, learned, "of a won episode")] }),
        (33, RunEvent::BankChanged { step: 33, changes: vec![retired] }),
    ]
}

fn poison(episode: &mut Episode, text: &str) {
    episode.task.goal = text.to_owned();
    episode.task.kind = text.to_owned();
    episode.prompt = text.repeat(3);
    episode.teacher_prompt = format!("{text}\nprivate {text}");
    episode.last_observation = text.to_owned();
    episode.skills = vec![text.to_owned()];
    for turn in &mut episode.turns {
        turn.observation = text.repeat(4);
        turn.reply = format!("<think>{text}</think>{text}");
        turn.action = text.to_owned();
    }
}
