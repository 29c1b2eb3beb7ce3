//! The bridge: environments that run elsewhere, on an OpenEnv server ([`socket`]) or as a program of one's own
//! ([`worker`], or [`shared`] by several games).
//!
//! `envs/bridge.toml` describes servers ([`server`]): what is sent, and where in an answer the texts and numbers stand.
//! A server or program that is down, slow or talks nonsense makes an environment error of the episode, never a reward of
//! zero. Episodes can be recorded and played back without a server ([`tape`]).

pub mod link;
pub mod pool;
pub mod server;
pub mod shared;
pub mod socket;
pub mod tape;
pub mod worker;

mod game;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use self::game::{Bridged, Desk};
use self::link::Link;
use self::pool::{Connect, Pool};
use self::server::Server;
use self::shared::Programs;
use self::socket::Socket;
use self::tape::{Player, Recorder, Tapes};
use self::worker::Worker;
use super::data::expand;
use super::{Env, Terms, World, file, parse_id, split_name, task_id};
use crate::core::{Split, Task};

/// Name of this kind of environment.
pub const KIND: &str = "bridge";

/// The built-in text of `envs/bridge.toml`.
pub const TEXT: &str = include_str!("../../../envs/bridge.toml");

/// Settings, `[env.bridge]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which table `[server.NAME]` of `envs/bridge.toml` describes the environment.
    pub server: String,
    /// Address in place of the table's; empty = the table's.
    pub url: String,
    /// Most sessions at a time, at least 1.
    pub sessions: usize,
    /// Seconds to wait for an answer, more than 0.
    pub timeout: f64,
    /// Seconds to wait for a session while all are in use and nothing happens, more than 0.
    pub wait: f64,
    /// How often a session that is lost before its game begins is opened again.
    pub retries: usize,
    /// File to which every episode is appended; empty = none.
    pub record: String,
    /// File of recorded episodes to play back in place of the server; empty = the server.
    pub replay: String,
    /// Most turns of an episode.
    pub max_turns: usize,
    /// Taken from the reward of a turn whose reply has not the required form; 0 = no penalty.
    pub invalid_penalty: f32,
    /// Style of prompts and replies: a table `[prompt.<style>]` of `envs/bridge.toml`.
    pub style: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            server: "sdlab".to_owned(),
            url: String::new(),
            sessions: 256,
            timeout: 30.0,
            wait: 600.0,
            retries: 3,
            record: String::new(),
            replay: String::new(),
            max_turns: 50,
            invalid_penalty: 0.1,
            style: "plain".to_owned(),
        }
    }
}

/// Environments elsewhere as a supply of tasks.
pub struct BridgeWorld {
    settings: Settings,
    desk: Arc<Desk>,
}

impl BridgeWorld {
    /// Reads what is known of the server; it is not asked yet. Fails if a setting is out of range or names a table or
    /// file that there is not.
    pub fn new(settings: Settings) -> Result<BridgeWorld> {
        let Settings { timeout, wait, sessions, max_turns, invalid_penalty, retries, .. } = settings;
        ensure!(sessions >= 1, "`sessions` is 0; a game needs one");
        ensure!(timeout > 0.0 && timeout <= 1e6, "`timeout` is {timeout}; use seconds, more than 0");
        ensure!(wait > 0.0 && wait <= 1e6, "`wait` is {wait}; use seconds, more than 0");
        Terms { max_turns, invalid_penalty, style: &settings.style }.check()?;
        let file = file(KIND)?;
        let mut server = Server::load(&file.text, &settings.server).with_context(|| file.place.clone())?;
        if !settings.url.is_empty() {
            let url = &settings.url;
            ensure!(socket::address(url).is_some(), "`url` is `{url}`; write it like `ws://127.0.0.1:8000/ws`");
            (server.url, server.command) = (url.clone(), Vec::new());
        }
        let connect = connect(&settings, &server)?;
        let wait = Duration::from_secs_f64(wait);
        let recorder = match settings.record.as_str() {
            "" => None,
            path => Some(Recorder::open(Path::new(path))?),
        };
        let pool = Pool::new(connect, sessions, wait);
        let desk = Arc::new(Desk { server, pool, recorder, retries, wait });
        Ok(BridgeWorld { settings, desk })
    }

    /// Builds the world from its settings table. Fails on an unknown or ill-typed setting.
    pub fn from_table(settings: &toml::Table) -> Result<BridgeWorld> {
        BridgeWorld::new(settings.clone().try_into()?)
    }
}

/// How a session is opened.
fn connect(settings: &Settings, server: &Server) -> Result<Connect> {
    let timeout = Duration::from_secs_f64(settings.timeout);
    if !settings.replay.is_empty() {
        let tapes = Arc::new(Tapes::load(&expand(&settings.replay)?)?);
        return Ok(Box::new(move || Ok(Box::new(Player::new(Arc::clone(&tapes))) as Box<dyn Link>)));
    }
    let (url, command) = (server.url.clone(), server.command.clone());
    Ok(match (command.is_empty(), server.games) {
        (true, _) => Box::new(move || Ok(Box::new(Socket::connect(&url, timeout)?) as Box<dyn Link>)),
        (false, 1) => Box::new(move || Ok(Box::new(Worker::start(&command, timeout)?) as Box<dyn Link>)),
        (false, games) => {
            let programs = Programs::new(command, timeout, games);
            Box::new(move || programs.seat())
        }
    })
}

impl World for BridgeWorld {
    fn kind(&self) -> &str {
        KIND
    }

    fn size(&self, split: Split) -> u64 {
        self.desk.server.size(split)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task> {
        let id = task_id(KIND, split, index);
        self.check(split, index)?;
        Ok(Task { id, kind: self.settings.server.clone(), goal: self.desk.server.goal.clone() })
    }

    /// Begins a game, which takes as long as the server does. A server that fails is the game's failure.
    fn open(&self, task: &Task) -> Result<Box<dyn Env>> {
        let (split, index) = parse_id(KIND, &task.id)?;
        self.check(split, index)?;
        let server = &self.desk.server;
        let reset = server.reset_data(&task.id, split_name(split), server.offset(split), index);
        Ok(Box::new(Bridged::begin(Arc::clone(&self.desk), &task.id, reset)))
    }

    fn terms(&self) -> Terms<'_> {
        let Settings { max_turns, invalid_penalty, ref style, .. } = self.settings;
        Terms { max_turns, invalid_penalty, style }
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn stop_waiting(&self, stop: bool) {
        self.desk.pool.stop_waiting(stop);
    }
}
