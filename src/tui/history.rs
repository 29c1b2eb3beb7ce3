//! The records of a run and how far into them the screen looks.
//!
//! A live view is always folded to the end and keeps no records. A replay keeps them, its steps as they were folded
//! once, and folds a prefix: moving forward folds only what is new, moving back folds again from the start.

use crate::core::{Record, RunEvent};
use crate::run::view::{RunView, StepView};

/// Records with a position, and the view folded up to it.
#[derive(Debug, Default)]
pub struct History {
    view: RunView,
    replay: Option<Replay>,
}

/// The kept records of a replay.
#[derive(Debug, Default)]
struct Replay {
    records: Vec<Kept>,
    /// For position `i`, how many records are shown and the last step among them. Position 0 is before the
    /// first step; then one per step.
    cuts: Vec<(usize, u64)>,
    position: usize,
    folded: usize,
}

/// A record as a replay keeps it.
#[derive(Debug)]
enum Kept {
    Step(StepView),
    Other(Box<Record>),
}

impl Kept {
    fn fold(&self, view: &mut RunView) {
        match self {
            Kept::Step(step) => view.stepped(step.clone()),
            Kept::Other(record) => view.apply(record),
        }
    }
}

impl History {
    /// A history that follows its end.
    pub fn live() -> Self {
        Self::default()
    }

    /// A history that can be walked; it starts at its end.
    pub fn replay() -> Self {
        Self { view: RunView::default(), replay: Some(Replay { cuts: vec![(0, 0)], ..Replay::default() }) }
    }

    /// The fold up to the position.
    pub fn view(&self) -> &RunView {
        &self.view
    }

    /// Takes new records in. A replay that stands at its end stays there.
    pub fn extend(&mut self, records: Vec<Record>) {
        match &mut self.replay {
            None => records.iter().for_each(|record| self.view.apply(record)),
            Some(replay) => {
                let at_end = replay.position + 1 == replay.cuts.len();
                replay.keep(records);
                replay.cuts = cuts(&replay.records);
                let position = if at_end { replay.cuts.len() - 1 } else { replay.position };
                self.seek(position);
            }
        }
    }

    /// Position now and the last one; (0, 0) when live.
    pub fn position(&self) -> (usize, usize) {
        self.replay.as_ref().map_or((0, 0), |r| (r.position, r.cuts.len() - 1))
    }

    /// Goes to a position (clamped). Does nothing when live.
    pub fn seek(&mut self, position: usize) {
        let Some(replay) = &mut self.replay else { return };
        replay.position = position.min(replay.cuts.len() - 1);
        let target = replay.cuts[replay.position].0;
        if target < replay.folded {
            self.view = RunView::default();
            replay.folded = 0;
        }
        replay.records[replay.folded..target].iter().for_each(|record| record.fold(&mut self.view));
        replay.folded = target;
    }

    /// Goes to the position of a step: the last one at or before it.
    pub fn seek_step(&mut self, step: u64) {
        let Some(replay) = &self.replay else { return };
        let position = replay.cuts.iter().rposition(|(_, last)| *last <= step).unwrap_or(0);
        self.seek(position);
    }

    /// Last recorded step, also when the position is before it.
    pub fn last_recorded_step(&self) -> u64 {
        let end = |r: &Replay| r.cuts.last().map_or(0, |(_, step)| *step);
        self.replay.as_ref().map_or(self.view.last_step(), end)
    }
}

impl Replay {
    /// Takes records in. Steps are folded here, once, and shared by all views from then on.
    fn keep(&mut self, records: Vec<Record>) {
        let mut view = RunView::default();
        // the last steps known lend their names
        let last = self.records.iter().rev().filter_map(|r| if let Kept::Step(s) = r { Some(s) } else { None });
        let mut known: Vec<StepView> = last.take(LAST).cloned().collect();
        known.reverse();
        view.steps = known;
        for record in records {
            if matches!(record.event, RunEvent::Stepped { .. }) {
                view.apply(&record);
                self.records.extend(view.steps.last().cloned().map(Kept::Step));
            } else {
                self.records.push(Kept::Other(Box::new(record)));
            }
        }
    }
}

/// Steps looked back at for one with the same names.
const LAST: usize = 24;

/// A cut lies before the first progress (or step) that follows a completed step: evaluations, checkpoints and
/// alerts of a step belong to its position.
fn cuts(records: &[Kept]) -> Vec<(usize, u64)> {
    let (mut cuts, mut complete, mut last) = (Vec::new(), true, 0);
    for (at, record) in records.iter().enumerate() {
        let begins = match record {
            Kept::Step(_) => true,
            Kept::Other(record) => matches!(record.event, RunEvent::Progress { .. }),
        };
        if complete && begins {
            cuts.push((at, last));
            complete = false;
        }
        if let Kept::Step(step) = record {
            (last, complete) = (step.step, true);
        }
    }
    match cuts.last_mut() {
        // An unfinished step at the end has no position of its own: its records belong to the last one.
        Some(end) if !complete => end.0 = records.len(),
        _ => cuts.push((records.len(), last)),
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Phase;

    fn record(event: RunEvent) -> Record {
        Record { at_ms: 1, event }
    }

    fn records(steps: u64) -> Vec<Record> {
        let step = |step| {
            [
                RunEvent::Progress { step, phase: Phase::Rollout, done: 0, total: 4 },
                RunEvent::Stepped { step, metrics: Default::default(), skills: vec![] },
                RunEvent::Warned { step, message: "after".into() },
            ]
        };
        (1..=steps).flat_map(step).map(record).collect()
    }

    #[test]
    fn every_position_equals_a_fresh_fold_of_its_prefix() {
        let all = records(5);
        let mut history = History::replay();
        history.extend(all.clone());
        assert_eq!(history.position(), (5, 5));
        for position in [0, 3, 1, 5, 2] {
            history.seek(position);
            let mut fresh = RunView::default();
            all[..3 * position].iter().for_each(|r| fresh.apply(r));
            assert_eq!(history.view(), &fresh, "position {position}");
        }
        history.seek_step(4);
        assert_eq!((history.position().0, history.view().last_step(), history.view().alerts.len()), (4, 4, 4));
    }

    #[test]
    fn a_live_history_folds_everything() {
        let mut history = History::live();
        history.extend(records(2));
        history.extend(records(3)[6..].to_vec());
        assert_eq!(history.view().last_step(), 3);
        history.seek(0);
        assert_eq!(history.view().last_step(), 3);
    }
}
