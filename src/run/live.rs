//! Episodes of the step that is being played, as lines: each line brings one episode up to date.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::append::LineFile;
use super::error::{Result, RunError};
use crate::core::{Episode, EpisodeId};

/// One line: `episode` holds the turns from number `from` on; if `from` is not 0 its prompt is left out (empty).
#[derive(Serialize, Deserialize)]
struct LiveLine<'a> {
    from: usize,
    /// When it was written, in milliseconds since the Unix epoch; 0 = not told.
    #[serde(default)]
    at_ms: u64,
    episode: Cow<'a, Episode>,
}

/// Writes the live file of one step.
pub(crate) struct LiveWriter {
    /// The step being played.
    pub(crate) step: u64,
    lines: LineFile,
    /// Turns already written, by episode.
    told: HashMap<EpisodeId, usize>,
}

impl LiveWriter {
    /// Starts the file, replacing what an interrupted attempt at the same step left.
    pub(crate) fn create(path: &Path, step: u64) -> Result<LiveWriter> {
        Ok(LiveWriter { step, lines: LineFile::create(path)?, told: HashMap::new() })
    }

    /// Appends what is new: the turns since the last line and the last one told (it may have got its reward since).
    pub(crate) fn update(&mut self, episode: &Episode, at_ms: u64) -> Result<()> {
        let told = self.told.get(&episode.id).copied().unwrap_or(0);
        self.write(episode, told.saturating_sub(1).min(episode.turns.len()), at_ms)
    }

    /// Appends the whole episode.
    pub(crate) fn whole(&mut self, episode: &Episode, at_ms: u64) -> Result<()> {
        self.write(episode, 0, at_ms)
    }

    fn write(&mut self, episode: &Episode, from: usize, at_ms: u64) -> Result<()> {
        let line = LiveLine { from, at_ms, episode: part(episode, from) };
        let text = serde_json::to_string(&line)
            .map_err(|e| RunError::Unwritable { path: self.lines.path().to_path_buf(), reason: e.to_string() })?;
        self.lines.line(&text)?;
        self.told.insert(episode.id, episode.turns.len());
        Ok(())
    }
}

/// When each episode of a live file was last heard of, in milliseconds since the Unix epoch.
pub(crate) type Heard = BTreeMap<EpisodeId, u64>;

/// The episodes of a live file in the order of their ids, and when each last moved on; lines that are torn or damaged
/// are passed over.
pub(crate) fn read_live(path: &Path) -> Result<(Vec<Episode>, Heard)> {
    let bytes = fs::read(path).map_err(RunError::io("read", path))?;
    let (mut episodes, mut heard) = (BTreeMap::new(), Heard::new());
    for line in bytes.split_inclusive(|&b| b == b'\n').filter(|line| line.ends_with(b"\n")) {
        if let Ok(line) = serde_json::from_slice::<LiveLine>(line) {
            heard.insert(line.episode.id, line.at_ms);
            fold(&mut episodes, line.from, line.episode.into_owned());
        }
    }
    Ok((episodes.into_values().collect(), heard))
}

fn part(episode: &Episode, from: usize) -> Cow<'_, Episode> {
    if from == 0 {
        return Cow::Borrowed(episode);
    }
    Cow::Owned(Episode {
        id: episode.id,
        task: episode.task.clone(),
        turns: episode.turns[from..].to_vec(),
        last_observation: episode.last_observation.clone(),
        ending: episode.ending,
        reward: episode.reward,
        score: episode.score,
        advantage: episode.advantage,
        prompt: String::new(),
        teacher_prompt: episode.teacher_prompt.clone(),
        skills: episode.skills.clone(),
    })
}

fn fold(episodes: &mut BTreeMap<EpisodeId, Episode>, from: usize, mut new: Episode) {
    if from > 0 {
        // A part that does not join on (a damaged line before it) waits for the next whole episode.
        let Some(known) = episodes.get_mut(&new.id).filter(|known| known.turns.len() >= from) else {
            return;
        };
        known.turns.truncate(from);
        known.turns.append(&mut new.turns);
        new.turns = std::mem::take(&mut known.turns);
        new.prompt = std::mem::take(&mut known.prompt);
    }
    episodes.insert(new.id, new);
}
