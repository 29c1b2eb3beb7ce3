//! How a trainer is asked to end, and the signals that ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::core::exit::Exit;

/// How soon a trainer is to end. A later request can only make it sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Finish the step, write a checkpoint.
    AfterStep,
    /// Give up the step that runs, write a checkpoint of the state before it.
    Now,
    /// Give up the step that runs; the last checkpoint stays.
    Abort,
}

/// The request to end, shared by everyone who may make it.
#[derive(Debug, Default)]
pub struct Halt {
    /// Index into [`LEVELS`] plus one; 0 = no request.
    level: AtomicU8,
    interrupt: AtomicBool,
    keyboard: AtomicBool,
}

impl Halt {
    /// Asks for the end; a weaker request than an earlier one changes nothing.
    pub fn ask(&self, urgency: Urgency) {
        self.level.fetch_max(urgency as u8 + 1, Ordering::SeqCst);
        if urgency >= Urgency::Now {
            self.interrupt.store(true, Ordering::SeqCst);
        }
    }

    /// Has the step that runs given up, without an end of the run: until [`Halt::go_on`].
    pub fn give_up_step(&self) {
        self.interrupt.store(true, Ordering::SeqCst);
    }

    /// Lets steps run again, unless the run is to end now.
    pub fn go_on(&self) {
        self.interrupt.store(self.asked() >= Some(Urgency::Now), Ordering::SeqCst);
    }

    /// The strongest request so far.
    pub fn asked(&self) -> Option<Urgency> {
        let level = self.level.load(Ordering::SeqCst);
        LEVELS.get(usize::from(level).checked_sub(1)?).copied()
    }

    /// Whether Ctrl-C asked for it.
    pub fn by_keyboard(&self) -> bool {
        self.keyboard.load(Ordering::SeqCst)
    }

    /// True once the step that runs is to be given up.
    pub fn interrupt(&self) -> &AtomicBool {
        &self.interrupt
    }
}

const LEVELS: [Urgency; 3] = [Urgency::AfterStep, Urgency::Now, Urgency::Abort];

/// Turns signals into requests, from a thread of its own:
/// 1. the first Ctrl-C finishes the step, the second saves now, the third aborts (and exits with 130 if the step does
///    not let go within two seconds);
/// 2. SIGTERM and SIGHUP save now, because whoever sends them will not wait.
///
/// # Errors
/// The signals cannot be taken over.
pub fn watch_signals(halt: Arc<Halt>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot watch signals")?;
    let take = |kind| {
        let _inside = runtime.enter();
        signal(kind).context("cannot take over a signal")
    };
    let interrupts = take(SignalKind::interrupt())?;
    let ends = [take(SignalKind::terminate())?, take(SignalKind::hangup())?];
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || runtime.block_on(listen(&halt, interrupts, ends)))
        .context("cannot watch signals")?;
    Ok(())
}

async fn listen(halt: &Halt, mut interrupts: Signal, [mut terminate, mut hangup]: [Signal; 2]) {
    let mut count = 0;
    loop {
        tokio::select! {
            Some(()) = interrupts.recv() => {
                let urgency = LEVELS[count.min(LEVELS.len() - 1)];
                count += 1;
                eprintln!("{}", announcement(urgency));
                halt.keyboard.store(true, Ordering::SeqCst);
                halt.ask(urgency);
            }
            Some(()) = terminate.recv() => halt.ask(Urgency::Now),
            Some(()) = hangup.recv() => halt.ask(Urgency::Now),
            else => return,
        }
        if halt.asked() == Some(Urgency::Abort) && count >= LEVELS.len() {
            tokio::time::sleep(GRACE).await;
            std::process::exit(Exit::Interrupted.code());
        }
    }
}

fn announcement(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::AfterStep => "finishing this step, then a checkpoint; once more: checkpoint now",
        Urgency::Now => "giving up this step, then a checkpoint; once more: abort",
        Urgency::Abort => "aborting; the last checkpoint stays",
    }
}

/// How long an aborted step may take to let go.
const GRACE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{Halt, Urgency};

    #[test]
    fn a_step_can_be_given_up_without_an_end() {
        let halt = Halt::default();
        halt.give_up_step();
        assert!(halt.interrupt().load(Ordering::SeqCst) && halt.asked().is_none());
        halt.go_on();
        assert!(!halt.interrupt().load(Ordering::SeqCst));
        halt.ask(Urgency::Now);
        halt.go_on();
        assert!(halt.interrupt().load(Ordering::SeqCst), "an end stays asked for");
    }

    #[test]
    fn requests_only_grow() {
        let halt = Halt::default();
        assert_eq!(halt.asked(), None);
        halt.ask(Urgency::AfterStep);
        assert!(!halt.interrupt().load(Ordering::SeqCst), "the step may finish");
        halt.ask(Urgency::Abort);
        halt.ask(Urgency::AfterStep);
        assert_eq!(halt.asked(), Some(Urgency::Abort));
        assert!(halt.interrupt().load(Ordering::SeqCst));
    }
}
