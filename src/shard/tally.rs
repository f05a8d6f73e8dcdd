//! How often each limit was reached, and for which reasons sessions have ended. Counted where somebody is refused, cut off
//! or left out, never for what goes its way.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::close::CloseReason;

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $key:literal;)*) => {
        /// A limit on what clients may use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Limit { $($(#[$doc])* $name,)* }

        impl Limit {
            /// All of them.
            pub const ALL: &[Limit] = &[$(Limit::$name),*];

            /// The name of its setting.
            pub fn as_str(self) -> &'static str {
                match self { $(Limit::$name => $key,)* }
            }
        }
    };
}

limits! {
    /// A connection was refused.
    Connections = "max_connections";
    /// A connection, or a session behind a proxy, was refused.
    ConnectionsPerIp = "max_connections_per_ip";
    /// A new session was refused.
    Handshakes = "handshakes_per_second";
    /// A request was refused.
    HeadBytes = "max_head_bytes";
    /// A request did not come in time.
    HeadTimeout = "head_timeout";
    /// A body was refused, or a session ended.
    Payload = "max_payload";
    /// A session ended.
    Packets = "packets_per_second";
    /// A connection was closed.
    Bytes = "bytes_per_second";
    /// A room was not joined.
    Rooms = "max_rooms_per_socket";
    /// A session ended.
    Attachments = "max_attachments";
    /// An event was not sent, for the client owes too many answers.
    PendingAcks = "max_pending_acks";
    /// A volatile event was not sent to a slow reader.
    OutboxSoft = "outbox_soft";
    /// The session of a slow reader ended.
    OutboxHard = "outbox_hard";
}

/// The counts, since the start.
#[derive(Debug, Default)]
pub struct Tally {
    reached: [AtomicU64; Limit::ALL.len()],
    closed: [AtomicU64; CloseReason::ALL.len()],
}

impl Tally {
    pub(super) fn reach(&self, limit: Limit) {
        self.reached[limit as usize].fetch_add(1, Relaxed);
    }

    /// A session has ended.
    pub(super) fn close(&self, reason: CloseReason) {
        self.closed[reason as usize].fetch_add(1, Relaxed);
        match reason {
            CloseReason::TooLarge => self.reach(Limit::Payload),
            CloseReason::SlowReader => self.reach(Limit::OutboxHard),
            _ => (),
        }
    }

    /// How often a limit was reached.
    pub fn reached(&self, limit: Limit) -> u64 {
        self.reached[limit as usize].load(Relaxed)
    }

    /// How many sessions have ended for this reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_and_reason_has_its_place() {
        let tally = Tally::default();
        for limit in Limit::ALL {
            tally.reach(*limit);
        }
        for reason in CloseReason::ALL {
            tally.close(*reason);
        }
        for limit in Limit::ALL {
            let by_the_end_of_a_session = matches!(limit, Limit::Payload | Limit::OutboxHard);
            assert_eq!(tally.reached(*limit), 1 + u64::from(by_the_end_of_a_session), "{}", limit.as_str());
        }
        for reason in CloseReason::ALL {
            assert_eq!(tally.closed(*reason), 1, "{reason}");
        }
    }
}
