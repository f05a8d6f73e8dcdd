//! What a server may be told beside its sessions' settings.

use std::time::Duration;

use crate::proto::http::{HeadLimits, Network};
use crate::session::{Settings, Transport};

/// A path that sessions are served at.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The path, with or without its last slash.
    pub path: String,
    /// Times and limits of its sessions.
    pub settings: Settings,
    /// How it answers over HTTP.
    pub http: HttpOptions,
}

/// How requests are answered.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// The transports that are served.
    pub transports: Vec<Transport>,
    /// Cross-origin answers; `None` gives none.
    pub cors: Option<Cors>,
    /// The name of a cookie that carries the session id; `None` sets none.
    pub cookie: Option<String>,
    /// Polling answers of at least so many bytes are compressed for clients that take gzip; `None` for never.
    pub compress_from: Option<usize>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            transports: vec![Transport::Polling, Transport::WebSocket],
            cors: None,
            cookie: None,
            compress_from: Some(1024),
        }
    }
}

/// Cross-origin resource sharing (Fetch standard, "CORS protocol").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Who may ask; empty or `*` for anybody.
    pub origins: Vec<String>,
    /// Whether cookies and authorization may come along.
    pub credentials: bool,
}

impl Cors {
    /// For anybody, without credentials.
    pub fn any() -> Self {
        Cors { origins: vec!["*".into()], credentials: false }
    }
}

/// Limits on connections, whatever they carry.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections of the whole node; 0 for no limit.
    pub max_connections: usize,
    /// Connections from one address, and sessions of one address behind a trusted proxy; 0 for no limit.
    pub max_connections_per_ip: usize,
    /// The proxies whose `X-Forwarded-For` is believed. Default: none.
    pub trusted_proxies: Vec<Network>,
    /// Handshakes per second over the whole node; 0 for no limit.
    pub handshakes_per_second: u32,
    /// Packets per second from one connection; 0 for no limit.
    pub packets_per_second: u32,
    /// Bytes per second from one connection; 0 for no limit.
    pub bytes_per_second: u64,
    /// The longest request head, and the most header fields in one.
    pub head: HeadLimits,
    /// How long a request may take to arrive.
    pub request_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub keep_alive_timeout: Duration,
    /// How long a connection that is being closed may take to read what is left.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_connections: 0,
            max_connections_per_ip: 0,
            trusted_proxies: Vec::new(),
            handshakes_per_second: 0,
            packets_per_second: 0,
            bytes_per_second: 0,
            head: HeadLimits::default(),
            request_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            linger: Duration::from_secs(5),
        }
    }
}
