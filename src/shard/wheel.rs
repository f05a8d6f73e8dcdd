//! A hashed timer wheel: deadlines in rings of coarse ticks, one timer for all connections of a shard.
//!
//! Entries are not removed or moved. Whoever is named by one that fires looks at its own deadline, and comes
//! back with a new entry if that is still ahead. Deadlines that move later, as a heartbeat's do, so cost
//! nothing when they move.

use std::time::Duration;

use crate::session::Time;

const SLOTS: u64 = 512;

/// Timers for owners of type `T`.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Box<[Vec<(u64, T)>]>,
    tick_ms: u64,
    /// The last tick whose entries have fired.
    done: u64,
    /// No entry is due in an earlier tick than this.
    next: u64,
    len: usize,
}

impl<T: Copy> Wheel<T> {
    /// A wheel whose ticks are this long. Deadlines are met by the end of the tick that they fall in.
    pub fn new(tick: Duration) -> Self {
        Wheel {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            tick_ms: u64::try_from(tick.as_millis()).unwrap_or(u64::MAX).max(1),
            done: 0,
            next: 0,
            len: 0,
        }
    }

    /// Fires `owner` at `at`, or up to a tick later; never earlier.
    pub fn insert(&mut self, owner: T, at: Time) {
        if at == Time::NEVER {
            return;
        }
        let tick = at.0.div_ceil(self.tick_ms).max(self.done + 1);
        self.next = self.next.min(tick);
        self.slots[(tick % SLOTS) as usize].push((tick, owner));
        self.len += 1;
    }

    /// Appends those whose time has come to `fired`.
    pub fn advance(&mut self, now: Time, fired: &mut Vec<T>) {
        let now = now.0 / self.tick_ms;
        // After a pause longer than a revolution each slot needs one visit only.
        let first = (self.done + 1).max((now + 1).saturating_sub(SLOTS));
        for tick in first..=now {
            if self.len == 0 {
                break;
            }
            let slot = &mut self.slots[(tick % SLOTS) as usize];
            let before = slot.len();
            slot.retain(|(due, owner)| {
                let later = *due > now;
                if !later {
                    fired.push(*owner);
                }
                later
            });
            self.len -= before - slot.len();
            if slot.is_empty() && slot.capacity() > 64 {
                *slot = Vec::new();
            }
        }
        self.done = self.done.max(now);
    }

    /// When [`Wheel::advance`] is due next.
    pub fn next(&mut self) -> Time {
        if self.len == 0 {
            return Time::NEVER;
        }
        // The first slot with any entry; it may hold only entries of later revolutions, which costs a visit.
        let (first, last) = (self.next.max(self.done + 1), self.done + SLOTS);
        let is_used = |tick: &u64| !self.slots[(tick % SLOTS) as usize].is_empty();
        self.next = (first..=last).find(is_used).unwrap_or(last);
        Time(self.next * self.tick_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every entry fires exactly once, not before its time, and by the end of its tick if the wheel is
        /// advanced whenever it asks.
        #[test]
        fn fires_in_time(deadlines in proptest::collection::vec(0u64..200_000, 1..100), tick in 1u64..100) {
            let mut wheel = Wheel::new(Duration::from_millis(tick));
            for (owner, at) in deadlines.iter().enumerate() {
                wheel.insert(owner, Time(*at));
            }
            let mut fired_at = vec![None; deadlines.len()];
            while wheel.next() != Time::NEVER {
                let now = wheel.next();
                let mut fired = Vec::new();
                wheel.advance(now, &mut fired);
                for owner in fired {
                    prop_assert_eq!(fired_at[owner].replace(now.0), None, "fires once");
                }
            }
            for (at, fired) in deadlines.iter().zip(fired_at) {
                let fired = fired.expect("fires");
                prop_assert!(fired >= *at && fired <= (*at).max(1) + tick, "due {} fired {}", at, fired);
            }
        }

        #[test]
        fn a_long_pause_loses_nothing(deadlines in proptest::collection::vec(0u64..100_000, 1..100)) {
            let mut wheel = Wheel::new(Duration::from_millis(10));
            for (owner, at) in deadlines.iter().enumerate() {
                wheel.insert(owner, Time(*at));
            }
            let mut fired = Vec::new();
            wheel.advance(Time(100_010), &mut fired);
            fired.sort_unstable();
            prop_assert!(fired.into_iter().eq(0..deadlines.len()));
            prop_assert_eq!(wheel.next(), Time::NEVER);
        }
    }

    #[test]
    fn an_entry_in_the_past_fires_at_the_next_tick() {
        let mut wheel = Wheel::new(Duration::from_millis(10));
        let mut fired = Vec::new();
        wheel.advance(Time(1000), &mut fired);
        wheel.insert('a', Time(5));
        assert_eq!(wheel.next(), Time(1010));
        wheel.advance(Time(1010), &mut fired);
        assert_eq!(fired, ['a']);
    }
}
