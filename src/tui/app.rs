//! The state of the screen: one selection shared by all screens, and how it looks at the run.

use crossterm::event::{KeyCode, KeyEvent, MouseEvent};

use super::data::StepData;
pub use super::effect::{Effect, Export, Form, Subject};
use super::feed::Liveness;
use super::find::Find;
use super::history::History;
use super::keys::{Action, Key, Keymap, ScreenId};
use super::lens::Lens;
use super::mouse::{Drag, Hits};
pub use super::options::{Exit, Mode, Options};
use super::overlay::{Overlay, Response};
use super::recall::Recall;
use super::screens::States;
pub use super::select::Pick;
use super::series::Cache;
use super::splits::Splits;
use super::theme::Themes;
use super::tokens::Channel;
use crate::core::{Episode, TokenRecord};
use crate::run::view::RunView;

/// How much of a rollout is unfolded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Folds {
    /// The selected turn only.
    #[default]
    Chosen,
    Open,
    Closed,
}

/// Replay's clockwork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    pub playing: bool,
    /// Steps per second.
    pub speed: u32,
    pub(super) due_ms: u64,
}

/// Everything the screen is at one moment.
#[derive(Debug)]
pub struct App {
    pub mode: Mode,
    pub screen: ScreenId,
    pub pick: Pick,
    /// The focused pane of each screen.
    pub focus: [usize; 6],
    pub zoomed: bool,
    /// How charts are looked at.
    pub lens: Lens,
    /// What each screen remembers.
    pub states: States,
    /// What was looked for last.
    pub find: Option<Find>,
    pub keymap: Keymap,
    /// What the mouse can reach in the frame drawn last.
    pub hits: Hits,
    pub drag: Drag,
    /// The row pressed last: pressing it again opens it.
    pub pressed: Option<(usize, usize)>,
    pub series: Cache,
    /// Whether the mouse is ours; else the terminal selects text with it.
    pub mouse: bool,
    pub folds: Folds,
    pub channel: Channel,
    pub raw: bool,
    pub prompts: bool,
    /// Extra lines scrolled in the focused pane.
    pub scroll: usize,
    pub overlay: Overlay,
    /// Lines typed before.
    pub recall: Recall,
    /// Borders of panes that were moved.
    pub splits: Splits,
    pub history: History,
    /// Rollouts of the selected step.
    pub data: StepData,
    /// Rollouts of the step being played; live only.
    pub playing: StepData,
    /// Labels of all tokens of the selected episode.
    pub labels: Vec<String>,
    pub themes: Themes,
    pub ascii: bool,
    /// Terminal size in cells.
    pub size: (u16, u16),
    pub liveness: Liveness,
    pub notice: Option<(String, u64)>,
    pub transport: Transport,
    pub clock_ms: u64,
}

