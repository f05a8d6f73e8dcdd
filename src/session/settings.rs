//! What a session is told about time and size. One value serves all sessions of a server.

use std::time::Duration;

/// Times and limits of a session. The defaults are the reference server's where it has them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often the server pings.
    pub ping_interval: Duration,
    /// How long it waits for the pong.
    pub ping_timeout: Duration,
    /// How long a client may take to complete an upgrade.
    pub upgrade_timeout: Duration,
    /// How long a session that is being closed may take to fetch what is left.
    pub close_timeout: Duration,
    /// How long a client may take to join its first namespace.
    pub connect_timeout: Duration,
    /// The longest message, and the longest POST body, in bytes.
    pub max_payload: usize,
    /// Whether polling sessions may upgrade to WebSocket.
    pub allow_upgrades: bool,
    /// Bytes waiting for a client above which volatile events are dropped.
    pub outbox_soft: usize,
    /// Bytes waiting for a client above which it is closed.
    pub outbox_hard: usize,
    /// The most attachments that one packet may have.
    pub max_attachments: usize,
    /// The most acks that one socket may owe.
    pub max_pending_acks: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(45),
            max_payload: 1_000_000,
            allow_upgrades: true,
            outbox_soft: 1024 * 1024,
            outbox_hard: 16 * 1024 * 1024,
            max_attachments: 64,
            max_pending_acks: 1_000,
        }
    }
}
