//! Episodes become skills in the background: a queue of bounded length, workers on tokio, and the distiller wherever
//! the endpoint fails.
//!
//! 1. Nobody waits for the queue: when it is full, the oldest jobs give way.
//! 2. The distiller needs no network: what it was given is always done when it is asked for ([`Scribe::take`]).
//! 3. An endpoint is tried `1 + retries` times with growing pauses. After [`PATIENCE`] jobs in a row that failed it
//!    counts as down: an alert says so, the distiller does the jobs, and every [`PROBE`]th one asks again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{Notify, oneshot};

use super::endpoint::Endpoint;
use crate::core::event::Level;
use crate::core::skill::Author;
use crate::skill::Form;
use crate::skill::ask;
use crate::skill::draft::{Answer, Job, JobKey};
use crate::train::learn::Scribe;

/// The background.
pub struct Summariser {
    shared: Arc<Shared>,
    answers: Receiver<Done>,
    /// Everything handed in and not taken or passed over, by ticket.
    open: VecDeque<(u64, JobKey)>,
    /// Done, but not asked for yet.
    kept: Vec<(u64, Answer)>,
    next: u64,
    backlog: usize,
    patient: bool,
    alerts: Vec<(Level, String)>,
    /// Dropped with this: the thread lets go of what is still on its way.
    _stop: oneshot::Sender<()>,
}

/// What a worker sends.
enum Done {
    Answer(u64, Box<Answer>),
    Alert(Level, String),
}

/// What workers share.
struct Shared {
    queue: Mutex<VecDeque<(u64, Job)>>,
    more: Notify,
    form: Form,
    endpoint: Option<Endpoint>,
    /// Jobs in a row that failed, and jobs since.
    failed: AtomicU32,
    asked: AtomicU64,
}

impl Summariser {
    /// Workers that hand every job to `endpoint`, or to the distiller if there is none. At most `backlog` jobs wait.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(endpoint: Option<Endpoint>, form: Form, backlog: usize, concurrent: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the runtime that makes skills")?;
        let patient = endpoint.is_none();
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            more: Notify::new(),
            form,
            endpoint,
            failed: AtomicU32::new(0),
            asked: AtomicU64::new(0),
        });
        let (sender, answers) = channel();
        for _ in 0..concurrent.max(1) {
            runtime.spawn(work(shared.clone(), sender.clone()));
        }
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            // ends when the other side is dropped, which is an error to `stopped`
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        thread::Builder::new().name("skills".into()).spawn(run).context("cannot start the thread that makes skills")?;
        let (open, kept, alerts) = (VecDeque::new(), vec![], vec![]);
        Ok(Self { shared, answers, open, kept, next: 0, backlog: backlog.max(1), patient, alerts, _stop: stop })
    }

    fn hear(&mut self, done: Done) {
        match done {
            Done::Answer(ticket, answer) => self.kept.push((ticket, *answer)),
            Done::Alert(level, message) => self.alerts.push((level, message)),
        }
    }
}

impl Scribe for Summariser {
    fn queue(&mut self, jobs: Vec<Job>) -> u64 {
        let mut queue = self.shared.lock();
        for job in jobs {
            self.open.push_back((self.next, job.key()));
            queue.push_back((self.next, job));
            self.next += 1;
        }
        let excess = queue.len().saturating_sub(self.backlog);
        let dropped: Vec<u64> = queue.drain(..excess).map(|(ticket, _)| ticket).collect();
        drop(queue);
        self.open.retain(|(ticket, _)| dropped.binary_search(ticket).is_err());
        self.shared.more.notify_waiters();
        self.shared.more.notify_one();
        dropped.len() as u64
    }

    fn take(&mut self) -> Vec<Answer> {
        while self.patient && self.kept.len() < self.open.len() {
            // the workers are gone only if the program is in pieces: then there is nothing to wait for
            let Ok(done) = self.answers.recv() else { break };
            self.hear(done);
        }
        while let Ok(done) = self.answers.try_recv() {
            self.hear(done);
        }
        let mut done = std::mem::take(&mut self.kept);
        done.sort_by_key(|(ticket, _)| *ticket);
        self.open.retain(|(ticket, _)| done.binary_search_by_key(ticket, |(t, _)| *t).is_err());
        done.into_iter().map(|(_, answer)| answer).collect()
    }

    fn waiting(&self) -> Vec<JobKey> {
        self.open.iter().map(|(_, key)| key.clone()).collect()
    }

    fn depends_on_time(&self) -> bool {
        !self.patient
    }

    fn alerts(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.alerts)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Job)>> {
        // a list of jobs is whole whatever happened to who held it
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One worker: a job at a time, for ever.
async fn work(shared: Arc<Shared>, out: Sender<Done>) {
    loop {
        let more = shared.more.notified();
        let Some((ticket, job)) = ({ shared.lock().pop_front() }) else {
            more.await;
            continue;
        };
        // the next one of the queue may be for another worker
        shared.more.notify_one();
        let answer = Box::new(answer(&shared, job, &out).await);
        if out.send(Done::Answer(ticket, answer)).is_err() {
            return;
        }
    }
}

async fn answer(shared: &Arc<Shared>, job: Job, out: &Sender<Done>) -> Answer {
    let Some(endpoint) = &shared.endpoint else { return Answer::distilled(&job, shared.form) };
    let down = shared.failed.load(Ordering::Relaxed) >= PATIENCE;
    let turn = shared.asked.fetch_add(1, Ordering::Relaxed);
    if down && !turn.is_multiple_of(PROBE) {
        return fallback(shared, &job, "the endpoint is down".into());
    }
    let question = ask::question(&job);
    match endpoint.ask(&question).await {
        Ok(text) => {
            if shared.failed.swap(0, Ordering::Relaxed) >= PATIENCE {
                let message = format!("the endpoint `{}` answers again and makes the skills", endpoint.url());
                let _ = out.send(Done::Alert(Level::Info, message));
            }
            let mut provenance = job.provenance(Author::Endpoint);
            provenance.model = Some(endpoint.model().to_owned());
            provenance.prompt = Some(ask::hash(&question));
            let (drafts, malformed) = ask::read(&job, &text).map_or((vec![], 1), |drafts| (drafts, 0));
            Answer { key: job.key(), provenance, drafts, malformed, fallback: None }
        }
        Err(error) => {
            if shared.failed.fetch_add(1, Ordering::Relaxed) + 1 == PATIENCE {
                let url = endpoint.url();
                let message =
                    format!("the endpoint `{url}` fails ({error:#}); the distiller makes the skills meanwhile");
                let _ = out.send(Done::Alert(Level::Warn, message));
            }
            fallback(shared, &job, format!("{error:#}"))
        }
    }
}

fn fallback(shared: &Shared, job: &Job, why: String) -> Answer {
    Answer { fallback: Some(why), ..Answer::distilled(job, shared.form) }
}

/// Pause before an attempt: `first`, then twice as long each time.
pub(super) fn pause(first: Duration, attempt: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(attempt)).min(LONGEST_PAUSE)
}

/// Jobs in a row that fail before an endpoint counts as down.
const PATIENCE: u32 = 2;
/// While it is down, every so manieth job asks it again.
const PROBE: u64 = 8;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
