//! Messages that wait to be sent: a bounded queue that is filled from any thread and emptied by the link.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::bus::BusError;

/// What may wait at most, in bytes, for messages may be large. 256 MiB.
const MAX_BYTES: usize = 256 << 20;

/// What is sent together at most, in bytes of payload, or one message if that is larger. 1 MiB.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// The same in messages, for those of few bytes.
const MAX_BATCH: usize = 4096;

pub(super) struct Outbox {
    limit: usize,
    queue: Mutex<Queue>,
    news: Notify,
}

#[derive(Default)]
struct Queue {
    up: bool,
    closed: bool,
    messages: VecDeque<Outgoing>,
    bytes: usize,
}

/// A message, and where it is to go.
pub(super) struct Outgoing {
    pub channel: Box<str>,
    pub message: Bytes,
}

impl Outbox {
    pub fn new(limit: usize) -> Self {
        Self { limit, queue: Mutex::default(), news: Notify::new() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, channel: &str, message: Bytes) -> Result<(), BusError> {
        let outgoing = Outgoing { channel: channel.into(), message };
        let mut queue = self.queue();
        if queue.closed {
            return Err(BusError::Closed);
        }
        if !queue.up {
            return Err(BusError::Down);
        }
        let bytes = queue.bytes.saturating_add(outgoing.message.len());
        // One message may be as large as it likes while nothing else waits.
        if !queue.messages.is_empty() && (queue.messages.len() >= self.limit || bytes > MAX_BYTES) {
            return Err(BusError::Overloaded);
        }
        queue.bytes = bytes;
        queue.messages.push_back(outgoing);
        let first = queue.messages.len() == 1;
        drop(queue);
        if first {
            self.news.notify_one();
        }
        Ok(())
    }

    /// The next messages to be sent together. Waits for the first; none, once the outbox is closed and empty.
    pub async fn take(&self) -> Vec<Outgoing> {
        loop {
            let news = self.news.notified();
            {
                let mut queue = self.queue();
                let batch = queue.take();
                if !batch.is_empty() || queue.closed {
                    return batch;
                }
            }
            news.await;
        }
    }

    pub fn is_up(&self) -> bool {
        let queue = self.queue();
        queue.up && !queue.closed
    }

    pub fn go_up(&self) {
        self.queue().up = true;
    }

    /// Takes nothing any more, and drops what waits. How many those were.
    pub fn go_down(&self) -> usize {
        let mut queue = self.queue();
        queue.up = false;
        queue.bytes = 0;
        std::mem::take(&mut queue.messages).len()
    }

    /// Takes nothing any more. What waits stays, to be sent.
    pub fn close(&self) {
        self.queue().closed = true;
        self.news.notify_one();
    }
}

impl Queue {
    fn take(&mut self) -> Vec<Outgoing> {
        let mut bytes = 0;
        let fits = |outgoing: &&Outgoing| {
            let fits = bytes == 0 || bytes + outgoing.message.len() <= MAX_BATCH_BYTES;
            bytes += outgoing.message.len();
            fits
        };
        let count = self.messages.iter().take(MAX_BATCH).take_while(fits).count();
        let batch: Vec<_> = self.messages.drain(..count).collect();
        self.bytes -= batch.iter().map(|outgoing| outgoing.message.len()).sum::<usize>();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(limit: usize) -> Outbox {
        let outbox = Outbox::new(limit);
        outbox.go_up();
        outbox
    }

    async fn sizes(outbox: &Outbox) -> Vec<usize> {
        outbox.take().await.iter().map(|outgoing| outgoing.message.len()).collect()
    }

    #[tokio::test]
    async fn takes_messages_while_it_is_up() {
        let outbox = Outbox::new(10);
        assert_eq!(outbox.push("x", "early".into()), Err(BusError::Down));
        outbox.go_up();
        assert_eq!(outbox.push("x", "a".into()), Ok(()));
        assert_eq!(outbox.push("y", "bc".into()), Ok(()));
        assert_eq!(sizes(&outbox).await, [1, 2]);
        outbox.push("x", "d".into()).unwrap();
        assert_eq!((outbox.go_down(), outbox.is_up()), (1, false));
        assert_eq!(outbox.push("x", "late".into()), Err(BusError::Down));
    }

    #[tokio::test]
    async fn is_bounded_in_messages_and_in_bytes() {
        let outbox = up(2);
        assert_eq!([0; 3].map(|_| outbox.push("x", "m".into()).is_ok()), [true, true, false]);
        assert_eq!(outbox.push("x", "m".into()), Err(BusError::Overloaded));

        let outbox = up(1000);
        let message = Bytes::from(vec![0; 32 << 20]);
        let taken = (0..100).take_while(|_| outbox.push("x", message.clone()).is_ok()).count();
        assert_eq!(taken, MAX_BYTES / message.len());
        assert_eq!(sizes(&outbox).await, [message.len()]);
        assert_eq!(outbox.push("x", message.clone()), Ok(()), "there is room again");
        assert_eq!(outbox.go_down(), taken);
        outbox.go_up();
        assert_eq!(outbox.push("x", message), Ok(()));
    }

    #[tokio::test]
    async fn a_batch_is_bounded_but_never_empty() {
        let outbox = up(100_000);
        for size in [0, MAX_BATCH_BYTES + 1, 5, MAX_BATCH_BYTES - 5, 0, 1] {
            outbox.push("x", vec![0; size].into()).unwrap();
        }
        assert_eq!(sizes(&outbox).await, [0, MAX_BATCH_BYTES + 1]);
        assert_eq!(sizes(&outbox).await, [5, MAX_BATCH_BYTES - 5, 0]);
        assert_eq!(sizes(&outbox).await, [1]);
        for _ in 0..=MAX_BATCH {
            outbox.push("x", Bytes::new()).unwrap();
        }
        assert_eq!([sizes(&outbox).await.len(), sizes(&outbox).await.len()], [MAX_BATCH, 1]);
    }

    #[tokio::test]
    async fn what_waits_at_the_close_is_still_given_out() {
        let outbox = up(10);
        outbox.push("x", "a".into()).unwrap();
        outbox.close();
        assert_eq!(outbox.push("x", "late".into()), Err(BusError::Closed));
        assert_eq!((outbox.is_up(), sizes(&outbox).await), (false, vec![1]));
        assert_eq!(sizes(&outbox).await, [0; 0]);
    }
}
