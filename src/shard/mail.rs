//! What shards are sent: the application's own mail, connections that belong elsewhere, and the word to stop.

use std::net::{SocketAddr, TcpStream};

use crate::session::{Outbox, Time};

/// One piece of mail.
pub enum Mail<M> {
    /// For the application.
    App(M),
    /// A connection whose request names a session of this shard.
    HandOff(Box<HandOff>),
    /// Close every session.
    Close,
    /// Stop accepting, and end when all connections are gone, or at this time.
    Stop { by: Time },
}

/// A connection on its way to another shard. It is taken up there as if it had been accepted there.
pub struct HandOff {
    pub stream: TcpStream,
    pub remote: SocketAddr,
    pub ip: Option<Box<std::net::IpAddr>>,
    /// What was read, the request that caused this in front.
    pub input: Vec<u8>,
    /// Answers to earlier requests that are not written yet.
    pub out: Outbox,
}
