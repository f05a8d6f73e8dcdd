//! Who is told of messages, and which.

use std::sync::Arc;

use bytes::Bytes;

use super::direct::{self, Direct};
use super::{DirectOptions, Shared, add};
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
    pub direct_options: Option<DirectOptions>,
    /// What else listens, of who hears.
    pub direct: Option<Arc<Direct>>,
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
        let Some(payload) = payload.get(self.origin.len()..).filter(|_| !payload.starts_with(&self.origin))
        else {
            return;
        };
        let message = match &self.direct {
            Some(direct) => direct.sift(channel, payload),
            None => direct::sift(payload),
        };
        if let Some(message) = message {
            self.stay_awake();
            // A copy: whoever keeps it must not keep all that was read with it.
            self.tell(channel, Bytes::copy_from_slice(message));
        }
    }

    /// Something came by the bus's own thread.
    pub fn stay_awake(&self) {
        if let Some(busy_poll) = &self.busy_poll {
            busy_poll.something_came();
        }
    }

    /// Tells the sink of a message.
    pub fn tell(&self, channel: &str, message: Bytes) {
        add(&self.shared.counters.received, 1);
        self.sink.message(channel, message);
    }
}
