//! The messages of one node, told in the order in which that published them, by whichever lane they come, or by Redis at last.
//!
//! Whoever brings the message that is next tells it, and what has waited for it. Of a message that comes twice, the second is
//! dropped.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep;

/// What may wait at most, in bytes. 64 MiB.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// How long a fence waits for what was numbered before, and is on its way.
const LONGEST_SETTLING: Duration = Duration::from_secs(1);

/// A channel, and what came on it.
pub type Message = (Bytes, Bytes);

#[derive(Default)]
pub struct Order {
    state: Mutex<State>,
    /// Told when nobody tells any more.
    is_quiet: Condvar,
}

#[derive(Default)]
struct State {
    /// Redis has told that what comes from now on does not come by it.
    is_begun: bool,
    /// How many were told, or are being told.
    told: u64,
    waiting: BTreeMap<u64, Message>,
    waiting_bytes: usize,
    /// A thread tells, and goes on until nothing is next: others leave it what they bring, and do not wait.
    is_telling: bool,
    /// So many threads wait until nobody tells.
    awaiting_quiet: usize,
    /// Nothing is told any more.
    is_over: bool,
}

impl State {
    /// The number that is told next.
    fn due(&self) -> u64 {
        self.told.saturating_add(1)
    }

    /// The next message, if it may be told.
    fn next(&mut self) -> Option<Message> {
        let due = self.due();
        let message = if self.is_begun { self.waiting.remove(&due) } else { None }?;
        self.told = due;
        self.waiting_bytes -= size_of(&message);
        Some(message)
    }
}

impl Order {
    /// From now on messages are told.
    pub fn begin(&self, tell: impl FnMut(Message)) {
        let mut state = self.lock();
        state.is_begun = true;
        if !state.is_telling {
            let next = state.next();
            self.go_on(state, next, tell);
        }
    }

    /// A message came, by its number from 1. `false`: too much waits for others.
    pub fn take(&self, number: u64, message: Message, tell: impl FnMut(Message)) -> bool {
        let mut state = self.lock();
        if state.is_over || number <= state.told {
            return true;
        }
        if state.is_begun && !state.is_telling && number == state.due() {
            // As nearly every one. It may have come before, and still wait.
            let former = state.waiting.remove(&number);
            state.waiting_bytes -= former.as_ref().map_or(0, size_of);
            state.told = number;
            self.go_on(state, Some(message), tell);
            return true;
        }
        // A part of what was read must not keep all of it.
        let message = (Bytes::copy_from_slice(&message.0), message.1);
        state.waiting_bytes += size_of(&message);
        let former = state.waiting.insert(number, message);
        state.waiting_bytes -= former.as_ref().map_or(0, size_of);
        state.waiting_bytes <= MAX_WAITING_BYTES
    }

    /// What has not come by now does not come any more: what waits for it is told, by the time this returns. Whether anything was
    /// missing.
    pub fn give_up_holes(&self, mut tell: impl FnMut(Message)) -> bool {
        let mut had_holes = false;
        loop {
            let mut state = self.lock_when_quiet();
            // It may never have begun.
            state.is_begun = true;
            let Some(first) = state.waiting.first_key_value().map(|(number, _)| *number) else {
                return had_holes;
            };
            had_holes |= state.due() < first;
            state.told = first - 1;
            let next = state.next();
            self.go_on(state, next, &mut tell);
        }
    }

    /// From when this returns on nothing is told.
    pub fn end(&self) {
        let mut state = self.lock_when_quiet();
        state.is_over = true;
        state.waiting.clear();
    }

    /// Waits until what waits now is told. It comes soon, or not at all.
    pub async fn settle(&self) {
        let until = {
            let state = self.lock();
            state.waiting.last_key_value().map_or(state.told, |(number, _)| *number)
        };
        let began = Instant::now();
        let is_settled = |state: &State| {
            let is_told = state.told > until || state.told == until && !state.is_telling;
            is_told || state.is_over
        };
        while began.elapsed() < LONGEST_SETTLING && !is_settled(&self.lock()) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_when_quiet(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.awaiting_quiet += 1;
        let waited = self.is_quiet.wait_while(state, |state| state.is_telling);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.awaiting_quiet -= 1;
        state
    }

    /// Tells this and what is next then, until nothing is. To be called where nobody tells.
    fn go_on<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        mut next: Option<Message>,
        mut tell: impl FnMut(Message),
    ) {
        while let Some(message) = next {
            state.is_telling = true;
            drop(state);
            let telling = Telling(self);
            tell(message);
            std::mem::forget(telling);
            state = self.lock();
            next = state.next();
        }
        self.be_quiet(state);
    }

