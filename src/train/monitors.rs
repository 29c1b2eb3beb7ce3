//! Monitors: numbers that show early how self-distillation goes wrong. All are over every token or episode of the step.

use std::collections::{BTreeMap, BTreeSet};

use super::lesson::{Lesson, Sums};
use super::rollout::Played;
use crate::core::{Ending, View};

/// Edges of the bins `gap_hist/0` to `gap_hist/8`, in nats: below the first, between two, above the last.
pub const GAP_EDGES: [f64; 8] = [-2.0, -1.0, -0.5, -0.1, 0.1, 0.5, 1.0, 2.0];

/// Adds the monitors to the numbers of a step; what the method measured itself stays.
pub fn add(played: &[Played], lessons: &[Lesson], sums: &Sums, put: &mut impl FnMut(&str, f64)) {
    gaps(lessons, put);
    told(lessons, put);
    ratios(lessons, put);
    weights(lessons, sums, put);
    if !sums.contains_key("anchor/hit_rate") {
        put("anchor/hit_rate", anchor_hits(lessons));
    }
    // the ratio of the summed sizes of dL/dlp: for every step, where `grad/aux_to_rl` takes a second backward pass
    if let (Some((aux, _)), Some((rl, _))) = (sums.get("coef/aux_abs"), sums.get("coef/rl_abs"))
        && *rl > 0.0
    {
        put("coef/aux_to_rl", aux / rl);
    }
    outcomes(played, put);
    views(played, put);
    if played.iter().any(|p| !p.episode.teacher_prompt.is_empty()) {
        put("leak/share", leaks(played));
    }
}

/// How gaps are spread: share of tokens in each bin of [`GAP_EDGES`], and three quantiles.
fn gaps(lessons: &[Lesson], put: &mut impl FnMut(&str, f64)) {
    let of = |l: &Lesson| -> Vec<f64> {
        let (Some(teacher), Some(seen)) = (&l.teacher, &l.seen) else { return vec![] };
        teacher.iter().zip(&seen.student).map(|(t, s)| f64::from(*t) - f64::from(*s)).collect()
    };
    let mut gaps: Vec<f64> = lessons.iter().flat_map(of).filter(|gap| gap.is_finite()).collect();
    if gaps.is_empty() {
        return;
    }
    gaps.sort_by(f64::total_cmp);
    let mut below = 0;
    for (bin, edge) in GAP_EDGES.into_iter().chain([f64::INFINITY]).enumerate() {
        let upto = gaps.partition_point(|gap| *gap < edge);
        put(&format!("gap_hist/{bin}"), (upto - below) as f64 / gaps.len() as f64);
        below = upto;
    }
    for (name, share) in [("gap/p10", 0.1), ("gap/p50", 0.5), ("gap/p90", 0.9)] {
        put(name, gaps[((gaps.len() - 1) as f64 * share).round() as usize]);
    }
}

/// What the teacher's prompt and weights change: the root mean square of its gap to the student of whom it was asked, that
/// of the step's start or, where the teacher lives, of the update. Unlike `gap/rms` it holds nothing of the step's own
/// updates, so that it is 0 where both read the same.
fn told(lessons: &[Lesson], put: &mut impl FnMut(&str, f64)) {
    let (mut squares, mut count) = (0.0, 0.0);
    for lesson in lessons.iter().filter(|l| !l.facts.extra) {
        let Some(teacher) = &lesson.teacher else { continue };
        let from = |student: &Vec<f32>| -> f64 {
            let gaps = teacher.iter().zip(student).map(|(t, s)| f64::from(*t) - f64::from(*s));
            gaps.filter(|gap| gap.is_finite()).map(|gap| gap * gap).sum() // no teacher scored the others
        };
        // what was sampled under the teacher's own prompt says nothing of the student's
        let start = (lesson.facts.view != View::Teacher).then(|| from(&lesson.row.sampled));
        let seen = lesson.seen.as_ref().map(|seen| from(&seen.student));
        let Some(least) = start.into_iter().chain(seen).reduce(f64::min) else { continue };
        squares += least;
        count += teacher.iter().filter(|t| t.is_finite()).count() as f64;
    }
    if count > 0.0 {
        put("gap/start_rms", (squares / count).sqrt());
    }
}

/// Share of groups in which anybody won (pass@G), and the length of a reply in tokens.
fn outcomes(played: &[Played], put: &mut impl FnMut(&str, f64)) {
    let mut groups: BTreeMap<u32, bool> = BTreeMap::new();
    let (mut tokens, mut replies) = (0.0, 0.0);
    for p in played.iter().filter(|p| p.episode.ending != Ending::EnvError) {
        *groups.entry(p.episode.id.group).or_default() |= p.episode.won();
        tokens += p.episode.turns.iter().map(|turn| f64::from(turn.tokens)).sum::<f64>();
        replies += p.episode.turns.len() as f64;
    }
    if replies > 0.0 {
        put("groups/any_won", groups.values().filter(|won| **won).count() as f64 / groups.len() as f64);
        put("reply/tokens", tokens / replies);
    }
}

