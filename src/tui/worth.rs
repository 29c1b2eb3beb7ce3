//! What is known of every skill at a step: its card, what came of it, whether it is still in the bank.

use std::collections::BTreeMap;

use crate::core::skill::{Author, Happened, SkillCard, SkillUse};
use crate::run::index::RolloutRow;
use crate::run::view::RunView;

/// A skill of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Worth {
    pub id: String,
    pub title: String,
    pub status: Status,
    /// As it stands in the bank, or last stood; `None` where only its uses were recorded.
    pub card: Option<SkillCard>,
    /// Its last use, and the step of that.
    pub used: Option<(u64, SkillUse)>,
    /// Uses and won ones, over all steps.
    pub uses: u64,
    pub won: u64,
    /// Success with it less success without it, on the same types of task.
    pub uplift: Option<f64>,
    pub gap: Option<f64>,
    pub gate: Option<f64>,
    pub ucb: Option<f64>,
    /// First step whose teacher could read it.
    pub since: u64,
}

/// Whether a skill can be retrieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    Disabled,
    /// No longer in the bank.
    Gone(Happened),
}

impl Status {
    /// Sign and word.
    pub fn shown(self) -> (&'static str, &'static str) {
        match self {
            Status::Active => ("●", "active"),
            Status::Disabled => ("◇", "disabled"),
            Status::Gone(happened) => (sign(happened), word(happened)),
        }
    }
}

/// The sign of a change of the bank.
pub fn sign(happened: Happened) -> &'static str {
    match happened {
        Happened::Added => "+",
        Happened::Edited => "✎",
        Happened::Disabled => "◇",
        Happened::Enabled => "●",
        Happened::Retired => "✖",
        Happened::Evicted => "▼",
        Happened::Removed => "−",
    }
}

/// The word of a change of the bank.
pub fn word(happened: Happened) -> &'static str {
    match happened {
        Happened::Added => "added",
        Happened::Edited => "edited",
        Happened::Disabled => "disabled",
        Happened::Enabled => "enabled",
        Happened::Retired => "retired",
        Happened::Evicted => "evicted",
        Happened::Removed => "removed",
    }
}

/// How the list is ordered; the largest is first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    #[default]
    Uses,
    Uplift,
    Gap,
    Gate,
    Ucb,
    Newest,
}

impl By {
    const ALL: [(By, &'static str); 6] = [
        (By::Uses, "uses"),
        (By::Uplift, "uplift"),
        (By::Gap, "gap"),
        (By::Gate, "gate"),
        (By::Ucb, "UCB"),
        (By::Newest, "newest"),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()].0
    }

    fn key(self, worth: &Worth) -> f64 {
        let value = match self {
            By::Uses => Some(worth.uses as f64),
            By::Uplift => worth.uplift,
            By::Gap => worth.gap,
            By::Gate => worth.gate,
            By::Ucb => worth.ucb,
            By::Newest => Some(worth.since as f64),
        };
        value.filter(|v| v.is_finite()).unwrap_or(f64::NEG_INFINITY)
    }
}

/// Every skill that was ever in the bank or in use up to `step`; those that are gone come last.
pub fn list(view: &RunView, step: u64, by: By) -> Vec<Worth> {
    let mut gone: BTreeMap<&str, (Happened, &SkillCard)> = BTreeMap::new();
    for (_, change) in view.bank.changes(step) {
        if change.happened.is_end() {
            gone.insert(&change.skill.id, (change.happened, &change.skill));
        } else {
            gone.remove(change.skill.id.as_str());
        }
    }
    let used = view.skill_uses(step);
    let summed = summed(view, step);
    let find = |id: &str| used.get(id).map(|(step, used)| (*step, (*used).clone()));
    let mut out: Vec<Worth> = Vec::new();
    for card in view.bank.at(step) {
        let status = if card.disabled { Status::Disabled } else { Status::Active };
        out.push(worth(&card.id, Some(card), status, find(&card.id), &summed));
    }
    for (id, (happened, card)) in gone {
        if !out.iter().any(|w| w.id == id) {
            out.push(worth(id, Some(card), Status::Gone(happened), find(id), &summed));
        }
    }
    for id in used.keys() {
        if !out.iter().any(|w| w.id == *id) {
            out.push(worth(id, None, Status::Active, find(id), &summed));
        }
    }
    let is_gone = |w: &Worth| matches!(w.status, Status::Gone(_));
    out.sort_by(|a, b| is_gone(a).cmp(&is_gone(b)).then(by.key(b).total_cmp(&by.key(a))).then_with(|| a.id.cmp(&b.id)));
    out
}

/// Uses, won uses, and the sum and count of gaps by skill: runs of older versions have no totals.
type Summed<'a> = BTreeMap<&'a str, (u64, u64, f64, f64)>;

