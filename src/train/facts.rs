//! What a method may know of a row beside its tokens, from the episode it was played in.

use std::ops::Range;

use super::rollout::Played;
use super::row::Row;
use crate::core::Turn;
use crate::method::view::anchor;
use crate::method::{RowFacts, TurnFacts};
use crate::text::Text;

/// Facts of one row of an episode; token places count the sampled tokens of the row.
pub fn of(played: &Played, row: &Row) -> RowFacts {
    let episode = &played.episode;
    RowFacts {
        group: episode.id.group as usize,
        member: episode.id.member as usize,
        episode_return: f64::from(episode.reward),
        won: episode.won(),
        score: f64::from(episode.score),
        penalty: f64::from(row.penalty),
        view: played.view,
        taught: false,
        extra: played.extra,
        turns: spans(row).into_iter().map(|(index, tokens)| turn(played, row, index, tokens)).collect(),
    }
}

fn turn(played: &Played, row: &Row, index: u32, tokens: Range<usize>) -> TurnFacts {
    let action = row.actions.iter().find(|(turn, _)| *turn == index).map(|(_, action)| action.clone());
    let turn = played.episode.turns.get(index as usize);
    let verdict = played.verdicts.iter().find(|verdict| verdict.turn == index);
    TurnFacts {
        index,
        action: action.unwrap_or(tokens.start..tokens.start),
        tokens,
        reward: turn.map_or(0.0, |turn| f64::from(turn.reward)),
        anchor: turn.map_or(0, |turn| anchor(&turn.observation)),
        valid: turn.is_some_and(|turn| turn.valid),
        role: verdict.and_then(|verdict| verdict.role),
        chosen: verdict.is_some_and(|verdict| verdict.feedback.is_some()),
    }
}

/// The sampled tokens of each turn, numbered inside the row.
fn spans(row: &Row) -> Vec<(u32, Range<usize>)> {
    let mut spans: Vec<(u32, Range<usize>)> = vec![];
    for (i, position) in row.positions().enumerate() {
        let turn = row.turns[position];
        match spans.last_mut() {
            Some((last, span)) if *last == turn => span.end = i + 1,
            _ => spans.push((turn, i..i + 1)),
        }
    }
    spans
}

/// Which tokens of the last turn's reply say its action; none where the action does not stand in the reply.
pub(super) fn action_tokens(text: &Text, ids: &[u32], turns: &[Turn]) -> Range<usize> {
    let action = turns.last().map_or("", |turn| turn.action.trim());
    let pieces = text.bytes(ids);
    let reply = String::from_utf8_lossy(&pieces.concat()).into_owned();
    // a projection may have put the action in lower case; only where no byte moves can its place be told then
    let lower = reply.to_lowercase();
    let found = reply.rfind(action).or_else(|| lower.rfind(action).filter(|_| lower.len() == reply.len()));
    let Some(start) = found.filter(|_| !action.is_empty()) else { return 0..0 };
    let ends = pieces.iter().scan(0, |end, piece| {
        *end += piece.len();
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    let first = ends.partition_point(|end| *end <= start);
    let last = ends.partition_point(|end| *end < start + action.len());
    first..(last + 1).min(ids.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Sample;
    use crate::train::row::Prompt;

    #[test]
    fn actions_are_found_in_replies() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = ["<think>so</think><action>go to desk 1</action>".to_owned()];
        crate::text::train::write(folder.path(), corpus.into_iter(), 270).unwrap();
        let text = Text::load(folder.path()).unwrap();
        let turn = |action: &str| Turn {
            observation: String::new(),
            reply: String::new(),
            action: action.into(),
            valid: true,
            reward: 0.0,
            tokens: 0,
            stop: crate::core::Stop::Closed,
        };
        let ids = text.encode("<think>go to desk 1?</think><action>Go to desk 1</action>").unwrap();
        let said = |action: &str| {
            let range = action_tokens(&text, &ids, &[turn(action)]);
            String::from_utf8(text.bytes(&ids[range]).concat()).unwrap()
        };
        assert!(said("go to desk 1").to_lowercase().contains("go to desk 1"));
        assert!(said("Go to desk 1").contains("Go to desk 1") && said("Go to desk 1").len() < 20);
        assert_eq!((said(""), said("look")), (String::new(), String::new()));
    }

    #[test]
    fn turns_own_their_sampled_tokens() {
        let mut row = Row::begin(Prompt::Transcript { observation: String::new() }, &[1, 2], 0);
        let sample = |ids: &[u32]| Sample { ids: ids.into(), logp: vec![-0.5; ids.len()], ..Sample::default() };
        row.reply(&sample(&[7, 8]), 0.0);
        row.given(&[4, 5], 1);
        row.reply(&sample(&[9]), 0.0);
        assert_eq!(spans(&row), [(0, 0..2), (1, 2..3)]);
        assert_ne!(anchor("a desk"), anchor("a shelf"));
    }
}
