//! Parts of a pass that multiply by each matrix together.
//!
//! A model that does not fit the caches is read from memory for every token, and by every thread that has rows of its own.
//! Here threads meet at a matrix instead, and each multiplies the rows of all of them by what it takes of the panels, so the
//! matrix is read once. Whoever waits too long closes the meeting and goes on alone, and so nobody depends on being run at
//! the same time as another; the numbers are the same to the last bit either way.

use std::hint::spin_loop;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicUsize};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use super::cpu::Out;
use super::panel::{Panels, Row};

/// How long a part waits for the others: as long as one may be held up by the system.
const PATIENCE: Duration = Duration::from_millis(2);
/// Looks at the clock or gives way to other threads after so many vain looks.
const LOOKS: usize = 1 << 10;
/// Shares of a matrix for every part: whoever is held up takes less.
const SHARES: usize = 4;

/// Where the parts of a pass meet.
pub(super) struct Meeting {
    brought: Vec<Brought>,
    /// Twice the arrivals in all rounds, and 1 once it is closed.
    arrived: AtomicUsize,
    /// Shares taken in all rounds.
    taken: AtomicUsize,
    /// Shares finished in all rounds.
    finished: AtomicUsize,
    patience: Duration,
}

/// What a part wants multiplied in this round, and by what.
#[derive(Default)]
struct Brought {
    w: AtomicPtr<Panels>,
    x: AtomicPtr<f32>,
    y: AtomicPtr<f32>,
    rows: AtomicUsize,
}

impl Brought {
    fn put(&self, w: &Panels, x: &[f32], y: &mut Vec<f32>, rows: usize) {
        self.w.store(std::ptr::from_ref(w).cast_mut(), Relaxed);
        self.x.store(x.as_ptr().cast_mut(), Relaxed);
        self.y.store(y.as_mut_ptr(), Relaxed);
        self.rows.store(rows, Relaxed);
    }
}

impl Meeting {
    pub fn new(parts: usize) -> Self {
        Self::patient(parts, PATIENCE)
    }

    fn patient(parts: usize, patience: Duration) -> Self {
        let brought = std::iter::repeat_with(Brought::default).take(parts).collect();
        let [arrived, taken, finished] = [0; 3].map(AtomicUsize::new);
        Self { brought, arrived, taken, finished, patience }
    }

    pub fn member(&self, part: usize) -> Member<'_> {
        Member { meeting: self, part, round: AtomicUsize::new(0) }
    }

    /// Arrives, and waits for the others. False: not all come, now or in any later round.
    fn all_come(&self, round: usize) -> bool {
        let all = 2 * self.brought.len() * (round + 1);
        let add = |arrived| (arrived & 1 == 0).then_some(arrived + 2);
        if self.arrived.fetch_update(Release, Acquire, add).is_err() {
            return false;
        }
        let start = Instant::now();
        let mut looks = 0;
        loop {
            let arrived = self.arrived.load(Acquire);
            if arrived >= all {
                return true;
            }
            if arrived & 1 == 1 {
                return false;
            }
            wait(&mut looks);
            if looks.is_multiple_of(LOOKS) && start.elapsed() > self.patience {
                // fails if somebody has come after all
                let _ = self.arrived.compare_exchange(arrived, arrived | 1, Release, Relaxed);
            }
        }
    }

    /// Shares of a round.
    fn shares(&self) -> usize {
        SHARES * self.brought.len()
    }

    /// A share of this round that nobody has taken.
    fn take(&self, round: usize) -> Option<usize> {
        let end = self.shares() * (round + 1);
        let taken = self.taken.fetch_update(Relaxed, Relaxed, |taken| (taken < end).then_some(taken + 1)).ok()?;
        Some(taken - self.shares() * round)
    }

    /// Waits until all shares of a round are finished. They are being worked on.
    fn finish(&self, round: usize) {
        let mut looks = 0;
        while self.finished.load(Acquire) < self.shares() * (round + 1) {
            wait(&mut looks);
        }
    }

    /// The rows of all parts, which all came to `w`. To be called with a share in hand.
    fn rows(&self, w: &Panels) -> Vec<Row<'_>> {
        let [m, k] = w.shape();
        assert!(self.brought.iter().all(|b| std::ptr::eq(b.w.load(Relaxed), w)), "parts of a pass took other ways");
        let rows = |brought: &Brought| {
            let (x, y) = (brought.x.load(Relaxed), brought.y.load(Relaxed));
            // SAFETY: the part that brought them waits in `Member::product`, where they are borrowed, until all is finished.
            let row = move |i| unsafe { (std::slice::from_raw_parts(x.add(i * k), k), y.add(i * m)) };
            (0..brought.rows.load(Relaxed)).map(row).map(|(x, y)| Row { x, y: Out::at(y, m) })
        };
        self.brought.iter().flat_map(rows).collect()
    }
}

