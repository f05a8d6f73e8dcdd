//! Threads that stay awake for a while after something has come, in place of sleeping until more does.
//!
//! To be woken takes longer than most of what a thread then does. One that stays awake gives its core to whoever has work each
//! time before it looks again, and burns what is left of it. So it pays where there are more cores than busy threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task;

pub struct BusyPoll {
    patience: Duration,
    started: Instant,
    /// When something came last, in nanoseconds after `started`.
    came_at: AtomicU64,
    awake: AtomicBool,
    wake: Notify,
}

impl BusyPoll {
    /// Keeps this thread awake, which runs a current-thread runtime, for so long after something came; zero: not at all. It
    /// ends with the runtime.
    pub fn start(patience: Duration) -> Option<Arc<Self>> {
        if patience.is_zero() {
            return None;
        }
        let this = Arc::new(Self {
            patience,
            started: Instant::now(),
            came_at: AtomicU64::new(0),
            awake: AtomicBool::new(false),
            wake: Notify::new(),
        });
        tokio::spawn(Arc::clone(&this).run());
        Some(this)
    }

    /// To be told on the thread that is to stay awake.
    pub fn something_came(&self) {
        self.came_at.store(self.now(), Ordering::Relaxed);
        if !self.awake.swap(true, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    async fn run(self: Arc<Self>) {
        loop {
            self.wake.notified().await;
            let is_over =
                || self.now() - self.came_at.load(Ordering::Relaxed) > self.patience.as_nanos() as u64;
            while !is_over() {
                thread::yield_now();
                // Whoever is ready runs, and the runtime looks for events without waiting for any.
                task::yield_now().await;
            }
            self.awake.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;
    use tokio::time::sleep;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MS: Duration = Duration::from_millis(1);

    fn sleeps() -> u64 {
        Handle::current().metrics().worker_park_count(0)
    }

    #[tokio::test]
    async fn the_thread_does_not_sleep_once_something_came() {
        let busy = BusyPoll::start(HOUR).unwrap();
        let before = sleeps();
        sleep(MS).await;
        assert!(sleeps() > before, "nothing has come yet");
        busy.something_came();
        let before = sleeps();
        for _ in 0..5 {
            sleep(MS).await;
        }
        assert_eq!(sleeps(), before);
    }

    #[tokio::test]
    async fn it_sleeps_again_when_nothing_came_for_long() {
        let busy = BusyPoll::start(MS).unwrap();
        for _ in 0..3 {
            busy.something_came();
            let before = sleeps();
            while sleeps() == before {
                sleep(MS).await;
            }
        }
        assert!(BusyPoll::start(Duration::ZERO).is_none());
    }
}
