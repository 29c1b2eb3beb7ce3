//! Two rollouts against each other: which turns belong together, and where they first part.

use std::ops::Range;

use crate::core::{Episode, TokenRecord, Turn};

/// A comparison of two rollouts, or of two texts by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    pub pairs: Vec<Pair>,
    /// Where they first differ; `None` if they never do.
    pub first: Option<Parting>,
}

/// One line of a comparison: a part of the left, of the right, or of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub left: Option<usize>,
    pub right: Option<usize>,
    pub same: bool,
}

/// The first difference of two rollouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// Index into [`Diff::pairs`].
    pub pair: usize,
    pub what: Parts,
}

/// What differs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// The environment showed something else.
    Observation,
    /// The policy said something else, from this token of the turn on if tokens are known.
    Reply { token: Option<usize> },
    /// One goes on where the other has ended.
    Length,
}

/// Compares two rollouts. `tokens` gives the sampled tokens of a turn of the left and the right one.
pub fn rollouts<'a>(left: &Episode, right: &Episode, tokens: impl Fn(bool, usize) -> &'a [TokenRecord]) -> Diff {
    let key = |turn: &Turn| if turn.action.is_empty() { turn.reply.clone() } else { turn.action.clone() };
    let keys = |episode: &Episode| episode.turns.iter().map(key).collect::<Vec<_>>();
    let mut pairs = align(&keys(left), &keys(right));
    for pair in &mut pairs {
        let both = pair.left.zip(pair.right).map(|(l, r)| (&left.turns[l], &right.turns[r]));
        pair.same = both.is_some_and(|(l, r)| l.reply == r.reply && l.observation == r.observation);
    }
    let first = pairs.iter().position(|pair| !pair.same).map(|at| {
        let Pair { left: l, right: r, .. } = pairs[at];
        let Some((l, r)) = l.zip(r) else { return Parting { pair: at, what: Parts::Length } };
        let what = if left.turns[l].observation != right.turns[r].observation {
            Parts::Observation
        } else {
            let sampled = |own, turn| tokens(own, turn).iter().filter(|t| t.mask).map(|t| t.id).collect::<Vec<_>>();
            Parts::Reply { token: first_difference(&sampled(true, l), &sampled(false, r)) }
        };
        Parting { pair: at, what }
    });
    Diff { pairs, first }
}

/// Pairs the equal parts of two lists in order, as many as possible (longest common subsequence); of the rest, what
/// stands at the same place is paired as different. Lists longer than [`LONGEST`] are paired by place.
pub fn align<T: PartialEq>(left: &[T], right: &[T]) -> Vec<Pair> {
    let common = if left.len().max(right.len()) > LONGEST { vec![] } else { common(left, right) };
    let mut pairs = Vec::new();
    let (mut l, mut r) = (0, 0);
    for (next_l, next_r) in common.into_iter().chain([(left.len(), right.len())]) {
        for at in 0..(next_l - l).max(next_r - r) {
            let own = (l + at < next_l).then_some(l + at);
            let other = (r + at < next_r).then_some(r + at);
            let same = own.zip(other).is_some_and(|(l, r)| left[l] == right[r]);
            pairs.push(Pair { left: own, right: other, same });
        }
        if next_l < left.len() && next_r < right.len() {
            pairs.push(Pair { left: Some(next_l), right: Some(next_r), same: true });
        }
        (l, r) = (next_l + 1, next_r + 1);
    }
    pairs
}

/// Places of a longest common subsequence.
fn common<T: PartialEq>(left: &[T], right: &[T]) -> Vec<(usize, usize)> {
    let width = right.len() + 1;
    // lengths[l * width + r]: of the best between left[l..] and right[r..]
    let mut lengths = vec![0u16; (left.len() + 1) * width];
    for l in (0..left.len()).rev() {
        for r in (0..right.len()).rev() {
            lengths[l * width + r] = if left[l] == right[r] {
                lengths[(l + 1) * width + r + 1] + 1
            } else {
                lengths[(l + 1) * width + r].max(lengths[l * width + r + 1])
            };
        }
    }
    let (mut l, mut r, mut found) = (0, 0, Vec::new());
    while l < left.len() && r < right.len() {
        if left[l] == right[r] {
            found.push((l, r));
            (l, r) = (l + 1, r + 1);
        } else if lengths[(l + 1) * width + r] >= lengths[l * width + r + 1] {
            l += 1;
        } else {
            r += 1;
        }
    }
    found
}

fn first_difference(left: &[u32], right: &[u32]) -> Option<usize> {
    let known = !left.is_empty() && !right.is_empty();
    known.then(|| left.iter().zip(right).take_while(|(l, r)| l == r).count())
}

