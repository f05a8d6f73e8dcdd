//! What is to be done later, soonest first.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

pub struct Timers<T: Ord>(BinaryHeap<Reverse<(Instant, T)>>);

impl<T: Ord> Timers<T> {
    pub fn new() -> Self {
        Self(BinaryHeap::new())
    }

    pub fn push(&mut self, at: Instant, what: T) {
        self.0.push(Reverse((at, what)));
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.0.peek().is_some_and(|Reverse((at, _))| *at <= now)
    }

    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        self.is_due(now).then(|| self.0.pop()).flatten().map(|Reverse((_, what))| what)
    }

    /// When the next is due, or `wait` from now if that is sooner.
    pub fn next_within(&self, wait: Duration) -> Instant {
        let latest = Instant::now() + wait;
        self.0.peek().map_or(latest, |Reverse((at, _))| (*at).min(latest))
    }
}
