//! The list of all rollouts of a run: which pass the filter, in which order, and how the selection follows.
//!
//! ```text
//! Feed::rows --> RowList --filter, grep, order--> shown --cursor--> the shared selection
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::app::App;
use super::feed::Feed;
use super::find::Find;
pub use super::folds::{LeftOut, TurnFolds};
use super::follow::{agree, arrive};
pub use super::follow::{choose, show};
pub use super::order::Order;
use crate::core::{Episode, EpisodeId, TokenRecord};
use crate::run::filter::{Filter, WORDS};
use crate::run::index::{RolloutRow, RowList};
use crate::run::search::Hit;

/// What the screen of the rollouts remembers.
#[derive(Debug)]
pub struct Browse {
    /// The list is that of the whole run, not of the step.
    pub whole: bool,
    /// The rollouts are those of the panel evaluated last, not of the step.
    pub panel: bool,
    /// Every rollout found so far.
    pub list: RowList,
    /// The filter as typed, and as understood.
    pub typed: String,
    filter: Filter,
    /// What is wrong with the filter typed last, and at which column.
    pub error: Option<String>,
    pub order: Order,
    /// What all texts were searched for.
    pub grep: Option<Grep>,
    /// Places in `list` that pass, in order.
    pub shown: Vec<u32>,
    made: Option<(u64, u64)>,
    /// Goes up when filter, order or search change.
    asked: u64,
    /// The line of the cursor in `shown`.
    pub at: usize,
    /// The person asked for another list: its first rollout is selected as soon as there is one.
    pub(super) fresh: bool,
    /// Marked rollouts, the last one last.
    pub marks: Vec<EpisodeId>,
    /// Ids of pinned tasks: probes that are compared over steps.
    pub pins: BTreeSet<String>,
    /// The rollout the selected one is compared with.
    pub other: Option<Other>,
    /// Selected as soon as its step is there, with the turn.
    pub wanted: Option<(EpisodeId, usize)>,
    /// When episodes of the step being played last moved on.
    pub heard: BTreeMap<EpisodeId, u64>,
    heard_ms: u64,
    pub folds: TurnFolds,
}

impl Default for Browse {
    fn default() -> Self {
        Self {
            whole: false,
            panel: false,
            list: RowList::default(),
            typed: String::new(),
            filter: Filter::all(),
            error: None,
            order: Order::Newest,
            grep: None,
            shown: vec![],
            made: None,
            asked: 0,
            at: 0,
            fresh: false,
            marks: vec![],
            pins: BTreeSet::new(),
            other: None,
            wanted: None,
            heard: BTreeMap::new(),
            heard_ms: 0,
            folds: TurnFolds::default(),
        }
    }
}

/// A rollout to compare with, and its tokens once they are there.
#[derive(Clone, Debug)]
pub struct Other {
    pub id: EpisodeId,
    pub episode: Option<Episode>,
    pub tokens: Vec<TokenRecord>,
    looked: bool,
}

/// A search of all texts.
#[derive(Clone, Debug)]
pub struct Grep {
    pub find: Find,
    pub hits: HashMap<EpisodeId, Hit>,
    pub done: usize,
    pub total: usize,
    begun: bool,
}

impl Browse {
    /// Takes a typed filter; an error says at which column.
    pub fn set_filter(&mut self, typed: &str) -> Result<(), String> {
        self.filter = Filter::parse(typed).map_err(|error| error.to_string())?;
        (self.typed, self.error) = (typed.trim().to_owned(), None);
        self.whole = true;
        self.changed();
        Ok(())
    }

    /// Looks for something in every text of the run; nothing typed ends the search.
    pub fn set_grep(&mut self, typed: &str) {
        let find = (!typed.is_empty()).then(|| Find::parse(typed));
        self.whole |= find.is_some();
        self.grep = find.map(|find| Grep { find, hits: HashMap::new(), done: 0, total: 0, begun: false });
        self.changed();
    }

    pub fn next_order(&mut self) {
        self.order = self.order.next();
        self.whole = true;
        self.changed();
    }

    fn changed(&mut self) {
        self.asked += 1;
        (self.at, self.fresh) = (0, true);
        self.panel &= !self.whole;
    }

    /// One layer out of the list: the search, the filter, the list itself. False if there was none.
    pub fn back(&mut self) -> bool {
        if self.other.take().is_some() || self.wanted.take().is_some() {
            return true;
        }
        if self.error.take().is_some() {
            return true;
        }
        if self.grep.is_some() || !self.typed.is_empty() {
            (self.grep, self.typed, self.filter) = (None, String::new(), Filter::all());
            self.changed();
            // the wider list still has what is selected
            self.fresh = false;
            return true;
        }
        std::mem::take(&mut self.whole)
    }

    /// The row of a line of the list.
    pub fn row(&self, line: usize) -> Option<&RolloutRow> {
        self.list.rows().get(*self.shown.get(line)? as usize)
    }