/// The furthest the policy has moved from that of the step's start on a token of its own.
fn ratios(lessons: &[Lesson], put: &mut impl FnMut(&str, f64)) {
    let of = |l: &Lesson| -> Vec<f64> {
        let own = l.seen.as_ref().filter(|_| !l.facts.extra);
        own.map_or(vec![], |seen| {
            seen.student.iter().zip(&l.row.sampled).map(|(s, o)| f64::from(s - o).exp()).collect()
        })
    };
    let ratios: Vec<f64> = lessons.iter().flat_map(of).collect();
    if let (Some(low), Some(high)) = (ratios.iter().copied().reduce(f64::min), ratios.iter().copied().reduce(f64::max))
    {
        put("ratio/min", low);
        put("ratio/max", high);
    }
}

/// Mean and active share of what a method weighs tokens by, and the entropy, where the method did not measure them.
fn weights(lessons: &[Lesson], sums: &Sums, put: &mut impl FnMut(&str, f64)) {
    let seen = || lessons.iter().filter_map(|l| l.seen.as_ref());
    let gates: Vec<f64> =
        seen().filter_map(|s| s.gate.as_ref()).flatten().map(|g| f64::from(*g)).filter(|g| g.is_finite()).collect();
    if !gates.is_empty() && !sums.contains_key("gate/mean") {
        put("weight/mean", gates.iter().sum::<f64>() / gates.len() as f64);
        put("weight/active", gates.iter().filter(|g| **g != 0.0).count() as f64 / gates.len() as f64);
    }
    if !sums.contains_key("entropy/mean") {
        // where nothing was updated, as it was while sampling
        let of = |l: &'_ Lesson| l.seen.as_ref().map_or(l.row.entropy.clone(), |seen| seen.entropy.clone());
        let entropies: Vec<f64> = lessons.iter().flat_map(of).map(f64::from).collect();
        if !entropies.is_empty() {
            put("entropy/mean", entropies.iter().sum::<f64>() / entropies.len() as f64);
        }
    }
}

/// Share of turns whose state was met by another turn of the group: what step-level groups can work with.
fn anchor_hits(lessons: &[Lesson]) -> f64 {
    let turns = || {
        let own = lessons.iter().filter(|l| !l.facts.extra);
        own.flat_map(|l| l.facts.turns.iter().map(|turn| (l.facts.group, turn.anchor)))
    };
    let mut met: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    turns().for_each(|key| *met.entry(key).or_default() += 1);
    let hits = turns().filter(|key| met[key] > 1).count(); // counted just above
    hits as f64 / turns().count().max(1) as f64
}

/// Success of both views where a step was played under both.
fn views(played: &[Played], put: &mut impl FnMut(&str, f64)) {
    let success = |view: View| {
        let own: Vec<bool> = played.iter().filter(|p| p.view == view).map(|p| p.episode.won()).collect();
        (!own.is_empty()).then(|| own.iter().filter(|won| **won).count() as f64 / own.len() as f64)
    };
    if let (Some(plain), Some(skilled)) = (success(View::Plain), success(View::Skilled)) {
        put("success/plain_view", plain);
        put("success/skilled_view", skilled);
    }
}

/// Words in a row that count as a quotation.
const QUOTED: usize = 5;

/// Share of replies that quote what only the teacher read: [`QUOTED`] words in a row of the teacher's prompt that stand
/// neither in the student's prompt nor in anything the environment has said.
fn leaks(played: &[Played]) -> f64 {
    let (mut leaked, mut replies) = (0usize, 0usize);
    for p in played.iter().filter(|p| !p.episode.teacher_prompt.is_empty()) {
        let mut secret = phrases(&p.episode.teacher_prompt);
        let open: BTreeSet<Vec<String>> = phrases(&p.episode.prompt);
        secret.retain(|phrase| !open.contains(phrase));
        for turn in &p.episode.turns {
            let said = phrases(&turn.observation);
            secret.retain(|phrase| !said.contains(phrase));
            replies += 1;
            leaked += usize::from(phrases(&turn.reply).iter().any(|phrase| secret.contains(phrase)));
        }
    }
    leaked as f64 / replies.max(1) as f64
}

fn phrases(text: &str) -> BTreeSet<Vec<String>> {
    let words: Vec<String> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    words.windows(QUOTED).map(<[String]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_words_in_a_row_are_a_quotation() {
        let found = phrases("Heat it, THEN put it  away.");
        assert_eq!(found.len(), 2);
        assert!(found.contains(["it", "then", "put", "it", "away"].map(String::from).as_slice()));
        assert!(phrases("four words are few").is_empty());
    }
}
