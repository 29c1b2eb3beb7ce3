//! What a method may know of a row beside its tokens, from the episode it was played in.

use std::ops::Range;

use super::rollout::Played;
use super::row::Row;
use crate::method::view::anchor;
use crate::method::{RowFacts, TurnFacts};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Sample;
    use crate::train::row::Prompt;

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