    /// Makes the list anew if what it is made of changed.
    fn make(&mut self) -> bool {
        let key = (self.list.version, self.asked);
        if self.made == Some(key) {
            return false;
        }
        let here = self.row(self.at).map(|r| r.id).filter(|_| !self.fresh);
        let rows = self.list.rows();
        let hit = |r: &RolloutRow| self.grep.as_ref().is_none_or(|grep| grep.hits.contains_key(&r.id));
        let passing = rows.iter().enumerate().filter(|(_, r)| hit(r) && self.filter.passes(r));
        self.shown = passing.map(|(at, _)| at as u32).collect();
        let (order, pins) = (self.order, &self.pins);
        let pinned = |r: &RolloutRow| !pins.is_empty() && pins.contains(&r.task.id);
        self.shown.sort_by(|a, b| {
            let (a, b) = (&rows[*a as usize], &rows[*b as usize]);
            pinned(b).cmp(&pinned(a)).then_with(|| order.compare(a, b))
        });
        // the cursor stays on its rollout while the list grows
        let place = here.and_then(|id| self.shown.iter().position(|at| rows[*at as usize].id == id));
        self.at = place.unwrap_or(0);
        self.made = Some(key);
        true
    }

    /// Pins a task, or takes its pin away. Pinned tasks stand first in the list.
    pub fn pin(&mut self, task: String) {
        if !self.pins.remove(&task) {
            self.pins.insert(task);
        }
        self.asked += 1;
    }

    /// Marks a rollout, or takes its mark away.
    pub fn mark(&mut self, id: EpisodeId) {
        match self.marks.iter().position(|m| *m == id) {
            Some(at) => drop(self.marks.remove(at)),
            None => self.marks.push(id),
        }
    }
}

/// Compares the selected rollout with the one marked last; without a mark with the first of its group that fared
/// differently, else the next one. An error says why there is none.
pub fn compare(app: &mut App) -> Result<(), &'static str> {
    let Some(own) = app.episode().map(|e| (e.id, e.won())) else { return Err("no rollout is selected") };
    let marked = app.states.rollouts.marks.iter().rev().find(|m| **m != own.0).copied();
    let group = app.data.members(app.chosen().0);
    let others = || group.iter().filter(|e| e.id != own.0);
    let found = marked.or_else(|| others().find(|e| e.won() != own.1).or_else(|| others().next()).map(|e| e.id));
    let id = found.ok_or("this group has one rollout: mark another one with Space first")?;
    app.states.rollouts.other = Some(Other { id, episode: None, tokens: vec![], looked: false });
    Ok(())
}

/// Fetches what list, comparison and idle times need; true if something changed.
pub fn load(app: &mut App, feed: &mut dyn Feed) -> bool {
    let mut changed = arrive(app);
    let clock = app.clock_ms;
    let browse = &mut app.states.rollouts;
    if browse.whole || !browse.pins.is_empty() {
        let found = feed.rows();
        changed |= !found.is_empty();
        browse.list.extend(found);
        changed |= grep(browse, feed);
        let made = browse.make();
        changed |= made;
        changed |= browse.whole && agree(app, made);
    }
    let browse = &mut app.states.rollouts;
    if let Some(other) = browse.other.as_mut().filter(|other| !other.looked) {
        other.looked = true;
        let episodes = feed.episodes(other.id.step).unwrap_or_default();
        other.episode = episodes.into_iter().find(|e| e.id == other.id);
        let own = |t: &TokenRecord| (t.group, t.member) == (other.id.group, other.id.member);
        other.tokens = feed.tokens(other.id.step).unwrap_or_default().into_iter().filter(own).collect();
        changed = true;
    }
    let playing = app.playing.step;
    if !app.playing.episodes.is_empty() && clock >= browse.heard_ms + HEARD_EVERY_MS {
        browse.heard_ms = clock;
        browse.heard = feed.heard(playing).into_iter().collect();
        changed = true;
    }
    changed
}

fn grep(browse: &mut Browse, feed: &mut dyn Feed) -> bool {
    let Some(grep) = &mut browse.grep else { return false };
    if !std::mem::replace(&mut grep.begun, true) {
        feed.search(&grep.find);
    }
    let found = feed.found();
    let changed = !found.is_empty();
    for part in found {
        (grep.done, grep.total) = (part.done, part.total);
        grep.hits.extend(part.hits.into_iter().map(|hit| (hit.id, hit)));
    }
    browse.asked += u64::from(changed);
    changed
}

/// The words of the filter language, as a page of help.
pub fn help() -> String {
    let mut out = String::from(
        "reward>0 & step<10 & task~clean & !invalid\n\n\
         &  and (a blank too)     |  or     !  not     ( )  brackets\n\
         = != < <= > >=  numbers     = != ~ !~  texts, ~ contains     \"text\"  in the task\n\n",
    );
    for word in WORDS {
        out.push_str(&format!("{:<16} {}\n", word.names.join(", "), word.help));
    }
    out
}

/// Idle times are looked up at most this often.
const HEARD_EVERY_MS: u64 = 500;
