//! Things that are under way, and how to wait for those that have begun. Two kinds are counted, each for itself:
//!
//! - Emits. An event for many is published to the other nodes and told to the shards, one after the other, and the thread that
//!   does so may lose its processor at any moment. Who needs to know that an event which is known in one place is known
//!   in all of them waits.
//! - Messages that this node stores. Between a commit and what follows it the store has a message, and nobody here says yet
//!   whose it is. Who reads the store to find what was missed waits; or a sender would be pushed its own message.
//!
//! Two counters take turns. Whoever waits makes the other one count from then on, and waits for the former to be empty.

#[cfg(feature = "node")]
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Mutex;

/// Counts them. Those who begin never wait.
#[derive(Default)]
pub struct UnderWay {
    /// Which of the counters counts: its parity says so.
    turn: AtomicUsize,
    counters: [AtomicUsize; 2],
    /// Only one waits at a time, or the turns would come round while somebody waits for one.
    waiting: Mutex<()>,
}

/// One of them, until it is dropped.
#[must_use]
pub struct Begun<'a>(&'a AtomicUsize);

/// One of them that ends elsewhere, until it is dropped.
#[cfg(feature = "node")]
#[must_use]
pub struct Ticket {
    under_way: Arc<UnderWay>,
    counter: usize,
}

impl UnderWay {
    /// One begins.
    pub fn begin(&self) -> Begun<'_> {
        Begun(&self.counters[self.count()])
    }

    /// One begins that ends elsewhere.
    #[cfg(feature = "node")]
    pub fn begin_elsewhere(self: &Arc<Self>) -> Ticket {
        Ticket { under_way: self.clone(), counter: self.count() }
    }

    /// Counts one, and says by which counter.
    fn count(&self) -> usize {
        loop {
            let turn = self.turn.load(SeqCst);
            let counter = turn % 2;
            self.counters[counter].fetch_add(1, SeqCst);
            // Where the turn has passed, it was perhaps not seen by whoever waits for that counter.
            if self.turn.load(SeqCst) == turn {
                return counter;
            }
            self.counters[counter].fetch_sub(1, SeqCst);
        }
    }

    /// Waits until all are over that have begun before.
    pub async fn wait(&self) {
        let _alone = self.waiting.lock().await;
        let counter = &self.counters[self.turn.fetch_add(1, SeqCst) % 2];
        // Mostly there is nothing to wait for. If there is, its thread has lost its processor.
        while counter.load(SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(feature = "node")]
impl Drop for Ticket {
    fn drop(&mut self) {
        self.under_way.counters[self.counter].fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// Whatever has begun before the wait is over after it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn those_that_have_begun_are_waited_for() {
        let under_way = Arc::new(UnderWay::default());
        let over = Arc::new(AtomicBool::new(false));
        // Emitters say how many emits they have begun, and how many are over.
        let counts: Arc<Vec<[AtomicUsize; 2]>> = Arc::new((0..3).map(|_| Default::default()).collect());
        let emitters: Vec<_> = (0..counts.len())
            .map(|n| {
                let (under_way, over, counts) = (under_way.clone(), over.clone(), counts.clone());
                std::thread::spawn(move || {
                    while !over.load(SeqCst) {
                        let emitting = under_way.begin();
                        counts[n][0].fetch_add(1, SeqCst);
                        std::thread::yield_now();
                        counts[n][1].fetch_add(1, SeqCst);
                        drop(emitting);
                    }
                })
            })
            .collect();
        for _ in 0..300 {
            let begun: Vec<_> = counts.iter().map(|[begun, _]| begun.load(SeqCst)).collect();
            under_way.wait().await;
            for (n, begun) in begun.into_iter().enumerate() {
                assert!(counts[n][1].load(SeqCst) >= begun, "emitter {n}");
            }
        }
        over.store(true, SeqCst);
        emitters.into_iter().for_each(|emitter| emitter.join().unwrap());
        assert!(under_way.counters.iter().all(|counter| counter.load(SeqCst) == 0));
    }

    #[cfg(feature = "node")]
    #[test]
    fn what_begins_later_is_not_waited_for() {
        use std::pin::pin;
        use std::task::{Context, Waker};
        // Its timer has to be somebody's.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let under_way = Arc::new(UnderWay::default());
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(under_way.wait()).poll(&mut context).is_ready(), "nothing is under way");
        let (first, second) = (under_way.begin_elsewhere(), under_way.begin_elsewhere());
        let mut waiting = pin!(under_way.wait());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        let _later = under_way.begin_elsewhere();
        drop(second);
        assert!(waiting.as_mut().poll(&mut context).is_pending(), "the first one is under way");
        drop(first);
        runtime.block_on(waiting);
    }
}
