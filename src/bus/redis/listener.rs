//! Who is told of messages, and which.

use std::sync::Arc;

use bytes::Bytes;

use super::{Shared, add};
use crate::bus::Sink;
use crate::busy_poll::BusyPoll;

#[derive(Clone)]
pub(super) struct Listener {
    pub shared: Arc<Shared>,
    pub sink: Arc<dyn Sink>,
    /// What stands before each channel's name in Redis.
    pub prefix: Arc<str>,
    /// What this bus's own messages begin with.
    pub origin: [u8; 8],
    pub busy_poll: Option<Arc<BusyPoll>>,
}

impl Listener {
    /// A message came on a channel, by its full name.
    pub fn hear(&self, channel: &[u8], payload: &[u8]) {
        // What other programs publish on our channels is nothing to us.
        let Some(channel) =
            std::str::from_utf8(channel).ok().and_then(|name| name.strip_prefix(&*self.prefix))
        else {
            return;
        };
        let Some(message) = payload.get(self.origin.len()..) else { return };
        if payload.starts_with(&self.origin) {
            return;
        }
        add(&self.shared.counters.received, 1);
        if let Some(busy_poll) = &self.busy_poll {
            busy_poll.something_came();
        }
        // A copy: whoever keeps it must not keep all that was read with it.
        self.sink.message(channel, Bytes::copy_from_slice(message));
    }
}
