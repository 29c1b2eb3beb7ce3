//! Rollouts and tokens of one step, arranged as the screens walk them: group, member, turn, token.

use std::ops::Range;

use crate::core::episode::{Episode, HOT_GAP, TokenRecord};

/// What was kept of one step.
#[derive(Clone, Debug, Default)]
pub struct StepData {
    pub step: u64,
    /// Sorted by group, then member.
    pub episodes: Vec<Episode>,
    /// Runs of `episodes` that share a task.
    pub groups: Vec<Range<usize>>,
    /// Whether these are the episodes of an evaluation after `step`.
    pub panel: bool,
    /// Sorted by group, member, turn, position.
    tokens: Vec<TokenRecord>,
}

impl StepData {
    /// Arranges what a feed gave.
    pub fn new(step: u64, mut episodes: Vec<Episode>, mut tokens: Vec<TokenRecord>) -> Self {
        episodes.sort_by_key(|e| e.id);
        tokens.sort_by_key(|t| (t.group, t.member, t.turn, t.position));
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (at, episode) in episodes.iter().enumerate() {
            match groups.last_mut() {
                Some(last) if episodes[last.start].id.group == episode.id.group => last.end = at + 1,
                _ => groups.push(at..at + 1),
            }
        }
        Self { step, episodes, groups, panel: false, tokens }
    }

    /// The episodes of an evaluation after `step`; no tokens are kept of those.
    pub fn panel(step: u64, episodes: Vec<Episode>) -> Self {
        Self { panel: true, ..Self::new(step, episodes, vec![]) }
    }

    /// Whether tokens were kept.
    pub fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Episodes of the `group`-th task; empty if there is none such.
    pub fn members(&self, group: usize) -> &[Episode] {
        self.groups.get(group).map_or(&[], |range| &self.episodes[range.clone()])
    }

    /// All tokens of an episode.
    pub fn episode_tokens(&self, episode: &Episode) -> &[TokenRecord] {
        let key = (episode.id.group, episode.id.member);
        between(&self.tokens, |t| (t.group, t.member).cmp(&key))
    }

    /// All tokens of the step, by group, member, turn and position.
    pub fn all_tokens(&self) -> &[TokenRecord] {
        &self.tokens
    }

    /// Where the tokens of an episode begin among all.
    pub fn token_start(&self, episode: &Episode) -> usize {
        let key = (episode.id.group, episode.id.member);
        self.tokens.partition_point(|t| (t.group, t.member) < key)
    }

    /// The tokens of one turn of an episode.
    pub fn turn_tokens(&self, episode: &Episode, turn: usize) -> &[TokenRecord] {
        between(self.episode_tokens(episode), |t| (t.turn as usize).cmp(&turn))
    }
}

fn between<T>(sorted: &[T], order: impl Fn(&T) -> std::cmp::Ordering) -> &[T] {
    let start = sorted.partition_point(|t| order(t).is_lt());
    let end = start + sorted[start..].partition_point(|t| order(t).is_eq());
    &sorted[start..end]
}

/// What a group of rollouts of one task teaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupSignal {
    pub mean: f32,
    /// Population standard deviation of the rewards.
    pub sigma: f32,
    /// All rewards are equal: group-relative advantages vanish.
    pub none: bool,
}

impl GroupSignal {
    /// Over the rewards of one group; `None` for an empty one.
    pub fn of(episodes: &[Episode]) -> Option<Self> {
        let n = episodes.len() as f32;
        let first = episodes.first()?.reward;
        let mean = episodes.iter().map(|e| e.reward).sum::<f32>() / n;
        let sigma = (episodes.iter().map(|e| (e.reward - mean).powi(2)).sum::<f32>() / n).sqrt();
        Some(Self { mean, sigma, none: episodes.iter().all(|e| e.reward == first) })
    }
}

/// The teacher's view of a stretch of tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenSignal {
    /// Sampled tokens, and how many of them are hot.
    pub sampled: usize,
    pub hot: usize,
    pub gate: Option<f32>,
    pub gap: Option<f32>,
    /// The gate of every sampled token that has one.
    pub gates: Vec<f64>,
}

impl TokenSignal {
    /// Over the sampled tokens of a stretch; masked ones do not count.
    pub fn of(tokens: &[TokenRecord]) -> Self {
        let sampled: Vec<_> = tokens.iter().filter(|t| t.mask).collect();
        let gaps: Vec<f32> = sampled.iter().filter_map(|t| t.gap()).filter(|g| g.is_finite()).collect();
        let gates: Vec<f64> = sampled.iter().filter_map(|t| t.gate).map(f64::from).collect();
        let gate: Vec<f32> = sampled.iter().filter_map(|t| t.gate).filter(|g| g.is_finite()).collect();
        let mean = |values: &[f32]| (!values.is_empty()).then(|| values.iter().sum::<f32>() / values.len() as f32);
        let hot = gaps.iter().filter(|g| g.abs() >= HOT_GAP).count();
        Self { sampled: sampled.len(), hot, gate: mean(&gate), gap: mean(&gaps), gates }
    }
}

/// Whether a token is worth jumping to.
pub fn is_hot(token: &TokenRecord) -> bool {
    token.is_hot()
}

/// A reply split into what the model thought (if it closed or opened a thought) and the rest.
pub fn split_thought(reply: &str) -> (Option<&str>, &str) {
    let Some(start) = reply.find("<think>") else { return (None, reply) };
    let inner = &reply[start + "<think>".len()..];
    match inner.find("</think>") {
        Some(end) => (Some(inner[..end].trim()), inner[end + "</think>".len()..].trim()),
        None => (Some(inner.trim()), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_split_even_when_cut_off() {
        assert_eq!(split_thought("<think>a b</think> go"), (Some("a b"), "go"));
        assert_eq!(split_thought("<think>endless"), (Some("endless"), ""));
        assert_eq!(split_thought("go"), (None, "go"));
    }
}
