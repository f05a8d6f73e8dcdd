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
