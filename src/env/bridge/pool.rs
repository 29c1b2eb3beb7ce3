//! Sessions, lent to one game at a time.
//!
//! A game that begins takes an idle session, or opens another while there are fewer than allowed, or waits for one to
//! come back: any number of games can be begun, and a server that allows one session plays them one after the other.
//! A server that says it is full lowers what is allowed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::link::{Fault, Link};

/// Opens a session.
pub type Connect = Box<dyn Fn() -> Result<Box<dyn Link>, Fault> + Send + Sync>;

/// All sessions with a server.
pub struct Pool {
    connect: Connect,
    /// How long to wait for a session while nothing at all happens.
    wait: Duration,
    state: Mutex<State>,
    freed: Condvar,
    stopped: AtomicBool,
}

struct State {
    idle: Vec<Box<dyn Link>>,
    lent: usize,
    most: usize,
    /// When a session was last taken or used.
    alive: Instant,
}

/// A session on loan; it goes back when dropped.
pub struct Lease {
    pool: Arc<Pool>,
    link: Option<Box<dyn Link>>,
}

impl Pool {
    /// A pool of at most `most` sessions; nothing is opened yet.
    pub fn new(connect: Connect, most: usize, wait: Duration) -> Arc<Pool> {
        let state = State { idle: Vec::new(), lent: 0, most: most.max(1), alive: Instant::now() };
        Arc::new(Pool {
            connect,
            wait,
            state: Mutex::new(state),
            freed: Condvar::new(),
            stopped: AtomicBool::new(false),
        })
    }

    /// Whether nobody is to wait for a session any more; whoever does now is told soon.
    pub fn stop_waiting(&self, stop: bool) {
        self.stopped.store(stop, Ordering::Relaxed);
    }

    /// Whether nobody is to wait.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Takes a session. Fails if none can be opened, none comes back while nothing happens for too long, or nobody is to
    /// wait.
    pub fn lease(self: &Arc<Self>) -> Result<Lease, Fault> {
        let mut state = self.state();
        loop {
            if state.idle.is_empty() && state.lent >= state.most {
                if self.is_stopped() {
                    return Err(Fault::Broken(format!("all {} sessions are in use", state.most)));
                }
                if state.alive.elapsed() > self.wait {
                    let seconds = self.wait.as_secs_f64();
                    let reason =
                        format!("all {} sessions are in use, and nothing happened for {seconds} s", state.most);
                    return Err(Fault::Broken(reason));
                }
                state = self.freed.wait_timeout(state, GLANCE).unwrap_or_else(|e| e.into_inner()).0;
                continue;
            }
            state.lent += 1;
            state.alive = Instant::now();
            let mut lease = Lease { pool: Arc::clone(self), link: state.idle.pop() };
            drop(state);
            if lease.link.is_none() {
                lease.link = Some((self.connect)()?);
            }
            return Ok(lease);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Lease {
    /// The session; `None` once it was found broken.
    pub fn link(&mut self) -> Option<&mut (dyn Link + 'static)> {
        self.pool.state().alive = Instant::now();
        self.link.as_deref_mut()
    }

    /// Closes the session instead of giving it back.
    pub fn discard(mut self) {
        self.link = None;
    }

    /// The server has no room for this session: no more than the others are asked for from now on.
    pub fn refused(mut self) {
        self.link = None;
        let mut state = self.pool.state();
        state.most = (state.lent - 1).max(1).min(state.most);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.lent -= 1;
        state.idle.extend(self.link.take());
        drop(state);
        self.pool.freed.notify_one();
    }
}

const GLANCE: Duration = Duration::from_millis(200);
