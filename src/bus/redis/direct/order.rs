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
    /// How many of them the sink has come back from.
    finished: u64,
    waiting: BTreeMap<u64, Message>,
    waiting_bytes: usize,
    /// A thread tells, and goes on until nothing is next: others leave it what they bring, and do not wait.
    is_telling: bool,
    /// Nothing is told any more.
    is_over: bool,
}

impl Order {
    /// From now on messages are told.
    pub fn begin(&self, tell: impl FnMut(Message)) {
        self.lock().is_begun = true;
        self.go_on(tell);
    }

    /// A message came, by its number from 1. `false`: too much waits for others.
    pub fn take(&self, number: u64, message: Message, tell: impl FnMut(Message)) -> bool {
        let fits = {
            let mut state = self.lock();
            if state.is_over || number <= state.told {
                return true;
            }
            state.waiting_bytes += size_of(&message);
            let former = state.waiting.insert(number, message);
            state.waiting_bytes -= former.as_ref().map_or(0, size_of);
            state.waiting_bytes <= MAX_WAITING_BYTES
        };
        self.go_on(tell);
        fits || self.lock().waiting_bytes <= MAX_WAITING_BYTES
    }

    /// What has not come by now does not come any more: what waits for it is told, by the time this returns. Whether anything was
    /// missing.
    pub fn give_up_holes(&self, mut tell: impl FnMut(Message)) -> bool {
        let mut had_holes = false;
        loop {
            {
                let mut state = self.lock_when_quiet();
                // It may never have begun.
                state.is_begun = true;
                let Some(first) = state.waiting.first_key_value().map(|(number, _)| *number) else {
                    return had_holes;
                };
                had_holes |= state.told < first - 1;
                state.told = first - 1;
            }
            self.go_on(&mut tell);
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
        let is_settled = |state: &State| state.finished >= until || state.is_over;
        while began.elapsed() < LONGEST_SETTLING && !is_settled(&self.lock()) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_when_quiet(&self) -> MutexGuard<'_, State> {
        let state = self.is_quiet.wait_while(self.lock(), |state| state.is_telling);
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is next, until nothing is, unless another thread does.
    fn go_on(&self, mut tell: impl FnMut(Message)) {
        if std::mem::replace(&mut self.lock().is_telling, true) {
            return;
        }
        let telling = Telling(self);
        while let Some(message) = telling.next() {
            tell(message);
        }
    }
}

/// A thread that tells, until there is no next message, or its sink has panicked.
struct Telling<'a>(&'a Order);

impl Telling<'_> {
    /// The next message. None: from here on another thread may tell.
    fn next(&self) -> Option<Message> {
        let mut state = self.0.lock();
        state.finished = state.told;
        let next = state.told + 1;
        let message = if state.is_begun { state.waiting.remove(&next) } else { None };
        match &message {
            None => state.is_telling = false,
            Some(message) => {
                state.told = next;
                state.waiting_bytes -= size_of(message);
            }
        }
        message
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.lock();
            (state.finished, state.is_telling) = (state.told, false);
        }
        self.0.is_quiet.notify_all();
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
