//! Every reason for which a session or a socket ends, in one table: its name as handlers see it, who
//! began it, and the WebSocket close code that the peer is given.

/// Who began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The other end, or the way to it.
    Peer,
    /// This node: its rules, or the program's own wish.
    Local,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $origin:ident, $code:literal;)*) => {
        /// Why a session or a socket ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CloseReason { $($(#[$doc])* $name,)* }

        impl CloseReason {
            /// Every reason, for metrics and tests.
            pub const ALL: &[CloseReason] = &[$(CloseReason::$name),*];

            /// The name that handlers, logs and metrics see; the reference server's where it has one.
            pub fn as_str(self) -> &'static str {
                match self { $(CloseReason::$name => $text,)* }
            }

            /// Who began it.
            pub fn origin(self) -> Origin {
                match self { $(CloseReason::$name => Origin::$origin,)* }
            }

            /// The WebSocket close code for the peer (RFC 6455, section 7.4.1).
            pub fn ws_code(self) -> u16 {
                match self { $(CloseReason::$name => $code,)* }
            }
        }
    };
}

reasons! {
    /// The peer closed its connection, or it broke.
    TransportClose = "transport close", Peer, 1000;
    /// The peer broke the transport's rules, or two requests of one kind overlapped.
    TransportError = "transport error", Peer, 1002;
    /// No pong came in time.
    PingTimeout = "ping timeout", Peer, 1001;
    /// What came is no packet, or not one that is due.
    ParseError = "parse error", Peer, 1002;
    /// Text that is not UTF-8.
    InvalidText = "invalid text", Peer, 1007;
    /// A message or body over `max_payload`.
    TooLarge = "message too large", Peer, 1009;
    /// The client sent DISCONNECT for its namespace.
    ClientDisconnect = "client namespace disconnect", Peer, 1000;
    /// The program disconnected the socket from its namespace, or closed its client's connection.
    ServerDisconnect = "server namespace disconnect", Local, 1000;
    /// The program closed the session; to its sockets that is a `ServerDisconnect`.
    ForcedClose = "forced server close", Local, 1000;
    /// The node is going away.
    ShuttingDown = "server shutting down", Local, 1001;
    /// No namespace was joined within `connect_timeout`.
    ConnectTimeout = "connect timeout", Local, 1000;
    /// More bytes than `outbox_hard` wait for a reader that does not read.
    SlowReader = "slow reader", Local, 1008;
    /// More packets or bytes per second than allowed.
    RateLimited = "rate limited", Local, 1008;
}

impl CloseReason {
    /// Whether the client may come back to what it had: it was cut off, and neither left nor was put out.
    pub fn allows_recovery(self) -> bool {
        use CloseReason::{PingTimeout, ShuttingDown, TransportClose, TransportError};
        matches!(self, TransportClose | TransportError | PingTimeout | ShuttingDown)
    }
}

impl serde::Serialize for CloseReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_codes_may_be_sent() {
        let names: std::collections::HashSet<_> = CloseReason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(names.len(), CloseReason::ALL.len());
        for reason in CloseReason::ALL {
            assert!(matches!(reason.ws_code(), 1000..=1003 | 1007..=1011), "{reason}");
        }
    }
}
