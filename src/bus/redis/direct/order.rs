//! The messages of one node, told in the order in which that published them, by whichever lane they come, or by Redis at last.
//!
//! Whoever brings the message that is next tells it, and what has waited for it. Of a message that comes twice, the second is
//! dropped.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// What may wait at most, in bytes. 64 MiB.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// A channel, and what came on it.
pub type Message = (Bytes, Bytes);

#[derive(Default)]
pub struct Order(Mutex<State>);

#[derive(Default)]
struct State {
    /// Redis has told that what comes from now on does not come by it.
    is_begun: bool,
    /// How many were told.
    told: u64,
    waiting: BTreeMap<u64, Message>,
    waiting_bytes: usize,
    /// Nothing is told any more.
    is_over: bool,
}

impl Order {
    /// From now on messages are told.
    pub fn begin(&self, tell: impl FnMut(Message)) {
        self.go_on(|state| state.is_begun = true, tell);
    }

    /// A message came, by its number from 1. `false`: too much waits for others.
    pub fn take(&self, number: u64, message: Message, tell: impl FnMut(Message)) -> bool {
        let note = |state: &mut State| {
            if number > state.told {
                state.waiting_bytes += size_of(&message);
                let former = state.waiting.insert(number, message);
                state.waiting_bytes -= former.as_ref().map_or(0, size_of);
            }
        };
        self.go_on(note, tell)
    }

    /// What has not come by now does not come any more: what waits for it is told. Whether anything was missing.
    pub fn give_up_holes(&self, mut tell: impl FnMut(Message)) -> bool {
        let mut had_holes = false;
        loop {
            let skip = |state: &mut State| {
                // It may never have begun.
                state.is_begun = true;
                if let Some(first) = state.waiting.first_key_value().map(|(number, _)| *number) {
                    had_holes |= state.told < first - 1;
                    state.told = first - 1;
                }
            };
            self.go_on(skip, &mut tell);
            if self.lock().waiting.is_empty() {
                return had_holes;
            }
        }
    }

    /// From now on nothing is told.
    pub fn end(&self) {
        let mut state = self.lock();
        state.is_over = true;
        state.waiting.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A sink that has panicked was told of its message.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock, for only so is the order that of telling.
    fn go_on(&self, note: impl FnOnce(&mut State), mut tell: impl FnMut(Message)) -> bool {
        let mut state = self.lock();
        if state.is_over {
            return true;
        }
        note(&mut state);
        while state.is_begun
            && let Some(message) = {
                let next = state.told + 1;
                state.waiting.remove(&next)
            }
        {
            state.told += 1;
            state.waiting_bytes -= size_of(&message);
            tell(message);
        }
        state.waiting_bytes <= MAX_WAITING_BYTES
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
