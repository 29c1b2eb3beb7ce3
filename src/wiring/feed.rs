//! A run folder as the screen's feed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::View;
use crate::compare::{Listing, RunRow};
use crate::config::{self, Overrides};
use crate::core::episode::{Episode, TokenRecord};
use crate::core::event::Command;
use crate::core::{EpisodeId, Record, RunEvent};
use crate::run::index::{Indexer, StepRows};
use crate::run::recorder::now_ms;
use crate::run::search::{Found, Searcher};
use crate::run::status::{Life, life};
use crate::run::view::RunView;
use crate::run::{Heartbeat, RunFolder, Source, Store};
use crate::session;
use crate::skill;
use crate::text::Text;
use crate::tui::find::Find;
use crate::tui::{Feed, Liveness, Mode};

/// Reads one run folder, live or saved.
pub struct FolderFeed {
    folder: RunFolder,
    source: Source,
    store: Store,
    /// The run's own copy of its tokenizer; without it tokens are shown by number.
    text: Option<Text>,
    view: View,
    begun: bool,
    /// Begun when the runs are asked for first.
    listing: Option<Listing>,
    /// Begun when they are first asked for.
    index: Option<Indexer>,
    search: Option<Searcher>,
    /// Records that closed a step since the index last looked.
    closed: bool,
}

impl FolderFeed {
    /// Opens a run folder for reading.
    pub fn open(folder: &RunFolder, view: View) -> Result<Self> {
        Ok(Self {
            folder: folder.clone(),
            source: Source::open(folder)?,
            store: Store::new(folder),
            text: None,
            view,
            begun: false,
            listing: None,
            index: None,
            search: None,
            closed: false,
        })
    }

    /// The tokenizer appears when the trainer has started, so it is looked for until it is there.
    fn load_text(&mut self) {
        if self.text.is_none() {
            self.text = Text::load(&tokenizer_folder(self.folder.path())).ok();
        }
    }
}

/// Where a run keeps its copy of tokenizer and chat template.
pub fn tokenizer_folder(run: &Path) -> std::path::PathBuf {
    run.join("tokenizer")
}

impl Feed for FolderFeed {
    fn poll(&mut self) -> Result<Vec<Record>> {
        self.load_text();
        let (most, budget) = if self.begun { (RECORDS, BUDGET) } else { (usize::MAX, FIRST_BUDGET) };
        self.begun = true;
        let records = passing_dropped(self.source.read(most, budget)?);
        self.closed |= records.iter().any(|r| matches!(r.event, RunEvent::Stepped { .. }));
        Ok(records)
    }

    fn episodes(&mut self, step: u64) -> Result<Vec<Episode>> {
        Ok(self.store.episodes(step)?)
    }

    fn tokens(&mut self, step: u64) -> Result<Vec<TokenRecord>> {
        Ok(self.store.tokens(step)?)
    }

    fn rows(&mut self) -> Vec<StepRows> {
        let index = self.index.get_or_insert_with(|| Indexer::start(&self.store));
        if std::mem::take(&mut self.closed) {
            index.look_again();
        }
        index.take(MOST_STEPS)
    }

    fn heard(&mut self, step: u64) -> Vec<(EpisodeId, u64)> {
        // idle times are a convenience: what cannot be read is not shown
        self.store.heard(step).unwrap_or_default()
    }

    fn search(&mut self, find: &Find) {
        let find = find.clone();
        self.search = Some(Searcher::start(&self.store, Box::new(move |line| find.hits(line))));
    }

    fn found(&mut self) -> Vec<Found> {
        self.search.as_ref().map_or(vec![], Searcher::take)
    }

    fn token_text(&self, ids: &[u32]) -> Vec<Vec<u8>> {
        match &self.text {
            Some(text) => text.bytes(ids),
            None => ids.iter().map(|id| format!("⟨{id}⟩").into_bytes()).collect(),
        }
    }

    fn send(&mut self, command: Command) -> Result<()> {
        if self.view == View::Replay {
            bail!("a replay cannot be steered");
        }
        let reply = session::send(self.folder.path(), &command)?;
        if !reply.ok {
            bail!("{}", reply.message);
        }
        Ok(())
    }