    fn be_quiet(&self, mut state: MutexGuard<'_, State>) {
        state.is_telling = false;
        if state.awaiting_quiet > 0 {
            self.is_quiet.notify_all();
        }
    }
}

/// A sink that is told. It is dropped where that panics.
struct Telling<'a>(&'a Order);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.be_quiet(self.0.lock());
    }
}

fn size_of((channel, message): &Message) -> usize {
    channel.len() + message.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(number: u64) -> Message {
        (Bytes::new(), number.to_string().into())
    }

    fn told(order: &Order, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut told = Vec::new();
        for number in numbers {
            let fits = order.take(number, message(number), |(_, text)| {
                told.push(std::str::from_utf8(&text).unwrap().parse().unwrap());
            });
            assert!(fits);
        }
        told
    }

    #[test]
    fn nothing_is_told_before_it_begins() {
        let order = Order::default();
        assert_eq!(told(&order, [2, 1]), [0; 0]);
        let mut first = Vec::new();
        order.begin(|(_, text)| first.push(text));
        assert_eq!(first, ["1", "2"]);
        assert_eq!(told(&order, [4, 1, 3, 2, 5]), [3, 4, 5]);
    }

    #[test]
    fn what_waits_has_a_limit() {
        let order = Order::default();
        let large = Bytes::from(vec![0; MAX_WAITING_BYTES / 2 + 1]);
        let take = |number| order.take(number, (Bytes::new(), large.clone()), |_| ());
        assert_eq!([3, 3, 2].map(take), [true, true, false], "the same one counts once");
        order.begin(|_| ());
        assert!(take(1), "all were told");
        assert!(take(9) && !take(8));
    }

    #[test]
    fn who_finds_another_telling_does_not_wait_for_it() {
        let order = Order::default();
        order.begin(|_| ());
        let (mut all, mut by_another) = (Vec::new(), 0);
        order.take(1, message(1), |(_, text)| {
            if all.is_empty() {
                // Another thread, while this one tells.
                order.take(2, message(2), |_| by_another += 1);
            }
            all.push(text);
        });
        assert_eq!((all, by_another), (vec![Bytes::from("1"), Bytes::from("2")], 0));
        // One that panics leaves nobody behind.
        let panics = std::panic::AssertUnwindSafe(|| order.take(3, message(3), |_| panic!("on purpose")));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(told(&order, [4]), [4]);
    }

    #[test]
    fn who_waits_in_vain_is_told_at_last() {
        let order = Order::default();
        order.begin(|_| ());
        assert_eq!(told(&order, [1, 3, 4, 6]), [1]);
        let mut rest = Vec::new();
        assert!(order.give_up_holes(|(_, text)| rest.push(text)));
        assert_eq!(rest, ["3", "4", "6"]);
        assert!(!order.give_up_holes(|_| panic!("nothing waits")));
        let unbegun = Order::default();
        assert_eq!(told(&unbegun, [1]), [0; 0]);
        let mut first = Vec::new();
        assert!(!unbegun.give_up_holes(|(_, text)| first.push(text)), "nothing was missing");
        assert_eq!(first, ["1"]);
        assert_eq!(told(&order, [5, 7]), [7], "what comes late does not come");
        order.end();
        assert_eq!(told(&order, [8]), [0; 0]);
    }

    proptest! {
        #[test]
        fn any_order_becomes_the_order(
            mut came in Just((1..=40_u64).chain(5..=20).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let order = Order::default();
            order.begin(|_| ());
            came.extend(1..=40);
            prop_assert_eq!(told(&order, came), (1..=40).collect::<Vec<_>>());
        }
    }
}
