//! Advantages beyond the group's own statistics: anchors (GiGPO), roles (TRIAGE), and what reshapes them token by token.
//! Pure and detached.

use std::collections::BTreeMap;

use super::view::{Role, Tokens};

/// Discounted return from every turn of every row on, `sum_u gamma^u reward`. Under the `history` layout, where a row
/// is one turn, the later turns of the episode are found through group, member and index. [rows][turns]
pub fn returns_to_go(step: &Tokens, gamma: f64) -> Vec<Vec<f64>> {
    let mut episodes: BTreeMap<(usize, usize), BTreeMap<u32, f64>> = BTreeMap::new();
    for row in step.facts {
        let rewards = episodes.entry((row.group, row.member)).or_default();
        rewards.extend(row.turns.iter().map(|turn| (turn.index, turn.reward)));
    }
    let to_go = |rewards: &BTreeMap<u32, f64>| {
        let mut total = 0.0;
        let sums: Vec<(u32, f64)> = rewards
            .iter()
            .rev()
            .map(|(&index, reward)| {
                total = reward + gamma * total;
                (index, total)
            })
            .collect();
        sums.into_iter().collect::<BTreeMap<u32, f64>>()
    };
    let totals: BTreeMap<_, _> = episodes.iter().map(|(key, rewards)| (*key, to_go(rewards))).collect();
    let of = |row: &super::RowFacts| {
        let totals = &totals[&(row.group, row.member)]; // every row was entered above
        row.turns.iter().map(|turn| totals.get(&turn.index).copied().unwrap_or(0.0)).collect()
    };
    step.facts.iter().map(of).collect()
}

/// The turns of every episode in order, each by its row and its place among the row's turns. Under the `history` layout
/// they lie in several rows.
pub fn episodes(step: &Tokens) -> Vec<Vec<(usize, usize)>> {
    let mut episodes: BTreeMap<(usize, usize), BTreeMap<u32, (usize, usize)>> = BTreeMap::new();
    for (row, facts) in step.facts.iter().enumerate().filter(|(_, facts)| !facts.extra) {
        let turns = episodes.entry((facts.group, facts.member)).or_default();
        turns.extend(facts.turns.iter().enumerate().map(|(k, turn)| (turn.index, (row, k))));
    }
    episodes.into_values().map(|turns| turns.into_values().collect()).collect()
}

/// A weight for every turn from those of its episode, spread over its tokens; 1 outside every turn. [N]
pub fn by_episode(step: &Tokens, weigh: impl Fn(&[super::TurnFacts]) -> Vec<f64>) -> Vec<f64> {
    let mut weights = vec![1.0; step.len()];
    for episode in episodes(step) {
        let turns: Vec<super::TurnFacts> =
            episode.iter().map(|&(row, k)| step.facts[row].turns[k].clone()).filter(|t| !t.tokens.is_empty()).collect();
        for (turn, weight) in turns.iter().zip(weigh(&turns)) {
            weights[turn.tokens.clone()].fill(weight);
        }
    }
    weights
}

/// GiGPO's step-level advantage of every turn: its value less the mean over turns of the same group that were played in
/// the same state, divided by their spread if `normalise`. A state met once gives 0. Also the share of turns whose state
/// was met again. Extra rows are left out, theirs are 0. [rows][turns]
pub fn anchored(step: &Tokens, value: &[Vec<f64>], normalise: bool) -> (Vec<Vec<f64>>, f64) {
    let mut states: BTreeMap<(usize, u64), Vec<f64>> = BTreeMap::new();
    for (row, value) in step.facts.iter().zip(value).filter(|(row, _)| !row.extra) {
        for (turn, value) in row.turns.iter().zip(value) {
            states.entry((row.group, turn.anchor)).or_default().push(*value);
        }
    }
    let (mut hits, mut turns) = (0.0, 0.0);
    let mut relative = |group: usize, anchor: u64, value: f64| {
        let met = &states[&(group, anchor)]; // entered above
        turns += 1.0;
        if met.len() < 2 {
            return 0.0;
        }
        hits += 1.0;
        let mean = met.iter().sum::<f64>() / met.len() as f64;
        let squares: f64 = met.iter().map(|value| (value - mean).powi(2)).sum();
        let spread = if normalise { (squares / (met.len() - 1) as f64).sqrt() + 1e-6 } else { 1.0 };
        (value - mean) / spread
    };
    let advantages = step
        .facts
        .iter()
        .zip(value)
        .map(|(row, value)| {
            let of = |(turn, &value): (&super::TurnFacts, &f64)| match row.extra {
                true => 0.0,
                false => relative(row.group, turn.anchor, value),
            };
            row.turns.iter().zip(value).map(of).collect()
        })
        .collect();
    (advantages, if turns > 0.0 { hits / turns } else { 0.0 })
}

/// One value per turn -> one per token, added to `tokens`. [rows][turns] onto [N]
pub fn add_turns(tokens: &mut [f32], step: &Tokens, per_turn: &[Vec<f64>], factor: f64) {
    for (row, values) in step.facts.iter().zip(per_turn) {
        for (turn, value) in row.turns.iter().zip(values) {
            tokens[turn.tokens.clone()].iter_mut().for_each(|a| *a += (factor * value) as f32);
        }
    }
}

/// RLSD's reshaping: the reward keeps the sign, the teacher the size.
/// `A ((1 - share) + share clip(exp(sign(A) gap), 1 - eps, 1 + eps))`.
pub fn rlsd(advantage: f64, gap: f64, share: f64, eps: f64) -> f64 {
    let factor = (advantage.signum() * gap).exp().clamp(1.0 - eps, 1.0 + eps);
    advantage * ((1.0 - share) + share * factor)
}

