//! Signals to a trainer. Alone in its process: signals are for the whole of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};
use sdlab::session::{Halt, Urgency, watch_signals};

#[test]
fn each_signal_asks_for_more() {
    let halt = Arc::new(Halt::default());
    watch_signals(halt.clone()).unwrap();
    for (signal, urgency, keyboard) in
        [(Signal::INT, Urgency::AfterStep, true), (Signal::INT, Urgency::Now, true), (Signal::TERM, Urgency::Now, true)]
    {
        kill_process(getpid(), signal).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while halt.asked() != Some(urgency) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!((halt.asked(), halt.by_keyboard()), (Some(urgency), keyboard), "after {signal:?}");
    }
}