/// The part of each text that the other does not have, between their common beginning and end, at word bounds. Bytes.
pub fn middle(left: &str, right: &str) -> (Range<usize>, Range<usize>) {
    let words = |text: &str| -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        for (at, c) in text.char_indices() {
            let end = at + c.len_utf8();
            match out.last_mut() {
                Some(last) if c.is_alphanumeric() && text[last.clone()].ends_with(char::is_alphanumeric) => {
                    last.end = end
                }
                _ => out.push(at..end),
            }
        }
        out
    };
    let (a, b) = (words(left), words(right));
    let equal = |x: &Range<usize>, y: &Range<usize>| left[x.clone()] == right[y.clone()];
    let head = a.iter().zip(&b).take_while(|(x, y)| equal(x, y)).count();
    let most = a.len().min(b.len()) - head;
    let tail = a.iter().rev().zip(b.iter().rev()).take(most).take_while(|(x, y)| equal(x, y)).count();
    let cut = |words: &[Range<usize>], len: usize| {
        let start = words.get(head).map_or(len, |w| w.start);
        let end = words.len().checked_sub(tail + 1).and_then(|at| words.get(at)).map_or(0, |w| w.end);
        start..end.max(start)
    };
    (cut(&a, left.len()), cut(&b, right.len()))
}

/// Longest list that is aligned: the work grows with its square.
pub const LONGEST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Ending, EpisodeId, Stop, Task};
    use proptest::prelude::*;

    fn episode(actions: &[&str]) -> Episode {
        let turn = |action: &&str| Turn {
            observation: "you see a room".into(),
            reply: format!("I act. {action}"),
            action: (*action).into(),
            valid: true,
            reward: 0.0,
            tokens: 3,
            stop: Stop::Closed,
        };
        Episode {
            id: EpisodeId { step: 1, group: 0, member: 0 },
            task: Task { id: "a".into(), kind: "b".into(), goal: "c".into() },
            turns: actions.iter().map(turn).collect(),
            last_observation: String::new(),
            ending: Ending::Lost,
            reward: 0.0,
            score: 0.0,
            advantage: None,
            prompt: String::new(),
            teacher_prompt: String::new(),
            skills: vec![],
        }
    }

    fn pairs(diff: &Diff) -> Vec<(Option<usize>, Option<usize>, bool)> {
        diff.pairs.iter().map(|p| (p.left, p.right, p.same)).collect()
    }

    #[test]
    fn turns_are_aligned_and_the_first_parting_named() {
        let (left, right) = (episode(&["look", "open 2", "take"]), episode(&["look", "go 1", "go 2", "take"]));
        let diff = rollouts(&left, &right, |_, _| &[]);
        let expected =
            [(Some(0), Some(0), true), (Some(1), Some(1), false), (None, Some(2), false), (Some(2), Some(3), true)];
        assert_eq!(pairs(&diff), expected);
        assert_eq!(diff.first, Some(Parting { pair: 1, what: Parts::Reply { token: None } }));
        let mut other = left.clone();
        assert_eq!(rollouts(&left, &other, |_, _| &[]).first, None);
        other.turns[0].observation = "you see a hall".into();
        let what = |other: &Episode| rollouts(&left, other, |_, _| &[]).first.map(|f| (f.pair, f.what));
        assert_eq!(what(&other), Some((0, Parts::Observation)));
        other = left.clone();
        other.turns.pop();
        assert_eq!(what(&other), Some((2, Parts::Length)));
    }

    #[test]
    fn only_what_differs_is_marked() {
        let marked = |a: &str, b: &str| {
            let (l, r) = middle(a, b);
            (a[l].to_owned(), b[r].to_owned())
        };
        assert_eq!(marked("open cabinet 2", "open drawer 2"), ("cabinet".into(), "drawer".into()));
        assert_eq!(marked("go to cabinet 12", "go to cabinet 1"), ("12".into(), "1".into()));
        assert_eq!(marked("same", "same"), (String::new(), String::new()));
        assert_eq!(marked("", "new"), (String::new(), "new".into()));
        assert_eq!(marked("a a", "a a a").0, "");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn every_part_is_paired_once_and_in_order(
            left in prop::collection::vec(0u8..4, 0..12), right in prop::collection::vec(0u8..4, 0..12),
        ) {
            let pairs = align(&left, &right);
            let side = |of: fn(&Pair) -> Option<usize>| pairs.iter().filter_map(of).collect::<Vec<_>>();
            prop_assert_eq!(side(|p| p.left), (0..left.len()).collect::<Vec<_>>());
            prop_assert_eq!(side(|p| p.right), (0..right.len()).collect::<Vec<_>>());
            for pair in pairs {
                let equal = pair.left.zip(pair.right).map(|(l, r)| left[l] == right[r]);
                prop_assert_eq!(pair.same, equal.unwrap_or(false));
            }
        }

        #[test]
        fn middles_are_bounds_of_characters(left in "[ab 箱é]{0,8}", right in "[ab 箱é]{0,8}") {
            let (l, r) = middle(&left, &right);
            prop_assert_eq!([&left[..l.start], &left[l.end..]], [&right[..r.start], &right[r.end..]]);
        }
    }
}