fn wait(looks: &mut usize) {
    *looks += 1;
    if looks.is_multiple_of(LOOKS) { yield_now() } else { spin_loop() }
}

/// A part that has begun must finish: others write into its rows, and wait for its share.
struct Unfinished;

impl Drop for Unfinished {
    fn drop(&mut self) {
        std::process::abort()
    }
}

/// A part at the meeting. It must come to the same products in the same order as the others do; one that leaves early
/// closes the meeting.
pub(super) struct Member<'a> {
    meeting: &'a Meeting,
    part: usize,
    round: AtomicUsize,
}

impl Member<'_> {
    /// x [N, K] w^T -> [N, M], together with what the other parts bring.
    pub fn product(&self, w: &Panels, x: &[f32]) -> Vec<f32> {
        let meeting = self.meeting;
        let [m, k] = w.shape();
        let n = x.len() / k;
        let round = self.round.fetch_add(1, Relaxed);
        let mut y = Vec::with_capacity(n * m);
        meeting.brought[self.part].put(w, x, &mut y, n);
        if !meeting.all_come(round) {
            return w.product(x);
        }
        let mut rows = None;
        let unfinished = Unfinished;
        while let Some(share) = meeting.take(round) {
            // not before a share is taken: until that is finished, nobody takes back what was brought
            let rows = rows.get_or_insert_with(|| meeting.rows(w));
            w.share(rows, share, meeting.shares());
            meeting.finished.fetch_add(1, Release);
        }
        meeting.finish(round);
        std::mem::forget(unfinished);
        // SAFETY: all shares together have written all of it.
        unsafe { y.set_len(n * m) };
        y
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.meeting.arrived.fetch_or(1, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, salt: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37 + salt).sin()).collect()
    }

    /// Square matrices, so that any of them may follow another; of one panel and of many.
    fn matrices() -> Vec<Panels> {
        (0..3)
            .map(|i| Panels::of(&numbers(96 * 96, i as f32), 96))
            .chain([Panels::of(&numbers(20 * 96, 0.4), 96)])
            .collect()
    }

    /// Rows of a part: parts have different numbers of them.
    fn rows(part: usize) -> Vec<f32> {
        numbers((1 + 3 * part) * 96, part as f32)
    }

    /// Goes through the matrices `times` times, at the meeting, and holds what comes out against products made alone.
    fn attend(member: Member, matrices: &[Panels], times: usize) {
        let x = rows(member.part);
        for w in matrices.iter().cycle().take(4 * times) {
            assert!(member.product(w, &x) == w.product(&x));
        }
    }

    #[test]
    fn every_part_gets_its_own_rows() {
        let all = &matrices();
        for parts in [1, 2, 5] {
            let meeting = &Meeting::patient(parts, Duration::from_secs(600));
            std::thread::scope(|s| {
                (0..parts).for_each(|part| drop(s.spawn(move || attend(meeting.member(part), all, 10))))
            });
            assert_eq!(meeting.finished.load(Acquire), 40 * meeting.shares(), "somebody went on alone");
        }
    }

    #[test]
    fn a_part_that_leaves_keeps_nobody() {
        let meeting = &Meeting::patient(3, Duration::from_secs(600));
        let (all, times) = (&matrices(), [5, 2, 5]);
        std::thread::scope(|s| {
            (0..3).for_each(|part| drop(s.spawn(move || attend(meeting.member(part), all, times[part]))))
        });
        assert_eq!(meeting.finished.load(Acquire), 8 * meeting.shares());
    }

    #[test]
    fn a_part_that_does_not_come_keeps_nobody() {
        let meeting = Meeting::patient(2, Duration::ZERO);
        attend(meeting.member(0), &matrices(), 2);
        assert_eq!(meeting.finished.load(Acquire), 0);
        // too late
        attend(meeting.member(1), &matrices(), 2);
    }
}