fn summed(view: &RunView, step: u64) -> Summed<'_> {
    let mut sums = Summed::new();
    for used in view.steps.iter().take_while(|s| s.step <= step).flat_map(|s| s.skills.iter()) {
        let sum = sums.entry(&used.id).or_default();
        (sum.0, sum.1) = (sum.0 + u64::from(used.uses), sum.1 + u64::from(used.won));
        if let Some(gap) = used.gap.filter(|g| g.is_finite()) {
            (sum.2, sum.3) = (sum.2 + gap * f64::from(used.uses), sum.3 + f64::from(used.uses));
        }
    }
    sums
}

fn worth(id: &str, card: Option<&SkillCard>, status: Status, used: Option<(u64, SkillUse)>, summed: &Summed) -> Worth {
    let total = used.as_ref().map(|(_, used)| used.total).unwrap_or_default();
    let (uses, won, gaps, count) = summed.get(id).copied().unwrap_or_default();
    let title = card.map(|c| c.title.clone()).or_else(|| used.as_ref().map(|(_, u)| u.title.clone()));
    Worth {
        id: id.to_owned(),
        title: title.filter(|t| !t.is_empty()).unwrap_or_else(|| id.to_owned()),
        status,
        uses: total.uses.max(uses),
        won: if total.uses > 0 { total.won } else { won },
        uplift: total.uplift(),
        gap: total.gap.or((count > 0.0).then(|| gaps / count)),
        gate: total.gate,
        ucb: total.ucb,
        since: card.map_or(0, |c| c.provenance.step),
        card: card.cloned(),
        used,
    }
}

/// Who wrote a skill, in words.
pub fn author(card: &SkillCard) -> String {
    let from = &card.provenance;
    let mut said = match from.author {
        Author::File => "from the bank's files".to_owned(),
        Author::Hand => "written by hand".to_owned(),
        other => format!("by the {}", other.name()),
    };
    if let Some(id) = from.episode {
        said += &format!(", of step {} rollout {}.{}", id.step, id.group + 1, id.member + 1);
    }
    if let Some(model) = &from.model {
        said += &format!(", model {model}");
    }
    if let Some(task) = &from.task {
        said += &format!(" ({task})");
    }
    if from.step > 0 { format!("{said}, since step {}", from.step) } else { said }
}

/// Success with and without a skill, over recorded rollouts of the kinds of task it was shown for: (won, of) each.
pub fn measured(rows: &[RolloutRow], id: &str) -> ((u64, u64), (u64, u64)) {
    let has = |row: &&RolloutRow| row.skills.iter().any(|s| s == id);
    let kinds: std::collections::BTreeSet<&str> = rows.iter().filter(has).map(|r| r.task.kind.as_str()).collect();
    let (mut with, mut without) = ((0, 0), (0, 0));
    for row in rows.iter().filter(|r| kinds.contains(r.task.kind.as_str())) {
        let side = if has(&row) { &mut with } else { &mut without };
        side.0 += u64::from(row.ending == crate::core::Ending::Won);
        side.1 += 1;
    }
    (with, without)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Metrics;
    use crate::core::skill::{BankChange, SkillTotals};
    use crate::core::{Record, RunEvent};

    fn card(id: &str, disabled: bool) -> SkillCard {
        SkillCard { id: id.into(), title: id.to_uppercase(), disabled, ..SkillCard::default() }
    }

    fn view() -> RunView {
        let mut view = RunView::default();
        let gone = BankChange { happened: Happened::Retired, skill: card("b", false), reason: "harm".into() };
        let total = SkillTotals { uses: 9, won: 6, other_uses: 4, other_won: 1, ..SkillTotals::default() };
        let used =
            |id: &str, total| SkillUse { id: id.into(), uses: 2, won: 1, gap: Some(0.5), total, ..SkillUse::default() };
        let events = [
            RunEvent::BankLoaded { step: 0, skills: vec![card("a", false), card("b", false), card("c", true)] },
            RunEvent::Stepped {
                step: 1,
                metrics: Metrics::new(),
                skills: vec![used("a", total), used("old", SkillTotals::default())],
            },
            RunEvent::BankChanged { step: 2, changes: vec![gone] },
            RunEvent::Stepped { step: 2, metrics: Metrics::new(), skills: vec![used("old", SkillTotals::default())] },
        ];
        events.into_iter().for_each(|event| view.apply(&Record { at_ms: 1, event }));
        view
    }

    #[test]
    fn every_skill_has_its_status_and_worth() {
        let all = list(&view(), 2, By::Uplift);
        let ids: Vec<_> = all.iter().map(|w| (w.id.as_str(), w.status)).collect();
        let expected = [
            ("a", Status::Active),
            ("c", Status::Disabled),
            ("old", Status::Active),
            ("b", Status::Gone(Happened::Retired)),
        ];
        assert_eq!(ids, expected, "known uplift first, what is gone last");
        assert_eq!((all[0].uses, all[0].won, all[0].title.as_str()), (9, 6, "A"));
        assert!((all[0].uplift.unwrap() - (6.0 / 9.0 - 0.25)).abs() < 1e-12);
        assert_eq!((all[2].uses, all[2].won, all[2].gap), (4, 2, Some(0.5)), "summed where no totals were recorded");
        assert_eq!(list(&view(), 1, By::Uses).iter().filter(|w| w.status == Status::Active).count(), 3);
    }
}
