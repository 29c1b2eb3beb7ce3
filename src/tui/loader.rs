//! Fetches what the selection needs from the feed, and only that.

use anyhow::Result;

use super::app::{App, Mode};
use super::data::StepData;
use super::feed::Feed;
use super::text;

/// What was fetched last, to know when it is out of date.
#[derive(Debug, Default)]
pub struct Loader {
    /// Step, newest step, and whether it is the panel.
    step: Option<(u64, u64, bool)>,
    episode: Option<(u64, u32, u32, usize)>,
    progress: Option<(u64, u64, u32)>,
    looked_ms: u64,
}

impl Loader {
    /// Takes new records in and reloads what they or the selection changed; true if there is something to draw.
    pub fn drain(&mut self, app: &mut App, feed: &mut dyn Feed) -> Result<bool> {
        let records = feed.poll()?;
        let liveness = feed.alive();
        let mut changed = !records.is_empty() || liveness != app.liveness;
        app.liveness = liveness;
        if !records.is_empty() {
            app.history.extend(records);
        }
        changed |= self.step(app, feed);
        changed |= self.playing(app, feed);
        changed |= self.labels(app, feed);
        changed |= (app.screen.screen().load)(app, feed);
        Ok(changed)
    }

    /// The selected step, again when a newer one completed while this one had no tokens yet.
    fn step(&mut self, app: &mut App, feed: &mut dyn Feed) -> bool {
        let (step, newest) = (app.step(), app.view().last_step());
        let panel = app.states.rollouts.panel;
        let known = |(s, n, p)| (s, p) == (step, panel) && (n == newest || app.data.has_tokens());
        if self.step.is_some_and(known) {
            return false;
        }
        app.data = if panel {
            let found = feed.panel(step).map(|found| found.into_iter().collect());
            let (at, episodes) = or_notice(app, found, "panel").pop().unwrap_or((step, vec![]));
            StepData::panel(at, episodes)
        } else {
            let episodes = or_notice(app, feed.episodes(step), "rollouts");
            let tokens = or_notice(app, feed.tokens(step), "tokens");
            StepData::new(step, episodes, tokens)
        };
        self.step = Some((step, newest, panel));
        self.episode = None;
        true
    }

    /// The step being played, when it got on, four times a second at most.
    fn playing(&mut self, app: &mut App, feed: &mut dyn Feed) -> bool {
        let progress = app.view().progress.filter(|_| app.mode == Mode::Live);
        let key = progress.map(|p| (p.step, p.phase as u64, p.done));
        if key == self.progress || app.clock_ms < self.looked_ms + 250 {
            return false;
        }
        (self.progress, self.looked_ms) = (key, app.clock_ms);
        app.playing = StepData::default();
        if let Some(p) = progress {
            app.playing = StepData::new(p.step, or_notice(app, feed.episodes(p.step), "rollouts"), vec![]);
            if app.data.step == p.step && !app.data.panel {
                app.data = app.playing.clone();
            }
        }
        true
    }

    /// The text of every token of the selected episode.
    fn labels(&mut self, app: &mut App, feed: &dyn Feed) -> bool {
        let Some(episode) = app.episode() else {
            return !std::mem::take(&mut app.labels).is_empty();
        };
        let tokens = app.data.episode_tokens(episode);
        let key = Some((app.data.step, episode.id.group, episode.id.member, tokens.len()));
        if key == self.episode {
            return false;
        }
        let ids: Vec<u32> = tokens.iter().map(|t| t.id).collect();
        app.labels = text::token_labels(&feed.token_text(&ids));
        self.episode = key;
        true
    }
}

/// A file that cannot be read must not close the screen: say so and show nothing of it.
fn or_notice<T>(app: &mut App, read: Result<Vec<T>>, what: &str) -> Vec<T> {
    read.unwrap_or_else(|error| {
        app.notify(format!("cannot read the {what}: {error:#}"));
        vec![]
    })
}
