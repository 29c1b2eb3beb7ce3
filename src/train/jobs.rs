//! What of a step's episodes becomes work for an author of skills.

use std::collections::BTreeMap;

use super::learn::Course;
use super::rollout::Played;
use crate::core::{Ending, Episode};
use crate::skill::Contrast;
use crate::skill::draft::{CONTRAST, Job, Task};

/// What is to be made of a step's episodes: every finished one, contrasts, and categories that do badly.
pub(super) fn jobs(step: u64, played: &[Played], course: &Course) -> Vec<Job> {
    let finished: Vec<&Episode> =
        played.iter().map(|p| &p.episode).filter(|e| e.ending != Ending::EnvError && !e.turns.is_empty()).collect();
    let one = |episode: &&Episode| Job { task: Task::Episode, episodes: vec![(*episode).clone()] };
    let mut jobs: Vec<Job> = finished.iter().map(one).collect();
    let mut groups: BTreeMap<u32, Vec<&Episode>> = BTreeMap::new();
    finished.iter().for_each(|episode| groups.entry(episode.id.group).or_default().push(episode));
    for (better, worse) in groups.values().filter_map(|group| pair(group, course.contrast)) {
        jobs.push(Job { task: Task::Contrast, episodes: vec![better.clone(), worse.clone()] });
    }
    if course.contrast == Contrast::Ranked {
        jobs.extend(groups.values().filter_map(|group| ranking(group, course.margin)));
    }
    if course.every > 0 && step.is_multiple_of(course.every) {
        jobs.extend(categories(&finished, course.below));
    }
    jobs
}

fn pair<'a>(group: &[&'a Episode], contrast: Contrast) -> Option<(&'a Episode, &'a Episode)> {
    match contrast {
        Contrast::None | Contrast::Ranked => None,
        Contrast::Siblings => Some((group.iter().find(|e| e.won())?, group.iter().find(|e| !e.won())?)),
        Contrast::BestWorst => {
            let best = group.iter().max_by(|a, b| a.score.total_cmp(&b.score))?;
            let worst = group.iter().min_by(|a, b| a.score.total_cmp(&b.score))?;
            (best.score - worst.score >= CONTRAST).then_some((best, worst))
        }
    }
}

/// A group by falling score: the best, then those at least `margin` behind; of equals the earlier first.
fn ranking(group: &[&Episode], margin: f32) -> Option<Job> {
    let mut ranked = group.to_vec();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    let (best, rest) = ranked.split_first()?;
    let behind = rest.iter().filter(|e| best.score - e.score >= margin && margin > 0.0);
    let episodes: Vec<Episode> = std::iter::once(best).chain(behind).map(|e| (*e).clone()).collect();
    (episodes.len() > 1).then_some(Job { task: Task::Ranking, episodes })
}

/// SkillRL's update, on the episodes of this step: up to five failures of each task type whose success is too low.
fn categories(finished: &[&Episode], below: f64) -> Vec<Job> {
    let mut kinds: BTreeMap<&str, (usize, Vec<Episode>)> = BTreeMap::new();
    for episode in finished {
        let (all, lost) = kinds.entry(&episode.task.kind).or_default();
        *all += 1;
        if !episode.won() {
            lost.push((*episode).clone());
        }
    }
    let poor = |(all, lost): &(usize, Vec<Episode>)| ((all - lost.len()) as f64) < below * *all as f64;
    let job = |(_, lost): (usize, Vec<Episode>)| {
        let episodes = lost.into_iter().take(FAILURES).collect();
        Job { task: Task::Category, episodes }
    };
    kinds.into_values().filter(poor).map(job).collect()
}

/// SkillRL reads at most five failures for a category.
const FAILURES: usize = 5;