    fn alive(&self) -> Liveness {
        if self.view == View::Replay {
            return Liveness::Ended;
        }
        match life(Heartbeat::read(&self.folder).ok().flatten().as_ref(), now_ms()) {
            Life::Running => Liveness::Alive,
            Life::Finished => Liveness::Ended,
            Life::Dead(_) => Liveness::Dead,
        }
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.folder.path().to_path_buf())
    }

    fn runs(&mut self) -> Vec<RunRow> {
        let root = self.root();
        self.listing.get_or_insert_with(|| Listing::start(&root)).changed()
    }

    fn run(&mut self, name: &str) -> Result<RunView> {
        let mut view = RunView::default();
        Source::open(&RunFolder::open(name, &self.root())?)?.for_each(|record| view.apply(record))?;
        Ok(view)
    }

    fn switch(&mut self, name: &str) -> Result<Mode> {
        let folder = RunFolder::open(name, &self.root())?;
        check_records(&folder)?;
        let heartbeat = Heartbeat::read(&folder).ok().flatten();
        let live = matches!(life(heartbeat.as_ref(), now_ms()), Life::Running);
        let (view, mode) = if live { (View::Live, Mode::Live) } else { (View::Replay, Mode::Replay) };
        *self = FolderFeed { listing: self.listing.take(), ..FolderFeed::open(&folder, view)? };
        Ok(mode)
    }

    fn config(&mut self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.config())?)
    }

    fn panel(&mut self, step: u64) -> Result<Option<(u64, Vec<Episode>)>> {
        let Some(at) = self.store.eval_steps().into_iter().rfind(|at| *at <= step) else { return Ok(None) };
        Ok(Some((at, self.store.eval_episodes(at)?)))
    }

    fn recipes(&mut self, run: Option<&str>) -> Vec<(String, PathBuf)> {
        let root = self.root();
        let own = run.map(|name| (format!("as {name}"), root.join(name).join("config.toml")));
        let files = std::fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut recipes: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
        recipes.sort();
        let name = |path: &PathBuf| path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
        own.into_iter().chain(recipes.into_iter().map(|path| (name(&path), path))).collect()
    }

    fn start(&mut self, recipe: &Path, changes: &[String]) -> Result<String> {
        let overrides = Overrides { set: changes.to_vec(), ..Overrides::default() };
        let mut made = config::load_to_train(Some(recipe), &overrides)?;
        // a run keeps its own name; the new one finds its own, unless it was given one
        if !changes.iter().any(|change| change.starts_with("run.name")) {
            made.run.name = String::new();
        }
        made.run.root = self.root().display().to_string();
        let folder = super::create_run(&made, &recipe.display().to_string())?;
        session::spawn(folder.path(), &[])?;
        Ok(folder.path().file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned()))
    }

    fn skill_file(&mut self, id: &str) -> Result<PathBuf> {
        skill::file::file_of(&self.bank(id)?, id)
    }

    fn switch_skill(&mut self, id: &str, disable: bool) -> Result<PathBuf> {
        skill::file::switch(&self.bank(id)?, id, disable)
    }
}

impl FolderFeed {
    /// The folder that holds a skill: the bank of the recipe, or what the run learned.
    fn bank(&self, id: &str) -> Result<PathBuf> {
        let recipe = config::load_run(&self.folder.config())?;
        let folders = [PathBuf::from(recipe.skills.bank), self.folder.skills()];
        let holds = |folder: &&PathBuf| skill::file::file_of(folder, id).is_ok();
        let said = || format!("`{id}` is in no file: neither in `skills.bank` nor in `{}`", folders[1].display());
        folders.iter().find(holds).cloned().with_context(said)
    }

    /// Where the runs beside this one are.
    fn root(&self) -> PathBuf {
        self.folder.path().parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
    }
}

/// Why a saved run cannot be shown as running, if it has no records at all.
pub fn check_records(folder: &RunFolder) -> Result<()> {
    let mut started = false;
    let mut source = Source::open(folder)?;
    while !started {
        let records = source.read(RECORDS, Duration::MAX)?;
        if records.is_empty() {
            break;
        }
        started = records.iter().any(|r| matches!(r.event, RunEvent::Started { .. } | RunEvent::Finished { .. }));
    }
    started
        .then_some(())
        .with_context(|| format!("`{}` has no records yet, there is nothing to replay", folder.path().display()))
}

/// Progress that was overtaken by a later record says nothing any more, and is most of a long run.
fn passing_dropped(mut records: Vec<Record>) -> Vec<Record> {
    let mut left = records.len();
    records.retain(|record| {
        left -= 1;
        left == 0 || !matches!(record.event, RunEvent::Progress { .. })
    });
    records
}

/// The time the first reading may take: a run too long for it is shown as far as it was read, and grows.
const FIRST_BUDGET: Duration = Duration::from_millis(50);
/// Records read at once, and the time that may take, while the screen is open.
const RECORDS: usize = 20_000;
const BUDGET: Duration = Duration::from_millis(20);
/// Steps whose rows are taken over at once, so that a frame is never late.
const MOST_STEPS: usize = 500;
