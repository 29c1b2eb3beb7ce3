//! The heartbeat, from a thread of its own: a step of many minutes must not look like a dead trainer.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::reply::Standing;

/// Repeats the last standing until dropped; the last one is written before the drop returns.
pub struct Pulse {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    standing: Option<Standing>,
    /// Whether `standing` was not written yet.
    fresh: bool,
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Now> {
        // a standing is replaced whole, so one left by a panic is a good one
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// Starts a thread that calls `write` with every new standing, and with the last one every `every`. `None` if no
    /// thread can be started.
    pub fn start(every: Duration, mut write: impl FnMut(&Standing) + Send + 'static) -> Option<Pulse> {
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        let beat = move || {
            while let Some(standing) = next(&theirs, every) {
                write(&standing);
            }
        };
        let thread = thread::Builder::new().name("heartbeat".into()).spawn(beat).ok()?;
        Some(Pulse { shared, thread: Some(thread) })
    }

    /// Takes a new standing.
    pub fn set(&self, standing: &Standing) {
        let mut now = self.shared.lock();
        (now.standing, now.fresh) = (Some(standing.clone()), true);
        self.shared.changed.notify_one();
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is to be written next; `None` = it is over, and all was written.
fn next(shared: &Shared, every: Duration) -> Option<Standing> {
    let mut now = shared.lock();
    loop {
        let has_waited = if now.fresh || now.over {
            false
        } else {
            let (after, waited) = shared.changed.wait_timeout(now, every).unwrap_or_else(PoisonError::into_inner);
            now = after;
            waited.timed_out()
        };
        if std::mem::take(&mut now.fresh) || (has_waited && now.standing.is_some()) {
            return now.standing.clone();
        }
        if now.over {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::Pulse;
    use crate::run::status::State;
    use crate::session::Standing;

    #[test]
    fn it_repeats_the_last_standing_and_ends_with_it() {
        let standing = |step| Standing { state: State::Running, step, total: 9, phase: None, revision: 0, pid: 1 };
        let (send, beats) = channel();
        let pulse = Pulse::start(Duration::from_millis(1), move |s| send.send(s.step).unwrap()).unwrap();
        pulse.set(&standing(1));
        assert_eq!([beats.recv().unwrap(), beats.recv().unwrap(), beats.recv().unwrap()], [1, 1, 1]);
        pulse.set(&standing(2));
        drop(pulse);
        assert_eq!(beats.into_iter().last(), Some(2));
    }
}