impl App {
    /// An app without data. Fails if a theme file is wrong or the wanted theme is unknown.
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let history = if options.mode == Mode::Live { History::live() } else { History::replay() };
        Ok(Self {
            mode: options.mode,
            screen: ScreenId::Dash,
            pick: Pick::default(),
            focus: [0; 6],
            zoomed: false,
            lens: Lens::default(),
            states: States::default(),
            find: None,
            keymap: Keymap::default(),
            hits: Hits::default(),
            drag: Drag::None,
            pressed: None,
            series: Cache::default(),
            mouse: true,
            folds: Folds::Chosen,
            channel: Channel::Gate,
            raw: false,
            prompts: false,
            scroll: 0,
            overlay: Overlay::None,
            recall: Recall::default(),
            splits: Splits::default(),
            history,
            data: StepData::default(),
            playing: StepData::default(),
            labels: Vec::new(),
            themes: Themes::load(options.depth, &options.theme_files, options.theme.as_deref())?,
            ascii: options.ascii,
            size: (80, 24),
            liveness: Liveness::Ended,
            notice: None,
            transport: Transport { playing: false, speed: 2, due_ms: 0 },
            clock_ms: 0,
        })
    }

    /// Begins anew with another run: nothing of the old one stays but how things are looked at.
    pub fn switch(&mut self, mode: Mode) {
        self.mode = mode;
        self.history = if mode == Mode::Live { History::live() } else { History::replay() };
        (self.data, self.playing, self.labels) = (StepData::default(), StepData::default(), Vec::new());
        (self.pick, self.scroll, self.zoomed) = (Pick::default(), 0, false);
        self.states.system = Default::default();
        self.states.rollouts = Default::default();
        self.states.tokens = Default::default();
        self.states.skills = Default::default();
        self.series = Cache::default();
        self.lens.follow();
        self.screen = ScreenId::Dash;
    }

    /// The run up to the position.
    pub fn view(&self) -> &RunView {
        self.history.view()
    }

    /// The step whose rollouts are shown: the chosen one, else the newest complete, else the one being played.
    pub fn step(&self) -> u64 {
        let view = self.view();
        let first = || view.progress.map_or(0, |p| p.step);
        self.pick.step.unwrap_or(if view.steps.is_empty() { first() } else { view.last_step() })
    }

    /// The selected group, member and turn, brought into range.
    pub fn chosen(&self) -> (usize, usize, usize) {
        let group = self.pick.group.min(self.data.groups.len().saturating_sub(1));
        let members = self.data.members(group);
        let member = self.pick.member.min(members.len().saturating_sub(1));
        let turns = members.get(member).map_or(0, |e| e.turns.len());
        (group, member, self.pick.turn.min(turns.saturating_sub(1)))
    }

    /// The selected episode.
    pub fn episode(&self) -> Option<&Episode> {
        let (group, member, _) = self.chosen();
        self.data.members(group).get(member)
    }

    /// Tokens of the selected turn, and where they begin among those of the episode.
    pub fn turn_tokens(&self) -> (&[TokenRecord], usize) {
        let Some(episode) = self.episode() else { return (&[], 0) };
        let turn = self.chosen().2;
        let all = self.rollout_tokens();
        (self.data.turn_tokens(episode, turn), all.partition_point(|t| (t.turn as usize) < turn))
    }

    /// All tokens of the selected rollout.
    pub fn rollout_tokens(&self) -> &[TokenRecord] {
        self.episode().map_or(&[], |episode| self.data.episode_tokens(episode))
    }

    /// The token under the cursor, counted from the start of the rollout.
    pub fn token_at(&self) -> usize {
        let (tokens, start) = self.turn_tokens();
        start + self.pick.token.min(tokens.len().saturating_sub(1))
    }

    /// Whether a trainer listens.
    pub fn is_live(&self) -> bool {
        self.mode == Mode::Live && self.liveness == Liveness::Alive && self.view().finished.is_none()
    }

    /// What "now" is for the person looking: the clock, or in replay the moment shown.
    pub fn now_ms(&self) -> u64 {
        if self.mode == Mode::Live { self.clock_ms } else { self.view().last_ms }
    }

    /// Shows a line in place of the footer for some seconds.
    pub fn notify(&mut self, text: impl Into<String>) {
        self.notice = Some((text.into(), self.clock_ms + NOTICE_MS));
    }

    /// Handles one key. Pure but for `self`.
    pub fn on_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let key = Key::from(event);
        match self.overlay.on_key(key) {
            Response::Pass => {}
            Response::Done => return vec![],
            response => return super::command::answer(self, response),
        }
        self.notice = None;
        self.keymap.action(key, self.screen, self.mode).map_or(vec![], |action| self.update(action))
    }

    /// Handles what the mouse did.
    pub fn on_mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        super::mouse::on_mouse(self, event)
    }

    /// Handles pasted or typed text the same way as keys.
    pub fn on_text(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.overlay != Overlay::None {
                self.on_key(KeyEvent::from(KeyCode::Char(c)));
            }
        }
    }

    /// Lets time pass; true if something to see changed.
    pub fn tick(&mut self, clock_ms: u64) -> bool {
        let second = self.clock_ms / 1000 != clock_ms / 1000;
        self.clock_ms = clock_ms;
        let expired = self.notice.as_ref().is_some_and(|(_, until)| *until <= clock_ms);
        if expired {
            self.notice = None;
        }
        let played = self.transport.playing && clock_ms >= self.transport.due_ms;
        if played {
            let (position, last) = self.history.position();
            self.transport.due_ms = clock_ms + 1000 / u64::from(self.transport.speed.max(1));
            self.transport.playing = position + 1 < last;
            self.seek(position + 1);
        }
        expired || played || (second && self.is_live())
    }

    /// Moves a replay; the selection follows.
    pub(super) fn seek(&mut self, position: usize) {
        self.history.seek(position);
        self.pick.step = None;
    }

    /// Takes an action; see [`Action`]. What only the main loop can do is returned.
    pub fn update(&mut self, action: Action) -> Vec<Effect> {
        super::update::update(self, action)
    }
}

const NOTICE_MS: u64 = 4000;
