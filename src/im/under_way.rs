//! Messages that are being stored by this node: between a commit and what follows it there is a moment in which the store
//! has a message, and this node does not yet say whose it is. Who reads the store to find what was missed waits until
//! that is over; or a sender would be pushed its own message.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What is under way.
#[derive(Default)]
pub struct UnderWay {
    tickets: Mutex<Tickets>,
    ended: Notify,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    held: BTreeSet<u64>,
}

/// A message is under way until this is dropped.
pub struct Ticket {
    under_way: Arc<UnderWay>,
    number: u64,
}

impl UnderWay {
    /// A message is about to be stored.
    pub fn begin(self: &Arc<Self>) -> Ticket {
        let mut tickets = self.lock();
        let number = tickets.next;
        tickets.next += 1;
        tickets.held.insert(number);
        Ticket { under_way: self.clone(), number }
    }

    /// Until all that is under way now has ended.
    pub async fn settled(&self) {
        let next = self.lock().next;
        loop {
            let ended = self.ended.notified();
            let mut ended = std::pin::pin!(ended);
            ended.as_mut().enable();
            if self.lock().held.first().is_none_or(|first| *first >= next) {
                return;
            }
            ended.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.under_way.lock().held.remove(&self.number);
        self.under_way.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn waits_for_what_has_begun_and_not_for_what_begins() {
        let under_way = Arc::new(UnderWay::default());
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(under_way.settled()).poll(&mut context).is_ready(), "nothing is under way");
        let (first, second) = (under_way.begin(), under_way.begin());
        let mut settled = pin!(under_way.settled());
        assert!(settled.as_mut().poll(&mut context).is_pending());
        let _later = under_way.begin();
        drop(second);
        assert!(settled.as_mut().poll(&mut context).is_pending(), "the first one is under way");
        drop(first);
        assert!(settled.poll(&mut context).is_ready());
    }
}
