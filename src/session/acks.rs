//! The acks that one socket owes us: ids given out, and who waits for each answer until when.

use std::collections::VecDeque;

use super::time::Time;

/// Pending acks of a socket. `T` is whoever waits.
#[derive(Debug)]
pub struct Acks<T> {
    next: u64,
    /// In the order of their ids, which only count up.
    pending: VecDeque<(u64, Time, T)>,
}

impl<T> Default for Acks<T> {
    fn default() -> Self {
        Acks { next: 0, pending: VecDeque::new() }
    }
}

impl<T> Acks<T> {
    /// Expects an answer until `deadline`. The id to send with the event.
    ///
    /// # Errors
    /// As many as `limit` are pending already. The waiter comes back.
    pub fn expect(&mut self, waiter: T, deadline: Time, limit: usize) -> Result<u64, T> {
        if self.pending.len() >= limit {
            return Err(waiter);
        }
        let id = self.next;
        self.next += 1;
        self.pending.push_back((id, deadline, waiter));
        Ok(id)
    }

    /// Gives those up who do not wait any more.
    pub fn retain(&mut self, mut is_waiting: impl FnMut(&T) -> bool) {
        self.pending.retain(|(_, _, waiter)| is_waiting(waiter));
    }

    /// Who waits for this answer. `None` for an id that was never given out, was answered or gave up:
    /// a late or second ack, to be ignored.
    pub fn handle_ack(&mut self, id: u64) -> Option<T> {
        let at = self.pending.binary_search_by_key(&id, |(id, ..)| *id).ok()?;
        self.pending.remove(at).map(|(_, _, waiter)| waiter)
    }

    /// Those whose time is up.
    pub fn handle_timeout(&mut self, now: Time) -> Vec<T> {
        let mut late = Vec::new();
        let mut kept = VecDeque::with_capacity(self.pending.len());
        for (id, deadline, waiter) in self.pending.drain(..) {
            if deadline <= now {
                late.push(waiter);
            } else {
                kept.push_back((id, deadline, waiter));
            }
        }
        self.pending = kept;
        late
    }

    /// All who wait, where no answer can come any more.
    pub fn into_waiters(self) -> impl Iterator<Item = T> {
        self.pending.into_iter().map(|(_, _, waiter)| waiter)
    }

    /// When [`Acks::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Time {
        self.pending.iter().map(|(_, deadline, _)| *deadline).min().unwrap_or(Time::NEVER)
    }

    /// How many answers are due.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none is due.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_finds_its_waiter_once() {
        let mut acks = Acks::default();
        let a = acks.expect("a", Time(10), 2).unwrap();
        let b = acks.expect("b", Time(5), 2).unwrap();
        assert_eq!(acks.expect("c", Time(5), 2), Err("c"));
        let mut others = Acks::default();
        others.expect("d", Time(5), 1).unwrap();
        others.retain(|waiter| *waiter != "d");
        assert_eq!(others.expect("e", Time(5), 1), Ok(1));
        assert_eq!(acks.handle_ack(b), Some("b"));
        assert_eq!(acks.handle_ack(b), None, "a second ack");
        assert_eq!(acks.handle_ack(99), None, "an id never given");
        assert_eq!(acks.handle_ack(a), Some("a"));
        assert!(acks.is_empty());
    }

    #[test]
    fn who_waits_too_long_is_told() {
        let mut acks = Acks::default();
        acks.expect("late", Time(10), 9).unwrap();
        let kept = acks.expect("kept", Time(30), 9).unwrap();
        acks.expect("later", Time(20), 9).unwrap();
        assert_eq!(acks.poll_timeout(), Time(10));
        assert_eq!(acks.handle_timeout(Time(20)), ["late", "later"]);
        assert_eq!(acks.poll_timeout(), Time(30));
        assert_eq!(acks.handle_ack(0), None, "a late ack");
        assert_eq!(acks.handle_ack(kept), Some("kept"));
        assert_eq!(acks.poll_timeout(), Time::NEVER);
    }
}