/// TRIAGE's constants by role.
pub fn role_value(role: Role, constants: [f64; 4]) -> f64 {
    match role {
        Role::Decisive => constants[0],
        Role::Exploration => constants[1],
        Role::NoProgress => constants[2],
        Role::Regression => constants[3],
    }
}

/// Moves the values of all tokens inside rows to mean 0 and spread 1 (over turns, so that long replies do not weigh more).
pub fn whiten(step: &Tokens, advantage: &mut [f32]) {
    let turns: Vec<_> = step.facts.iter().flat_map(|row| &row.turns).filter(|turn| !turn.tokens.is_empty()).collect();
    if turns.len() < 2 {
        return;
    }
    let values: Vec<f64> = turns.iter().map(|turn| f64::from(advantage[turn.tokens.start])).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let spread = (squares / (values.len() - 1) as f64).sqrt() + 1e-8;
    for turn in turns {
        advantage[turn.tokens.clone()].iter_mut().for_each(|a| *a = ((f64::from(*a) - mean) / spread) as f32);
    }
}

/// SOLAR-RL's shaping of the steps up to and with the first failure: every step's validity in [0, 1] is its reward, the
/// failure costs `1 - validity`, and what is missing to the trajectory's target is spread over the positive steps before
/// it. A failure at the first step leaves none to spread it over. What lies behind the failure is cut off.
pub fn shaped_steps(validity: &[f64], target: f64, threshold: f64) -> Vec<f64> {
    let failure = validity.iter().position(|&v| v < threshold).unwrap_or(validity.len());
    let cut = validity.len().min(failure + 1);
    let mut shaped: Vec<f64> =
        validity[..cut].iter().enumerate().map(|(k, &v)| if k < failure { v } else { v - 1.0 }).collect();
    let missing = target - shaped.iter().sum::<f64>();
    let positive = shaped.iter().filter(|reward| **reward > 0.0).count() as f64;
    shaped.iter_mut().filter(|reward| **reward > 0.0).for_each(|reward| *reward += missing / positive);
    shaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{RowFacts, TurnFacts};

    fn row(member: usize, turns: &[(u64, f64)], start: usize) -> RowFacts {
        let turn = |(k, &(anchor, reward)): (usize, &(u64, f64))| TurnFacts {
            index: k as u32,
            tokens: start + k..start + k + 1,
            anchor,
            reward,
            ..TurnFacts::default()
        };
        RowFacts { member, turns: turns.iter().enumerate().map(turn).collect(), ..RowFacts::default() }
    }

    #[test]
    fn returns_are_discounted_and_compared_at_the_same_state() {
        let facts = [row(0, &[(1, 0.0), (2, 10.0)], 0), row(1, &[(1, 0.0), (3, 0.0)], 2)];
        let step = Tokens { facts: &facts, ..Tokens::default() };
        let to_go = returns_to_go(&step, 0.9);
        assert_eq!(to_go, [[9.0, 10.0], [0.0, 0.0]]);
        let (advantages, hits) = anchored(&step, &to_go, false);
        assert_eq!(advantages, [[4.5, 0.0], [-4.5, 0.0]]);
        assert_eq!(hits, 0.5);
        let (normal, _) = anchored(&step, &to_go, true);
        assert!((normal[0][0] - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-6);
        let mut tokens = vec![1.0f32; 4];
        add_turns(&mut tokens, &step, &advantages, 2.0);
        assert_eq!(tokens, [10.0, 1.0, -8.0, 1.0]);
    }

    #[test]
    fn rows_of_one_episode_share_their_returns() {
        let mut late = row(0, &[(2, 10.0)], 1);
        late.turns[0].index = 1;
        let facts = [row(0, &[(1, 0.0)], 0), late];
        assert_eq!(returns_to_go(&Tokens { facts: &facts, ..Tokens::default() }, 0.5), [[5.0], [10.0]]);
    }

    #[test]
    fn rlsd_keeps_the_sign() {
        for (gap, wanted) in [(-0.1, 0.761935), (0.2, 0.88), (1.0, 0.88), (0.0, 0.8)] {
            assert!((rlsd(0.8, gap, 0.5, 0.2) - wanted).abs() < 1e-6, "{gap}");
        }
        assert!((rlsd(-1.1, -0.7, 0.5, 0.2) + 1.21).abs() < 1e-9);
        assert!((rlsd(-1.1, -0.05, 0.5, 0.2) + 1.128199).abs() < 1e-6);
    }

    #[test]
    fn whitening_and_shaping() {
        let facts = [row(0, &[(1, 0.0), (2, 0.0)], 0), row(1, &[(1, 0.0)], 2)];
        let step = Tokens { facts: &facts, ..Tokens::default() };
        let mut advantage = [1.0f32, 2.0, 3.0];
        whiten(&step, &mut advantage);
        assert!(advantage.iter().zip([-1.0, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6));
        let shaped = shaped_steps(&[1.0, 0.8, 0.2, 1.0], 3.0, 0.5);
        assert!((shaped.iter().sum::<f64>() - 3.0).abs() < 1e-12, "sums to the target");
        assert!(shaped.len() == 3 && shaped[0] > shaped[1] && (shaped[2] + 0.8).abs() < 1e-12);
        assert_eq!(shaped_steps(&[0.25, 1.0, 1.0], 2.0, 0.5), [-0.75], "nothing before the failure to reward");
    }
}
